/* Enhancers with random weights. */
#ifndef DN_TEST_MODELS_ENHANCER_H
#define DN_TEST_MODELS_ENHANCER_H

#include "models_v02.h"

enum { ENHANCER_KINDS = 11 }; /* the last in 16 bits */

typedef struct {
    int kind, channels, width, rows, blocks, units, heads, convolutions, taps,
        guided; /* taps: 0 for none that is said */
} enhancer_sizes;

static const enhancer_sizes enhancers[ENHANCER_KINDS] = {
    {0, 8, 3, 8, 2, 8, 1, 0, 0, 0},    {0, 24, 5, 16, 2, 16, 2, 0, 2, 0}, /* a head's channels fill no whole vector */
    {0, 40, 4, 32, 1, 24, 4, 0, 0, 0}, {1, 8, 3, 8, 1, 24, 2, 0, 8, 0},   {1, 16, 4, 24, 2, 16, 1, 2, 5, 0},
    {1, 24, 4, 16, 1, 16, 2, 1, 0, 0}, {1, 16, 4, 24, 2, 16, 1, 2, 5, 1}, {0, 8, 3, 8, 1, 8, 1, 0, 0, 1},
    {2, 8, 3, 8, 1, 8, 1, 1, 0, 0},    {2, 24, 4, 32, 2, 24, 1, 1, 0, 0}, {2, 16, 2, 16, 1, 8, 1, 1, 3, 0},
};

/* Puts the weights and the bias of a map, whose outputs are about as large as its inputs. */
static inline void put_dense(model_file *f, const char *layer, int inputs, int outputs, int bias_rows) {
    float size = 1.5f;
    for (int i = 1; i * i < inputs; i++) size = 1.5f / (float)i;
    put_floats(f, layer, "weights", inputs * outputs, 0, size);
    put_floats(f, layer, "bias", bias_rows * outputs, 0, 0.5f);
}

/* Name of a part of something of which there are several. */
typedef struct {
    char text[32];
} model_part;

static inline model_part part_of(const char *owner, int number, const char *part) {
    model_part name;
    snprintf(name.text, sizeof(name.text), "%s%c_%s", owner, '0' + number, part);
    return name;
}

static inline void put_part(model_file *f, const char *owner, int number, const char *part, int inputs, int outputs) {
    put_dense(f, part_of(owner, number, part).text, inputs, outputs, 1);
}

static inline void put_of_block(model_file *f, int block, const char *part, int inputs, int outputs, int bias_rows) {
    put_dense(f, part_of("block", block, part).text, inputs, outputs, bias_rows);
}

static inline int features_of(enhancer_sizes s) {
    return 3 + (s.taps > 1 ? 3 : 0) + (s.guided ? 3 : 0);
}

static inline void put_mixed(model_file *f, enhancer_sizes s) {
    int taps = 2 * 128 / s.rows, channels = s.channels;
    put_dense(f, "first", 3 * taps * features_of(s), channels, 1);
    for (int i = 0; i < s.blocks; i++) {
        put_of_block(f, i, "memory", channels, 2 * s.units, s.rows);
        put_of_block(f, i, "after_memory", s.units, channels, 1);
        put_of_block(f, i, "enter", channels, channels, 1);
        put_of_block(f, i, "filter", 15, channels, 1);
        put_of_block(f, i, "leave", channels, channels, 1);
        if (i + 1 == s.blocks) continue;
        put_of_block(f, i, "queries", channels, 16 * s.heads, s.rows);
        put_of_block(f, i, "after_attention", channels, channels, 1);
    }
    put_dense(f, "join", 2 * channels, channels, 1);
    put_floats(f, "last", "weights", channels * taps * s.width, 0, 0.5f);
    put_floats(f, "last", "bias", s.width, 0, 0.5f);
}

static inline void put_rows(model_file *f, enhancer_sizes s) {
    int channels = s.channels, units = s.units;
    char name[32];
    put_dense(f, "first", 8 * features_of(s), channels, 1);
    put_floats(f, "gather", "weights", s.rows * 32, 0, 0.3f);
    put_floats(f, "spread", "weights", s.rows * 32, 0, 0.3f);
    put_dense(f, "narrow", channels, units, 1);
    put_dense(f, "widen", units, channels, 1);
    for (int i = 0; i < s.blocks; i++) {
        put_of_block(f, i, "input", units, 3 * units, 1);
        put_of_block(f, i, "recurrent", units, 3 * units, 1);
        put_of_block(f, i, "after_gru", units, units, i ? 1 : s.rows);
        put_of_block(f, i, "queries", units, 3 * units, 1); /* its biases are not read */
        put_of_block(f, i, "after_attention", units, units, 1);
    }
    for (int i = 0; i <= s.convolutions; i++) {
        snprintf(name, sizeof(name), "join%c", '0' + i);
        put_dense(f, name, 2 * channels, channels, 1);
        snprintf(name, sizeof(name), "encoder%c", '0' + i);
        if (i < s.convolutions) put_dense(f, name, 3 * channels, channels, 1);
        snprintf(name, sizeof(name), "decoder%c", '0' + i);
        if (i < s.convolutions) put_dense(f, name, 3 * channels, channels, 1);
    }
    put_floats(f, "last", "weights", channels * 8 * s.width, 0, 0.5f);
    put_floats(f, "last", "bias", s.width, 0, 0.5f);
}

