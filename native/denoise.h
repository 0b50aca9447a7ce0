/* RNNoise in plain C11: a recurrent network that takes noise out of speech, 10 ms at a time.
 *
 *     dn_model *model;                                    weights, loaded once, shared by any number of threads
 *     dn_state *state;                                    the memory of one channel, one thread at a time
 *     dn_model_load(bytes, size, &model, message, sizeof message);
 *     dn_state_create(model, &state);
 *     while (more) dn_process(&state, 1, in, out, voice, frames, 0.0f);
 *     dn_state_destroy(state);
 *     dn_model_destroy(model);
 *
 * Audio is mono float at 48 kHz, full scale +-1. Nothing here prints, exits, or keeps global writable data; only
 * the *_create and *_load calls allocate. What takes samples works in a floating-point mode of its own, to the nearest
 * and with numbers too small to be normal taken for zero, and leaves the caller's as it was. */
#ifndef DN_DENOISE_H
#define DN_DENOISE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DN_RATE = 48000,   /* Hz */
    DN_FRAME = 480,    /* samples taken and given at a time, 10 ms */
    DN_BANDS = 22,     /* gains of the classic network */
    DN_FEATURES = 42,  /* inputs of the classic network */
    DN_V02_BANDS = 32, /* the same of the v0.2 network */
    DN_V02_FEATURES = 65,
    DN_BINS = 481,      /* of a frame's spectrum, 50 Hz apart */
    DN_LIMIT = 1000000, /* the loudest sample taken, full scale being 1: beyond it squares leave the range of a float */
    DN_MESSAGE = 200,   /* bytes that hold any message of a loader, its NUL included */
};

typedef struct dn_model dn_model;         /* weights: read-only once loaded */
typedef struct dn_state dn_state;         /* one channel's memory */
typedef struct dn_extractor dn_extractor; /* one noisy and clean pair's memory, for training */

typedef enum {
    DN_OK,
    DN_NO_MEMORY,
    DN_BAD_MODEL,   /* the bytes are no model, or a damaged one: the message says which layer and why */
    DN_NOT_FINITE,  /* a sample came that is NaN, infinite or beyond +-DN_LIMIT; no state was touched */
    DN_BAD_STATE,   /* the bytes were not saved from a state of this model, or were damaged */
    DN_BAD_RANGE,   /* samples were asked for that cannot be made of those given */
    DN_NO_SUCH_ISA, /* this processor, or this build, cannot run that instruction set */
    DN_BAD_STATES,  /* the states of one call are of unlike models, or one is there twice; no state was touched */
} dn_status;

/* ---- model ---- */

/* Loads a model from memory: "rnnoise-nu" text (.rnnn), nnnoiseless' bytes (.rnn), a record file of our own, or a
 * weights blob of RNNoise 0.2; which one is told from the bytes. data is not kept. On failure *out is NULL and message,
 * DN_MESSAGE bytes or NULL, holds one line that names the layer and what is wrong. */
dn_status dn_model_load(const void *data, size_t size, dn_model **out, char *message);

/* The model compiled in from rnn_data.c, and the bytes that it is loaded from, which live for ever. */
dn_status dn_model_builtin(dn_model **out, char *message);
const void *dn_builtin_bytes(size_t *size);
void dn_model_destroy(dn_model *model); /* NULL is fine */

/* The two networks that this engine runs: of 22 bands and six layers, or of 32 bands and one frame of look-ahead. */
typedef enum { DN_CLASSIC, DN_V02 } dn_family;

dn_family dn_model_family(const dn_model *model);

/* Samples by which the output of this model is later than its input. */
int dn_model_delay(const dn_model *model);

/* A layer of a classic model, in the order of the formats: input_dense, vad_gru, noise_gru, denoise_gru,
 * denoise_output, vad_output. The weights are integers of 1/256, input-major: weights[inputs][columns],
 * recurrent[units][columns], bias[columns], where columns is units for a dense layer and 3 * units (update, reset,
 * candidate) for a GRU. */
typedef struct {
    const char *name;
    int inputs, units;
    int activation; /* 0 tanh, 1 sigmoid, 2 ReLU; the gates of a GRU are always sigmoid */
    int is_gru;
    const int8_t *weights;
    const int8_t *recurrent; /* NULL for a dense layer */
    const int8_t *bias;
} dn_layer;

enum { DN_LAYERS = 6 };

/* Layer 0 to DN_LAYERS - 1; the pointers live as long as the model. All zero in a v0.2 model. */
dn_layer dn_model_layer(const dn_model *model, int index);

