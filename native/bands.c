#include "bands.h"

#include <math.h>
#include <string.h>

static const double pi = 3.141592653589793;

static const int16_t classic_edges[DN_BANDS] = {0,  4,  8,  12, 16,  20,  24,  28,  32,  40,  48,
                                                56, 64, 80, 96, 112, 136, 160, 192, 240, 312, 400};

static const int16_t v02_edges[DN_MAX_EDGES] = {0,   2,   4,   6,   8,   10,  12,  15,  18,  21, 24,  28,
                                                32,  36,  41,  47,  53,  60,  68,  77,  87,  98, 110, 124,
                                                140, 157, 176, 198, 223, 251, 282, 317, 356, 400};

const dn_band_layout dn_classic_bands = {.count = DN_BANDS, .edges = DN_BANDS, .first = 0, .edge = classic_edges};
const dn_band_layout dn_v02_bands = {.count = DN_V02_BANDS, .edges = DN_MAX_EDGES, .first = 1, .edge = v02_edges};

static void init_bands(dn_bands *bands, const dn_band_layout *layout) {
    bands->count = layout->count;
    bands->padded = dn_round_up_8(layout->count);
    bands->edges = layout->edges;
    bands->first = layout->first;
    bands->edge = layout->edge;
    for (int e = 0; e < bands->edges - 1; e++) {
        int from = bands->edge[e], width = bands->edge[e + 1] - from;
        for (int j = 0; j < width; j++) bands->rise[from + j] = (float)j / (float)width;
    }
    memset(bands->dct, 0, sizeof(bands->dct));
    for (int i = 0; i < bands->count; i++) {
        double size = sqrt(2.0 / DN_BANDS) * (i == 0 ? sqrt(0.5) : 1); /* v0.2 kept the size of 22 bands */
        for (int j = 0; j < bands->count; j++) {
            double turn = (j + 0.5) * i * pi / bands->count;
            bands->dct[(i / 8 * bands->count + j) * 8 + i % 8] = (float)(size * cos(turn));
        }
    }
}

void dn_tables_init(dn_tables *tables, const dn_band_layout *layout) {
    dn_fft_init(&tables->fft);
    for (int i = 0; i < DN_WINDOW; i++) {
        double s = sin(pi * (i + 0.5) / DN_WINDOW), window = sin(pi / 2 * s * s);
        tables->analysis[i] = (float)(window / DN_WINDOW);
        tables->synthesis[i] = (float)(window / 32768);
    }
    init_bands(&tables->bands, layout);
}

void dn_band_correlation(const dn_kernels *k, const dn_bands *bands, const dn_spectrum *X, const dn_spectrum *Y,
                         float *out) {
    float power[DN_BAND_BINS], sums[DN_MAX_EDGES];
    int last = bands->count - 1;
    k->cross_power(power, X, Y, DN_BAND_BINS);
    k->band_sums(sums, power, bands->rise, bands->edge, bands->edges - 1);
    memcpy(out, sums + bands->first, (size_t)bands->count * sizeof(*out));
    if (bands->first == 0) { /* half triangles at both ends */
        out[0] *= 2;
        out[last] *= 2;
    } else { /* one and a half */
        out[0] = (sums[0] + out[0]) * 2 / 3;
        out[last] = (out[last] + sums[last + 2]) * 2 / 3;
    }
}

void dn_band_interpolate(const dn_kernels *k, const dn_bands *bands, const float *values, float *bins) {
    float at_edges[DN_MAX_EDGES];
    if (bands->first == 1) {
        memcpy(at_edges + 1, values, (size_t)bands->count * sizeof(*values));
        at_edges[0] = values[0];
        at_edges[bands->count + 1] = values[bands->count - 1];
        values = at_edges;
    }
    k->band_spread(bins, values, bands->rise, bands->edge, bands->edges - 1);
}

void dn_band_dct(const dn_kernels *k, const dn_bands *bands, const float *values, float *out) {
    memset(out, 0, (size_t)bands->padded * sizeof(*out));
    k->matvec_add(out, bands->dct, values, bands->count, bands->padded);
}
