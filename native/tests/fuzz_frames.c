/* Samples, states and calls of any kind: what may be refused is refused untouched, the rest gives finite samples.
 *
 *     fuzz_frames COUNT [SEED [FIRST]]    inputs FIRST to FIRST + COUNT - 1; a crash tells which one it was
 *     fuzz_frames seeds FOLDER            writes inputs for libFuzzer to begin with
 *
 * An input is a program: its first byte chooses the model and the instruction set, its second the channels; then come
 * steps, each a byte that says what is done and the bytes that it wants. Where these end, zeros are read and no further
 * step is begun. With DN_LIBFUZZER defined there is no main: libFuzzer has its own. Steps are counted, and their sum is
 * printed after every 100,000 and at the end. */
#include <float.h>
#include <math.h>

#define FUZZER "fuzz_frames"
#include "fuzz.h"
#include "models_narrow.h"
#include "samples.h"

enum {
    MODELS = V02_KINDS + ENHANCER_KINDS + NARROW_KINDS + 3,
    ISAS = 8, /* at most */
    MOST_CHANNELS = 5,
    MOST_FRAMES = 3, /* of a step */
    MOST_STEPS = 5,  /* of an input: several short ones find more in a second than a long one */
    MOST_SAMPLES = MOST_CHANNELS * MOST_FRAMES * DN_FRAME,
    MOST_TAPS = 1 << 13, /* in the table of a change of rate: more take long to make */
};

/* Greatest factor by which a sample may be louder than the loudest of the input so far. */
static const float most_gain = 30;

/* A model, the states of a signal in it and room for them as bytes: made once, as that takes longer than most inputs.
 */
typedef struct {
    dn_model *model;
    dn_state *state[MOST_CHANNELS], *twin;
    size_t size; /* of a state as bytes */
    char *saved[MOST_CHANNELS], *again;
} engine;

static engine engines[ISAS][MODELS]; /* on each instruction set that can be had here */
static int isas;

/* ---- the input ---- */

static const uint8_t *next;
static size_t left;

static uint32_t take(int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes && left > 0; i++, left--) value |= (uint32_t)*next++ << (8 * i);
    return value;
}

static float take_float(void) {
    uint32_t bits = take(4);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* count samples: of one of a few shapes, at a level of any bits, with single samples of any bits among them. */
static void take_samples(float *x, size_t count) {
    uint32_t how = take(1), period = 2 + take(1);
    float level = take_float();
    random_state = 1 + how;
    for (size_t i = 0; i < count; i++) {
        switch (how % 4) {
        case 0:
            x[i] = level;
            break;
        case 1:
            x[i] = i % (2 * period) < period ? level : -level;
            break;
        case 2:
            x[i] = level * random_float();
            break;
        default:
            x[i] = i % period ? 0 : level;
        }
    }
    for (uint32_t odd = how / 4 % 8; odd > 0; odd--) {
        size_t at = take(2) % count;
        x[at] = take_float();
    }
}

/* Greatest absolute value of x[count]; infinity where one is NaN. */
static float loudest_of(const float *x, size_t count) {
    float loudest = 0;
    for (size_t i = 0; i < count; i++) loudest = isnan(x[i]) ? INFINITY : fmaxf(loudest, fabsf(x[i]));
    return loudest;
}

static int all_finite(const float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(x[i])) return 0;
    }
    return 1;
}

/* ---- one signal through a model ---- */

typedef struct {
    const engine *of;
    dn_state *const *state;
    size_t channels;
    float loudest; /* of the samples that a state may remember */
} signal_of_input;

static void save_all(signal_of_input *s) {
    for (size_t c = 0; c < s->channels; c++) dn_state_save(s->state[c], s->of->saved[c]);
}

/* Checks that a channel's state can be saved and restored, and is then what it was. */
static void check_state(signal_of_input *s, size_t channel) {
    const engine *e = s->of;
    dn_state_save(s->state[channel], e->saved[channel]);
    if (dn_state_restore(e->twin, e->saved[channel], e->size) != DN_OK) fail("a state of good samples is not restored");
    dn_state_save(e->twin, e->again);
    if (memcmp(e->again, e->saved[channel], e->size) != 0) fail("a restored state is another one");
}

