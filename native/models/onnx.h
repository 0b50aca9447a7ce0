/* ONNX files, as far as the networks of this engine need them: one graph of the standard's operators, its weights
 * inside it. A protocol buffer is gone through once; all that comes out points into the file's bytes. */
#ifndef DN_ONNX_H
#define DN_ONNX_H

#include "denoise.h"

enum {
    DN_ONNX_NODES = 192,
    DN_ONNX_TENSORS = 128, /* initializers, and the values of nodes Constant */
    DN_ONNX_INPUTS = 8,    /* of a node, as are its outputs, its attributes and the numbers of one */
    DN_ONNX_PORTS = 8,     /* of the graph, on either side */
    DN_ONNX_AXES = 5,
};

typedef struct {
    const uint8_t *at;
    size_t size;
} dn_bytes;

typedef enum { DN_ONNX_FLOAT = 1, DN_ONNX_INT64 = 7, DN_ONNX_HALF = 10 } dn_onnx_type;

typedef struct {
    dn_bytes name;
    dn_onnx_type type;
    int axes;
    int64_t size[DN_ONNX_AXES];
    int64_t count; /* of numbers, 0 to 2^26 */
    dn_bytes raw;  /* little-endian; of integers perhaps packed as varints */
    int is_packed;
} dn_onnx_tensor;

typedef struct {
    dn_bytes name, text;
    dn_bytes texts[3];
    int text_count;
    int64_t numbers[DN_ONNX_INPUTS];
    int count; /* of numbers; one for a single one */
    float real;
    int tensor; /* its index, or -1 */
} dn_onnx_attribute;

typedef struct {
    dn_bytes op;
    dn_bytes inputs[DN_ONNX_INPUTS], outputs[DN_ONNX_INPUTS];
    int input_count, output_count;
    dn_onnx_attribute attributes[DN_ONNX_INPUTS];
    int attribute_count;
} dn_onnx_node;

typedef struct {
    dn_bytes name;
    int axes;
    int64_t size[DN_ONNX_AXES]; /* 1 for one that has a name in place of a number */
} dn_onnx_port;

typedef struct {
    dn_onnx_node nodes[DN_ONNX_NODES];
    dn_onnx_tensor tensors[DN_ONNX_TENSORS];
    dn_onnx_port inputs[DN_ONNX_PORTS], outputs[DN_ONNX_PORTS];
    int node_count, tensor_count, input_count, output_count;
    int opset;
} dn_onnx;

/* Reads a file into onnx, which is all zero. DN_UNKNOWN_MODEL: it is no ONNX model, or one with what none of ours has.
 */
dn_status dn_onnx_read(dn_onnx *onnx, const void *data, size_t size, char *message);

int dn_bytes_are(dn_bytes bytes, const char *text);

/* Reads up to most integers of a tensor of int64; returns how many it has, -1 if it has more, or others. */
int dn_onnx_integers(const dn_onnx_tensor *tensor, int64_t *numbers, int most);

/* The float of a tensor that has one number; returns whether it is such a tensor. */
int dn_onnx_real(const dn_onnx_tensor *tensor, float *value);

#endif
