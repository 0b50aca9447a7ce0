#include "family.h"

#include "models/classic.h"
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
                .map = dn_v02_map},
};

const dn_traits *dn_family_traits(dn_family family) {
    return &traits[family == DN_V02 ? DN_V02 : DN_CLASSIC];
}
