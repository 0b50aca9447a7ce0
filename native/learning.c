/* The enhancer's body of kind 'rows' while it learns: forward, with all kept that its slopes need, and backward, frame
 * by frame, so that what a frame works with stays in the processor's cache. A slope is the derivative of a loss by a
 * number, and lies where that number does. All matrices are [inputs][outputs]; their products, those of the way back
 * too, are maps of rows. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "denoise.h"
#include "fpmode.h"
#include "kernels/table.h"

enum {
    GROUP = 4,          /* bands that the first convolution makes one of */
    WINDOW = 2 * GROUP, /* bands that it sees, and that the last one writes to */
    MARGIN = GROUP / 2, /* of them beyond either end */
    TAPS = 3,
    MOST_SIZE = 1 << 10, /* of any one size but clips and frames, so that no product of them overflows */
    MOST_DEPTH = 8,      /* convolutions, and blocks */
};

/* Where a matrix and what is added to its answer lie among the weights. */
typedef struct {
    size_t matrix, bias;
} place;

typedef struct {
    place input, state, after_gru, queries, after_attention; /* after_gru adds numbers of each row's own */
} block_weights;

typedef struct {
    place first, encoder[MOST_DEPTH], gather, narrow, widen, spread, join[MOST_DEPTH + 1], decoder[MOST_DEPTH], last;
    block_weights block[MOST_DEPTH];
    size_t size;
} weights_of;

/* Where what is kept of a frame lies: what convolutions gave before they were bent, and what each block worked with. */
typedef struct {
    size_t input, gates, inner, h, middle, joined, shares, mixed;
} block_kept;

typedef struct {
    size_t skip[MOST_DEPTH + 1], few, widened, rows_out, spread, join[MOST_DEPTH + 1], decoder[MOST_DEPTH];
    block_kept block[MOST_DEPTH];
    size_t size;
} kept_of;

typedef struct {
    dn_rows_sizes s;
    const dn_kernels *k;
    int groups, wide, depth; /* wide: 3 units; depth: channels of a head */
    weights_of at;
    kept_of kept;
} body;

static size_t take(size_t *next, int count) {
    size_t before = *next;
    *next += (size_t)count;
    return before;
}

static place take_map(size_t *next, int inputs, int outputs, int biases) {
    place taken = {take(next, inputs * outputs), 0};
    taken.bias = take(next, biases);
    return taken;
}

static void place_weights(body *b) {
    const dn_rows_sizes *s = &b->s;
    const int c = s->channels, u = s->units;
    weights_of *at = &b->at;
    size_t next = 0;
    at->first = take_map(&next, WINDOW * s->features, c, c);
    for (int i = 0; i < s->convolutions; i++) at->encoder[i] = take_map(&next, TAPS * c, c, c);
    at->gather = take_map(&next, s->rows, b->groups, 0);
    at->narrow = take_map(&next, c, u, u);
    for (int i = 0; i < s->blocks; i++) {
        block_weights *block = &at->block[i];
        block->input = take_map(&next, u, b->wide, b->wide);
        block->state = take_map(&next, u, b->wide, b->wide);
        block->after_gru = take_map(&next, u, u, s->rows * u);
        block->queries = take_map(&next, u, b->wide, 0);
        block->after_attention = take_map(&next, u, u, u);
    }
    at->widen = take_map(&next, u, c, c);
    at->spread = take_map(&next, b->groups, s->rows, 0);
    for (int i = 0; i <= s->convolutions; i++) {
        at->join[i] = take_map(&next, 2 * c, c, c);
        if (i < s->convolutions) at->decoder[i] = take_map(&next, TAPS * c, c, c);
    }
    at->last = take_map(&next, c, WINDOW * s->width, s->width);
    at->size = next;
}

static void place_kept(body *b) {
    const dn_rows_sizes *s = &b->s;
    const int groups = b->groups * s->channels, rows = s->rows * s->units;
    kept_of *kept = &b->kept;
    size_t next = 0;
    for (int i = 0; i <= s->convolutions; i++) kept->skip[i] = take(&next, groups);
    kept->few = take(&next, s->rows * s->channels);
    for (int i = 0; i < s->blocks; i++) {
        block_kept *block = &kept->block[i];
        block->input = take(&next, rows);
        block->gates = take(&next, 3 * rows);
        block->inner = take(&next, rows);
        block->h = take(&next, rows);
        block->middle = take(&next, rows);
        block->joined = take(&next, 3 * rows);
        block->shares = take(&next, s->heads * s->rows * s->rows);
        block->mixed = take(&next, rows);
    }
    kept->rows_out = take(&next, rows);
    kept->widened = take(&next, s->rows * s->channels);
    kept->spread = take(&next, groups);
    for (int i = 0; i <= s->convolutions; i++) {
        kept->join[i] = take(&next, groups);
        if (i < s->convolutions) kept->decoder[i] = take(&next, groups);
    }
    kept->size = next;
}

