/* GTCRN (ICASSP 2024): a complex mask of bands, of spectra as they are. Shuffles of channels and groups of maps are in
 * the order of the weights, norms in the weights. */
#include <math.h>
#include <string.h>

#include "network_narrow.h"

enum {
    CHANNELS = DN_NARROW_CHANNELS,
    HALF = CHANNELS / 2,
    BLOCKS = 3,            /* that see times, on either side */
    SEEN = 9,              /* of a band: magnitude, real and imaginary part, each of three bands */
    MARGIN = 2 * CHANNELS, /* beyond the ends of a frame */
    ROWS = DN_NARROW_ROWS,
    FRAME = (ROWS + 2) * CHANNELS,
    SPREADS = 1 + 2 + 5, /* frames between the taps of all blocks of a side */
    PADDED_BANDS = DN_NARROW_BANDS + 7,
    WIDE = DN_NARROW_HALVED * CHANNELS,
};

static const int spreads[BLOCKS] = {1, 2, 5};
static const float least_power = 1e-12f;

typedef struct {
    float past[2][2 * SPREADS * FRAME]; /* of the encoder and of the decoder; of a block the oldest frame first */
    float power[2 * BLOCKS][2 * HALF];
    float rows[DN_PATHS][ROWS * CHANNELS];
} gtcrn_memory;

/* features[DN_NARROW_BANDS][SEEN], with margins of 2 bands */
static void make_features(const dn_narrow *net, const dn_kernels *k, const dn_spectrum *X, float *features) {
    float bins[DN_NARROW_PADDED_BINS], bands[3][PADDED_BANDS + 2] = {{0}};
    k->cross_power(bins, X, X, DN_NARROW_PADDED_BINS);
    for (int i = 0; i < DN_NARROW_BINS; i++) bins[i] = sqrtf(bins[i] + least_power);
    dn_narrow_to_bands(net, k, bins, bands[0] + 1);
    dn_narrow_to_bands(net, k, X->re, bands[1] + 1);
    dn_narrow_to_bands(net, k, X->im, bands[2] + 1);
    memset(features, 0, 2 * SEEN * sizeof(*features));
    memset(features + (2 + DN_NARROW_BANDS) * SEEN, 0, 2 * SEEN * sizeof(*features));
    features += 2 * SEEN;
    for (int band = 0; band < DN_NARROW_BANDS; band++) {
        for (int i = 0; i < SEEN; i++) *features++ = bands[i / 3][band + i % 3];
    }
}

/* A padded frame of x, of so many rows. */
static void pad(float *to, const float *x, int rows) {
    memset(to, 0, MARGIN * sizeof(*to));
    memcpy(to + MARGIN, x, (size_t)rows * CHANNELS * sizeof(*to));
    memset(to + MARGIN + rows * CHANNELS, 0, MARGIN * sizeof(*to));
}

/* x[rows][CHANNELS] to y[2 * rows - 1][y_row]: bands that lie on one that was there see 3 of them, those between two
 * see these. d->w: 3 taps of the ones, the lowest first, then 2 of the others. */
static void double_bands(const dn_dense *d, const dn_kernels *k, const float *x, int rows, float *y, int y_row) {
    float padded[WIDE + 2 * MARGIN];
    dn_dense on = *d, between = *d;
    on.inputs = 3 * CHANNELS;
    between.inputs = 2 * CHANNELS;
    between.w += 3 * CHANNELS * d->columns;
    pad(padded, x, rows);
    dn_dense_run(&on, k, padded + CHANNELS, CHANNELS, y, 2 * y_row, rows, 0);
    dn_dense_run(&between, k, padded + MARGIN, CHANNELS, y + y_row, 2 * y_row, rows - 1, 0);
}

/* A block of either side, in place: x[ROWS][CHANNELS], half of whose channels are worked on; those come out at even
 * places, the others at odd ones. */
