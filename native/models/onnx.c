#include "models/onnx.h"

#include <string.h>

#include "models/message.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* kinds of fields of a protocol buffer */
static const int64_t most_numbers = 1 << 26;

int dn_bytes_are(dn_bytes bytes, const char *text) {
    return bytes.size == strlen(text) && memcmp(bytes.at, text, bytes.size) == 0;
}

static dn_status unknown(char *message, const char *why) {
    dn_bad_model(message, "%s", why);
    return DN_UNKNOWN_MODEL;
}

/* ---- protocol buffers ---- */

typedef struct {
    int number, kind;
    uint64_t value; /* of a varint; the bits of a fixed one */
    dn_bytes bytes;
} field;

static int take_varint(dn_bytes *rest, uint64_t *value) {
    *value = 0;
    for (int shift = 0; shift < 70 && rest->size; shift += 7) {
        uint8_t byte = *rest->at++;
        rest->size--;
        if (shift < 64) *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return 1;
    }
    return 0;
}

static int take_fixed(dn_bytes *rest, int size, uint64_t *value) {
    *value = 0;
    if (rest->size < (size_t)size) return 0;
    for (int i = 0; i < size; i++) *value |= (uint64_t)rest->at[i] << (8 * i);
    rest->at += size;
    rest->size -= (size_t)size;
    return 1;
}

/* Takes the next field off rest. Returns 1, 0 at the end, -1 where there is none. */
static int take_field(dn_bytes *rest, field *f) {
    uint64_t key;
    if (!rest->size) return 0;
    if (!take_varint(rest, &key) || key >> 3 == 0 || key >> 3 > 1 << 20) return -1;
    *f = (field){.number = (int)(key >> 3), .kind = (int)(key & 7)};
    if (f->kind == VARINT) return take_varint(rest, &f->value) ? 1 : -1;
    if (f->kind == FIXED32) return take_fixed(rest, 4, &f->value) ? 1 : -1;
    if (f->kind == FIXED64) return take_fixed(rest, 8, &f->value) ? 1 : -1;
    if (f->kind != BYTES || !take_varint(rest, &f->value) || f->value > rest->size) return -1;
    f->bytes = (dn_bytes){rest->at, (size_t)f->value};
    rest->at += f->bytes.size;
    rest->size -= f->bytes.size;
    return 1;
}

/* Reads one field of a message; returns whether it is known. */
typedef int field_reader(dn_onnx *onnx, void *target, const field *f);

static int read_message(dn_onnx *onnx, void *target, dn_bytes message, field_reader *read) {
    field f;
    int more;
    while ((more = take_field(&message, &f)) > 0) {
        if (!read(onnx, target, &f)) return 0;
    }
    return more == 0;
}

/* Appends the numbers of a repeated field, one or several packed, to list, of which there are *count. */
static int add_numbers(int64_t *list, int *count, int most, const field *f) {
    dn_bytes rest = f->bytes;
    uint64_t value = f->value;
    if (f->kind != VARINT && f->kind != BYTES) return 0;
    do {
        if (f->kind == BYTES && !rest.size) break;
        if (f->kind == BYTES && !take_varint(&rest, &value)) return 0;
        if (*count >= most) return 0;
        list[(*count)++] = (int64_t)value;
    } while (f->kind == BYTES);
    return 1;
}

/* ---- the messages of ONNX; the numbers are those of its fields ---- */

static int read_tensor_field(dn_onnx *onnx, void *target, const field *f) {
    dn_onnx_tensor *t = target;
    (void)onnx;
    switch (f->number) {
    case 1: /* dims */
        return add_numbers(t->size, &t->axes, DN_ONNX_AXES, f);
    case 2: /* data_type */
        t->type = f->value <= DN_ONNX_HALF ? (dn_onnx_type)f->value : 0;
        return f->kind == VARINT;
    case 4: /* float_data */
    case 7: /* int64_data */
        t->is_packed = f->number == 7;
        if (t->raw.at || (f->number == 4 ? t->type != DN_ONNX_FLOAT : t->type != DN_ONNX_INT64)) return 0;
        t->raw = f->bytes;
        return f->kind == BYTES;
    case 8: /* name */
        t->name = f->bytes;
        return f->kind == BYTES;
    case 9: /* raw_data */
        if (t->raw.at) return 0;
        t->raw = f->bytes;
        return f->kind == BYTES;
    case 12: /* doc_string */
        return f->kind == BYTES;
    case 14: /* data_location: in the file */
        return f->kind == VARINT && f->value == 0;
    default:
        return 0;
    }
}

