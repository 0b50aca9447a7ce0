/* The DNNw container of RNNoise 0.2, little-endian: records of a 64-byte head and a payload padded with zeros. Records
 * come in any order, and those of unknown names are passed over. */
#ifndef DN_RECORDS_H
#define DN_RECORDS_H

#include "denoise.h"

enum { DN_RECORD_NAME = 44 };

typedef enum { DN_RECORD_FLOAT, DN_RECORD_INT32, DN_RECORD_OTHER, DN_RECORD_INT8, DN_RECORD_HALF } dn_record_type;

typedef struct {
    const char *name; /* NUL within DN_RECORD_NAME bytes */
    dn_record_type type;
    const uint8_t *payload; /* of no particular alignment */
    size_t size;            /* bytes, at least 1 */
} dn_record;

typedef struct {
    const uint8_t *data;
    size_t size;
} dn_records;

/* Says whether data begins as a container does. */
int dn_has_records(const void *data, size_t size);

/* Finds the one record of that name. DN_OK with payload NULL: there is none. */
dn_status dn_record_find(dn_records file, const char *name, dn_record *record, char *message);

/* Finds the record LAYER_ARRAY; DN_BAD_MODEL where there is none of that type and number of values. */
dn_status dn_record_want(dn_records file, const char *layer, const char *array, dn_record_type type, size_t count,
                         dn_record *record, char *message);

/* The same of floats of 32 or of 16 bits, those of dn_record_float. */
dn_status dn_record_want_floats(dn_records file, const char *layer, const char *array, size_t count, dn_record *record,
                                char *message);

/* Value number i of a record of int32, or of floats. */
int32_t dn_record_int(const dn_record *r, size_t i);
float dn_record_float(const dn_record *r, size_t i);

#endif
