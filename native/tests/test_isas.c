/* Whole frames by every instruction set that this processor has, against plain C: the network that is compiled in, and
 * networks of random weights. */
#include <math.h>

#include "models_narrow.h"

enum { FRAMES = 100, SAMPLES = FRAMES * DN_FRAME };

static model_file file;
static float speech[SAMPLES], plain[SAMPLES], cleaned[SAMPLES], again[SAMPLES];
static float plain_voice[FRAMES], voice[FRAMES];

/* Harmonics of a gliding pitch that come and go four times a second, in faint noise. */
static void make_speech(void) {
    double turn = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double t = (double)i / DN_RATE, loud = fmax(0, sin(25 * t)), sum = 0;
        turn += (120 + 60 * sin(3 * t)) / DN_RATE;
        for (int h = 1; h <= 20; h++) sum += cos(6.283185307179586 * turn * h) / (h + 3);
        speech[i] = (float)(0.1 * loud * sum) + 0.01f * random_float();
    }
}

static void run(dn_model *model, const char *isa, float *out, float *probability) {
    dn_state *state;
    CHECK(dn_model_set_isa(model, isa) == DN_OK && strcmp(dn_isa(model), isa) == 0);
    CHECK(dn_state_create(model, &state) == DN_OK);
    memset(out, 0, SAMPLES * sizeof(*out)); /* a hop may be shorter than DN_FRAME */
    CHECK(dn_process(&state, 1, speech, out, probability, FRAMES, 0) == DN_OK);
    dn_state_destroy(state);
}

/* Checks that every sample is within 1e-4, and the signal 60 dB above all differences. */
static void check_nearness(const char *what, const char *isa) {
    double power = 0, apart = 0, furthest = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double difference = fabs((double)plain[i] - (double)cleaned[i]);
        power += (double)plain[i] * (double)plain[i];
        apart += difference * difference;
        furthest = fmax(furthest, difference);
    }
    CHECK(power > 0 && apart <= 1e-6 * power && furthest <= 1e-4);
    for (int f = 0; f < FRAMES; f++) CHECK(fabsf(voice[f] - plain_voice[f]) <= 1e-3f);
    if (apart == 0) {
        printf("test_isas: %s, %s: the same bits as scalar\n", what, isa);
    } else {
        printf("test_isas: %s, %s: %.0f dB to scalar, no further than %.1e\n", what, isa, 10 * log10(power / apart),
               furthest);
    }
}

/* Runs a model on all sets, and destroys it. */
static void test_model(const char *what, dn_model *model) {
    run(model, "scalar", plain, plain_voice);
    const char *name;
    for (int isa = 0; (name = dn_isa_name(isa)) != NULL; isa++) {
        if (dn_model_set_isa(model, name) != DN_OK) {
            printf("test_isas: this processor has no %s\n", name);
            continue;
        }
        run(model, name, cleaned, voice);
        run(model, name, again, voice);
        CHECK(memcmp(cleaned, again, sizeof(cleaned)) == 0);
        check_nearness(what, name);
    }
    dn_model_destroy(model);
}

int main(void) {
    dn_model *model;
    char name[40];
    make_speech();
    CHECK(dn_model_builtin(&model, NULL) == DN_OK);
    test_model("the model compiled in", model);
    make_bytes(&file, 0);
    CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK);
    test_model("a random classic model", model);
    for (int kind = 0; kind < V02_KINDS; kind++) {
        make_v02(&file, kind);
        CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK);
        snprintf(name, sizeof(name), "random v0.2 model %d", kind);
        test_model(name, model);
    }
    for (int kind = 0; kind < ENHANCER_KINDS; kind++) {
        make_enhancer(&file, kind);
        CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK);
        snprintf(name, sizeof(name), "random enhancer %d", kind);
        test_model(name, model);
    }
    for (int kind = 0; kind < NARROW_KINDS; kind++) {
        make_narrow(&file, kind);
        CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK);
        snprintf(name, sizeof(name), "random %s", kind ? "GTCRN" : "UL-UNAS");
        test_model(name, model);
    }
    return done("test_isas");
}
