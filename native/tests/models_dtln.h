/* Pairs of a DTLN with random weights, as the ONNX files that this package writes have them, but small. */
#ifndef DN_TEST_MODELS_DTLN_H
#define DN_TEST_MODELS_DTLN_H

#include "check.h"
#include "halves.h"

enum { ONNX_ROOM = 1 << 18, DTLN_KINDS = 4 };

typedef struct {
    unsigned char data[ONNX_ROOM];
    size_t size;
} onnx_file;

typedef struct {
    int block, units, code;
    int has_norms; /* and logarithms */
    int is_half;   /* weights have 16 bits */
} dtln_sizes;

static const dtln_sizes dtlns[DTLN_KINDS] = {
    {32, 6, 10, 1, 0}, {64, 8, 16, 1, 1}, {16, 5, 7, 0, 0}, {128, 16, 24, 1, 1}};

static inline void pb_number(onnx_file *f, uint64_t number) {
    for (; number > 0x7f; number >>= 7) f->data[f->size++] = (unsigned char)(number | 0x80);
    f->data[f->size++] = (unsigned char)number;
}

static inline void pb_field(onnx_file *f, int field, const void *bytes, size_t size) {
    pb_number(f, (uint64_t)field << 3 | 2);
    pb_number(f, size);
    memcpy(f->data + f->size, bytes, size);
    f->size += size;
}

static inline void pb_text(onnx_file *f, int field, const char *text) {
    pb_field(f, field, text, strlen(text));
}

static inline void pb_integer(onnx_file *f, int field, uint64_t value) {
    pb_number(f, (uint64_t)field << 3);
    pb_number(f, value);
}

/* Puts one field for each word of a text; "-" is an empty one. */
static inline void pb_words(onnx_file *f, int field, const char *words) {
    while (*words) {
        const size_t size = strcspn(words, " ");
        pb_field(f, field, words, size == 1 && *words == '-' ? 0 : size);
        words += size + (words[size] == ' ');
    }
}

/* A node, with one attribute, a whole number, if it is named. */
static inline void pb_node(onnx_file *graph, const char *op, const char *inputs, const char *outputs,
                           const char *attribute, int64_t value) {
    static onnx_file node, inner;
    node.size = inner.size = 0;
    pb_words(&node, 1, inputs);
    pb_words(&node, 2, outputs);
    pb_text(&node, 4, op);
    if (attribute) {
        pb_text(&inner, 1, attribute);
        pb_integer(&inner, 3, (uint64_t)value);
        pb_integer(&inner, 20, 2);
        pb_field(&node, 5, inner.data, inner.size);
    }
    pb_field(graph, 1, node.data, node.size);
}

/* A tensor of the sizes that are not 0: random numbers of so many around a middle. */
static inline void pb_tensor(onnx_file *graph, const char *name, int is_half, int a, int b, int c, float middle,
                             float size) {
    static onnx_file tensor;
    static unsigned char raw[ONNX_ROOM];
    const int sizes[3] = {a, b, c}, each = is_half ? 2 : 4;
    int count = 1;
    tensor.size = 0;
    for (int i = 0; i < 3; i++) {
        if (!sizes[i]) continue;
        pb_integer(&tensor, 1, (uint64_t)sizes[i]);
        count *= sizes[i];
    }
    pb_integer(&tensor, 2, is_half ? 10 : 1);
    pb_text(&tensor, 8, name);
    for (int i = 0; i < count; i++) {
        float x = middle + size * random_float();
        if (is_half) {
            uint16_t half;
            dn_float_is_half(x, &half); /* or the nearest below */
            memcpy(raw + 2 * i, &half, 2);
        } else {
            memcpy(raw + 4 * i, &x, 4);
        }
    }
    pb_field(&tensor, 9, raw, (size_t)(count * each));
    pb_field(graph, 5, tensor.data, tensor.size);
}

static inline void pb_port(onnx_file *graph, int field, const char *name, int a, int b, int c) {
    static onnx_file port, type, tensor, shape, axis;
    const int sizes[3] = {a, b, c};
    port.size = type.size = tensor.size = shape.size = 0;
    for (int i = 0; i < 3; i++) {
        axis.size = 0;
        if (sizes[i]) {
            pb_integer(&axis, 1, (uint64_t)sizes[i]);
        } else {
            pb_text(&axis, 2, "N");
        }
        pb_field(&shape, 1, axis.data, axis.size);
    }
    pb_integer(&tensor, 1, 1);
    pb_field(&tensor, 2, shape.data, shape.size);
    pb_field(&type, 1, tensor.data, tensor.size);
    pb_text(&port, 1, name);
    pb_field(&port, 2, type.data, type.size);
    pb_field(graph, field, port.data, port.size);
}

