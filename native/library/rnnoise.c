/* The calls of librnnoise, 0.1 and 0.2, on this engine: for programs that are linked to it, or load it.
 *
 * Samples have the scale of int16, at 48 kHz, 480 a frame. A model is any that this engine runs by such frames; NULL is
 * the one compiled in, which is loaded when it is first wanted and then stays. A state is one piece of memory, so that
 * callers may bring their own; samples that are no numbers, or far beyond the scale, count as zero. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "denoise.h"
#include "state.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

enum {
    ALIGNMENT = 64,
    MOST_MEMORY = 8 * 1024, /* floats that a network of RNNoise's, of either kind, keeps at most */
    MOST_BYTES = 64 << 20,  /* of a model file */
    ROOM_AT_FIRST = 1 << 16 /* bytes, when a file is read */
};

#define SCALE 32768.0f
#define LOUDEST (1e5f * SCALE)

typedef struct RNNModel RNNModel; /* a dn_model */

typedef struct {
    dn_state *state; /* in the memory behind this */
} DenoiseState;

EXPORT int rnnoise_get_size(void);
EXPORT int rnnoise_get_frame_size(void);
EXPORT int rnnoise_init(DenoiseState *st, RNNModel *model);
EXPORT DenoiseState *rnnoise_create(RNNModel *model);
EXPORT void rnnoise_destroy(DenoiseState *st);
EXPORT float rnnoise_process_frame(DenoiseState *st, float *out, const float *in);
EXPORT RNNModel *rnnoise_model_from_buffer(const void *ptr, int len);
EXPORT RNNModel *rnnoise_model_from_file(FILE *f);
EXPORT RNNModel *rnnoise_model_from_filename(const char *filename);
EXPORT void rnnoise_model_free(RNNModel *model);

/* ---- models ---- */

/* NULL when there is no memory. */
static dn_model *builtin(void) {
    static dn_model *shared;
    dn_model *model = __atomic_load_n(&shared, __ATOMIC_ACQUIRE), *none = NULL;
    if (model || dn_model_builtin(&model, NULL) != DN_OK) return model;
    if (__atomic_compare_exchange_n(&shared, &none, model, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return model;
    dn_model_destroy(model); /* another thread was first */
    return none;
}

RNNModel *rnnoise_model_from_buffer(const void *ptr, int len) {
    dn_model *model = NULL;
    if (!ptr || len <= 0 || dn_model_load(ptr, (size_t)len, &model, NULL) != DN_OK) return NULL;
    if (dn_model_rate(model) != DN_RATE || dn_model_hop(model) != DN_FRAME || dn_model_is_guided(model)) {
        dn_model_destroy(model);
        return NULL;
    }
    return (RNNModel *)model;
}

/* Reads what is left of the file, which stays the caller's. */
RNNModel *rnnoise_model_from_file(FILE *f) {
    size_t room = ROOM_AT_FIRST, size = 0, more = 1;
    char *bytes = f ? malloc(room) : NULL;
    while (bytes && more && size <= MOST_BYTES) {
        if (size == room) {
            char *larger = realloc(bytes, room *= 2);
            if (!larger) free(bytes);
            bytes = larger;
        }
        more = bytes ? fread(bytes + size, 1, room - size, f) : 0;
        size += more;
    }
    RNNModel *model = bytes && size <= MOST_BYTES && !ferror(f) ? rnnoise_model_from_buffer(bytes, (int)size) : NULL;
    free(bytes);
    return model;
}

RNNModel *rnnoise_model_from_filename(const char *filename) {
    FILE *file = filename ? fopen(filename, "rb") : NULL;
    RNNModel *model = rnnoise_model_from_file(file);
    if (file) fclose(file);
    return model;
}

void rnnoise_model_free(RNNModel *model) {
    dn_model_destroy((dn_model *)model);
}

/* ---- states ---- */

/* Bytes of a state of so many, wherever it begins. */
static size_t room_of(size_t state) {
    return sizeof(DenoiseState) + ALIGNMENT + state;
}

int rnnoise_get_size(void) {
    return (int)room_of(dn_state_most_room(MOST_MEMORY));
}

int rnnoise_get_frame_size(void) {
    return DN_FRAME;
}

static void place(DenoiseState *st, const dn_model *model) {
    uintptr_t behind = (uintptr_t)(st + 1);
    char *at = (char *)(st + 1) + (ALIGNMENT - behind % ALIGNMENT) % ALIGNMENT;
    memset(at, 0, dn_state_room(model));
    st->state = dn_state_place(model, at);
}

/* In rnnoise_get_size bytes of the caller's. -1: the model needs more, as no network of RNNoise's does. */
int rnnoise_init(DenoiseState *st, RNNModel *model) {
    const dn_model *used = model ? (dn_model *)model : builtin();
    if (!st || !used || dn_state_room(used) > dn_state_most_room(MOST_MEMORY)) return -1;
    place(st, used);
    return 0;
}

DenoiseState *rnnoise_create(RNNModel *model) {
    const dn_model *used = model ? (dn_model *)model : builtin();
    DenoiseState *st = used ? malloc(room_of(dn_state_room(used))) : NULL;
    if (st) place(st, used);
    return st;
}

void rnnoise_destroy(DenoiseState *st) {
    free(st);
}

float rnnoise_process_frame(DenoiseState *st, float *out, const float *in) {
    float frame[DN_FRAME], voice = 0;
    for (int i = 0; i < DN_FRAME; i++) frame[i] = fabsf(in[i]) <= LOUDEST ? in[i] * (1 / SCALE) : 0;
    dn_process(&st->state, 1, frame, frame, &voice, 1, 0);
    for (int i = 0; i < DN_FRAME; i++) out[i] = frame[i] * SCALE;
    return voice;
}