static void run_block(const dn_narrow_block *b, const dn_kernels *k, int spread, float *past, float *power, float *x) {
    float seen[(ROWS + 2) * HALF], now[FRAME], made[ROWS * CHANNELS], left[ROWS * HALF], mean[HALF], sums[ROWS + 7];
    float gain[HALF];
    memset(seen, 0, HALF * sizeof(*seen));
    memset(seen + (ROWS + 1) * HALF, 0, HALF * sizeof(*seen));
    for (int row = 0; row < ROWS; row++) memcpy(seen + (row + 1) * HALF, x + row * CHANNELS, HALF * sizeof(*x));
    memset(now, 0, CHANNELS * sizeof(*now));
    memset(now + (ROWS + 1) * CHANNELS, 0, CHANNELS * sizeof(*now));
    dn_dense_run(&b->enter, k, seen, HALF, now + CHANNELS, CHANNELS, ROWS, 0);
    dn_bend_run(&b->bend_first, k, now + CHANNELS, ROWS, CHANNELS);
    const float *const frames[3] = {past, past + spread * FRAME, now};
    const dn_filter filter = {b->filter, b->filter_bias, 3, 3, CHANNELS};
    dn_filter_run(&filter, k, frames, 1, made, ROWS);
    memmove(past, past + FRAME, (size_t)(2 * spread - 1) * FRAME * sizeof(*past));
    memcpy(past + (2 * spread - 1) * FRAME, now, sizeof(now));
    dn_bend_run(&b->bend, k, made, ROWS, CHANNELS);
    dn_dense_run(&b->leave, k, made, CHANNELS, left, HALF, ROWS, 0);
    k->power_places(mean, sums, left, ROWS, HALF);
    dn_time_attention_run(&b->time, k, power, mean, gain);
    k->gain_places(left, left, gain, NULL, NULL, ROWS, HALF);
    for (int row = 0; row < ROWS; row++) {
        float kept[HALF], *at = x + row * CHANNELS;
        memcpy(kept, at + HALF, sizeof(kept));
        for (int i = 0; i < HALF; i++) {
            at[2 * i] = left[row * HALF + i];
            at[2 * i + 1] = kept[i];
        }
    }
}

static void gtcrn_run(const dn_narrow *net, const dn_kernels *k, float *memory, dn_spectrum *X, float min_gain) {
    enum { VALUES = ROWS * CHANNELS };
    gtcrn_memory *m = (gtcrn_memory *)(void *)memory;
    float features[(DN_NARROW_BANDS + 4) * SEEN], first[WIDE], padded[WIDE + 2 * MARGIN], x[VALUES];
    float skip[1 + BLOCKS][VALUES], wide[WIDE], of_bands[DN_NARROW_BANDS * 8], bands[2][PADDED_BANDS];
    float mask[2][DN_NARROW_PADDED_BINS];
    make_features(net, k, X, features);
    dn_dense_run(&net->encoder[0].conv, k, features, 2 * SEEN, first, CHANNELS, DN_NARROW_HALVED, 0);
    dn_bend_run(&net->encoder[0].bend, k, first, DN_NARROW_HALVED, CHANNELS);
    pad(padded, first, DN_NARROW_HALVED);
    dn_dense_run(&net->encoder[1].conv, k, padded, 2 * CHANNELS, x, CHANNELS, ROWS, 0);
    dn_bend_run(&net->encoder[1].bend, k, x, ROWS, CHANNELS);
    memcpy(skip[0], x, sizeof(x));
    float *past = m->past[0];
    for (int i = 0; i < BLOCKS; past += 2 * spreads[i] * FRAME, i++) {
        run_block(&net->encoder[2 + i], k, spreads[i], past, m->power[i], x);
        memcpy(skip[1 + i], x, sizeof(x));
    }
    for (int i = 0; i < DN_PATHS; i++) dn_path_run(&net->path[i], k, m->rows[i], x);
    past = m->past[1];
    for (int i = 0; i < BLOCKS; i++) {
        int spread = spreads[BLOCKS - 1 - i];
        dn_add(x, skip[BLOCKS - i], VALUES);
        run_block(&net->decoder[i], k, spread, past, m->power[BLOCKS + i], x);
        past += 2 * spread * FRAME;
    }
    dn_add(x, skip[0], VALUES);
    double_bands(&net->decoder[3].conv, k, x, ROWS, wide, CHANNELS);
    dn_bend_run(&net->decoder[3].bend, k, wide, DN_NARROW_HALVED, CHANNELS);
    dn_add(wide, first, WIDE);
    double_bands(&net->decoder[4].conv, k, wide, DN_NARROW_HALVED, of_bands, 8);
    for (int part = 0; part < 2; part++) {
        for (int i = 0; i < DN_NARROW_BANDS; i++) bands[part][i] = of_bands[8 * i + part];
        for (int i = DN_NARROW_BANDS; i < PADDED_BANDS; i++) bands[part][i] = 0;
        k->tanh(bands[part], PADDED_BANDS);
        dn_narrow_to_bins(net, k, bands[part], mask[part]);
    }
    for (int i = 0; i < DN_NARROW_BINS; i++) {
        float re = min_gain + (1 - min_gain) * mask[0][i], im = (1 - min_gain) * mask[1][i];
        float x_re = X->re[i], x_im = X->im[i];
        X->re[i] = re * x_re - im * x_im;
        X->im[i] = re * x_im + im * x_re;
    }
}

const dn_narrow_body dn_gtcrn_body = {
    .name = "GTCRN", .memory = sizeof(gtcrn_memory) / sizeof(float), .run = gtcrn_run};
