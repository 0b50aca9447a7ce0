/* Goes through a graph once, node by node, and says of each value what it is: the signal, one of the states, a product,
 * a gate, a mask. A node that makes none of these of its inputs is none of a DTLN's. All is seen for one channel and
 * one hop, so that a value has but one axis longer than 1, and what only moves axes changes nothing. */
#include "models/core.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "models/message.h"

enum { VALUES = DN_ONNX_NODES * 2 + DN_ONNX_TENSORS + 16, STATES = 4 };

typedef enum {
    NOTHING,
    CONSTANT,
    SIGNAL,
    STATE, /* all four in one, [4, 1, units] or [1, 2, units, 2] */
    PART,  /* one of them */
    RAISED,
    LEVEL,
    FIRST_LEVEL,
    MEAN,
    CENTRED,
    SQUARE,
    VARIANCE,
    RAISED_VARIANCE,
    DEVIATION,
    WHITE,
    SCALED,
    NORMAL,
    SUM, /* of products with matrices, and a bias */
    GATE,
    SIGMOID_GATE,
    TANH_GATE,
    KEPT_CELL,
    ENTERING,
    CELL_TANH,
    NEW, /* a state of an LSTM after the hop */
    STACK,
    MASK,
    MASKED,
    KEPT,
} value_kind;

typedef struct {
    dn_bytes name;
    value_kind kind;
    int axes;
    int64_t size[DN_ONNX_AXES];
    int64_t length; /* of the axis that is longer than 1 */
    int axis;       /* its place, counted from the end, 1 being the last; 0: there is none */
    int id;         /* the same of values that differ in their axes only */
    int of;         /* the value that it was made of, by id */
    value_kind of_kind;
    int number;                  /* of a tensor, a state, an LSTM */
    int part;                    /* of a state: 0 h, 1 c; of a gate its place */
    int extra;                   /* numbers put behind a signal, which are still to be cut off */
    int is_shifted;              /* a level less that of one bin */
    int matrix, matrix_of_state; /* tensors of a SUM, or -1, of which the second is multiplied by state */
    int inputs_first, state;     /* of the first; see there */
    int bias;                    /* tensor, or -1 */
    int stacked[STATES], stacks; /* ids of a STACK, and how many */
    int is_interleaved;          /* they are the last axis */
} value;

typedef struct {
    const dn_onnx *onnx;
    dn_core *core;
    value values[VALUES];
    int count, ids;
    int lstms, inputs_of[2];                     /* and the ids of what they hear */
    int signal, norm_of, norm, code, mask, kept; /* ids */
    int64_t units;
    int is_split; /* the states come in one by one, and the first model answers with masked magnitudes */
} walk;

/* The new states' ids, so that a state that comes out of a node twice is one value. */
static int id_of_new(int lstm, int part) {
    return 1 + 2 * lstm + part;
}

enum { FIRST_ID = 8 };

static const value *find(const walk *w, dn_bytes name) {
    for (int i = w->count; i-- > 0;) {
        const value *v = &w->values[i];
        if (v->name.size == name.size && memcmp(v->name.at, name.at, name.size) == 0) return v;
    }
    return NULL;
}

static const dn_onnx_attribute *attribute(const dn_onnx_node *n, const char *name) {
    for (int i = 0; i < n->attribute_count; i++) {
        if (dn_bytes_are(n->attributes[i].name, name)) return &n->attributes[i];
    }
    return NULL;
}

static int64_t whole_attribute(const dn_onnx_node *n, const char *name, int64_t otherwise) {
    const dn_onnx_attribute *a = attribute(n, name);
    return a && a->count == 1 ? a->numbers[0] : otherwise;
}

