/* The classic network: two dense layers on three GRUs. */
#ifndef DN_NETWORK_H
#define DN_NETWORK_H

#include "denoise.h"
#include "kernels.h"

enum {
    DN_MAX_UNITS = 512,      /* of a layer; also bounds its inputs */
    DN_NETWORK_ROOM = 12800, /* floats of the stack that a run of either network takes: four of RNNoise 0.2's own */
};

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
    dn_weights layer[DN_LAYERS];
} dn_network;

/* Floats of memory that one channel needs: the three GRUs' outputs, one after the other; zeros at the start. */
int dn_network_memory(const dn_network *net);

/* How many channels can be run together, DN_BATCH or fewer: what a network needs of the stack is bounded. */
int dn_network_batch(const dn_network *net);

/* One frame of count channels, as many as go together or fewer: for each i features[i][DN_FEATURES] to gains[i][24], of
 * which DN_BANDS count, and voice[i], the probability of speech. No bit depends on what is run together. */
void dn_network_run(const dn_network *net, const dn_kernels *k, int count, const float *const *features,
                    float *const *memory, float *const *gains, float *voice);

#endif
