/* From the network's gains back to samples, and the memory of a channel. */
#include <math.h>
#include <string.h>

#include "fpmode.h"
#include "frontend.h"
#include "memory.h"
#include "model.h"

/* All but what follows it, whose size is the model's. */
typedef struct {
    dn_frontend front;
    float overlap[DN_FRAME]; /* second half of the last synthesis window */
    float removed[DN_FRAME]; /* what the high-pass took out of the last frame */
    float last_gain[DN_MAX_BANDS];
} memory;

/* What a model with look-ahead keeps of the last frame, on which the gains of this one act; nothing but floats. */
typedef struct {
    dn_frame frame;
    float removed[DN_FRAME]; /* out of the frame before the last */
} held_back;

struct dn_state {
    const dn_model *model;
    int is_taken; /* by the call of dn_process that is checking its states */
    memory m;
    dn_frame frame;          /* from here on what is worked with; nothing of it outlives a frame */
    float removed[DN_FRAME]; /* what the high-pass took out of it */
    float tail[];            /* the network's memory, and with look-ahead a held_back */
};

static int network_floats(const dn_model *model) {
    return model->family == DN_V02 ? dn_v02_memory(&model->v02) : dn_network_memory(&model->network);
}

static size_t tail_size(const dn_model *model) {
    return (size_t)network_floats(model) * sizeof(float) + (model->family == DN_V02 ? sizeof(held_back) : 0);
}

dn_status dn_state_create(const dn_model *model, dn_state **out) {
    *out = dn_new(sizeof(**out) + tail_size(model));
    if (!*out) return DN_NO_MEMORY;
    (*out)->model = model;
    return DN_OK;
}

void dn_state_reset(dn_state *state) {
    memset(&state->m, 0, sizeof(state->m));
    memset(state->tail, 0, tail_size(state->model));
}

void dn_state_destroy(dn_state *state) {
    dn_delete(state);
}

/* ---- one frame ---- */

/* Adds the spectrum of one pitch period ago, the more the more of a band is voice that its gain would not bring out,
 * then brings each band back to the energy that it had. keep, 0 to 1, is how much of all this is done. */
static void pitch_filter(const dn_model *model, dn_frame *frame, const float *gain, float keep) {
    const dn_kernels *k = model->kernels;
    const dn_bands *bands = &model->tables.bands;
    float values[DN_MAX_BANDS], bins[DN_BAND_BINS];
    for (int b = 0; b < bands->count; b++) {
        float coherence = frame->coherence[b], c2 = coherence * coherence, g2 = gain[b] * gain[b], strength = 1;
        if (coherence <= gain[b]) {
            strength = sqrtf(fminf(fmaxf(c2 * (1 - g2) / (0.001f + g2 * (1 - c2)), 0), 1));
        }
        values[b] = keep * strength * sqrtf(frame->energy[b] / (1e-8f + frame->pitch_energy[b]));
    }
    dn_band_interpolate(k, bands, values, bins);
    k->add_scaled(&frame->X, bins, &frame->P, DN_BAND_BINS);

    float energy[DN_MAX_BANDS];
    dn_band_correlation(k, bands, &frame->X, &frame->X, energy);
    for (int b = 0; b < bands->count; b++) values[b] = sqrtf(frame->energy[b] / (1e-8f + energy[b]));
    dn_band_interpolate(k, bands, values, bins);
    k->scale(&frame->X, bins, DN_BAND_BINS);
}

