/* Common parts of the programs that time the engine: a model and a clip from files. */
#ifndef TIMED_H
#define TIMED_H

#include <stdio.h>

#include "denoise.h"

enum { MAX_FRAMES = 6000 };

/* Reads at most room bytes of a file; returns their number, 0 if it cannot be read. */
static inline size_t read_file(const char *path, void *data, size_t room) {
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    size_t size = fread(data, 1, room, file);
    fclose(file);
    return size;
}

/* Loads the model of a file, to run on an instruction set; returns a state of it, NULL on failure. */
static inline dn_state *open_state(const char *path, const char *isa, dn_model **model) {
    static unsigned char data[64 << 20];
    dn_state *state = NULL;
    if (dn_model_load(data, read_file(path, data, sizeof(data)), model, NULL) != DN_OK) return NULL;
    if (dn_model_set_isa(*model, isa) == DN_OK) dn_state_create(*model, &state);
    return state;
}

/* Reads a clip at 48 kHz, raw floats, to in[MAX_FRAMES * DN_FRAME]; returns its frames. */
static inline size_t read_clip(const char *path, float *in) {
    return read_file(path, in, MAX_FRAMES * DN_FRAME * sizeof(*in)) / sizeof(*in) / DN_FRAME;
}

#endif
