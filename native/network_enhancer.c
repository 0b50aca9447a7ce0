#include "network_enhancer.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "enhancer_parts.h"
#include "larger.h"

static const float floor_power = 1e-10f;  /* of a bin that counts as none */
static const float floor_square = 1e-20f; /* of the square of a product of two bins */
static const float most_mask = 1.5f;      /* magnitude of a low mask as it is compressed: a gain of 10.6 dB */
static const float most_tap = 4;          /* of either part of the weight of a low bin in a frame before */

/* Parts of a channel's memory. */
enum { RECENT = 0, PENDING = DN_FRAME, BODY = 2 * DN_FRAME };

/* x within +-most; NaN gives -most. */
static float clamp(float x, float most) {
    return dn_within(x, -most, most);
}

/* The peaks of the upper bands grow from bin 80 to bin 480 by one factor. */
static double peak(int band) {
    return DN_LOW * pow((double)(DN_BINS - 1) / DN_LOW, band / (DN_UPPER - 1.0));
}

static void prepare_bands(dn_enhancer *net) {
    double sum[DN_UPPER] = {0};
    net->edge[0] = DN_LOW;
    for (int b = 0; b + 1 < DN_UPPER; b++) {
        double from = peak(b), to = peak(b + 1);
        int i = net->edge[b], last = b + 2 == DN_UPPER;
        for (; i < DN_BINS && (last || i < to); i++) {
            double rise = (i - from) / (to - from);
            net->rise[i] = (float)rise;
            sum[b] += 1 - rise;
            sum[b + 1] += rise;
        }
        net->edge[b + 1] = (int16_t)i;
    }
    for (int b = 0; b < DN_UPPER; b++) net->share[b] = (float)(1 / sum[b]);
}

void dn_enhancer_prepare(dn_enhancer *net) {
    const double tau = 6.283185307179586;
    dn_fft_init(&net->fft);
    for (int i = 0; i < DN_WINDOW; i++) {
        double window = sqrt(0.5 - 0.5 * cos(tau * i / DN_WINDOW));
        net->analysis[i] = (float)window;
        net->synthesis[i] = (float)(window / DN_WINDOW);
    }
    prepare_bands(net);
    net->past = BODY + net->body->memory(&net->sizes);
    net->guide = net->past + (net->sizes.taps - 1) * 2 * DN_LOW;
    net->base.memory = net->guide + (net->sizes.guided ? DN_FRAME : 0);
    net->base.guided = net->sizes.guided;
    net->base.batch = DN_BATCH;
}

/* A frame's spectrum and what there is to see of it. */
typedef struct {
    dn_spectrum X;
    float magnitude[DN_PADDED_BINS], inverse[DN_PADDED_BINS]; /* |X|^(1/3) and |X|^(-1/3), above a floor */
    float mean[DN_UPPER];                                     /* magnitude of an upper band */
} frame_view;

/* Makes the first DN_BAND_FEATURES of each band that f[DN_ENHANCER_BANDS][dn_seen_features] has room for, and all that
 * a view has beside the spectrum. Low: magnitude, real and imaginary part, compressed. Upper: mean and root mean square
 * of the magnitudes, and the mean difference of neighbouring bins, which is large where harmonics stand apart. */
static void make_features(const dn_enhancer *net, const dn_kernels *k, frame_view *v, float *f) {
    int count = dn_seen_features(&net->sizes);
    float of_bins[DN_PADDED_BINS], square[DN_UPPER], uneven[DN_UPPER];
    const float *m = v->magnitude;
    k->compress(v->magnitude, v->inverse, &v->X, floor_power, DN_PADDED_BINS);
    for (int i = 0; i < DN_LOW; i++, f += count) {
        float scale = v->inverse[i] * v->inverse[i];
        f[0] = m[i];
        f[1] = scale * v->X.re[i];
        f[2] = scale * v->X.im[i];
    }
    k->band_sums(v->mean, m, net->rise, net->edge, DN_UPPER - 1);
    for (int i = DN_LOW; i < DN_BINS; i++) of_bins[i] = m[i] * m[i];
    k->band_sums(square, of_bins, net->rise, net->edge, DN_UPPER - 1);
    for (int i = DN_LOW; i < DN_BINS; i++) of_bins[i] = fabsf(m[i] - m[i - 1]);
    k->band_sums(uneven, of_bins, net->rise, net->edge, DN_UPPER - 1);
    for (int b = 0; b < DN_UPPER; b++, f += count) {
        v->mean[b] *= net->share[b];
        f[0] = v->mean[b];
        f[1] = sqrtf(square[b] * net->share[b]);
        f[2] = uneven[b] * net->share[b];
    }
}

