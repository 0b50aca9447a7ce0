/* Models of random weights in the three forms that the engine reads. */
#ifndef DN_TEST_MODELS_H
#define DN_TEST_MODELS_H

#include <string.h>

#include "check.h"
#include "denoise.h"

typedef struct {
    unsigned char data[1 << 20];
    size_t size;
} model_file;

static const char *const layer_name[DN_LAYERS] = {"input_dense", "vad_gru",        "noise_gru",
                                                  "denoise_gru", "denoise_output", "vad_output"};

/* Shapes of the layers: inputs, units, activation; a smaller network than the published one where small is set. */
static inline void layer_shapes(int small, int shape[DN_LAYERS][3]) {
    int first = small ? 5 : 24, vad = small ? 3 : 24, noise = small ? 9 : 48, denoise = small ? 17 : 96;
    int all[DN_LAYERS][3] = {
        {42, first, 0},   {first, vad, 2}, {42 + first + vad, noise, 2}, {42 + vad + noise, denoise, 0},
        {denoise, 22, 1}, {vad, 1, 1}};
    memcpy(shape, all, sizeof(all));
}

static inline int array_size(const int shape[3], int layer, int array) {
    int gru = layer >= 1 && layer <= 3, columns = shape[1] * (gru ? 3 : 1);
    if (array == 0) return shape[0] * columns;
    if (array == 1) return gru ? shape[1] * columns : 0;
    return columns;
}

static inline int random_weight(void) {
    return (int)(random_bits() % 61) - 30;
}

static inline void put_text(model_file *f, const char *text) {
    size_t n = strlen(text);
    memcpy(f->data + f->size, text, n);
    f->size += n;
}

static inline void make_text(model_file *f, int small) {
    int shape[DN_LAYERS][3];
    layer_shapes(small, shape);
    f->size = 0;
    put_text(f, "rnnoise-nu model file version 1\n");
    for (int l = 0; l < DN_LAYERS; l++) {
        char number[40];
        snprintf(number, sizeof(number), "%d %d %d\n", shape[l][0], shape[l][1], shape[l][2]);
        put_text(f, number);
        for (int a = 0; a < 3; a++) {
            int n = array_size(shape[l], l, a);
            for (int i = 0; i < n; i++) {
                snprintf(number, sizeof(number), i + 1 < n ? "%d " : "%d\n", random_weight());
                put_text(f, number);
            }
        }
    }
}

static inline void make_bytes(model_file *f, int small) {
    int shape[DN_LAYERS][3];
    layer_shapes(small, shape);
    f->size = 0;
    for (int l = 0; l < DN_LAYERS; l++) {
        for (int i = 0; i < 3; i++) f->data[f->size++] = (unsigned char)shape[l][i];
        for (int a = 0; a < 3; a++) {
            int n = array_size(shape[l], l, a);
            for (int i = 0; i < n; i++) f->data[f->size++] = (unsigned char)random_weight();
        }
    }
}

static inline void put_int(unsigned char *p, int32_t value) {
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)((uint32_t)value >> (8 * i));
}

/* Puts a record of payload, or of random weights where that is NULL. */
static inline void put_record(model_file *f, const char *name, int type, const void *payload, int size) {
    unsigned char *head = f->data + f->size;
    int block = (size + 63) / 64 * 64;
    memset(head, 0, (size_t)(64 + block));
    memcpy(head, "DNNw", 4);
    put_int(head + 8, type);
    put_int(head + 12, size);
    put_int(head + 16, block);
    snprintf((char *)head + 20, 44, "%s", name);
    for (int i = 0; i < size; i++) {
        head[64 + i] = payload ? ((const unsigned char *)payload)[i] : (unsigned char)random_weight();
    }
    f->size += (size_t)(64 + block);
}

static inline void make_records(model_file *f, int small) {
    static const char *const arrays[3] = {"weights", "recurrent", "bias"};
    static const char metadata[] = "{\"name\": \"random\"}";
    int shape[DN_LAYERS][3];
    unsigned char shapes[DN_LAYERS * 12];
    layer_shapes(small, shape);
    for (int i = 0; i < 3 * DN_LAYERS; i++) put_int(shapes + 4 * i, shape[i / 3][i % 3]);
    f->size = 0;
    put_record(f, "metadata", 3, metadata, (int)sizeof(metadata) - 1);
    put_record(f, "classic_layers", 1, shapes, (int)sizeof(shapes));
    for (int l = 0; l < DN_LAYERS; l++) {
        for (int a = 0; a < 3; a++) {
            char name[44];
            int n = array_size(shape[l], l, a);
            snprintf(name, sizeof(name), "%s_%s", layer_name[l], arrays[a]);
            if (n) put_record(f, name, 3, NULL, n);
        }
    }
}

#endif
