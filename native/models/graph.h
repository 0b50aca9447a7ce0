/* A graph as it is gone through once, node by node, and what each value in it is: the signal, one of the states, a
 * product, a gate, a mask. All is seen for one channel and one hop, so that a value has but one axis longer than 1, and
 * what only moves axes changes nothing. */
#ifndef DN_GRAPH_H
#define DN_GRAPH_H

#include "models/core_weights.h"

enum { DN_VALUES = DN_ONNX_NODES * 2 + DN_ONNX_TENSORS + 16, DN_STATES = 4, DN_FIRST_ID = 8 };

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
} dn_value_kind;

typedef struct {
    dn_bytes name;
    dn_value_kind kind;
    int axes;
    int64_t size[DN_ONNX_AXES];
    int64_t length; /* of the axis that is longer than 1 */
    int axis;       /* its place, counted from the end, 1 being the last; 0: there is none */
    int id;         /* the same of values that differ in their axes only */
    int of;         /* the value that it was made of, by id */
    dn_value_kind of_kind;
    int number;                     /* of a tensor, a state, an LSTM */
    int part;                       /* of a state: 0 h, 1 c; of a gate its place */
    int extra;                      /* numbers put behind a signal, which are still to be cut off */
    int is_shifted;                 /* a level less that of one bin */
    int matrix, matrix_of_state;    /* tensors of a SUM, or -1, of which the second is multiplied by state */
    int inputs_first, state;        /* of the first; see there */
    int bias;                       /* tensor, or -1 */
    int stacked[DN_STATES], stacks; /* ids of a STACK, and how many */
    int is_interleaved;             /* they are the last axis */
} dn_value;

typedef struct {
    const dn_onnx *onnx;
    dn_core *core;
    dn_value values[DN_VALUES];
    int count, ids;
    int lstms, inputs_of[2];                     /* and the ids of what they hear */
    int signal, norm_of, norm, code, mask, kept; /* ids */
    int64_t units;
    int is_split; /* the states come in one by one, and the first model answers with masked magnitudes */
} dn_graph;

/* Id of a new state, h or c, of an LSTM; other ids begin at DN_FIRST_ID. */
int dn_id_of_new(int lstm, int part);

/* The value of that name that was added last; NULL: there is none. */
const dn_value *dn_find_value(const dn_graph *g, dn_bytes name);

/* NULL: the node has none of that name. */
const dn_onnx_attribute *dn_node_attribute(const dn_onnx_node *n, const char *name);

/* An attribute that is one integer. */
int64_t dn_whole_attribute(const dn_onnx_node *n, const char *name, int64_t otherwise);

/* Sees to length and axis. Returns whether no more than one axis is longer than 1. */
int dn_measure_value(dn_value *v);

/* Adds v under a name. NULL: there is no room. */
dn_value *dn_add_value(dn_graph *g, dn_bytes name, dn_value v);

/* A new value of a kind, of the shape of another one, that was made of. */
dn_value dn_made_of(dn_graph *g, dn_value_kind kind, const dn_value *of);

/* NULL where v is none, or no constant. */
const dn_onnx_tensor *dn_tensor_of(const dn_graph *g, const dn_value *v);

int dn_is_float(const dn_onnx_tensor *t);

/* The one number of a constant, if it is that. */
int dn_scalar_of(const dn_graph *g, const dn_value *v, float *number);

/* Says whether a constant is a vector that lies as another value does. */
int dn_lies_along(const dn_graph *g, const dn_value *constant, const dn_value *v);

/* Integers of a constant input of a node, or of an attribute; -1: there are none. */
int dn_integers_of(const dn_graph *g, const dn_onnx_node *n, int input, const char *name, int64_t *numbers);

/* Counted from the front; -1: there is no such axis. */
int dn_place_of_axis(int64_t axis, int axes);

/* Reads a node: whether it is known, and if so, adds what it makes. in: what its first inputs are, NULL for none. */
typedef int dn_node_reader(dn_graph *g, const dn_onnx_node *n, const dn_value *const *in);

/* Those that move axes, graph_axes.c. */
dn_node_reader dn_read_identity, dn_read_cast, dn_read_constant, dn_read_transpose, dn_read_squeeze, dn_read_unsqueeze,
    dn_read_reshape, dn_read_split, dn_read_slice, dn_read_pad;

/* Those that make something else, graph_parts.c. */
dn_node_reader dn_read_add, dn_read_sub, dn_read_mean, dn_read_mul, dn_read_div, dn_read_sqrt, dn_read_log,
    dn_read_layer_norm, dn_read_sigmoid, dn_read_tanh, dn_read_product, dn_read_convolution, dn_read_lstm,
    dn_read_concat;

#endif
