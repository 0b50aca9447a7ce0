/* Duties of a channel's state, with networks of random weights. */
#include <math.h>

#include "hash.h"
#include "models_narrow.h"

enum { FRAMES = 60, SAMPLES = FRAMES * DN_FRAME };

static model_file file;
static float noise[2 * SAMPLES], first[2 * SAMPLES], second[2 * SAMPLES], voice[2 * FRAMES];

static int hop, samples; /* of a frame of the model that is tested, and of FRAMES of them */

static int same(const float *x, const float *y, size_t n) {
    return memcmp(x, y, n * sizeof(*x)) == 0;
}

static void test_calls_of_any_length(dn_state *state) {
    dn_state_reset(state);
    CHECK(dn_process(&state, 1, noise, first, voice, FRAMES, 0) == DN_OK);
    dn_state_reset(state);
    for (int done_frames = 0, n = 1; done_frames < FRAMES; done_frames += n, n = n % 7 + 1) {
        if (n > FRAMES - done_frames) n = FRAMES - done_frames;
        int at = done_frames * hop;
        CHECK(dn_process(&state, 1, noise + at, second + at, NULL, (size_t)n, 0) == DN_OK);
    }
    CHECK(same(first, second, samples));
    for (int i = 0; i < FRAMES; i++) CHECK(voice[i] >= 0 && voice[i] <= 1);
}

static void test_channels_are_apart(dn_state *state, dn_state *other) {
    dn_state *const both[2] = {state, other};
    dn_state_reset(state);
    dn_state_reset(other);
    CHECK(dn_process(both, 2, noise, first, voice, FRAMES, 0) == DN_OK);
    dn_state_reset(state);
    CHECK(dn_process(&state, 1, noise + samples, second, NULL, FRAMES, 0) == DN_OK);
    CHECK(same(first + samples, second, samples));
    memcpy(second, noise, sizeof(second)); /* in place */
    dn_state_reset(state);
    dn_state_reset(other);
    CHECK(dn_process(both, 2, second, second, NULL, FRAMES, 0) == DN_OK);
    CHECK(same(first, second, 2 * samples));
}

static void test_bad_samples_change_nothing(dn_state *state) {
    const float bad[] = {NAN, INFINITY, -INFINITY, 2 * DN_LIMIT};
    float frame[DN_FRAME] = {0}, out[DN_FRAME]; /* of the longest hop */
    dn_state_reset(state);
    CHECK(dn_process(&state, 1, noise, first, NULL, 2, 0) == DN_OK);
    CHECK(dn_process(&state, 1, noise + 2 * hop, first, NULL, 10, 0) == DN_OK);
    dn_state_reset(state);
    CHECK(dn_process(&state, 1, noise, second, NULL, 2, 0) == DN_OK);
    for (int i = 0; i < 4; i++) {
        frame[17] = bad[i];
        CHECK(dn_process(&state, 1, frame, out, NULL, 1, 0) == DN_NOT_FINITE);
    }
    CHECK(dn_process(&state, 1, noise + 2 * hop, second, NULL, 10, 0) == DN_OK);
    CHECK(same(first, second, 10 * hop));
}

static void test_loudest_samples_do_no_harm(dn_state *state) {
    dn_state_reset(state);
    for (int i = 0; i < samples; i++) first[i] = noise[i] * DN_LIMIT;
    CHECK(dn_process(&state, 1, first, first, voice, FRAMES, 0) == DN_OK);
    CHECK(dn_process(&state, 1, noise, first, voice, FRAMES, 0) == DN_OK);
    for (int i = 0; i < samples; i++) CHECK(isfinite(first[i]));
    for (int i = 0; i < FRAMES; i++) CHECK(voice[i] >= 0 && voice[i] <= 1);
}

static void test_saved_and_restored(dn_state *state, dn_state *other) {
    size_t size = dn_state_size(state);
    char *bytes = malloc(size);
    dn_state_reset(state);
    dn_process(&state, 1, noise, first, NULL, 30, 0);
    dn_state_save(state, bytes);
    dn_process(&state, 1, noise + 30 * hop, first, NULL, 30, 0);
    dn_state_reset(other);
    CHECK(dn_state_restore(other, bytes, size) == DN_OK);
    dn_process(&other, 1, noise + 30 * hop, second, NULL, 30, 0);
    CHECK(same(first, second, 30 * hop));

    CHECK(dn_state_restore(other, bytes, size - 1) == DN_BAD_STATE);
    bytes[8] = (char)(bytes[8] + 1); /* another model's */
    CHECK(dn_state_restore(other, bytes, size) == DN_BAD_STATE);
    bytes[8] = (char)(bytes[8] - 1);
    for (int i = 0; i < 2000; i++) { /* no damage passes for a state, also where every float stays finite */
        size_t at = random_bits() % size;
        char good = bytes[at];
        bytes[at] = (char)(good ^ (char)(1 + random_bits() % 255));
        CHECK(dn_state_restore(other, bytes, size) == DN_BAD_STATE);
        bytes[at] = good;
    }
    CHECK(dn_state_restore(other, bytes, size) == DN_OK);
    dn_process(&other, 1, noise + 30 * hop, second, NULL, 30, 0);
    CHECK(same(first, second, 30 * hop));
    free(bytes);
}