static int fits(int size, int step) {
    return size >= step && size <= MOST_SIZE && size % step == 0;
}

/* Lays a body of these sizes out. Returns 0 where there are none such. */
static int lay_out(body *b, const dn_rows_sizes *s) {
    if (!fits(s->features, 1) || !fits(s->width, 1) || !fits(s->channels, 8) || !fits(s->rows, 8)) return 0;
    if (!fits(s->bands, 8 * GROUP) || !fits(s->heads, 1) || !fits(s->units, 8 * s->heads)) return 0;
    if (s->convolutions < 0 || s->convolutions > MOST_DEPTH || s->blocks < 1 || s->blocks > MOST_DEPTH) return 0;
    *b = (body){.s = *s,
                .k = dn_kernels_find(NULL),
                .groups = s->bands / GROUP,
                .wide = 3 * s->units,
                .depth = s->units / s->heads};
    place_weights(b);
    place_kept(b);
    return 1;
}

size_t dn_rows_weights(const dn_rows_sizes *sizes) {
    body b;
    return lay_out(&b, sizes) ? b.at.size : 0;
}

size_t dn_rows_kept(const dn_rows_sizes *sizes) {
    body b;
    return lay_out(&b, sizes) ? b.kept.size : 0;
}

/* Numbers of a matrix or of rows: those of floats from a row to the next, and from a column to the next. */
typedef struct {
    const float *at;
    int row, column;
} numbers;

static numbers plain(const float *at, int row) {
    return (numbers){at, row, 1};
}

static numbers turned(const float *at, int row) {
    return (numbers){at, 1, row};
}

/* y[rows][columns] = x[rows][inputs] w[inputs][columns], or y += that. */
static void product(const dn_kernels *k, numbers x, const float *w, int w_row, const float *bias, int bias_row,
                    float *y, int y_row, int rows, int inputs, int columns, int add) {
    const dn_rows map = {.x = x.at,
                         .x_row = x.row,
                         .x_step = x.column,
                         .w = w,
                         .w_row = w_row,
                         .bias = bias,
                         .bias_row = bias_row,
                         .y = y,
                         .y_row = y_row,
                         .inputs = inputs,
                         .columns = columns,
                         .rows = rows,
                         .add = add};
    k->map_rows(&map);
}

static void add_to(float *sums, const float *x, int n) {
    for (int i = 0; i < n; i++) sums[i] += x[i];
}

static void turn(float *y, const float *x, int x_row, int rows, int columns) {
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < columns; j++) y[j * rows + i] = x[i * x_row + j];
    }
}

/* ---- forward ---- */

/* Room of one thread, beside what is kept. Groups with one of zeros at either end, as convolutions see them, are padded
 * groups. */
typedef struct {
    float *features, *skip[MOST_DEPTH + 1], *x, *y, *gates, *keys, *last, *hidden;
    float *memory;
} forward_room;

static int padded(const body *b) {
    return (b->groups + 2) * b->s.channels;
}

static int features_size(const body *b) {
    return (b->s.bands + 2 * MARGIN) * b->s.features;
}

static int hidden_size(const body *b) {
    return (b->s.bands + 2 * MARGIN) * b->s.width;
}

static int last_size(const body *b) {
    return b->groups * WINDOW * b->s.width;
}

/* Floats that a room has, and the pointer to them. */
typedef struct {
    float **at;
    int count;
} room_part;

/* Makes zeros of all parts, one behind the other. Returns their memory, NULL where there is none. */
static float *make_room(const room_part *parts, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++) size += (size_t)parts[i].count;
    float *all = calloc(size, sizeof(*all)), *next = all;
    for (size_t i = 0; all && i < count; next += parts[i].count, i++) *parts[i].at = next;
    return all;
}