/* Two LSTMs and a dense layer: from a value to another one, mask. */
static inline void pb_core(onnx_file *graph, dtln_sizes s, const char *from, int inputs) {
    const int wide = 4 * s.units;
    char words[80];
    pb_node(graph, "Split", "state", "h1 c1 h2 c2", "axis", 0);
    for (int layer = 1; layer <= 2; layer++) {
        char name[3] = {0, (char)('0' + layer), 0};
        const char *const parts = "WRB";
        for (int p = 0; p < 3; p++) {
            name[0] = parts[p];
            if (p == 2) {
                pb_tensor(graph, name, 0, 1, 2 * wide, 0, 0, 0.3f);
            } else {
                pb_tensor(graph, name, s.is_half, 1, wide, p == 0 && layer == 1 ? inputs : s.units, 0, 0.5f);
            }
        }
        snprintf(words, sizeof(words), "%s W%d R%d B%d - h%d c%d", layer == 1 ? from : "x1", layer, layer, layer, layer,
                 layer);
        char outputs[40];
        snprintf(outputs, sizeof(outputs), "y%d h%d_out c%d_out", layer, layer, layer);
        pb_node(graph, "LSTM", words, outputs, "hidden_size", s.units);
        snprintf(words, sizeof(words), "y%d", layer);
        snprintf(outputs, sizeof(outputs), "x%d", layer);
        pb_node(graph, "Squeeze", words, outputs, "axes", 1);
    }
    pb_tensor(graph, "dense", s.is_half, s.units, inputs, 0, 0, 0.5f);
    pb_tensor(graph, "bias", 0, inputs, 0, 0, 0.5f, 0.5f);
    pb_node(graph, "MatMul", "x2 dense", "product", NULL, 0);
    pb_node(graph, "Add", "product bias", "logit", NULL, 0);
    pb_node(graph, "Sigmoid", "logit", "mask", NULL, 0);
    pb_node(graph, "Concat", "h1_out c1_out h2_out c2_out", "state_out", "axis", 0);
}

static inline void pb_norm(onnx_file *graph, const char *from, int inputs) {
    pb_tensor(graph, "weight", 0, inputs, 0, 0, 1, 0.2f);
    pb_tensor(graph, "shift", 0, inputs, 0, 0, 0, 0.2f);
    char words[40];
    snprintf(words, sizeof(words), "%s weight shift", from);
    pb_node(graph, "LayerNormalization", words, "normal", "axis", -1);
}

static inline void pb_model(onnx_file *f, const onnx_file *graph) {
    static onnx_file opset;
    f->size = opset.size = 0;
    pb_integer(f, 1, 8);
    pb_integer(&opset, 2, 11);
    pb_field(f, 8, opset.data, opset.size);
    pb_field(f, 7, graph->data, graph->size);
}

static inline void make_dtln_of(onnx_file *first, onnx_file *second, dtln_sizes s) {
    static onnx_file graph;
    const int bins = s.block / 2 + 1;
    graph.size = 0;
    if (s.has_norms) {
        pb_tensor(&graph, "least", 0, 1, 0, 0, 1e-7f, 0);
        pb_node(&graph, "Add", "mag least", "raised", NULL, 0);
        pb_node(&graph, "Log", "raised", "level", NULL, 0);
        pb_norm(&graph, "level", bins);
    }
    pb_core(&graph, s, s.has_norms ? "normal" : "mag", bins);
    pb_port(&graph, 11, "mag", 0, 0, bins);
    pb_port(&graph, 11, "state", 4, 0, s.units);
    pb_port(&graph, 12, "mask", 0, 0, bins);
    pb_port(&graph, 12, "state_out", 4, 0, s.units);
    pb_model(first, &graph);
    graph.size = 0;
    pb_tensor(&graph, "encode", s.is_half, s.block, s.code, 0, 0, 0.2f);
    pb_node(&graph, "MatMul", "frame encode", "code", NULL, 0);
    if (s.has_norms) pb_norm(&graph, "code", s.code);
    pb_core(&graph, s, s.has_norms ? "normal" : "code", s.code);
    pb_node(&graph, "Mul", "code mask", "kept", NULL, 0);
    pb_tensor(&graph, "decode", s.is_half, s.code, s.block, 0, 0, 0.2f);
    pb_node(&graph, "MatMul", "kept decode", "frame_out", NULL, 0);
    pb_port(&graph, 11, "frame", 0, 0, s.block);
    pb_port(&graph, 11, "state", 4, 0, s.units);
    pb_port(&graph, 12, "frame_out", 0, 0, s.block);
    pb_port(&graph, 12, "state_out", 4, 0, s.units);
    pb_model(second, &graph);
}

static inline void make_dtln(onnx_file *first, onnx_file *second, int kind) {
    make_dtln_of(first, second, dtlns[kind]);
}

#endif
