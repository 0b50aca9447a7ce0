#include <string.h>

#include "network_dtln.h"

static const float loudest_frame = 2.5e8f; /* so that no number of a channel's memory is beyond 1e9 */

/* Parts of a channel's memory: the newest samples, what is known of those to come out, and eight states, h and c of
 * each LSTM. */
static int pending_at(const dn_dtln *net) {
    return net->block - net->hop;
}

static int states_at(const dn_dtln *net, int lstm) {
    return 2 * (net->block - net->hop) + 2 * lstm * net->units;
}

static int larger(int a, int b) {
    return a > b ? a : b;
}

/* Floats of a row of spectra; later of features, and of what the LSTMs hear of them or their mask. */
static int spectrum_row(const dn_dtln *net) {
    return larger(2 * (net->block / 2 + 1), 2 * dn_round_up_16(net->code));
}

static int step_row(const dn_dtln *net) {
    return dn_round_up_16(larger(larger(net->block, net->code), net->units));
}

dn_status dn_dtln_prepare(dn_dtln *net) {
    net->hop = net->block / DN_OVERLAP;
    net->row = spectrum_row(net) + net->block + 6 * net->units + step_row(net) / 4;
    net->rows = (DN_DTLN_ROOM - 2 * net->block) / net->row;
    if (net->rows < 1) return DN_BAD_RANGE;
    if (net->rows > DN_BATCH) net->rows = DN_BATCH;
    net->base.memory = states_at(net, 4);
    net->base.batch = net->rows;
    net->base.hop = net->hop;
    return dn_blocks_create(net->block, net->hop, &net->blocks);
}

/* Hops of channels that are worked on together: rows, the channels of a hop one behind the other. */
typedef struct {
    const dn_dtln *net;
    const dn_kernels *k;
    float *const *memory; /* of the channels */
    int hops, channels, rows;
    int spectrum_row, step_row;
    float *spectra; /* [rows][spectrum_row]; see there */
    float *frames;  /* [rows][block]: samples, magnitudes, answers of LSTMs, masks */
    float *gates;   /* [rows][4 * units] */
    float *h, *c;   /* [channels][units] */
    int8_t *steps;  /* [rows][step_row] */
    float size[DN_BATCH];
    float *transform; /* [2 * block] */
} work;

static dn_rows_in rows_of(work *w, const float *x, int x_row) {
    return (dn_rows_in){x, x_row, w->steps, w->step_row, w->size};
}

/* Multiplies rows by a matrix. */
static void multiply(work *w, const dn_matrix *m, const float *x, int x_row, int n, const float *bias, float *y,
                     int y_row) {
    const dn_rows_in in = rows_of(w, x, x_row);
    dn_rows_prepare(&in, m, w->k, n, w->rows);
    dn_matrix_run(m, w->k, &in, bias, y, y_row, w->rows, 0);
}

/* Runs an LSTM, number 0 to 3 of the pair; the answers are frames, rows of units one behind the other. */
static void run_lstm(work *w, const dn_lstm *lstm, int number, const float *x, int x_row, int n) {
    const int units = lstm->units;
    const size_t bytes = (size_t)units * sizeof(float);
    const dn_rows_in in = rows_of(w, x, x_row);
    for (int i = 0; i < w->channels; i++) {
        const float *states = w->memory[i] + states_at(w->net, number);
        memcpy(w->h + i * units, states, bytes);
        memcpy(w->c + i * units, states + units, bytes);
    }
    dn_rows_prepare(&in, &lstm->input, w->k, n, w->rows);
    dn_lstm_run(lstm, w->k, &in, w->hops, w->channels, w->gates, w->frames, w->h, w->c);
    for (int i = 0; i < w->channels; i++) {
        float *states = w->memory[i] + states_at(w->net, number);
        memcpy(states, w->h + i * units, bytes);
        memcpy(states + units, w->c + i * units, bytes);
    }
}

/* Makes masks, between 0 and 1, of rows of inputs, which may lie in the same place and are changed. */
static void run_core(work *w, const dn_mask_core *core, int first_lstm, float *x, int x_row, float *mask,
                     int mask_row) {
    const int units = w->net->units;
    for (int r = 0; core->has_levels && r < w->rows; r++) w->k->logarithms(x + r * x_row, core->least, core->inputs);
    for (int r = 0; core->norm_weight && r < w->rows; r++) {
        w->k->normalise(x + r * x_row, x + r * x_row, core->norm_weight, core->norm_bias, core->norm_least,
                        core->inputs);
    }
    run_lstm(w, &core->lstm[0], first_lstm, x, x_row, core->inputs);
    run_lstm(w, &core->lstm[1], first_lstm + 1, w->frames, units, units);
    memcpy(w->gates, w->frames, (size_t)(w->rows * units) * sizeof(*w->gates)); /* the mask may come where they are */
    multiply(w, &core->dense, w->gates, units, units, core->dense_bias, mask, mask_row);
    for (int r = 0; r < w->rows; r++) w->k->sigmoid(mask + r * mask_row, core->dense.columns);
}

/* Cuts the blocks that end with each hop out of the samples before and the new ones. */
static void cut_blocks(work *w, const float *in, size_t apart) {
    const int block = w->net->block, hop = w->net->hop, late = block - hop;
    float *frame = w->frames;
    for (int h = 0; h < w->hops; h++) {
        const int old = late - h * hop > 0 ? late - h * hop : 0; /* of its samples, those that came before */
        for (int i = 0; i < w->channels; i++, frame += block) {
            const float *now = in + (size_t)i * apart;
            memcpy(frame, w->memory[i] + late - old, (size_t)old * sizeof(*frame));
            memcpy(frame + old, now + h * hop + hop - (block - old), (size_t)(block - old) * sizeof(*frame));
        }
    }
}

