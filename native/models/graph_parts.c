/* Nodes that make sums, norms, gates, states and masks: see graph.h. */
#include <string.h>

#include "models/graph.h"

/* Puts tensors that are one product into a SUM of another one, which has none there. */
static int join_sums(dn_graph *g, const dn_onnx_node *n, const dn_value *a, const dn_value *b) {
    if (a->axis != b->axis || a->length != b->length) return 0;
    if ((a->matrix >= 0 && b->matrix >= 0) || (a->matrix_of_state >= 0 && b->matrix_of_state >= 0)) return 0;
    if (a->bias >= 0 && b->bias >= 0) return 0;
    dn_value v = dn_made_of(g, SUM, a->matrix >= 0 ? a : b);
    const dn_value *signal = a->matrix >= 0 ? a : b, *state = a->matrix >= 0 ? b : a;
    v.axes = a->axes > b->axes ? a->axes : b->axes;
    memcpy(v.size, a->axes > b->axes ? a->size : b->size, sizeof(v.size));
    v.of = signal->of;
    v.of_kind = signal->of_kind;
    v.matrix_of_state = state->matrix_of_state;
    v.state = state->state;
    v.bias = a->bias >= 0 ? a->bias : b->bias;
    return dn_add_value(g, n->outputs[0], v) != NULL;
}

/* Either order of two values of these kinds. */
static int are(const dn_value **a, const dn_value **b, dn_value_kind first, dn_value_kind second) {
    if ((*a)->kind == first && (*b)->kind == second) return 1;
    if ((*a)->kind != second || (*b)->kind != first) return 0;
    const dn_value *swap = *a;
    *a = *b;
    *b = swap;
    return 1;
}

static int same_place(const dn_value *a, const dn_value *b) {
    return a->axis && a->axis == b->axis && a->length == b->length;
}

/* One of an LSTM's new states. */
static int add_new(dn_graph *g, dn_bytes name, const dn_value *shape, int lstm, int part) {
    dn_value v = dn_made_of(g, NEW, shape);
    v.id = dn_id_of_new(lstm, part);
    v.number = lstm;
    v.part = part;
    return dn_add_value(g, name, v) != NULL;
}

int dn_read_add(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    const dn_value *a = in[0], *b = in[1];
    float number = 0;
    dn_value v;
    if (!a || !b) return 0;
    if (a->kind == CONSTANT) {
        a = in[1];
        b = in[0];
    }
    if (a->kind == SUM && b->kind == SUM) return join_sums(g, n, a, b);
    if (are(&a, &b, KEPT_CELL, ENTERING)) {
        return a->number == b->number && same_place(a, b) && add_new(g, n->outputs[0], a, a->number, 1);
    }
    if (b->kind != CONSTANT) return 0;
    if (a->kind == SIGNAL && dn_scalar_of(g, b, &number) && !g->core->has_levels) {
        v = dn_made_of(g, RAISED, a);
        g->core->has_levels = 1;
        g->core->least = number;
        return number >= 1e-30f && number <= 1 && dn_add_value(g, n->outputs[0], v);
    }
    if (a->kind == VARIANCE && dn_scalar_of(g, b, &number)) {
        v = dn_made_of(g, RAISED_VARIANCE, a);
        v.of = a->of;
        if (g->core->norm_least != 0) return 0; /* there is one norm */
        g->core->norm_least = number;
        return dn_add_value(g, n->outputs[0], v) != NULL;
    }
    if (!dn_lies_along(g, b, a)) return 0;
    if (a->kind == SCALED) {
        v = dn_made_of(g, NORMAL, a);
        if (g->core->norm_bias) return 0;
        g->core->norm_bias = dn_tensor_of(g, b);
        g->norm = v.id;
        return dn_add_value(g, n->outputs[0], v) != NULL;
    }
    if (a->kind != SUM || a->bias >= 0) return 0;
    v = *a;
    v.id = g->ids++;
    v.bias = b->number;
    v.axes = a->axes > b->axes ? a->axes : b->axes;
    memcpy(v.size, a->axes > b->axes ? a->size : b->size, sizeof(v.size));
    return dn_add_value(g, n->outputs[0], v) != NULL;
}

