/* A network of any family as frames go through it. */
#ifndef DN_NETWORK_H
#define DN_NETWORK_H

#include "denoise.h"
#include "kernels/table.h"

enum { DN_NETWORK_ROOM = 12800 }; /* floats of the stack that a run takes: four channels of RNNoise 0.2's own network */

/* The first member of the network of a family. */
typedef struct {
    int memory; /* floats that one channel needs; zeros at the start */
    int batch;  /* channels that run together at most, 1 to DN_BATCH */
    int hop;    /* samples, 0 for DN_FRAME */
    int guided; /* 1: it takes a guide beside the samples */
} dn_network;

/* Runs one frame of count channels, batch or fewer: for each i features[i] and memory[i] to gains[i], which has room
 * for 32, and voice[i], the probability of speech. No bit depends on what is run together. */
typedef void dn_network_run(const dn_network *net, const dn_kernels *k, int count, const float *const *features,
                            float *const *memory, float *const *gains, float *voice);

/* Runs one hop of one channel through a network that takes samples, all of its signal processing its own: in[hop] to
 * out[hop], which may be the same. guide[hop]: for a network that is guided. min_gain: 0 to 1, the original's share of
 * what comes out. Returns the probability of speech. */
typedef float dn_samples_run(const dn_network *net, const dn_kernels *k, float *memory, const float *in,
                             const float *guide, float *out, float min_gain);

/* Runs hops of count channels, batch or fewer, through a network that takes samples in hops of its own length: in to
 * out, each channel's apart samples behind the one's before; they may be the same. No bit depends on how many hops or
 * channels are run together. */
typedef void dn_hops_run(const dn_network *net, const dn_kernels *k, int count, float *const *memory, const float *in,
                         float *out, size_t apart, size_t hops, float min_gain);

/* Channels that run together where each needs so many floats of the stack. */
static inline int dn_most_together(int floats) {
    int fit = DN_NETWORK_ROOM / floats;
    return fit < DN_BATCH ? fit : DN_BATCH;
}

#endif
