/* The classic network: two dense layers on three GRUs. */
#ifndef DN_NETWORK_CLASSIC_H
#define DN_NETWORK_CLASSIC_H

#include "network.h"

enum { DN_MAX_UNITS = 512 }; /* of a layer; also bounds its inputs */

typedef enum { DN_TANH, DN_SIGMOID, DN_RELU } dn_activation;

/* Weights as they are in files, in steps of 1/256, packed for matvec_add_bytes_batch. "padded" is units rounded up to a
 * multiple of 8; the padding is zero throughout, so it stays zero in the layer's output. A GRU has three blocks of
 * padded columns: update z, reset r, candidate c. */
typedef struct {
    int inputs, units, padded;
    dn_activation activation;
    const int8_t *w; /* [columns / 8][inputs][8] */
    const int8_t *u; /* [columns / 8][units][8]; NULL for a dense layer */
    const float *b;  /* [columns], in the same steps */
} dn_weights;

enum { DN_INPUT_DENSE, DN_VAD_GRU, DN_NOISE_GRU, DN_DENOISE_GRU, DN_DENOISE_OUTPUT, DN_VAD_OUTPUT };

typedef struct {
    dn_network base; /* memory: the three GRUs' outputs, one after the other */
    dn_weights layer[DN_LAYERS];
} dn_classic;

/* Sets base by the layers. */
void dn_classic_measure(dn_classic *net);

/* features[i][DN_FEATURES] to gains[i][24], of which DN_BANDS count. */
dn_network_run dn_classic_run;

#endif
