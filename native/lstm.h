/* LSTMs over rows: hop after hop, the channels of a hop together. */
#ifndef DN_LSTM_H
#define DN_LSTM_H

#include "matrix.h"

typedef struct {
    dn_matrix input, recurrent; /* to [4 * units]: input, forget, candidate, output */
    float *bias;                /* [4 * units], from dn_new */
    int units;                  /* a multiple of 8 */
} dn_lstm;

/* Rows of hops times channels, those of a hop one behind the other.
 * in: prepared for the input's matrix. gates[rows][4 * units]: work. out[rows][units]: the answers.
 * h, c [channels][units] are moved on. steps, step_row, size: work, for as many channels, of DN_STEPS. */
void dn_lstm_run(const dn_lstm *lstm, const dn_kernels *k, const dn_rows_in *in, int hops, int channels, float *gates,
                 float *out, float *h, float *c);

void dn_lstm_discard(dn_lstm *lstm);

#endif
