/* i = sigmoid(Wi x + Ui h + bi)    f = sigmoid(Wf x + Uf h + bf)    g = tanh(Wg x + Ug h + bg)
 * o = sigmoid(Wo x + Uo h + bo)    c' = f c + i g                   h' = o tanh(c')
 * The products with x of all hops are one of matrices; those with h wait for each other. */
#include "lstm.h"

#include <string.h>

#include "memory.h"

void dn_lstm_run(const dn_lstm *lstm, const dn_kernels *k, const dn_rows_in *in, int hops, int channels, float *gates,
                 float *out, float *h, float *c) {
    const int units = lstm->units, wide = 4 * units;
    dn_matrix_run(&lstm->input, k, in, lstm->bias, gates, wide, hops * channels, 0);
    for (int hop = 0; hop < hops; hop++, gates += channels * wide, out += channels * units) {
        const dn_rows_in before = {hop ? out - channels * units : h, units, in->steps, in->step_row, in->size};
        dn_rows_prepare(&before, &lstm->recurrent, k, units, channels);
        dn_matrix_run(&lstm->recurrent, k, &before, NULL, gates, wide, channels, 1);
        k->lstm(out, c, gates, units, channels);
    }
    memcpy(h, out - channels * units, (size_t)(channels * units) * sizeof(*h));
}

void dn_lstm_discard(dn_lstm *lstm) {
    dn_matrix_discard(&lstm->input);
    dn_matrix_discard(&lstm->recurrent);
    dn_delete(lstm->bias);
}