static int make_forward_room(const body *b, forward_room *room) {
    const int depth = b->s.convolutions;
    float *skips;
    const room_part parts[] = {{&room->features, features_size(b)},
                               {&skips, (depth + 1) * padded(b)},
                               {&room->x, padded(b)},
                               {&room->y, padded(b)},
                               {&room->gates, b->s.rows * b->wide},
                               {&room->keys, b->depth * b->s.rows},
                               {&room->last, last_size(b)},
                               {&room->hidden, hidden_size(b)}};
    room->memory = make_room(parts, sizeof parts / sizeof *parts);
    if (!room->memory) return 0;
    for (int i = 0; i <= depth; i++) room->skip[i] = skips + i * padded(b);
    return 1;
}

/* Lays the features of a frame, of which a band's lie step apart, beside each other for each band. */
static void take_features(const body *b, const float *features, size_t step, float *padded_features) {
    const int count = b->s.features;
    for (int f = 0; f < count; f++) {
        const float *in = features + (size_t)f * step;
        float *out = padded_features + MARGIN * count + f;
        for (int band = 0; band < b->s.bands; band++) out[band * count] = in[band];
    }
}

static void bend(const body *b, const float *straight, float *padded_groups) {
    const int c = b->s.channels, n = b->groups * c;
    memcpy(padded_groups + c, straight, (size_t)n * sizeof(*straight));
    b->k->hard_swish(padded_groups + c, n);
}

static void convolve(const body *b, const float *w, place at, const float *padded_groups, float *y) {
    const int c = b->s.channels;
    product(b->k, plain(padded_groups, c), w + at.matrix, c, w + at.bias, 0, y, c, b->groups, TAPS * c, c, 0);
}

/* Moves a GRU's state, h, on by a frame. */
static void run_gru(const body *b, const float *w, const block_weights *at, float *kept, const block_kept *in, float *h,
                    float *from_h) {
    const int u = b->s.units, wide = b->wide, rows = b->s.rows;
    float *gates = kept + in->gates, *inner = kept + in->inner;
    product(b->k, plain(kept + in->input, u), w + at->input.matrix, wide, w + at->input.bias, 0, gates, wide, rows, u,
            wide, 0);
    product(b->k, plain(h, u), w + at->state.matrix, wide, w + at->state.bias, 0, from_h, wide, rows, u, wide, 0);
    for (int row = 0; row < rows; row++, gates += wide, from_h += wide, inner += u, h += u) {
        float *z = gates + u, *n = gates + 2 * u;
        add_to(gates, from_h, 2 * u);
        b->k->sigmoid(gates, 2 * u);
        memcpy(inner, from_h + 2 * u, (size_t)u * sizeof(*inner));
        for (int i = 0; i < u; i++) n[i] += gates[i] * inner[i];
        b->k->tanh(n, u);
        for (int i = 0; i < u; i++) h[i] = n[i] + z[i] * (h[i] - n[i]);
    }
}

/* keys: room for depth * rows. */
static void attend(const body *b, float *kept, const block_kept *in, float *keys) {
    const int u = b->s.units, wide = b->wide, rows = b->s.rows, depth = b->depth;
    const float scale = 1.0f / sqrtf((float)depth);
    for (int head = 0; head < b->s.heads; head++) {
        const float *query = kept + in->joined + head * depth, *key = query + u, *value = key + u;
        float *shares = kept + in->shares + head * rows * rows; /* [row that is looked at][row that looks] */
        turn(keys, query, wide, rows, depth);
        for (int i = 0; i < depth * rows; i++) keys[i] *= scale;
        product(b->k, plain(key, wide), keys, rows, NULL, 0, shares, rows, rows, depth, rows, 0);
        b->k->softmax_columns(shares, rows, rows);
        product(b->k, turned(shares, rows), value, wide, NULL, 0, kept + in->mixed + head * depth, u, rows, rows, depth,
                0);
    }
}

/* Runs a block on what is kept as its input; y: its answer. */
static void run_block(const body *b, const float *w, const block_weights *at, float *kept, const block_kept *in,
                      float *h, float *y, const forward_room *room) {
    const int u = b->s.units, rows = b->s.rows, n = rows * u;
    float *middle = kept + in->middle;
    run_gru(b, w, at, kept, in, h, room->gates);
    memcpy(kept + in->h, h, (size_t)n * sizeof(*h));
    memcpy(middle, kept + in->input, (size_t)n * sizeof(*middle));
    product(b->k, plain(h, u), w + at->after_gru.matrix, u, w + at->after_gru.bias, u, middle, u, rows, u, u, 1);
    product(b->k, plain(middle, u), w + at->queries.matrix, b->wide, NULL, 0, kept + in->joined, b->wide, rows, u,
            b->wide, 0);
    attend(b, kept, in, room->keys);
    memcpy(y, middle, (size_t)n * sizeof(*y));
    product(b->k, plain(kept + in->mixed, u), w + at->after_attention.matrix, u, w + at->after_attention.bias, 0, y, u,
            rows, u, u, 1);
}

