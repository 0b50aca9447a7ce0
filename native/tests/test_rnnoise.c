/* The calls of librnnoise: states in memory of ours and of its own, models by every way, damage. */
#include <math.h>
#include <string.h>

#include "models_enhancer.h"
#include "rnn_data.h"

typedef struct DenoiseState DenoiseState;
typedef struct RNNModel RNNModel;
int rnnoise_get_size(void);
int rnnoise_get_frame_size(void);
int rnnoise_init(DenoiseState *st, RNNModel *model);
DenoiseState *rnnoise_create(RNNModel *model);
void rnnoise_destroy(DenoiseState *st);
float rnnoise_process_frame(DenoiseState *st, float *out, const float *in);
RNNModel *rnnoise_model_from_buffer(const void *ptr, int len);
RNNModel *rnnoise_model_from_file(FILE *f);
RNNModel *rnnoise_model_from_filename(const char *filename);
void rnnoise_model_free(RNNModel *model);

enum { FRAMES = 40 };

/* A state gives what the engine gives, at its scale, bit for bit; in place and beside. */
static void test_state(DenoiseState *st, const dn_model *model) {
    dn_state *state;
    CHECK(dn_state_create(model, &state) == DN_OK);
    for (int f = 0; f < FRAMES; f++) {
        float in[DN_FRAME], out[DN_FRAME], unit[DN_FRAME], voice;
        for (int i = 0; i < DN_FRAME; i++) {
            in[i] = floorf(9000 * random_float());
            unit[i] = in[i] / 32768;
        }
        CHECK(dn_process(&state, 1, unit, unit, &voice, 1, 0) == DN_OK);
        float *to = f % 2 ? in : out;
        CHECK(rnnoise_process_frame(st, to, in) == voice);
        int same = 1;
        for (int i = 0; i < DN_FRAME; i++) same &= to[i] == unit[i] * 32768;
        CHECK(same);
    }
    dn_state_destroy(state);
}

static void test_own_memory(const dn_model *model) {
    for (int off = 0; off < 64; off += 8) {
        char *room = malloc((size_t)rnnoise_get_size() + 64);
        DenoiseState *st = (DenoiseState *)(void *)(room + off);
        memset(room, 0x5a, (size_t)rnnoise_get_size() + 64);
        CHECK(rnnoise_init(st, NULL) == 0);
        test_state(st, model);
        for (int i = off + rnnoise_get_size(); i < rnnoise_get_size() + 64; i++) CHECK(room[i] == 0x5a);
        free(room);
    }
    CHECK(rnnoise_init(NULL, NULL) == -1);
}

static void test_models(const dn_model *model) {
    RNNModel *buffer = rnnoise_model_from_buffer(dn_builtin_data, (int)dn_builtin_size);
    FILE *file = tmpfile();
    CHECK(file && fwrite("beginning", 9, 1, file) == 1);
    CHECK(fwrite(dn_builtin_data, dn_builtin_size, 1, file) == 1 && fseek(file, 9, SEEK_SET) == 0);
    RNNModel *read = rnnoise_model_from_file(file), *models[] = {NULL, buffer, read};
    CHECK(buffer && read && fclose(file) == 0);
    for (int i = 0; i < 3; i++) {
        DenoiseState *st = rnnoise_create(models[i]);
        CHECK(st != NULL);
        test_state(st, model);
        rnnoise_destroy(st);
        rnnoise_model_free(models[i]);
    }
    rnnoise_destroy(NULL);
    CHECK(!rnnoise_model_from_buffer(dn_builtin_data, (int)dn_builtin_size / 2));
    CHECK(!rnnoise_model_from_buffer(NULL, 5) && !rnnoise_model_from_buffer("abc", -1));
    CHECK(!rnnoise_model_from_filename("/nowhere") && !rnnoise_model_from_filename(NULL));
    CHECK(!rnnoise_model_from_file(NULL));
    static model_file guided; /* which goes behind another model */
    make_enhancer(&guided, 6);
    CHECK(!rnnoise_model_from_buffer(guided.data, (int)guided.size));
}

static void test_bad_samples(void) {
    DenoiseState *st = rnnoise_create(NULL);
    float frame[DN_FRAME] = {0};
    for (int f = 0; f < 10; f++) {
        for (int i = 0; i < DN_FRAME; i++)
            frame[i] = f == 2 ? NAN : f == 3 ? INFINITY : f == 4 ? 3e38f : 5000 * random_float();
        rnnoise_process_frame(st, frame, frame);
        for (int i = 0; i < DN_FRAME; i++) CHECK(isfinite(frame[i]));
    }
    rnnoise_destroy(st);
}

int main(void) {
    dn_model *model;
    CHECK(dn_model_builtin(&model, NULL) == DN_OK);
    CHECK(rnnoise_get_frame_size() == DN_FRAME);
    test_own_memory(model);
    test_models(model);
    test_bad_samples();
    dn_model_destroy(model);
    return done("rnnoise");
}
