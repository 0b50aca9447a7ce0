/* The pair of ONNX files of a DTLN, to its network. */
#ifndef DN_MODELS_DTLN_H
#define DN_MODELS_DTLN_H

#include "network_dtln.h"

/* Fills a network that is all zero; after a failure too it is to be discarded. */
dn_status dn_dtln_read(dn_network *net, const void *const data[2], const size_t size[2], dn_precision precision,
                       uint32_t *fingerprint, char *message);
void dn_dtln_discard(dn_network *net);

#endif
