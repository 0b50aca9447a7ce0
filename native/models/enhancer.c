/* Reader of an enhancer's records. `enhancer_sizes` is int32: the kind of the body (0 mixed, 1 rows, 2 depthwise),
 * channels, width, rows, blocks, units, heads, convolutions on either side (of rows; blocks, of depthwise; or else 0).
 * `enhancer_taps`, if it is there, is an int32: the frames that low bins are made of, the latest and those before; else
 * 1. If it is above 1, there are 3 features more where this says 3. `enhancer_guided`, if it is there, is an int32, 1:
 * the network sees a guide beside the signal, so there are 3 features more behind those, and either head has one answer
 * more, the guide's share. All others are floats of 32 or 16 bits, norms folded in;
 * a map L has L_weights [inputs][outputs] and L_bias [outputs], or [rows][outputs] where it says so. Of a body of kind
 * 'mixed', with stride = 128 / rows: first                   [3 times][2 * stride bands][3 features] to channels
 *     blockN_memory           channels to [gates, candidates][units], biases of each row; N from 0
 *     blockN_after_memory     units to channels
 *     blockN_enter, _leave    channels to channels
 *     blockN_filter           weights [3 times][5 rows][channels]
 *     blockN_queries          channels to [queries, keys][heads][8], biases of each row; scaled; not of the last block
 *     blockN_after_attention  channels to channels; likewise
 *     join                    [of the blocks, of first][channels] to channels
 *     last                    weights channels to [2 * stride bands][width], bias [width]
 * of one of kind 'rows', with 32 groups of 4 bands:
 *     first                   [8 bands][3 features] to channels
 *     encoderN                [3 groups][channels] to channels; N from 0
 *     gather, spread          weights alone, [rows][groups] and [groups][rows]
 *     narrow, widen           channels to units, and back
 *     blockN_input            units to [z, r, n][units]; the biases of z and r are those of U, too
 *     blockN_recurrent        likewise
 *     blockN_after_gru        units to units; in block 0 biases of each row
 *     blockN_queries          weights alone, units to [queries, keys, values][units]; scaled
 *     blockN_after_attention  units to units
 *     joinN                   [of below, of the encoder][channels] to channels; one more than there are of the next
 *     decoderN                as encoderN
 *     last                    as above
 * of one of kind 'depthwise', whose groups and shuffles of channels are in the order of the weights, bands halved until
 * rows are left, first to channels / 2 each:
 *     first                   [3 times][3 bands][3 features] to channels / 2
 *     first_bend              x to max(x, 0) + slope min(x, 0) + scale x + offset: scale, offset [bands][channels],
 *                             slope [channels]; likewise each bend
 *     BLOCKn_enter, _leave    channels to channels; BLOCK halving, encoder or decoder, n from 0; the first halving's
 *                             enter channels / 2 to channels
 *     BLOCKn_bend_first       of what enters
 *     BLOCKn_filter           weights [3 times][5 bands][channels], of a halving [2 times][3 bands][channels]
 *     BLOCKn_bend             of what the filter makes
 *     BLOCKn_time_input       channels to [z, r, n][channels], the biases of z and r are those of U, too
 *     BLOCKn_time_recurrent   channels to the same
 *     BLOCKn_time_map         channels to channels
 *     narrow, widen           channels to units, and back
 *     pathN_rows_input        units to [up, down][z, r, n][units / 2], likewise
 *     pathN_rows_recurrent    weights [up, down][units / 2][z, r, n][units / 2], bias [up, down][units / 2] of n
 *     pathN_rows_map          [up, down][units / 2] to units
 *     pathN_time_input, _time_recurrent, _time_map    as blockN_input, _recurrent and _after_gru
 *     doublingN_map           channels to [2 bands][channels], the last, 0, to [2 bands][channels / 2]
 *     doublingN_bend
 *     last                    [3 bands][channels / 2] to [2 bands][width]
 * and of all bodies low_head, width to [taps][2], the latest frame first, and upper_head, width to 2; voice_hidden,
 * [low, upper][width] to 12; voice_output, to 1.
 */
#include "models/enhancer.h"

#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "memory.h"
#include "models/message.h"
#include "models/taker.h"

enum { SIZES = 8, MOST_HEADS = 8 };

static const dn_body *const bodies[DN_BODIES] = {
    [DN_MIXED] = &dn_mixed_body, [DN_ROW_BODY] = &dn_rows_body, [DN_DEPTHWISE] = &dn_depthwise_body};

static dn_dense take_of_block(dn_taker *t, int block, const char *part, int inputs, int columns, int bias_rows) {
    return dn_take_dense(t, dn_name_of("block", block, part).text, inputs, columns, bias_rows);
}