static int read_tensor(dn_onnx *onnx, dn_bytes message, int *index) {
    if (onnx->tensor_count >= DN_ONNX_TENSORS) return 0;
    *index = onnx->tensor_count;
    dn_onnx_tensor *t = &onnx->tensors[onnx->tensor_count++];
    if (!read_message(onnx, t, message, read_tensor_field)) return 0;
    t->count = 1;
    for (int i = 0; i < t->axes; i++) {
        if (t->size[i] < 0 || t->size[i] > most_numbers) return 0;
        t->count *= t->size[i];
        if (t->count > most_numbers) return 0;
    }
    if (t->is_packed) return t->type == DN_ONNX_INT64 && (int64_t)t->raw.size >= t->count;
    switch (t->type) {
    case DN_ONNX_FLOAT:
        return t->raw.size == (size_t)t->count * 4;
    case DN_ONNX_INT64:
        return t->raw.size == (size_t)t->count * 8;
    case DN_ONNX_HALF:
        return t->raw.size == (size_t)t->count * 2;
    default:
        return 0;
    }
}

static int read_attribute_field(dn_onnx *onnx, void *target, const field *f) {
    dn_onnx_attribute *a = target;
    switch (f->number) {
    case 1: /* name */
        a->name = f->bytes;
        return f->kind == BYTES;
    case 2: { /* f */
        uint32_t bits = (uint32_t)f->value;
        memcpy(&a->real, &bits, sizeof(bits));
        return f->kind == FIXED32;
    }
    case 3: /* i */
        return a->count == 0 && f->kind == VARINT && add_numbers(a->numbers, &a->count, 1, f);
    case 4: /* s */
        a->text = f->bytes;
        return f->kind == BYTES;
    case 5: /* t */
        return f->kind == BYTES && a->tensor < 0 && read_tensor(onnx, f->bytes, &a->tensor);
    case 8: /* ints */
        return add_numbers(a->numbers, &a->count, DN_ONNX_INPUTS, f);
    case 9: /* strings */
        if (f->kind != BYTES || a->text_count >= 3) return 0;
        a->texts[a->text_count++] = f->bytes;
        return 1;
    case 13: /* doc_string */
        return f->kind == BYTES;
    case 20: /* type */
        return f->kind == VARINT;
    default:
        return 0;
    }
}

static int add_name(dn_bytes *list, int *count, const field *f) {
    if (f->kind != BYTES || *count >= DN_ONNX_INPUTS) return 0;
    list[(*count)++] = f->bytes;
    return 1;
}

static int read_node_field(dn_onnx *onnx, void *target, const field *f) {
    dn_onnx_node *n = target;
    switch (f->number) {
    case 1:
        return add_name(n->inputs, &n->input_count, f);
    case 2:
        return add_name(n->outputs, &n->output_count, f);
    case 3: /* name */
    case 6: /* doc_string */
        return f->kind == BYTES;
    case 4:
        n->op = f->bytes;
        return f->kind == BYTES;
    case 5: {
        if (f->kind != BYTES || n->attribute_count >= DN_ONNX_INPUTS) return 0;
        dn_onnx_attribute *a = &n->attributes[n->attribute_count++];
        a->tensor = -1;
        return read_message(onnx, a, f->bytes, read_attribute_field);
    }
    case 7: /* domain: the standard's */
        return f->kind == BYTES && (f->bytes.size == 0 || dn_bytes_are(f->bytes, "ai.onnx"));
    default:
        return 0;
    }
}

static int read_axis_field(dn_onnx *onnx, void *target, const field *f) {
    (void)onnx;
    if (f->number == 1 && f->kind == VARINT) *(int64_t *)target = (int64_t)f->value;
    return f->number == 2 ? f->kind == BYTES : f->number == 1 && f->kind == VARINT;
}

static int read_shape_field(dn_onnx *onnx, void *target, const field *f) {
    dn_onnx_port *p = target;
    if (f->number != 1 || f->kind != BYTES || p->axes >= DN_ONNX_AXES) return 0;
    p->size[p->axes] = 1;
    return read_message(onnx, &p->size[p->axes++], f->bytes, read_axis_field);
}

