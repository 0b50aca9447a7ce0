/* From the network's gains back to samples, and the memory of a channel. */
#include <math.h>
#include <string.h>

#include "frontend.h"
#include "memory.h"
#include "model.h"

/* Everything but the network's memory, which follows it. */
typedef struct {
    dn_frontend front;
    float overlap[DN_FRAME]; /* second half of the last synthesis window */
    float removed[DN_FRAME]; /* what the high-pass took out of the last frame */
    float last_gain[DN_BANDS];
} memory;

struct dn_state {
    const dn_model *model;
    memory m;
    float hidden[]; /* dn_network_memory(&model->network) */
};

static size_t hidden_size(const dn_state *state) {
    return (size_t)dn_network_memory(&state->model->network) * sizeof(float);
}

dn_status dn_state_create(const dn_model *model, dn_state **out) {
    *out = dn_new(sizeof(**out) + (size_t)dn_network_memory(&model->network) * sizeof(float));
    if (!*out) return DN_NO_MEMORY;
    (*out)->model = model;
    return DN_OK;
}

void dn_state_reset(dn_state *state) {
    memset(&state->m, 0, sizeof(state->m));
    memset(state->hidden, 0, hidden_size(state));
}

void dn_state_destroy(dn_state *state) {
    dn_delete(state);
}

/* ---- one frame ---- */

/* Adds the spectrum of one pitch period ago, the more the more of a band is voice that its gain would not bring out,
 * then brings each band back to the energy that it had. keep, 0 to 1, is how much of all this is done. */
static void pitch_filter(const dn_model *model, dn_frame *frame, const float *gain, float keep) {
    const dn_kernels *k = model->kernels;
    float bands[DN_BANDS], bins[DN_BAND_BINS];
    for (int b = 0; b < DN_BANDS; b++) {
        float coherence = frame->coherence[b], c2 = coherence * coherence, g2 = gain[b] * gain[b], strength = 1;
        if (coherence <= gain[b]) {
            strength = sqrtf(fminf(fmaxf(c2 * (1 - g2) / (0.001f + g2 * (1 - c2)), 0), 1));
        }
        bands[b] = keep * strength * sqrtf(frame->energy[b] / (1e-8f + frame->pitch_energy[b]));
    }
    dn_band_interpolate(k, &model->tables, bands, bins);
    k->add_scaled(&frame->X, bins, &frame->P, DN_BAND_BINS);

    float energy[DN_BANDS];
    dn_band_correlation(k, &model->tables, &frame->X, &frame->X, energy);
    for (int b = 0; b < DN_BANDS; b++) bands[b] = sqrtf(frame->energy[b] / (1e-8f + energy[b]));
    dn_band_interpolate(k, &model->tables, bands, bins);
    k->scale(&frame->X, bins, DN_BAND_BINS);
}

/* Turns the bands of frame->X down. */
static void apply_gains(const dn_model *model, dn_frame *frame, const float *network_gain, float *last_gain,
                        float min_gain) {
    float gain[DN_BANDS], bins[DN_BAND_BINS];
    for (int b = 0; b < DN_BANDS; b++) gain[b] = fminf(fmaxf(network_gain[b], 0), 1);
    if (min_gain < 1) pitch_filter(model, frame, gain, 1 - min_gain);
    for (int b = 0; b < DN_BANDS; b++) {
        last_gain[b] = fmaxf(gain[b], 0.6f * last_gain[b]); /* no faster than 44 dB in 100 ms */
        gain[b] = fmaxf(last_gain[b], min_gain);
    }
    dn_band_interpolate(model->kernels, &model->tables, gain, bins);
    model->kernels->scale(&frame->X, bins, DN_BAND_BINS);
    for (int i = DN_BAND_BINS; i < DN_BINS; i++) { /* above 20 kHz */
        frame->X.re[i] *= min_gain;
        frame->X.im[i] *= min_gain;
    }
}

static void synthesise(const dn_model *model, const dn_spectrum *X, float *overlap, float *out) {
    float window[DN_WINDOW];
    model->kernels->ifft(&model->tables.fft, model->tables.synthesis, X, window);
    for (int i = 0; i < DN_FRAME; i++) out[i] = overlap[i] + window[i];
    memcpy(overlap, window + DN_FRAME, DN_FRAME * sizeof(*overlap));
}

