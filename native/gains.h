/* From the network's gains back to samples. */
#ifndef DN_GAINS_H
#define DN_GAINS_H

#include "frontend.h"

/* Turns the bands of frame->X down, to network_gain[DN_MAX_BANDS] but not below min_gain.
 * last_gain: those of the frame before in, this frame's out. */
void dn_apply_gains(const dn_kernels *k, const dn_bands *bands, dn_frame *frame, const float *network_gain,
                    float *last_gain, float min_gain);

/* Lets the next gain of each band fall faster where the next frame is louder than this one. */
void dn_let_fall(const dn_bands *bands, const float *energy, const float *next_energy, float *last_gain);

/* Adds the windows up: out[DN_FRAME]. overlap[DN_FRAME]: the second half of the last window in, of this one out. */
void dn_synthesise(const dn_kernels *k, const dn_tables *tables, const dn_spectrum *X, float *overlap, float *out);

/* Adds to out[DN_FRAME] min_gain times removed[DN_FRAME], what the high-pass took out of this frame. */
void dn_restore_rumble(const float *removed, float min_gain, float *out);

#endif
