/* Reader of RNNoise 0.2's weights blob. Of these records, each linear map L has those that apply:
 *     L_bias             float [outputs]
 *     L_weights_float    float [inputs][outputs], or blocks; preferred where both are there
 *     L_weights_int8     int8, blocks; y = L_scale * sum of q * round(127 x)
 *     L_scale            float [outputs], with int8
 *     L_weights_idx      int32: only some blocks are there; for each 8 outputs how many, then the first input of each
 *     L_weights_diag     float [outputs], of a recurrent map: the diagonals, which the matrix then lacks
 * L_subias makes up for unsigned inputs, ours are signed. All sizes follow from those of the records. */
#include "models/v02.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "memory.h"
#include "models/message.h"
#include "models/records.h"

enum { BLOCK = 32, BLOCK_INPUTS = 4, GROUP = 8 };

static const char *const map_names[DN_MAPS] = {"conv1",      "conv2",          "gru1_input", "gru1_recurrent",
                                               "gru2_input", "gru2_recurrent", "gru3_input", "gru3_recurrent",
                                               "dense_out",  "vad_dense"};

/* The records of one map; payload NULL: it has none. */
typedef struct {
    const char *name;
    int inputs, outputs;
    dn_record bias, weights, index, scale, diagonal;
    size_t blocks; /* in weights, where that is made of blocks */
} parts;

/* Finds the record LAYER_ARRAY; DN_OK with record->payload NULL: there is none. */
static dn_status find_part(dn_records file, const char *layer, const char *array, dn_record *record, char *message) {
    char name[DN_RECORD_NAME];
    snprintf(name, sizeof(name), "%s_%s", layer, array);
    return dn_record_find(file, name, record, message);
}

static dn_status want_floats(dn_records file, const parts *p, const char *array, size_t count, dn_record *record,
                             char *message) {
    dn_status status = dn_record_want(file, p->name, array, DN_RECORD_FLOAT, count, record, message);
    for (size_t i = 0; status == DN_OK && i < count; i++) {
        if (isfinite(dn_record_float(record, i))) continue;
        status = dn_bad_model(message, "layer %s: value %lu of %s is not finite", p->name, (unsigned long)i, array);
    }
    return status;
}

/* Counts the blocks of the index, all of which must lie within the inputs and outputs. */
static dn_status check_index(parts *p, char *message) {
    const dn_record *r = &p->index;
    if (r->type != DN_RECORD_INT32 || r->size % 4 != 0) {
        return dn_bad_model(message, "layer %s: weights_idx has %lu bytes of type %d; type 1 (int32) is wanted",
                            p->name, (unsigned long)r->size, (int)r->type);
    }
    size_t n = r->size / 4, at = 0, groups = 0;
    for (; at < n; groups++) {
        int32_t count = dn_record_int(r, at++);
        if (count < 0 || (size_t)count > n - at || count > p->inputs / BLOCK_INPUTS) {
            return dn_bad_model(message, "layer %s: group %lu of weights_idx is said to have %ld blocks", p->name,
                                (unsigned long)groups, (long)count);
        }
        for (int32_t i = 0; i < count; i++, at++) {
            int32_t place = dn_record_int(r, at);
            if (place >= 0 && place % BLOCK_INPUTS == 0 && place + BLOCK_INPUTS - 1 < p->inputs) continue;
            return dn_bad_model(message,
                                "layer %s: weights_idx has a block at input %ld; multiples of 4 below %d are possible",
                                p->name, (long)place, p->inputs - BLOCK_INPUTS + 1);
        }
        p->blocks += (size_t)count;
    }
    if (groups * GROUP == (size_t)p->outputs) return DN_OK;
    return dn_bad_model(message, "layer %s: weights_idx has %lu groups of 8 outputs, for %d outputs", p->name,
                        (unsigned long)groups, p->outputs);
}

