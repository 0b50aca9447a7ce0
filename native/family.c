#include "family.h"

#include <float.h>

#include "models/classic.h"
#include "models/dtln.h"
#include "models/enhancer.h"
#include "models/narrow.h"
#include "models/v02.h"

static const dn_traits traits[] = {
    [DN_CLASSIC] = {.family = DN_CLASSIC,
                    .bands = &dn_classic_bands,
                    .features = DN_FEATURES,
                    .make_features = dn_classic_features,
                    .look_ahead = 0,
                    .size = sizeof(dn_classic_model),
                    .read = dn_classic_read,
                    .discard = dn_classic_discard,
                    .run = dn_classic_run,
                    .most = FLT_MAX,
                    .layer = dn_classic_layer},
    [DN_V02] = {.family = DN_V02,
                .bands = &dn_v02_bands,
                .features = DN_V02_FEATURES,
                .make_features = dn_v02_features,
                .look_ahead = 1,
                .size = sizeof(dn_v02),
                .read = dn_v02_read,
                .discard = dn_v02_discard,
                .run = dn_v02_run,
                .most = FLT_MAX,
                .map = dn_v02_map},
    [DN_ENHANCER] = {.family = DN_ENHANCER,
                     .size = sizeof(dn_enhancer),
                     .run_samples = dn_enhancer_run,
                     .read = dn_enhancer_read,
                     .discard = dn_enhancer_discard,
                     .most = 1e10f},
    [DN_DTLN] =
        {.family = DN_DTLN, .size = sizeof(dn_dtln), .run_hops = dn_dtln_run, .discard = dn_dtln_discard, .most = 1e9f},
    [DN_NARROW] = {.family = DN_NARROW,
                   .size = sizeof(dn_narrow),
                   .run_samples = dn_narrow_run,
                   .read = dn_narrow_read,
                   .discard = dn_narrow_discard,
                   .rate = DN_NARROW_RATE,
                   .most = 1e10f},
};

const dn_traits *dn_family_traits(dn_family family) {
    return &traits[family];
}
