/* UL-UNAS and GTCRN with random weights. */
#ifndef DN_TEST_MODELS_NARROW_H
#define DN_TEST_MODELS_NARROW_H

#include "models_enhancer.h"

enum { NARROW_KINDS = 2, NARROW_HOP = 256, NARROW_ROWS = 33 };

static inline void put_time(model_file *f, const char *owner, int number, int channels) {
    put_part(f, owner, number, "time_input", channels, 3 * 2 * channels);
    put_part(f, owner, number, "time_recurrent", 2 * channels, 3 * 2 * channels);
    put_part(f, owner, number, "time_map", 2 * channels, channels);
}

static inline void put_path(model_file *f, int number) {
    model_part name;
    name = part_of("path", number, "rows_input");
    put_floats(f, name.text, "weights", 2 * 8 * 24, 0, 0.5f);
    put_floats(f, name.text, "bias", 2 * 24, 0, 0.5f);
    name = part_of("path", number, "rows_recurrent");
    put_floats(f, name.text, "weights", 2 * 3 * 4 * 8, 0, 0.7f);
    put_floats(f, name.text, "bias", 2 * 8, 0, 0.5f);
    for (int i = 0; i < 2; i++) {
        name = part_of("path", number, i ? "time_recurrent" : "time_input");
        put_floats(f, name.text, "weights", 2 * 8 * 24, 0, 0.5f);
        put_floats(f, name.text, "bias", 2 * 24, 0, 0.5f);
        put_part(f, "path", number, i ? "time_map" : "rows_map", 16, 16);
        name = part_of("path", number, i ? "time_norm" : "rows_norm");
        put_floats(f, name.text, "scale", NARROW_ROWS * 16, 0.5f, 0.5f);
        put_floats(f, name.text, "offset", NARROW_ROWS * 16, 0, 0.3f);
    }
}

static inline void put_ulunas_block(model_file *f, const char *side, int i, const int s[6], int leaves) {
    int inputs = s[0], outputs = s[1], before = s[2], after = s[3], taps = s[4] * s[5];
    if (inputs == 1) put_part(f, side, i, "conv", taps, outputs);
    if (outputs == 1) {
        put_floats(f, part_of(side, i, "conv").text, "weights", inputs * taps, 0, 0.5f);
        put_floats(f, part_of(side, i, "conv").text, "bias", 1, 0, 0.5f);
    }
    if (inputs > 1 && outputs > 1) {
        put_part(f, side, i, "enter", inputs, outputs);
        put_bend_of(f, part_of(side, i, "bend_first").text, before, outputs);
        put_floats(f, part_of(side, i, "filter").text, "weights", taps * outputs, 0, 0.6f);
        put_floats(f, part_of(side, i, "filter").text, "bias", outputs, 0, 0.3f);
    }
    if (outputs > 1) put_bend_of(f, part_of(side, i, "bend").text, after, outputs);
    if (leaves) put_part(f, side, i, "leave", outputs, outputs);
    put_time(f, side, i, outputs);
    put_part(f, side, i, "bands_input", 4, 24);
    put_floats(f, part_of(side, i, "bands_recurrent").text, "weights", 3 * 4 * 8, 0, 0.7f);
    put_floats(f, part_of(side, i, "bands_recurrent").text, "bias", 8, 0, 0.5f);
    put_part(f, side, i, "bands_map", 8, 4);
}

static inline void put_ulunas(model_file *f) {
    static const int shapes[5][6] = {{1, 12, 129, 65, 3, 3},
                                     {12, 24, 65, 33, 2, 3},
                                     {24, 24, 33, 33, 2, 3},
                                     {24, 32, 33, 33, 1, 5},
                                     {32, 16, 33, 33, 1, 5}};
    for (int i = 0; i < 5; i++) {
        const int *s = shapes[i];
        put_ulunas_block(f, "encoder", i, s, i % 2);
        put_ulunas_block(f, "decoder", 4 - i, (const int[]){s[1], s[0], s[3], s[2], s[4], s[5]}, i % 2);
    }
}

static inline void put_gtcrn_block(model_file *f, const char *side, int i) {
    put_part(f, side, i, "enter", 24, 16);
    put_bend_of(f, part_of(side, i, "bend_first").text, 0, 16);
    put_part(f, side, i, "filter", 9, 16);
    put_bend_of(f, part_of(side, i, "bend").text, 0, 16);
    put_part(f, side, i, "leave", 16, 8);
    put_time(f, side, i, 8);
}

static inline void put_gtcrn(model_file *f) {
    put_part(f, "encoder", 0, "conv", 5 * 9, 16);
    put_part(f, "encoder", 1, "conv", 5 * 16, 16);
    put_part(f, "decoder", 3, "conv", 5 * 16, 16);
    put_part(f, "decoder", 4, "conv", 5 * 16, 2);
    put_bend_of(f, part_of("encoder", 0, "bend").text, 0, 16);
    put_bend_of(f, part_of("encoder", 1, "bend").text, 0, 16);
    put_bend_of(f, part_of("decoder", 3, "bend").text, 0, 16);
    for (int i = 0; i < 3; i++) {
        put_gtcrn_block(f, "encoder", 2 + i);
        put_gtcrn_block(f, "decoder", i);
    }
}

static inline void make_narrow(model_file *f, int kind) {
    unsigned char number[4];
    put_int(number, kind);
    f->size = 0;
    put_record(f, "metadata", 3, "{\"name\": \"random\"}", 18);
    put_record(f, "narrow_network", 1, number, sizeof(number));
    (kind == 0 ? put_ulunas : put_gtcrn)(f);
    put_path(f, 0);
    put_path(f, 1);
}

#endif
