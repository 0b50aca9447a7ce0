/* The pitch of the newest 20 ms: period and strength. */
#ifndef DN_PITCH_H
#define DN_PITCH_H

#include "kernels/table.h"

enum {
    DN_MIN_PERIOD = 60,                     /* samples; 800 Hz */
    DN_MAX_PERIOD = 768,                    /* 62.5 Hz */
    DN_HISTORY = DN_MAX_PERIOD + DN_WINDOW, /* samples that a search looks at */
};

/* Result of one frame's search, which helps the next; zeros at the start. */
typedef struct {
    int32_t period; /* samples */
    float gain;     /* normalised correlation, 0 to 1 */
} dn_pitch;

/* Searches history, the newest DN_HISTORY samples, history[-1] being readable. pitch: the last frame's in, this frame's
 * out; period is then from DN_MIN_PERIOD to DN_MAX_PERIOD - 1. */
void dn_pitch_search(const dn_kernels *k, const float *history, dn_pitch *pitch);

#endif
