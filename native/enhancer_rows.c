/* The body of kind 'rows': convolutions over groups of bands around a few rows, each with a GRU along time, which look
 * at each other. Rows and groups lie one behind the other, each its channels. */
#include <string.h>

#include "enhancer_parts.h"

enum { GROUPS = DN_ENHANCER_BANDS / DN_GROUP, TAPS = 3 };

static int larger(int a, int b) {
    return a > b ? a : b;
}

/* Floats of all groups with one of zeros at either end, which a convolution sees. */
static int groups_size(const dn_body_sizes *s) {
    return (1 + GROUPS + 1) * s->channels;
}

/* Floats that attention works with: queries, keys and values, those of dn_attention, what it makes. */
static int attention_size(const dn_body_sizes *s) {
    return s->rows * (3 * s->units + s->units / s->heads + s->rows + s->units + 8) + 8;
}

static int work_size(const dn_body_sizes *s) {
    int gates = 2 * s->rows * 3 * s->units, spread = GROUPS * 2 * DN_GROUP * s->width;
    return larger(larger(gates, spread), larger(attention_size(s), dn_padded_features(dn_seen_features(s), DN_GROUP)));
}

static int rows_memory(const dn_body_sizes *s) {
    return s->blocks * s->rows * s->units;
}

static int rows_room(const dn_body_sizes *s) {
    return (s->convolutions + 3) * groups_size(s) + s->rows * (s->channels + s->units) + work_size(s);
}

/* y[count][outputs] = d of windows of x[1 + count + 1][inputs], each of three groups; then bent. */
static void convolve(const dn_dense *d, const dn_kernels *k, const float *x, int inputs, float *y) {
    dn_dense_run(d, k, x, inputs, y, d->columns, GROUPS, 0);
    k->hard_swish(y, GROUPS * d->columns);
}

/* y[outputs][channels] = w[outputs][inputs] x[inputs][channels] */
static void regrid(const dn_dense *w, const dn_kernels *k, const float *x, int channels, int outputs, float *y) {
    const dn_rows map = {.x = w->w,
                         .x_row = w->columns,
                         .x_step = 1,
                         .w = x,
                         .w_row = channels,
                         .y = y,
                         .y_row = channels,
                         .inputs = w->columns,
                         .columns = channels,
                         .rows = outputs};
    k->map_rows(&map);
}

/* x += after(gru(x)); x += after(attention(x)). x [rows][units]; h, the GRU's state, is moved on. */
static void run_block(const dn_row_block *b, const dn_body_sizes *s, const dn_kernels *k, float *x, float *h,
                      float *work) {
    int rows = s->rows, units = s->units, wide = 3 * units, depth = units / s->heads, mixed_row = units + 8;
    dn_row_gru_run(&b->gru, k, x, h, units, rows, work);
    float *beside = work + rows * wide + 8, *mixed = beside + rows * (depth + rows);
    memset(work + rows * wide, 0, 8 * sizeof(*work));
    dn_dense_run(&b->queries, k, x, units, work, wide, rows, 0);
    const dn_attention attention = {.rows = rows,
                                    .heads = s->heads,
                                    .depth = depth,
                                    .channels = depth,
                                    .queries = work,
                                    .keys = work + units,
                                    .joined_row = wide,
                                    .values = work + 2 * units,
                                    .values_row = wide,
                                    .y = mixed,
                                    .y_row = mixed_row,
                                    .work = beside};
    dn_attention_run(&attention, k);
    dn_dense_run(&b->after_attention, k, mixed, mixed_row, x, units, rows, 1);
}

static void rows_run(const dn_enhancer *net, const dn_kernels *k, float *memory, const float *features, float *hidden) {
    const dn_body_sizes *s = &net->sizes;
    const dn_row_body *body = &net->rows;
    int channels = s->channels, size = groups_size(s), depth = s->convolutions;
    float room[DN_BODY_ROOM];
    float *skip = room, *x = skip + (depth + 1) * size, *y = x + size, *few = y + size;
    float *row = few + s->rows * channels, *work = row + s->rows * s->units;
    memset(room, 0, (size_t)((depth + 3) * size) * sizeof(*room)); /* the groups of zeros among them */
    dn_pad_features(features, dn_seen_features(s), DN_GROUP, work);
    convolve(&body->first, k, work, DN_GROUP * dn_seen_features(s), skip + channels);
    for (int i = 0; i < depth; i++) {
        convolve(&body->encoder[i], k, skip + i * size, channels, skip + (i + 1) * size + channels);
    }
    regrid(&body->gather, k, skip + depth * size + channels, channels, s->rows, few);
    dn_dense_run(&body->narrow, k, few, channels, row, s->units, s->rows, 0);
    for (int i = 0; i < s->blocks; i++, memory += s->rows * s->units) {
        run_block(&body->block[i], s, k, row, memory, work);
    }
    dn_dense_run(&body->widen, k, row, s->units, few, channels, s->rows, 0);
    regrid(&body->spread, k, few, channels, GROUPS, x + channels);
    for (int i = 0; i <= depth; i++) {
        float *joined = y + channels;
        dn_dense_run(&body->join[i], k, x + channels, channels, joined, channels, GROUPS, 0);
        dn_dense_run(&body->join_skip[i], k, skip + (depth - i) * size + channels, channels, joined, channels, GROUPS,
                     1);
        k->hard_swish(joined, GROUPS * channels);
        if (i < depth) convolve(&body->decoder[i], k, y, channels, x + channels);
    }
    dn_dense_run(&body->last, k, y + channels, channels, work, body->last.columns, GROUPS, 0);
    dn_spread_answers(work, body->last_bias, DN_GROUP, s->width, hidden);
}

const dn_body dn_rows_body = {.name = "rows", .memory = rows_memory, .room = rows_room, .run = rows_run};
