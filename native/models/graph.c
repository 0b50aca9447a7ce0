#include "models/graph.h"

#include <string.h>

int dn_id_of_new(int lstm, int part) {
    return 1 + 2 * lstm + part;
}

const dn_value *dn_find_value(const dn_graph *g, dn_bytes name) {
    for (int i = g->count; i-- > 0;) {
        const dn_value *v = &g->values[i];
        if (v->name.size == name.size && memcmp(v->name.at, name.at, name.size) == 0) return v;
    }
    return NULL;
}

const dn_onnx_attribute *dn_node_attribute(const dn_onnx_node *n, const char *name) {
    for (int i = 0; i < n->attribute_count; i++) {
        if (dn_bytes_are(n->attributes[i].name, name)) return &n->attributes[i];
    }
    return NULL;
}

int64_t dn_whole_attribute(const dn_onnx_node *n, const char *name, int64_t otherwise) {
    const dn_onnx_attribute *a = dn_node_attribute(n, name);
    return a && a->count == 1 ? a->numbers[0] : otherwise;
}

int dn_measure_value(dn_value *v) {
    v->length = 1;
    v->axis = 0;
    for (int i = 0; i < v->axes; i++) {
        if (v->size[i] == 1) continue;
        if (v->axis || v->size[i] < 1) return 0;
        v->axis = v->axes - i;
        v->length = v->size[i];
    }
    return 1;
}

dn_value *dn_add_value(dn_graph *g, dn_bytes name, dn_value v) {
    if (g->count >= DN_VALUES) return NULL;
    v.name = name;
    g->values[g->count] = v;
    return &g->values[g->count++];
}

dn_value dn_made_of(dn_graph *g, dn_value_kind kind, const dn_value *of) {
    dn_value v = *of;
    v.kind = kind;
    v.id = g->ids++;
    v.of = of->id;
    v.of_kind = of->kind;
    return v;
}

const dn_onnx_tensor *dn_tensor_of(const dn_graph *g, const dn_value *v) {
    return v && v->kind == CONSTANT ? &g->onnx->tensors[v->number] : NULL;
}

int dn_is_float(const dn_onnx_tensor *t) {
    return t->type == DN_ONNX_FLOAT || t->type == DN_ONNX_HALF;
}

int dn_scalar_of(const dn_graph *g, const dn_value *v, float *number) {
    const dn_onnx_tensor *t = dn_tensor_of(g, v);
    return t && dn_onnx_real(t, number);
}

int dn_lies_along(const dn_graph *g, const dn_value *constant, const dn_value *v) {
    const dn_onnx_tensor *t = dn_tensor_of(g, constant);
    return t && dn_is_float(t) && constant->axis && constant->axis == v->axis && constant->length == v->length;
}

int dn_integers_of(const dn_graph *g, const dn_onnx_node *n, int input, const char *name, int64_t *numbers) {
    const dn_onnx_attribute *a = dn_node_attribute(n, name);
    if (a) {
        memcpy(numbers, a->numbers, sizeof(a->numbers));
        return a->count;
    }
    if (input >= n->input_count || !n->inputs[input].size) return -1;
    const dn_onnx_tensor *t = dn_tensor_of(g, dn_find_value(g, n->inputs[input]));
    return t ? dn_onnx_integers(t, numbers, DN_ONNX_INPUTS) : -1;
}

int dn_place_of_axis(int64_t axis, int axes) {
    return axis >= -axes && axis < axes ? (int)(axis < 0 ? axis + axes : axis) : -1;
}