/* Sees to length and axis. Returns whether no more than one axis is longer than 1. */
static int measure(value *v) {
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

static value *add(walk *w, dn_bytes name, value v) {
    if (w->count >= VALUES) return NULL;
    v.name = name;
    w->values[w->count] = v;
    return &w->values[w->count++];
}

/* A new value of a kind, of the shape of another one, that was made of. */
static value made_of(walk *w, value_kind kind, const value *of) {
    value v = *of;
    v.kind = kind;
    v.id = w->ids++;
    v.of = of->id;
    v.of_kind = of->kind;
    return v;
}

static const dn_onnx_tensor *tensor_of(const walk *w, const value *v) {
    return v && v->kind == CONSTANT ? &w->onnx->tensors[v->number] : NULL;
}

static int is_float(const dn_onnx_tensor *t) {
    return t->type == DN_ONNX_FLOAT || t->type == DN_ONNX_HALF;
}

/* The one number of a constant, if it is that. */
static int scalar(const walk *w, const value *v, float *number) {
    const dn_onnx_tensor *t = tensor_of(w, v);
    return t && dn_onnx_real(t, number);
}

/* Says whether a constant is a vector that lies as another value does. */
static int lies_along(const walk *w, const value *constant, const value *v) {
    const dn_onnx_tensor *t = tensor_of(w, constant);
    return t && is_float(t) && constant->axis && constant->axis == v->axis && constant->length == v->length;
}

/* Integers of a constant input of a node, or of an attribute; -1: there are none. */
static int integers(const walk *w, const dn_onnx_node *n, int input, const char *name, int64_t *numbers) {
    const dn_onnx_attribute *a = attribute(n, name);
    if (a) {
        memcpy(numbers, a->numbers, sizeof(a->numbers));
        return a->count;
    }
    if (input >= n->input_count || !n->inputs[input].size) return -1;
    const dn_onnx_tensor *t = tensor_of(w, find(w, n->inputs[input]));
    return t ? dn_onnx_integers(t, numbers, DN_ONNX_INPUTS) : -1;
}

static int place_of_axis(int64_t axis, int axes) {
    return axis >= -axes && axis < axes ? (int)(axis < 0 ? axis + axes : axis) : -1;
}

/* ---- nodes, each to what it makes: whether that is known. in: what its first inputs are, NULL for none ---- */

typedef int node_reader(walk *w, const dn_onnx_node *n, const value *const *in);

/* Gives a value other axes: so many, size. */
static int reshape(walk *w, const dn_onnx_node *n, const value *from, int axes, const int64_t *size) {
    value v = *from;
    if (axes < 0 || axes > DN_ONNX_AXES || from->kind == STATE) return 0;
    v.axes = axes;
    memcpy(v.size, size, (size_t)axes * sizeof(*size));
    if (v.kind == STACK) return add(w, n->outputs[0], v) != NULL;
    return measure(&v) && v.length == from->length && add(w, n->outputs[0], v);
}

static int read_identity(walk *w, const dn_onnx_node *n, const value *const *in) {
    return in[0] && add(w, n->outputs[0], *in[0]);
}

static int read_cast(walk *w, const dn_onnx_node *n, const value *const *in) {
    const dn_onnx_tensor *t = tensor_of(w, in[0]);
    return t && is_float(t) && whole_attribute(n, "to", 0) == DN_ONNX_FLOAT && read_identity(w, n, in);
}

static int read_constant(walk *w, const dn_onnx_node *n, const value *const *in) {
    const dn_onnx_attribute *a = attribute(n, "value");
    (void)in;
    if (!a || a->tensor < 0) return 0;
    const dn_onnx_tensor *t = &w->onnx->tensors[a->tensor];
    value v = {.kind = CONSTANT, .number = a->tensor, .axes = t->axes};
    memcpy(v.size, t->size, sizeof(v.size));
    measure(&v);
    return add(w, n->outputs[0], v) != NULL;
}

static int read_transpose(walk *w, const dn_onnx_node *n, const value *const *in) {
    const dn_onnx_attribute *a = attribute(n, "perm");
    int64_t size[DN_ONNX_AXES];
    if (!in[0] || in[0]->kind == CONSTANT || in[0]->kind == STACK || !a || a->count != in[0]->axes) return 0;
    for (int i = 0; i < a->count; i++) {
        if (a->numbers[i] < 0 || a->numbers[i] >= in[0]->axes) return 0;
        size[i] = in[0]->size[a->numbers[i]];
    }
    return reshape(w, n, in[0], a->count, size);
}

static int read_squeeze(walk *w, const dn_onnx_node *n, const value *const *in) {
    int64_t axes[DN_ONNX_INPUTS], size[DN_ONNX_AXES];
    int count = integers(w, n, 1, "axes", axes), left = 0;
    if (!in[0] || in[0]->kind == CONSTANT || count < 1) return 0;
    for (int i = 0; i < in[0]->axes; i++) {
        int goes = 0;
        for (int k = 0; k < count; k++) goes |= place_of_axis(axes[k], in[0]->axes) == i;
        if (goes && in[0]->size[i] != 1) return 0;
        if (!goes) size[left++] = in[0]->size[i];
    }
    return left == in[0]->axes - count && reshape(w, n, in[0], left, size);
}

static int read_unsqueeze(walk *w, const dn_onnx_node *n, const value *const *in) {
    int64_t axes[DN_ONNX_INPUTS], size[DN_ONNX_AXES];
    int count = integers(w, n, 1, "axes", axes), from = 0;
    if (!in[0] || in[0]->kind == CONSTANT || count < 1 || in[0]->axes + count > DN_ONNX_AXES) return 0;
    for (int i = 0; i < in[0]->axes + count; i++) {
        int comes = 0;
        for (int k = 0; k < count; k++) comes |= place_of_axis(axes[k], in[0]->axes + count) == i;
        if (!comes && from == in[0]->axes) return 0;
        size[i] = comes ? 1 : in[0]->size[from++];
    }
    return from == in[0]->axes && reshape(w, n, in[0], in[0]->axes + count, size);
}

static int read_reshape(walk *w, const dn_onnx_node *n, const value *const *in) {
    int64_t wanted[DN_ONNX_INPUTS], size[DN_ONNX_AXES], known = 1;
    int count = integers(w, n, 1, "shape", wanted), open = -1;
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
    return reshape(w, n, in[0], count, size);
}

/* Part of the states [4, 1, units] or [1, 2, units, 2] by its place on their first, or second and last, axis. */
static int add_part(walk *w, dn_bytes name, const value *states, int64_t first, int64_t last, int axes,
                    const int64_t *size) {
    value v = *states;
    v.kind = PART;
    v.number = (int)(states->axes == 3 ? first : 2 * first + last);
    v.axes = axes;
    memcpy(v.size, size, (size_t)axes * sizeof(*size));
    v.id = w->ids++;
    return measure(&v) && v.length == w->units && add(w, name, v);
}

static int read_split(walk *w, const dn_onnx_node *n, const value *const *in) {
    const int parts = n->output_count;
    const int axis = in[0] ? place_of_axis(whole_attribute(n, "axis", 0), in[0]->axes) : -1;
    if (axis < 0 || in[0]->kind == CONSTANT || (n->input_count > 1 && n->inputs[1].size)) return 0;
    if (parts == 1 && !attribute(n, "split")) return read_identity(w, n, in);
    const dn_onnx_attribute *sizes = attribute(n, "split");
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
            if (!add_part(w, n->outputs[i], in[0], i, 0, 3, size)) return 0;
        }
        return 1;
    }
    /* the gates of an LSTM that is written out, in the order of Keras */
    if (in[0]->kind != SUM || in[0]->matrix < 0 || in[0]->matrix_of_state < 0 || w->lstms == 2) return 0;
    if (in[0]->axes - axis != in[0]->axis || size[axis] != w->units) return 0;
    const dn_onnx_tensor *tensors = w->onnx->tensors;
    w->inputs_of[w->lstms] = in[0]->of;
    w->core->lstm[w->lstms] = (dn_core_lstm){.input = {&tensors[in[0]->matrix], in[0]->inputs_first},
                                             .recurrent = {&tensors[in[0]->matrix_of_state], 1},
                                             .bias = in[0]->bias < 0 ? NULL : &tensors[in[0]->bias],
                                             .order = {0, 1, 2, 3},
                                             .state = {in[0]->state, -1}};
    for (int i = 0; i < 4; i++) {
        value gate = made_of(w, GATE, in[0]);
        memcpy(gate.size, size, sizeof(size));
        gate.number = w->lstms;
        gate.part = i;
        if (!measure(&gate) || !add(w, n->outputs[i], gate)) return 0;
    }
    w->lstms++;
    return 1;
}