/* Samples whose squares are too small for a float leave a state that can be saved and restored. */
static void test_faintest_samples_do_no_harm(dn_state *state, dn_state *other) {
    size_t size = dn_state_size(state);
    char *bytes = malloc(size);
    for (float level = 1e-29f; level < 1e-25f; level *= 1.05f) {
        for (int i = 0; i < 5 * hop; i++) first[i] = i < hop / 2 ? level : 0;
        dn_state_reset(state);
        for (int frame = 0; frame < 5; frame++) {
            CHECK(dn_process(&state, 1, first + frame * hop, second, NULL, 1, 0) == DN_OK);
            dn_state_save(state, bytes);
            CHECK(dn_state_restore(other, bytes, size) == DN_OK);
        }
    }
    free(bytes);
}

/* min_gain 1 gives the input back, late by delay samples, rumble below the high-pass included. */
static void test_pass_through(dn_state *state, int delay) {
    dn_state_reset(state);
    for (int i = 0; i < samples; i++) first[i] = 0.5f * noise[i] + 0.25f;
    CHECK(dn_process(&state, 1, first, second, NULL, FRAMES, 1) == DN_OK);
    float worst = 0;
    for (int i = 0; i < samples - delay; i++) worst = fmaxf(worst, fabsf(second[i + delay] - first[i]));
    CHECK(worst < 1e-5f);
}

static void test_silence(dn_state *state, int takes_samples) {
    dn_state_reset(state);
    memset(first, 0, sizeof(first));
    CHECK(dn_process(&state, 1, first, second, voice, FRAMES, 0) == DN_OK);
    for (int i = 0; i < samples; i++) CHECK(second[i] == 0);
    for (int i = 0; i < FRAMES; i++) CHECK(takes_samples || voice[i] == 0); /* RNNoise's networks are not run in it */
}

static void test_sets_agree(dn_model *model, dn_state *state) {
    dn_state_reset(state);
    CHECK(dn_model_set_isa(model, "scalar") == DN_OK && strcmp(dn_isa(model), "scalar") == 0);
    dn_process(&state, 1, noise, first, NULL, FRAMES, 0);
    CHECK(dn_model_set_isa(model, "none such") == DN_NO_SUCH_ISA);
    CHECK(dn_model_set_isa(model, NULL) == DN_OK);
    dn_state_reset(state);
    dn_process(&state, 1, noise, second, NULL, FRAMES, 0);
    double signal = 0, difference = 0;
    for (int i = 0; i < samples; i++) {
        double d = (double)first[i] - (double)second[i];
        signal += (double)first[i] * (double)first[i];
        difference += d * d;
    }
    CHECK(difference <= 1e-6 * signal); /* 60 dB */
}

static void test_extractor(dn_family family) {
    enum { MOST_FEATURES = DN_V02_FEATURES, MOST_BANDS = DN_V02_BANDS };
    static float features[FRAMES * MOST_FEATURES], gains[FRAMES * MOST_BANDS], energy[FRAMES * MOST_BANDS];
    static float spectrum[FRAMES * 2 * DN_BINS], clean_spectrum[FRAMES * 2 * DN_BINS];
    int width = family == DN_V02 ? DN_V02_FEATURES : DN_FEATURES, bands = family == DN_V02 ? DN_V02_BANDS : DN_BANDS;
    dn_extracted out = {.features = features, .gains = gains, .clean_energy = energy};
    dn_extractor *extractor;
    CHECK(dn_extractor_create(family, &extractor) == DN_OK);
    for (int i = 0; i < SAMPLES; i++) first[i] = 0.25f * noise[i];
    out.spectrum = spectrum;
    out.clean_spectrum = clean_spectrum;
    CHECK(dn_extract(extractor, noise, first, FRAMES, &out) == DN_OK);
    for (int i = bands; i < FRAMES * bands; i++) {
        CHECK(fabsf(gains[i] - 0.25f) < 1e-3f);
        CHECK(energy[i] > 0);
    }
    for (int i = 0; i < FRAMES * 2 * DN_BINS; i++) {
        CHECK(fabsf(clean_spectrum[i] - 0.25f * spectrum[i]) <= 1e-4f * (1 + fabsf(spectrum[i])));
    }
    first[5] = NAN;
    CHECK(dn_extract(extractor, noise, first, FRAMES, &out) == DN_NOT_FINITE);
    first[5] = 0;
    const dn_extracted nothing = {0};
    CHECK(dn_extract(extractor, noise, first, FRAMES, &nothing) == DN_OK);
    static const float silence[SAMPLES];
    CHECK(dn_extract(extractor, silence, silence, 20, &out) == DN_OK);
    CHECK(features[19 * width] == 0 && gains[19 * bands] == -1);
    dn_extractor_destroy(extractor);
    dn_extractor_destroy(NULL);
}

