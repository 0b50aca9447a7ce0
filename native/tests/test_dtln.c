/* DTLNs of random weights: files that are loaded or refused, and that no bit depends on cuts, neighbours or the place
 * of the output. */
#include <math.h>

#include "denoise.h"
#include "models_dtln.h"

enum { CHANNELS = 11, HOPS = 37, MOST = CHANNELS * HOPS * 32 };

static onnx_file first, second, damaged;
static float noisy[MOST], whole[MOST], parts[MOST], voice[CHANNELS * HOPS];
static dn_state *states[CHANNELS];
static char message[DN_MESSAGE];

static dn_model *load(dn_precision precision) {
    dn_model *model;
    CHECK(dn_model_load_pair(first.data, first.size, second.data, second.size, precision, &model, message) == DN_OK);
    return model;
}

static void reset_all(void) {
    for (int c = 0; c < CHANNELS; c++) dn_state_reset(states[c]);
}

/* Runs channels in blocks of so many hops. */
static void run(int channels, int hop, int hops, float *out, float min_gain) {
    static float in[MOST], made[MOST];
    for (int at = 0; at < HOPS; at += hops) {
        const int now = at + hops <= HOPS ? hops : HOPS - at, samples = now * hop;
        for (int c = 0; c < channels; c++) {
            memcpy(in + c * samples, noisy + (c * HOPS + at) * hop, (size_t)samples * sizeof(*in));
        }
        memcpy(made, in, (size_t)(channels * samples) * sizeof(*in));
        CHECK(dn_process(states, (size_t)channels, made, made, voice, (size_t)now, min_gain) == DN_OK);
        for (int c = 0; c < channels; c++) {
            memcpy(out + (c * HOPS + at) * hop, made + c * samples, (size_t)samples * sizeof(*in));
        }
    }
}

static void test_cuts(dn_model *model) {
    const int hop = dn_model_hop(model), late = dn_model_delay(model), all = CHANNELS * HOPS * hop;
    static const int cuts[] = {1, 2, 3, 7, 8, 9, HOPS};
    CHECK(late == 3 * hop && dn_model_family(model) == DN_DTLN);
    for (int i = 0; i < all; i++) noisy[i] = 0.3f * random_float();
    for (int c = 0; c < CHANNELS; c++) CHECK(dn_state_create(model, &states[c]) == DN_OK);
    CHECK(dn_process(states, CHANNELS, noisy, whole, voice, HOPS, 0) == DN_OK);
    float loudest = 0;
    for (int i = 0; i < all; i++) loudest = fmaxf(loudest, fabsf(whole[i]));
    CHECK(loudest > 1e-4f && isfinite(loudest));
    for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
        for (int channels = 1; channels <= CHANNELS; channels += 5) {
            reset_all();
            run(channels, hop, cuts[i], parts, 0);
            CHECK(memcmp(parts, whole, (size_t)(channels * HOPS * hop) * sizeof(*parts)) == 0);
        }
    }
    reset_all();
    run(2, hop, 5, parts, 1); /* the late original itself */
    for (int i = 0; i < HOPS * hop; i++) CHECK(parts[i] == (i < late ? 0 : noisy[i - late]));
}

static void test_saving(dn_model *model) {
    const int hop = dn_model_hop(model);
    const size_t size = dn_state_size(states[0]);
    char *saved = malloc(size);
    dn_state *other;
    reset_all();
    CHECK(dn_process(states, 1, noisy, parts, NULL, 9, 0) == DN_OK);
    dn_state_save(states[0], saved);
    CHECK(dn_state_create(model, &other) == DN_OK && dn_state_restore(other, saved, size) == DN_OK);
    CHECK(dn_process(&other, 1, noisy + 9 * hop, parts, NULL, 4, 0) == DN_OK);
    CHECK(memcmp(parts, whole + 9 * hop, (size_t)(4 * hop) * sizeof(*parts)) == 0);
    saved[size - 5] ^= 1;
    CHECK(dn_state_restore(other, saved, size) == DN_BAD_STATE);
    const float was = noisy[3];
    noisy[3] = NAN;
    dn_state_save(other, saved);
    CHECK(dn_process(&other, 1, noisy, parts, NULL, 1, 0) == DN_NOT_FINITE);
    noisy[3] = was;
    dn_state_destroy(other);
    free(saved);
}

