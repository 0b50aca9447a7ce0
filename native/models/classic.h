/* A classic network from any of its files: the layers as they are there, and packed for the kernels. */
#ifndef DN_CLASSIC_H
#define DN_CLASSIC_H

#include "models/source.h"

typedef struct {
    dn_classic net; /* first, so that a pointer to it is one to all of this; its weights and biases are those below */
    dn_source source;
    int8_t *weights; /* from dn_new */
    float *biases;   /* from dn_new */
} dn_classic_model;

/* Fills net, a dn_classic_model that is all zero, and *fingerprint; after a failure too it is to be discarded.
 * message: DN_MESSAGE bytes. */
dn_status dn_classic_read(dn_network *net, const void *data, size_t size, uint32_t *fingerprint, char *message);
void dn_classic_discard(dn_network *net);

dn_layer dn_classic_layer(const dn_network *net, int index);

#endif