/* Says whether a norm may be taken of it, once. */
static int may_be_normed(const dn_graph *g, const dn_value *v) {
    const int is_code = v->kind == SUM && v->matrix >= 0 && v->matrix_of_state < 0 && v->bias < 0 && v->of == g->signal;
    return (v->kind == SIGNAL || v->kind == LEVEL || is_code) && !v->extra && v->axis &&
           (g->norm_of < 0 || g->norm_of == v->id);
}

int dn_read_sub(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    if (!in[0] || !in[1] || !in[0]->axis) return 0;
    if (in[0]->kind == LEVEL && in[1]->kind == FIRST_LEVEL && in[1]->of == in[0]->id && !in[0]->is_shifted) {
        dn_value v = *in[0];
        v.id = g->ids++;
        v.is_shifted = 1;
        return in[1]->axis == 0 && dn_add_value(g, n->outputs[0], v);
    }
    if (in[1]->kind != MEAN || in[1]->of != in[0]->id || in[1]->axis) return 0;
    dn_value v = dn_made_of(g, CENTRED, in[0]);
    return dn_add_value(g, n->outputs[0], v) != NULL;
}

int dn_read_mean(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    int64_t axes[DN_ONNX_INPUTS];
    const dn_value *of = in[0];
    const int count = dn_integers_of(g, n, 1, "axes", axes);
    if (!of || !of->axis || dn_node_attribute(n, "noop_with_empty_axes")) return 0;
    if (count >= 0 && (count != 1 || dn_place_of_axis(axes[0], of->axes) != of->axes - of->axis)) return 0;
    if (count < 0 && n->input_count > 1 && n->inputs[1].size) return 0;
    if (of->kind != SQUARE && !may_be_normed(g, of)) return 0;
    dn_value v = dn_made_of(g, of->kind == SQUARE ? VARIANCE : MEAN, of);
    if (of->kind == SQUARE) v.of = of->of;
    if (of->kind != SQUARE) g->norm_of = of->id;
    const int kept = dn_whole_attribute(n, "keepdims", 1) != 0;
    v.axes = kept ? of->axes : count < 0 ? 0 : of->axes - 1;
    for (int i = 0; i < v.axes; i++) v.size[i] = 1;
    return dn_measure_value(&v) && dn_add_value(g, n->outputs[0], v);
}

int dn_read_mul(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    const dn_value *a = in[0], *b = in[1];
    dn_value v;
    if (!a || !b) return 0;
    if (a->kind == CENTRED && b->kind == CENTRED && a->of == b->of && same_place(a, b)) {
        v = dn_made_of(g, SQUARE, a);
        v.of = a->of;
        return dn_add_value(g, n->outputs[0], v) != NULL;
    }
    if (are(&a, &b, WHITE, CONSTANT)) {
        if (!dn_lies_along(g, b, a) || g->core->norm_weight) return 0;
        v = dn_made_of(g, SCALED, a);
        g->core->norm_weight = dn_tensor_of(g, b);
        v.axes = a->axes > b->axes ? a->axes : b->axes;
        memcpy(v.size, a->axes > b->axes ? a->size : b->size, sizeof(v.size));
        return dn_add_value(g, n->outputs[0], v) != NULL;
    }
    if (!same_place(a, b)) return 0;
    if (are(&a, &b, SIGMOID_GATE, PART)) {
        v = dn_made_of(g, KEPT_CELL, a);
        if (g->core->lstm[a->number].state[1] >= 0) return 0;
        g->core->lstm[a->number].state[1] = b->number;
        return a->part == 1 && dn_add_value(g, n->outputs[0], v);
    }
    if (are(&a, &b, SIGMOID_GATE, TANH_GATE)) {
        v = dn_made_of(g, ENTERING, a);
        return a->part == 0 && b->part == 2 && a->number == b->number && dn_add_value(g, n->outputs[0], v);
    }
    if (are(&a, &b, SIGMOID_GATE, CELL_TANH)) {
        return a->part == 3 && a->number == b->number && add_new(g, n->outputs[0], a, a->number, 0);
    }
    if (are(&a, &b, MASK, SIGNAL)) {
        v = dn_made_of(g, MASKED, a);
        return dn_add_value(g, n->outputs[0], v) != NULL;
    }
    if (are(&a, &b, MASK, SUM)) {
        if (b->of != g->signal || b->bias >= 0 || b->matrix_of_state >= 0 || (g->code >= 0 && g->code != b->id))
            return 0;
        v = dn_made_of(g, KEPT, a);
        g->code = b->id;
        g->core->encode = (dn_core_matrix){&g->onnx->tensors[b->matrix], b->inputs_first};
        g->kept = v.id;
        return dn_add_value(g, n->outputs[0], v) != NULL;
    }
    return 0;
}