/* Runs the tests above on the model in file. */
static void test_model(int delay) {
    dn_model *model;
    dn_state *state, *other;
    CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK);
    CHECK(dn_model_delay(model) == delay);
    hop = dn_model_hop(model);
    samples = FRAMES * hop;
    CHECK(dn_state_create(model, &state) == DN_OK && dn_state_create(model, &other) == DN_OK);
    test_calls_of_any_length(state);
    test_channels_are_apart(state, other);
    test_bad_samples_change_nothing(state);
    test_loudest_samples_do_no_harm(state);
    test_saved_and_restored(state, other);
    test_faintest_samples_do_no_harm(state, other);
    test_pass_through(state, delay);
    test_silence(state, dn_model_family(model) >= DN_ENHANCER);
    test_sets_agree(model, state);
    dn_state_destroy(state);
    dn_state_destroy(other);
    dn_state_destroy(NULL);
    dn_model_destroy(model);
}

/* Two models of equal sizes, so that only the weights tell them apart. */
static void test_states_of_other_models_are_refused(void) {
    dn_model *model[2];
    dn_state *state[2];
    for (int i = 0; i < 2; i++) {
        make_v02(&file, 1);
        CHECK(dn_model_load(file.data, file.size, &model[i], NULL) == DN_OK);
        CHECK(dn_state_create(model[i], &state[i]) == DN_OK);
    }
    size_t size = dn_state_size(state[0]);
    char *bytes = malloc(size);
    dn_state_save(state[0], bytes);
    CHECK(dn_state_restore(state[0], bytes, size) == DN_OK);
    CHECK(dn_state_size(state[1]) == size && dn_state_restore(state[1], bytes, size) == DN_BAD_STATE);
    free(bytes);
    for (int i = 0; i < 2; i++) {
        dn_state_destroy(state[i]);
        dn_model_destroy(model[i]);
    }
}

/* A finite number that no network could have come to, with a checksum that fits: it might overflow. */
static void test_state_out_of_range_is_refused(void) {
    dn_model *model;
    dn_state *state;
    make_enhancer(&file, 0);
    CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK && dn_state_create(model, &state) == DN_OK);
    size_t size = dn_state_size(state), head = 20;
    char *bytes = malloc(size);
    for (int i = 0; i < 2; i++) {
        const float number = i ? 2e10f : 0.5e10f;
        dn_state_save(state, bytes);
        memcpy(bytes + size - sizeof(number), &number, sizeof(number));
        uint32_t hash = dn_hash(DN_HASH_START, bytes + head, size - head);
        memcpy(bytes + head - sizeof(hash), &hash, sizeof(hash));
        CHECK(dn_state_restore(state, bytes, size) == (i ? DN_BAD_STATE : DN_OK));
    }
    free(bytes);
    dn_state_destroy(state);
    dn_model_destroy(model);
}

/* In the quiet the frame held back comes out as it went in, which is what the next one then does. */
static void test_look_ahead_passes_what_is_quiet(void) {
    dn_model *model;
    dn_state *state;
    make_v02(&file, 0);
    CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK && dn_state_create(model, &state) == DN_OK);
    for (int i = 0; i < SAMPLES; i++) first[i] = 1e-6f * noise[i];
    CHECK(dn_process(&state, 1, first, second, voice, FRAMES, 0) == DN_OK);
    double kept = 0, power = 0;
    for (int i = 20 * DN_FRAME; i < SAMPLES - 2 * DN_FRAME; i++) {
        power += (double)first[i] * (double)first[i];
        kept += (double)first[i] * (double)second[i + 2 * DN_FRAME];
    }
    CHECK(kept > 0.99 * power && kept < 1.01 * power);
    dn_state_destroy(state);
    dn_model_destroy(model);
}

int main(void) {
    for (int i = 0; i < 2 * SAMPLES; i++) noise[i] = random_float();
    for (int small = 0; small < 2; small++) {
        make_bytes(&file, small);
        test_model(DN_FRAME);
    }
    for (int kind = 0; kind < V02_KINDS; kind++) {
        make_v02(&file, kind);
        test_model(2 * DN_FRAME);
    }
    for (int kind = 0; kind < ENHANCER_KINDS; kind++) {
        make_enhancer(&file, kind);
        test_model(DN_FRAME);
    }
    for (int kind = 0; kind < NARROW_KINDS; kind++) {
        make_narrow(&file, kind);
        test_model(NARROW_HOP);
    }
    test_states_of_other_models_are_refused();
    test_state_out_of_range_is_refused();
    test_look_ahead_passes_what_is_quiet();
    test_extractor(DN_CLASSIC);
    test_extractor(DN_V02);
    dn_extractor *extractor;
    CHECK(dn_extractor_create(DN_ENHANCER, &extractor) == DN_BAD_RANGE && extractor == NULL);
    return done("test_state");
}
