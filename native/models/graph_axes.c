/* Nodes that move axes, cut and put together: see graph.h. */
#include <string.h>

#include "models/graph.h"

/* Gives a value other axes: so many, size. */
static int reshape(dn_graph *g, const dn_onnx_node *n, const dn_value *from, int axes, const int64_t *size) {
    dn_value v = *from;
    if (axes < 0 || axes > DN_ONNX_AXES || from->kind == STATE) return 0;
    v.axes = axes;
    memcpy(v.size, size, (size_t)axes * sizeof(*size));
    if (v.kind == STACK) return dn_add_value(g, n->outputs[0], v) != NULL;
    return dn_measure_value(&v) && v.length == from->length && dn_add_value(g, n->outputs[0], v);
}

int dn_read_identity(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    return in[0] && dn_add_value(g, n->outputs[0], *in[0]);
}

int dn_read_cast(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    const dn_onnx_tensor *t = dn_tensor_of(g, in[0]);
    return t && dn_is_float(t) && dn_whole_attribute(n, "to", 0) == DN_ONNX_FLOAT && dn_read_identity(g, n, in);
}

int dn_read_constant(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    const dn_onnx_attribute *a = dn_node_attribute(n, "value");
    (void)in;
    if (!a || a->tensor < 0) return 0;
    const dn_onnx_tensor *t = &g->onnx->tensors[a->tensor];
    dn_value v = {.kind = CONSTANT, .number = a->tensor, .axes = t->axes};
    memcpy(v.size, t->size, sizeof(v.size));
    dn_measure_value(&v);
    return dn_add_value(g, n->outputs[0], v) != NULL;
}

int dn_read_transpose(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    const dn_onnx_attribute *a = dn_node_attribute(n, "perm");
    int64_t size[DN_ONNX_AXES];
    if (!in[0] || in[0]->kind == CONSTANT || in[0]->kind == STACK || !a || a->count != in[0]->axes) return 0;
    for (int i = 0; i < a->count; i++) {
        if (a->numbers[i] < 0 || a->numbers[i] >= in[0]->axes) return 0;
        size[i] = in[0]->size[a->numbers[i]];
    }
    return reshape(g, n, in[0], a->count, size);
}

int dn_read_squeeze(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    int64_t axes[DN_ONNX_INPUTS], size[DN_ONNX_AXES];
    int count = dn_integers_of(g, n, 1, "axes", axes), left = 0;
    if (!in[0] || in[0]->kind == CONSTANT || count < 1) return 0;
    for (int i = 0; i < in[0]->axes; i++) {
        int goes = 0;
        for (int k = 0; k < count; k++) goes |= dn_place_of_axis(axes[k], in[0]->axes) == i;
        if (goes && in[0]->size[i] != 1) return 0;
        if (!goes) size[left++] = in[0]->size[i];
    }
    return left == in[0]->axes - count && reshape(g, n, in[0], left, size);
}

int dn_read_unsqueeze(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    int64_t axes[DN_ONNX_INPUTS], size[DN_ONNX_AXES];
    int count = dn_integers_of(g, n, 1, "axes", axes), from = 0;
    if (!in[0] || in[0]->kind == CONSTANT || count < 1 || in[0]->axes + count > DN_ONNX_AXES) return 0;
    for (int i = 0; i < in[0]->axes + count; i++) {
        int comes = 0;
        for (int k = 0; k < count; k++) comes |= dn_place_of_axis(axes[k], in[0]->axes + count) == i;
        if (!comes && from == in[0]->axes) return 0;
        size[i] = comes ? 1 : in[0]->size[from++];
    }
    return from == in[0]->axes && reshape(g, n, in[0], in[0]->axes + count, size);
}

int dn_read_reshape(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    int64_t wanted[DN_ONNX_INPUTS], size[DN_ONNX_AXES], known = 1;
    int count = dn_integers_of(g, n, 1, "shape", wanted), open = -1;
    if (!in[0] || in[0]->kind == CONSTANT || in[0]->kind == STACK || count < 1 || count > DN_ONNX_AXES) return 0;
    for (int i = 0; i < count; i++) {
        size[i] = wanted[i] == 0 && i < in[0]->axes ? in[0]->size[i] : wanted[i];
        if (size[i] == -1 && open < 0) {
            open = i;
            continue;
        }
        if (size[i] != 1 && size[i] != in[0]->length) return 0;
        known *= size[i];
        if (known > in[0]->length) return 0;
    }
    if (open >= 0) size[open] = in[0]->length / known;
    return reshape(g, n, in[0], count, size);
}

/* Part of the states [4, 1, units] or [1, 2, units, 2] by its place on their first, or second and last, axis. */
static int add_part(dn_graph *g, dn_bytes name, const dn_value *states, int64_t first, int64_t last, int axes,
                    const int64_t *size) {
    dn_value v = *states;
    v.kind = PART;
    v.number = (int)(states->axes == 3 ? first : 2 * first + last);
    v.axes = axes;
    memcpy(v.size, size, (size_t)axes * sizeof(*size));
    v.id = g->ids++;
    return dn_measure_value(&v) && v.length == g->units && dn_add_value(g, name, v);
}

