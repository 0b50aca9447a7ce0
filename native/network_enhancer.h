/* The enhancer: a network over bands that grow with frequency, from samples to samples, as hops go through it.
 *
 * A frame is the hop and the one before, under the root of a Hann window. Its 480 + 1 bins make 128 bands: the lowest
 * 80 bins are one each, and 48 triangles lie over the rest. Of each band a body of the network sees three features and
 * makes some channels, of which each low bin gets a complex mask, and complex weights of itself in a few frames before,
 * and each upper band a gain and a noise level that turns down the bins which do not stand out from it. Magnitudes are
 * compressed by a power of 1/3.
 *
 * A guided network also sees the features of another signal, what another denoiser has made of this one, and chooses
 * for each low bin and each upper band how much of that there is in what comes out. */
#ifndef DN_NETWORK_ENHANCER_H
#define DN_NETWORK_ENHANCER_H

#include "enhancer.h"

/* Fills in all that follows from the sizes and the weights. */
void dn_enhancer_prepare(dn_enhancer *net);

/* Processes one hop, in[DN_FRAME] to out[DN_FRAME], which may be the same; guide[DN_FRAME] of a guided network. Returns
 * the probability of speech. */
dn_samples_run dn_enhancer_run;

#endif