int dn_read_div(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    if (!in[0] || !in[1] || in[0]->kind != CENTRED || in[1]->kind != DEVIATION || in[0]->of != in[1]->of) return 0;
    return !in[1]->axis && dn_add_value(g, n->outputs[0], dn_made_of(g, WHITE, in[0]));
}

int dn_read_sqrt(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    if (!in[0] || in[0]->kind != RAISED_VARIANCE) return 0;
    dn_value v = dn_made_of(g, DEVIATION, in[0]);
    v.of = in[0]->of;
    return dn_add_value(g, n->outputs[0], v) != NULL;
}

int dn_read_log(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    return in[0] && in[0]->kind == RAISED && dn_add_value(g, n->outputs[0], dn_made_of(g, LEVEL, in[0]));
}

int dn_read_layer_norm(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    const dn_onnx_attribute *least = dn_node_attribute(n, "epsilon");
    if (!in[0] || n->input_count != 3 || n->output_count != 1 || !may_be_normed(g, in[0]) || g->core->norm_weight) {
        return 0;
    }
    if (in[0]->axis != 1 || dn_place_of_axis(dn_whole_attribute(n, "axis", -1), in[0]->axes) != in[0]->axes - 1)
        return 0;
    if (dn_whole_attribute(n, "stash_type", 1) != 1 || !dn_lies_along(g, in[1], in[0]) ||
        !dn_lies_along(g, in[2], in[0]))
        return 0;
    dn_value v = dn_made_of(g, NORMAL, in[0]);
    g->norm_of = in[0]->id;
    g->norm = v.id;
    g->core->norm_least = least ? least->real : 1e-5f;
    g->core->norm_weight = dn_tensor_of(g, in[1]);
    g->core->norm_bias = dn_tensor_of(g, in[2]);
    return dn_add_value(g, n->outputs[0], v) != NULL;
}

int dn_read_sigmoid(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    if (!in[0]) return 0;
    if (in[0]->kind == GATE)
        return in[0]->part != 2 && dn_add_value(g, n->outputs[0], dn_made_of(g, SIGMOID_GATE, in[0]));
    if (in[0]->kind != SUM || in[0]->matrix < 0 || in[0]->matrix_of_state >= 0 || in[0]->bias < 0) return 0;
    if (in[0]->of != dn_id_of_new(1, 0) || g->core->dense.tensor) return 0;
    dn_value v = dn_made_of(g, MASK, in[0]);
    g->core->dense = (dn_core_matrix){&g->onnx->tensors[in[0]->matrix], in[0]->inputs_first};
    g->core->dense_bias = &g->onnx->tensors[in[0]->bias];
    g->mask = v.id;
    return dn_add_value(g, n->outputs[0], v) != NULL;
}

