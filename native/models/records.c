#include "models/records.h"

#include <stdio.h>
#include <string.h>

#include "halves.h"
#include "models/message.h"

enum { HEAD = 64 };

static int32_t little_endian(const uint8_t *p) {
    return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

int dn_has_records(const void *data, size_t size) {
    return size >= 4 && memcmp(data, "DNNw", 4) == 0;
}

int32_t dn_record_int(const dn_record *r, size_t i) {
    return little_endian(r->payload + 4 * i);
}

float dn_record_float(const dn_record *r, size_t i) {
    if (r->type == DN_RECORD_HALF) {
        return dn_half_to_float((uint16_t)(r->payload[2 * i] | r->payload[2 * i + 1] << 8));
    }
    int32_t bits = dn_record_int(r, i);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* The record at *at, which is moved behind it. */
static dn_status next_record(dn_records file, size_t *at, dn_record *r, char *message) {
    const uint8_t *head = file.data + *at;
    unsigned long where = (unsigned long)*at;
    size_t left = file.size - *at;
    if (left < HEAD) return dn_bad_model(message, "the file ends within the record head at byte %lu", where);
    if (memcmp(head, "DNNw", 4) != 0) return dn_bad_model(message, "no record starts at byte %lu", where);
    if (head[HEAD - 1] != 0) return dn_bad_model(message, "the record at byte %lu has no proper name", where);
    r->name = (const char *)head + HEAD - DN_RECORD_NAME;
    int32_t version = little_endian(head + 4), type = little_endian(head + 8);
    int32_t payload = little_endian(head + 12), block = little_endian(head + 16);
    if (version != 0) return dn_bad_model(message, "record %s has version %ld; 0 is known", r->name, (long)version);
    if (type < 0 || type > DN_RECORD_HALF) {
        return dn_bad_model(message, "record %s has type %ld; 0 to 4 are known", r->name, (long)type);
    }
    if (payload <= 0 || block < payload) {
        return dn_bad_model(
            message,
            "record %s is said to have %ld bytes in a block of %ld; it has 1 or more, and its block all of them",
            r->name, (long)payload, (long)block);
    }
    if ((size_t)block > left - HEAD) {
        return dn_bad_model(message, "record %s: the %ld bytes of its block do not fit the %lu left in the file",
                            r->name, (long)block, (unsigned long)(left - HEAD));
    }
    r->type = (dn_record_type)type;
    r->payload = head + HEAD;
    r->size = (size_t)payload;
    *at += HEAD + (size_t)block;
    return DN_OK;
}

dn_status dn_record_find(dn_records file, const char *name, dn_record *record, char *message) {
    *record = (dn_record){0};
    for (size_t at = 0; at < file.size;) {
        dn_record r;
        dn_status status = next_record(file, &at, &r, message);
        if (status != DN_OK) return status;
        if (strcmp(r.name, name) != 0) continue;
        if (record->payload) return dn_bad_model(message, "record %s is there twice", name);
        *record = r;
    }
    return DN_OK;
}

/* Finds the record LAYER_ARRAY, which is to be there; name has room for its name. */
static dn_status find_of_layer(dn_records file, const char *layer, const char *array, char *name, dn_record *record,
                               char *message) {
    snprintf(name, DN_RECORD_NAME, "%s_%s", layer, array);
    dn_status status = dn_record_find(file, name, record, message);
    if (status != DN_OK || record->payload) return status;
    return dn_bad_model(message, "layer %s: there is no record %s", layer, name);
}

static dn_status check_record(const char *layer, const char *name, const dn_record *r, dn_record_type type,
                              size_t count, char *message) {
    static const char *const type_names[] = {"float", "int32", "qweight", "int8", "float16"};
    static const size_t sizes[] = {4, 4, 4, 1, 2};
    size_t wanted = count * sizes[type];
    if (r->type == type && r->size == wanted) return DN_OK;
    return dn_bad_model(message, "layer %s: record %s has %lu bytes of type %d; %lu of type %d (%s) are wanted", layer,
                        name, (unsigned long)r->size, (int)r->type, (unsigned long)wanted, (int)type, type_names[type]);
}

dn_status dn_record_want(dn_records file, const char *layer, const char *array, dn_record_type type, size_t count,
                         dn_record *record, char *message) {
    char name[DN_RECORD_NAME];
    dn_status status = find_of_layer(file, layer, array, name, record, message);
    return status == DN_OK ? check_record(layer, name, record, type, count, message) : status;
}

dn_status dn_record_want_floats(dn_records file, const char *layer, const char *array, size_t count, dn_record *record,
                                char *message) {
    char name[DN_RECORD_NAME];
    dn_status status = find_of_layer(file, layer, array, name, record, message);
    if (status != DN_OK) return status;
    dn_record_type type = record->type == DN_RECORD_HALF ? DN_RECORD_HALF : DN_RECORD_FLOAT;
    return check_record(layer, name, record, type, count, message);
}