int dn_read_split(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    const int parts = n->output_count;
    const int axis = in[0] ? dn_place_of_axis(dn_whole_attribute(n, "axis", 0), in[0]->axes) : -1;
    if (axis < 0 || in[0]->kind == CONSTANT || (n->input_count > 1 && n->inputs[1].size)) return 0;
    if (parts == 1 && !dn_node_attribute(n, "split")) return dn_read_identity(g, n, in);
    const dn_onnx_attribute *sizes = dn_node_attribute(n, "split");
    int64_t size[DN_ONNX_AXES];
    memcpy(size, in[0]->size, sizeof(size));
    if (parts != 4 || size[axis] % 4) return 0;
    size[axis] /= 4;
    for (int i = 0; sizes && i < 4; i++) {
        if (sizes->count != 4 || sizes->numbers[i] != size[axis]) return 0;
    }
    if (in[0]->kind == STATE) {
        if (axis || in[0]->axes != 3) return 0;
        for (int i = 0; i < 4; i++) {
            if (!add_part(g, n->outputs[i], in[0], i, 0, 3, size)) return 0;
        }
        return 1;
    }
    /* the gates of an LSTM that is written out, in the order of Keras */
    if (in[0]->kind != SUM || in[0]->matrix < 0 || in[0]->matrix_of_state < 0 || g->lstms == 2) return 0;
    if (in[0]->axes - axis != in[0]->axis || size[axis] != g->units) return 0;
    const dn_onnx_tensor *tensors = g->onnx->tensors;
    g->inputs_of[g->lstms] = in[0]->of;
    g->core->lstm[g->lstms] = (dn_core_lstm){.input = {&tensors[in[0]->matrix], in[0]->inputs_first},
                                             .recurrent = {&tensors[in[0]->matrix_of_state], 1},
                                             .bias = in[0]->bias < 0 ? NULL : &tensors[in[0]->bias],
                                             .order = {0, 1, 2, 3},
                                             .state = {in[0]->state, -1}};
    for (int i = 0; i < 4; i++) {
        dn_value gate = dn_made_of(g, GATE, in[0]);
        memcpy(gate.size, size, sizeof(size));
        gate.number = g->lstms;
        gate.part = i;
        if (!dn_measure_value(&gate) || !dn_add_value(g, n->outputs[i], gate)) return 0;
    }
    g->lstms++;
    return 1;
}

int dn_read_slice(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    int64_t start[DN_ONNX_INPUTS], end[DN_ONNX_INPUTS], axes[DN_ONNX_INPUTS], step[DN_ONNX_INPUTS];
    int64_t from[DN_ONNX_AXES] = {0}, size[DN_ONNX_AXES];
    int count = dn_integers_of(g, n, 1, "starts", start), steps = dn_integers_of(g, n, 4, "steps", step);
    const dn_value *of = in[0];
    if (!of || of->kind == CONSTANT || count < 1 || dn_integers_of(g, n, 2, "ends", end) != count) return 0;
    if (dn_integers_of(g, n, 3, "axes", axes) != count || (steps >= 0 && steps != count)) return 0;
    memcpy(size, of->size, sizeof(size));
    for (int i = 0; i < count; i++) {
        const int axis = dn_place_of_axis(axes[i], of->axes);
        if (axis < 0 || start[i] < 0 || end[i] <= start[i] || (steps >= 0 && step[i] != 1)) return 0;
        if (start[i] >= of->size[axis]) return 0;
        from[axis] = start[i];
        size[axis] = (end[i] < of->size[axis] ? end[i] : of->size[axis]) - start[i];
    }
    if (of->kind == STATE) {
        const int last = of->axes - 1;
        return from[last == 2 ? 1 : 2] == 0 && add_part(g, n->outputs[0], of, last == 2 ? from[0] : from[1],
                                                        last == 2 ? 0 : from[last], of->axes, size);
    }
    dn_value v = *of;
    if (of->kind != LEVEL || !of->axis) return 0;
    memcpy(v.size, size, sizeof(size));
    if (!dn_measure_value(&v) || v.length == of->length)
        return v.length == of->length && dn_add_value(g, n->outputs[0], v);
    if (v.length == 1) { /* one bin: any will do, as a norm takes it out again, but one of those added */
        if (from[of->axes - of->axis] >= of->length - of->extra) return 0;
        v.kind = FIRST_LEVEL;
        v.id = g->ids++;
        v.of = of->id;
        return dn_add_value(g, n->outputs[0], v) != NULL;
    }
    if (from[of->axes - of->axis] != 0 || v.length != of->length - of->extra) return 0;
    v.extra = 0;
    return dn_add_value(g, n->outputs[0], v) != NULL;
}

int dn_read_pad(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    int64_t pads[2 * DN_ONNX_AXES];
    const dn_onnx_attribute *mode = dn_node_attribute(n, "mode");
    const dn_onnx_tensor *t = dn_tensor_of(g, in[1]);
    if (!in[0] || in[0]->kind == CONSTANT || in[0]->kind == STATE || in[0]->kind == STACK || !t) return 0;
    if (mode && !dn_bytes_are(mode->text, "constant")) return 0;
    const int axes = in[0]->axes, last = 2 * axes - 1;
    if (n->input_count > 3 || dn_onnx_integers(t, pads, 2 * DN_ONNX_AXES) != 2 * axes) return 0;
    for (int i = 0; i < last; i++) {
        if (pads[i] != 0) return 0;
    }
    if (pads[last] == 0) return dn_read_identity(g, n, in);
    float filling = 0;
    dn_value v = *in[0];
    if (v.kind != RAISED || v.axis != 1 || v.extra || pads[last] < 0 || pads[last] > 64) return 0;
    if (!dn_scalar_of(g, in[2], &filling) || !(filling > 0)) return 0;
    v.extra = (int)pads[last];
    v.size[axes - 1] += pads[last];
    v.length += pads[last];
    return dn_add_value(g, n->outputs[0], v) != NULL;
}
