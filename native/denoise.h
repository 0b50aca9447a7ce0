/* RNNoise and its like in plain C11: recurrent networks that take noise out of speech, 10 ms at a time.
 *
 *     dn_model *model;                                    weights, loaded once, shared by any number of threads
 *     dn_state *state;                                    the memory of one channel, one thread at a time
 *     dn_model_load(bytes, size, &model, message);
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
    DN_FRAME = 480,    /* samples of a frame, 10 ms */
    DN_BANDS = 22,     /* gains of the classic network */
    DN_FEATURES = 42,  /* inputs of the classic network */
    DN_V02_BANDS = 32, /* the same of the v0.2 network */
    DN_V02_FEATURES = 65,
    DN_BINS = 481, /* of a frame's spectrum, 50 Hz apart */
    DN_LIMIT =
        1000000, /* the loudest sample accepted, full scale being 1: beyond it squares leave the range of a float */
    DN_MESSAGE = 200, /* bytes that hold any message of a loader, its NUL included */
};

typedef struct dn_model dn_model;         /* weights: read-only once loaded */
typedef struct dn_state dn_state;         /* one channel's memory */
typedef struct dn_extractor dn_extractor; /* one noisy and clean pair's memory, for training */

typedef enum {
    DN_OK,
    DN_NO_MEMORY,
    DN_BAD_MODEL,     /* the bytes are no model, or a damaged one: the message says which layer and why */
    DN_NOT_FINITE,    /* a sample came that is NaN, infinite or beyond +-DN_LIMIT; no state was touched */
    DN_BAD_STATE,     /* the bytes were not saved from a state of this model, or were damaged */
    DN_BAD_RANGE,     /* samples were asked for that cannot be made of the input */
    DN_NO_SUCH_ISA,   /* this processor, or this build, cannot run that instruction set */
    DN_BAD_STATES,    /* the states of one call are of unlike models, or one is there twice; no state was touched */
    DN_BUSY,          /* another thread is using the lane */
    DN_UNKNOWN_MODEL, /* nothing is wrong with the bytes that is known, but this engine does not run what they hold: the
                       * message says where they differ from what it runs */
} dn_status;

/* ---- model ---- */

/* Loads a model from memory: "rnnoise-nu" text (.rnnn), nnnoiseless' bytes (.rnn), a record file of our own, an
 * enhancer's too, or a weights blob of RNNoise 0.2, recognised by the bytes. data is not kept. On failure *out is NULL
 * and message, DN_MESSAGE bytes or NULL, holds one line that names the layer and what is wrong. */
dn_status dn_model_load(const void *data, size_t size, dn_model **out, char *message);

/* Forms in which the weights of a DTLN are kept. */
typedef enum {
    DN_AS_STORED, /* floats of 16 bits where the file's numbers are such, and else of 32 */
    DN_INT8,      /* integers of 8 bits with a scale for each output, and inputs rounded likewise in each hop */
} dn_precision;

/* Loads a DTLN: its two ONNX files, in either order, each of which is recognised node by node. The blocks are as long
 * as the file of the second network says, 16 to 2048 samples and a power of two, a hop a quarter of that; the rate is
 * whatever it was trained for. DN_UNKNOWN_MODEL: a graph is not one of those that this engine knows, of which the
 * message says how. */
dn_status dn_model_load_pair(const void *first, size_t first_size, const void *second, size_t second_size,
                             dn_precision precision, dn_model **out, char *message);

/* Says whether the files of a loaded pair came the second first. */
int dn_model_is_swapped(const dn_model *model);

/* Loads the model compiled in. */
dn_status dn_model_builtin(dn_model **out, char *message);

/* Returns the bytes that it is loaded from, which live for ever. */
const void *dn_builtin_bytes(size_t *size);
void dn_model_destroy(dn_model *model); /* NULL is fine */

/* The networks that this engine runs: RNNoise's of 22 bands and six layers, that of 32 bands and one frame of
 * look-ahead, the enhancer, which has a mask for each bin, the DTLN, which has two networks, and what others released
 * for 16 kHz: UL-UNAS and GTCRN. */
