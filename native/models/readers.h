/* Readers of the three forms that a classic network has. Each fills source, whose layers are named beforehand, and
 * leaves what it allocated to the caller, also when it fails. message: DN_MESSAGE bytes. */
#ifndef DN_READERS_H
#define DN_READERS_H

#include "models/records.h"
#include "models/source.h"

dn_status dn_read_text(const char *data, size_t size, dn_source *source, char *message);     /* text.c */
dn_status dn_read_bytes(const uint8_t *data, size_t size, dn_source *source, char *message); /* bytes.c */
dn_status dn_read_layers(dn_records file, dn_source *source, char *message);                 /* layers.c */

#endif
