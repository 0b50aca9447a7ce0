/* Time of the engine alone: microseconds for each 10 ms frame of noise, the best of several rounds.
 *     engine ISA FRAMES ROUNDS [MODEL]      ISA "scalar", "avx2" ...; MODEL a file, without it the one compiled in
 * Prints one number, or fails if this CPU lacks the set. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "denoise.h"

static double seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Noise that swells and fades, so that neither the silent nor the loud case alone is timed. */
static void fill(float *audio, size_t samples) {
    unsigned bits = 1;
    for (size_t i = 0; i < samples; i++) {
        bits = bits * 1664525u + 1013904223u;
        float swell = (float)(i / DN_FRAME % 100) / 100;
        audio[i] = swell * ((float)(bits >> 8) / 8388608.0f - 1.0f) * 0.3f;
    }
}

/* The model in a file, or that compiled in for NULL. */
static dn_status load(const char *path, dn_model **out) {
    static unsigned char data[64 << 20];
    if (!path) return dn_model_builtin(out, NULL);
    FILE *file = fopen(path, "rb");
    if (!file) return DN_BAD_MODEL;
    size_t size = fread(data, 1, sizeof(data), file);
    fclose(file);
    return dn_model_load(data, size, out, NULL);
}

int main(int argc, char **argv) {
    if (argc != 4 && argc != 5) return 2;
    size_t frames = strtoul(argv[2], NULL, 10), samples = frames * DN_FRAME;
    dn_model *model;
    dn_state *state;
    if (load(argv[4], &model) != DN_OK || dn_model_set_isa(model, argv[1]) != DN_OK) return 1;
    if (dn_state_create(model, &state) != DN_OK) return 1;
    float *in = malloc(samples * sizeof(*in)), *out = malloc(samples * sizeof(*out));
    if (!in || !out) return 1;
    fill(in, samples);
    double best = 1e9;
    for (long round = strtol(argv[3], NULL, 10); round > 0; round--) {
        double start = seconds();
        if (dn_process(&state, 1, in, out, NULL, frames, 0) != DN_OK) return 1;
        double taken = (seconds() - start) / (double)frames * 1e6;
        if (taken < best) best = taken;
    }
    printf("%.2f\n", best);
    free(in);
    free(out);
    dn_state_destroy(state);
    dn_model_destroy(model);
    return 0;
}