typedef enum { DN_CLASSIC, DN_V02, DN_ENHANCER, DN_DTLN, DN_NARROW } dn_family;

dn_family dn_model_family(const dn_model *model);

/* Samples by which the output of this model is later than its input. */
int dn_model_delay(const dn_model *model);

/* Samples that go in and come out at a time: DN_FRAME, but of a DTLN and of networks for 16 kHz. */
int dn_model_hop(const dn_model *model);

/* Hz: DN_RATE, but of networks for 16 kHz. */
int dn_model_rate(const dn_model *model);

/* 1 of an enhancer that takes a guide, see dn_process_guided; else 0. */
int dn_model_is_guided(const dn_model *model);

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

/* Layer 0 to DN_LAYERS - 1; the pointers live as long as the model. All zero in other models. */
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

/* Map 0 to DN_MAPS - 1. All zero in other models. */
dn_map dn_model_map(const dn_model *model, int index);

/* The metadata that a record file carries: JSON in UTF-8, *size bytes, no NUL. NULL where there is none. */
const char *dn_model_metadata(const dn_model *model, size_t *size);

/* ---- state ---- */

/* Creates a state from silence. It borrows model, which must outlive it. On failure *out is NULL. */
dn_status dn_state_create(const dn_model *model, dn_state **out);
void dn_state_reset(dn_state *state);
void dn_state_destroy(dn_state *state); /* NULL is fine */

/* Cleans frames, of dn_model_hop samples each, on each of channels states, which may be channels of one signal or
 * signals of their own: a server can take all its calls through in one. They share each reading of the weights; no bit
 * of a channel depends on the others. in, out: [channels][frames * hop] samples, full scale +-1; they may be the same
 * buffer, no other overlap. out may pass full scale: clamp before storing integers. It is dn_model_delay samples late.
 * voice: [channels][frames] probabilities, 0 to 1, that a frame holds speech, zeros of a DTLN; or NULL.
 * min_gain: 0 to 1, below which no band is turned down; 0 for no limit, 1 lets everything through. Of networks with
 *     masks of bins, as enhancers and DTLNs, the share of the late original in what comes out.
 * Returns DN_OK, or before anything was touched DN_NOT_FINITE or DN_BAD_STATES. Takes less than 96 kB of the stack. */
dn_status dn_process(dn_state *const *states, size_t channels, const float *in, float *out, float *voice, size_t frames,
                     float min_gain);

/* The same with a guide for models that take one: what another denoiser, the one that they have learned with, has made
 * of in, in time with it; [channels][frames * hop], finite, and taken for +-DN_LIMIT beyond that. It may be the same
 * buffer as out. Others do not look at it; without it a signal is its own guide. */
dn_status dn_process_guided(dn_state *const *states, size_t channels, const float *in, const float *guide, float *out,
                            float *voice, size_t frames, float min_gain);

/* Processes frames through two models in a row: guides, the states of one that takes frames of 10 ms at 48 kHz, and
 * what they make of in guides the states of one that takes a guide. Bit for bit as two calls with as much silence
 * before the second's signal as the first is late by, and late by both. held: [channels][dn_model_delay of the guides'
 * model], zeros at the start, the latest of the signal; moved on. voice: the mean of both.
 * Otherwise as dn_process; DN_BAD_STATES for models of other kinds, too. */
dn_status dn_process_behind(dn_state *const *guides, dn_state *const *states, size_t channels, const float *in,
                            float *held, float *out, float *voice, size_t frames, float min_gain);

/* Saves a state as dn_state_size bytes, to be read on a machine of the same byte order. Restoring checks all of them, a
 * checksum too, and leaves the state as it was when they do not fit. */
size_t dn_state_size(const dn_state *state);
void dn_state_save(const dn_state *state, void *bytes);
dn_status dn_state_restore(dn_state *state, const void *bytes, size_t size);

/* ---- training ---- */

/* Creates an extractor of the features and bands of that family, one of RNNoise's two (or else DN_BAD_RANGE). On
 * failure *out is NULL. */