static int read_kind_field(dn_onnx *onnx, void *target, const field *f) {
    if (f->number == 1) return f->kind == VARINT && f->value == DN_ONNX_FLOAT;
    return f->number == 2 && f->kind == BYTES && read_message(onnx, target, f->bytes, read_shape_field);
}

static int read_type_field(dn_onnx *onnx, void *target, const field *f) {
    return f->number == 1 && f->kind == BYTES && read_message(onnx, target, f->bytes, read_kind_field);
}

static int read_port_field(dn_onnx *onnx, void *target, const field *f) {
    dn_onnx_port *p = target;
    if (f->kind != BYTES) return 0;
    if (f->number == 1) p->name = f->bytes;
    if (f->number == 2) return read_message(onnx, p, f->bytes, read_type_field);
    return f->number == 1 || f->number == 3;
}

static int read_port(dn_onnx *onnx, dn_onnx_port *ports, int *count, dn_bytes message) {
    return *count < DN_ONNX_PORTS && read_message(onnx, &ports[(*count)++], message, read_port_field);
}

static int read_graph_field(dn_onnx *onnx, void *target, const field *f) {
    int index;
    (void)target;
    if (f->kind != BYTES) return 0;
    switch (f->number) {
    case 1: /* node */
        if (onnx->node_count >= DN_ONNX_NODES) return 0;
        return read_message(onnx, &onnx->nodes[onnx->node_count++], f->bytes, read_node_field);
    case 5: /* initializer */
        return read_tensor(onnx, f->bytes, &index);
    case 11: /* input */
        return read_port(onnx, onnx->inputs, &onnx->input_count, f->bytes);
    case 12: /* output */
        return read_port(onnx, onnx->outputs, &onnx->output_count, f->bytes);
    case 2:  /* name */
    case 10: /* doc_string */
    case 13: /* value_info */
        return 1;
    default:
        return 0;
    }
}

/* A set of operators and its version; others than the standard's may be named, as no node of theirs is let in. */
static int read_opset_field(dn_onnx *onnx, void *target, const field *f) {
    int *of_standard = target;
    if (f->number == 1 && f->kind == BYTES) {
        *of_standard = f->bytes.size == 0 || dn_bytes_are(f->bytes, "ai.onnx");
        return 1;
    }
    if (f->number != 2 || f->kind != VARINT || f->value > 1000) return 0;
    if (*of_standard) onnx->opset = (int)f->value;
    return 1;
}

static int read_model_field(dn_onnx *onnx, void *target, const field *f) {
    int of_standard = 1, *graphs = target;
    switch (f->number) {
    case 7: /* graph */
        return f->kind == BYTES && (*graphs)++ == 0 && read_message(onnx, NULL, f->bytes, read_graph_field);
    case 8: /* opset_import */
        return f->kind == BYTES && read_message(onnx, &of_standard, f->bytes, read_opset_field);
    case 1: /* ir_version */
    case 5: /* model_version */
        return f->kind == VARINT;
    case 2: /* producer, its version, domain, doc_string, metadata */
    case 3:
    case 4:
    case 6:
    case 14:
        return f->kind == BYTES;
    default:
        return 0;
    }
}

dn_status dn_onnx_read(dn_onnx *onnx, const void *data, size_t size, char *message) {
    int graphs = 0;
    if (!read_message(onnx, &graphs, (dn_bytes){data, size}, read_model_field)) {
        return unknown(message, "it is no ONNX model, or one with more in it than a DTLN has");
    }
    if (!graphs || !onnx->opset) return unknown(message, "it is no ONNX model");
    return DN_OK;
}

int dn_onnx_integers(const dn_onnx_tensor *tensor, int64_t *numbers, int most) {
    dn_bytes rest = tensor->raw;
    if (tensor->type != DN_ONNX_INT64 || tensor->axes > 1 || tensor->count > most) return -1;
    for (int i = 0; i < (int)tensor->count; i++) {
        uint64_t value;
        if (!(tensor->is_packed ? take_varint(&rest, &value) : take_fixed(&rest, 8, &value))) return -1;
        numbers[i] = (int64_t)value;
    }
    return (int)tensor->count;
}

int dn_onnx_real(const dn_onnx_tensor *tensor, float *value) {
    uint64_t bits;
    dn_bytes rest = tensor->raw;
    if (tensor->type != DN_ONNX_FLOAT || tensor->count != 1 || !take_fixed(&rest, 4, &bits)) return 0;
    uint32_t low = (uint32_t)bits;
    memcpy(value, &low, sizeof(low));
    return 1;
}
