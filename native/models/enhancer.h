/* An enhancer's network from records of our own. */
#ifndef DN_MODELS_ENHANCER_H
#define DN_MODELS_ENHANCER_H

#include "network_enhancer.h"

/* Fills net, a dn_enhancer that is all zero, and *fingerprint; after a failure too it is to be discarded.
 * data: records, whose container was read through once. message: DN_MESSAGE bytes. */
dn_status dn_enhancer_read(dn_network *net, const void *data, size_t size, uint32_t *fingerprint, char *message);
void dn_enhancer_discard(dn_network *net);

#endif