static int read_slice(walk *w, const dn_onnx_node *n, const value *const *in) {
    int64_t start[DN_ONNX_INPUTS], end[DN_ONNX_INPUTS], axes[DN_ONNX_INPUTS], step[DN_ONNX_INPUTS];
    int64_t from[DN_ONNX_AXES] = {0}, size[DN_ONNX_AXES];
    int count = integers(w, n, 1, "starts", start), steps = integers(w, n, 4, "steps", step);
    const value *of = in[0];
    if (!of || of->kind == CONSTANT || count < 1 || integers(w, n, 2, "ends", end) != count) return 0;
    if (integers(w, n, 3, "axes", axes) != count || (steps >= 0 && steps != count)) return 0;
    memcpy(size, of->size, sizeof(size));
    for (int i = 0; i < count; i++) {
        const int axis = place_of_axis(axes[i], of->axes);
        if (axis < 0 || start[i] < 0 || end[i] <= start[i] || (steps >= 0 && step[i] != 1)) return 0;
        if (start[i] >= of->size[axis]) return 0;
        from[axis] = start[i];
        size[axis] = (end[i] < of->size[axis] ? end[i] : of->size[axis]) - start[i];
    }
    if (of->kind == STATE) {
        const int last = of->axes - 1;
        return from[last == 2 ? 1 : 2] == 0 && add_part(w, n->outputs[0], of, last == 2 ? from[0] : from[1],
                                                        last == 2 ? 0 : from[last], of->axes, size);
    }
    value v = *of;
    if (of->kind != LEVEL || !of->axis) return 0;
    memcpy(v.size, size, sizeof(size));
    if (!measure(&v) || v.length == of->length) return v.length == of->length && add(w, n->outputs[0], v);
    if (v.length == 1) { /* one bin: any will do, as a norm takes it out again, but one of those added */
        if (from[of->axes - of->axis] >= of->length - of->extra) return 0;
        v.kind = FIRST_LEVEL;
        v.id = w->ids++;
        v.of = of->id;
        return add(w, n->outputs[0], v) != NULL;
    }
    if (from[of->axes - of->axis] != 0 || v.length != of->length - of->extra) return 0;
    v.extra = 0;
    return add(w, n->outputs[0], v) != NULL;
}

static int read_pad(walk *w, const dn_onnx_node *n, const value *const *in) {
    int64_t pads[2 * DN_ONNX_AXES];
    const dn_onnx_attribute *mode = attribute(n, "mode");
    const dn_onnx_tensor *t = tensor_of(w, in[1]);
    if (!in[0] || in[0]->kind == CONSTANT || in[0]->kind == STATE || in[0]->kind == STACK || !t) return 0;
    if (mode && !dn_bytes_are(mode->text, "constant")) return 0;
    const int axes = in[0]->axes, last = 2 * axes - 1;
    if (n->input_count > 3 || dn_onnx_integers(t, pads, 2 * DN_ONNX_AXES) != 2 * axes) return 0;
    for (int i = 0; i < last; i++) {
        if (pads[i] != 0) return 0;
    }
    if (pads[last] == 0) return read_identity(w, n, in);
    float filling = 0;
    value v = *in[0];
    if (v.kind != RAISED || v.axis != 1 || v.extra || pads[last] < 0 || pads[last] > 64) return 0;
    if (!scalar(w, in[2], &filling) || !(filling > 0)) return 0;
    v.extra = (int)pads[last];
    v.size[axes - 1] += pads[last];
    v.length += pads[last];
    return add(w, n->outputs[0], v) != NULL;
}