static void check_untouched(signal_of_input *s) {
    const engine *e = s->of;
    for (size_t c = 0; c < s->channels; c++) {
        dn_state_save(s->state[c], e->again);
        if (memcmp(e->again, e->saved[c], e->size) != 0) fail("what was refused has changed a state");
    }
}

static void check_output(signal_of_input *s, const float *out, const float *voice, size_t frames) {
    size_t count = s->channels * frames * (size_t)dn_model_hop(s->of->model);
    float loudest = loudest_of(out, count);
    if (!all_finite(out, count)) fail("a sample is not finite");
    if (loudest > 1e-3f + most_gain * s->loudest) fail("what comes out is much louder than what went in");
    for (size_t i = 0; i < s->channels * frames; i++) {
        if (!(voice[i] >= 0 && voice[i] <= 1)) fail("a probability is not within 0 to 1");
    }
}

static void step_process(signal_of_input *s) {
    static float in[MOST_SAMPLES], guide[MOST_SAMPLES], out[MOST_SAMPLES], voice[MOST_CHANNELS * MOST_FRAMES];
    uint32_t how = take(1);
    size_t frames = how % (MOST_FRAMES + 1), count = s->channels * frames * (size_t)dn_model_hop(s->of->model);
    int in_place = how >> 7;
    float min_gain = take_float();
    if (count) take_samples(in, count);
    float loudest = loudest_of(in, count);
    int good = loudest <= DN_LIMIT, guided = count && dn_model_is_guided(s->of->model) && take(1) % 4;
    if (guided) take_samples(guide, count);
    if (guided) good &= all_finite(guide, count);
    if (guided) loudest = fmaxf(loudest, fminf(loudest_of(guide, count), DN_LIMIT));
    for (size_t i = 0; i < count; i++) out[i] = in_place ? in[i] : -77;
    for (size_t i = 0; i < s->channels * frames; i++) voice[i] = -77;
    if (!good) save_all(s);
    const float *from = in_place ? out : in;
    dn_status status = guided ? dn_process_guided(s->state, s->channels, from, guide, out, voice, frames, min_gain)
                              : dn_process(s->state, s->channels, from, out, voice, frames, min_gain);
    if (status != (good ? DN_OK : DN_NOT_FINITE)) fail("bad samples are accepted, or good ones refused");
    if (good) {
        s->loudest = fmaxf(s->loudest, loudest);
        check_output(s, out, voice, frames);
        if (how & 0x40) check_state(s, how / 4 % s->channels);
    } else {
        check_untouched(s);
        for (size_t i = 0; i < count; i++) {
            if (memcmp(&out[i], in_place ? &in[i] : &(float){-77}, sizeof(float)) != 0) fail("refused, but written");
        }
    }
}

/* Restores a state from bytes of which some are changed: that is seen, and changes nothing. */
static void step_restore(signal_of_input *s) {
    const engine *e = s->of;
    size_t channel = take(1) % s->channels;
    dn_state *state = s->state[channel];
    char *bytes = e->again;
    save_all(s);
    memcpy(bytes, e->saved[channel], e->size);
    uint32_t how = take(1);
    for (uint32_t changes = how % 4; changes > 0; changes--) {
        uint32_t at = take(2), value = take(4); /* of any float in it, the place counted in floats */
        memcpy(bytes + at % (e->size / 4) * 4, &value, sizeof(value));
    }
    size_t size = how & 0x80 ? take(2) % e->size : e->size;
    int same = size == e->size && memcmp(bytes, e->saved[channel], size) == 0;
    dn_status status = dn_state_restore(state, bytes, size);
    if (status != (same ? DN_OK : DN_BAD_STATE)) fail("a damaged state is accepted, or a good one refused");
    check_untouched(s);
}