int dn_read_tanh(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    if (!in[0]) return 0;
    if (in[0]->kind == GATE) return in[0]->part == 2 && dn_add_value(g, n->outputs[0], dn_made_of(g, TANH_GATE, in[0]));
    return in[0]->kind == NEW && in[0]->part == 1 && dn_add_value(g, n->outputs[0], dn_made_of(g, CELL_TANH, in[0]));
}

/* A product of a vector with a matrix: outputs long, along an axis counted from the end. */
static int add_product(dn_graph *g, const dn_onnx_node *n, const dn_value *of, const dn_value *matrix, int64_t outputs,
                       int inputs_first) {
    dn_value v = dn_made_of(g, SUM, of);
    v.size[of->axes - of->axis] = outputs;
    v.matrix = v.matrix_of_state = v.bias = v.state = -1;
    v.extra = v.is_shifted = 0;
    if (of->kind == PART) {
        v.matrix_of_state = matrix->number;
        v.state = of->number;
        if (!inputs_first) return 0;
    } else {
        v.matrix = matrix->number;
        v.inputs_first = inputs_first;
    }
    return dn_measure_value(&v) && v.axis == of->axis && dn_add_value(g, n->outputs[0], v);
}

int dn_read_product(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    const dn_onnx_tensor *t = dn_tensor_of(g, in[1]);
    if (!in[0] || !t || !dn_is_float(t) || t->axes != 2 || in[0]->kind == STATE || in[0]->kind == STACK) return 0;
    if (in[0]->axis != 1 || in[0]->length != t->size[0]) return 0;
    return add_product(g, n, in[0], in[1], t->size[1], 1);
}

int dn_read_convolution(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    const dn_onnx_tensor *t = dn_tensor_of(g, in[1]);
    if (!in[0] || !t || !dn_is_float(t) || n->input_count != 2 || t->axes != 3 || t->size[2] != 1) return 0;
    if (in[0]->axes != 3 || in[0]->axis != 2 || in[0]->length != t->size[1]) return 0;
    if (in[0]->kind == STATE || in[0]->kind == STACK || in[0]->kind == PART) return 0;
    const dn_onnx_attribute *pads = dn_node_attribute(n, "pads"), *how = dn_node_attribute(n, "auto_pad");
    for (int i = 0; pads && i < pads->count; i++) {
        if (pads->numbers[i] != 0) return 0;
    }
    if (how && !dn_bytes_are(how->text, "VALID") && !dn_bytes_are(how->text, "NOTSET")) return 0;
    if (dn_whole_attribute(n, "group", 1) != 1 || dn_whole_attribute(n, "strides", 1) != 1) return 0;
    return add_product(g, n, in[0], in[1], t->size[0], 0);
}

