#include "enhancer_parts.h"

#include <string.h>

static void run_shorts(const dn_dense *d, const dn_kernels *k, const float *x, int x_row, float *y, int y_row, int rows,
                       int add) {
    int32_t steps[DN_BODY_ROOM / 2]; /* all of x lies in a body's room or in its memory, which is no larger */
    const dn_shorts map = {.x = steps,
                           .x_row = x_row / 2,
                           .x_step = 1,
                           .w = d->shorts,
                           .w_row = d->columns,
                           .unit = d->unit,
                           .size = k->step_shorts(steps, x, x_row, d->inputs, rows),
                           .bias = d->bias,
                           .bias_row = d->bias_row,
                           .y = y,
                           .y_row = y_row,
                           .inputs = d->inputs / 2,
                           .columns = d->columns,
                           .rows = rows,
                           .add = add};
    k->map_shorts(&map);
}

void dn_dense_run(const dn_dense *d, const dn_kernels *k, const float *x, int x_row, float *y, int y_row, int rows,
                  int add) {
    if (d->shorts && k->map_shorts) {
        run_shorts(d, k, x, x_row, y, y_row, rows, add);
        return;
    }
    const dn_rows map = {.x = x,
                         .x_row = x_row,
                         .x_step = 1,
                         .w = d->w,
                         .w_row = d->columns,
                         .bias = d->bias,
                         .bias_row = d->bias_row,
                         .y = y,
                         .y_row = y_row,
                         .inputs = d->inputs,
                         .columns = d->columns,
                         .rows = rows,
                         .add = add};
    k->map_rows(&map);
}

void dn_add(float *x, const float *y, int n) {
    for (int i = 0; i < n; i++) x[i] += y[i];
}

void dn_bend_run(const dn_bend *b, const dn_kernels *k, float *x, int rows, int channels) {
    k->bend_places(x, b->scale, b->offset, b->slope, rows, channels);
}

void dn_filter_run(const dn_filter *f, const dn_kernels *k, const float *const *x, int step, float *y, int rows) {
    const dn_places places = {.x = x,
                              .x_row = step * f->channels,
                              .x_tap = f->channels,
                              .w = f->w,
                              .bias = f->bias,
                              .w_time = f->taps * f->channels,
                              .w_tap = f->channels,
                              .y = y,
                              .y_row = f->channels,
                              .times = f->times,
                              .taps = f->taps,
                              .rows = rows,
                              .channels = f->channels};
    k->filter_places(&places);
}

void dn_pad_features(const float *features, int count, int stride, float *frame) {
    int margin = stride / 2 * count, size = DN_ENHANCER_BANDS * count;
    memset(frame, 0, (size_t)margin * sizeof(*frame));
    memcpy(frame + margin, features, (size_t)size * sizeof(*frame));
    memset(frame + margin + size, 0, (size_t)margin * sizeof(*frame));
}

void dn_first_run(const dn_dense *first, const dn_kernels *k, float *past, const float *features, int count, int stride,
                  float *work, float *y) {
    int size = dn_padded_features(count, stride);
    dn_pad_features(features, count, stride, work);
    const float *const times[DN_FIRST_TIMES] = {past, past + size, work};
    dn_dense part = *first;
    part.inputs = first->inputs / DN_FIRST_TIMES;
    for (int t = 0; t < DN_FIRST_TIMES; t++, part.w += part.inputs * part.columns) {
        dn_dense_run(&part, k, times[t], stride * count, y, part.columns, DN_ENHANCER_BANDS / stride, t > 0);
        part.bias = NULL; /* once is enough */
    }
    memmove(past, past + size, (size_t)size * sizeof(*past));
    memcpy(past + size, work, (size_t)size * sizeof(*past));
}

void dn_row_gru_run(const dn_row_gru *g, const dn_kernels *k, float *x, float *h, int units, int rows, float *work) {
    int wide = 3 * units;
    float *from_h = work + rows * wide;
    dn_dense_run(&g->input, k, x, units, work, wide, rows, 0);
    dn_dense_run(&g->recurrent, k, h, units, from_h, wide, rows, 0);
    k->gru(h, work, from_h, units, rows);
    dn_dense_run(&g->after, k, h, units, x, units, rows, 1);
}

void dn_time_attention_run(const dn_time_attention *a, const dn_kernels *k, float *memory, const float *power,
                           float *gain) {
    float from_x[3 * DN_MAX_CHANNELS], from_h[3 * DN_MAX_CHANNELS];
    int columns = 3 * a->padded, channels = dn_round_up_8(a->channels);
    memcpy(from_x, a->input_bias, (size_t)columns * sizeof(*from_x));
    memcpy(from_h, a->recurrent_bias, (size_t)columns * sizeof(*from_h));
    memcpy(gain, a->map_bias, (size_t)channels * sizeof(*gain));
    k->matvec_add(from_x, a->input, power, a->channels, columns);
    k->matvec_add(from_h, a->recurrent, memory, a->units, columns);
    k->gru(memory, from_x, from_h, a->padded, 1);
    k->matvec_add(gain, a->map, memory, a->units, channels);
    k->sigmoid(gain, channels);
}

/* Scores lie with the rows that are looked at one below the other, so that each row that looks is a column. */
void dn_attention_run(const dn_attention *a, const dn_kernels *k) {
    float *queries = a->work, *scores = queries + a->rows * a->depth;
    for (int head = 0; head < a->heads; head++) {
        const float *query = a->queries + head * a->depth;
        for (int row = 0; row < a->rows; row++, query += a->joined_row) {
            for (int i = 0; i < a->depth; i++) queries[i * a->rows + row] = query[i];
        }
        const dn_rows compare = {.x = a->keys + head * a->depth,
                                 .x_row = a->joined_row,
                                 .x_step = 1,
                                 .w = queries,
                                 .w_row = a->rows,
                                 .y = scores,
                                 .y_row = a->rows,
                                 .inputs = a->depth,
                                 .columns = a->rows,
                                 .rows = a->rows};
        k->map_rows(&compare);
        k->softmax_columns(scores, a->rows, a->rows);
        const dn_rows mix = {.x = scores,
                             .x_row = 1,
                             .x_step = a->rows,
                             .w = a->values + head * a->channels,
                             .w_row = a->values_row,
                             .y = a->y + head * a->channels, /* what is beyond its own channels is the next head's */
                             .y_row = a->y_row,
                             .inputs = a->rows,
                             .columns = dn_round_up_8(a->channels),
                             .rows = a->rows};
        k->map_rows(&mix);
    }
}

/* Each answer reaches half over the one before and half over the next, and the outer quarters are cut off. */
void dn_spread_answers(const float *answers, const float *bias, int stride, int width, float *hidden) {
    int rows = DN_ENHANCER_BANDS / stride, half = stride * width, cut = half / 2;
    for (int row = 0; row <= rows; row++) { /* where the second half of the one before meets the first of this one */
        const float *here = answers + 2 * row * half, *before = row ? here - half : NULL;
        int from = row ? 0 : cut, to = row < rows ? half : half - cut;
        for (int at = from; at < to; at += width, hidden += width) {
            for (int i = 0; i < width; i++) {
                float sum = before ? bias[i] + before[at + i] : bias[i];
                hidden[i] = row < rows ? sum + here[at + i] : sum;
            }
        }
    }
}
