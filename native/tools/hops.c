/* Cleans hops of noise, for counting what they take:
 *
 *     hops ISA HOPS                       the model compiled in
 *     hops ISA HOPS MODEL                 any other
 *     hops ISA HOPS FIRST SECOND FORM     a pair of a DTLN, its FORM "stored" or "int8" */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "denoise.h"

static void stop(const char *what, const char *why) {
    fprintf(stderr, "hops: %s: %s\n", what, why);
    exit(1);
}

static unsigned char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) stop(path, "cannot be read");
    long length = ftell(file);
    rewind(file);
    unsigned char *bytes = length > 0 ? malloc((size_t)length) : NULL;
    if (!bytes || fread(bytes, 1, (size_t)length, file) != (size_t)length) stop(path, "cannot be read");
    fclose(file);
    *size = (size_t)length;
    return bytes;
}

static dn_model *load(int argc, char **argv) {
    char message[DN_MESSAGE] = "";
    dn_model *model = NULL;
    dn_status status;
    if (argc == 3) {
        status = dn_model_builtin(&model, message);
    } else {
        size_t size, second_size = 0;
        unsigned char *bytes = read_file(argv[3], &size), *second = NULL;
        if (argc == 6) {
            second = read_file(argv[4], &second_size);
            dn_precision form = strcmp(argv[5], "int8") == 0 ? DN_INT8 : DN_AS_STORED;
            status = dn_model_load_pair(bytes, size, second, second_size, form, &model, message);
        } else {
            status = dn_model_load(bytes, size, &model, message);
        }
        free(bytes);
        free(second);
    }
    if (status != DN_OK) stop("the model", message);
    return model;
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 4 && argc != 6) stop("usage", "hops ISA HOPS [MODEL | FIRST SECOND FORM]");
    dn_model *model = load(argc, argv);
    if (dn_model_set_isa(model, argv[1]) != DN_OK) stop(argv[1], "this processor has no such instruction set");
    dn_state *state;
    if (dn_state_create(model, &state) != DN_OK) stop("the state", "no memory");
    int hop = dn_model_hop(model);
    float *samples = malloc((size_t)hop * sizeof(*samples));
    if (!samples) stop("the samples", "no memory");
    unsigned random = 1;
    for (long left = atol(argv[2]); left > 0; left--) {
        for (int i = 0; i < hop; i++) {
            random = random * 1664525u + 1013904223u;
            samples[i] = 0.1f * ((float)(random >> 8) / 8388608.0f - 1.0f);
        }
        if (dn_process(&state, 1, samples, samples, NULL, 1, 0) != DN_OK) stop("a hop", "could not be cleaned");
    }
    free(samples);
    dn_state_destroy(state);
    dn_model_destroy(model);
    return 0;
}