static void step_reset(signal_of_input *s) {
    uint32_t channel = take(1);
    if (channel < s->channels) {
        dn_state_reset(s->state[channel]);
        return;
    }
    for (size_t c = 0; c < s->channels; c++) dn_state_reset(s->state[c]);
    s->loudest = 0;
}

/* ---- the rest of the interface ---- */

static void step_extract(signal_of_input *s) {
    static float noisy[MOST_FRAMES * DN_FRAME], clean[MOST_FRAMES * DN_FRAME], room[9][MOST_FRAMES * 2 * DN_BINS];
    dn_extractor *extractor;
    size_t frames = 1 + take(1) % MOST_FRAMES, count = frames * DN_FRAME;
    take_samples(noisy, count);
    take_samples(clean, count);
    int good = loudest_of(noisy, count) <= DN_LIMIT && loudest_of(clean, count) <= DN_LIMIT;
    const dn_extracted out = {room[0], room[1], room[2], room[3], room[4], room[5], room[6], room[7], room[8]};
    dn_family family = dn_model_family(s->of->model);
    if (dn_extractor_create(family >= DN_ENHANCER ? DN_CLASSIC : family, &extractor) != DN_OK) fail("no memory");
    memset(room, 0, sizeof(room));
    if (dn_extract(extractor, noisy, clean, frames, &out) != (good ? DN_OK : DN_NOT_FINITE)) {
        fail("bad samples are accepted for training, or good ones refused");
    }
    if (!all_finite(room[0], sizeof(room) / sizeof(float))) fail("what is extracted is not finite");
    dn_extractor_destroy(extractor);
}

__extension__ typedef __int128 wide; /* in which nothing below overflows */

/* Says whether in[n], from number start on, holds all that outputs first to first + count - 1 are made of. */
static int is_held(wide in_rate, wide out_rate, wide reach, wide start, wide n, wide first, wide count) {
    wide from = first * in_rate / out_rate, to = (first + count - 1) * in_rate / out_rate;
    if (count == 0) return 1;
    if (first < 0 || first + count > (wide)1 << 52) return 0;
    return start <= from - reach + 1 && to + reach < start + n;
}

static int64_t take_place(void) {
    uint32_t how = take(1);
    int64_t value = (int64_t)((uint64_t)take(4) << 32 | take(4));
    return how % 4 == 0 ? value : how % 4 == 1 ? value >> 24 : (int64_t)(how / 4) - 32;
}

