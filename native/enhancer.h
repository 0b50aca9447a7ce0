/* The network of an enhancer: its sizes, weights and tables, and bodies by kind. network_enhancer.h runs it. */
#ifndef DN_ENHANCER_H
#define DN_ENHANCER_H

#include "network.h"

enum {
    DN_LOW = 80,   /* bins, and bands */
    DN_UPPER = 48, /* bands */
    DN_ENHANCER_BANDS = DN_LOW + DN_UPPER,
    DN_BAND_FEATURES = 3, /* of each band, and as many of the guide's, if there is one */
    DN_TAP_FEATURES = 3,  /* more of them, of low bands, where several frames are taken */
    DN_MAX_SEEN = 2 * DN_BAND_FEATURES + DN_TAP_FEATURES,
    DN_VOICE_UNITS = 12,
    DN_MAX_TAPS = 8,       /* frames that low bins are made of */
    DN_MAX_WIDTH = 16,     /* channels of a band that a body makes */
    DN_MAX_CHANNELS = 128, /* and units of a memory */
    DN_MAX_BLOCKS = 8,
    DN_MAX_CONVOLUTIONS = 4, /* on either side of the rows */
    DN_MAX_HALVINGS = 4,     /* of bands, until rows are left */
    DN_GROUP = 4,            /* bands that a body of rows makes one of */
    DN_KEYS = 8,             /* channels of a query or a key */
    DN_BODY_ROOM = 11264,    /* floats of the stack that a body takes */
    DN_PADDED_BINS = DN_BINS + 7,
};

typedef enum { DN_MIXED, DN_ROW_BODY, DN_DEPTHWISE, DN_BODIES } dn_body_kind;

/* The sizes of a body, as the file has them. */
typedef struct {
    int kind, channels, width, rows, blocks, units, heads, convolutions;
    int taps;   /* frames that the low bins are made of, the latest and those before */
    int guided; /* 1: the network sees a guide beside the signal, and puts shares of it into what comes out; else 0 */
} dn_body_sizes;

/* Features of each band that a body sees: the signal's, those of the taps, the guide's. */
static inline int dn_seen_features(const dn_body_sizes *s) {
    return (s->guided ? 2 : 1) * DN_BAND_FEATURES + (s->taps > 1 ? DN_TAP_FEATURES : 0);
}

/* Weights w[inputs][columns], and bias[columns], or [rows][columns] where bias_row is not 0, or NULL; columns is
 * rounded up to a multiple of 8 by zeros. shorts[inputs / 2][columns]: the weights as map_shorts has them, in units of
 * unit[columns], or NULL. */
typedef struct {
    const float *w, *bias;
    const int32_t *shorts;
    const float *unit;
    int inputs, columns, bias_row;
} dn_dense;

/* A GRU along time in each row, whose map is added to what comes in. */
typedef struct {
    dn_dense input, recurrent; /* [units][3 * units]: z, r, n */
    dn_dense after;
} dn_row_gru;

/* A bend of units as bend_places has it; scale NULL: by slopes alone. */
typedef struct {
    const float *scale, *offset; /* [rows][channels] */
    const float *slope;          /* [channels] */
} dn_bend;

/* Gains of channels by a GRU along time over their power. Weights in groups of 8 columns, for matvec_add. */
typedef struct {
    const float *input, *input_bias;         /* channels to [z, r, n][padded] */
    const float *recurrent, *recurrent_bias; /* units to the same */
    const float *map, *map_bias;             /* units to channels */
    int channels, units, padded;             /* padded: units in whole vectors */
} dn_time_attention;

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
    dn_row_gru gru;   /* in the first block the biases of its map tell the rows apart */
    dn_dense queries; /* [units][3 * units]: all queries, all keys, all values */
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

/* A map, a convolution of each channel over times and bands, another map, and gains of channels. */
typedef struct {
    dn_dense enter;
    dn_bend bend_first;
    const float *filter, *filter_bias; /* [times][taps][channels] */
    dn_bend bend;
    dn_dense leave;
    dn_time_attention time;
} dn_depthwise_block;

/* GRUs along the rows of a frame, then one along time in each row. */
typedef struct {
    dn_dense along_rows;                     /* units to [up, down][z, r, n][half], half in whole vectors */
    const float *rows_recurrent, *rows_bias; /* as gru_lines has them */
    dn_dense after_up, after_down;
    dn_row_gru along_time;
} dn_dual_path;

/* Halves the bands until few rows are left, and back; channels / 2 in whole vectors after the first halving. */
typedef struct {
    dn_dense first; /* [3 times][3 bands][features] */
    dn_bend first_bend;
    dn_depthwise_block halving[DN_MAX_HALVINGS - 1];
    dn_depthwise_block encoder[DN_MAX_CONVOLUTIONS], decoder[DN_MAX_CONVOLUTIONS];
    dn_dense narrow, widen;
    dn_dual_path path[DN_MAX_BLOCKS];
    dn_dense doubling[DN_MAX_HALVINGS - 1]; /* to two bands for each */
    dn_bend doubling_bend[DN_MAX_HALVINGS - 1];
    dn_dense last; /* [3 bands][channels / 2][2 bands * width] */
} dn_depthwise;

typedef struct dn_enhancer dn_enhancer;

/* Bodies by kind. */
typedef struct {
    const char *name;
    int (*memory)(const dn_body_sizes *sizes); /* floats that outlive a frame, of a channel */
    int (*room)(const dn_body_sizes *sizes);   /* floats that run takes of the stack */

    /* Makes hidden[DN_ENHANCER_BANDS][width] of features[DN_ENHANCER_BANDS][dn_seen_features]. */
    void (*run)(const dn_enhancer *net, const dn_kernels *k, float *memory, const float *features, float *hidden);
} dn_body;

extern const dn_body dn_rows_body;      /* few products, and a GRU's step a block */
extern const dn_body dn_mixed_body;     /* a hop has no steps that wait for each other but its layers */
extern const dn_body dn_depthwise_body; /* most weights, and steps along the rows */

struct dn_enhancer {
    dn_network base;
    const dn_body *body;
    dn_body_sizes sizes;
    dn_mixed mixed; /* of the kind that the sizes say */
    dn_row_body rows;
    dn_depthwise depthwise;
    int past;                            /* where in a channel's memory the low bins of the frames before lie */
    int guide;                           /* where the last hop of the guide does */
    dn_dense low_head, upper_head;       /* [width][2 * taps], [width][2]; one more of each with a guide, its share */
    dn_dense voice_hidden, voice_output; /* [2 * width][DN_VOICE_UNITS], [DN_VOICE_UNITS][1] */
    float *room;                         /* all weights, from dn_new */
    dn_fft fft;
    float analysis[DN_WINDOW], synthesis[DN_WINDOW];
    int16_t edge[DN_UPPER];     /* the first bin at or above each upper band's peak, and DN_BINS at last */
    float rise[DN_PADDED_BINS]; /* place of a bin between the peaks below and above it */
    float share[DN_UPPER];      /* one over the sum of an upper band's weights */
};

#endif