int dn_read_lstm(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    static const char *const known[] = {"hidden_size", "direction", "activations", "linear_before_reset"};
    static const char *const usual[] = {"Sigmoid", "Tanh", "Tanh"};
    const dn_onnx_attribute *way = dn_node_attribute(n, "direction"), *bent = dn_node_attribute(n, "activations");
    for (int i = 0; i < n->attribute_count; i++) {
        int found = 0;
        for (int k = 0; k < 4; k++) found |= dn_bytes_are(n->attributes[i].name, known[k]);
        if (!found) return 0;
    }
    if (way && !dn_bytes_are(way->text, "forward")) return 0;
    for (int i = 0; bent && i < 3; i++) {
        if (bent->text_count != 3 || !dn_bytes_are(bent->texts[i], usual[i])) return 0;
    }
    const dn_onnx_tensor *by_input = dn_tensor_of(g, in[1]), *by_state = dn_tensor_of(g, in[2]),
                         *bias = dn_tensor_of(g, in[3]);
    if (!in[0] || !by_input || !by_state || in[4] || !in[5] || !in[6] || in[7] || g->lstms == 2) return 0;
    if ((n->inputs[3].size && !bias) || n->inputs[4].size || (n->input_count > 7 && n->inputs[7].size)) return 0;
    const int64_t inputs = in[0]->length, units = g->units;
    if (in[0]->axes != 3 || in[0]->axis != 1 || in[0]->extra || dn_whole_attribute(n, "hidden_size", 0) != units)
        return 0;
    if (in[5]->kind != PART || in[6]->kind != PART || in[5]->axis != 1 || in[6]->axis != 1) return 0;
    if (!dn_is_float(by_input) || !dn_is_float(by_state) || (bias && (!dn_is_float(bias) || bias->count != 8 * units)))
        return 0;
    if (by_input->axes != 3 || by_input->size[0] != 1 || by_input->size[1] != 4 * units ||
        by_input->size[2] != inputs) {
        return 0;
    }
    if (by_state->axes != 3 || by_state->size[0] != 1 || by_state->size[1] != 4 * units || by_state->size[2] != units) {
        return 0;
    }
    const int lstm = g->lstms++;
    g->inputs_of[lstm] = in[0]->kind == LEVEL && in[0]->is_shifted ? -1 : in[0]->id;
    g->core->lstm[lstm] = (dn_core_lstm){.input = {by_input, 0},
                                         .recurrent = {by_state, 0},
                                         .bias = bias,
                                         .order = {0, 2, 3, 1}, /* it is input, output, forget, candidate */
                                         .state = {in[5]->number, in[6]->number}};
    for (int i = 0; i < n->output_count && i < 3; i++) {
        dn_value shape = *in[5];
        shape.axes = i == 0 ? 4 : 3;
        for (int k = 0; k < shape.axes; k++) shape.size[k] = k == shape.axes - 1 ? units : 1;
        if (!dn_measure_value(&shape)) return 0;
        if (n->outputs[i].size && !add_new(g, n->outputs[i], &shape, lstm, i == 2)) return 0;
    }
    return n->output_count <= 3;
}

int dn_read_concat(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in) {
    if (!in[0] || n->input_count > DN_STATES) return 0;
    const int axis = dn_place_of_axis(dn_whole_attribute(n, "axis", 99), in[0]->axes);
    if (axis < 0) return 0;
    if (n->input_count == 1) return in[0]->kind != CONSTANT && dn_read_identity(g, n, in);
    dn_value v = dn_made_of(g, STACK, in[0]);
    const int is_last = axis == in[0]->axes - 1, each = in[0]->kind == STACK ? in[0]->stacks : 1;
    v.stacks = 0;
    v.size[axis] = 0;
    for (int i = 0; i < n->input_count; i++) {
        const dn_value *part = in[i];
        if (!part || (part->kind != NEW && part->kind != STACK) || part->axes != v.axes) return 0;
        for (int k = 0; k < v.axes; k++) {
            if (k != axis && part->size[k] != in[0]->size[k]) return 0;
            if (k < axis && part->size[k] != 1 && !is_last) return 0; /* what follows would not follow */
        }
        if ((part->kind == STACK ? part->stacks : 1) != each || v.stacks + each > DN_STATES) return 0;
        if (part->kind == STACK && part->is_interleaved != (in[0]->kind == STACK && in[0]->is_interleaved)) return 0;
        if (is_last && (part->size[axis] != 1 || (part->kind == STACK && part->is_interleaved))) return 0;
        for (int k = 0; k < each; k++) {
            /* those that were one behind the other get the new ones in between */
            int place = is_last ? k * n->input_count + i : v.stacks;
            if (place >= DN_STATES) return 0;
            v.stacked[place] = part->kind == STACK ? part->stacked[k] : part->id;
            v.stacks++;
        }
        v.size[axis] += part->size[axis];
    }
    v.is_interleaved = is_last || (in[0]->kind == STACK && in[0]->is_interleaved);
    return dn_add_value(g, n->outputs[0], v) != NULL;
}
