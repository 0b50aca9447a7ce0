/* The features of a frame, which a network sees. */
#ifndef DN_FRAME_FEATURES_H
#define DN_FRAME_FEATURES_H

#include "frontend.h"

enum { DN_MAX_FEATURES = DN_V02_FEATURES };

/* Makes the features of a frame that is not too quiet, in the order of the frames: front remembers some of earlier
 * ones. */
typedef void dn_make_features(dn_frontend *front, const dn_kernels *k, const dn_bands *bands, const dn_frame *frame,
                              float *features);

dn_make_features dn_classic_features; /* [DN_FEATURES] */
dn_make_features dn_v02_features;     /* [DN_V02_FEATURES] */

#endif