/* Takes a map of two times so many inputs, as one for each half. */
static void take_join(dn_taker *t, const char *layer, int inputs, int columns, dn_dense *join, dn_dense *join_second) {
    *join = dn_take_dense(t, layer, 2 * inputs, columns, 1);
    join->inputs = inputs;
    *join_second = *join;
    if (join->w) join_second->w += inputs * join->columns;
    join_second->bias = NULL;
}

static dn_row_gru take_row_gru(dn_taker *t, const char *owner, int number, const char *const parts[3], int units,
                               int bias_rows) {
    return (dn_row_gru){
        .input = dn_take_map(t, owner, number, parts[0], units, 3 * units),
        .recurrent = dn_take_map(t, owner, number, parts[1], units, 3 * units),
        .after = dn_take_dense(t, dn_name_of(owner, number, parts[2]).text, units, units, bias_rows),
    };
}

static void take_mixed(dn_taker *t, const dn_body_sizes *s, dn_mixed *m) {
    int stride = DN_ENHANCER_BANDS / s->rows, channels = s->channels, units = s->units;
    m->first = dn_take_dense(t, "first", 3 * 2 * stride * dn_seen_features(s), channels, 1);
    for (int i = 0; i < s->blocks; i++) {
        dn_mixed_block *b = &m->block[i];
        b->memory = take_of_block(t, i, "memory", channels, 2 * units, s->rows);
        b->after_memory = take_of_block(t, i, "after_memory", units, channels, 1);
        b->enter = take_of_block(t, i, "enter", channels, channels, 1);
        b->filter = take_of_block(t, i, "filter", 3 * 5, channels, 1);
        b->leave = take_of_block(t, i, "leave", channels, channels, 1);
        if (i + 1 == s->blocks) continue;
        b->queries = take_of_block(t, i, "queries", channels, 2 * s->heads * DN_KEYS, s->rows);
        b->after_attention = take_of_block(t, i, "after_attention", channels, channels, 1);
    }
    take_join(t, "join", channels, channels, &m->join, &m->join_skip);
    m->last = dn_take_alone(t, "last", channels, 2 * stride * s->width);
    m->last_bias = dn_take(t, "last", "bias", 1, s->width);
}

/* Most of a hop of a body of rows is spent on these. */
static void take_all_shorts(dn_taker *t, const dn_body_sizes *s, dn_row_body *body) {
    dn_take_shorts(t, &body->first);
    dn_take_shorts(t, &body->narrow);
    dn_take_shorts(t, &body->widen);
    dn_take_shorts(t, &body->last);
    for (int i = 0; i < s->blocks; i++) {
        dn_row_block *b = &body->block[i];
        dn_take_shorts(t, &b->gru.input);
        dn_take_shorts(t, &b->gru.recurrent);
        dn_take_shorts(t, &b->gru.after);
        dn_take_shorts(t, &b->queries);
        dn_take_shorts(t, &b->after_attention);
    }
    for (int i = 0; i <= s->convolutions; i++) {
        dn_take_shorts(t, &body->join[i]);
        dn_take_shorts(t, &body->join_skip[i]);
        if (i == s->convolutions) break;
        dn_take_shorts(t, &body->encoder[i]);
        dn_take_shorts(t, &body->decoder[i]);
    }
}

static void take_row_block(dn_taker *t, const dn_body_sizes *s, int i, dn_row_block *b) {
    int units = s->units;
    static const char *const parts[3] = {"input", "recurrent", "after_gru"};
    b->gru = take_row_gru(t, "block", i, parts, units, i ? 1 : s->rows);
    b->queries = dn_take_alone(t, dn_name_of("block", i, "queries").text, units, 3 * units);
    b->after_attention = take_of_block(t, i, "after_attention", units, units, 1);
}

static void take_rows(dn_taker *t, const dn_body_sizes *s, dn_row_body *body) {
    int channels = s->channels, groups = DN_ENHANCER_BANDS / DN_GROUP;
    char name[DN_RECORD_NAME];
    body->first = dn_take_dense(t, "first", 2 * DN_GROUP * dn_seen_features(s), channels, 1);
    body->gather = dn_take_alone(t, "gather", s->rows, groups);
    body->spread = dn_take_alone(t, "spread", groups, s->rows);
    body->narrow = dn_take_dense(t, "narrow", channels, s->units, 1);
    body->widen = dn_take_dense(t, "widen", s->units, channels, 1);
    for (int i = 0; i < s->blocks; i++) take_row_block(t, s, i, &body->block[i]);
    for (int i = 0; i <= s->convolutions; i++) {
        snprintf(name, sizeof(name), "join%d", i);
        take_join(t, name, channels, channels, &body->join[i], &body->join_skip[i]);
        if (i == s->convolutions) break;
        snprintf(name, sizeof(name), "encoder%d", i);
        body->encoder[i] = dn_take_dense(t, name, 3 * channels, channels, 1);
        snprintf(name, sizeof(name), "decoder%d", i);
        body->decoder[i] = dn_take_dense(t, name, 3 * channels, channels, 1);
    }
    body->last = dn_take_alone(t, "last", channels, 2 * DN_GROUP * s->width);
    body->last_bias = dn_take(t, "last", "bias", 1, s->width);
    take_all_shorts(t, s, body);
}