/* sum = the product of ahead and the conjugate of behind, and what it was where add. */
static void add_step(dn_spectrum *sum, const float *ahead_re, const float *ahead_im, const float *behind, int add) {
    const float *re = behind, *im = behind + DN_LOW;
    for (int i = 0; i < DN_LOW; i++) {
        float along = ahead_re[i] * re[i] + ahead_im[i] * im[i], across = ahead_im[i] * re[i] - ahead_re[i] * im[i];
        sum->re[i] = add ? sum->re[i] + along : along;
        sum->im[i] = add ? sum->im[i] + across : across;
    }
}

/* Turns the low bins of count frames before, past[count][2][DN_LOW], the latest first, on to this one, X, by what their
 * phases go from frame to frame in their mean; makes DN_TAP_FEATURES of the latest, in f[DN_ENHANCER_BANDS][seen];
 * moves past on. */
static void turn_past(const dn_spectrum *X, const dn_kernels *k, float *past, int count, float (*turned)[2][DN_LOW],
                      float *f, int seen) {
    float magnitude[DN_LOW], inverse[DN_LOW], re[DN_LOW], im[DN_LOW];
    const float *expected_re = turned[0][0], *expected_im = turned[0][1];
    dn_spectrum step;
    add_step(&step, X->re, X->im, past, 0);
    for (int t = 0; t + 1 < count; t++) {
        const float *ahead = past + t * 2 * DN_LOW;
        add_step(&step, ahead, ahead + DN_LOW, ahead + 2 * DN_LOW, 1);
    }
    for (int i = 0; i < DN_LOW; i++) {
        step.re[i] /= (float)count;
        step.im[i] /= (float)count;
    }
    k->compress(magnitude, inverse, &step, floor_square, DN_LOW);
    for (int i = 0; i < DN_LOW; i++) {
        float unit = inverse[i] * inverse[i] * inverse[i];
        re[i] = step.re[i] *= unit;
        im[i] = step.im[i] *= unit;
    }
    for (int t = 0; t < count; t++) {
        const float *from_re = past + t * 2 * DN_LOW, *from_im = from_re + DN_LOW;
        for (int i = 0; i < DN_LOW; i++) {
            float turn_re = re[i], turn_im = im[i];
            turned[t][0][i] = from_re[i] * turn_re - from_im[i] * turn_im;
            turned[t][1][i] = from_im[i] * turn_re + from_re[i] * turn_im;
            re[i] = turn_re * step.re[i] - turn_im * step.im[i];
            im[i] = turn_re * step.im[i] + turn_im * step.re[i];
        }
    }
    for (int i = 0; i < DN_LOW; i++) {
        f[seen * i + 2] = sqrtf(magnitude[i]);
        step.re[i] = X->re[i] * expected_re[i] + X->im[i] * expected_im[i];
        step.im[i] = X->im[i] * expected_re[i] - X->re[i] * expected_im[i];
    }
    k->compress(magnitude, inverse, &step, floor_square, DN_LOW);
    for (int i = 0; i < DN_LOW; i++) {
        float scale = inverse[i] * inverse[i] * sqrtf(inverse[i]);
        f[seen * i] = step.re[i] * scale;
        f[seen * i + 1] = step.im[i] * scale;
    }
    for (int b = DN_LOW; b < DN_ENHANCER_BANDS; b++) memset(f + seen * b, 0, DN_TAP_FEATURES * sizeof(*f));
    memmove(past + 2 * DN_LOW, past, (size_t)(count - 1) * 2 * DN_LOW * sizeof(*past));
    memcpy(past, X->re, DN_LOW * sizeof(*past));
    memcpy(past + DN_LOW, X->im, DN_LOW * sizeof(*past));
}

/* Adds the weighed low bins of the frames before to those of X. answers[DN_LOW][columns]: two of a mask, then two of
 * each frame, the latest first. */