static void run_last(const body *b, const float *w, const float *x, const forward_room *room, float *hidden) {
    const int width = b->s.width, columns = WINDOW * width;
    const float *bias = w + b->at.last.bias;
    product(b->k, plain(x, b->s.channels), w + b->at.last.matrix, columns, NULL, 0, room->last, columns, b->groups,
            b->s.channels, columns, 0);
    memset(room->hidden, 0, (size_t)hidden_size(b) * sizeof(*room->hidden));
    for (int g = 0; g < b->groups; g++) {
        add_to(room->hidden + g * GROUP * width, room->last + g * columns, columns);
    }
    for (int band = 0; band < b->s.bands; band++) {
        for (int i = 0; i < width; i++) hidden[band * width + i] = room->hidden[(band + MARGIN) * width + i] + bias[i];
    }
}

static void run_frame(const body *b, const float *w, const float *features, size_t step, float *states, float *kept,
                      float *hidden, const forward_room *room) {
    const dn_rows_sizes *s = &b->s;
    const dn_kernels *k = b->k;
    const weights_of *at = &b->at;
    const kept_of *in = &b->kept;
    const int c = s->channels, u = s->units, rows = s->rows, groups = b->groups, depth = s->convolutions;
    const int seen = WINDOW * s->features;
    take_features(b, features, step, room->features);
    product(k, plain(room->features, GROUP * s->features), w + at->first.matrix, c, w + at->first.bias, 0,
            kept + in->skip[0], c, groups, seen, c, 0);
    bend(b, kept + in->skip[0], room->skip[0]);
    for (int i = 0; i < depth; i++) {
        convolve(b, w, at->encoder[i], room->skip[i], kept + in->skip[i + 1]);
        bend(b, kept + in->skip[i + 1], room->skip[i + 1]);
    }
    product(k, plain(w + at->gather.matrix, groups), room->skip[depth] + c, c, NULL, 0, kept + in->few, c, rows, groups,
            c, 0);
    product(k, plain(kept + in->few, c), w + at->narrow.matrix, u, w + at->narrow.bias, 0, kept + in->block[0].input, u,
            rows, c, u, 0);
    for (int i = 0; i < s->blocks; i++, states += rows * u) {
        float *answer = kept + (i + 1 < s->blocks ? in->block[i + 1].input : in->rows_out);
        run_block(b, w, &at->block[i], kept, &in->block[i], states, answer, room);
    }
    product(k, plain(kept + in->rows_out, u), w + at->widen.matrix, c, w + at->widen.bias, 0, kept + in->widened, c,
            rows, u, c, 0);
    product(k, plain(w + at->spread.matrix, rows), kept + in->widened, c, NULL, 0, kept + in->spread, c, groups, rows,
            c, 0);
    const float *x = kept + in->spread;
    for (int i = 0; i <= depth; i++) {
        const float *matrix = w + at->join[i].matrix;
        float *join = kept + in->join[i];
        product(k, plain(x, c), matrix, c, w + at->join[i].bias, 0, join, c, groups, c, c, 0);
        product(k, plain(room->skip[depth - i] + c, c), matrix + c * c, c, NULL, 0, join, c, groups, c, c, 1);
        bend(b, join, room->y);
        x = room->y + c;
        if (i == depth) break;
        convolve(b, w, at->decoder[i], room->y, kept + in->decoder[i]);
        bend(b, kept + in->decoder[i], room->x);
        x = room->x + c;
    }
    run_last(b, w, x, room, hidden);
}

