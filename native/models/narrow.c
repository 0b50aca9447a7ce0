/* Reader of UL-UNAS's and GTCRN's records. `narrow_network` is int32: 0 UL-UNAS, 1 GTCRN. All others are floats of 32
 * or 16 bits, with norms folded in and the groups and shuffles of channels in the order of the weights; a map L has
 * L_weights [inputs][outputs] and L_bias [outputs]. SIDEn is a block, SIDE encoder or decoder, n from 0 to 4.
 * Of UL-UNAS:
 *     SIDEn_enter             channels in to out; not of encoder0 and decoder4
 *     SIDEn_bend_first        of what enters: x to max(x, 0) + slope min(x, 0) + scale x + offset: scale, offset
 *                             [bands in][channels], slope [channels]; likewise
 *     SIDEn_filter            weights [times, the oldest first][taps][channels], bias; likewise. Where bands double,
 *                             tap 1 falls on a band, 0 and 2 on the one below and above a place between two
 *     encoder0_conv           [3 taps][3 times] to channels
 *     decoder4_conv           weights [3 times][channels][3 taps], bias [1]
 *     SIDEn_bend              [bands out]; not of decoder4
 *     SIDEn_leave             channels to channels; of encoder1, 3, decoder1, 3
 *     SIDEn_bands_input       4 to [z, r, n][up, down][4], n from the mean power of bands
 *     SIDEn_bands_recurrent   weights [z, r, n][4][up, down][4]; bias, [up, down][4], within n's reset gate
 *     SIDEn_bands_map         [up, down][4] to 4
 * of GTCRN, whose blocks 2 to 4 of the encoder and 0 to 2 of the decoder work on 8 channels:
 *     SIDEn_conv              [taps][channels] to channels, of the other blocks; see narrow_gtcrn.c
 *     SIDEn_enter             [3 bands][8] to 16
 *     SIDEn_filter            weights [3 times][3 taps][16], bias
 *     SIDEn_bend_first, _bend slope alone
 *     SIDEn_leave             16 to 8
 * and of both, of all blocks that have it:
 *     SIDEn_time_input        channels to [z, r, n][units], units twice the channels; biases of z and r of U, too
 *     SIDEn_time_recurrent    units to the same
 *     SIDEn_time_map          units to channels
 *     pathN_rows_input        weights [halves][8][z, r, n][up, down][4], bias [halves][z, r, n][up, down][4]; N 0 and 1
 *     pathN_rows_recurrent    weights [halves][z, r, n][4][up, down][4], bias [halves][up, down][4]
 *     pathN_rows_map          [halves][up, down][4] to 16
 *     pathN_rows_norm         scale, offset [33 rows][16]
 *     pathN_time_input        weights [halves][8][z, r, n][8], bias [halves][z, r, n][8]
 *     pathN_time_recurrent    likewise
 *     pathN_time_map, _norm   as of the rows
 */
#include "models/narrow.h"

#include "hash.h"
#include "memory.h"
#include "models/message.h"
#include "models/taker.h"

enum { PAIR = 2 * 4, GATES = 3 * PAIR, STEPS = 4 };

static const dn_narrow_body *const bodies[DN_NARROW_KINDS] = {
    [DN_ULUNAS] = &dn_ulunas_body,
    [DN_GTCRN] = &dn_gtcrn_body,
};

static void multiply(float *v, int n, float by) {
    for (int i = 0; v && i < n; i++) v[i] *= by;
}

/* Halves the gates z and r of rows of [z, r, n][PAIR], as gru_places wants them. */
static void halve_gates(float *v, int rows) {
    for (int row = 0; v && row < rows; row++) multiply(v + row * GATES, 2 * PAIR, 0.5f);
}

/* Takes the weights of count pairs of GRUs along places. */
static void take_pairs(dn_taker *t, const char *layer, int count, const float **recurrent, const float **bias) {
    float *w = dn_take(t, layer, "weights", count * 3 * STEPS, PAIR);
    for (int i = 0; w && i < count; i++) multiply(w + i * 3 * STEPS * PAIR, 2 * STEPS * PAIR, 0.5f);
    *recurrent = w;
    *bias = dn_take(t, layer, "bias", count, PAIR);
}

