/* Where the weights of one of the two networks of a DTLN are in its file. */
#ifndef DN_CORE_WEIGHTS_H
#define DN_CORE_WEIGHTS_H

#include "models/onnx.h"

/* A matrix: of LSTMs and dense layers [inputs][outputs] if inputs_first, else [outputs][inputs]. */
typedef struct {
    const dn_onnx_tensor *tensor; /* NULL: there is none */
    int inputs_first;
} dn_core_matrix;

/* Weights of four gates, each units outputs; order: which of the file's is our input, forget, candidate and output. */
typedef struct {
    dn_core_matrix input, recurrent;
    const dn_onnx_tensor *bias; /* NULL: none */
    int order[4];
    int state[2]; /* place of h and c among the four states */
} dn_core_lstm;

/* Tensors have as many numbers as they should, floats of 32 or 16 bits. */
typedef struct {
    int stage;                                     /* 1 masks magnitudes, 2 features of blocks */
    int width, code, units;                        /* code: features, 0 in the first */
    int has_levels;                                /* the first one: of ln(magnitude + least), else of the magnitude */
    float least;                                   /* see has_levels */
    const dn_onnx_tensor *norm_weight, *norm_bias; /* NULL: the LSTMs have no norm before them */
    float norm_least;
    dn_core_lstm lstm[2];
    dn_core_matrix dense, encode, decode;
    const dn_onnx_tensor *dense_bias;
} dn_core;

#endif
