#include "models/taker.h"

#include <math.h>

#include "hash.h"
#include "memory.h"
#include "models/message.h"

static const float most_weight = 1e4f; /* within which no network drives its numbers out of range */

/* Takes [rows][parts][columns], each part rounded up to a multiple of 8 columns; in groups of 8 columns if it says so.
 */
static float *take_parts(dn_taker *t, const char *layer, const char *array, int rows, int parts, int columns,
                         int in_groups) {
    dn_record r;
    size_t padded = (size_t)dn_round_up_8(columns), width = (size_t)columns, row = width * (size_t)parts;
    size_t count = (size_t)rows * row;
    if (t->status != DN_OK) return NULL;
    t->status = dn_record_want(t->file, layer, array, DN_RECORD_FLOAT, count, &r, t->message);
    if (t->status != DN_OK) return NULL;
    float *to = t->room ? t->room + t->used : NULL;
    t->used += (size_t)rows * (size_t)parts * padded;
    if (!to) return NULL;
    t->hash = dn_hash(t->hash, r.payload, r.size);
    for (size_t i = 0; i < count; i++) {
        float value = dn_record_float(&r, i);
        if (!(fabsf(value) <= most_weight)) {
            t->status = dn_bad_model(t->message, "layer %s: value %lu of %s is %g; it is to be within +-%g", layer,
                                     (unsigned long)i, array, (double)value, (double)most_weight);
            return NULL;
        }
        size_t column = i % row / width * padded + i % width;
        size_t in_group = (column / 8 * (size_t)rows + i / row) * 8 + column % 8;
        to[in_groups ? in_group : i / row * padded * (size_t)parts + column] = value;
    }
    return to;
}

float *dn_take(dn_taker *t, const char *layer, const char *array, int rows, int columns) {
    return take_parts(t, layer, array, rows, 1, columns, 0);
}

float *dn_take_groups(dn_taker *t, const char *layer, int inputs, int parts, int columns) {
    return take_parts(t, layer, "weights", inputs, parts, columns, 1);
}

dn_dense dn_take_dense(dn_taker *t, const char *layer, int inputs, int columns, int bias_rows) {
    dn_dense d = {.inputs = inputs, .columns = dn_round_up_8(columns)};
    d.w = dn_take(t, layer, "weights", inputs, columns);
    d.bias = dn_take(t, layer, "bias", bias_rows, columns);
    d.bias_row = bias_rows > 1 ? d.columns : 0;
    return d;
}

dn_dense dn_take_alone(dn_taker *t, const char *layer, int inputs, int columns) {
    return (dn_dense){
        .w = dn_take(t, layer, "weights", inputs, columns), .inputs = inputs, .columns = dn_round_up_8(columns)};
}

dn_status dn_take_all(dn_records file, dn_take_network *take, void *net, float **room, uint32_t *hash, char *message) {
    dn_taker t = {.file = file, .hash = *hash, .message = message};
    take(&t, net);
    if (t.status != DN_OK) return t.status;
    *room = dn_new(t.used * sizeof(float));
    if (!*room) return DN_NO_MEMORY;
    t.room = *room;
    t.used = 0;
    take(&t, net);
    *hash = t.hash;
    return t.status;
}
