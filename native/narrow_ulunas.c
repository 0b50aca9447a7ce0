/* UL-UNAS (arXiv 2503.00340): a real mask of bands, of logarithms of magnitudes. Shuffles of channels and groups of
 * maps are in the order of the weights, norms in the weights. */
#include <string.h>

#include "network_narrow.h"

const dn_narrow_shape dn_ulunas_shapes[DN_SIDE] = {
    {1, 12, DN_NARROW_BANDS, DN_NARROW_HALVED, 3, 3, 0},
    {12, 24, DN_NARROW_HALVED, DN_NARROW_ROWS, 2, 3, 1},
    {24, 24, DN_NARROW_ROWS, DN_NARROW_ROWS, 2, 3, 0},
    {24, 32, DN_NARROW_ROWS, DN_NARROW_ROWS, 1, 5, 1},
    {32, DN_NARROW_CHANNELS, DN_NARROW_ROWS, DN_NARROW_ROWS, 1, 5, 0},
};

enum {
    EDGE = 16,       /* channels of the first block's output, in whole vectors */
    MOST_TAPS = 5,   /* of a filter */
    FRAME = 67 * 24, /* floats of the largest frame that a filter sees, with what is beyond its ends */
    MADE = 33 * 32,  /* and of the largest that it makes */
    PADDED_BANDS = DN_NARROW_BANDS + 7 + 8,
};

static const float least_power = 1e-24f; /* of a bin */

typedef struct {
    float bands[2][DN_NARROW_BANDS]; /* of the last two frames */
    float encoder1[FRAME], encoder2[35 * 24], decoder2[35 * 24], decoder3[35 * EDGE];
    float joined[2][DN_NARROW_HALVED * EDGE]; /* what the last block saw */
    float power[2 * DN_SIDE][2 * DN_NARROW_MOST];
    float rows[DN_PATHS][DN_NARROW_ROWS * DN_NARROW_CHANNELS];
} ulunas_memory;

/* Gains for x[bands][channels], to y, and add to that if it is not NULL; y may be x. */
static void attend(const dn_narrow_block *b, const dn_kernels *k, float *memory, const float *x, int bands,
                   const float *add, float *y) {
    int channels = dn_round_up_8(b->time.channels);
    float of_channels[DN_NARROW_MOST], of_bands[DN_NARROW_HALVED + 15], time_gain[DN_NARROW_MOST];
    float band_gain[DN_NARROW_HALVED + 15];
    k->power_places(of_channels, of_bands, x, bands, channels);
    dn_time_attention_run(&b->time, k, memory, of_channels, time_gain);
    dn_band_attention_run(&b->bands, k, of_bands, bands, band_gain);
    k->gain_places(y, x, time_gain, band_gain, add, bands, channels);
}

static void filter(const dn_narrow_block *b, const dn_kernels *k, dn_narrow_shape s, const float *const *frames,
                   float *y) {
    int width = dn_round_up_8(s.outputs);
    dn_places f = {.x = frames,
                   .x_row = s.after < s.before ? 2 * width : width,
                   .x_tap = width,
                   .w = b->filter,
                   .bias = b->filter_bias,
                   .w_time = s.taps * width,
                   .w_tap = width,
                   .y = y,
                   .y_row = width,
                   .times = s.times,
                   .taps = s.taps,
                   .rows = s.after,
                   .channels = width};
    if (s.after <= s.before) {
        k->filter_places(&f);
        return;
    }
    /* Every second band that comes out lies on one that came in, the others between two: the middle tap's, and both
     * others'. */
    const float *inner[2] = {frames[0] + width, s.times > 1 ? frames[1] + width : NULL};
    f.x = inner;
    f.y_row = 2 * width;
    f.rows = s.before;
    f.taps = 1;
    f.w = b->filter + width;
    k->filter_places(&f);
    f.y = y + width;
    f.rows = s.before - 1;
    f.taps = 2;
    f.w = b->filter;
    f.w_tap = 2 * width;
    k->filter_places(&f);
}

/* x[before][inputs in whole vectors] to y[after][outputs in whole vectors], and add to that. past: of the frame before,
 * as the filter saw it; NULL if it sees one frame. */
static void run_block(const dn_narrow_block *b, const dn_kernels *k, dn_narrow_shape s, float *past, float *power,
                      const float *x, const float *add, float *y) {
    int width = dn_round_up_8(s.outputs), margin = s.taps / 2 * width, middle = s.before * width;
    float now[FRAME], made[MADE], left[MADE];
    const float *frames[2] = {past ? past : now, now};
    memset(now, 0, (size_t)margin * sizeof(*now));
    memset(now + margin + middle, 0, (size_t)margin * sizeof(*now));
    dn_dense_run(&b->enter, k, x, dn_round_up_8(s.inputs), now + margin, width, s.before, 0);
    dn_bend_run(&b->bend_first, k, now + margin, s.before, width);
    filter(b, k, s, frames, made);
    if (past) memcpy(past, now, (size_t)(2 * margin + middle) * sizeof(*past));
    dn_bend_run(&b->bend, k, made, s.after, width);
    if (s.leaves) dn_dense_run(&b->leave, k, made, width, left, width, s.after, 0);
    attend(b, k, power, s.leaves ? left : made, s.after, add, y);
}