/* Puts tensors that are one product into a SUM of another one, which has none there. */
static int join_sums(walk *w, const dn_onnx_node *n, const value *a, const value *b) {
    if (a->axis != b->axis || a->length != b->length) return 0;
    if ((a->matrix >= 0 && b->matrix >= 0) || (a->matrix_of_state >= 0 && b->matrix_of_state >= 0)) return 0;
    if (a->bias >= 0 && b->bias >= 0) return 0;
    value v = made_of(w, SUM, a->matrix >= 0 ? a : b);
    const value *signal = a->matrix >= 0 ? a : b, *state = a->matrix >= 0 ? b : a;
    v.axes = a->axes > b->axes ? a->axes : b->axes;
    memcpy(v.size, a->axes > b->axes ? a->size : b->size, sizeof(v.size));
    v.of = signal->of;
    v.of_kind = signal->of_kind;
    v.matrix_of_state = state->matrix_of_state;
    v.state = state->state;
    v.bias = a->bias >= 0 ? a->bias : b->bias;
    return add(w, n->outputs[0], v) != NULL;
}

/* Either order of two values of these kinds. */
static int are(const value **a, const value **b, value_kind first, value_kind second) {
    if ((*a)->kind == first && (*b)->kind == second) return 1;
    if ((*a)->kind != second || (*b)->kind != first) return 0;
    const value *swap = *a;
    *a = *b;
    *b = swap;
    return 1;
}

static int same_place(const value *a, const value *b) {
    return a->axis && a->axis == b->axis && a->length == b->length;
}

/* One of an LSTM's new states. */
static int add_new(walk *w, dn_bytes name, const value *shape, int lstm, int part) {
    value v = made_of(w, NEW, shape);
    v.id = id_of_new(lstm, part);
    v.number = lstm;
    v.part = part;
    return add(w, name, v) != NULL;
}

static int read_add(walk *w, const dn_onnx_node *n, const value *const *in) {
    const value *a = in[0], *b = in[1];
    float number = 0;
    value v;
    if (!a || !b) return 0;
    if (a->kind == CONSTANT) {
        a = in[1];
        b = in[0];
    }
    if (a->kind == SUM && b->kind == SUM) return join_sums(w, n, a, b);
    if (are(&a, &b, KEPT_CELL, ENTERING)) {
        return a->number == b->number && same_place(a, b) && add_new(w, n->outputs[0], a, a->number, 1);
    }
    if (b->kind != CONSTANT) return 0;
    if (a->kind == SIGNAL && scalar(w, b, &number) && !w->core->has_levels) {
        v = made_of(w, RAISED, a);
        w->core->has_levels = 1;
        w->core->least = number;
        return number >= 1e-30f && number <= 1 && add(w, n->outputs[0], v);
    }
    if (a->kind == VARIANCE && scalar(w, b, &number)) {
        v = made_of(w, RAISED_VARIANCE, a);
        v.of = a->of;
        if (w->core->norm_least != 0) return 0; /* there is one norm */
        w->core->norm_least = number;
        return add(w, n->outputs[0], v) != NULL;
    }
    if (!lies_along(w, b, a)) return 0;
    if (a->kind == SCALED) {
        v = made_of(w, NORMAL, a);
        if (w->core->norm_bias) return 0;
        w->core->norm_bias = tensor_of(w, b);
        w->norm = v.id;
        return add(w, n->outputs[0], v) != NULL;
    }
    if (a->kind != SUM || a->bias >= 0) return 0;
    v = *a;
    v.id = w->ids++;
    v.bias = b->number;
    v.axes = a->axes > b->axes ? a->axes : b->axes;
    memcpy(v.size, a->axes > b->axes ? a->size : b->size, sizeof(v.size));
    return add(w, n->outputs[0], v) != NULL;
}

/* Says whether a norm may be taken of it, once. */
static int may_be_normed(const walk *w, const value *v) {
    const int is_code = v->kind == SUM && v->matrix >= 0 && v->matrix_of_state < 0 && v->bias < 0 && v->of == w->signal;
    return (v->kind == SIGNAL || v->kind == LEVEL || is_code) && !v->extra && v->axis &&
           (w->norm_of < 0 || w->norm_of == v->id);
}

static int read_sub(walk *w, const dn_onnx_node *n, const value *const *in) {
    if (!in[0] || !in[1] || !in[0]->axis) return 0;
    if (in[0]->kind == LEVEL && in[1]->kind == FIRST_LEVEL && in[1]->of == in[0]->id && !in[0]->is_shifted) {
        value v = *in[0];
        v.id = w->ids++;
        v.is_shifted = 1;
        return in[1]->axis == 0 && add(w, n->outputs[0], v);
    }
    if (in[1]->kind != MEAN || in[1]->of != in[0]->id || in[1]->axis) return 0;
    value v = made_of(w, CENTRED, in[0]);
    return add(w, n->outputs[0], v) != NULL;
}