dn_status dn_rows_forward(const dn_rows_sizes *sizes, size_t clips, size_t frames, const float *weights,
                          const float *features, float *states, float *hidden, float *kept) {
    body b;
    forward_room room;
    if (!lay_out(&b, sizes)) return DN_BAD_RANGE;
    if (!make_forward_room(&b, &room)) return DN_NO_MEMORY;
    const size_t bands = (size_t)b.s.bands, step = frames * bands;
    const size_t state_size = (size_t)(b.s.blocks * b.s.rows * b.s.units);
    uint64_t mode = dn_enter();
    for (size_t clip = 0; clip < clips; clip++, features += (size_t)b.s.features * step, states += state_size) {
        for (size_t frame = 0; frame < frames; frame++, kept += b.kept.size, hidden += bands * (size_t)b.s.width) {
            run_frame(&b, weights, features + frame * bands, step, states, kept, hidden, &room);
        }
    }
    dn_leave(mode);
    free(room.memory);
    return DN_OK;
}

/* ---- backward ---- */

typedef struct {
    float *turned;                          /* the weights with each matrix transposed, where the matrix lies */
    float *features, *skip[MOST_DEPTH + 1]; /* as on the way forward */
    float *of_skip[MOST_DEPTH + 1];         /* slopes of those */
    float *x, *y, *of_x, *of_y;             /* padded groups */
    float *hidden, *groups;                 /* slopes of the last answers; groups, transposed */
    float *of_rows, *of_few, *of_gates, *of_inner, *of_joined, *of_mixed, *of_h, *of_shares, *mixed_turned;
    float *memory;
} backward_room;

static int make_backward_room(const body *b, backward_room *room) {
    const int depth = b->s.convolutions, rows = b->s.rows, n = rows * b->s.units;
    float *skips, *of_skips;
    const room_part parts[] = {{&room->turned, (int)b->at.size},
                               {&room->features, features_size(b)},
                               {&skips, (depth + 1) * padded(b)},
                               {&of_skips, (depth + 1) * padded(b)},
                               {&room->x, padded(b)},
                               {&room->y, padded(b)},
                               {&room->of_x, padded(b)},
                               {&room->of_y, padded(b)},
                               {&room->hidden, hidden_size(b)},
                               {&room->groups, b->groups * b->s.channels},
                               {&room->of_few, rows * b->s.channels},
                               {&room->of_rows, n},
                               {&room->of_mixed, n},
                               {&room->of_h, b->s.blocks * n},
                               {&room->of_gates, 3 * n},
                               {&room->of_inner, 3 * n},
                               {&room->of_joined, 3 * n},
                               {&room->of_shares, rows * rows},
                               {&room->mixed_turned, b->depth * rows}};
    room->memory = make_room(parts, sizeof parts / sizeof *parts);
    if (!room->memory) return 0;
    for (int i = 0; i <= depth; i++) {
        room->skip[i] = skips + i * padded(b);
        room->of_skip[i] = of_skips + i * padded(b);
    }
    return 1;
}

/* Transposes each matrix. Those of a convolution are so for each tap, the taps in reverse: the slopes of what it sees
 * are a convolution of those of what it gave. */
static void turn_weights(const body *b, const float *w, float *t) {
    const dn_rows_sizes *s = &b->s;
    const weights_of *at = &b->at;
    const int c = s->channels, u = s->units, columns = WINDOW * s->width;
    for (int i = 0; i < s->convolutions; i++) {
        const size_t both[] = {at->encoder[i].matrix, at->decoder[i].matrix};
        for (int which = 0; which < 2; which++) {
            for (int tap = 0; tap < TAPS; tap++) {
                turn(t + both[which] + (TAPS - 1 - tap) * c * c, w + both[which] + tap * c * c, c, c, c);
            }
        }
    }
    for (int i = 0; i <= s->convolutions; i++) {
        for (int half = 0; half < 2 * c * c; half += c * c) {
            turn(t + at->join[i].matrix + half, w + at->join[i].matrix + half, c, c, c);
        }
    }
    turn(t + at->narrow.matrix, w + at->narrow.matrix, u, c, u);
    turn(t + at->widen.matrix, w + at->widen.matrix, c, u, c);
    turn(t + at->last.matrix, w + at->last.matrix, columns, c, columns);
    for (int i = 0; i < s->blocks; i++) {
        const block_weights *block = &at->block[i];
        const place wide[] = {block->input, block->state, block->queries},
                    square[] = {block->after_gru, block->after_attention};
        for (int j = 0; j < 3; j++) turn(t + wide[j].matrix, w + wide[j].matrix, b->wide, u, b->wide);
        for (int j = 0; j < 2; j++) turn(t + square[j].matrix, w + square[j].matrix, u, u, u);
    }
}

static void add_rows(float *sums, const float *x, int rows, int columns) {
    for (int row = 0; row < rows; row++) add_to(sums, x + row * columns, columns);
}

