/* The 22 triangular bands of the classic network, and the tables that all channels share. */
#ifndef DN_BANDS_H
#define DN_BANDS_H

#include "denoise.h"
#include "fft.h"
#include "kernels.h"

enum { DN_BAND_BINS = 400 }; /* bins below 20 kHz; those above belong to no band */

typedef struct {
    dn_fft fft;
    float analysis[DN_WINDOW];  /* Vorbis window / 960: the transform comes out normalised */
    float synthesis[DN_WINDOW]; /* Vorbis window / 32768: back to full scale 1 */
    float rise[DN_BAND_BINS];   /* how far bin i is from the centre of its band to that of the next, 0 to 1 */
    float dct[DN_BANDS * 24];   /* packed for matvec_add: 22 inputs, 22 outputs padded to 24 */
} dn_tables;

void dn_tables_init(dn_tables *tables);

/* out[DN_BANDS] = sum over the band of Re(X conj Y); energy when X is Y. */
void dn_band_correlation(const dn_kernels *k, const dn_tables *tables, const dn_spectrum *X, const dn_spectrum *Y,
                         float *out);

/* bins[DN_BAND_BINS]: bands[DN_BANDS] interpolated. */
void dn_band_interpolate(const dn_kernels *k, const dn_tables *tables, const float *bands, float *bins);

/* out[24]: orthonormal cosine transform of bands[DN_BANDS]; the last two are zero. */
void dn_band_dct(const dn_kernels *k, const dn_tables *tables, const float *bands, float *out);

#endif
