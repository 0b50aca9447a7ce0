#include "linear.h"

#include <string.h>

void dn_linear_run(const dn_linear *l, const dn_kernels *k, const float *x, float *y) {
    memcpy(y, l->bias, (size_t)l->padded * sizeof(*y));
    if (l->q) {
        int8_t steps[DN_MAX_INPUTS];
        k->quantise(steps, x, l->inputs);
        if (l->index) {
            k->blocks_add_int8(y, l->q, l->scale, l->index, steps, l->padded / 8);
        } else {
            k->matvec_add_int8(y, l->q, l->scale, steps, l->inputs, l->padded);
        }
    } else if (l->index) {
        k->blocks_add(y, l->w, l->index, x, l->padded / 8);
    } else if (l->outputs == 1) {
        y[0] += k->dot(l->w, x, l->inputs);
    } else {
        k->matvec_add(y, l->w, x, l->inputs, l->padded);
    }
    if (!l->diagonal) return;
    for (int block = 0; block < l->outputs; block += l->inputs) {
        for (int i = 0; i < l->inputs; i++) y[block + i] += l->diagonal[block + i] * x[i];
    }
}