dn_status dn_extractor_create(dn_family family, dn_extractor **out);
void dn_extractor_destroy(dn_extractor *extractor); /* NULL is fine */

/* Room for what is extracted of each frame; NULL for what is not wanted. Features and bands, F and B, are 42 and 22 of
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

/* Extracts what the network sees of noisy, and the answer that makes it clean.
 * noisy, clean: [frames * DN_FRAME] samples in time with each other, clean being what is wanted of noisy.
 * Memory carries on from call to call. Returns DN_OK, or DN_NOT_FINITE before anything was touched. */
dn_status dn_extract(dn_extractor *extractor, const float *noisy, const float *clean, size_t frames,
                     const dn_extracted *out);

/* ---- change of sampling rate ---- */

/* Change of one rate to another: a table of filters, read-only once made, shared by any number of signals. */
typedef struct dn_ratio dn_ratio;

/* Makes the filters from in_rate to out_rate: Hz, 1 to 10^6, one at most 1000 times the other. Linear phase; flat to
 * 0.45 of the lower rate, and 100 dB down from half of it. On failure *out is NULL. */
dn_status dn_ratio_create(int32_t in_rate, int32_t out_rate, dn_ratio **out);
/* The same in a third of the time: flat to 0.34 of the lower rate, 80 dB down from half of it. */
dn_status dn_ratio_create_quick(int32_t in_rate, int32_t out_rate, dn_ratio **out);
void dn_ratio_destroy(dn_ratio *ratio); /* NULL is fine */

/* Input samples before and after its own place that an output sample is made of: about 64 periods of the lower rate,
 * 16 of the quick one. */
int32_t dn_ratio_reach(const dn_ratio *ratio);

/* Output samples that are ready after n input samples: those of which the last input is among them. And the number of
 * the first input that output sample m is made of, below zero near the beginning. n, m: 0 to 2^52. */
int64_t dn_ratio_ready(const dn_ratio *ratio, int64_t n);
int64_t dn_ratio_first(const dn_ratio *ratio, int64_t m);

/* Makes output samples first to first + count - 1 of a signal whose sample number start is in[0], n samples of it being
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

/* Name of the instruction set in use. */
const char *dn_isa(const dn_model *model);

/* Name of each set that this build knows, from index 0 on, the fastest first; NULL behind the last. */
const char *dn_isa_name(int index);

/* Makes model run on the named instruction set; NULL picks the fastest that this processor has, which is what loading
 * does. Call it before the model is shared. DN_NO_SUCH_ISA leaves the model as it was. */
dn_status dn_model_set_isa(dn_model *model, const char *name);

/* ---- blocks that overlap: what a DTLN has around its networks ---- */

typedef struct dn_blocks dn_blocks; /* tables, read-only */

/* Makes the tables for blocks of so many samples, 16 to 2048 and a power of two, each beginning hop samples after the
 * one before; hop divides block. A block has block / 2 + 1 bins. On failure (DN_BAD_RANGE, DN_NO_MEMORY) *out is NULL.
 */
dn_status dn_blocks_create(int32_t block, int32_t hop, dn_blocks **out);
void dn_blocks_destroy(dn_blocks *blocks); /* NULL is fine */

/* Transforms each block that ends with a hop of in.
 * past [channels][block - hop]: the samples before; past_after: those before the hops to come. in [channels][hops *
 * hop]. line [channels][block - hop + hops * hop]: past and in. spectra [channels][hops][bins][2]: real and imaginary
 * parts. magnitudes [channels][hops][bins]. No two may overlap. */
void dn_blocks_analyse(const dn_blocks *blocks, size_t channels, size_t hops, const float *past, const float *in,
                       float *line, float *spectra, float *magnitudes, float *past_after);

/* Makes blocks of spectra [count][bins][2] times gains [count][bins]: frames [count][block]. */
void dn_blocks_synthesise(const dn_blocks *blocks, size_t count, const float *spectra, const float *gains,
                          float *frames);

