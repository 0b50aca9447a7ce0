/* The network of an enhancer: its sizes, weights and tables, and bodies by kind. network_enhancer.h runs it. */
#ifndef DN_ENHANCER_H
#define DN_ENHANCER_H

#include "network.h"

enum {
    DN_LOW = 80,   /* bins, and bands */
    DN_UPPER = 48, /* bands */
    DN_ENHANCER_BANDS = DN_LOW + DN_UPPER,
    DN_ENHANCER_FEATURES = 3, /* of each band */
    DN_VOICE_UNITS = 12,
    DN_MAX_WIDTH = 16, /* channels of a band that a body makes */
    DN_MAX_BLOCKS = 8,
    DN_MAX_CONVOLUTIONS = 4, /* on either side of the rows */
    DN_GROUP = 4,            /* bands that a body of rows makes one of */
    DN_KEYS = 8,             /* channels of a query or a key */
    DN_BODY_ROOM = 11264,    /* floats of the stack that a body takes */
    DN_PADDED_BINS = DN_BINS + 7,
};

typedef enum { DN_MIXED, DN_ROW_BODY, DN_BODIES } dn_body_kind;

/* The sizes of a body, as the file has them. */
typedef struct {
    int kind, channels, width, rows, blocks, units, heads, convolutions;
} dn_body_sizes;

/* Weights w[inputs][columns], and bias[columns], or [rows][columns] where bias_row is not 0, or NULL; columns is
 * rounded up to a multiple of 8 by zeros. */
typedef struct {
    const float *w, *bias;
    int inputs, columns, bias_row;
} dn_dense;

/* A memory of each row, a convolution over its neighbourhood in time and rows, and attention over all rows. */
typedef struct {
    dn_dense memory; /* [channels][2 * units], gates and candidates */
    dn_dense after_memory, enter, leave;
    dn_dense filter;  /* [3 times][5 rows][channels] */
    dn_dense queries; /* [channels][2 * heads * DN_KEYS], all queries, then all keys; none in the last block */
    dn_dense after_attention;
} dn_mixed_block;

typedef struct {
    dn_dense first; /* [3 times][2 * stride bands][features][channels]; stride is bands / rows */
    dn_mixed_block block[DN_MAX_BLOCKS];
    dn_dense join, join_skip; /* of what the blocks make, and of what first made */
    dn_dense last;            /* [channels][2 * stride bands * width], without a bias */
    const float *last_bias;   /* [width] */
} dn_mixed;

/* A GRU along time in each row, then attention over the rows. */
typedef struct {
    dn_dense input, recurrent; /* [units][3 * units]: z, r, n */
    dn_dense after_gru;        /* in the first block its biases tell the rows apart */
    dn_dense queries;          /* [units][3 * units]: all queries, all keys, all values */
    dn_dense after_attention;
} dn_row_block;

/* Convolutions over groups of bands around a few rows with units each. */
typedef struct {
    dn_dense first; /* [2 * stride bands][features][channels]; stride is DN_GROUP */
    dn_dense encoder[DN_MAX_CONVOLUTIONS];
    dn_dense gather; /* [rows][groups]; its bias is NULL, and its inputs are the rows */
    dn_dense narrow, widen;
    dn_row_block block[DN_MAX_BLOCKS];
    dn_dense spread; /* [groups][rows], likewise */
    dn_dense join[DN_MAX_CONVOLUTIONS + 1], join_skip[DN_MAX_CONVOLUTIONS + 1], decoder[DN_MAX_CONVOLUTIONS];
    dn_dense last; /* [channels][2 * stride bands * width], without a bias */
    const float *last_bias;
} dn_row_body;

typedef struct dn_enhancer dn_enhancer;

/* Bodies by kind. */
typedef struct {
    const char *name;
    int (*memory)(const dn_body_sizes *sizes); /* floats that outlive a frame, of a channel */
    int (*room)(const dn_body_sizes *sizes);   /* floats that run takes of the stack */

    /* Makes hidden[DN_ENHANCER_BANDS][width] of features[DN_ENHANCER_BANDS][DN_ENHANCER_FEATURES]. */
    void (*run)(const dn_enhancer *net, const dn_kernels *k, float *memory, const float *features, float *hidden);
} dn_body;

extern const dn_body dn_rows_body;  /* few products, and a GRU's step a block */
extern const dn_body dn_mixed_body; /* a hop has no steps that wait for each other but its layers */

struct dn_enhancer {
    dn_network base;
    const dn_body *body;
    dn_body_sizes sizes;
    dn_mixed mixed; /* of the kind that the sizes say */
    dn_row_body rows;
    dn_dense low_head, upper_head;       /* [width][2] */
    dn_dense voice_hidden, voice_output; /* [2 * width][DN_VOICE_UNITS], [DN_VOICE_UNITS][1] */
    float *room;                         /* all weights, from dn_new */
    dn_fft fft;
    float analysis[DN_WINDOW], synthesis[DN_WINDOW];
    int16_t edge[DN_UPPER];     /* the first bin at or above each upper band's peak, and DN_BINS at last */
    float rise[DN_PADDED_BINS]; /* place of a bin between the peaks below and above it */
    float share[DN_UPPER];      /* one over the sum of an upper band's weights */
};

#endif
