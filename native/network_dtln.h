/* The DTLN (Westhausen and Meyer 2020): two networks around overlapping blocks. The first makes a mask of each block's
 * magnitudes, the second of features that a matrix makes of its samples; each is two LSTMs and a dense layer. */
#ifndef DN_NETWORK_DTLN_H
#define DN_NETWORK_DTLN_H

#include "blocks.h"
#include "lstm.h"
#include "network.h"

enum {
    DN_MOST_CODE = 2048,  /* features of a block */
    DN_MOST_CELLS = 512,  /* units of an LSTM */
    DN_OVERLAP = 4,       /* blocks that each sample is in */
    DN_DTLN_ROOM = 16512, /* floats of the stack that a run takes: eight rows of a DTLN for 16 kHz */
};

typedef struct {
    int inputs, outputs;            /* of the LSTMs and of the dense layer: bins, or features */
    int has_levels;                 /* inputs are ln(x + least) */
    float least, norm_least;        /* see dn_kernels */
    float *norm_weight, *norm_bias; /* [inputs], from dn_new; NULL: there is no norm */
    dn_lstm lstm[2];
    dn_matrix dense; /* to the mask before its sigmoid, columns up to a multiple of 16 */
    float *dense_bias;
} dn_mask_core;

typedef struct {
    dn_network base;
    dn_blocks *blocks;
    int block, hop, code, units; /* units is rounded up to a multiple of 8; what is added stays zero */
    int rows, row;               /* hops times channels that run together, and floats of the stack for each */
    dn_mask_core first, second;
    int is_swapped; /* the second network was read from the first file */
    dn_matrix encode, decode;
} dn_dtln;

/* Sees to blocks and to base, once the sizes and weights are there. */
dn_status dn_dtln_prepare(dn_dtln *net);

/* A dn_hops_run: the second network's features have no gains, so min_gain is the share of the late original. */
void dn_dtln_run(const dn_network *net, const dn_kernels *k, int count, float *const *memory, const float *in,
                 float *out, size_t apart, size_t hops, float min_gain);

#endif