static dn_depthwise_block take_depthwise_block(dn_taker *t, const char *owner, int i, int inputs, int channels,
                                               int before, int after, int taps) {
    dn_depthwise_block b = {.enter = dn_take_map(t, owner, i, "enter", inputs, channels)};
    b.bend_first = dn_take_bend(t, dn_name_of(owner, i, "bend_first").text, before, channels);
    b.filter = dn_take(t, dn_name_of(owner, i, "filter").text, "weights", taps, channels);
    b.filter_bias = dn_take(t, dn_name_of(owner, i, "filter").text, "bias", 1, channels);
    b.bend = dn_take_bend(t, dn_name_of(owner, i, "bend").text, after, channels);
    b.leave = dn_take_map(t, owner, i, "leave", channels, channels);
    b.time = dn_take_time(t, owner, i, channels, channels);
    return b;
}

static dn_dual_path take_dual_path(dn_taker *t, int i, int units) {
    static const char *const parts[3] = {"time_input", "time_recurrent", "time_map"};
    dn_part_name input = dn_name_of("path", i, "rows_input"), recurrent = dn_name_of("path", i, "rows_recurrent");
    int half = units / 2;
    dn_dual_path p = {.along_rows = {.inputs = units, .columns = 2 * 3 * dn_round_up_8(half)}};
    p.along_rows.w = dn_take_parts(t, input.text, units, 2 * 3, half);
    p.along_rows.bias = dn_take(t, input.text, "bias", 2 * 3, half);
    p.rows_recurrent = dn_take_parts(t, recurrent.text, 2 * half, 3, half);
    p.rows_bias = dn_take(t, recurrent.text, "bias", 2, half);
    take_join(t, dn_name_of("path", i, "rows_map").text, half, units, &p.after_up, &p.after_down);
    p.along_time = take_row_gru(t, "path", i, parts, units, 1);
    return p;
}

static void take_depthwise(dn_taker *t, const dn_body_sizes *s, dn_depthwise *body) {
    int channels = s->channels, half = channels / 2, bands = DN_ENHANCER_BANDS / 2;
    body->first = dn_take_dense(t, "first", 3 * 3 * dn_seen_features(s), half, 1);
    body->first_bend = dn_take_bend(t, "first_bend", bands, half);
    for (int i = 0; bands > s->rows; i++, bands /= 2) {
        int inputs = i ? channels : half;
        dn_part_name map = dn_name_of("doubling", i, "map");
        body->halving[i] = take_depthwise_block(t, "halving", i, inputs, channels, bands, bands / 2, 2 * 3);
        body->doubling[i] = (dn_dense){.inputs = channels, .columns = 2 * dn_round_up_8(inputs)};
        body->doubling[i].w = dn_take_parts(t, map.text, channels, 2, inputs);
        body->doubling[i].bias = dn_take(t, map.text, "bias", 2, inputs);
        body->doubling_bend[i] = dn_take_bend(t, dn_name_of("doubling", i, "bend").text, bands, inputs);
    }
    for (int i = 0; i < s->convolutions; i++) {
        body->encoder[i] = take_depthwise_block(t, "encoder", i, channels, channels, s->rows, s->rows, 3 * 5);
        body->decoder[i] = take_depthwise_block(t, "decoder", i, channels, channels, s->rows, s->rows, 3 * 5);
    }
    body->narrow = dn_take_dense(t, "narrow", channels, s->units, 1);
    body->widen = dn_take_dense(t, "widen", s->units, channels, 1);
    for (int i = 0; i < s->blocks; i++) body->path[i] = take_dual_path(t, i, s->units);
    body->last = dn_take_dense(t, "last", 3 * half, 2 * s->width, 1);
}

static void take_network(dn_taker *t, void *of) {
    dn_enhancer *net = of;
    int width = net->sizes.width;
    if (net->sizes.kind == DN_MIXED) take_mixed(t, &net->sizes, &net->mixed);
    if (net->sizes.kind == DN_ROW_BODY) take_rows(t, &net->sizes, &net->rows);
    if (net->sizes.kind == DN_DEPTHWISE) take_depthwise(t, &net->sizes, &net->depthwise);
    net->low_head = dn_take_dense(t, "low_head", width, 2 * net->sizes.taps + net->sizes.guided, 1);
    net->upper_head = dn_take_dense(t, "upper_head", width, 2 + net->sizes.guided, 1);
    net->voice_hidden = dn_take_dense(t, "voice_hidden", 2 * width, DN_VOICE_UNITS, 1);
    net->voice_output = dn_take_dense(t, "voice_output", DN_VOICE_UNITS, 1, 1);
}