/* A linear map of a v0.2 model: conv1, conv2, gru1_input, gru1_recurrent, the same of gru2 and gru3, dense_out,
 * vad_dense. */
typedef struct {
    const char *name;
    int inputs, outputs;
    int is_int8;      /* or float */
    int has_diagonal; /* outputs weights more */
    size_t weights;   /* kept of inputs * outputs; all of them unless the map is block-sparse */
} dn_map;

enum { DN_MAPS = 10 };

/* Map 0 to DN_MAPS - 1. All zero in a classic model. */
dn_map dn_model_map(const dn_model *model, int index);

/* The metadata that a record file carries: JSON in UTF-8, *size bytes, no NUL. NULL where there is none. */
const char *dn_model_metadata(const dn_model *model, size_t *size);

/* ---- state ---- */

/* A state from silence. It borrows model, which must outlive it. On failure *out is NULL. */
dn_status dn_state_create(const dn_model *model, dn_state **out);
void dn_state_reset(dn_state *state);
void dn_state_destroy(dn_state *state); /* NULL is fine */

/* Cleans frames of 10 ms on each of channels states, which may be channels of one signal or signals of their own: a
 * server can take all its calls through in one. They share each reading of the weights; no bit of a channel depends on
 * the others.
 * in, out: [channels][frames * DN_FRAME] samples, full scale +-1; they may be the same buffer, no other overlap.
 *     out may pass full scale: clamp before storing integers. It is dn_model_delay samples late.
 * voice: [channels][frames] probabilities, 0 to 1, that a frame holds speech; or NULL.
 * min_gain: 0 to 1, below which no band is turned down; 0 for no limit, 1 lets everything through.
 * Returns DN_OK, or before anything was touched DN_NOT_FINITE or DN_BAD_STATES. Takes less than 68 kB of the stack. */
dn_status dn_process(dn_state *const *states, size_t channels, const float *in, float *out, float *voice, size_t frames,
                     float min_gain);

/* A state as bytes: dn_state_size of them, to be read on a machine of the same byte order. Restoring checks all of
 * them, a checksum too, and leaves the state as it was when they do not fit. */
size_t dn_state_size(const dn_state *state);
void dn_state_save(const dn_state *state, void *bytes);
dn_status dn_state_restore(dn_state *state, const void *bytes, size_t size);

/* ---- training ---- */

/* Of the features and bands of that network. */
dn_status dn_extractor_create(dn_family family, dn_extractor **out);
void dn_extractor_destroy(dn_extractor *extractor); /* NULL is fine */

/* Where to put what is found of each frame; NULL for what is not wanted. Features and bands, F and B, are 42 and 22 of
 * the classic network, 65 and 32 of v0.2's. Energies have the scale of the features: powers of int16 samples / 960,
 * summed over a band. Spectra are of 20 ms, of which the last 10 are this frame, real and imaginary parts in turn. */
typedef struct {
    float *features; /* [frames][F], zero in frames too quiet to be run */
    float *gains;    /* [frames][B], root of the clean over the noisy energy, 0 to 1; -1 where the band is too quiet in
                      * both to say, or the frame too quiet to be run */
    float *clean_energy, *energy; /* [frames][B], of the clean bands and of the noisy ones */
    float *pitch_energy;          /* [frames][B], of the noisy bands one pitch period ago */
    float *coherence;             /* [frames][B], of the noisy bands and themselves one pitch period ago, -1 to 1 */
    float *spectrum, *pitch_spectrum, *clean_spectrum; /* [frames][DN_BINS][2], of the same three */
} dn_extracted;

/* What the network sees of noisy, and what it should answer to get clean.
 * noisy, clean: [frames * DN_FRAME] samples in time with each other, clean being what is wanted of noisy.
 * Memory carries on from call to call. Returns DN_OK, or DN_NOT_FINITE before anything was touched. */
dn_status dn_extract(dn_extractor *extractor, const float *noisy, const float *clean, size_t frames,
                     const dn_extracted *out);

/* ---- change of sampling rate ---- */

/* How one rate becomes another: a table of filters, read-only once made, shared by any number of signals. */
typedef struct dn_ratio dn_ratio;

/* in_rate, out_rate: Hz, 1 to 10^6, one at most 1000 times the other. Linear phase; flat to 0.45 of the lower rate, and
 * 100 dB down from half of it. On failure *out is NULL. */
