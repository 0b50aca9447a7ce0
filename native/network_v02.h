/* The network of RNNoise 0.2: two causal convolutions, three GRUs, and two dense layers that see all but the first. */
#ifndef DN_NETWORK_V02_H
#define DN_NETWORK_V02_H

#include "linear.h"
#include "network.h"

enum { DN_V02_MAX_UNITS = 1024 };

enum { DN_CONV1, DN_CONV2, DN_GRU1_INPUT, DN_GRU1_RECURRENT, DN_DENSE_OUT = 8, DN_VAD_DENSE };

typedef struct {
    dn_network base; /* memory: two frames of each convolution's input, then conv2's and the three GRUs' outputs */
    int convolved;   /* outputs of conv1 */
    int units;       /* of conv2 and each GRU */
    dn_linear map[DN_MAPS];
} dn_v02;

/* Sets base by convolved and units. */
void dn_v02_measure(dn_v02 *net);

/* features[i][DN_V02_FEATURES] to gains[i][DN_V02_BANDS]. */
dn_network_run dn_v02_run;

#endif
