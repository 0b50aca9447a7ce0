/* The floating-point mode: the caller's is what it was after each call, and no result depends on it. */
#include "fpmode.h"

#include <fenv.h>

#include "models_enhancer.h"

enum { FRAMES = 20, SAMPLES = FRAMES * DN_FRAME, BLOCK = 512, BINS = BLOCK / 2 + 1 };

static model_file file;
static float audio[2 * SAMPLES], out[2 * SAMPLES], wanted[2 * SAMPLES];
static uint64_t own; /* this program's mode */

/* Says whether numbers below the normal ones are there, which the mode is about. */
static int has_tiny_numbers(void) {
    volatile float small = 1e-38f;
    volatile float tenth = small * 0.1f;
    return tenth != 0;
}

/* 0: this program's mode; 1: tiny numbers are zero; 2: results are rounded upwards. */
enum { MODES = 3 };

static void set_mode(int mode) {
    dn_set_fpmode(own);
    fesetround(FE_TONEAREST);
    if (mode == 1) dn_set_fpmode(DN_FPMODE);
    if (mode == 2) fesetround(FE_UPWARD);
}

/* Says whether set_mode(mode) is still in force. */
static int is_mode(int mode) {
    return has_tiny_numbers() == (mode != 1) && fegetround() == (mode == 2 ? FE_UPWARD : FE_TONEAREST);
}

typedef struct {
    dn_model *model;
    dn_state *state;
    dn_extractor *extractor;
    dn_ratio *ratio;
    dn_blocks *blocks;
} engine;

enum { CALLS = 7 };

/* Sets the engine back to silence. */
static void start(engine *e) {
    dn_state_reset(e->state);
    dn_extractor_destroy(e->extractor);
    CHECK(dn_extractor_create(DN_V02, &e->extractor) == DN_OK);
}

/* Makes one of the calls that take samples; its results go to to. */
static void make_call(engine *e, int call, float *to) {
    static float line[BLOCK + SAMPLES], spectra[100 * 2 * BINS], magnitudes[100 * BINS], rest[BLOCK];
    const dn_extracted wants = {.features = to};
    if (call == 0) {
        CHECK(dn_process(&e->state, 1, audio, to, NULL, FRAMES, 0.1f) == DN_OK);
    } else if (call == 1) {
        CHECK(dn_extract(e->extractor, audio, audio + SAMPLES, FRAMES, &wants) == DN_OK);
    } else if (call == 2) {
        CHECK(dn_resample(e->ratio, audio, 0, 2 * SAMPLES, to, 500, 2000) == DN_OK);
    } else if (call == 3) {
        memset(rest, 0, sizeof(rest));
        dn_blocks_analyse(e->blocks, 1, 50, rest, audio, line, spectra, to, magnitudes);
    } else if (call == 4) {
        dn_blocks_synthesise(e->blocks, 10, audio, audio + SAMPLES, to);
    } else if (call == 5) {
        memset(rest, 0, sizeof(rest));
        dn_blocks_add(e->blocks, 1, 10, audio, rest, to, line);
    } else {
        dn_round_samples(DN_FLOAT, audio, SAMPLES, 24, to);
    }
}

static void test_calls_leave_the_mode_and_ignore_it(engine *e) {
    for (int call = 0; call < CALLS; call++) {
        memset(wanted, 0, sizeof(wanted));
        start(e);
        make_call(e, call, wanted);
        for (int mode = 0; mode < MODES; mode++) {
            start(e);
            set_mode(mode);
            int was_set = is_mode(mode);
            memset(out, 0, sizeof(out));
            make_call(e, call, out);
            int is_still_set = is_mode(mode);
            set_mode(0);
            CHECK(was_set && is_still_set);
            CHECK(memcmp(out, wanted, sizeof(out)) == 0);
        }
    }
}

static void test_errors_leave_the_mode(engine *e) {
    dn_state *const twice[2] = {e->state, e->state};
    float bad = audio[3];
    for (int mode = 0; mode < MODES; mode++) {
        set_mode(mode);
        dn_status a = dn_process(twice, 2, audio, out, NULL, 1, 0);
        dn_status b = dn_resample(e->ratio, audio, 0, 10, out, 0, 100);
        audio[3] = 2 * DN_LIMIT;
        dn_status c = dn_process(&e->state, 1, audio, out, NULL, 1, 0);
        dn_status d = dn_extract(e->extractor, audio, audio, 1, &(dn_extracted){.features = out});
        audio[3] = bad;
        int is_still_set = is_mode(mode);
        set_mode(0);
        CHECK(is_still_set);
        CHECK(a == DN_BAD_STATES && b == DN_BAD_RANGE && c == DN_NOT_FINITE && d == DN_NOT_FINITE);
    }
}

/* Words of a saved state that would be tiny numbers if they were floats. A few are whole numbers and look like it. */
static int count_tiny(const dn_state *state) {
    static unsigned char bytes[1 << 17];
    size_t size = dn_state_size(state);
    int count = 0;
    CHECK(size <= sizeof(bytes));
    dn_state_save(state, bytes);
    for (size_t at = size % 4; at + 4 <= size; at += 4) {
        uint32_t word;
        memcpy(&word, bytes + at, 4);
        count += (word & 0x7f800000) == 0 && (word & 0x7fffff) != 0;
    }
    return count;
}

/* A voice that fades away through all numbers that a float has, and silence after it. */
static void test_fading_leaves_no_tiny_numbers(engine *e) {
    const int most_whole_numbers = 12; /* the head's, the ring's place, the period */
    float level = 1;
    dn_state_reset(e->state);
    for (int f = 0; f < 1500; f++) {
        for (int i = 0; i < DN_FRAME; i++) out[i] = level * audio[(f % FRAMES) * DN_FRAME + i];
        level *= f < 1200 ? 0.91f : 0;
        CHECK(dn_process(&e->state, 1, out, out, NULL, 1, 0) == DN_OK);
        if (f % 100 == 99) CHECK(count_tiny(e->state) <= most_whole_numbers);
    }
}

int main(void) {
    engine e = {0};
    if (!DN_HAS_FPMODE) {
        printf("test_fpmode: no mode is known of this processor\n");
        return 0;
    }
    own = dn_get_fpmode();
    CHECK(has_tiny_numbers());
    for (int i = 0; i < 2 * SAMPLES; i++) audio[i] = random_float() * (i % 3 == 0 ? 1e-38f : 0.3f);
    CHECK(dn_ratio_create(48000, 44100, &e.ratio) == DN_OK);
    CHECK(dn_blocks_create(BLOCK, BLOCK / 4, &e.blocks) == DN_OK);
    for (int kind = -1; kind < 4; kind++) {
        if (kind < 0) make_bytes(&file, 0);
        if (kind >= 0 && kind < 3) make_v02(&file, kind);
        if (kind == 3) make_enhancer(&file, 0);
        CHECK(dn_model_load(file.data, file.size, &e.model, NULL) == DN_OK);
        CHECK(dn_state_create(e.model, &e.state) == DN_OK);
        test_calls_leave_the_mode_and_ignore_it(&e);
        test_errors_leave_the_mode(&e);
        test_fading_leaves_no_tiny_numbers(&e);
        dn_state_destroy(e.state);
        dn_model_destroy(e.model);
    }
    dn_extractor_destroy(e.extractor);
    dn_ratio_destroy(e.ratio);
    dn_blocks_destroy(e.blocks);
    return done("test_fpmode");
}
