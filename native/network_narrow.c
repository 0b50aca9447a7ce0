#include "network_narrow.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { HALF = DN_NARROW_WINDOW / 2, RECENT = 0, PENDING = DN_NARROW_HOP, BODY = 2 * DN_NARROW_HOP };

static const float norm_floor = 1e-8f;

/* The scale on which the peaks of the upper bands are equally far apart: Glasberg and Moore's. */
static double to_scale(double hz) {
    return 21.4 * log10(0.00437 * hz + 1);
}

static double from_scale(double place) {
    return (pow(10, place / 21.4) - 1) / 0.00437;
}

static void prepare_bands(dn_narrow *net) {
    const double bin_hz = (double)DN_NARROW_RATE / DN_NARROW_WINDOW;
    double lowest = to_scale(DN_NARROW_LOW * bin_hz), highest = to_scale(DN_NARROW_RATE / 2.0);
    int peak[DN_NARROW_UPPER];
    for (int b = 0; b < DN_NARROW_UPPER; b++) {
        double place = lowest + (highest - lowest) * b / (DN_NARROW_UPPER - 1.0);
        peak[b] = (int)floor(from_scale(place) / bin_hz + 0.5);
        net->edge[b] = (int16_t)peak[b];
    }
    net->edge[DN_NARROW_UPPER - 1] = DN_NARROW_BINS;
    for (int b = 0; b + 1 < DN_NARROW_UPPER; b++) {
        for (int i = peak[b]; i <= peak[b + 1]; i++) {
            if (i < net->edge[b + 1]) net->rise[i] = (float)(i - peak[b]) / (float)(peak[b + 1] - peak[b]);
        }
    }
}

void dn_narrow_prepare(dn_narrow *net) {
    const double tau = 6.283185307179586;
    /* The root of Hann's on both sides, also for UL-UNAS, which was trained with Hann's: it cleans better so. */
    for (int i = 0; i < DN_NARROW_WINDOW; i++) {
        double window = sqrt(0.5 - 0.5 * cos(tau * i / DN_NARROW_WINDOW));
        net->analysis[i] = (float)window;
        net->synthesis[i] = (float)(window / DN_NARROW_WINDOW);
    }
    dn_fft512_init(&net->fft);
    prepare_bands(net);
    net->base.memory = BODY + net->body->memory;
    net->base.batch = DN_BATCH;
    net->base.hop = DN_NARROW_HOP;
}

float dn_narrow_run(const dn_network *base, const dn_kernels *k, float *memory, const float *in, const float *guide,
                    float *out, float min_gain) {
    const dn_narrow *net = (const dn_narrow *)base;
    float samples[DN_NARROW_WINDOW], *pending = memory + PENDING;
    dn_spectrum X;
    (void)guide;
    memcpy(samples, memory + RECENT, HALF * sizeof(*samples));
    for (int i = 0; i < HALF; i++) samples[HALF + i] = fabsf(in[i]) < FLT_MIN ? 0 : in[i]; /* or it is kept */
    memcpy(memory + RECENT, samples + HALF, HALF * sizeof(*samples));
    k->fft512(&net->fft, net->analysis, samples, &X);
    net->body->run(net, k, memory + BODY, &X, min_gain);
    k->ifft512(&net->fft, net->synthesis, &X, samples);
    for (int i = 0; i < HALF; i++) out[i] = pending[i] + samples[i];
    memcpy(pending, samples + HALF, HALF * sizeof(*pending));
    return 0;
}

void dn_narrow_to_bands(const dn_narrow *net, const dn_kernels *k, const float *bins, float *bands) {
    memcpy(bands, bins, DN_NARROW_LOW * sizeof(*bands));
    k->band_sums(bands + DN_NARROW_LOW, bins, net->rise, net->edge, DN_NARROW_UPPER - 1);
}

void dn_narrow_to_bins(const dn_narrow *net, const dn_kernels *k, const float *bands, float *bins) {
    memcpy(bins, bands, DN_NARROW_LOW * sizeof(*bins));
    k->band_spread(bins, bands + DN_NARROW_LOW, net->rise, net->edge, DN_NARROW_UPPER - 1);
}

void dn_path_run(const dn_path *p, const dn_kernels *k, float *memory, float *x) {
    enum { GATES = 3 * DN_HALF_PATH, VALUES = DN_NARROW_ROWS * DN_NARROW_CHANNELS };
    float from_x[DN_NARROW_ROWS * 2 * GATES], from_h[DN_NARROW_ROWS * GATES], made[VALUES], mapped[VALUES];
    for (int half = 0; half < 2; half++) {
        dn_dense_run(&p->along_rows[half], k, x + half * DN_HALF_PATH, DN_NARROW_CHANNELS, from_x + half * GATES,
                     2 * GATES, DN_NARROW_ROWS, 0);
    }
    k->gru_places(made, from_x, p->rows_recurrent, p->rows_bias, 2, DN_NARROW_ROWS);
    dn_dense_run(&p->rows_map, k, made, DN_NARROW_CHANNELS, mapped, DN_NARROW_CHANNELS, DN_NARROW_ROWS, 0);
    k->add_normal(x, mapped, p->rows_scale, p->rows_offset, norm_floor, VALUES);
    for (int half = 0; half < 2; half++) {
        float *h = memory + half * DN_NARROW_ROWS * DN_HALF_PATH;
        dn_dense_run(&p->input[half], k, x + half * DN_HALF_PATH, DN_NARROW_CHANNELS, from_x, GATES, DN_NARROW_ROWS, 0);
        dn_dense_run(&p->recurrent[half], k, h, DN_HALF_PATH, from_h, GATES, DN_NARROW_ROWS, 0);
        k->gru(h, from_x, from_h, DN_HALF_PATH, DN_NARROW_ROWS);
        dn_dense_run(half ? &p->time_map_second : &p->time_map, k, h, DN_HALF_PATH, mapped, DN_NARROW_CHANNELS,
                     DN_NARROW_ROWS, half);
    }
    k->add_normal(x, mapped, p->time_scale, p->time_offset, norm_floor, VALUES);
}

void dn_band_attention_run(const dn_band_attention *a, const dn_kernels *k, float *power, int bands, float *gain) {
    enum { MOST_STEPS = (DN_NARROW_BANDS + DN_TOGETHER - 1) / DN_TOGETHER };
    float from_x[MOST_STEPS * 3 * DN_DIRECTIONS], made[MOST_STEPS * DN_DIRECTIONS];
    int steps = (bands + DN_TOGETHER - 1) / DN_TOGETHER;
    for (int i = bands; i < steps * DN_TOGETHER; i++) power[i] = 0;
    dn_dense_run(&a->input, k, power, DN_TOGETHER, from_x, 3 * DN_DIRECTIONS, steps, 0);
    k->gru_places(made, from_x, a->recurrent, a->bias, 1, steps);
    dn_dense_run(&a->map, k, made, DN_DIRECTIONS, gain, DN_TOGETHER, steps,
                 0); /* what is beyond a step's is the next's */
    k->sigmoid(gain, dn_round_up_8(bands));
}
