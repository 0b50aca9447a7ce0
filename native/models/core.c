/* Goes through a graph: a node that makes none of the values of graph.h of its inputs is none of a DTLN's. */
#include "models/core.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "models/graph.h"
#include "models/message.h"

static const struct {
    const char *op;
    dn_node_reader *read;
} operators[] = {
    {"Identity", dn_read_identity}, {"Cast", dn_read_cast},
    {"Constant", dn_read_constant}, {"Transpose", dn_read_transpose},
    {"Squeeze", dn_read_squeeze},   {"Unsqueeze", dn_read_unsqueeze},
    {"Reshape", dn_read_reshape},   {"Split", dn_read_split},
    {"Slice", dn_read_slice},       {"Pad", dn_read_pad},
    {"Add", dn_read_add},           {"Sub", dn_read_sub},
    {"Mul", dn_read_mul},           {"Div", dn_read_div},
    {"Sqrt", dn_read_sqrt},         {"Log", dn_read_log},
    {"ReduceMean", dn_read_mean},   {"LayerNormalization", dn_read_layer_norm},
    {"Sigmoid", dn_read_sigmoid},   {"Tanh", dn_read_tanh},
    {"MatMul", dn_read_product},    {"Conv", dn_read_convolution},
    {"LSTM", dn_read_lstm},         {"Concat", dn_read_concat},
};

static int read_node(dn_graph *g, const dn_onnx_node *n) {
    const dn_value *in[DN_ONNX_INPUTS] = {NULL};
    dn_value inputs[DN_ONNX_INPUTS]; /* as adding values must not move them */
    for (int i = 0; i < n->input_count; i++) {
        const dn_value *v = n->inputs[i].size ? dn_find_value(g, n->inputs[i]) : NULL;
        if (!v && n->inputs[i].size) return 0;
        if (v) inputs[i] = *v;
        in[i] = v ? &inputs[i] : NULL;
    }
    for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++) {
        if (dn_bytes_are(n->op, operators[i].op)) return n->output_count > 0 && operators[i].read(g, n, in);
    }
    return 0;
}

static int is_state(const dn_onnx_port *p, int of_many) {
    return of_many || p->axes == 4 || (p->axes == 3 && p->size[0] == 4);
}

/* The inputs: a signal, and four states in one or each for itself. */
static int read_inputs(dn_graph *g, int most_width, int most_units) {
    const dn_onnx *onnx = g->onnx;
    int states = 0, signals = 0, given = 0;
    for (int i = 0; i < onnx->tensor_count; i++) {
        const dn_onnx_tensor *t = &onnx->tensors[i];
        dn_value v = {.kind = CONSTANT, .number = i, .axes = t->axes};
        memcpy(v.size, t->size, sizeof(v.size));
        dn_measure_value(&v);
        if (t->name.size && !dn_add_value(g, t->name, v)) return 0;
    }
    for (int i = 0; i < onnx->input_count; i++) given += dn_find_value(g, onnx->inputs[i].name) == NULL;
    if (given != 2 && given != 5) return 0;
    g->is_split = given == 5;
    for (int i = 0; i < onnx->input_count; i++) {
        const dn_onnx_port *p = &onnx->inputs[i];
        dn_value v = {.axes = p->axes, .id = g->ids++, .matrix = -1, .matrix_of_state = -1, .bias = -1};
        if (dn_find_value(g, p->name)) continue;
        memcpy(v.size, p->size, sizeof(v.size));
        if (is_state(p, given == 5 && signals == 1)) {
            const int64_t units = p->size[2];
            if (p->axes != (given == 5 ? 3 : p->axes) || units < 2 || units > most_units) return 0;
            if (g->units && g->units != units) return 0;
            g->units = units;
            if (p->axes == 4 && (p->size[0] != 1 || p->size[1] != 2 || p->size[3] != 2)) return 0;
            if (p->axes == 3 && (p->size[0] != (given == 5 ? 1 : 4) || p->size[1] != 1)) return 0;
            v.kind = given == 5 ? PART : STATE;
            v.number = states++;
            if (given == 5 && !dn_measure_value(&v)) return 0;
        } else {
            if (!dn_measure_value(&v) || v.length < 2 || v.length > most_width || p->axes != 3) return 0;
            v.kind = SIGNAL;
            g->signal = v.id;
            g->core->width = (int)v.length;
            signals++;
        }
        if (!dn_add_value(g, p->name, v)) return 0;
    }
    return signals == 1 && states == (given == 5 ? 4 : 1);
}