static int read_mean(walk *w, const dn_onnx_node *n, const value *const *in) {
    int64_t axes[DN_ONNX_INPUTS];
    const value *of = in[0];
    const int count = integers(w, n, 1, "axes", axes);
    if (!of || !of->axis || attribute(n, "noop_with_empty_axes")) return 0;
    if (count >= 0 && (count != 1 || place_of_axis(axes[0], of->axes) != of->axes - of->axis)) return 0;
    if (count < 0 && n->input_count > 1 && n->inputs[1].size) return 0;
    if (of->kind != SQUARE && !may_be_normed(w, of)) return 0;
    value v = made_of(w, of->kind == SQUARE ? VARIANCE : MEAN, of);
    if (of->kind == SQUARE) v.of = of->of;
    if (of->kind != SQUARE) w->norm_of = of->id;
    const int kept = whole_attribute(n, "keepdims", 1) != 0;
    v.axes = kept ? of->axes : count < 0 ? 0 : of->axes - 1;
    for (int i = 0; i < v.axes; i++) v.size[i] = 1;
    return measure(&v) && add(w, n->outputs[0], v);
}

static int read_mul(walk *w, const dn_onnx_node *n, const value *const *in) {
    const value *a = in[0], *b = in[1];
    value v;
    if (!a || !b) return 0;
    if (a->kind == CENTRED && b->kind == CENTRED && a->of == b->of && same_place(a, b)) {
        v = made_of(w, SQUARE, a);
        v.of = a->of;
        return add(w, n->outputs[0], v) != NULL;
    }
    if (are(&a, &b, WHITE, CONSTANT)) {
        if (!lies_along(w, b, a) || w->core->norm_weight) return 0;
        v = made_of(w, SCALED, a);
        w->core->norm_weight = tensor_of(w, b);
        v.axes = a->axes > b->axes ? a->axes : b->axes;
        memcpy(v.size, a->axes > b->axes ? a->size : b->size, sizeof(v.size));
        return add(w, n->outputs[0], v) != NULL;
    }
    if (!same_place(a, b)) return 0;
    if (are(&a, &b, SIGMOID_GATE, PART)) {
        v = made_of(w, KEPT_CELL, a);
        if (w->core->lstm[a->number].state[1] >= 0) return 0;
        w->core->lstm[a->number].state[1] = b->number;
        return a->part == 1 && add(w, n->outputs[0], v);
    }
    if (are(&a, &b, SIGMOID_GATE, TANH_GATE)) {
        v = made_of(w, ENTERING, a);
        return a->part == 0 && b->part == 2 && a->number == b->number && add(w, n->outputs[0], v);
    }
    if (are(&a, &b, SIGMOID_GATE, CELL_TANH)) {
        return a->part == 3 && a->number == b->number && add_new(w, n->outputs[0], a, a->number, 0);
    }
    if (are(&a, &b, MASK, SIGNAL)) {
        v = made_of(w, MASKED, a);
        return add(w, n->outputs[0], v) != NULL;
    }
    if (are(&a, &b, MASK, SUM)) {
        if (b->of != w->signal || b->bias >= 0 || b->matrix_of_state >= 0 || (w->code >= 0 && w->code != b->id))
            return 0;
        v = made_of(w, KEPT, a);
        w->code = b->id;
        w->core->encode = (dn_core_matrix){&w->onnx->tensors[b->matrix], b->inputs_first};
        w->kept = v.id;
        return add(w, n->outputs[0], v) != NULL;
    }
    return 0;
}

static int read_div(walk *w, const dn_onnx_node *n, const value *const *in) {
    if (!in[0] || !in[1] || in[0]->kind != CENTRED || in[1]->kind != DEVIATION || in[0]->of != in[1]->of) return 0;
    return !in[1]->axis && add(w, n->outputs[0], made_of(w, WHITE, in[0]));
}

static int read_sqrt(walk *w, const dn_onnx_node *n, const value *const *in) {
    if (!in[0] || in[0]->kind != RAISED_VARIANCE) return 0;
    value v = made_of(w, DEVIATION, in[0]);
    v.of = in[0]->of;
    return add(w, n->outputs[0], v) != NULL;
}

static int read_log(walk *w, const dn_onnx_node *n, const value *const *in) {
    return in[0] && in[0]->kind == RAISED && add(w, n->outputs[0], made_of(w, LEVEL, in[0]));
}

static int read_layer_norm(walk *w, const dn_onnx_node *n, const value *const *in) {
    const dn_onnx_attribute *least = attribute(n, "epsilon");
    if (!in[0] || n->input_count != 3 || n->output_count != 1 || !may_be_normed(w, in[0]) || w->core->norm_weight) {
        return 0;
    }
    if (in[0]->axis != 1 || place_of_axis(whole_attribute(n, "axis", -1), in[0]->axes) != in[0]->axes - 1) return 0;
    if (whole_attribute(n, "stash_type", 1) != 1 || !lies_along(w, in[1], in[0]) || !lies_along(w, in[2], in[0]))
        return 0;
    value v = made_of(w, NORMAL, in[0]);
    w->norm_of = in[0]->id;
    w->norm = v.id;
    w->core->norm_least = least ? least->real : 1e-5f;
    w->core->norm_weight = tensor_of(w, in[1]);
    w->core->norm_bias = tensor_of(w, in[2]);
    return add(w, n->outputs[0], v) != NULL;
}

