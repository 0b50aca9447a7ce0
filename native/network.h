/* The classic network: two dense layers on three GRUs. */
#ifndef DN_NETWORK_H
#define DN_NETWORK_H

#include "denoise.h"
#include "kernels.h"

enum { DN_MAX_UNITS = 512 }; /* of a layer; also bounds its inputs */

typedef enum { DN_TANH, DN_SIGMOID, DN_RELU } dn_activation;

/* Weights as floats, packed for matvec_add. "padded" is units rounded up to a multiple of 8; the padding is zero
 * throughout, so it stays zero in the layer's output. A GRU has three blocks of padded columns: update z, reset r,
 * candidate c. */
typedef struct {
    int inputs, units, padded;
    dn_activation activation;
    const float *w; /* [columns / 8][inputs][8] */
    const float *u; /* [columns / 8][units][8]; NULL for a dense layer */
    const float *b; /* [columns] */
} dn_weights;

enum { DN_INPUT_DENSE, DN_VAD_GRU, DN_NOISE_GRU, DN_DENOISE_GRU, DN_DENOISE_OUTPUT, DN_VAD_OUTPUT };

typedef struct {
    dn_weights layer[DN_LAYERS];
} dn_network;

/* Floats of memory that one channel needs: the three GRUs' outputs, one after the other; zeros at the start. */
int dn_network_memory(const dn_network *net);

/* One frame: features[DN_FEATURES] to gains[24], of which DN_BANDS count. Returns the probability of speech. */
float dn_network_run(const dn_network *net, const dn_kernels *k, const float *features, float *memory, float *gains);

#endif