/* Adds frames [channels][hops][block] up where they overlap, the oldest added first: out [channels][hops * hop],
 * block - hop samples later than in. pending, pending_after [channels][block - hop]: what frames before have brought to
 * samples that still come. No two may overlap. */
void dn_blocks_add(const dn_blocks *blocks, size_t channels, size_t hops, const float *frames, const float *pending,
                   float *out, float *pending_after);

/* ---- samples ---- */

typedef enum { DN_INT16, DN_INT32, DN_FLOAT, DN_DOUBLE } dn_type; /* of a caller's samples; full scale of floats is 1 */

/* Rounds count samples to depth bits, 8 to 32, halves to even, and clips them; NaN becomes 0. out: int16_t for a depth
 * up to 16, else int32_t, of full scale in that type, with zeros below the depth. in and out may not overlap. */
void dn_round_samples(dn_type type, const void *in, size_t count, int depth, void *out);

/* ---- a lane: a live signal's way through a backend, n frames in and n frames out, late by a constant ---- */

/* A voice gate: open from the first hop that holds speech, on any channel, until hold hops after the last one. */
typedef struct {
    float threshold; /* 0 to 1, the probability from which a hop is speech */
    float gain;      /* of the last hop, 1 or 0 */
    int64_t hold;    /* hops for which it stays open after speech */
    int64_t since;   /* hops since the last one with speech, at most hold + 1 */
} dn_gate;

/* The gain of each hop, 1 where the gate is open in it and 0 where it is closed, and moves the gate on.
 * voice: [channels][hops] probabilities of speech. gains: [hops]. */
void dn_gate_run(dn_gate *gate, const float *voice, size_t channels, size_t hops, float *gains);

typedef struct dn_lane dn_lane; /* all that one signal needs around its backend */

typedef struct {
    size_t channels;
    size_t hop, delay; /* of the backend, in samples; hop 0: there is none, and frames come out as they went in */
    size_t latency;    /* frames by which the output is late; enough for the queue never to run dry */
    const dn_ratio *to_backend, *to_caller; /* NULL where the caller's rate is the backend's; they outlive the lane */
    int gated;
    dn_gate gate;     /* if gated: it fades from open to closed, and back, over one hop */
    int64_t position; /* frames of the signal before the first that the lane gets */
    int64_t fade_in;  /* frames until the lane begins to be heard over those before it, if it is not the first */
    int64_t fade;     /* frames in which it then fades in, or in which a changed mix is reached */
    float mix;        /* of a lane without a backend: the others' share of the result, of which it has the rest */
} dn_lane_plan;

/* From silence. On failure *out is NULL. */
dn_status dn_lane_create(const dn_lane_plan *plan, dn_lane **out);
void dn_lane_destroy(dn_lane *lane); /* NULL is fine */

/* A lane is for one thread at a time, and keeps to that itself: where another thread is in the middle of a function
 * with the lane, one answers DN_BUSY at once, and all is as if it had not been called. Only destroying is the caller's
 * care.
 *
 * A chunk goes through in three steps, of which only the last changes anything: a chunk given up on the way has left
 * no trace, and the next begins anew; so a chunk of which another thread has taken the place is refused, DN_BAD_RANGE.
 *
 * 1. Takes interleaved samples [frames][channels]. Returns how many hops are whole with them; if these are expected,
 *    block is filled with them, [channels][hops * hop], and else dn_lane_block does that. Or below zero
 *    -DN_NOT_FINITE if a sample is NaN or beyond +-limit, -DN_NO_MEMORY, or -DN_BAD_RANGE at the end of time. */
int64_t dn_lane_take(dn_lane *lane, dn_type type, const void *samples, size_t frames, float limit, int64_t expected,
                     float *block);
dn_status dn_lane_block(dn_lane *lane, int64_t hops, float *block);

/* 2. What the backend made of the hops, as much, with the voice, [channels][hops], which only a gate looks at and else
 *    may be NULL. Not for the first lane, of which dn_lanes_give takes it. DN_BAD_RANGE if there are not so many. */
dn_status dn_lane_bring(dn_lane *lane, int64_t hops, const float *cleaned, const float *voice);