static int read_sigmoid(walk *w, const dn_onnx_node *n, const value *const *in) {
    if (!in[0]) return 0;
    if (in[0]->kind == GATE) return in[0]->part != 2 && add(w, n->outputs[0], made_of(w, SIGMOID_GATE, in[0]));
    if (in[0]->kind != SUM || in[0]->matrix < 0 || in[0]->matrix_of_state >= 0 || in[0]->bias < 0) return 0;
    if (in[0]->of != id_of_new(1, 0) || w->core->dense.tensor) return 0;
    value v = made_of(w, MASK, in[0]);
    w->core->dense = (dn_core_matrix){&w->onnx->tensors[in[0]->matrix], in[0]->inputs_first};
    w->core->dense_bias = &w->onnx->tensors[in[0]->bias];
    w->mask = v.id;
    return add(w, n->outputs[0], v) != NULL;
}

static int read_tanh(walk *w, const dn_onnx_node *n, const value *const *in) {
    if (!in[0]) return 0;
    if (in[0]->kind == GATE) return in[0]->part == 2 && add(w, n->outputs[0], made_of(w, TANH_GATE, in[0]));
    return in[0]->kind == NEW && in[0]->part == 1 && add(w, n->outputs[0], made_of(w, CELL_TANH, in[0]));
}

/* A product of a vector with a matrix: outputs long, along an axis counted from the end. */
static int add_product(walk *w, const dn_onnx_node *n, const value *of, const value *matrix, int64_t outputs,
                       int inputs_first) {
    value v = made_of(w, SUM, of);
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
    return measure(&v) && v.axis == of->axis && add(w, n->outputs[0], v);
}

static int read_product(walk *w, const dn_onnx_node *n, const value *const *in) {
    const dn_onnx_tensor *t = tensor_of(w, in[1]);
    if (!in[0] || !t || !is_float(t) || t->axes != 2 || in[0]->kind == STATE || in[0]->kind == STACK) return 0;
    if (in[0]->axis != 1 || in[0]->length != t->size[0]) return 0;
    return add_product(w, n, in[0], in[1], t->size[1], 1);
}

static int read_convolution(walk *w, const dn_onnx_node *n, const value *const *in) {
    const dn_onnx_tensor *t = tensor_of(w, in[1]);
    if (!in[0] || !t || !is_float(t) || n->input_count != 2 || t->axes != 3 || t->size[2] != 1) return 0;
    if (in[0]->axes != 3 || in[0]->axis != 2 || in[0]->length != t->size[1]) return 0;
    if (in[0]->kind == STATE || in[0]->kind == STACK || in[0]->kind == PART) return 0;
    const dn_onnx_attribute *pads = attribute(n, "pads"), *how = attribute(n, "auto_pad");
    for (int i = 0; pads && i < pads->count; i++) {
        if (pads->numbers[i] != 0) return 0;
    }
    if (how && !dn_bytes_are(how->text, "VALID") && !dn_bytes_are(how->text, "NOTSET")) return 0;
    if (whole_attribute(n, "group", 1) != 1 || whole_attribute(n, "strides", 1) != 1) return 0;
    return add_product(w, n, in[0], in[1], t->size[0], 0);
}

static int read_lstm(walk *w, const dn_onnx_node *n, const value *const *in) {
    static const char *const known[] = {"hidden_size", "direction", "activations", "linear_before_reset"};
    static const char *const usual[] = {"Sigmoid", "Tanh", "Tanh"};
    const dn_onnx_attribute *way = attribute(n, "direction"), *bent = attribute(n, "activations");
    for (int i = 0; i < n->attribute_count; i++) {
        int found = 0;
        for (int k = 0; k < 4; k++) found |= dn_bytes_are(n->attributes[i].name, known[k]);
        if (!found) return 0;
    }
    if (way && !dn_bytes_are(way->text, "forward")) return 0;
    for (int i = 0; bent && i < 3; i++) {
        if (bent->text_count != 3 || !dn_bytes_are(bent->texts[i], usual[i])) return 0;
    }
    const dn_onnx_tensor *by_input = tensor_of(w, in[1]), *by_state = tensor_of(w, in[2]), *bias = tensor_of(w, in[3]);
    if (!in[0] || !by_input || !by_state || in[4] || !in[5] || !in[6] || in[7] || w->lstms == 2) return 0;
    if ((n->inputs[3].size && !bias) || n->inputs[4].size || (n->input_count > 7 && n->inputs[7].size)) return 0;
    const int64_t inputs = in[0]->length, units = w->units;
    if (in[0]->axes != 3 || in[0]->axis != 1 || in[0]->extra || whole_attribute(n, "hidden_size", 0) != units) return 0;
    if (in[5]->kind != PART || in[6]->kind != PART || in[5]->axis != 1 || in[6]->axis != 1) return 0;
    if (!is_float(by_input) || !is_float(by_state) || (bias && (!is_float(bias) || bias->count != 8 * units))) return 0;
    if (by_input->axes != 3 || by_input->size[0] != 1 || by_input->size[1] != 4 * units ||
        by_input->size[2] != inputs) {
        return 0;
    }
    if (by_state->axes != 3 || by_state->size[0] != 1 || by_state->size[1] != 4 * units || by_state->size[2] != units) {
        return 0;
    }
    const int lstm = w->lstms++;
    w->inputs_of[lstm] = in[0]->kind == LEVEL && in[0]->is_shifted ? -1 : in[0]->id;
    w->core->lstm[lstm] = (dn_core_lstm){.input = {by_input, 0},
                                         .recurrent = {by_state, 0},
                                         .bias = bias,
                                         .order = {0, 2, 3, 1}, /* it is input, output, forget, candidate */
                                         .state = {in[5]->number, in[6]->number}};
    for (int i = 0; i < n->output_count && i < 3; i++) {
        value shape = *in[5];
        shape.axes = i == 0 ? 4 : 3;
        for (int k = 0; k < shape.axes; k++) shape.size[k] = k == shape.axes - 1 ? units : 1;
        if (!measure(&shape)) return 0;
        if (n->outputs[i].size && !add_new(w, n->outputs[i], &shape, lstm, i == 2)) return 0;
    }
    return n->output_count <= 3;
}

