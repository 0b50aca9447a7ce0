/* Real Fourier transform of 960 points, the one length that the engine needs; the loops are in kernels/body.h.
 *
 * 960 reals are 480 complex numbers z, and 480 = 60 * 8: eight transforms of 60 points side by side, one a vector lane,
 * then 60 of 8 points. 60 = 3 * 4 * 5 without common factors, so that its three passes need no twiddle factors
 * (Good 1958, Thomas 1963). */
#ifndef DN_FFT_H
#define DN_FFT_H

#include "denoise.h"

enum { DN_WINDOW = 960, DN_HALF = 480 };

typedef struct {
    float re[DN_BINS + 7], im[DN_BINS + 7]; /* the last 7 only round the length up to whole vectors */
} dn_spectrum;

typedef struct {
    int16_t input[60];                    /* where the point of pass position p comes from */
    int16_t output[60];                   /* which bin of 60 pass position p ends in */
    float lane_re[60][8], lane_im[60][8]; /* exp(-2 pi i k lane / 480), k = 0..59 */
    float turn_re[248], turn_im[248];     /* exp(-2 pi i k / 960), k = 0..247 */
} dn_fft;

void dn_fft_init(dn_fft *fft);

/* The same for 512 points: 256 = 8 * 32, 32 = 4 * 8. Of a dn_spectrum it has the first 257 bins. */
typedef struct {
    float inner_re[8][4], inner_im[8][4]; /* exp(-2 pi i b c / 32), b = 0..7, c = 0..3 */
    float lane_re[32][8], lane_im[32][8]; /* exp(-2 pi i k lane / 256), k = 0..31 */
    float turn_re[136], turn_im[136];     /* exp(-2 pi i k / 512), k = 0..135 */
} dn_fft512;

void dn_fft512_init(dn_fft512 *fft);

#endif
