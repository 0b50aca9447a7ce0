/* One block of a dn_blocks at a time, for networks that have the rest to themselves. */
#ifndef DN_BLOCKS_H
#define DN_BLOCKS_H

#include "denoise.h"

enum { DN_MOST_BLOCK = 2048 }; /* samples */

/* Transforms in[block] to spectrum[bins][2] and magnitude[bins], which may be in. room: 2 * block floats. */
void dn_block_analyse(const dn_blocks *blocks, const float *in, float *spectrum, float *magnitude, float *room);

/* Transforms spectrum[bins][2] times gains[bins] to out[block], which may be gains. room: 2 * block floats. */
void dn_block_synthesise(const dn_blocks *blocks, const float *spectrum, const float *gains, float *out, float *room);

#endif