static int read_concat(walk *w, const dn_onnx_node *n, const value *const *in) {
    if (!in[0] || n->input_count > STATES) return 0;
    const int axis = place_of_axis(whole_attribute(n, "axis", 99), in[0]->axes);
    if (axis < 0) return 0;
    if (n->input_count == 1) return in[0]->kind != CONSTANT && read_identity(w, n, in);
    value v = made_of(w, STACK, in[0]);
    const int is_last = axis == in[0]->axes - 1, each = in[0]->kind == STACK ? in[0]->stacks : 1;
    v.stacks = 0;
    v.size[axis] = 0;
    for (int i = 0; i < n->input_count; i++) {
        const value *part = in[i];
        if (!part || (part->kind != NEW && part->kind != STACK) || part->axes != v.axes) return 0;
        for (int k = 0; k < v.axes; k++) {
            if (k != axis && part->size[k] != in[0]->size[k]) return 0;
            if (k < axis && part->size[k] != 1 && !is_last) return 0; /* what follows would not follow */
        }
        if ((part->kind == STACK ? part->stacks : 1) != each || v.stacks + each > STATES) return 0;
        if (part->kind == STACK && part->is_interleaved != (in[0]->kind == STACK && in[0]->is_interleaved)) return 0;
        if (is_last && (part->size[axis] != 1 || (part->kind == STACK && part->is_interleaved))) return 0;
        for (int k = 0; k < each; k++) {
            /* those that were one behind the other get the new ones in between */
            int place = is_last ? k * n->input_count + i : v.stacks;
            if (place >= STATES) return 0;
            v.stacked[place] = part->kind == STACK ? part->stacked[k] : part->id;
            v.stacks++;
        }
        v.size[axis] += part->size[axis];
    }
    v.is_interleaved = is_last || (in[0]->kind == STACK && in[0]->is_interleaved);
    return add(w, n->outputs[0], v) != NULL;
}

static const struct {
    const char *op;
    node_reader *read;
} operators[] = {
    {"Identity", read_identity}, {"Cast", read_cast},
    {"Constant", read_constant}, {"Transpose", read_transpose},
    {"Squeeze", read_squeeze},   {"Unsqueeze", read_unsqueeze},
    {"Reshape", read_reshape},   {"Split", read_split},
    {"Slice", read_slice},       {"Pad", read_pad},
    {"Add", read_add},           {"Sub", read_sub},
    {"Mul", read_mul},           {"Div", read_div},
    {"Sqrt", read_sqrt},         {"Log", read_log},
    {"ReduceMean", read_mean},   {"LayerNormalization", read_layer_norm},
    {"Sigmoid", read_sigmoid},   {"Tanh", read_tanh},
    {"MatMul", read_product},    {"Conv", read_convolution},
    {"LSTM", read_lstm},         {"Concat", read_concat},
};

static int read_node(walk *w, const dn_onnx_node *n) {
    const value *in[DN_ONNX_INPUTS] = {NULL};
    value inputs[DN_ONNX_INPUTS]; /* as adding values must not move them */
    for (int i = 0; i < n->input_count; i++) {
        const value *v = n->inputs[i].size ? find(w, n->inputs[i]) : NULL;
        if (!v && n->inputs[i].size) return 0;
        if (v) inputs[i] = *v;
        in[i] = v ? &inputs[i] : NULL;
    }
    for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++) {
        if (dn_bytes_are(n->op, operators[i].op)) return n->output_count > 0 && operators[i].read(w, n, in);
    }
    return 0;
}

/* ---- the whole ---- */

static int is_state(const dn_onnx_port *p, int of_many) {
    return of_many || p->axes == 4 || (p->axes == 3 && p->size[0] == 4);
}

