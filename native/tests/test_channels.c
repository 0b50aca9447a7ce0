/* Channels that are processed together: each comes out, bit for bit, as it does alone. */
#include <math.h>

#include "kernels/table.h"
#include "models_narrow.h"

enum { FRAMES = 14, SAMPLES = FRAMES * DN_FRAME, CHANNELS = DN_BATCH + 5, MOST = 160 };

static model_file file;
static float in[CHANNELS * SAMPLES], together[CHANNELS * SAMPLES], alone[SAMPLES];
static float voice[CHANNELS * FRAMES], voice_alone[FRAMES];

/* ---- kernels ---- */

static float w[MOST * MOST], scale[MOST], x[DN_BATCH][MOST], y[DN_BATCH][MOST], one[MOST];
static int8_t q[MOST * MOST], steps[DN_BATCH][MOST];
static uint16_t place[MOST * MOST / 32 + MOST];

static void fill(float *v, int n) {
    for (int i = 0; i < n; i++) v[i] = random_float();
}

/* Chooses half of the blocks of 4 inputs by 8 outputs, at random. */
static void fill_index(int inputs, int groups) {
    uint16_t *at = place;
    for (int g = 0; g < groups; g++) {
        uint16_t *count = at++;
        *count = 0;
        for (int j = 0; j < inputs; j += 4) {
            if (random_bits() >> 31) continue;
            *at++ = (uint16_t)j;
            ++*count;
        }
    }
}

typedef enum { WHOLE, WHOLE_BYTES, BLOCKS, WHOLE_INT8, BLOCKS_INT8, FORMS } form;

/* Runs the maps of count inputs from number first on to out. */
static void run_maps(const dn_kernels *k, form f, int first, int count, int inputs, int columns, float *const *out) {
    const float *from[DN_BATCH];
    const int8_t *from_steps[DN_BATCH];
    for (int i = 0; i < count; i++) {
        from[i] = x[first + i];
        from_steps[i] = steps[first + i];
    }
    if (f == WHOLE) k->matvec_add_batch(out, w, from, inputs, columns, count);
    if (f == WHOLE_BYTES) k->matvec_add_bytes_batch(out, q, from, inputs, columns, count);
    if (f == BLOCKS) k->blocks_add_batch(out, w, place, from, columns / 8, count);
    if (f == WHOLE_INT8) k->matvec_add_int8_batch(out, q, scale, from_steps, inputs, columns, count);
    if (f == BLOCKS_INT8) k->blocks_add_int8_batch(out, q, scale, place, from_steps, columns / 8, count);
}

/* Any number of inputs at once gives each what it gets in a batch of one, and touches no other. */
static void test_maps(const dn_kernels *k) {
    static const int sizes[][2] = {{4, 8}, {8, 24}, {52, 16}, {100, 136}, {160, 160}, {7, 40}, {1, 72}};
    float *all[DN_BATCH];
    for (int i = 0; i < DN_BATCH; i++) all[i] = y[i];
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        int inputs = sizes[s][0], columns = sizes[s][1];
        fill(w, inputs * columns);
        fill(scale, columns);
        for (int i = 0; i < inputs * columns; i++) q[i] = (int8_t)((int)(random_bits() % 255) - 127);
        for (int i = 0; i < DN_BATCH; i++) {
            fill(x[i], inputs);
            for (int j = 0; j < inputs; j++) steps[i][j] = (int8_t)((int)(random_bits() % 255) - 127);
        }
        fill_index(inputs, columns / 8);
        for (int f = WHOLE; f < FORMS; f++) {
            if (f > WHOLE_BYTES && inputs % 4 != 0) continue;
            for (int count = 1; count <= DN_BATCH; count++) {
                for (int i = 0; i < DN_BATCH; i++) memcpy(y[i], scale, sizeof(y[i]));
                run_maps(k, (form)f, 0, count, inputs, columns, all);
                for (int i = 0; i < DN_BATCH; i++) {
                    memcpy(one, scale, sizeof(one));
                    if (i < count) run_maps(k, (form)f, i, 1, inputs, columns, (float *[]){one});
                    CHECK(memcmp(y[i], one, sizeof(one)) == 0);
                }
            }
        }
    }
}

