/* Reader of record files: the DNNw container of RNNoise 0.2, little-endian, with records of our own for the classic
 * network:
 *     classic_layers                                      int32 [6][3]: inputs, units, activation of each layer
 *     LAYER_weights, LAYER_recurrent (GRUs), LAYER_bias   int8, 256 times the value, in the order of dn_layer
 *     metadata                                            int8: JSON in UTF-8; may be absent
 * Records come in any order; those of other names are passed over. */
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "model.h"

enum { HEAD = 64, NAME = 44, INT32 = 1, INT8 = 3 };

typedef struct {
    const char *name; /* NUL within NAME bytes */
    int32_t type;
    const uint8_t *payload;
    size_t size;
} record;

static int32_t little_endian(const uint8_t *p) {
    return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

/* The record at *at, which is moved behind it. */
static dn_status next_record(const uint8_t *data, size_t size, size_t *at, record *r, char *message) {
    const uint8_t *head = data + *at;
    unsigned long where = (unsigned long)*at;
    if (size - *at < HEAD) return dn_bad_model(message, "the file ends within the record head at byte %lu", where);
    if (memcmp(head, "DNNw", 4) != 0) return dn_bad_model(message, "no record starts at byte %lu", where);
    if (head[20 + NAME - 1] != 0) return dn_bad_model(message, "the record at byte %lu has no proper name", where);
    r->name = (const char *)head + 20;
    int32_t version = little_endian(head + 4), payload = little_endian(head + 12), block = little_endian(head + 16);
    r->type = little_endian(head + 8);
    if (version != 0) return dn_bad_model(message, "record %s has version %ld; 0 is known", r->name, (long)version);
    if (r->type < 0 || r->type > INT8) {
        return dn_bad_model(message, "record %s has type %ld; 0 to 3 are known", r->name, (long)r->type);
    }
    if (payload <= 0 || block < payload || (size_t)block > size - *at - HEAD) {
        return dn_bad_model(message, "record %s: %ld bytes in a block of %ld do not fit the %lu left in the file",
                            r->name, (long)payload, (long)block, (unsigned long)(size - *at - HEAD));
    }
    r->payload = head + HEAD;
    r->size = (size_t)payload;
    *at += HEAD + (size_t)block;
    return DN_OK;
}

/* Finds the one record of that name. DN_OK with payload NULL: there is none. */
static dn_status find_record(const uint8_t *data, size_t size, const char *name, record *found, char *message) {
    *found = (record){0};
    for (size_t at = 0; at < size;) {
        record r;
        dn_status status = next_record(data, size, &at, &r, message);
        if (status != DN_OK) return status;
        if (strcmp(r.name, name) != 0) continue;
        if (found->payload) return dn_bad_model(message, "record %s is there twice", name);
        *found = r;
    }
    return DN_OK;
}

static dn_status read_array(const uint8_t *data, size_t size, const char *layer, const char *array, int8_t *to,
                            size_t count, char *message) {
    char name[NAME];
    record r;
    snprintf(name, sizeof(name), "%s_%s", layer, array);
    dn_status status = find_record(data, size, name, &r, message);
    if (status != DN_OK) return status;
    if (!r.payload) return dn_bad_model(message, "layer %s: there is no record %s", layer, name);
    if (r.type != INT8 || r.size != count) {
        return dn_bad_model(message, "layer %s: record %s has %lu bytes of type %ld; %lu of type 3 (int8) are wanted",
                            layer, name, (unsigned long)r.size, (long)r.type, (unsigned long)count);
    }
    memcpy(to, r.payload, count);
    return DN_OK;
}

static dn_status read_layers(const uint8_t *data, size_t size, const record *shapes, dn_source *source, char *message) {
    for (int i = 0; i < DN_LAYERS; i++) {
        const uint8_t *shape = shapes->payload + 12 * i;
        dn_status status =
            dn_make_layer(source, i, little_endian(shape), little_endian(shape + 4), little_endian(shape + 8), message);
        if (status != DN_OK) return status;
        dn_arrays arrays = dn_layer_arrays(source, i);
        for (int a = 0; a < 3; a++) {
            if (arrays.size[a] == 0) continue;
            status =
                read_array(data, size, source->layer[i].name, arrays.name[a], arrays.place[a], arrays.size[a], message);
            if (status != DN_OK) return status;
        }
    }
    return DN_OK;
}

dn_status dn_read_records(const uint8_t *data, size_t size, dn_source *source, char *message) {
    record shapes, metadata;
    dn_status status = find_record(data, size, "classic_layers", &shapes, message);
    if (status == DN_OK) status = find_record(data, size, "metadata", &metadata, message);
    if (status != DN_OK) return status;
    if (!shapes.payload) {
        return dn_bad_model(message, "there is no record classic_layers: this is not a classic RNNoise network");
    }
    if (shapes.type != INT32 || shapes.size != 12 * DN_LAYERS) {
        return dn_bad_model(message, "record classic_layers has %lu bytes of type %ld; %d of type 1 (int32) are wanted",
                            (unsigned long)shapes.size, (long)shapes.type, 12 * DN_LAYERS);
    }
    if (metadata.payload) {
        source->metadata = dn_new(metadata.size);
        if (!source->metadata) return DN_NO_MEMORY;
        memcpy(source->metadata, metadata.payload, metadata.size);
        source->metadata_size = metadata.size;
    }
    return read_layers(data, size, &shapes, source, message);
}