static void take_filter(dn_taker *t, const char *owner, int number, int taps, int channels, dn_narrow_block *b) {
    dn_part_name name = dn_name_of(owner, number, "filter");
    b->filter = dn_take(t, name.text, "weights", taps, channels);
    b->filter_bias = dn_take(t, name.text, "bias", 1, channels);
}

static void take_bands(dn_taker *t, const char *owner, int number, int channels, dn_band_attention *a) {
    dn_part_name input = dn_name_of(owner, number, "bands_input");
    a->input = (dn_dense){.inputs = DN_TOGETHER, .columns = GATES};
    float *w = dn_take(t, input.text, "weights", DN_TOGETHER, GATES), *bias = dn_take(t, input.text, "bias", 1, GATES);
    multiply(w, DN_TOGETHER * GATES, 1 / (float)channels);
    halve_gates(w, DN_TOGETHER);
    halve_gates(bias, 1);
    a->input.w = w;
    a->input.bias = bias;
    take_pairs(t, dn_name_of(owner, number, "bands_recurrent").text, 1, &a->recurrent, &a->bias);
    a->map = dn_take_map(t, owner, number, "bands_map", PAIR, DN_TOGETHER);
}

/* Takes the maps of both halves of the channels, [halves][8][GATES], with as many biases. */
static void take_halves(dn_taker *t, const char *layer, int halved, dn_dense map[2]) {
    float *w = dn_take(t, layer, "weights", 2 * DN_HALF_PATH, GATES), *bias = dn_take(t, layer, "bias", 2, GATES);
    if (halved) halve_gates(w, 2 * DN_HALF_PATH);
    if (halved) halve_gates(bias, 2);
    for (int half = 0; half < 2; half++) {
        map[half] = (dn_dense){.inputs = DN_HALF_PATH, .columns = GATES};
        if (w) map[half].w = w + half * DN_HALF_PATH * GATES;
        if (bias) map[half].bias = bias + half * GATES;
    }
}

static void take_path(dn_taker *t, int number, dn_path *p) {
    const int rows = DN_NARROW_ROWS, channels = DN_NARROW_CHANNELS;
    take_halves(t, dn_name_of("path", number, "rows_input").text, 1, p->along_rows);
    take_pairs(t, dn_name_of("path", number, "rows_recurrent").text, 2, &p->rows_recurrent, &p->rows_bias);
    p->rows_map = dn_take_map(t, "path", number, "rows_map", channels, channels);
    p->rows_scale = dn_take(t, dn_name_of("path", number, "rows_norm").text, "scale", rows, channels);
    p->rows_offset = dn_take(t, dn_name_of("path", number, "rows_norm").text, "offset", rows, channels);
    take_halves(t, dn_name_of("path", number, "time_input").text, 0, p->input);
    take_halves(t, dn_name_of("path", number, "time_recurrent").text, 0, p->recurrent);
    p->time_map = dn_take_map(t, "path", number, "time_map", channels, channels);
    p->time_map.inputs = DN_HALF_PATH;
    p->time_map_second = p->time_map;
    p->time_map_second.bias = NULL;
    if (p->time_map.w) p->time_map_second.w += DN_HALF_PATH * channels;
    p->time_scale = dn_take(t, dn_name_of("path", number, "time_norm").text, "scale", rows, channels);
    p->time_offset = dn_take(t, dn_name_of("path", number, "time_norm").text, "offset", rows, channels);
}

static void take_ulunas_block(dn_taker *t, const char *side, int i, dn_narrow_shape s, dn_narrow_block *b) {
    int is_first = s.inputs == 1, is_last = s.outputs == 1;
    if (is_first) {
        b->conv = dn_take_map(t, side, i, "conv", s.times * s.taps, s.outputs);
    } else if (is_last) {
        b->conv = dn_take_alone(t, dn_name_of(side, i, "conv").text, s.times * s.inputs, s.taps);
        b->conv.bias = dn_take(t, dn_name_of(side, i, "conv").text, "bias", 1, 1);
    } else {
        b->enter = dn_take_map(t, side, i, "enter", s.inputs, s.outputs);
        b->bend_first = dn_take_bend(t, dn_name_of(side, i, "bend_first").text, s.before, s.outputs);
        take_filter(t, side, i, s.times * s.taps, s.outputs, b);
    }
    if (!is_last) b->bend = dn_take_bend(t, dn_name_of(side, i, "bend").text, s.after, s.outputs);
    if (s.leaves) b->leave = dn_take_map(t, side, i, "leave", s.outputs, s.outputs);
    b->time = dn_take_time(t, side, i, s.outputs, 2 * s.outputs);
    take_bands(t, side, i, s.outputs, &b->bands);
}

