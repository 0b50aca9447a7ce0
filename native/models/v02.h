/* A v0.2 network from RNNoise 0.2's records. */
#ifndef DN_V02_H
#define DN_V02_H

#include "network_v02.h"

/* Fills net, a dn_v02 that is all zero, and *fingerprint; after a failure too it is to be discarded.
 * data: records, whose container was read through once. message: DN_MESSAGE bytes. */
dn_status dn_v02_read(dn_network *net, const void *data, size_t size, uint32_t *fingerprint, char *message);
void dn_v02_discard(dn_network *net);

dn_map dn_v02_map(const dn_network *net, int index);

#endif