/* in and out: DN_FRAME samples, which may be the same. Returns the probability of speech. */
static float process_frame(dn_state *state, const float *in, float *out, float min_gain) {
    const dn_model *model = state->model;
    memory *m = &state->m;
    dn_frame frame;
    float removed[DN_FRAME], gain[24], voice = 0;
    dn_frontend_push(&m->front, model->kernels, in, removed);
    dn_frontend_analyse(&m->front, model->kernels, &model->tables, &frame);
    if (!frame.silent) {
        voice = dn_network_run(&model->network, model->kernels, frame.features, state->hidden, gain);
        voice = fminf(fmaxf(voice, 0), 1);
        apply_gains(model, &frame, gain, m->last_gain, min_gain);
    }
    synthesise(model, &frame.X, m->overlap, out);
    for (int i = 0; i < DN_FRAME; i++) out[i] += min_gain * m->removed[i];
    memcpy(m->removed, removed, sizeof(removed));
    return voice;
}

dn_status dn_process(dn_state *const *states, size_t channels, const float *in, float *out, float *voice, size_t frames,
                     float min_gain) {
    size_t samples = frames * DN_FRAME;
    if (!dn_usable(in, channels * samples)) return DN_NOT_FINITE;
    min_gain = min_gain > 0 ? fminf(min_gain, 1) : 0; /* NaN is 0 */
    for (size_t c = 0; c < channels; c++) {
        for (size_t f = 0; f < frames; f++) {
            size_t at = c * samples + f * DN_FRAME;
            float probability = process_frame(states[c], in + at, out + at, min_gain);
            if (voice) voice[c * frames + f] = probability;
        }
    }
    return DN_OK;
}

/* ---- state as bytes ---- */

typedef struct {
    char magic[4];
    uint32_t version;     /* of the layout */
    uint32_t fingerprint; /* of the model */
    uint32_t size;        /* of all, this head included */
} saved_head;

static saved_head make_head(const dn_state *state) {
    return (saved_head){{'D', 'N', 's', 't'}, 1, state->model->fingerprint, (uint32_t)dn_state_size(state)};
}

size_t dn_state_size(const dn_state *state) {
    return sizeof(saved_head) + sizeof(state->m) + hidden_size(state);
}

void dn_state_save(const dn_state *state, void *bytes) {
    saved_head head = make_head(state);
    char *to = bytes;
    memcpy(to, &head, sizeof(head));
    memcpy(to + sizeof(head), &state->m, sizeof(state->m));
    memcpy(to + sizeof(head) + sizeof(state->m), state->hidden, hidden_size(state));
}

static int all_finite(const float *x, size_t n) {
    int good = 1;
    for (size_t i = 0; i < n; i++) good &= isfinite(x[i]) != 0;
    return good;
}

static int is_sound(const memory *m) {
    const dn_frontend *f = &m->front;
    return isfinite(f->highpass[0]) && isfinite(f->highpass[1]) &&
           all_finite(f->samples, sizeof(f->samples) / sizeof(float)) &&
           all_finite(f->cepstra[0], sizeof(f->cepstra) / sizeof(float)) &&
           all_finite(f->distance[0], sizeof(f->distance) / sizeof(float)) && f->newest >= 0 &&
           f->newest < DN_CEPSTRA && f->pitch.period >= 0 && f->pitch.period < DN_MAX_PERIOD &&
           isfinite(f->pitch.gain) && all_finite(m->overlap, DN_FRAME) && all_finite(m->removed, DN_FRAME) &&
           all_finite(m->last_gain, DN_BANDS);
}

dn_status dn_state_restore(dn_state *state, const void *bytes, size_t size) {
    saved_head wanted = make_head(state);
    const char *from = bytes;
    memory m;
    if (size != dn_state_size(state) || memcmp(from, &wanted, sizeof(wanted)) != 0) return DN_BAD_STATE;
    memcpy(&m, from + sizeof(wanted), sizeof(m));
    from += sizeof(wanted) + sizeof(m);
    if (!is_sound(&m)) return DN_BAD_STATE;
    for (size_t i = 0; i < hidden_size(state) / sizeof(float); i++) {
        float h;
        memcpy(&h, from + i * sizeof(h), sizeof(h));
        if (!isfinite(h)) return DN_BAD_STATE;
    }
    state->m = m;
    memcpy(state->hidden, from, hidden_size(state));
    return DN_OK;
}
