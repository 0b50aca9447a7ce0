/* The body of kind 'mixed': rows of bands with light memories along time, depthwise convolutions over time and rows,
 * and narrow attention. Rows lie one behind the other, each its channels. */
#include <string.h>

#include "enhancer_parts.h"

enum { TIMES = 3, TAPS = 5, MARGIN = TAPS / 2 };

static int larger(int a, int b) {
    return a > b ? a : b;
}

static int stride_of(const dn_body_sizes *s) {
    return DN_ENHANCER_BANDS / s->rows;
}

static int frame_size(const dn_body_sizes *s) {
    return dn_padded_features(dn_seen_features(s), stride_of(s));
}

/* Floats of a frame of rows with the rows beyond either end that a filter sees. */
static int rows_size(const dn_body_sizes *s) {
    return (s->rows + 2 * MARGIN) * s->channels;
}

/* A head's channels may end within a vector, so a row of what attention makes has room for one more. */
static int mixed_row(const dn_body_sizes *s) {
    return s->channels + 8;
}

/* Floats that attention works with: queries and keys, the queries of a head transposed, its scores, what it makes. */
static int attention_size(const dn_body_sizes *s) {
    return s->rows * (2 * s->heads * DN_KEYS + DN_KEYS + s->rows + mixed_row(s)) + 8;
}

static int work_size(const dn_body_sizes *s) {
    int gates = s->rows * 2 * s->units, spread = s->rows * 2 * stride_of(s) * s->width;
    return larger(larger(gates, spread), larger(attention_size(s), frame_size(s)));
}

static int mixed_memory(const dn_body_sizes *s) {
    return (DN_FIRST_TIMES - 1) * frame_size(s) + s->blocks * (s->rows * s->units + (TIMES - 1) * rows_size(s));
}

static int mixed_room(const dn_body_sizes *s) {
    return 3 * s->rows * s->channels + 8 + rows_size(s) + work_size(s);
}

/* The arrays of one hop. */
typedef struct {
    const dn_body_sizes *s;
    const dn_kernels *k;
    float *x;    /* [rows][channels], and a vector that is read and not used */
    float *y;    /* [rows][channels] */
    float *now;  /* [MARGIN + rows + MARGIN][channels]: the frame that a filter sees, zeros at both ends */
    float *work; /* [work_size] */
} hop;

static void run_dense(const hop *h, const dn_dense *d, const float *x, float *y, int add) {
    dn_dense_run(d, h->k, x, d->inputs, y, d->columns, h->s->rows, add);
}

/* x += leave(bend(filter(bend(enter(x))))); past is moved on. */
static void run_filter(const hop *h, const dn_mixed_block *b, float *past) {
    const dn_body_sizes *s = h->s;
    int count = s->rows * s->channels, size = rows_size(s);
    const float *const times[TIMES] = {past, past + size, h->now};
    float *newest = h->now + MARGIN * s->channels;
    run_dense(h, &b->enter, h->x, newest, 0);
    h->k->hard_swish(newest, count);
    const dn_filter filter = {b->filter.w, b->filter.bias, TIMES, TAPS, s->channels};
    dn_filter_run(&filter, h->k, times, 1, h->y, s->rows);
    memcpy(past, past + size, (size_t)size * sizeof(*past));
    memcpy(past + size, h->now, (size_t)size * sizeof(*past));
    h->k->hard_swish(h->y, count);
    run_dense(h, &b->leave, h->y, h->x, 1);
}

/* x += after(attention(x)). */
static void run_attention(const hop *h, const dn_mixed_block *b) {
    const dn_body_sizes *s = h->s;
    int wide = 2 * s->heads * DN_KEYS;
    float *joined = h->work, *work = joined + s->rows * wide, *mixed = work + s->rows * (DN_KEYS + s->rows);
    run_dense(h, &b->queries, h->x, joined, 0);
    const dn_attention attention = {.rows = s->rows,
                                    .heads = s->heads,
                                    .depth = DN_KEYS,
                                    .channels = s->channels / s->heads,
                                    .queries = joined,
                                    .keys = joined + wide / 2,
                                    .joined_row = wide,
                                    .values = h->x,
                                    .values_row = s->channels,
                                    .y = mixed,
                                    .y_row = mixed_row(s),
                                    .work = work};
    dn_attention_run(&attention, h->k);
    dn_dense_run(&b->after_attention, h->k, mixed, mixed_row(s), h->x, s->channels, s->rows, 1);
}

static void mixed_run(const dn_enhancer *net, const dn_kernels *k, float *memory, const float *features,
                      float *hidden) {
    const dn_body_sizes *s = &net->sizes;
    const dn_mixed *body = &net->mixed;
    int count = s->rows * s->channels;
    float room[DN_BODY_ROOM];
    hop h = {.s = s, .k = k, .x = room, .y = room + count + 8};
    float *skip = h.y + count;
    h.now = skip + count;
    h.work = h.now + rows_size(s);
    memset(h.x + count, 0, 8 * sizeof(*room));
    memset(h.now, 0, (size_t)rows_size(s) * sizeof(*room));
    dn_first_run(&body->first, k, memory, features, dn_seen_features(s), stride_of(s), h.work, h.y);
    memory += (DN_FIRST_TIMES - 1) * frame_size(s);
    k->hard_swish(h.y, count);
    memcpy(h.x, h.y, (size_t)count * sizeof(*room));
    memcpy(skip, h.y, (size_t)count * sizeof(*room));
    for (int i = 0; i < s->blocks; i++) {
        const dn_mixed_block *b = &body->block[i];
        run_dense(&h, &b->memory, h.x, h.work, 0);
        k->blend(memory, h.work, s->units, s->rows);
        run_dense(&h, &b->after_memory, memory, h.x, 1);
        memory += s->rows * s->units;
        run_filter(&h, b, memory);
        memory += (TIMES - 1) * rows_size(s);
        if (b->queries.w) run_attention(&h, b);
    }
    run_dense(&h, &body->join, h.x, h.y, 0);
    run_dense(&h, &body->join_skip, skip, h.y, 1);
    k->hard_swish(h.y, count);
    run_dense(&h, &body->last, h.y, h.work, 0);
    dn_spread_answers(h.work, body->last_bias, stride_of(s), s->width, hidden);
}

const dn_body dn_mixed_body = {.name = "mixed", .memory = mixed_memory, .room = mixed_room, .run = mixed_run};
