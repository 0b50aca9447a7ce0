/* Layers of a classic network as files have them, which any reader fills in their order. */
#ifndef DN_SOURCE_H
#define DN_SOURCE_H

#include "network_classic.h"

typedef struct {
    dn_layer layer[DN_LAYERS]; /* weights, recurrent and bias point into values */
    int8_t *values[DN_LAYERS]; /* from dn_new; NULL before dn_make_layer */
} dn_source;

/* Names the layers of a source that is all zero. */
void dn_source_init(dn_source *source);
void dn_source_discard(dn_source *source);

/* Checks the shape of a layer against those before it, which are made already, and gives it room for its values. */
dn_status dn_make_layer(dn_source *source, int index, long inputs, long units, long activation, char *message);

/* The three arrays of a layer, in the order of the files: place[n] has size[n] values; a dense layer has no second
 * array, its size is 0. */
typedef struct {
    const char *name[3];
    int8_t *place[3];
    size_t size[3];
} dn_arrays;

dn_arrays dn_layer_arrays(const dn_source *source, int index);

/* Hash of all shapes and values. */
uint32_t dn_source_fingerprint(const dn_source *source);

#endif