/* 3. The frames that are due, interleaved, as many as came; integers are rounded, halves to even, and clipped at full
 *    scale. lanes: one, or several of one signal, each of which fades in over those before it. dry: the lane without a
 *    backend, or NULL. All have taken the same chunk. hops, cleaned, voice: of the first lane.
 *    Returns how many lanes at the beginning are not heard any more, or -DN_BAD_RANGE, with nothing changed, if a step
 *    was left out or a queue ran dry. */
int64_t dn_lanes_give(dn_lane *const *lanes, size_t count, dn_lane *dry, int64_t hops, const float *cleaned,
                      const float *voice, dn_type type, void *out);

/* Makes room for chunks of so many frames, up to 2^24: a lane then asks for no memory for them, nor for smaller ones.
 */
dn_status dn_lane_reserve(dn_lane *lane, size_t frames);

/* Begins anew, as it was created, with the room that it has. */
dn_status dn_lane_reset(dn_lane *lane);

/* Changes the mix, which is reached within plan.fade frames, and the threshold of the gate, from the next chunk on. */
dn_status dn_lane_set(dn_lane *lane, float mix, float threshold);

/* Where a lane is. Frames of the signal up to now; until the lane begins to be heard, or below zero, of its fade; its
 * gate; and its size as bytes. */
typedef struct {
    int64_t position, fade_in;
    dn_gate gate;
    size_t size;
} dn_lane_facts;

dn_status dn_lane_look(dn_lane *lane, dn_lane_facts *facts);

/* A lane as bytes, without a chunk on its way, for a lane of the same plan on a machine of the same byte order.
 * size: that of its facts, or DN_BAD_RANGE if it is another one by now. Restoring answers DN_BAD_STATE, with the lane
 * unchanged, if the bytes are not of such a lane; or DN_NO_MEMORY. */
dn_status dn_lane_save(dn_lane *lane, void *bytes, size_t size);
dn_status dn_lane_restore(dn_lane *lane, const void *bytes, size_t size);

/* ---- an enhancer's body of kind 'rows' while it learns ---- */

/* Sizes of it, as the settings of a training name them. channels, rows and units / heads are multiples of 8, bands is
 * one of 32; none is above 1024, convolutions and blocks are at most 8. */
typedef struct {
    int32_t features, bands, channels, width, convolutions, rows, blocks, units, heads;
} dn_rows_sizes;

/* Return how many floats all weights are, and what is kept of a frame; 0 where there is no body of these sizes.
 *
 * The weights, matrices [inputs][outputs] each followed by what is added, inputs of a convolution [tap][channel]: the
 * first convolution; those of the encoder; the matrix that makes rows of groups, [rows][groups], with nothing added;
 * channels to units; for each block the GRU's two maps, r, z and n, the map behind it, to which [rows][units] are
 * added, queries, keys and values, with nothing added, and the map behind attention; units to channels; rows to groups,
 * [groups][rows]; for each convolution of the decoder the map that joins what comes from below and from the encoder,
 * and it; the last such map; the last convolution, [channels][tap][width], with [width] added. */
size_t dn_rows_weights(const dn_rows_sizes *sizes);
size_t dn_rows_kept(const dn_rows_sizes *sizes);

/* Runs the body on features [clips][features][frames][bands]: hidden [clips][frames][bands][width]. states
 * [clips][blocks][rows][units] are moved on. kept: for dn_rows_backward. DN_BAD_RANGE: no such sizes. */
dn_status dn_rows_forward(const dn_rows_sizes *sizes, size_t clips, size_t frames, const float *weights,
                          const float *features, float *states, float *hidden, float *kept);

/* Adds the derivatives of a loss by the weights to weight_slopes, of those by hidden. states: those before the first
 * frame, which count as given. */
dn_status dn_rows_backward(const dn_rows_sizes *sizes, size_t clips, size_t frames, const float *weights,
                           const float *features, const float *states, const float *kept, const float *hidden_slopes,
                           float *weight_slopes);

#ifdef __cplusplus
}
#endif
#endif
