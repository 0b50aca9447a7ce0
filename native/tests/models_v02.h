/* Weights blobs of RNNoise 0.2 with random weights, in every form that a linear map can have. */
#ifndef DN_TEST_MODELS_V02_H
#define DN_TEST_MODELS_V02_H

#include "models.h"

enum { V02_KINDS = 5 };

typedef struct {
    int convolved, units;
    int is_int8, is_sparse, has_diagonal;
} v02_kind;

static const v02_kind v02_kinds[V02_KINDS] = {
    {13, 18, 0, 0, 0}, /* of no round size */
    {16, 24, 1, 0, 0}, {24, 32, 1, 1, 1}, {8, 16, 0, 1, 1}, {1, 1, 0, 0, 0},
};

static int in_halves; /* floats are put in 16 bits */

/* The bits of a float in 16 bits, cut off; zero where it is too small for a normal one. */
static inline unsigned half_of(int32_t bits) {
    uint32_t sign = (uint32_t)bits >> 16 & 0x8000, rest = (uint32_t)bits & 0x7fffffff;
    return sign | (rest < 113u << 23 ? 0 : (rest - (112u << 23)) >> 13);
}

/* Puts count floats within size of middle. */
static inline void put_floats(model_file *f, const char *layer, const char *array, int count, float middle,
                              float size) {
    char name[44];
    snprintf(name, sizeof(name), "%s_%s", layer, array);
    unsigned char *values = f->data + f->size + 64;
    put_record(f, name, in_halves ? 4 : 0, NULL, (in_halves ? 2 : 4) * count);
    for (int i = 0; i < count; i++) {
        float value = middle + size * random_float();
        int32_t bits;
        memcpy(&bits, &value, sizeof(bits));
        if (in_halves) {
            values[2 * i] = (unsigned char)half_of(bits);
            values[2 * i + 1] = (unsigned char)(half_of(bits) >> 8);
        } else {
            put_int(values + 4 * i, bits);
        }
    }
}

/* Puts an index that keeps half of the blocks, at random. Returns their number. */
static inline int put_index(model_file *f, const char *layer, int inputs, int outputs) {
    static unsigned char payload[1 << 16];
    char name[44];
    int n = 0, blocks = 0;
    for (int group = 0; group < outputs / 8; group++) {
        int count = 0, head = n++;
        for (int place = 0; place < inputs; place += 4) {
            if (random_bits() >> 31) continue;
            put_int(payload + 4 * n++, place);
            count++;
        }
        put_int(payload + 4 * head, count);
        blocks += count;
    }
    snprintf(name, sizeof(name), "%s_weights_idx", layer);
    put_record(f, name, 1, payload, 4 * n);
    return blocks;
}

/* Puts a map, with is_inner in the form that the kind says; the others are whole and float. */
static inline void put_map(model_file *f, const char *layer, int inputs, int outputs, v02_kind kind, int is_inner) {
    int is_int8 = is_inner && kind.is_int8, count = inputs * outputs;
    if (is_inner && kind.has_diagonal && strstr(layer, "recurrent")) {
        put_floats(f, layer, "weights_diag", outputs, 0, 0.5f);
    }
    if (is_inner && kind.is_sparse) count = 32 * put_index(f, layer, inputs, outputs);
    if (is_int8) {
        char name[44];
        snprintf(name, sizeof(name), "%s_weights_int8", layer);
        put_record(f, name, 3, NULL, count);
        put_floats(f, layer, "scale", outputs, 1e-4f, 5e-5f);
        put_floats(f, layer, "subias", outputs, 0, 1);
    } else {
        put_floats(f, layer, "weights_float", count, 0, 0.3f);
    }
    put_floats(f, layer, "bias", outputs, 0, 0.5f);
}

static inline void make_v02_of(model_file *f, v02_kind kind) {
    int n = kind.units;
    f->size = 0;
    put_map(f, "conv1", 3 * 65, kind.convolved, kind, 0);
    put_map(f, "conv2", 3 * kind.convolved, n, kind, !kind.is_sparse);
    for (int g = 1; g <= 3; g++) {
        char name[44];
        snprintf(name, sizeof(name), "gru%d_input", g);
        put_map(f, name, n, 3 * n, kind, 1);
        snprintf(name, sizeof(name), "gru%d_recurrent", g);
        put_map(f, name, n, 3 * n, kind, 1);
    }
    put_map(f, "dense_out", 4 * n, 32, kind, 0);
    put_map(f, "vad_dense", 4 * n, 1, kind, 0);
    put_record(f, "metadata", 3, "{\"name\": \"random\"}", 18);
}

static inline void make_v02(model_file *f, int kind) {
    make_v02_of(f, v02_kinds[kind]);
}

/* The payload of a record that is there. */
static inline unsigned char *find_payload(model_file *f, const char *name) {
    size_t at = 0;
    while (strcmp((char *)f->data + at + 20, name) != 0) {
        const unsigned char *size = f->data + at + 16;
        at += 64 + (size_t)(size[0] | size[1] << 8 | size[2] << 16);
    }
    return f->data + at + 64;
}

#endif