static void test_sets(dn_model *model, dn_precision precision) {
    const char *name;
    for (int isa = 0; (name = dn_isa_name(isa)) != NULL; isa++) {
        if (dn_model_set_isa(model, name) != DN_OK) continue;
        double power = 0, apart = 0;
        reset_all();
        CHECK(dn_process(states, CHANNELS, noisy, parts, voice, HOPS, 0) == DN_OK);
        for (int i = 0; i < CHANNELS * HOPS * dn_model_hop(model); i++) {
            power += (double)whole[i] * (double)whole[i];
            apart += ((double)whole[i] - (double)parts[i]) * ((double)whole[i] - (double)parts[i]);
        }
        CHECK(apart <= 1e-8 * power); /* 80 dB */
        printf("test_dtln: %s, %s: %.0f dB to the fastest\n", precision == DN_INT8 ? "int8" : "as stored", name,
               10 * log10(power / (apart + 1e-300)));
    }
}

static void refused(dn_status wanted, const char *why) {
    dn_model *model;
    message[0] = '\0';
    CHECK(dn_model_load_pair(damaged.data, damaged.size, second.data, second.size, DN_AS_STORED, &model, message) ==
          wanted);
    CHECK(model == NULL && strstr(message, why) != NULL);
    if (!strstr(message, why)) printf("test_dtln: the message is: %s\n", message);
}

/* Replaces the first place of a text by one as long. */
static void replace(const char *from, const char *to) {
    const size_t size = strlen(from);
    for (size_t i = 0; i + size <= damaged.size; i++) {
        if (memcmp(damaged.data + i, from, size) != 0) continue;
        memcpy(damaged.data + i, to, size);
        return;
    }
    CHECK(0);
}

static void test_refusals(void) {
    make_dtln(&first, &second, 0);
    dn_model *model;
    CHECK(dn_model_load_pair(second.data, second.size, first.data, first.size, DN_AS_STORED, &model, NULL) == DN_OK);
    CHECK(dn_model_is_swapped(model));
    dn_model_destroy(model);
    damaged = first;
    replace("Sigmoid", "Softmax");
    refused(DN_UNKNOWN_MODEL, "Softmax");
    damaged = first;
    replace("logit", "other");
    refused(DN_UNKNOWN_MODEL, "Sigmoid");
    damaged = first;
    replace("c1_out", "h1_out"); /* of the LSTM, so that no cell is there to come out */
    refused(DN_UNKNOWN_MODEL, "Concat");
    damaged = second;
    refused(DN_BAD_MODEL, "both files are the second model of a pair; give the first too");
    for (size_t size = 0; size < first.size; size += 1 + size / 50) {
        damaged = first;
        damaged.size = size;
        refused(DN_UNKNOWN_MODEL, "no ONNX model");
    }
    make_dtln(&damaged, &second, 0);
    make_dtln(&first, &second, 1);
    refused(DN_BAD_MODEL, "do not belong together");
    make_dtln_of(&damaged, &second, (dtln_sizes){48, 6, 10, 1, 0});
    refused(DN_UNKNOWN_MODEL, "blocks have 48 samples");
}

int main(void) {
    for (int kind = 0; kind < DTLN_KINDS; kind++) {
        for (int p = 0; p < 2; p++) {
            const dn_precision precision = p ? DN_INT8 : DN_AS_STORED;
            make_dtln(&first, &second, kind);
            dn_model *model = load(precision);
            if (!model) continue;
            test_cuts(model);
            test_saving(model);
            test_sets(model, precision);
            for (int c = 0; c < CHANNELS; c++) dn_state_destroy(states[c]);
            dn_model_destroy(model);
        }
    }
    test_refusals();
    return done("test_dtln");
}