static void add_past(dn_spectrum *X, float (*turned)[2][DN_LOW], const float *answers, int columns, int taps,
                     float share) {
    for (int tap = 1; tap < taps; tap++) {
        const float *re = turned[tap - 1][0], *im = turned[tap - 1][1], *weight = answers + 2 * tap;
        for (int i = 0; i < DN_LOW; i++, weight += columns) {
            float along = share * clamp(weight[0], most_tap), across = share * clamp(weight[1], most_tap);
            X->re[i] += re[i] * along - im[i] * across;
            X->im[i] += im[i] * along + re[i] * across;
        }
    }
}

/* Puts shares of the guide into the answer X, and the original's share of both. low[DN_LOW][low_columns] and
 * upper[DN_UPPER][8]: the guide's shares before their sigmoids. */
static void add_guide(const dn_enhancer *net, const dn_kernels *k, dn_spectrum *X, const dn_spectrum *guide,
                      const dn_spectrum *original, const float *low, int low_columns, const float *upper,
                      float min_gain) {
    float share[DN_PADDED_BINS], of_band[DN_UPPER];
    for (int b = 0; b < DN_UPPER; b++) of_band[b] = upper[8 * b];
    k->sigmoid(of_band, DN_UPPER);
    for (int i = DN_BINS; i < DN_PADDED_BINS; i++) share[i] = 0;
    k->band_spread(share, of_band, net->rise, net->edge, DN_UPPER - 1);
    for (int i = 0; i < DN_LOW; i++) share[i] = low[i * low_columns];
    k->sigmoid(share, DN_LOW);
    for (int i = 0; i < DN_BINS; i++) {
        float re = X->re[i] + share[i] * (guide->re[i] - X->re[i]);
        float im = X->im[i] + share[i] * (guide->im[i] - X->im[i]);
        X->re[i] = (1 - min_gain) * re + min_gain * original->re[i];
        X->im[i] = (1 - min_gain) * im + min_gain * original->im[i];
    }
}

/* Multiplies the low bins by masks: the answers' third power in magnitude, their phase as it is. answers[DN_LOW]
 * [columns]. */
static void mask_low(dn_spectrum *X, const float *answers, int columns, float min_gain) {
    for (int i = 0; i < DN_LOW; i++, answers += columns) {
        float re = clamp(answers[0], DN_ROWS_MOST), im = clamp(answers[1], DN_ROWS_MOST);
        float power = re * re + im * im, shrink = clamp(most_mask / sqrtf(power + 1e-12f), 1);
        float scale = (1 - min_gain) * power * (shrink * shrink * shrink), x_re = X->re[i], x_im = X->im[i];
        re = min_gain + scale * re;
        im *= scale;
        X->re[i] = re * x_re - im * x_im;
        X->im[i] = re * x_im + im * x_re;
    }
}

/* Turns the upper bins down. answers[DN_UPPER][8]: a gain and a noise level before their sigmoids, the level in units
 * of twice the band's mean magnitude. */
static void mask_upper(const dn_enhancer *net, const dn_kernels *k, frame_view *v, const float *answers,
                       float min_gain) {
    float of_band[2 * DN_UPPER], gain[DN_PADDED_BINS], level[DN_PADDED_BINS];
    for (int b = 0; b < DN_UPPER; b++) {
        of_band[b] = answers[8 * b];
        of_band[DN_UPPER + b] = answers[8 * b + 1];
    }
    k->sigmoid(of_band, 2 * DN_UPPER);
    for (int b = 0; b < DN_UPPER; b++) of_band[DN_UPPER + b] *= 2 * v->mean[b];
    for (int i = DN_BINS; i < DN_PADDED_BINS; i++) gain[i] = level[i] = 0;
    k->band_spread(gain, of_band, net->rise, net->edge, DN_UPPER - 1);
    k->band_spread(level, of_band + DN_UPPER, net->rise, net->edge, DN_UPPER - 1);
    k->shape_gains(gain + DN_LOW, v->magnitude + DN_LOW, level + DN_LOW, min_gain, DN_PADDED_BINS - DN_LOW);
    for (int i = 0; i < DN_LOW; i++) gain[i] = 1;
    k->scale(&v->X, gain, DN_PADDED_BINS);
}

/* The mean of bands of hidden, each width values. */
static void mean_of(const float *hidden, int bands, int width, float *mean) {
    float sum[DN_MAX_WIDTH] = {0};
    for (int b = 0; b < bands; b++, hidden += width) {
        for (int i = 0; i < width; i++) sum[i] += hidden[i];
    }
    for (int i = 0; i < width; i++) mean[i] = sum[i] / (float)bands;
}

