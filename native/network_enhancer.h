/* The enhancer: a network over bands that grow with frequency, from samples to samples, as hops go through it.
 *
 * A frame is the hop and the one before, under the root of a Hann window. Its 480 + 1 bins make 128 bands: the lowest
 * 80 bins are one each, and 48 triangles lie over the rest. Of each band a body of the network sees three features and
 * makes some channels, of which each low bin gets a complex mask, and each upper band a gain and a noise level that
 * turns down the bins which do not stand out from it. Magnitudes are compressed by a power of 1/3. */
#ifndef DN_NETWORK_ENHANCER_H
#define DN_NETWORK_ENHANCER_H

#include "network.h"

enum {
    DN_LOW = 80,   /* bins, and bands */
    DN_UPPER = 48, /* bands */
    DN_ENHANCER_BANDS = DN_LOW + DN_UPPER,
    DN_ENHANCER_FEATURES = 3, /* of each band */
    DN_VOICE_UNITS = 12,
    DN_MAX_WIDTH = 16, /* channels of a band that a body makes */
    DN_MAX_BLOCKS = 8,
    DN_KEYS = 8,          /* channels of a query or a key */
    DN_BODY_ROOM = 10240, /* floats of the stack that a body takes */
    DN_PADDED_BINS = DN_BINS + 7,
};

typedef enum { DN_MIXED, DN_BODIES } dn_body_kind;

/* The sizes of a body, as the file has them. */
typedef struct {
    int kind, channels, width, rows, blocks, units, heads;
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

typedef struct dn_enhancer dn_enhancer;

/* Bodies by kind. */
typedef struct {
    const char *name;
    int (*memory)(const dn_body_sizes *sizes); /* floats that outlive a frame, of a channel */
    int (*room)(const dn_body_sizes *sizes);   /* floats that run takes of the stack */

    /* Makes hidden[DN_ENHANCER_BANDS][width] of features[DN_ENHANCER_BANDS][DN_ENHANCER_FEATURES]. */
    void (*run)(const dn_enhancer *net, const dn_kernels *k, float *memory, const float *features, float *hidden);
} dn_body;

extern const dn_body dn_mixed_body; /* a hop has no steps that wait for each other but its layers */

struct dn_enhancer {
    dn_network base;
    const dn_body *body;
    dn_body_sizes sizes;
    dn_mixed mixed;
    dn_dense low_head, upper_head;       /* [width][2] */
    dn_dense voice_hidden, voice_output; /* [2 * width][DN_VOICE_UNITS], [DN_VOICE_UNITS][1] */
    float *room;                         /* all weights, from dn_new */
    dn_fft fft;
    float analysis[DN_WINDOW], synthesis[DN_WINDOW];
    int16_t edge[DN_UPPER];     /* the first bin at or above each upper band's peak, and DN_BINS at last */
    float rise[DN_PADDED_BINS]; /* place of a bin between the peaks below and above it */
    float share[DN_UPPER];      /* one over the sum of an upper band's weights */
};

/* Fills in all that follows from the sizes and the weights. */
void dn_enhancer_prepare(dn_enhancer *net);

/* Processes one hop, in[DN_FRAME] to out[DN_FRAME], which may be the same. Returns the probability of speech. */
dn_samples_run dn_enhancer_run;

#endif
