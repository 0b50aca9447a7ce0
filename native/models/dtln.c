#include "models/dtln.h"

#include <math.h>
#include <string.h>

#include "halves.h"
#include "hash.h"
#include "memory.h"
#include "models/core.h"
#include "models/message.h"

static const float most_weight = 1e4f; /* magnitude of one: with it no samples drive a number out of range */

/* Weights as they lie in a file, perhaps at odd addresses. */
typedef struct {
    const uint8_t *at;
    int is_half;
    size_t input_step, output_step; /* numbers from one input, or output, to the next */
} source;

static float number_at(const source *s, size_t index) {
    if (s->is_half) return dn_half_to_float((uint16_t)(s->at[2 * index] | s->at[2 * index + 1] << 8));
    const uint8_t *b = s->at + 4 * index;
    uint32_t bits = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static source source_of(const dn_onnx_tensor *t) {
    return (source){t->raw.at, t->type == DN_ONNX_HALF, 1, 1};
}

/* Greatest bits of a tensor's numbers without their signs, which are in the order of the magnitudes. */
static uint32_t greatest_bits(const source *s, size_t count) {
    uint32_t most = 0;
    if (s->is_half) {
        for (size_t i = 0; i < count; i++) {
            const uint32_t bits = (uint32_t)(s->at[2 * i] | (s->at[2 * i + 1] & 0x7f) << 8);
            most = bits > most ? bits : most;
        }
        return most;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        const float x = number_at(s, i);
        memcpy(&bits, &x, sizeof(bits));
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return most;
}

static dn_status check_tensor(const dn_onnx_tensor *t, char *message) {
    const source s = source_of(t);
    const uint32_t most = greatest_bits(&s, (size_t)t->count);
    float value;
    if (most >= (s.is_half ? 0x7c00u : 0x7f800000u)) {
        return dn_bad_model(message, "its weights are damaged: there is an infinity or a NaN among them");
    }
    memcpy(&value, &most, sizeof(value));
    if (s.is_half) value = dn_half_to_float((uint16_t)most);
    if (value <= most_weight) return DN_OK;
    dn_bad_model(message, "a weight of it is %g; within +-%g are possible here", (double)value, (double)most_weight);
    return DN_UNKNOWN_MODEL;
}

/* Says whether all of a tensor's numbers are floats of 16 bits without loss. */
static int fits_halves(const dn_onnx_tensor *t) {
    const source s = source_of(t);
    uint16_t half;
    for (size_t i = 0; !s.is_half && i < (size_t)t->count; i++) {
        if (!dn_float_is_half(number_at(&s, i), &half)) return 0;
    }
    return 1;
}

/* A matrix's outputs as they are to lie in columns: parts of so many outputs each, part p being order[p] of the file,
 * and each rounded up to padded. */
typedef struct {
    int parts, outputs, padded;
    int order[4];
} layout;

/* Reads weights of inputs, of which count are there and the rest zero, in panels of 16 columns. */
static void fill_floats(dn_matrix *m, const source *s, const layout *l, int count) {
    for (int p = 0; p < l->parts; p++) {
        for (int o = 0; o < l->outputs; o++) {
            const int column = p * l->padded + o;
            const size_t from = (size_t)(l->order[p] * l->outputs + o) * s->output_step;
            const size_t to = (size_t)(column / 16 * 16) * (size_t)m->inputs + (size_t)(column % 16);
            for (int j = 0; j < count; j++) {
                const float x = number_at(s, from + (size_t)j * s->input_step);
                const size_t at = to + 16 * (size_t)j;
                if (m->form == DN_HALVES) {
                    dn_float_is_half(x, (uint16_t *)m->w + at);
                } else {
                    ((float *)m->w)[at] = x;
                }
            }
        }
    }
}

/* Halves of a file that stay what they are. */
static void copy_halves(dn_matrix *m, const source *s, const layout *l, int count) {
    for (int p = 0; p < l->parts; p++) {
        for (int o = 0; o < l->outputs; o++) {
            const int column = p * l->padded + o;
            const uint8_t *from = s->at + 2 * (size_t)(l->order[p] * l->outputs + o) * s->output_step;
            uint16_t *to = (uint16_t *)m->w + (size_t)(column / 16 * 16) * (size_t)m->inputs + (size_t)(column % 16);
            for (int j = 0; j < count; j++, from += 2 * s->input_step, to += 16) {
                *to = (uint16_t)(from[0] | from[1] << 8);
            }
        }
    }
}

/* Rounds a column's weights, count of them, to steps[16 * inputs], and sees to its scale and sum. */
static void round_column(dn_matrix *m, int column, const float *weights, int count) {
    int8_t *to = (int8_t *)m->w + (size_t)(column / 16 * 16) * (size_t)m->inputs + 4 * (size_t)(column % 16);
    int8_t steps[DN_MOST_BLOCK + 4] = {0};
    float most = 0;
    int32_t sum = 0;
    for (int j = 0; j < count; j++) most = fabsf(weights[j]) > most ? fabsf(weights[j]) : most;
    if (most < 1e-30f) return;
    const float whole = 127 / most;
    for (int j = 0; j < count; j++) {
        const float x = weights[j] * whole;
        const int32_t step = (int32_t)(x + (x < 0 ? -0.5f : 0.5f));
        steps[j] = (int8_t)step;
        sum += step;
    }
    for (int j = 0; j < count; j += 4) memcpy(to + 16 * j, steps + j, 4);
    m->scale[column] = most / 127;
    m->sums[column] = 128 * sum;
}

/* Weights in integers, eight outputs at a time, which lie one beside the other in some files. room: for count * 8. */
static void fill_steps(dn_matrix *m, const source *s, const layout *l, int count, float *room) {
    for (int p = 0; p < l->parts; p++) {
        for (int o = 0; o < l->outputs; o += 8) {
            const int some = l->outputs - o < 8 ? l->outputs - o : 8;
            const size_t from = (size_t)(l->order[p] * l->outputs + o) * s->output_step;
            if (s->input_step == 1) {
                for (int i = 0; i < some; i++) {
                    const size_t begin = from + (size_t)i * s->output_step;
                    for (int j = 0; j < count; j++) room[i * count + j] = number_at(s, begin + (size_t)j);
                }
            } else {
                for (int j = 0; j < count; j++) {
                    for (int i = 0; i < some; i++) {
                        const size_t at = from + (size_t)j * s->input_step + (size_t)i * s->output_step;
                        room[i * count + j] = number_at(s, at);
                    }
                }
            }
            for (int i = 0; i < some; i++) round_column(m, p * l->padded + o + i, room + i * count, count);
        }
    }
}

/* Makes a matrix of count inputs and a layout of outputs. */
static dn_status read_matrix(dn_matrix *m, dn_core_matrix from, int count, layout l, dn_precision precision,
                             char *message) {
    const dn_onnx_tensor *t = from.tensor;
    const size_t outputs = (size_t)(l.parts * l.outputs);
    if (!t || (size_t)t->count != outputs * (size_t)count) {
        dn_bad_model(message, "its matrices are not of the sizes of a DTLN");
        return DN_UNKNOWN_MODEL;
    }
    dn_status status = check_tensor(t, message);
    if (status != DN_OK) return status;
    source s = source_of(t);
    s.input_step = from.inputs_first ? outputs : 1;
    s.output_step = from.inputs_first ? 1 : (size_t)count;
    m->form = precision == DN_INT8 ? DN_STEPS : fits_halves(t) ? DN_HALVES : DN_FLOATS;
    m->inputs = m->form == DN_STEPS ? (count + 3) / 4 * 4 : count;
    m->columns = dn_round_up_16(l.parts * l.padded);
    const size_t each = m->form == DN_STEPS ? 1 : m->form == DN_HALVES ? 2 : 4;
    m->w = dn_new((size_t)m->inputs * (size_t)m->columns * each);
    if (!m->w) return DN_NO_MEMORY;
    if (m->form == DN_STEPS) {
        float *column_of = dn_new(8 * (size_t)count * sizeof(*column_of));
        m->scale = dn_new((size_t)m->columns * sizeof(*m->scale));
        m->sums = dn_new((size_t)m->columns * sizeof(*m->sums));
        if (m->scale && m->sums && column_of) fill_steps(m, &s, &l, count, column_of);
        dn_delete(column_of);
        return m->scale && m->sums ? DN_OK : DN_NO_MEMORY;
    }
    (m->form == DN_HALVES && s.is_half ? copy_halves : fill_floats)(m, &s, &l, count);
    return DN_OK;
}

/* Makes a vector of count numbers, and zeros behind them up to padded. */
static dn_status read_vector(float **out, const dn_onnx_tensor *t, int count, int padded, char *message) {
    if (!t || t->count != count) {
        dn_bad_model(message, "its vectors are not of the sizes of a DTLN");
        return DN_UNKNOWN_MODEL;
    }
    dn_status status = check_tensor(t, message);
    if (status != DN_OK) return status;
    *out = dn_new((size_t)padded * sizeof(**out));
    if (!*out) return DN_NO_MEMORY;
    const source s = source_of(t);
    for (int i = 0; i < count; i++) (*out)[i] = number_at(&s, (size_t)i);
    return DN_OK;
}

static dn_status read_lstm(dn_lstm *lstm, const dn_core_lstm *from, int inputs, int units, int padded,
                           dn_precision precision, char *message) {
    layout l = {.parts = 4, .outputs = units, .padded = padded};
    memcpy(l.order, from->order, sizeof(l.order));
    lstm->units = padded;
    dn_status status = read_matrix(&lstm->input, from->input, inputs, l, precision, message);
    if (status == DN_OK) status = read_matrix(&lstm->recurrent, from->recurrent, units, l, precision, message);
    lstm->bias = dn_new((size_t)(4 * padded) * sizeof(*lstm->bias));
    if (status == DN_OK && !lstm->bias) status = DN_NO_MEMORY;
    if (status != DN_OK || !from->bias) return status;
    const int64_t each = 4 * units;
    if (from->bias->count != each && from->bias->count != 2 * each) {
        dn_bad_model(message, "its biases are not of the sizes of a DTLN");
        return DN_UNKNOWN_MODEL;
    }
    status = check_tensor(from->bias, message);
    if (status != DN_OK) return status;
    const source s = source_of(from->bias);
    for (int p = 0; p < 4; p++) {
        for (int o = 0; o < units; o++) {
            const size_t at = (size_t)(from->order[p] * units + o);
            float sum = number_at(&s, at);
            if (from->bias->count == 2 * each) sum += number_at(&s, at + (size_t)each);
            lstm->bias[p * padded + o] = sum;
        }
    }
    return DN_OK;
}

static dn_status read_core(dn_mask_core *core, const dn_core *from, int inputs, int padded, dn_precision precision,
                           char *message) {
    const layout masks = {.parts = 1, .outputs = inputs, .padded = inputs};
    core->inputs = core->outputs = inputs;
    core->has_levels = from->has_levels;
    core->least = from->least;
    core->norm_least = from->norm_least;
    dn_status status = DN_OK;
    if (from->norm_weight) {
        if (!(from->norm_least >= 1e-30f && from->norm_least <= 1)) {
            dn_bad_model(message, "its norm adds %g to a variance; 1e-30 to 1 are possible here",
                         (double)from->norm_least);
            return DN_UNKNOWN_MODEL;
        }
        status = read_vector(&core->norm_weight, from->norm_weight, inputs, dn_round_up_16(inputs), message);
        if (status == DN_OK)
            status = read_vector(&core->norm_bias, from->norm_bias, inputs, dn_round_up_16(inputs), message);
    }
    /* Plain magnitudes, of which the loud ones would hide the faint, are not rounded to steps of the loudest. */
    const dn_precision of_first = from->stage == 1 && !from->norm_weight ? DN_AS_STORED : precision;
    if (status == DN_OK)
        status = read_lstm(&core->lstm[0], &from->lstm[0], inputs, from->units, padded, of_first, message);
    if (status == DN_OK)
        status = read_lstm(&core->lstm[1], &from->lstm[1], from->units, from->units, padded, precision, message);
    if (status == DN_OK) status = read_matrix(&core->dense, from->dense, from->units, masks, precision, message);
    if (status == DN_OK)
        status = read_vector(&core->dense_bias, from->dense_bias, inputs, dn_round_up_16(inputs), message);
    return status;
}

/* Hash of a file, eight bytes at a time. */
static uint64_t fingerprint_of(uint64_t before, const void *data, size_t size) {
    const char *bytes = data;
    uint64_t h = before;
    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t eight;
        memcpy(&eight, bytes, sizeof(eight));
        h = (h ^ eight) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return (h ^ dn_hash(DN_HASH_START, bytes, size)) * 0x9e3779b97f4a7c15u;
}

static dn_status read_cores(dn_dtln *net, const dn_core *first, const dn_core *second, dn_precision precision,
                            char *message) {
    const int block = second->width;
    if (first->width != block / 2 + 1) {
        return dn_bad_model(message,
                            "the two do not belong together: the first takes %d bins, those of blocks of %d "
                            "samples, the second blocks of %d",
                            first->width, 2 * first->width - 2, block);
    }
    if (block < 16 || (block & (block - 1)) != 0 || second->code > DN_MOST_CODE || first->units != second->units) {
        dn_bad_model(message,
                     "its blocks have %d samples, its codes %d, its LSTMs %d and %d units; a power of two, up to %d "
                     "and equal numbers are possible here",
                     block, second->code, first->units, second->units, DN_MOST_CODE);
        return DN_UNKNOWN_MODEL;
    }
    net->block = block;
    net->code = second->code;
    net->units = dn_round_up_8(first->units);
    const layout code = {.parts = 1, .outputs = net->code, .padded = net->code};
    const layout samples = {.parts = 1, .outputs = block, .padded = block};
    dn_status status = read_core(&net->first, first, first->width, net->units, precision, message);
    if (status == DN_OK) status = read_core(&net->second, second, net->code, net->units, precision, message);
    if (status == DN_OK) status = read_matrix(&net->encode, second->encode, block, code, precision, message);
    if (status == DN_OK) status = read_matrix(&net->decode, second->decode, net->code, samples, precision, message);
    return status == DN_OK ? dn_dtln_prepare(net) : status;
}

dn_status dn_dtln_read(dn_network *base, const void *const data[2], const size_t size[2], dn_precision precision,
                       uint32_t *fingerprint, char *message) {
    dn_core core[2] = {{0}, {0}};
    dn_onnx *onnx[2] = {dn_new(sizeof(dn_onnx)), dn_new(sizeof(dn_onnx))};
    dn_status status = onnx[0] && onnx[1] ? DN_OK : DN_NO_MEMORY;
    for (int i = 0; i < 2 && status == DN_OK; i++) {
        status = dn_onnx_read(onnx[i], data[i], size[i], message);
        if (status != DN_OK) break;
        status = dn_core_recognise(&core[i], onnx[i], DN_MOST_BLOCK, DN_MOST_CELLS, message);
    }
    const int first = core[0].stage == 1 ? 0 : 1;
    if (status == DN_OK && core[0].stage == core[1].stage) {
        const int is_first = core[0].stage == 1;
        status = dn_bad_model(message, "both files are the %s model of a pair; give the %s too",
                              is_first ? "first" : "second", is_first ? "second" : "first");
    }
    ((dn_dtln *)base)->is_swapped = first;
    if (status == DN_OK) status = read_cores((dn_dtln *)base, &core[first], &core[1 - first], precision, message);
    if (status == DN_OK) {
        uint64_t h = fingerprint_of(DN_HASH_START, data[first], size[first]);
        h = fingerprint_of(h, data[1 - first], size[1 - first]);
        *fingerprint = (uint32_t)(h ^ h >> 32);
    }
    dn_delete(onnx[0]);
    dn_delete(onnx[1]);
    return status;
}

static void discard_core(dn_mask_core *core) {
    dn_delete(core->norm_weight);
    dn_delete(core->norm_bias);
    dn_lstm_discard(&core->lstm[0]);
    dn_lstm_discard(&core->lstm[1]);
    dn_matrix_discard(&core->dense);
    dn_delete(core->dense_bias);
}

void dn_dtln_discard(dn_network *base) {
    dn_dtln *net = (dn_dtln *)base;
    dn_blocks_destroy(net->blocks);
    discard_core(&net->first);
    discard_core(&net->second);
    dn_matrix_discard(&net->encode);
    dn_matrix_discard(&net->decode);
}
