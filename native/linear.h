/* Linear maps y = W x + b of the v0.2 network, in the forms that its files have: float or int8, whole or block-sparse,
 * with or without a diagonal. */
#ifndef DN_LINEAR_H
#define DN_LINEAR_H

#include "kernels/table.h"

/* The outputs are in groups of 8, the last one filled up with zeros. A block is 4 inputs by the 8 outputs of a group.
 * All pointers but room are NULL where the map has no such thing. */
typedef struct {
    int inputs, outputs, padded; /* padded: outputs rounded up to a multiple of 8 */
    const float *bias;           /* [padded] */
    const float *diagonal;       /* [outputs]: adds diagonal[o] * x[o % inputs] to y[o] */
    const float *w;              /* whole: [padded / 8][inputs][8], and of one output [inputs]; with index:
                                  * [blocks][4 inputs][8 outputs] */
    const int8_t *q;             /* [blocks][8 outputs][4 inputs]; whole: [padded / 8][inputs / 4][8][4] */
    const float *scale;          /* [padded], of q */
    const uint16_t *index;       /* for each group: how many blocks, then the first input of each */
    void *room;                  /* all of the above, from dn_new */
} dn_linear;

/* y[i][padded] of x[i][inputs] for each i < count, at most DN_BATCH; an int8 map takes x in steps of 1/127 from -1 to
 * 1, for which steps[i] has room, inputs of them. */
void dn_linear_run(const dn_linear *l, const dn_kernels *k, const float *const *x, float *const *y,
                   int8_t *const *steps, int count);

#endif