/* Finds the weights, float or int8, and checks that there are as many as there should be. */
static dn_status find_weights(dn_records file, parts *p, char *message) {
    dn_record as_float, as_int8;
    dn_status status = find_part(file, p->name, "weights_float", &as_float, message);
    if (status == DN_OK) status = find_part(file, p->name, "weights_int8", &as_int8, message);
    if (status == DN_OK) status = find_part(file, p->name, "weights_idx", &p->index, message);
    if (status == DN_OK && p->index.payload) status = check_index(p, message);
    if (status != DN_OK) return status;
    size_t count = (size_t)p->inputs * (size_t)p->outputs;
    if (p->index.payload) {
        count = p->blocks * BLOCK;
    } else if (!as_float.payload && as_int8.payload) {
        if (p->inputs % BLOCK_INPUTS != 0 || p->outputs % GROUP != 0) {
            return dn_bad_model(message,
                                "layer %s: int8 weights of %d inputs and %d outputs; multiples of 4 and of 8 are "
                                "possible, or weights_float",
                                p->name, p->inputs, p->outputs);
        }
        p->blocks = count / BLOCK;
    } else if (!as_float.payload) {
        return dn_bad_model(message, "layer %s: there is neither weights_float nor weights_int8", p->name);
    }
    if (!as_float.payload) {
        return dn_record_want(file, p->name, "weights_int8", DN_RECORD_INT8, count, &p->weights, message);
    }
    return want_floats(file, p, "weights_float", count, &p->weights, message);
}

static dn_status find_parts(dn_records file, parts *p, int is_recurrent, char *message) {
    size_t n = (size_t)p->outputs;
    dn_status status = want_floats(file, p, "bias", n, &p->bias, message);
    if (status == DN_OK) status = find_weights(file, p, message);
    if (status == DN_OK && is_recurrent) status = find_part(file, p->name, "weights_diag", &p->diagonal, message);
    if (status == DN_OK && p->diagonal.payload) {
        status = want_floats(file, p, "weights_diag", n, &p->diagonal, message);
    }
    if (status != DN_OK || p->weights.type == DN_RECORD_FLOAT) return status;
    status = want_floats(file, p, "scale", n, &p->scale, message);
    for (size_t i = 0; status == DN_OK && i < n; i++) {
        if (dn_record_float(&p->scale, i) > 0) continue;
        status = dn_bad_model(message, "layer %s: value %lu of scale is not above zero", p->name, (unsigned long)i);
    }
    return status;
}

/* Copies the floats of a record to *room, which is moved behind n of them. NULL for a record that is not there. */
static const float *take_floats(const dn_record *r, size_t n, float **room) {
    if (!r->payload) return NULL;
    float *to = *room;
    for (size_t i = 0; i < r->size / 4; i++) to[i] = dn_record_float(r, i);
    *room += n;
    return to;
}

/* Packs [inputs][outputs] for matvec_add. */
static const float *pack_whole(const parts *p, float *to) {
    for (int j = 0; j < p->inputs; j++) {
        for (int o = 0; o < p->outputs; o++) {
            float value = dn_record_float(&p->weights, (size_t)j * (size_t)p->outputs + (size_t)o);
            to[(o / GROUP * p->inputs + j) * GROUP + o % GROUP] = value;
        }
    }
    return to;
}

/* Says whether matvec_add_int8_batch, or matvec_add_batch, can take the weights: all are there, and no integer is
 * -128. */
static int is_whole(const parts *p) {
    if (p->index.payload) return 0;
    return p->weights.type != DN_RECORD_INT8 || !memchr(p->weights.payload, 0x80, p->weights.size);
}

/* Makes the index of the file, or that of all blocks where it has none. */
static void make_index(const parts *p, uint16_t *to) {
    if (p->index.payload) {
        for (size_t i = 0; i < p->index.size / 4; i++) to[i] = (uint16_t)dn_record_int(&p->index, i);
        return;
    }
    for (int group = 0; group < p->outputs / GROUP; group++) {
        *to++ = (uint16_t)(p->inputs / BLOCK_INPUTS);
        for (int j = 0; j < p->inputs; j += BLOCK_INPUTS) *to++ = (uint16_t)j;
    }
}