/* bands[DN_NARROW_BANDS] to y[DN_NARROW_HALVED][EDGE] */
static void run_first(const dn_narrow_block *b, const dn_kernels *k, ulunas_memory *m, const float *bands, float *y) {
    enum { TIMES = 3 };
    float seen[(DN_NARROW_BANDS + 2) * TIMES], *at = seen + TIMES;
    memset(seen, 0, TIMES * sizeof(*seen));
    for (int i = 0; i < DN_NARROW_BANDS; i++) {
        *at++ = m->bands[0][i];
        *at++ = m->bands[1][i];
        *at++ = bands[i];
    }
    memset(at, 0, TIMES * sizeof(*at));
    memcpy(m->bands[0], m->bands[1], sizeof(m->bands[0]));
    memcpy(m->bands[1], bands, sizeof(m->bands[1]));
    dn_dense_run(&b->conv, k, seen, 2 * TIMES, y, EDGE, DN_NARROW_HALVED, 0);
    dn_bend_run(&b->bend, k, y, DN_NARROW_HALVED, EDGE);
    attend(b, k, m->power[0], y, DN_NARROW_HALVED, NULL, y);
}

/* x[DN_NARROW_HALVED][EDGE] to gain[PADDED_BANDS] */
static void run_last(const dn_narrow_block *b, const dn_kernels *k, ulunas_memory *m, const float *x, float *gain) {
    float of_taps[DN_NARROW_HALVED * 8], made[PADDED_BANDS], power[PADDED_BANDS], time_gain[8], mean[8];
    const float *frames[3] = {m->joined[0], m->joined[1], x};
    dn_dense taps = b->conv;
    taps.inputs = dn_ulunas_shapes[0].outputs;
    taps.bias = NULL;
    for (int t = 0; t < 3; t++, taps.w += taps.inputs * taps.columns) {
        dn_dense_run(&taps, k, frames[t], EDGE, of_taps, 8, DN_NARROW_HALVED, t > 0);
    }
    memcpy(m->joined[0], m->joined[1], sizeof(m->joined[0]));
    memcpy(m->joined[1], x, sizeof(m->joined[1]));
    float bias = b->conv.bias[0];
    for (int i = 0; i < DN_NARROW_HALVED; i++) {
        made[2 * i] = of_taps[8 * i + 1] + bias;
        if (i + 1 < DN_NARROW_HALVED) made[2 * i + 1] = of_taps[8 * i] + of_taps[8 * i + 10] + bias;
    }
    for (int i = 0; i < DN_NARROW_BANDS; i++) power[i] = made[i] * made[i];
    mean[0] = k->dot(made, made, DN_NARROW_BANDS) / DN_NARROW_BANDS;
    dn_time_attention_run(&b->time, k, m->power[2 * DN_SIDE - 1], mean, time_gain);
    dn_band_attention_run(&b->bands, k, power, DN_NARROW_BANDS, gain);
    for (int i = 0; i < DN_NARROW_BANDS; i++) gain[i] *= time_gain[0] * made[i];
    for (int i = DN_NARROW_BANDS; i < PADDED_BANDS; i++) gain[i] = 0;
    k->sigmoid(gain, dn_round_up_8(DN_NARROW_BANDS));
}

static void ulunas_run(const dn_narrow *net, const dn_kernels *k, float *memory, dn_spectrum *X, float min_gain) {
    enum { VALUES = DN_NARROW_ROWS * DN_NARROW_CHANNELS };
    ulunas_memory *m = (ulunas_memory *)(void *)memory;
    const dn_narrow_shape *s = dn_ulunas_shapes;
    float skip[DN_SIDE][MADE], room[2][MADE], *x = room[0], *y = room[1];
    float bands[PADDED_BANDS], gain[DN_NARROW_PADDED_BINS];
    float *const encoder_past[DN_SIDE] = {NULL, m->encoder1, m->encoder2, NULL, NULL};
    float *const decoder_past[DN_SIDE] = {NULL, NULL, m->decoder2, m->decoder3, NULL};
    k->cross_power(gain, X, X, DN_NARROW_PADDED_BINS);
    k->decades(gain, least_power, DN_NARROW_PADDED_BINS);
    dn_narrow_to_bands(net, k, gain, bands);
    for (int i = 0; i < DN_NARROW_BANDS; i++) bands[i] *= 0.5f; /* of magnitudes, not of powers */
    run_first(&net->encoder[0], k, m, bands, skip[0]);
    for (int i = 1; i < DN_SIDE; i++) {
        run_block(&net->encoder[i], k, s[i], encoder_past[i], m->power[i], skip[i - 1], NULL, skip[i]);
    }
    memcpy(x, skip[DN_SIDE - 1], VALUES * sizeof(*x));
    for (int i = 0; i < DN_PATHS; i++) dn_path_run(&net->path[i], k, m->rows[i], x);
    dn_add(x, skip[DN_SIDE - 1], VALUES);
    for (int i = 0; i + 1 < DN_SIDE; i++) {
        run_block(&net->decoder[i], k, dn_narrow_turned(s[DN_SIDE - 1 - i]), decoder_past[i], m->power[DN_SIDE + i], x,
                  skip[DN_SIDE - 2 - i], y);
        float *swap = x;
        x = y;
        y = swap;
    }
    run_last(&net->decoder[DN_SIDE - 1], k, m, x, bands);
    dn_narrow_to_bins(net, k, bands, gain);
    for (int i = 0; i < DN_NARROW_BINS; i++) gain[i] = min_gain + (1 - min_gain) * gain[i];
    for (int i = DN_NARROW_BINS; i < DN_NARROW_PADDED_BINS; i++) gain[i] = 0;
    k->scale(X, gain, DN_NARROW_PADDED_BINS);
}

const dn_narrow_body dn_ulunas_body = {
    .name = "UL-UNAS", .memory = sizeof(ulunas_memory) / sizeof(float), .run = ulunas_run};