/* of_w [inputs][outputs] += x^T of_y, of x [rows][inputs] and slopes [rows][outputs], of which a row begins so many
 * floats after the one before. */
static void add_weights(const dn_kernels *k, float *of_w, const float *x, int x_row, const float *of_y, int y_row,
                        int rows, int inputs, int outputs) {
    product(k, turned(x, x_row), of_y, y_row, NULL, 0, of_w, outputs, inputs, rows, outputs, 1);
}

/* The way back through a map y = x w + bias: slopes of both, and of_x = of_y w^T, or += that. */
static void map_back(const body *b, const float *t, float *slopes, place at, const float *x, const float *of_y,
                     float *of_x, int rows, int inputs, int outputs, int add) {
    add_weights(b->k, slopes + at.matrix, x, inputs, of_y, outputs, rows, inputs, outputs);
    product(b->k, plain(of_y, outputs), t + at.matrix, inputs, NULL, 0, of_x, inputs, rows, outputs, inputs, add);
}

/* Slopes of x * min(max(x + 3, 0), 6) / 6, by those of its values. */
static void bend_back(float *slopes, const float *x, int n) {
    for (int i = 0; i < n; i++) {
        float inside = (2.0f * x[i] + 3.0f) * (1.0f / 6.0f);
        float slope = x[i] <= -3.0f ? 0.0f : inside;
        slopes[i] *= x[i] >= 3.0f ? 1.0f : slope;
    }
}

/* The way back through a convolution and the bend behind it. seen: padded groups, what it saw. of_y: padded groups, in
 * the middle of which are the slopes of what was bent; those of straight after the call. */
static void convolve_back(const body *b, const float *t, float *slopes, place at, const float *seen,
                          const float *straight, float *of_y, float *of_x, int add) {
    const int c = b->s.channels, groups = b->groups;
    bend_back(of_y + c, straight, groups * c);
    add_rows(slopes + at.bias, of_y + c, groups, c);
    add_weights(b->k, slopes + at.matrix, seen, c, of_y + c, c, groups, TAPS * c, c);
    product(b->k, plain(of_y, c), t + at.matrix, c, NULL, 0, of_x, c, groups, TAPS * c, c, add);
}

/* The way back through attention: of_joined by of_mixed. */
static void attend_back(const body *b, const float *kept, const block_kept *in, const backward_room *room) {
    const int u = b->s.units, wide = b->wide, rows = b->s.rows, depth = b->depth, n = rows * rows;
    const float scale = 1.0f / sqrtf((float)depth);
    float *of_shares = room->of_shares, sums[MOST_SIZE];
    for (int head = 0; head < b->s.heads; head++) {
        const float *query = kept + in->joined + head * depth, *key = query + u, *value = key + u;
        const float *shares = kept + in->shares + head * n, *of_mixed = room->of_mixed + head * depth;
        float *of_query = room->of_joined + head * depth, *of_key = of_query + u, *of_value = of_key + u;
        turn(room->mixed_turned, of_mixed, u, rows, depth);
        product(b->k, plain(value, wide), room->mixed_turned, rows, NULL, 0, of_shares, rows, rows, depth, rows, 0);
        product(b->k, plain(shares, rows), of_mixed, u, NULL, 0, of_value, wide, rows, rows, depth, 0);
        memset(sums, 0, (size_t)rows * sizeof(*sums));
        for (int i = 0; i < n; i += rows) {
            for (int j = 0; j < rows; j++) sums[j] += shares[i + j] * of_shares[i + j];
        }
        for (int i = 0; i < n; i += rows) {
            for (int j = 0; j < rows; j++) of_shares[i + j] = scale * shares[i + j] * (of_shares[i + j] - sums[j]);
        }
        product(b->k, plain(of_shares, rows), query, wide, NULL, 0, of_key, wide, rows, rows, depth, 0);
        product(b->k, turned(of_shares, rows), key, wide, NULL, 0, of_query, wide, rows, rows, depth, 0);
    }
}

/* The way back through a frame of a GRU, of whose states of_h are the slopes: those of the states before, after the
 * call. before: [rows][units], those states. */
