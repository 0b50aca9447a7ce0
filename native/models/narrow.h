/* The networks that others have released for 16 kHz, from records of our own. */
#ifndef DN_MODELS_NARROW_H
#define DN_MODELS_NARROW_H

#include "network_narrow.h"

/* As of an enhancer, see models/enhancer.h; net is a dn_narrow. */
dn_status dn_narrow_read(dn_network *net, const void *data, size_t size, uint32_t *fingerprint, char *message);
void dn_narrow_discard(dn_network *net);

#endif