/* Turns the bands of frame->X down. last_gain: those of the frame before in, this frame's out. */
static void apply_gains(const dn_model *model, dn_frame *frame, const float *network_gain, float *last_gain,
                        float min_gain) {
    const dn_bands *bands = &model->tables.bands;
    float gain[DN_MAX_BANDS], bins[DN_BAND_BINS];
    for (int b = 0; b < bands->count; b++) gain[b] = fminf(fmaxf(network_gain[b], 0), 1);
    if (min_gain < 1) pitch_filter(model, frame, gain, 1 - min_gain);
    for (int b = 0; b < bands->count; b++) {
        last_gain[b] = fmaxf(gain[b], 0.6f * last_gain[b]); /* no faster than 44 dB in 100 ms */
        gain[b] = fmaxf(last_gain[b], min_gain);
    }
    dn_band_interpolate(model->kernels, bands, gain, bins);
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

/* Gives back what the high-pass took out of the frame that is coming out. */
static void restore_rumble(const float *removed, float min_gain, float *out) {
    for (int i = 0; i < DN_FRAME; i++) out[i] += min_gain * removed[i];
}

/* The classic network: its gains act on the frame that it has just seen. */
static void finish_now(dn_state *state, const float *gain, float min_gain, float *out) {
    memory *m = &state->m;
    if (gain) apply_gains(state->model, &state->frame, gain, m->last_gain, min_gain);
    synthesise(state->model, &state->frame.X, m->overlap, out);
    restore_rumble(m->removed, min_gain, out);
}

/* With look-ahead: the gains act on the frame before. Where this one is louder, the next gain may fall faster. */
static void finish_last(dn_state *state, const float *gain, float min_gain, float *out) {
    const dn_model *model = state->model;
    const dn_frame *frame = &state->frame;
    memory *m = &state->m;
    held_back *held = (held_back *)(void *)(state->tail + network_floats(model));
    dn_frame *last = &held->frame;
    if (gain) {
        apply_gains(model, last, gain, m->last_gain, min_gain);
        for (int b = 0; b < model->tables.bands.count; b++) {
            float fall = (last->energy[b] + 1e-3f) / (frame->energy[b] + 1e-3f);
            m->last_gain[b] = fminf(m->last_gain[b] * fall, 1);
        }
    }
    synthesise(model, &last->X, m->overlap, out);
    restore_rumble(held->removed, min_gain, out);
    *last = *frame;
    memcpy(held->removed, m->removed, sizeof(held->removed));
}

/* ---- several channels, frame by frame ---- */

static int most_together(const dn_model *model) {
    return model->family == DN_V02 ? dn_v02_batch(&model->v02) : dn_network_batch(&model->network);
}

/* gain[i]: at least DN_MAX_BANDS. voice[i]: the probability of speech. */
static void run_network(const dn_model *model, int count, const float *const *features, float *const *network_memory,
                        float *const *gain, float *voice) {
    if (model->family == DN_V02) {
        dn_v02_run(&model->v02, model->kernels, count, features, network_memory, gain, voice);
    } else {
        dn_network_run(&model->network, model->kernels, count, features, network_memory, gain, voice);
    }
    for (int i = 0; i < count; i++) voice[i] = fminf(fmaxf(voice[i], 0), 1);
}

/* One frame of each of count states, as many as go together or fewer. in, out: of the first state, each other one's
 * apart samples behind the one before; they may be the same. The network runs for those whose frame is loud enough, in
 * one go. voice[count] */
static void process_frame(dn_state *const *states, int count, const float *in, float *out, size_t apart, float min_gain,
                          float *voice) {
    const dn_model *model = states[0]->model;
    float features[DN_BATCH][DN_MAX_FEATURES], gain[DN_BATCH][DN_MAX_BANDS], loud_voice[DN_BATCH];
    const float *loud_features[DN_BATCH];
    float *loud_memory[DN_BATCH], *loud_gain[DN_BATCH], *found[DN_BATCH] = {NULL};
    int loud = 0;
    for (int i = 0; i < count; i++) {
        dn_state *s = states[i];
        dn_frontend_push(&s->m.front, model->kernels, in + (size_t)i * apart, s->removed);
        if (!dn_frontend_analyse(&s->m.front, model->kernels, &model->tables, &s->frame, features[i])) continue;
        loud_features[loud] = features[i];
        loud_memory[loud] = s->tail;
        loud_gain[loud++] = found[i] = gain[i];
    }
    if (loud) run_network(model, loud, loud_features, loud_memory, loud_gain, loud_voice);
    for (int i = 0, l = 0; i < count; i++) {
        dn_state *s = states[i];
        voice[i] = found[i] ? loud_voice[l++] : 0;
        if (model->family == DN_V02) {
            finish_last(s, found[i], min_gain, out + (size_t)i * apart);
        } else {
            finish_now(s, found[i], min_gain, out + (size_t)i * apart);
        }
        memcpy(s->m.removed, s->removed, sizeof(s->removed));
    }
}

/* Whether the states are of one model, and no state is there twice. */
static int fit_together(dn_state *const *states, size_t channels) {
    size_t seen = 0;
    int good = 1;
    for (; good && seen < channels; seen++) {
        good = !states[seen]->is_taken && states[seen]->model == states[0]->model;
        states[seen]->is_taken = 1;
    }
    while (seen-- > 0) states[seen]->is_taken = 0;
    return good;
}

static dn_status process(dn_state *const *states, size_t channels, const float *in, float *out, float *voice,
                         size_t frames, float min_gain) {
    size_t samples = frames * DN_FRAME;
    if (!dn_usable(in, channels * samples)) return DN_NOT_FINITE;
    if (!fit_together(states, channels)) return DN_BAD_STATES;
    min_gain = min_gain > 0 ? fminf(min_gain, 1) : 0; /* NaN is 0 */
    size_t most = channels ? (size_t)most_together(states[0]->model) : 1;
    for (size_t c = 0; c < channels; c += most) {
        int count = (int)(channels - c < most ? channels - c : most);
        for (size_t f = 0; f < frames; f++) {
            size_t at = c * samples + f * DN_FRAME;
            float probability[DN_BATCH];
            process_frame(states + c, count, in + at, out + at, samples, min_gain, probability);
            for (int i = 0; voice && i < count; i++) voice[(c + (size_t)i) * frames + f] = probability[i];
        }
    }
    return DN_OK;
}

dn_status dn_process(dn_state *const *states, size_t channels, const float *in, float *out, float *voice, size_t frames,
                     float min_gain) {
    uint64_t mode = dn_enter();
    dn_status status = process(states, channels, in, out, voice, frames, min_gain);
    dn_leave(mode);
    return status;
}

/* ---- state as bytes ---- */

typedef struct {
    char magic[4];
    uint32_t version;     /* of the layout */
    uint32_t fingerprint; /* of the model */
    uint32_t size;        /* of all, this head included */
    uint32_t hash;        /* of what follows */
} saved_head;

/* bytes: those of a state, of which what is behind the head is read. */
static saved_head make_head(const dn_state *state, const char *bytes) {
    size_t size = dn_state_size(state);
    uint32_t hash = dn_hash(DN_HASH_START, bytes + sizeof(saved_head), size - sizeof(saved_head));
    return (saved_head){{'D', 'N', 's', 't'}, 3, state->model->fingerprint, (uint32_t)size, hash};
}

size_t dn_state_size(const dn_state *state) {
    return sizeof(saved_head) + sizeof(state->m) + tail_size(state->model);
}

void dn_state_save(const dn_state *state, void *bytes) {
    char *to = bytes;
    memcpy(to + sizeof(saved_head), &state->m, sizeof(state->m));
    memcpy(to + sizeof(saved_head) + sizeof(state->m), state->tail, tail_size(state->model));
    saved_head head = make_head(state, to);
    memcpy(to, &head, sizeof(head));
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
           all_finite(m->last_gain, DN_MAX_BANDS);
}

dn_status dn_state_restore(dn_state *state, const void *bytes, size_t size) {
    const char *from = bytes;
    memory m;
    if (size != dn_state_size(state)) return DN_BAD_STATE;
    saved_head wanted = make_head(state, from);
    if (memcmp(from, &wanted, sizeof(wanted)) != 0) return DN_BAD_STATE;
    memcpy(&m, from + sizeof(wanted), sizeof(m));
    from += sizeof(wanted) + sizeof(m);
    if (!is_sound(&m)) return DN_BAD_STATE;
    for (size_t i = 0; i < tail_size(state->model) / sizeof(float); i++) {
        float x;
        memcpy(&x, from + i * sizeof(x), sizeof(x));
        if (!isfinite(x)) return DN_BAD_STATE;
    }
    state->m = m;
    memcpy(state->tail, from, tail_size(state->model));
    return DN_OK;
}