static void gru_back(const body *b, const float *t, float *slopes, const block_weights *at, const float *kept,
                     const block_kept *in, const float *before, float *of_h, const backward_room *room) {
    const int u = b->s.units, wide = b->wide, rows = b->s.rows;
    const float *gates = kept + in->gates, *inner = kept + in->inner;
    for (int row = 0; row < rows; row++, gates += wide, inner += u) {
        const float *r = gates, *z = gates + u, *n = gates + 2 * u, *h = before + row * u;
        float *of_x = room->of_gates + row * wide, *of_state = room->of_inner + row * wide, *slope = of_h + row * u;
        for (int i = 0; i < u; i++) {
            float of_n = slope[i] * (1.0f - z[i]) * (1.0f - n[i] * n[i]);
            float of_r = of_n * inner[i] * r[i] * (1.0f - r[i]), of_z = slope[i] * (h[i] - n[i]) * z[i] * (1.0f - z[i]);
            of_x[i] = of_r;
            of_x[u + i] = of_z;
            of_x[2 * u + i] = of_n;
            of_state[i] = of_r;
            of_state[u + i] = of_z;
            of_state[2 * u + i] = of_n * r[i];
            slope[i] *= z[i];
        }
    }
    add_rows(slopes + at->input.bias, room->of_gates, rows, wide);
    add_rows(slopes + at->state.bias, room->of_inner, rows, wide);
    map_back(b, t, slopes, at->state, before, room->of_inner, of_h, rows, u, wide, 1);
    map_back(b, t, slopes, at->input, kept + in->input, room->of_gates, room->of_rows, rows, u, wide, 1);
}

/* The way back through a block: of_rows are the slopes of its answer, and those of its input after the call. */
static void block_back(const body *b, const float *t, float *slopes, const block_weights *at, const float *kept,
                       const block_kept *in, const float *before, float *of_h, const backward_room *room) {
    const int u = b->s.units, rows = b->s.rows;
    add_rows(slopes + at->after_attention.bias, room->of_rows, rows, u);
    map_back(b, t, slopes, at->after_attention, kept + in->mixed, room->of_rows, room->of_mixed, rows, u, u, 0);
    attend_back(b, kept, in, room);
    map_back(b, t, slopes, at->queries, kept + in->middle, room->of_joined, room->of_rows, rows, u, b->wide, 1);
    add_to(slopes + at->after_gru.bias, room->of_rows, rows * u);
    map_back(b, t, slopes, at->after_gru, kept + in->h, room->of_rows, of_h, rows, u, u, 1);
    gru_back(b, t, slopes, at, kept, in, before, of_h, room);
}

/* The way back through a matrix over frequency, y = m x: slopes of both. m [outputs][inputs], x [inputs][channels].
 * across: room for x transposed. */
static void regrid_back(const body *b, const float *m, float *of_m, const float *x, const float *of_y, float *of_x,
                        int inputs, int outputs, float *across, int add) {
    const int c = b->s.channels;
    turn(across, x, c, inputs, c);
    product(b->k, plain(of_y, c), across, inputs, NULL, 0, of_m, inputs, outputs, c, inputs, 1);
    product(b->k, turned(m, inputs), of_y, c, NULL, 0, of_x, c, inputs, outputs, c, add);
}

/* The way back through the decoder, from of_hidden to the slopes of what is spread, of_x, and of_skip. */
static void decoder_back(const body *b, const float *t, float *slopes, const float *kept, const float *of_hidden,
                         const backward_room *room) {
    const dn_rows_sizes *s = &b->s;
    const weights_of *at = &b->at;
    const kept_of *in = &b->kept;
    const int c = s->channels, groups = b->groups, n = groups * c, depth = s->convolutions, columns = WINDOW * s->width;
    float *of_padded = room->hidden;
    memcpy(of_padded + MARGIN * s->width, of_hidden, (size_t)(s->bands * s->width) * sizeof(*of_hidden));
    add_rows(slopes + at->last.bias, of_hidden, s->bands, s->width);
    for (int i = depth; i >= 0; i--) {
        bend(b, kept + in->join[i], room->y);
        if (i == depth) {
            add_weights(b->k, slopes + at->last.matrix, room->y + c, c, of_padded, GROUP * s->width, groups, c,
                        columns);
            product(b->k, plain(of_padded, GROUP * s->width), t + at->last.matrix, c, NULL, 0, room->of_y + c, c,
                    groups, columns, c, 0);
        } else {
            convolve_back(b, t, slopes, at->decoder[i], room->y, kept + in->decoder[i], room->of_x, room->of_y + c, 0);
        }
        const float *x = kept + in->spread;
        if (i) {
            bend(b, kept + in->decoder[i - 1], room->x);
            x = room->x + c;
        }
        const place first = at->join[i], second = {first.matrix + (size_t)(c * c), 0};
        bend_back(room->of_y + c, kept + in->join[i], n);
        add_rows(slopes + first.bias, room->of_y + c, groups, c);
        map_back(b, t, slopes, first, x, room->of_y + c, room->of_x + c, groups, c, c, 0);
        map_back(b, t, slopes, second, room->skip[depth - i] + c, room->of_y + c, room->of_skip[depth - i] + c, groups,
                 c, c, 0);
    }
}