static void take_ulunas(dn_taker *t, dn_narrow *net) {
    for (int i = 0; i < DN_SIDE; i++) {
        take_ulunas_block(t, "encoder", i, dn_ulunas_shapes[i], &net->encoder[i]);
        take_ulunas_block(t, "decoder", i, dn_narrow_turned(dn_ulunas_shapes[DN_SIDE - 1 - i]), &net->decoder[i]);
    }
}

static void take_gtcrn_block(dn_taker *t, const char *side, int i, dn_narrow_block *b) {
    const int channels = DN_NARROW_CHANNELS, half = DN_NARROW_CHANNELS / 2;
    b->enter = dn_take_map(t, side, i, "enter", 3 * half, channels);
    b->bend_first = dn_take_bend(t, dn_name_of(side, i, "bend_first").text, 0, channels);
    take_filter(t, side, i, 3 * 3, channels, b);
    b->bend = dn_take_bend(t, dn_name_of(side, i, "bend").text, 0, channels);
    b->leave = dn_take_map(t, side, i, "leave", channels, half);
    b->time = dn_take_time(t, side, i, half, 2 * half);
}

static void take_gtcrn(dn_taker *t, dn_narrow *net) {
    const int channels = DN_NARROW_CHANNELS, taps = 5;
    net->encoder[0].conv = dn_take_map(t, "encoder", 0, "conv", taps * 9, channels);
    net->encoder[1].conv = dn_take_map(t, "encoder", 1, "conv", taps * channels, channels);
    net->decoder[3].conv = dn_take_map(t, "decoder", 3, "conv", taps * channels, channels);
    net->decoder[4].conv = dn_take_map(t, "decoder", 4, "conv", taps * channels, 2);
    net->encoder[0].bend = dn_take_bend(t, dn_name_of("encoder", 0, "bend").text, 0, channels);
    net->encoder[1].bend = dn_take_bend(t, dn_name_of("encoder", 1, "bend").text, 0, channels);
    net->decoder[3].bend = dn_take_bend(t, dn_name_of("decoder", 3, "bend").text, 0, channels);
    for (int i = 0; i < 3; i++) {
        take_gtcrn_block(t, "encoder", 2 + i, &net->encoder[2 + i]);
        take_gtcrn_block(t, "decoder", i, &net->decoder[i]);
    }
}

static void take_network(dn_taker *t, void *of) {
    dn_narrow *net = of;
    (net->body == &dn_gtcrn_body ? take_gtcrn : take_ulunas)(t, net);
    for (int i = 0; i < DN_PATHS; i++) take_path(t, i, &net->path[i]);
}

dn_status dn_narrow_read(dn_network *base, const void *data, size_t size, uint32_t *fingerprint, char *message) {
    dn_narrow *net = (dn_narrow *)base;
    dn_records file = {data, size};
    dn_record r;
    dn_status status = dn_record_want(file, "narrow", "network", DN_RECORD_INT32, 1, &r, message);
    if (status != DN_OK) return status;
    int32_t kind = dn_record_int(&r, 0);
    if (kind < 0 || kind >= DN_NARROW_KINDS) {
        return dn_bad_model(message, "narrow_network: a network of kind %ld; 0 (UL-UNAS) and 1 (GTCRN) are known",
                            (long)kind);
    }
    net->body = bodies[kind];
    *fingerprint = dn_hash(dn_hash(DN_HASH_START, "narrow", 6), r.payload, r.size);
    status = dn_take_all(file, take_network, net, &net->room, fingerprint, message);
    if (status == DN_OK) dn_narrow_prepare(net);
    return status;
}

void dn_narrow_discard(dn_network *base) {
    dn_delete(((dn_narrow *)base)->room);
}
