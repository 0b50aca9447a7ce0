#include "models/taker.h"

#include <math.h>
#include <stdio.h>

#include "hash.h"
#include "larger.h"
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
    t->status = dn_record_want_floats(t->file, layer, array, count, &r, t->message);
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

float *dn_take_parts(dn_taker *t, const char *layer, int inputs, int parts, int columns) {
    return take_parts(t, layer, "weights", inputs, parts, columns, 0);
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

/* Both rounded, the first in the lower half. */
static int32_t pair_of(float first, float second) {
    uint32_t low = (uint16_t)(int16_t)lrintf(first), high = (uint16_t)(int16_t)lrintf(second);
    return (int32_t)(low | high << 16);
}

void dn_take_shorts(dn_taker *t, dn_dense *d) {
    size_t columns = (size_t)d->columns, inputs = (size_t)d->inputs;
    float *unit = t->room ? t->room + t->used : NULL;
    t->used += columns + inputs / 2 * columns;
    if (!unit || t->status != DN_OK) return;
    int32_t *pairs = (int32_t *)(void *)(unit + columns);
    for (size_t c = 0; c < columns; c++) {
        float sum = 0, most = 0;
        for (size_t j = 0; j < inputs; j++) {
            float size = fabsf(d->w[j * columns + c]);
            sum += size;
            most = dn_larger(size, most);
        }
        float whole = most > 1e-30f ? dn_smaller(DN_COLUMN_MOST / sum, 32767.0f / most) : 0;
        unit[c] = whole > 0 ? 1 / whole : 0;
        for (size_t j = 0; j < inputs; j += 2) {
            pairs[j / 2 * columns + c] = pair_of(d->w[j * columns + c] * whole, d->w[(j + 1) * columns + c] * whole);
        }
    }
    d->shorts = pairs;
    d->unit = unit;
}

dn_part_name dn_name_of(const char *owner, int number, const char *part) {
    dn_part_name name;
    snprintf(name.text, sizeof(name.text), "%s%d_%s", owner, number, part);
    return name;
}

dn_dense dn_take_map(dn_taker *t, const char *owner, int number, const char *part, int inputs, int columns) {
    return dn_take_dense(t, dn_name_of(owner, number, part).text, inputs, columns, 1);
}

static void add_to(float *v, int n, float more) {
    for (int i = 0; v && i < n; i++) v[i] += more;
}

dn_bend dn_take_bend(dn_taker *t, const char *layer, int rows, int channels) {
    float *scale = rows ? dn_take(t, layer, "scale", rows, channels) : NULL;
    const float *offset = rows ? dn_take(t, layer, "offset", rows, channels) : NULL;
    float *slope = dn_take(t, layer, "slope", 1, channels);
    /* max(x, 0) + slope min(x, 0) is x + (slope - 1) min(x, 0) */
    add_to(scale, rows * dn_round_up_8(channels), 1);
    add_to(slope, dn_round_up_8(channels), -1);
    return (dn_bend){scale, offset, slope};
}

dn_time_attention dn_take_time(dn_taker *t, const char *owner, int number, int channels, int units) {
    dn_part_name input = dn_name_of(owner, number, "time_input"), map = dn_name_of(owner, number, "time_map");
    dn_part_name recurrent = dn_name_of(owner, number, "time_recurrent");
    dn_time_attention a = {.channels = channels, .units = units, .padded = dn_round_up_8(units)};
    a.input = dn_take_groups(t, input.text, channels, 3, units);
    a.input_bias = dn_take(t, input.text, "bias", 3, units);
    a.recurrent = dn_take_groups(t, recurrent.text, units, 3, units);
    a.recurrent_bias = dn_take(t, recurrent.text, "bias", 3, units);
    a.map = dn_take_groups(t, map.text, units, 1, channels);
    a.map_bias = dn_take(t, map.text, "bias", 1, channels);
    return a;
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