/* before: the states before the frame, [blocks][rows][units]. */
static void frame_back(const body *b, const float *w, float *slopes, const float *features, size_t step,
                       const float *const *before, const float *kept, const float *of_hidden,
                       const backward_room *room) {
    const dn_rows_sizes *s = &b->s;
    const weights_of *at = &b->at;
    const kept_of *in = &b->kept;
    const float *t = room->turned;
    const int c = s->channels, u = s->units, rows = s->rows, groups = b->groups, depth = s->convolutions;
    take_features(b, features, step, room->features);
    for (int i = 0; i <= depth; i++) bend(b, kept + in->skip[i], room->skip[i]);
    decoder_back(b, t, slopes, kept, of_hidden, room);
    regrid_back(b, w + at->spread.matrix, slopes + at->spread.matrix, kept + in->widened, room->of_x + c, room->of_few,
                rows, groups, room->groups, 0);
    add_rows(slopes + at->widen.bias, room->of_few, rows, c);
    map_back(b, t, slopes, at->widen, kept + in->rows_out, room->of_few, room->of_rows, rows, u, c, 0);
    for (int i = s->blocks - 1; i >= 0; i--) {
        block_back(b, t, slopes, &at->block[i], kept, &in->block[i], before[i], room->of_h + i * rows * u, room);
    }
    add_rows(slopes + at->narrow.bias, room->of_rows, rows, u);
    map_back(b, t, slopes, at->narrow, kept + in->few, room->of_rows, room->of_few, rows, c, u, 0);
    regrid_back(b, w + at->gather.matrix, slopes + at->gather.matrix, room->skip[depth] + c, room->of_few,
                room->of_skip[depth] + c, groups, rows, room->groups, 1);
    for (int i = depth - 1; i >= 0; i--) {
        convolve_back(b, t, slopes, at->encoder[i], room->skip[i], kept + in->skip[i + 1], room->of_skip[i + 1],
                      room->of_skip[i] + c, 1);
    }
    float *of_first = room->of_skip[0] + c;
    bend_back(of_first, kept + in->skip[0], groups * c);
    add_rows(slopes + at->first.bias, of_first, groups, c);
    add_weights(b->k, slopes + at->first.matrix, room->features, GROUP * s->features, of_first, c, groups,
                WINDOW * s->features, c);
}

dn_status dn_rows_backward(const dn_rows_sizes *sizes, size_t clips, size_t frames, const float *weights,
                           const float *features, const float *states, const float *kept, const float *hidden_slopes,
                           float *weight_slopes) {
    body b;
    backward_room room;
    if (!lay_out(&b, sizes)) return DN_BAD_RANGE;
    if (!make_backward_room(&b, &room)) return DN_NO_MEMORY;
    const size_t bands = (size_t)b.s.bands, step = frames * bands, answer = bands * (size_t)b.s.width;
    const size_t block_size = (size_t)(b.s.rows * b.s.units), state_size = (size_t)b.s.blocks * block_size;
    uint64_t mode = dn_enter();
    turn_weights(&b, weights, room.turned);
    for (size_t clip = 0; clip < clips; clip++, features += (size_t)b.s.features * step, states += state_size) {
        memset(room.of_h, 0, state_size * sizeof(*room.of_h));
        for (size_t frame = frames; frame-- > 0;) {
            const float *own = kept + (clip * frames + frame) * b.kept.size, *before[MOST_DEPTH];
            for (int i = 0; i < b.s.blocks; i++) {
                before[i] = frame ? own - b.kept.size + b.kept.block[i].h : states + (size_t)i * block_size;
            }
            frame_back(&b, weights, weight_slopes, features + frame * bands, step, before, own,
                       hidden_slopes + (clip * frames + frame) * answer, &room);
        }
    }
    dn_leave(mode);
    free(room.memory);
    return DN_OK;
}