static float find_voice(const dn_enhancer *net, const dn_kernels *k, const float *hidden) {
    enum { PADDED = (DN_VOICE_UNITS + 7) / 8 * 8 };
    int width = net->sizes.width;
    float pooled[2 * DN_MAX_WIDTH], units[PADDED], share[PADDED], voice[8];
    mean_of(hidden, DN_LOW, width, pooled);
    mean_of(hidden + DN_LOW * width, DN_UPPER, width, pooled + width);
    dn_dense_run(&net->voice_hidden, k, pooled, 0, units, 0, 1, 0);
    memcpy(share, units, sizeof(share));
    k->sigmoid(share, PADDED);
    for (int i = 0; i < PADDED; i++) units[i] *= share[i];
    dn_dense_run(&net->voice_output, k, units, 0, voice, 0, 1, 0);
    k->sigmoid(voice, 8);
    return voice[0];
}

/* The spectrum of the hop in[DN_FRAME] and the one before it, which is kept, under the window. What a guide has beyond
 * DN_LIMIT is cut off. */
static void analyse(const dn_enhancer *net, const dn_kernels *k, float *before, const float *in, dn_spectrum *X) {
    float samples[DN_WINDOW];
    memcpy(samples, before, DN_FRAME * sizeof(*samples));
    for (int i = 0; i < DN_FRAME; i++) {
        float x = clamp(in[i], DN_LIMIT);
        samples[DN_FRAME + i] = fabsf(x) < FLT_MIN ? 0 : x; /* or it is kept */
    }
    memcpy(before, samples + DN_FRAME, DN_FRAME * sizeof(*samples));
    k->fft(&net->fft, net->analysis, samples, X);
}

/* The samples that a spectrum completes; what it leaves is kept. */
static void synthesise(const dn_enhancer *net, const dn_kernels *k, const dn_spectrum *X, float *pending, float *out) {
    float samples[DN_WINDOW];
    k->ifft(&net->fft, net->synthesis, X, samples);
    for (int i = 0; i < DN_FRAME; i++) out[i] = pending[i] + samples[i];
    memcpy(pending, samples + DN_FRAME, DN_FRAME * sizeof(*samples));
}

float dn_enhancer_run(const dn_network *base, const dn_kernels *k, float *memory, const float *in, const float *guide,
                      float *out, float min_gain) {
    const dn_enhancer *net = (const dn_enhancer *)base;
    const dn_body_sizes *s = &net->sizes;
    int width = s->width, columns = dn_round_up_8(2 * s->taps + s->guided), seen = dn_seen_features(s);
    frame_view v, guiding;
    dn_spectrum original;
    float features[DN_ENHANCER_BANDS * DN_MAX_SEEN], hidden[DN_ENHANCER_BANDS * DN_MAX_WIDTH];
    float turned[DN_MAX_TAPS - 1][2][DN_LOW]; /* the low bins of the frames before, turned on to this one */
    float low[(2 * DN_MAX_TAPS + 8) * DN_LOW], upper[8 * DN_UPPER];
    float kept = s->guided ? 0 : min_gain; /* of the original in the masks; beside a guide it comes last */
    analyse(net, k, memory + RECENT, in, &v.X);
    make_features(net, k, &v, features);
    if (s->taps > 1) turn_past(&v.X, k, memory + net->past, s->taps - 1, turned, features + DN_BAND_FEATURES, seen);
    if (s->guided) {
        analyse(net, k, memory + net->guide, guide, &guiding.X);
        make_features(net, k, &guiding, features + seen - DN_BAND_FEATURES);
        original = v.X;
    }
    net->body->run(net, k, memory + BODY, features, hidden);
    dn_dense_run(&net->upper_head, k, hidden + DN_LOW * width, width, upper, 8, DN_UPPER, 0);
    mask_upper(net, k, &v, upper, kept);
    dn_dense_run(&net->low_head, k, hidden, width, low, columns, DN_LOW, 0);
    mask_low(&v.X, low, columns, kept);
    add_past(&v.X, turned, low, columns, s->taps, 1 - kept);
    if (s->guided) {
        add_guide(net, k, &v.X, &guiding.X, &original, low + 2 * s->taps, columns, upper + 2, min_gain);
    }
    synthesise(net, k, &v.X, memory + PENDING, out);
    return find_voice(net, k, hidden);
}