static dn_status check_size(const char *name, int value, int step, int most, char *message) {
    if (value >= step && value <= most && value % step == 0) return DN_OK;
    return dn_bad_model(message, "enhancer_sizes: %d %s; multiples of %d from %d to %d are possible", value, name, step,
                        step, most);
}

/* Reads the number in a record that need not be there into *value, which stays as it is where there is none. */
static dn_status read_option(dn_records file, const char *part, int most, int *value, uint32_t *hash, char *message) {
    char name[DN_MESSAGE];
    dn_record r;
    snprintf(name, sizeof(name), "enhancer_%s", part);
    dn_status status = dn_record_find(file, name, &r, message);
    if (status != DN_OK || !r.payload) return status;
    status = dn_record_want(file, "enhancer", part, DN_RECORD_INT32, 1, &r, message);
    if (status != DN_OK) return status;
    *value = (int)dn_record_int(&r, 0);
    *hash = dn_hash(dn_hash(*hash, part, strlen(part)), r.payload, r.size);
    if (*value >= 1 && *value <= most) return DN_OK;
    return dn_bad_model(message, "%s: %d; 1 to %d are possible", name, *value, most);
}

static dn_status read_sizes(dn_records file, dn_enhancer *net, uint32_t *hash, char *message) {
    dn_record r;
    dn_status status = dn_record_want(file, "enhancer", "sizes", DN_RECORD_INT32, SIZES, &r, message);
    if (status != DN_OK) return status;
    dn_body_sizes *s = &net->sizes;
    int *const values[SIZES] = {&s->kind,   &s->channels, &s->width, &s->rows,
                                &s->blocks, &s->units,    &s->heads, &s->convolutions};
    for (int i = 0; i < SIZES; i++) *values[i] = (int)dn_record_int(&r, (size_t)i);
    *hash = dn_hash(dn_hash(DN_HASH_START, "enhancer", 8), r.payload, r.size);
    if (s->kind < 0 || s->kind >= DN_BODIES) {
        return dn_bad_model(
            message, "enhancer_sizes: a body of kind %d; 0 (mixed), 1 (rows) and 2 (depthwise) are known", s->kind);
    }
    status = check_size("channels", s->channels, 8, DN_MAX_CHANNELS, message);
    if (status == DN_OK) status = check_size("channels of a band", s->width, 1, DN_MAX_WIDTH, message);
    if (status == DN_OK) status = check_size("rows", s->rows, 8, 32, message);
    if (status == DN_OK) status = check_size("blocks", s->blocks, 1, DN_MAX_BLOCKS, message);
    if (status == DN_OK) status = check_size("units", s->units, 8, DN_MAX_CHANNELS, message);
    if (status == DN_OK) status = check_size("heads", s->heads, 1, MOST_HEADS, message);
    s->taps = 1;
    if (status == DN_OK) status = read_option(file, "taps", DN_MAX_TAPS, &s->taps, hash, message);
    if (status == DN_OK) status = read_option(file, "guided", 1, &s->guided, hash, message);
    if (status != DN_OK) return status;
    int looking = s->kind == DN_MIXED ? s->channels : s->units;
    if ((s->kind != DN_ROW_BODY && DN_ENHANCER_BANDS % s->rows) || looking % s->heads) {
        return dn_bad_model(message,
                            "enhancer_sizes: %d rows and %d heads of %d channels; rows divide 128, and heads channels",
                            s->rows, s->heads, looking);
    }
    int least = s->kind == DN_DEPTHWISE, most = s->kind == DN_MIXED ? 0 : DN_MAX_CONVOLUTIONS;
    if (s->convolutions < least || s->convolutions > most) {
        return dn_bad_model(message, "enhancer_sizes: %d convolutions; %d to %d are possible", s->convolutions, least,
                            most);
    }
    net->body = bodies[s->kind];
    if (net->body->room(s) <= DN_BODY_ROOM) return DN_OK;
    return dn_bad_model(message, "enhancer_sizes: the network works with %d floats a hop; at most %d are possible",
                        net->body->room(s), DN_BODY_ROOM);
}

dn_status dn_enhancer_read(dn_network *base, const void *data, size_t size, uint32_t *fingerprint, char *message) {
    dn_enhancer *net = (dn_enhancer *)base;
    dn_records file = {data, size};
    dn_status status = read_sizes(file, net, fingerprint, message);
    if (status == DN_OK) status = dn_take_all(file, take_network, net, &net->room, fingerprint, message);
    if (status != DN_OK) return status;
    dn_enhancer_prepare(net);
    return DN_OK;
}

void dn_enhancer_discard(dn_network *net) {
    dn_delete(((dn_enhancer *)net)->room);
}
