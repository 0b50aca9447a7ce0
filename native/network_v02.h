/* The network of RNNoise 0.2: two causal convolutions, three GRUs, and two dense layers that see all but the first. */
#ifndef DN_NETWORK_V02_H
#define DN_NETWORK_V02_H

#include "denoise.h"
#include "linear.h"

enum { DN_V02_MAX_UNITS = 1024 };

enum { DN_CONV1, DN_CONV2, DN_GRU1_INPUT, DN_GRU1_RECURRENT, DN_DENSE_OUT = 8, DN_VAD_DENSE };

typedef struct {
    int convolved; /* outputs of conv1 */
    int units;     /* of conv2 and each GRU */
    dn_linear map[DN_MAPS];
} dn_network_v02;

/* Floats of memory that one channel needs; zeros at the start. */
int dn_v02_memory(const dn_network_v02 *net);

/* How many channels can be run together, as dn_network_batch. */
int dn_v02_batch(const dn_network_v02 *net);

/* One frame of count channels, as dn_network_run: features[i][DN_V02_FEATURES] to gains[i][DN_V02_BANDS]. */
void dn_v02_run(const dn_network_v02 *net, const dn_kernels *k, int count, const float *const *features,
                float *const *memory, float *const *gains, float *voice);

#endif
