/* Networks that others have released for 16 kHz, UL-UNAS and GTCRN: sizes, weights, and the parts that both have. */
#ifndef DN_NETWORK_NARROW_H
#define DN_NETWORK_NARROW_H

#include "enhancer_parts.h"

enum {
    DN_NARROW_RATE = 16000,
    DN_NARROW_HOP = 256,
    DN_NARROW_WINDOW = 512,
    DN_NARROW_BINS = 257,
    DN_NARROW_PADDED_BINS = 264,
    DN_NARROW_LOW = 65,   /* bins that are kept as they are */
    DN_NARROW_UPPER = 64, /* bands of the others */
    DN_NARROW_BANDS = DN_NARROW_LOW + DN_NARROW_UPPER,
    DN_NARROW_HALVED = (DN_NARROW_BANDS + 1) / 2,
    DN_NARROW_ROWS = (DN_NARROW_HALVED + 1) / 2, /* bands in the middle of the network */
    DN_NARROW_CHANNELS = 16,                     /* of each */
    DN_NARROW_MOST = 32,                         /* channels of a block */
    DN_PATHS = 2,
    DN_HALF_PATH = DN_NARROW_CHANNELS / 2, /* channels that a GRU of a path sees */
    DN_SIDE = 5,                           /* blocks of the encoder, and of the decoder */
    DN_TOGETHER = 4,                       /* bands that attention along frequency takes in a step */
    DN_DIRECTIONS = 8,                     /* values of a step of gru_places, up and down */
};

typedef enum { DN_ULUNAS, DN_GTCRN, DN_NARROW_KINDS } dn_narrow_kind;

/* Gains of bands by a pair of GRUs along them, DN_TOGETHER a step; power is a sum, by a weight that makes it a mean. */
typedef struct {
    dn_dense input; /* DN_TOGETHER to [z, r, n][up, down][4] */
    const float *recurrent, *bias;
    dn_dense map; /* DN_DIRECTIONS to DN_TOGETHER */
} dn_band_attention;

/* GRUs along the rows of a frame, then along time in each row, for each half of the channels. */
typedef struct {
    dn_dense along_rows[2]; /* DN_HALF_PATH to [z, r, n][up, down][4] */
    const float *rows_recurrent, *rows_bias;
    dn_dense rows_map;
    const float *rows_scale, *rows_offset; /* of the norm over all rows and channels */
    dn_dense input[2], recurrent[2];       /* DN_HALF_PATH to [z, r, n][8] */
    dn_dense time_map, time_map_second;    /* of either half */
    const float *time_scale, *time_offset;
} dn_path;

typedef struct {
    dn_dense enter;                    /* NULL weights where there is none, as in all of these */
    dn_bend bend_first;                /* of what enters */
    const float *filter, *filter_bias; /* [times][taps][channels]: depthwise */
    dn_dense conv;                     /* instead of enter and filter at both ends of the network */
    dn_bend bend;
    dn_dense leave;
    dn_time_attention time;
    dn_band_attention bands;
} dn_narrow_block;

typedef struct dn_narrow dn_narrow;

/* The networks by kind. */
typedef struct {
    const char *name;
    int memory; /* floats that outlive a frame, of a channel */

    /* Multiplies the first DN_NARROW_BINS bins of a spectrum by its mask, min_gain being the original's share. */
    void (*run)(const dn_narrow *net, const dn_kernels *k, float *memory, dn_spectrum *X, float min_gain);
} dn_narrow_body;

extern const dn_narrow_body dn_ulunas_body;
extern const dn_narrow_body dn_gtcrn_body;

struct dn_narrow {
    dn_network base;
    const dn_narrow_body *body;
    dn_narrow_block encoder[DN_SIDE], decoder[DN_SIDE];
    dn_path path[DN_PATHS];
    float *room; /* all weights, from dn_new */
    dn_fft512 fft;
    float analysis[DN_NARROW_WINDOW], synthesis[DN_NARROW_WINDOW];
    int16_t edge[DN_NARROW_UPPER];     /* bins of the upper bands' peaks, and DN_NARROW_BINS at last */
    float rise[DN_NARROW_PADDED_BINS]; /* place of a bin between the peaks below and above it */
};

/* A block of the encoder; of the decoder with inputs and outputs, and bands, in turn. */
typedef struct {
    int inputs, outputs, before, after; /* channels, bands */
    int times, taps;
    int leaves; /* it has a map at its end */
} dn_narrow_shape;

extern const dn_narrow_shape dn_ulunas_shapes[DN_SIDE];

static inline dn_narrow_shape dn_narrow_turned(dn_narrow_shape s) {
    return (dn_narrow_shape){s.outputs, s.inputs, s.after, s.before, s.times, s.taps, s.leaves};
}

/* Fills in all that follows from the kind. */
void dn_narrow_prepare(dn_narrow *net);

/* Processes one hop, DN_NARROW_HOP samples at 16 kHz. Returns 0: these networks do not say where speech is. */
dn_samples_run dn_narrow_run;

/* bands[DN_NARROW_BANDS] of bins[DN_NARROW_PADDED_BINS], and back. */
void dn_narrow_to_bands(const dn_narrow *net, const dn_kernels *k, const float *bins, float *bands);
void dn_narrow_to_bins(const dn_narrow *net, const dn_kernels *k, const float *bands, float *bins);

/* x[DN_NARROW_ROWS][DN_NARROW_CHANNELS] through a path, in place. memory[2 halves][DN_NARROW_ROWS][DN_HALF_PATH] */
void dn_path_run(const dn_path *p, const dn_kernels *k, float *memory, float *x);

/* gain[bands] for power[bands]; both with room for whole steps of DN_TOGETHER and a vector more. */
void dn_band_attention_run(const dn_band_attention *a, const dn_kernels *k, float *power, int bands, float *gain);

#endif
