/* Samples as callers have them, interleaved and of their type, to the engine's rows of floats and back. A row is a
 * channel, full scale +-1; its samples lie side by side, and the next row begins stride floats after it. */
#ifndef DN_SAMPLES_H
#define DN_SAMPLES_H

#include "denoise.h"

/* Interleaved samples, in [frames][channels], to rows.
 * DN_NOT_FINITE if a sample of a floating-point type is NaN or beyond +-limit; the rows then hold it all the same. */
dn_status dn_take_samples(dn_type type, const void *in, size_t channels, size_t frames, float limit, float *rows,
                          size_t stride);

/* Rows to interleaved samples, out [frames][channels]; integers are rounded, halves to even, and clipped at full
 * scale. */
void dn_give_samples(dn_type type, const float *rows, size_t stride, size_t channels, size_t frames, void *out);

#endif