static void run_models(work *w) {
    const dn_dtln *net = w->net;
    const int block = net->block, code = dn_round_up_16(net->code);
    for (int r = 0; r < w->rows; r++) {
        float *frame = w->frames + r * block;
        dn_block_analyse(net->blocks, frame, w->spectra + r * w->spectrum_row, frame, w->transform);
    }
    run_core(w, &net->first, 0, w->frames, block, w->frames, block);
    for (int r = 0; r < w->rows; r++) {
        float *frame = w->frames + r * block;
        dn_block_synthesise(net->blocks, w->spectra + r * w->spectrum_row, frame, frame, w->transform);
    }
    float *features = w->spectra, *heard = w->spectra + code;
    multiply(w, &net->encode, w->frames, block, block, NULL, features, w->spectrum_row);
    for (int r = 0; r < w->rows; r++) {
        memcpy(heard + r * w->spectrum_row, features + r * w->spectrum_row, (size_t)code * sizeof(*heard));
    }
    run_core(w, &net->second, 2, heard, w->spectrum_row, heard, w->spectrum_row);
    for (int r = 0; r < w->rows; r++) {
        float *feature = features + r * w->spectrum_row;
        const float *mask = heard + r * w->spectrum_row;
        for (int i = 0; i < code; i++) feature[i] *= mask[i];
    }
    multiply(w, &net->decode, features, w->spectrum_row, net->code, NULL, w->frames, block);
    for (int i = 0; i < w->rows * block; i++) {
        const float x = w->frames[i];
        w->frames[i] = x < -loudest_frame ? -loudest_frame : x > loudest_frame ? loudest_frame : x;
    }
}

/* Adds to sum[hop] what frames first to last of a channel have for a hop, the oldest first: that which begins so many
 * hops after frame 0. */
static void add_frames(const work *w, int channel, int first, int last, int hop_number, float *sum) {
    const int block = w->net->block, hop = w->net->hop;
    for (int f = first > hop_number - DN_OVERLAP + 1 ? first : hop_number - DN_OVERLAP + 1; f <= last; f++) {
        const float *frame = w->frames + (f * w->channels + channel) * block + (hop_number - f) * hop;
        for (int i = 0; i < hop; i++) sum[i] += frame[i];
    }
}

/* Adds the blocks of a channel up. Hops are made from the last on, as out may be in, of which earlier ones still need
 * what is to be mixed with them. */
static void add_up(work *w, int channel, const float *in, float *out, float min_gain) {
    const int hop = w->net->hop, late = w->net->block - hop;
    float *past = w->memory[channel], *pending = past + pending_at(w->net);
    float *newest = w->spectra + channel * w->spectrum_row; /* the samples that come to past */
    const int old = late - w->hops * hop > 0 ? late - w->hops * hop : 0;
    memcpy(newest, past + late - old, (size_t)old * sizeof(*past));
    memcpy(newest + old, in + w->hops * hop - (late - old), (size_t)(late - old) * sizeof(*past));
    for (int h = w->hops - 1; h >= 0; h--) {
        float sum[DN_MOST_BLOCK / DN_OVERLAP];
        const int is_pending = h * hop < late;
        const float *original = is_pending ? past + h * hop : in + h * hop - late;
        for (int i = 0; i < hop; i++) sum[i] = is_pending ? pending[h * hop + i] : 0;
        add_frames(w, channel, 0, h, h, sum);
        for (int i = 0; min_gain > 0 && i < hop; i++) sum[i] = sum[i] * (1 - min_gain) + original[i] * min_gain;
        memcpy(out + h * hop, sum, (size_t)hop * sizeof(*out));
    }
    for (int at = 0; at < late; at += hop) {
        const int from = w->hops * hop + at;
        if (from < late) {
            memmove(pending + at, pending + from, (size_t)hop * sizeof(*pending));
        } else {
            memset(pending + at, 0, (size_t)hop * sizeof(*pending));
        }
        add_frames(w, channel, 0, w->hops - 1, w->hops + at / hop, pending + at);
    }
    memcpy(past, newest, (size_t)late * sizeof(*past));
}

void dn_dtln_run(const dn_network *base, const dn_kernels *k, int count, float *const *memory, const float *in,
                 float *out, size_t apart, size_t hops, float min_gain) {
    const dn_dtln *net = (const dn_dtln *)base;
    const int block = net->block, units = net->units, at_once = net->rows / count;
    float room[DN_DTLN_ROOM];
    work w = {.net = net, .k = k, .memory = memory, .channels = count};
    w.spectrum_row = spectrum_row(net);
    w.step_row = step_row(net);
    w.spectra = room;
    w.frames = w.spectra + net->rows * w.spectrum_row;
    w.gates = w.frames + net->rows * block;
    w.h = w.gates + net->rows * 4 * units;
    w.c = w.h + net->rows * units;
    w.steps = (int8_t *)(w.c + net->rows * units);
    w.transform = w.c + net->rows * units + net->rows * w.step_row / 4;
    while (hops > 0) {
        w.hops = hops < (size_t)at_once ? (int)hops : at_once;
        w.rows = w.hops * count;
        cut_blocks(&w, in, apart);
        run_models(&w);
        for (int i = 0; i < count; i++) add_up(&w, i, in + (size_t)i * apart, out + (size_t)i * apart, min_gain);
        in += w.hops * net->hop;
        out += w.hops * net->hop;
        hops -= (size_t)w.hops;
    }
}