static dn_status build_map(const parts *p, dn_linear *l) {
    size_t padded = ((size_t)p->outputs + GROUP - 1) / GROUP * GROUP;
    int is_int8 = p->weights.type == DN_RECORD_INT8, whole = is_whole(p);
    size_t floats = 3 * padded + (is_int8 ? 0 : whole ? (size_t)p->inputs * padded : p->blocks * BLOCK);
    size_t bytes = is_int8 ? p->blocks * BLOCK : 0, index = whole ? 0 : padded / GROUP + p->blocks;
    l->room = dn_new(floats * sizeof(float) + bytes + index * sizeof(uint16_t));
    if (!l->room) return DN_NO_MEMORY;
    float *room = l->room;
    l->inputs = p->inputs;
    l->outputs = p->outputs;
    l->padded = (int)padded;
    l->bias = take_floats(&p->bias, padded, &room);
    l->diagonal = take_floats(&p->diagonal, padded, &room);
    l->scale = take_floats(&p->scale, padded, &room);
    if (is_int8) {
        l->q = memcpy(room, p->weights.payload, bytes);
    } else if (whole && p->outputs > 1) {
        l->w = pack_whole(p, room);
    } else {
        l->w = take_floats(&p->weights, 0, &room);
    }
    if (whole) return DN_OK;
    uint16_t *places = (uint16_t *)(void *)((char *)l->room + floats * sizeof(float) + bytes);
    make_index(p, places);
    l->index = places;
    return DN_OK;
}

/* Reads the number of units of a layer, which is the size of its bias. */
static dn_status read_units(dn_records file, const char *name, int *units, char *message) {
    dn_record bias;
    dn_status status = dn_record_find(file, name, &bias, message);
    if (status != DN_OK) return status;
    if (!bias.payload) return dn_bad_model(message, "there is no record %s: this is no v0.2 network", name);
    if (bias.type != DN_RECORD_FLOAT || bias.size % 4 != 0 || bias.size / 4 > DN_V02_MAX_UNITS) {
        return dn_bad_model(message, "record %s has %lu bytes of type %d; 4 to %d of type 0 (float) are possible", name,
                            (unsigned long)bias.size, (int)bias.type, 4 * DN_V02_MAX_UNITS);
    }
    *units = (int)(bias.size / 4);
    return DN_OK;
}

/* Hash of all that a map is made of, after that of the maps before. */
static uint32_t hash_parts(uint32_t h, const parts *p) {
    const dn_record *records[] = {&p->bias, &p->weights, &p->index, &p->scale, &p->diagonal};
    for (size_t i = 0; i < sizeof(records) / sizeof(*records); i++) {
        uint8_t size[2] = {(uint8_t)records[i]->size, (uint8_t)(records[i]->size >> 8)};
        h = dn_hash(dn_hash(h, size, sizeof(size)), records[i]->payload, records[i]->size);
    }
    return h;
}

dn_status dn_v02_read(dn_network *base, const void *data, size_t size, uint32_t *fingerprint, char *message) {
    const dn_records file = {data, size};
    dn_v02 *net = (dn_v02 *)base;
    dn_status status = read_units(file, "conv1_bias", &net->convolved, message);
    if (status == DN_OK) status = read_units(file, "conv2_bias", &net->units, message);
    int first = net->convolved, n = net->units;
    const int inputs[DN_MAPS] = {3 * DN_V02_FEATURES, 3 * first, n, n, n, n, n, n, 4 * n, 4 * n};
    const int outputs[DN_MAPS] = {first, n, 3 * n, 3 * n, 3 * n, 3 * n, 3 * n, 3 * n, DN_V02_BANDS, 1};
    *fingerprint = dn_hash(DN_HASH_START, "v0.2", 4);
    for (int i = 0; i < DN_MAPS && status == DN_OK; i++) {
        parts p = {.name = map_names[i], .inputs = inputs[i], .outputs = outputs[i]};
        int is_recurrent = i < DN_DENSE_OUT && i >= DN_GRU1_RECURRENT && (i - DN_GRU1_RECURRENT) % 2 == 0;
        status = find_parts(file, &p, is_recurrent, message);
        if (status == DN_OK) status = build_map(&p, &net->map[i]);
        if (status == DN_OK) *fingerprint = hash_parts(*fingerprint, &p);
    }
    if (status == DN_OK) dn_v02_measure(net);
    return status;
}

void dn_v02_discard(dn_network *net) {
    for (int i = 0; i < DN_MAPS; i++) dn_delete(((dn_v02 *)net)->map[i].room);
}

dn_map dn_v02_map(const dn_network *net, int index) {
    const dn_linear *l = &((const dn_v02 *)net)->map[index];
    dn_map map = {map_names[index], l->inputs, l->outputs, l->q != NULL, l->diagonal != NULL, 0};
    if (!l->index) {
        map.weights = (size_t)l->inputs * (size_t)l->outputs;
        return map;
    }
    const uint16_t *group = l->index;
    for (int g = 0; g < l->padded / GROUP; g++, group += 1 + group[0]) map.weights += (size_t)group[0] * BLOCK;
    return map;
}