/* The inputs: a signal, and four states in one or each for itself. */
static int read_inputs(walk *w, int most_width, int most_units) {
    const dn_onnx *onnx = w->onnx;
    int states = 0, signals = 0, given = 0;
    for (int i = 0; i < onnx->tensor_count; i++) {
        const dn_onnx_tensor *t = &onnx->tensors[i];
        value v = {.kind = CONSTANT, .number = i, .axes = t->axes};
        memcpy(v.size, t->size, sizeof(v.size));
        measure(&v);
        if (t->name.size && !add(w, t->name, v)) return 0;
    }
    for (int i = 0; i < onnx->input_count; i++) given += find(w, onnx->inputs[i].name) == NULL;
    if (given != 2 && given != 5) return 0;
    w->is_split = given == 5;
    for (int i = 0; i < onnx->input_count; i++) {
        const dn_onnx_port *p = &onnx->inputs[i];
        value v = {.axes = p->axes, .id = w->ids++, .matrix = -1, .matrix_of_state = -1, .bias = -1};
        if (find(w, p->name)) continue;
        memcpy(v.size, p->size, sizeof(v.size));
        if (is_state(p, given == 5 && signals == 1)) {
            const int64_t units = p->size[2];
            if (p->axes != (given == 5 ? 3 : p->axes) || units < 2 || units > most_units) return 0;
            if (w->units && w->units != units) return 0;
            w->units = units;
            if (p->axes == 4 && (p->size[0] != 1 || p->size[1] != 2 || p->size[3] != 2)) return 0;
            if (p->axes == 3 && (p->size[0] != (given == 5 ? 1 : 4) || p->size[1] != 1)) return 0;
            v.kind = given == 5 ? PART : STATE;
            v.number = states++;
            if (given == 5 && !measure(&v)) return 0;
        } else {
            if (!measure(&v) || v.length < 2 || v.length > most_width || p->axes != 3) return 0;
            v.kind = SIGNAL;
            w->signal = v.id;
            w->core->width = (int)v.length;
            signals++;
        }
        if (!add(w, p->name, v)) return 0;
    }
    return signals == 1 && states == (given == 5 ? 4 : 1);
}

/* Says whether the new states come out as the old ones went in. */
static int read_states_out(const walk *w, const value *out, int axes) {
    const int64_t wanted[2][4] = {{STATES, 1, w->units}, {1, 2, w->units, 2}};
    if (!out || out->kind != STACK || out->stacks != STATES || out->is_interleaved != (axes == 4)) return 0;
    if (out->axes != axes || memcmp(out->size, wanted[axes == 4], (size_t)axes * sizeof(**wanted)) != 0) return 0;
    for (int lstm = 0; lstm < 2; lstm++) {
        for (int part = 0; part < 2; part++) {
            const int place = w->core->lstm[lstm].state[part];
            if (place < 0 || place >= STATES || out->stacked[place] != id_of_new(lstm, part)) return 0;
        }
    }
    return 1;
}

static int read_outputs(walk *w) {
    const dn_onnx *onnx = w->onnx;
    dn_core *core = w->core;
    int axes = 3;
    for (int i = 0; i < onnx->input_count; i++) axes = onnx->inputs[i].axes == 4 ? 4 : axes;
    if (onnx->output_count != 2 || w->lstms != 2 || w->mask < 0) return 0;
    const value *answer = find(w, onnx->outputs[0].name);
    if (!answer || !read_states_out(w, find(w, onnx->outputs[1].name), axes)) return 0;
    core->units = (int)w->units;
    if (answer->kind == SUM) {
        if (answer->of != w->kept || answer->bias >= 0 || answer->matrix < 0) return 0;
        if (answer->length != core->width || core->has_levels) return 0;
        core->stage = 2;
        core->decode = (dn_core_matrix){&onnx->tensors[answer->matrix], answer->inputs_first};
        core->code = (int)(core->encode.tensor->count / core->width);
    } else {
        core->stage = 1;
        if (w->kept >= 0 || answer->kind != (w->is_split ? MASKED : MASK)) return 0;
        if (answer->length != core->width) return 0;
    }
    /* what the first LSTM hears, and the second */
    const int plain = core->stage == 2 ? w->code : core->has_levels ? -2 : w->signal;
    int heard = w->norm >= 0 ? w->norm : plain;
    if (heard == -2) { /* levels without a norm */
        for (int i = 0; i < w->count; i++) heard = w->values[i].kind == LEVEL ? w->values[i].id : heard;
    } else if (w->norm >= 0) {
        int is_level = 0;
        for (int i = 0; i < w->count; i++) is_level |= w->values[i].kind == LEVEL && w->values[i].id == w->norm_of;
        if (core->has_levels ? !is_level : w->norm_of != plain) return 0;
    }
    return w->inputs_of[0] == heard && w->inputs_of[1] == id_of_new(0, 0);
}

dn_status dn_core_recognise(dn_core *core, const dn_onnx *onnx, int most_width, int most_units, char *message) {
    walk *w = dn_new(sizeof(*w));
    if (!w) return DN_NO_MEMORY;
    *core = (dn_core){0};
    w->onnx = onnx;
    w->core = core;
    w->ids = FIRST_ID;
    w->signal = w->norm_of = w->norm = w->code = w->mask = w->kept = -1;
    int known = read_inputs(w, most_width, most_units);
    if (!known) dn_bad_model(message, "its inputs are not a DTLN's, a signal and its states, of a size known here");
    for (int i = 0; known && i < onnx->node_count; i++) {
        const dn_onnx_node *n = &onnx->nodes[i];
        known = read_node(w, n);
        if (!known) {
            dn_bad_model(message, "its node %d, %.*s, is not in any DTLN known here", i,
                         n->op.size > 40 ? 40 : (int)n->op.size, n->op.size ? (const char *)n->op.at : "");
        }
    }
    if (known && !read_outputs(w)) {
        known = 0;
        dn_bad_model(message, "its nodes are not put together as in any DTLN known here");
    }
    dn_delete(w);
    return known ? DN_OK : DN_UNKNOWN_MODEL;
}
