/* The triangular bands of either network, and the tables that all channels share. */
#ifndef DN_BANDS_H
#define DN_BANDS_H

#include "denoise.h"
#include "fft.h"
#include "kernels/table.h"

enum {
    DN_BAND_BINS = 400, /* bins below 20 kHz; those above belong to no band */
    DN_MAX_BANDS = 32,
    DN_MAX_EDGES = 34,
};

/* Triangles between edges, from 0 Hz to 20 kHz. */
typedef struct {
    int count;           /* of bands */
    int edges;           /* number of them */
    int first;           /* the edge of band 0: 0 or 1 */
    const int16_t *edge; /* [edges], in bins of 50 Hz */
} dn_band_layout;

extern const dn_band_layout dn_classic_bands; /* a band at each of 22 edges */
extern const dn_band_layout dn_v02_bands;     /* 34 edges, a band at each but the first and the last, whose half
                                               * triangles belong to the bands beside them */

/* The numbers of a layout, and its tables. */
typedef struct {
    int count, padded, edges, first; /* padded: count rounded up to a multiple of 8 */
    const int16_t *edge;
    float rise[DN_BAND_BINS];               /* place of bin i between the edge below it, 0, and the one above, 1 */
    float dct[DN_MAX_BANDS * DN_MAX_BANDS]; /* packed for matvec_add: count inputs, padded outputs */
} dn_bands;

typedef struct {
    dn_fft fft;
    float analysis[DN_WINDOW];  /* Vorbis window / 960: the transform comes out normalised */
    float synthesis[DN_WINDOW]; /* Vorbis window / 32768: back to full scale 1 */
    dn_bands bands;
} dn_tables;

void dn_tables_init(dn_tables *tables, const dn_band_layout *layout);

/* out[count] = sum over the band of Re(X conj Y); energy when X is Y. */
void dn_band_correlation(const dn_kernels *k, const dn_bands *bands, const dn_spectrum *X, const dn_spectrum *Y,
                         float *out);

/* Interpolates values[count], of the bands, to bins[DN_BAND_BINS]. */
void dn_band_interpolate(const dn_kernels *k, const dn_bands *bands, const float *values, float *bins);

/* out[padded]: cosine transform of values[count], orthonormal for the classic network; the padding is zero. */
void dn_band_dct(const dn_kernels *k, const dn_bands *bands, const float *values, float *out);

#endif
