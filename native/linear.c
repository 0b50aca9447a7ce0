#include "linear.h"

#include <string.h>

static void add_int8(const dn_linear *l, const dn_kernels *k, const float *const *x, float *const *y,
                     int8_t *const *steps, int count) {
    const int8_t *in[DN_BATCH];
    for (int i = 0; i < count; i++) {
        k->quantise(steps[i], x[i], l->inputs);
        in[i] = steps[i];
    }
    if (l->index) {
        k->blocks_add_int8_batch(y, l->q, l->scale, l->index, in, l->padded / 8, count);
    } else {
        k->matvec_add_int8_batch(y, l->q, l->scale, in, l->inputs, l->padded, count);
    }
}

static void add_diagonal(const dn_linear *l, const float *x, float *y) {
    for (int block = 0; block < l->outputs; block += l->inputs) {
        for (int i = 0; i < l->inputs; i++) y[block + i] += l->diagonal[block + i] * x[i];
    }
}

void dn_linear_run(const dn_linear *l, const dn_kernels *k, const float *const *x, float *const *y,
                   int8_t *const *steps, int count) {
    for (int i = 0; i < count; i++) memcpy(y[i], l->bias, (size_t)l->padded * sizeof(*y[i]));
    if (l->q) {
        add_int8(l, k, x, y, steps, count);
    } else if (l->index) {
        k->blocks_add_batch(y, l->w, l->index, x, l->padded / 8, count);
    } else if (l->outputs == 1) {
        for (int i = 0; i < count; i++) y[i][0] += k->dot(l->w, x[i], l->inputs);
    } else {
        k->matvec_add_batch(y, l->w, x, l->inputs, l->padded, count);
    }
    for (int i = 0; l->diagonal && i < count; i++) add_diagonal(l, x[i], y[i]);
}
