#include "enhancer_parts.h"

#include <string.h>

void dn_dense_run(const dn_dense *d, const dn_kernels *k, const float *x, int x_row, float *y, int y_row, int rows,
                  int add) {
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

void dn_pad_features(const float *features, int stride, float *frame) {
    int margin = stride / 2 * DN_ENHANCER_FEATURES, size = DN_ENHANCER_BANDS * DN_ENHANCER_FEATURES;
    memset(frame, 0, (size_t)margin * sizeof(*frame));
    memcpy(frame + margin, features, (size_t)size * sizeof(*frame));
    memset(frame + margin + size, 0, (size_t)margin * sizeof(*frame));
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

void dn_spread_answers(const float *answers, const float *bias, int stride, int width, float *hidden) {
    int rows = DN_ENHANCER_BANDS / stride, half = stride * width, cut = half / 2;
    for (int band = 0, at = 0; band < DN_ENHANCER_BANDS; band++) {
        for (int i = 0; i < width; i++) hidden[at++] = bias[i];
    }
    for (int row = 0; row < rows; row++, answers += 2 * half) {
        int from = row ? 0 : cut, to = row + 1 < rows ? 2 * half : 2 * half - cut;
        for (int i = from; i < to; i++) hidden[row * half - cut + i] += answers[i];
    }
}
