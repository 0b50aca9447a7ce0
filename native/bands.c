#include "bands.h"

#include <math.h>
#include <string.h>

/* Centres in bins of 50 Hz: 0 Hz to 20 kHz. */
static const int16_t centres[DN_BANDS] = {0,  4,  8,  12, 16,  20,  24,  28,  32,  40,  48,
                                          56, 64, 80, 96, 112, 136, 160, 192, 240, 312, 400};

void dn_tables_init(dn_tables *tables) {
    const double pi = 3.141592653589793;
    dn_fft_init(&tables->fft);
    for (int i = 0; i < DN_WINDOW; i++) {
        double s = sin(pi * (i + 0.5) / DN_WINDOW), window = sin(pi / 2 * s * s);
        tables->analysis[i] = (float)(window / DN_WINDOW);
        tables->synthesis[i] = (float)(window / 32768);
    }
    for (int b = 0; b < DN_BANDS - 1; b++) {
        int width = centres[b + 1] - centres[b];
        for (int j = 0; j < width; j++) tables->rise[centres[b] + j] = (float)j / (float)width;
    }
    memset(tables->dct, 0, sizeof(tables->dct));
    for (int i = 0; i < DN_BANDS; i++) {
        double size = sqrt(2.0 / DN_BANDS) * (i == 0 ? sqrt(0.5) : 1);
        for (int j = 0; j < DN_BANDS; j++) {
            tables->dct[(i / 8 * DN_BANDS + j) * 8 + i % 8] = (float)(size * cos((j + 0.5) * i * pi / DN_BANDS));
        }
    }
}

void dn_band_correlation(const dn_kernels *k, const dn_tables *tables, const dn_spectrum *X, const dn_spectrum *Y,
                         float *out) {
    float power[DN_BAND_BINS];
    k->cross_power(power, X, Y, DN_BAND_BINS);
    k->band_sums(out, power, tables->rise, centres, DN_BANDS - 1);
    out[0] *= 2; /* half triangles at both ends */
    out[DN_BANDS - 1] *= 2;
}

void dn_band_interpolate(const dn_kernels *k, const dn_tables *tables, const float *bands, float *bins) {
    k->band_spread(bins, bands, tables->rise, centres, DN_BANDS - 1);
}

void dn_band_dct(const dn_kernels *k, const dn_tables *tables, const float *bands, float *out) {
    memset(out, 0, 24 * sizeof(*out));
    k->matvec_add(out, tables->dct, bands, DN_BANDS, 24);
}
