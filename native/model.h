/* A loaded model. */
#ifndef DN_MODEL_H
#define DN_MODEL_H

#include "family.h"

struct dn_model {
    const dn_traits *traits; /* of its family */
    const dn_kernels *kernels;
    dn_tables tables;    /* of networks with bands; others have their own */
    dn_network *network; /* traits->size bytes, from dn_new */
    char *metadata;      /* from dn_new, or NULL */
    size_t metadata_size;
    uint32_t fingerprint; /* of layers and weights: a saved state names the model that it belongs to */
};

#endif