/* ---- states ---- */

/* Noise, tones and silence, which come and go at times of their own in each channel; some channels stay silent. */
static void fill_channels(void) {
    for (int c = 0; c < CHANNELS; c++) {
        for (int i = 0; i < SAMPLES; i++) {
            int f = i / DN_FRAME, is_silent = c % 7 == 3 || (f + 3 * c) % 6 < 2;
            float tone = 0.3f * sinf(0.01f * (float)(c + 1) * (float)i);
            in[c * SAMPLES + i] = is_silent ? 0 : c % 3 == 0 ? 0.2f * random_float() : tone;
        }
    }
}

static void test_states(const dn_model *model, size_t channels) {
    dn_state *state[CHANNELS], *lone;
    size_t samples = FRAMES * (size_t)dn_model_hop(model), size = samples * sizeof(*alone);
    CHECK(dn_state_create(model, &lone) == DN_OK);
    for (size_t c = 0; c < channels; c++) CHECK(dn_state_create(model, &state[c]) == DN_OK);
    CHECK(dn_process(state, channels, in, together, voice, FRAMES, 0.05f) == DN_OK);
    for (size_t c = 0; c < channels; c++) {
        dn_state_reset(lone);
        CHECK(dn_process(&lone, 1, in + c * samples, alone, voice_alone, FRAMES, 0.05f) == DN_OK);
        CHECK(memcmp(alone, together + c * samples, size) == 0);
        CHECK(memcmp(voice_alone, voice + c * FRAMES, sizeof(voice_alone)) == 0);
    }
    memcpy(together, in, sizeof(together)); /* in place, from where the states are now, and from there alone */
    CHECK(dn_process(state, channels, together, together, NULL, FRAMES, 0) == DN_OK);
    dn_state_reset(lone);
    CHECK(dn_process(&lone, 1, in, alone, NULL, FRAMES, 0.05f) == DN_OK);
    CHECK(dn_process(&lone, 1, in, alone, NULL, FRAMES, 0) == DN_OK);
    CHECK(memcmp(alone, together, size) == 0);
    for (size_t c = 0; c < channels; c++) dn_state_destroy(state[c]);
    dn_state_destroy(lone);
}

static void test_model(void) {
    static const size_t channels[] = {3, CHANNELS};
    dn_model *model;
    CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK);
    for (int isa = 0; dn_isa_name(isa); isa++) {
        if (dn_model_set_isa(model, dn_isa_name(isa)) != DN_OK) continue;
        for (size_t i = 0; i < sizeof(channels) / sizeof(*channels); i++) test_states(model, channels[i]);
    }
    dn_model_destroy(model);
}

static void test_states_that_do_not_fit_are_refused(void) {
    dn_model *model, *other;
    dn_state *state[3];
    make_bytes(&file, 0);
    CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK);
    CHECK(dn_model_load(file.data, file.size, &other, NULL) == DN_OK);
    for (int i = 0; i < 3; i++) CHECK(dn_state_create(i < 2 ? model : other, &state[i]) == DN_OK);
    dn_state *const twice[3] = {state[0], state[1], state[0]};
    memset(together, 0, sizeof(together));
    CHECK(dn_process(twice, 3, in, together, NULL, 1, 0) == DN_BAD_STATES);
    CHECK(dn_process(state, 3, in, together, NULL, 1, 0) == DN_BAD_STATES);
    for (int i = 0; i < 3 * DN_FRAME; i++) CHECK(together[i] == 0);
    CHECK(dn_process(state, 2, in, together, voice, 1, 0) == DN_OK); /* as fresh: nothing was touched */
    CHECK(dn_process(state + 2, 1, in, alone, voice_alone, 1, 0) == DN_OK);
    CHECK(memcmp(alone, together, DN_FRAME * sizeof(*alone)) == 0);
    CHECK(dn_process(state, 0, in, together, NULL, 1, 0) == DN_OK);
    for (int i = 0; i < 3; i++) dn_state_destroy(state[i]);
    dn_model_destroy(model);
    dn_model_destroy(other);
}

