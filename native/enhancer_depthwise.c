/* The body of kind 'depthwise': depthwise convolutions over time and bands around GRUs along rows and along time, and
 * gains of channels that follow the power. Shuffles of channels and groups of maps are in the order of the weights,
 * norms in the weights. Bands lie one behind the other, each its channels. */
#include <string.h>

#include "enhancer_parts.h"

enum { FIRST_STRIDE = 2, LAST_TAPS = 3 };

/* A block: channels, bands, taps of its filter. */
typedef struct {
    int inputs, outputs, before, after, times, taps;
} shape;

static int larger(int a, int b) {
    return a > b ? a : b;
}

static int halvings(const dn_body_sizes *s) {
    int count = 0;
    while (s->rows << count < DN_ENHANCER_BANDS) count++;
    return count;
}

static int bands_after(int halving) {
    return DN_ENHANCER_BANDS >> (halving + 1);
}

/* Channels of a band, in whole vectors. */
static int channels_after(const dn_body_sizes *s, int halving) {
    return halving ? s->channels : dn_round_up_8(s->channels / 2);
}

static shape halving_shape(const dn_body_sizes *s, int i) {
    return (shape){channels_after(s, i), s->channels, bands_after(i), bands_after(i + 1), 2, 3};
}

static shape row_shape(const dn_body_sizes *s) {
    return (shape){s->channels, s->channels, s->rows, s->rows, 3, 5};
}

/* Floats of a frame that a filter sees, with what is beyond its ends. */
static int frame_size(shape b) {
    return (b.before + 2 * (b.taps / 2)) * b.outputs;
}

static int block_memory(shape b) {
    return (b.times - 1) * frame_size(b) + b.outputs;
}

static int block_work(shape b) {
    return frame_size(b) + b.after * b.outputs;
}

static int half_units(const dn_body_sizes *s) {
    return dn_round_up_8(s->units / 2);
}

static int path_work(const dn_body_sizes *s) {
    return s->rows * larger(2 * 3 * s->units, (2 * 3 + 2) * half_units(s));
}

static int depthwise_memory(const dn_body_sizes *s) {
    int sum = (DN_FIRST_TIMES - 1) * dn_padded_features(dn_seen_features(s), FIRST_STRIDE);
    for (int i = 0; i + 1 < halvings(s); i++) sum += block_memory(halving_shape(s, i));
    return sum + 2 * s->convolutions * block_memory(row_shape(s)) + s->blocks * s->rows * s->units;
}

static int skips_size(const dn_body_sizes *s) {
    int sum = s->convolutions * s->rows * s->channels;
    for (int i = 0; i < halvings(s); i++) sum += bands_after(i) * channels_after(s, i);
    return sum;
}

/* Floats of x, what a decoder works on. */
static int x_size(const dn_body_sizes *s) {
    int most = s->rows * s->channels;
    for (int i = 0; i < halvings(s); i++) most = larger(most, bands_after(i) * channels_after(s, i));
    return most;
}

/* Floats of all that is worked with at a time: x and another as large, a block, the last map, or the rows and a path.
 */
static int work_size(const dn_body_sizes *s) {
    int rows = s->rows * s->units, x = x_size(s);
    int most = larger(dn_padded_features(dn_seen_features(s), FIRST_STRIDE), x + larger(rows, x));
    int wide = bands_after(0), last = wide + LAST_TAPS - 1;
    for (int i = 0; i + 1 < halvings(s); i++) most = larger(most, block_work(halving_shape(s, i)));
    most = larger(most, x + last * channels_after(s, 0) + wide * dn_round_up_8(2 * s->width));
    return larger(larger(most, x + block_work(row_shape(s))), rows + path_work(s));
}

static int depthwise_room(const dn_body_sizes *s) {
    return skips_size(s) + work_size(s);
}

/* x[before][inputs] to y[after][outputs], and add to that if it is not NULL, which y may be. Returns what is behind the
 * block's memory. */
static float *run_block(const dn_depthwise_block *b, const dn_kernels *k, shape s, float *memory, const float *x,
                        const float *add, float *y, float *work) {
    int width = s.outputs, margin = s.taps / 2 * width, size = frame_size(s), kept = s.times - 2;
    float *power = memory + (s.times - 1) * size, *now = work, *made = work + size, *middle = now + margin, *left = now;
    float mean[DN_MAX_CHANNELS], gain[DN_MAX_CHANNELS], of_bands[DN_ENHANCER_BANDS];
    const float *const frames[] = {memory, kept ? memory + size : now, now};
    const dn_filter filter = {b->filter, b->filter_bias, s.times, s.taps, width};
    memset(now, 0, (size_t)margin * sizeof(*now));
    memset(now + size - margin, 0, (size_t)margin * sizeof(*now));
    dn_dense_run(&b->enter, k, x, s.inputs, middle, width, s.before, 0);
    dn_bend_run(&b->bend_first, k, middle, s.before, width);
    dn_filter_run(&filter, k, frames, s.before / s.after, made, s.after);
    memmove(memory, memory + size, (size_t)(kept * size) * sizeof(*memory));
    memcpy(memory + kept * size, now, (size_t)size * sizeof(*memory));
    dn_bend_run(&b->bend, k, made, s.after, width);
    dn_dense_run(&b->leave, k, made, width, left, width, s.after, 0);
    k->power_places(mean, of_bands, left, s.after, width);
    dn_time_attention_run(&b->time, k, power, mean, gain);
    k->gain_places(y, left, gain, NULL, add, s.after, width);
    return power + width;
}