/* Says whether the new states come out as the old ones went in. */
static int read_states_out(const dn_graph *g, const dn_value *out, int axes) {
    const int64_t wanted[2][4] = {{DN_STATES, 1, g->units}, {1, 2, g->units, 2}};
    if (!out || out->kind != STACK || out->stacks != DN_STATES || out->is_interleaved != (axes == 4)) return 0;
    if (out->axes != axes || memcmp(out->size, wanted[axes == 4], (size_t)axes * sizeof(**wanted)) != 0) return 0;
    for (int lstm = 0; lstm < 2; lstm++) {
        for (int part = 0; part < 2; part++) {
            const int place = g->core->lstm[lstm].state[part];
            if (place < 0 || place >= DN_STATES || out->stacked[place] != dn_id_of_new(lstm, part)) return 0;
        }
    }
    return 1;
}

static int read_outputs(dn_graph *g) {
    const dn_onnx *onnx = g->onnx;
    dn_core *core = g->core;
    int axes = 3;
    for (int i = 0; i < onnx->input_count; i++) axes = onnx->inputs[i].axes == 4 ? 4 : axes;
    if (onnx->output_count != 2 || g->lstms != 2 || g->mask < 0) return 0;
    const dn_value *answer = dn_find_value(g, onnx->outputs[0].name);
    if (!answer || !read_states_out(g, dn_find_value(g, onnx->outputs[1].name), axes)) return 0;
    core->units = (int)g->units;
    if (answer->kind == SUM) {
        if (answer->of != g->kept || answer->bias >= 0 || answer->matrix < 0) return 0;
        if (answer->length != core->width || core->has_levels) return 0;
        core->stage = 2;
        core->decode = (dn_core_matrix){&onnx->tensors[answer->matrix], answer->inputs_first};
        core->code = (int)(core->encode.tensor->count / core->width);
    } else {
        core->stage = 1;
        if (g->kept >= 0 || answer->kind != (g->is_split ? MASKED : MASK)) return 0;
        if (answer->length != core->width) return 0;
    }
    /* what the first LSTM hears, and the second */
    const int plain = core->stage == 2 ? g->code : core->has_levels ? -2 : g->signal;
    int heard = g->norm >= 0 ? g->norm : plain;
    if (heard == -2) { /* levels without a norm */
        for (int i = 0; i < g->count; i++) heard = g->values[i].kind == LEVEL ? g->values[i].id : heard;
    } else if (g->norm >= 0) {
        int is_level = 0;
        for (int i = 0; i < g->count; i++) is_level |= g->values[i].kind == LEVEL && g->values[i].id == g->norm_of;
        if (core->has_levels ? !is_level : g->norm_of != plain) return 0;
    }
    return g->inputs_of[0] == heard && g->inputs_of[1] == dn_id_of_new(0, 0);
}

dn_status dn_core_recognise(dn_core *core, const dn_onnx *onnx, int most_width, int most_units, char *message) {
    dn_graph *g = dn_new(sizeof(*g));
    if (!g) return DN_NO_MEMORY;
    *core = (dn_core){0};
    g->onnx = onnx;
    g->core = core;
    g->ids = DN_FIRST_ID;
    g->signal = g->norm_of = g->norm = g->code = g->mask = g->kept = -1;
    int known = read_inputs(g, most_width, most_units);
    if (!known) dn_bad_model(message, "its inputs are not a DTLN's, a signal and its states, of a size known here");
    for (int i = 0; known && i < onnx->node_count; i++) {
        const dn_onnx_node *n = &onnx->nodes[i];
        known = read_node(g, n);
        if (!known) {
            dn_bad_model(message, "its node %d, %.*s, is not in any DTLN known here", i,
                         n->op.size > 40 ? 40 : (int)n->op.size, n->op.size ? (const char *)n->op.at : "");
        }
    }
    if (known && !read_outputs(g)) {
        known = 0;
        dn_bad_model(message, "its nodes are not put together as in any DTLN known here");
    }
    dn_delete(g);
    return known ? DN_OK : DN_UNKNOWN_MODEL;
}