dn_status dn_ratio_create(int32_t in_rate, int32_t out_rate, dn_ratio **out);
/* The same in a third of the time: flat to 0.34 of the lower rate, 80 dB down from half of it. */
dn_status dn_ratio_create_quick(int32_t in_rate, int32_t out_rate, dn_ratio **out);
void dn_ratio_destroy(dn_ratio *ratio); /* NULL is fine */

/* Input samples before and after its own place that an output sample is made of: about 64 periods of the lower rate,
 * 16 of the quick one. */
int32_t dn_ratio_reach(const dn_ratio *ratio);

/* Output samples first to first + count - 1 of a signal whose sample number start is in[0], n samples of it being
 * there. Output sample m is what the signal is at input place m * in_rate / out_rate: nothing is late. It is made of
 * the inputs from floor(place) - reach + 1 to floor(place) + reach; give zeros for those before the beginning.
 * DN_BAD_RANGE, with out untouched, if in does not hold them all, or beyond output 2^52. Nothing depends on how a
 * signal is cut into calls. */
dn_status dn_resample(const dn_ratio *ratio, const float *in, int64_t start, size_t n, float *out, int64_t first,
                      size_t count);

/* ---- filters of whole signals, for training ---- */

/* Puts two signals, a and b [n], through count second-order sections one after the other, from silence on, in place and
 * in double precision. sections [count][5]: b0, b1, b2, a1, a2, with a0 = 1. The second signal is nearly free; b may be
 * a, and may not overlap it otherwise. */
void dn_sections(float *a, float *b, size_t n, const double *sections, size_t count);

/* ---- instruction sets ---- */

/* The instruction set in use, one of dn_isa_names(). */
const char *dn_isa(const dn_model *model);

/* Names that this build knows, space separated, fastest first. */
const char *dn_isa_names(void);

/* Makes model run on the named instruction set; NULL picks the fastest that this processor has, which is what loading
 * does. Call it before the model is shared. DN_NO_SUCH_ISA leaves the model as it was. */
dn_status dn_model_set_isa(dn_model *model, const char *name);

/* ---- blocks that overlap: what a DTLN has around its networks ---- */

typedef struct dn_blocks dn_blocks; /* tables, read-only */

/* For blocks of so many samples, 16 to 2048 and a power of two, of which each begins hop samples after the one before;
 * hop divides block. A block has block / 2 + 1 bins. On failure (DN_BAD_RANGE, DN_NO_MEMORY) *out is NULL. */
dn_status dn_blocks_create(int32_t block, int32_t hop, dn_blocks **out);
void dn_blocks_destroy(dn_blocks *blocks); /* NULL is fine */

/* The spectrum of each block that ends with a hop of in.
 * heard [channels][block - hop]: the samples before; heard_after: those before the hops to come. in [channels][hops *
 * hop]. line [channels][block - hop + hops * hop]: heard and in. spectra [channels][hops][bins][2]: real and imaginary
 * parts. magnitudes [channels][hops][bins]. No two may overlap. */
void dn_blocks_analyse(const dn_blocks *blocks, size_t channels, size_t hops, const float *heard, const float *in,
                       float *line, float *spectra, float *magnitudes, float *heard_after);

/* Blocks of spectra [count][bins][2] times gains [count][bins]: frames [count][block]. */
void dn_blocks_synthesise(const dn_blocks *blocks, size_t count, const float *spectra, const float *gains,
                          float *frames);

/* The sum of frames [channels][hops][block] where they overlap, the oldest added first: out [channels][hops * hop],
 * block - hop samples later than in. pending, pending_after [channels][block - hop]: what frames before have brought to
 * samples that still come. No two may overlap. */
void dn_blocks_add(const dn_blocks *blocks, size_t channels, size_t hops, const float *frames, const float *pending,
                   float *out, float *pending_after);

/* ---- samples as callers have them ---- */

typedef enum { DN_INT16, DN_INT32, DN_FLOAT, DN_DOUBLE } dn_type;

/* Interleaved samples, in [frames][channels], to out [channels][frames], full scale +-1.
 * DN_NOT_FINITE if a sample of a floating-point type is NaN or beyond +-limit; out then holds it all the same. */
dn_status dn_take_samples(dn_type type, const void *in, size_t channels, size_t frames, float limit, float *out);

/* Puts fresh [channels][frames] into a queue [channels][room] at place last, and gives those at place first to
 * out [frames][channels], interleaved; integers are rounded, halves to even, and clipped at full scale.
 * first <= last <= room - frames. */
void dn_exchange_samples(dn_type type, float *queue, size_t room, size_t first, size_t last, const float *fresh,
                         size_t channels, size_t frames, void *out);

#ifdef __cplusplus
}
#endif
#endif