/* x += after(grus along rows(x)); x += after(gru along time(x)). x [rows][units]; h is moved on. */
static void run_path(const dn_dual_path *p, const dn_kernels *k, const dn_body_sizes *s, float *x, float *h,
                     float *work) {
    int rows = s->rows, units = s->units, half = half_units(s), wide = 2 * 3 * half;
    float *made = work + rows * wide;
    dn_dense_run(&p->along_rows, k, x, units, work, wide, rows, 0);
    k->gru_lines(made, work, p->rows_recurrent, p->rows_bias, units / 2, half, rows);
    dn_dense_run(&p->after_up, k, made, 2 * half, x, units, rows, 1);
    dn_dense_run(&p->after_down, k, made + half, 2 * half, x, units, rows, 1);
    dn_row_gru_run(&p->along_time, k, x, h, units, rows, work);
}

/* x[bands][channels] to hidden[2 * bands][width]. */
static void run_last(const dn_depthwise *body, const dn_kernels *k, const dn_body_sizes *s, const float *x,
                     float *hidden, float *work) {
    int bands = bands_after(0), channels = channels_after(s, 0), both = 2 * s->width;
    float *padded = work, *answers = work + (bands + LAST_TAPS - 1) * channels;
    dn_dense tap = body->last;
    tap.inputs = s->channels / 2;
    memset(padded, 0, (size_t)channels * sizeof(*padded));
    memcpy(padded + channels, x, (size_t)(bands * channels) * sizeof(*padded));
    memset(padded + (bands + 1) * channels, 0, (size_t)channels * sizeof(*padded));
    for (int i = 0; i < LAST_TAPS; i++, tap.w += tap.inputs * tap.columns) {
        dn_dense_run(&tap, k, padded + i * channels, channels, answers, tap.columns, bands, i > 0);
        tap.bias = NULL;
    }
    for (int band = 0; band < bands; band++, hidden += both, answers += tap.columns) {
        memcpy(hidden, answers, (size_t)both * sizeof(*hidden));
    }
}

static void depthwise_run(const dn_enhancer *net, const dn_kernels *k, float *memory, const float *features,
                          float *hidden) {
    const dn_body_sizes *s = &net->sizes;
    const dn_depthwise *body = &net->depthwise;
    const shape in_rows = row_shape(s);
    int count = s->rows * s->channels, depth = halvings(s);
    float room[DN_BODY_ROOM], *skip = room, *x = room + skips_size(s), *work = x + x_size(s);
    dn_first_run(&body->first, k, memory, features, dn_seen_features(s), FIRST_STRIDE, x, skip);
    dn_bend_run(&body->first_bend, k, skip, bands_after(0), channels_after(s, 0));
    memory += (DN_FIRST_TIMES - 1) * dn_padded_features(dn_seen_features(s), FIRST_STRIDE);
    for (int i = 0; i + 1 < depth; i++) {
        float *next = skip + bands_after(i) * channels_after(s, i);
        memory = run_block(&body->halving[i], k, halving_shape(s, i), memory, skip, NULL, next, x);
        skip = next;
    }
    for (int i = 0; i < s->convolutions; i++, skip += count) {
        memory = run_block(&body->encoder[i], k, in_rows, memory, skip, skip, skip + count, x);
    }
    float *row = x + work_size(s) - s->rows * s->units; /* behind all that a path and x take */
    dn_dense_run(&body->narrow, k, skip, s->channels, row, s->units, s->rows, 0);
    for (int i = 0; i < s->blocks; i++, memory += s->rows * s->units) {
        run_path(&body->path[i], k, s, row, memory, x);
    }
    dn_dense_run(&body->widen, k, row, s->units, x, s->channels, s->rows, 0);
    for (int i = 0; i < s->convolutions; i++, skip -= count) {
        dn_add(x, skip, count);
        memory = run_block(&body->decoder[i], k, in_rows, memory, x, x, x, work);
    }
    for (int i = depth - 2; i >= 0; i--) {
        int bands = bands_after(i), channels = channels_after(s, i), wide = 2 * channels;
        dn_add(x, skip, bands_after(i + 1) * s->channels);
        dn_dense_run(&body->doubling[i], k, x, s->channels, work, wide, bands / 2, 0);
        dn_bend_run(&body->doubling_bend[i], k, work, bands, channels);
        memcpy(x, work, (size_t)(bands * channels) * sizeof(*x));
        skip -= bands * channels;
    }
    dn_add(x, skip, bands_after(0) * channels_after(s, 0));
    run_last(body, k, s, x, hidden, work);
}

const dn_body dn_depthwise_body = {
    .name = "depthwise", .memory = depthwise_memory, .room = depthwise_room, .run = depthwise_run};