/* ---- two models in a row ---- */

enum { GUIDED_KIND = 6, GUIDED_CHANNELS = DN_BATCH + 1, MOST_LATE = 2 * DN_FRAME };

static float guess[CHANNELS * SAMPLES], late_in[CHANNELS * SAMPLES], held[GUIDED_CHANNELS * MOST_LATE];

/* What the second model makes of the signal, held back until the first one's answer is there, and that answer. */
static void call_both(dn_state *const *guide, dn_state *const *state, size_t late) {
    static float voices[2][GUIDED_CHANNELS * FRAMES];
    CHECK(dn_process(guide, GUIDED_CHANNELS, in, guess, voices[0], FRAMES, 0) == DN_OK);
    for (int c = 0; c < GUIDED_CHANNELS; c++) {
        memset(late_in + c * SAMPLES, 0, late * sizeof(*late_in));
        memcpy(late_in + c * SAMPLES + late, in + c * SAMPLES, (SAMPLES - late) * sizeof(*late_in));
    }
    CHECK(dn_process_guided(state, GUIDED_CHANNELS, late_in, guess, together, voices[1], FRAMES, 0.1f) == DN_OK);
    for (int i = 0; i < GUIDED_CHANNELS * FRAMES; i++) voice[i] = 0.5f * (voices[0][i] + voices[1][i]);
}

static void make_states(const dn_model *model, dn_state **state) {
    for (int i = 0; i < GUIDED_CHANNELS; i++) CHECK(dn_state_create(model, &state[i]) == DN_OK);
}

static void drop_states(dn_state **state) {
    for (int i = 0; i < GUIDED_CHANNELS; i++) dn_state_destroy(state[i]);
}

/* The model in file guides one that takes a guide: in one call, and in calls of one frame, as in two. */
static void test_behind(const dn_model *second) {
    dn_model *first;
    dn_state *guides[GUIDED_CHANNELS], *states[GUIDED_CHANNELS];
    CHECK(dn_model_load(file.data, file.size, &first, NULL) == DN_OK);
    const size_t late = (size_t)dn_model_delay(first);
    CHECK(late <= MOST_LATE);
    make_states(first, guides);
    make_states(second, states);
    call_both(guides, states, late);
    drop_states(guides);
    drop_states(states);
    for (int frames = 1; frames <= FRAMES; frames += FRAMES - 1) {
        make_states(first, guides);
        make_states(second, states);
        memset(held, 0, sizeof(held));
        for (int f = 0; f < FRAMES; f += frames) {
            const size_t size = (size_t)frames * DN_FRAME;
            static float part[GUIDED_CHANNELS * SAMPLES], cleaned[GUIDED_CHANNELS * SAMPLES];
            static float heard[GUIDED_CHANNELS * FRAMES];
            for (int c = 0; c < GUIDED_CHANNELS; c++) {
                memcpy(part + (size_t)c * size, in + c * SAMPLES + f * DN_FRAME, size * sizeof(*part));
            }
            const float *from = part;
            if (f % 2) { /* in place */
                memcpy(cleaned, part, sizeof(cleaned));
                from = cleaned;
            }
            CHECK(dn_process_behind(guides, states, GUIDED_CHANNELS, from, held, cleaned, heard, (size_t)frames,
                                    0.1f) == DN_OK);
            for (int c = 0; c < GUIDED_CHANNELS; c++) {
                const float *wanted = together + c * SAMPLES + f * DN_FRAME;
                CHECK(memcmp(cleaned + (size_t)c * size, wanted, size * sizeof(*wanted)) == 0);
                CHECK(memcmp(heard + c * frames, voice + c * FRAMES + f, (size_t)frames * sizeof(*voice)) == 0);
            }
        }
        drop_states(guides);
        drop_states(states);
    }
    dn_model_destroy(first);
}