static int64_t common_factor(int64_t a, int64_t b) {
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void step_resample(void) {
    static float in[MOST_SAMPLES], out[4 * DN_FRAME];
    static const int32_t usual[] = {1000, 8000, 11025, 16000, 44100, 48000, 96000, 768000};
    uint32_t how = take(1);
    int32_t in_rate = how & 1 ? usual[how / 2 % 8] : (int32_t)take(4),
            out_rate = how & 1 ? usual[how / 16 % 8] : (int32_t)take(4);
    int good = in_rate >= 1 && in_rate <= 1000000 && out_rate >= 1 && out_rate <= 1000000 &&
               in_rate / out_rate <= 1000 && out_rate / in_rate <= 1000;
    if (good) { /* only a table that is quickly made: of a filter for each place between two inputs, 1024 at most */
        int64_t places = out_rate / common_factor(in_rate, out_rate), apart = in_rate / out_rate + 1;
        if (128 * apart * (places < 1024 ? places : 1024) > MOST_TAPS) return;
    }
    dn_ratio *ratio;
    dn_status status = dn_ratio_create(in_rate, out_rate, &ratio);
    if (status != (good ? DN_OK : DN_BAD_RANGE) || (ratio != NULL) != good) fail("rates are judged wrongly");
    if (!ratio) return;
    size_t n = 1 + take(2) % MOST_SAMPLES, count = take(2) % (4 * DN_FRAME + 1);
    int64_t start = take_place(), first = take_place();
    float *exact = malloc(n * sizeof(*exact)); /* so that AddressSanitizer sees a read past its end */
    take_samples(in, n);
    memcpy(exact, in, n * sizeof(*exact));
    for (size_t i = 0; i < count; i++) out[i] = -77;
    status = dn_resample(ratio, exact, start, n, out, first, count);
    int held = is_held(in_rate, out_rate, dn_ratio_reach(ratio), start, (wide)n, first, (wide)count);
    if (status != (held ? DN_OK : DN_BAD_RANGE)) fail("samples are made that cannot be, or not made that can");
    if (held && loudest_of(in, n) <= FLT_MAX / 16 && !all_finite(out, count)) fail("a resampled sample is not finite");
    for (size_t i = 0; i < count && !held; i++) {
        if (out[i] != -77) fail("refused, but written");
    }
    free(exact);
    dn_ratio_destroy(ratio);
}

static void check_round_trip(const float *line, const float *frames, size_t hops, size_t block, size_t hop,
                             float loudest) {
    for (size_t h = 0; h < hops; h++) {
        for (size_t i = 0; i < block; i++) {
            float difference = fabsf(frames[h * block + i] - line[h * hop + i]);
            if (!(difference <= 1e-4f * loudest + 1e-30f)) fail("a block is not what its spectrum was made of");
        }
    }
}

static void step_blocks(void) {
    enum { MOST_BLOCK = 2048, MOST_HOPS = 3, BINS = MOST_BLOCK / 2 + 1 };
    static float past[MOST_BLOCK], past_after[MOST_BLOCK], in[MOST_HOPS * MOST_BLOCK], line[4 * MOST_BLOCK];
    static float spectra[MOST_HOPS * BINS * 2], magnitudes[MOST_HOPS * BINS], gains[MOST_HOPS * BINS];
    static float frames[MOST_HOPS * MOST_BLOCK], out[MOST_HOPS * MOST_BLOCK];
    dn_blocks *blocks;
    int32_t block = (int32_t)take(2), hop = (int32_t)take(2);
    if (block & 0x8000) block = 1 << (block % 12), hop = block >> (hop % 8);
    int good = block >= 16 && block <= MOST_BLOCK && (block & (block - 1)) == 0 && hop > 0 && block % hop == 0;
    dn_status status = dn_blocks_create(block, hop, &blocks);
    if (status != (good ? DN_OK : DN_BAD_RANGE) || (blocks != NULL) != good) fail("sizes of blocks are judged wrongly");
    if (!blocks) return;
    size_t hops = 1 + take(1) % MOST_HOPS, late = (size_t)(block - hop), bins = (size_t)block / 2 + 1;
    memset(past, 0, sizeof(past));
    memset(past_after, 0, sizeof(past_after));
    take_samples(in, hops * (size_t)hop);
    for (size_t i = 0; i < hops * bins; i++) gains[i] = 1;
    dn_blocks_analyse(blocks, 1, hops, past, in, line, spectra, magnitudes, past_after);
    dn_blocks_synthesise(blocks, hops, spectra, gains, frames);
    dn_blocks_add(blocks, 1, hops, frames, past, out, past_after);
    float loudest = loudest_of(in, hops * (size_t)hop);
    if (loudest <= DN_LIMIT && loudest >= 1e-20f) {
        check_round_trip(line, frames, hops, (size_t)block, (size_t)hop, loudest);
        if (!all_finite(out, hops * (size_t)hop) || !all_finite(past_after, late)) fail("a sum is not finite");
    }
    dn_blocks_destroy(blocks);
}

/* Samples rounded to a depth: nothing below it, and once more they are the same. */
static void check_rounded(dn_type type, const void *in, size_t count, int depth) {
    size_t size = depth > 16 ? sizeof(int32_t) : sizeof(int16_t);
    char *out = malloc(count * size + 1), *again = malloc(count * size + 1);
    dn_round_samples(type, in, count, depth, out);
    dn_round_samples(depth > 16 ? DN_INT32 : DN_INT16, out, count, depth, again);
    if (memcmp(out, again, count * size) != 0) fail("what was rounded is rounded once more");
    uint32_t below = (1u << (8 * (int)size - depth)) - 1;
    for (size_t i = 0; i < count; i++) {
        int32_t one = 0;
        int16_t narrow = 0;
        memcpy(depth > 16 ? (void *)&one : (void *)&narrow, out + i * size, size);
        if (((uint32_t)(depth > 16 ? one : narrow) & below) != 0) fail("there are bits below the depth");
    }
    free(out);
    free(again);
}

/* Samples of any bits and type, to rows and back, and rounded. */
static void step_samples(void) {
    enum { MOST = 64, WIDEST = 4 };
    static const size_t size_of[] = {2, 4, 4, 8};
    dn_type type = (dn_type)(take(1) % 4);
    size_t channels = 1 + take(1) % WIDEST, frames = take(1) % (MOST + 1), count = channels * frames;
    size_t stride = frames + take(1) % 4;
    float limit = take_float();
    char *in = malloc(count * size_of[type] + 1), *out = malloc(count * size_of[type] + 1); /* for AddressSanitizer */
    float *rows = malloc(channels * stride * sizeof(*rows) + 1);
    for (size_t i = 0; i < count * size_of[type]; i++) in[i] = (char)take(1);
    int good = 1;
    for (size_t i = 0; i < count && type >= DN_FLOAT; i++) {
        float single;
        double wide_one;
        memcpy(&single, in + i * size_of[type], sizeof(single));
        if (type == DN_DOUBLE) {
            memcpy(&wide_one, in + i * size_of[type], sizeof(wide_one));
            single = (float)wide_one;
        }
        good &= fabsf(single) <= limit;
    }
    if (dn_take_samples(type, in, channels, frames, limit, rows, stride) != (good ? DN_OK : DN_NOT_FINITE)) {
        fail("samples within the limit are refused, or others are not");
    }
    dn_give_samples(type, rows, stride, channels, frames, out);
    if (type == DN_INT16 && memcmp(in, out, count * size_of[type]) != 0) fail("a sample is another one afterwards");
    check_rounded(type, in, count, 8 + (int)(take(1) % 25));
    free(in);
    free(out);
    free(rows);
}

/* The next chunk through a lane whose backend changes nothing; in any case one with all steps in their order. */
static void pass_through(dn_lane *lane, const float *in, size_t frames, float *block, float *out) {
    float voice[2 * 64] = {0};
    int64_t hops = dn_lane_take(lane, DN_FLOAT, in, frames, DN_LIMIT, 1, block);
    if (hops < 0) fail("a lane refuses good samples");
    if (hops > 1 && dn_lane_block(lane, hops, block) != DN_OK) fail("a lane does not give its hops");
    if (dn_lanes_give(&lane, 1, NULL, hops, block, voice, DN_FLOAT, out) != 0) fail("a lane does not give its frames");
}

/* A lane without change of rate, called in any order: what is wrong is refused, and a chunk that goes its whole way
 * comes out as it went in, late by the latency. */
static void step_lane(void) {
    enum { MOST = 64, LATE = 80, CALLS = 6 };
    static float in[2 * MOST], out[2 * MOST], block[2 * 2 * MOST], history[2 * (LATE + (CALLS + 1) * MOST)];
    size_t channels = 1 + take(1) % 2, hop = 1 + take(1) % MOST, fed = 0;
    dn_lane_plan plan = {.channels = channels, .hop = hop, .latency = LATE, .gated = 0};
    dn_lane *lane;
    if (dn_lane_create(&plan, &lane) != DN_OK) fail("a lane cannot be made");
    memset(history, 0, sizeof(history));
    for (int call = 0; call < CALLS && left > 0; call++) {
        uint32_t how = take(1);
        size_t frames = take(1) % (MOST + 1);
        dn_lane_facts facts;
        if (dn_lane_look(lane, &facts) != DN_OK) fail("a lane is busy");
        size_t size = facts.size;
        int64_t odd = (int64_t)take(1) - 100;
        if (frames) take_samples(in, channels * frames);
        int good = !(loudest_of(in, channels * frames) > DN_LIMIT);
        switch (how % 4) {
        case 0: { /* steps left out, or with a wrong number of hops */
            int64_t hops = dn_lane_take(lane, DN_FLOAT, in, frames, DN_LIMIT, 0, NULL);
            if (odd != hops && dn_lane_block(lane, odd, block) != DN_BAD_RANGE) fail("a lane gives odd hops");
            if (odd != hops && dn_lane_bring(lane, odd, block, NULL) != DN_BAD_RANGE) fail("a lane takes odd hops");
            if (hops && dn_lanes_give(&lane, 1, NULL, 0, NULL, NULL, DN_FLOAT, out) >= 0) fail("a step was left out");
            break;
        }
        case 1: { /* saved, damaged, restored */
            char *bytes = malloc(size);
            if (dn_lane_save(lane, bytes, size) != DN_OK) fail("a lane is not saved");
            if (dn_lane_restore(lane, bytes, size) != DN_OK) fail("a lane is not restored");
            bytes[take(1) % 64] ^= (char)(1 + how / 4);
            dn_lane *twin;
            if (dn_lane_create(&plan, &twin) != DN_OK) fail("a lane cannot be made");
            if (dn_lane_restore(twin, bytes, how & 0x80 ? size : take(2) % size) == DN_OK) {
                (void)dn_lane_take(twin, DN_FLOAT, in, frames, DN_LIMIT, 1, block); /* which nothing may read beyond */
            }
            dn_lane_destroy(twin);
            free(bytes);
            break;
        }
        default:
            if (!good) {
                if (dn_lane_take(lane, DN_FLOAT, in, frames, DN_LIMIT, 0, NULL) != -DN_NOT_FINITE) {
                    fail("a lane takes bad samples");
                }
                break;
            }
            memcpy(history + channels * (LATE + fed), in, channels * frames * sizeof(*in));
            pass_through(lane, in, frames, block, out);
            if (memcmp(out, history + channels * fed, channels * frames * sizeof(*out)) != 0) {
                fail("a lane gives other samples than it took");
            }
            fed += frames;
        }
    }
    dn_lane_facts facts;
    if (dn_lane_look(lane, &facts) != DN_OK || facts.position != (int64_t)fed) fail("a lane counts what was given up");
    dn_lane_destroy(lane);
}

/* ---- a program ---- */

static dn_model *make_model(int m, const char *isa) {
    static model_file file;
    dn_model *model;
    random_state = 1 + (uint32_t)m;
    if (m < V02_KINDS) make_v02(&file, m);
    int others = m - V02_KINDS;
    if (others >= 0 && others < ENHANCER_KINDS) make_enhancer(&file, others);
    others -= ENHANCER_KINDS;
    if (others >= 0 && others < NARROW_KINDS) make_narrow(&file, others);
    if (others >= NARROW_KINDS) make_bytes(&file, others == NARROW_KINDS);
    dn_status status =
        m == MODELS - 1 ? dn_model_builtin(&model, NULL) : dn_model_load(file.data, file.size, &model, NULL);
    if (status != DN_OK) fail("a model for the test cannot be made");
    if (dn_model_set_isa(model, isa) == DN_OK) return model;
    dn_model_destroy(model);
    return NULL;
}

static void make_engine(engine *e, dn_model *model) {
    e->model = model;
    if (!model) return;
    if (dn_state_create(model, &e->twin) != DN_OK) fail("no memory");
    e->size = dn_state_size(e->twin);
    e->again = malloc(e->size);
    for (size_t c = 0; c < MOST_CHANNELS; c++) {
        if (dn_state_create(model, &e->state[c]) != DN_OK) fail("no memory");
        e->saved[c] = malloc(e->size);
    }
}

static void make_engines(void) {
    for (int isa = 0; dn_isa_name(isa) && isas < ISAS; isa++) {
        for (int m = 0; m < MODELS; m++) make_engine(&engines[isas][m], make_model(m, dn_isa_name(isa)));
        isas += engines[isas][0].model != NULL;
    }
}

static unsigned long calls; /* steps so far */

static void print_calls(void) {
    fprintf(stderr, FUZZER ": %lu calls\n", calls);
}

static void count_call(void) {
    enum { PRINTED = 100000 };
    if (++calls % PRINTED == 0) print_calls();
}

/* Returns whether there was at least one step. */
static int run_program(const uint8_t *data, size_t size) {
    static const uint8_t channels[] = {1, 1, 2, 1, 3, 1, 4, MOST_CHANNELS}; /* mostly few, which is quick */
    if (!isas) {
        make_engines();
        atexit(print_calls);
    }
    next = data;
    left = size;
    uint32_t which = take(1);
    uint32_t isa = which / MODELS % 8; /* the slower ones, after the first two, now and then */
    isa = isa < (uint32_t)isas ? isa : isa % 2 % (uint32_t)isas;
    const engine *e = &engines[isa][which % MODELS];
    signal_of_input s = {.of = e, .state = e->state, .channels = channels[take(1) % sizeof(channels)]};
    for (size_t c = 0; c < s.channels; c++) dn_state_reset(s.state[c]);
    int steps = 0;
    for (; left > 0 && steps < MOST_STEPS; steps++) {
        count_call();
        switch (take(1) % 10) {
        case 0:
            step_restore(&s);
            break;
        case 1:
            step_reset(&s);
            break;
        case 2:
            step_extract(&s);
            break;
        case 3:
            step_resample();
            break;
        case 4:
            step_blocks();
            break;
        case 5:
            step_samples();
            break;
        case 6:
            step_lane();
            break;
        default:
            step_process(&s);
        }
    }
    return steps > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    run_program(data, size);
    return 0;
}

#ifndef DN_LIBFUZZER

enum { SEEDS = 64, MOST_BYTES = 160 };

/* Makes a random program, whose levels are often those of audio: random bytes alone make few steps that are accepted.
 * Returns its size. */
static size_t make_program(uint8_t *program, uint32_t seed, uint32_t n) {
    static const float levels[] = {0, 1e-40f, 1e-20f, 1e-6f, 0.01f, 0.5f, 1, 1000, DN_LIMIT, 1.1f * DN_LIMIT, 3e38f};
    choose_chance(seed, n);
    size_t size = 3 + random_bits() % (MOST_BYTES - 3);
    for (size_t i = 0; i < size; i++) program[i] = (uint8_t)random_bits();
    for (size_t i = 2; i + 4 < size; i += 1 + random_bits() % 8) {
        float level = levels[random_bits() % (sizeof(levels) / sizeof(*levels))];
        if (random_bits() % 2) memcpy(program + i, &level, sizeof(level));
    }
    return size;
}

static void destroy_engine(engine *e) {
    for (size_t c = 0; c < MOST_CHANNELS; c++) {
        dn_state_destroy(e->state[c]);
        free(e->saved[c]);
    }
    dn_state_destroy(e->twin);
    free(e->again);
    dn_model_destroy(e->model);
}

static int try_program(uint32_t seed, uint32_t n) {
    uint8_t program[MOST_BYTES];
    size_t size = make_program(program, seed, n);
    return run_program(program, size);
}

int main(int argc, char **argv) {
    int good = 1;
    if (argc == 3 && strcmp(argv[1], "seeds") == 0) {
        for (int i = 0; i < SEEDS; i++) {
            uint8_t program[MOST_BYTES];
            size_t size = make_program(program, 0, (uint32_t)i);
            good &= write_seed(argv[2], i, program, size);
        }
    } else {
        try_many(argc, argv, try_program);
    }
    for (int m = 0; m < isas * MODELS; m++) destroy_engine(&engines[m / MODELS][m % MODELS]);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