static inline void put_bend_of(model_file *f, const char *layer, int rows, int channels) {
    if (rows) put_floats(f, layer, "scale", rows * channels, 0, 0.5f);
    if (rows) put_floats(f, layer, "offset", rows * channels, 0, 0.3f);
    put_floats(f, layer, "slope", channels, 0.3f, 0.3f);
}

static inline void put_depthwise_block(model_file *f, const char *owner, int number, int inputs, int channels,
                                       int before, int after, int taps) {
    put_part(f, owner, number, "enter", inputs, channels);
    put_bend_of(f, part_of(owner, number, "bend_first").text, before, channels);
    put_part(f, owner, number, "filter", taps, channels);
    put_bend_of(f, part_of(owner, number, "bend").text, after, channels);
    put_part(f, owner, number, "leave", channels, channels);
    put_part(f, owner, number, "time_input", channels, 3 * channels);
    put_part(f, owner, number, "time_recurrent", channels, 3 * channels);
    put_part(f, owner, number, "time_map", channels, channels);
}

static inline void put_depthwise(model_file *f, enhancer_sizes s) {
    int channels = s.channels, half = channels / 2, units = s.units, bands = 64;
    put_dense(f, "first", 9 * features_of(s), half, 1);
    put_bend_of(f, "first_bend", bands, half);
    for (int i = 0; bands > s.rows; i++, bands /= 2) {
        int inputs = i ? channels : half;
        put_depthwise_block(f, "halving", i, inputs, channels, bands, bands / 2, 6);
        put_part(f, "doubling", i, "map", channels, 2 * inputs);
        put_bend_of(f, part_of("doubling", i, "bend").text, bands, inputs);
    }
    for (int i = 0; i < s.convolutions; i++) {
        put_depthwise_block(f, "encoder", i, channels, channels, s.rows, s.rows, 15);
        put_depthwise_block(f, "decoder", i, channels, channels, s.rows, s.rows, 15);
    }
    put_dense(f, "narrow", channels, units, 1);
    put_dense(f, "widen", units, channels, 1);
    for (int i = 0; i < s.blocks; i++) {
        model_part recurrent = part_of("path", i, "rows_recurrent");
        put_part(f, "path", i, "rows_input", units, 3 * units);
        put_floats(f, recurrent.text, "weights", units * 3 * units / 2, 0, 0.4f);
        put_floats(f, recurrent.text, "bias", units, 0, 0.5f);
        put_part(f, "path", i, "rows_map", units, units);
        put_part(f, "path", i, "time_input", units, 3 * units);
        put_part(f, "path", i, "time_recurrent", units, 3 * units);
        put_part(f, "path", i, "time_map", units, units);
    }
    put_dense(f, "last", 3 * half, 2 * s.width, 1);
}

static inline void make_enhancer_of(model_file *f, enhancer_sizes s) {
    const int values[] = {s.kind, s.channels, s.width, s.rows, s.blocks, s.units, s.heads, s.convolutions};
    unsigned char sizes[sizeof(values)];
    for (int i = 0; i < 8; i++) put_int(sizes + 4 * i, values[i]);
    f->size = 0;
    put_record(f, "metadata", 3, "{\"name\": \"random\"}", 18);
    put_record(f, "enhancer_sizes", 1, sizes, (int)sizeof(sizes));
    void (*const put_body[])(model_file *, enhancer_sizes) = {put_mixed, put_rows, put_depthwise};
    unsigned char taps[4];
    put_int(taps, s.taps);
    if (s.taps) put_record(f, "enhancer_taps", 1, taps, (int)sizeof(taps));
    unsigned char guided[4];
    put_int(guided, s.guided);
    if (s.guided) put_record(f, "enhancer_guided", 1, guided, (int)sizeof(guided));
    put_body[s.kind](f, s);
    put_dense(f, "low_head", s.width, (s.taps ? 2 * s.taps : 2) + s.guided, 1);
    put_dense(f, "upper_head", s.width, 2 + s.guided, 1);
    put_dense(f, "voice_hidden", 2 * s.width, 12, 1);
    put_dense(f, "voice_output", 12, 1, 1);
}

static inline void make_enhancer(model_file *f, int kind) {
    in_halves = kind == ENHANCER_KINDS - 1;
    make_enhancer_of(f, enhancers[kind]);
    in_halves = 0;
}

#endif