static void test_models_that_cannot_stand_in_a_row_are_refused(const dn_model *second) {
    dn_model *first, *narrow;
    dn_state *guides[GUIDED_CHANNELS], *states[GUIDED_CHANNELS], *others[GUIDED_CHANNELS];
    make_bytes(&file, 0);
    CHECK(dn_model_load(file.data, file.size, &first, NULL) == DN_OK);
    make_narrow(&file, 0);
    CHECK(dn_model_load(file.data, file.size, &narrow, NULL) == DN_OK);
    make_states(first, guides);
    make_states(second, states);
    make_states(narrow, others);
    const size_t channels = GUIDED_CHANNELS;
    memset(held, 0, sizeof(held));
    CHECK(dn_process_behind(guides, guides, channels, in, held, together, NULL, 1, 0) == DN_BAD_STATES);
    CHECK(dn_process_behind(states, states, channels, in, held, together, NULL, 1, 0) == DN_BAD_STATES);
    CHECK(dn_process_behind(others, states, channels, in, held, together, NULL, 1, 0) == DN_BAD_STATES);
    CHECK(dn_process_behind(guides, states, 0, in, held, together, NULL, 1, 0) == DN_OK);
    memcpy(late_in, in, sizeof(late_in));
    late_in[DN_FRAME] = NAN;
    CHECK(dn_process_behind(guides, states, channels, late_in, held, together, NULL, 2, 0) == DN_NOT_FINITE);
    for (size_t i = 0; i < sizeof(held) / sizeof(*held); i++) CHECK(held[i] == 0);
    dn_state *last = states[channels - 1];
    states[channels - 1] = states[0];
    CHECK(dn_process_behind(guides, states, channels, in, held, together, NULL, 1, 0) == DN_BAD_STATES);
    states[channels - 1] = last;
    drop_states(guides);
    drop_states(states);
    drop_states(others);
    dn_model_destroy(first);
    dn_model_destroy(narrow);
}

static void test_models_in_a_row(void) {
    dn_model *second;
    make_enhancer(&file, GUIDED_KIND);
    CHECK(dn_model_load(file.data, file.size, &second, NULL) == DN_OK);
    CHECK(dn_model_is_guided(second));
    make_bytes(&file, 0); /* 10 ms late */
    test_behind(second);
    make_v02(&file, 0); /* 20 ms late */
    test_behind(second);
    make_enhancer(&file, 0); /* takes samples, not bands */
    test_behind(second);
    make_v02_of(&file, (v02_kind){8, 256, 1, 1, 0}); /* fewer than DN_BATCH go together */
    test_behind(second);
    test_models_that_cannot_stand_in_a_row_are_refused(second);
    dn_model_destroy(second);
}

int main(void) {
    fill_channels();
    for (int isa = 0; dn_isa_name(isa); isa++) {
        const dn_kernels *k = dn_kernels_find(dn_isa_name(isa));
        if (k) test_maps(k);
        if (!k) printf("test_channels: this processor has no %s\n", dn_isa_name(isa));
    }
    for (int small = 0; small < 2; small++) {
        make_bytes(&file, small);
        test_model();
    }
    for (int kind = 0; kind < V02_KINDS; kind++) {
        make_v02(&file, kind);
        test_model();
    }
    for (int kind = 0; kind < ENHANCER_KINDS; kind++) {
        make_enhancer(&file, kind);
        test_model();
    }
    for (int kind = 0; kind < NARROW_KINDS; kind++) {
        make_narrow(&file, kind);
        test_model();
    }
    make_v02_of(&file, (v02_kind){8, 256, 1, 1, 0}); /* so large that fewer than DN_BATCH go together */
    test_model();
    test_states_that_do_not_fit_are_refused();
    test_models_in_a_row();
    return done("test_channels");
}
