/* Frames of several channels, from samples to samples. */
#include "state.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "fpmode.h"
#include "gains.h"
#include "larger.h"
#include "memory.h"

size_t dn_tail_size(const dn_model *model) {
    size_t held = model->traits->look_ahead ? sizeof(dn_held_back) : 0;
    return (size_t)model->network->memory * sizeof(float) + held;
}

dn_held_back *dn_state_held(dn_state *state) {
    const dn_model *model = state->model;
    return model->traits->look_ahead ? (dn_held_back *)(void *)(state->tail + model->network->memory) : NULL;
}

enum { HEAD = (sizeof(dn_state) + 63) / 64 * 64, SHELL = (sizeof(dn_shell) + 63) / 64 * 64 };

size_t dn_state_room(const dn_model *model) {
    return HEAD + (model->traits->bands ? SHELL : 0) + dn_tail_size(model);
}

size_t dn_state_most_room(size_t memory) {
    return HEAD + SHELL + memory * sizeof(float) + sizeof(dn_held_back);
}

dn_state *dn_state_place(const dn_model *model, void *memory) {
    char *block = memory;
    dn_state *state = memory;
    size_t shell = model->traits->bands ? SHELL : 0;
    state->model = model;
    state->shell = shell ? (dn_shell *)(void *)(block + HEAD) : NULL;
    state->tail = (float *)(void *)(block + HEAD + shell);
    return state;
}

dn_status dn_state_create(const dn_model *model, dn_state **out) {
    void *block = dn_new(dn_state_room(model));
    *out = block ? dn_state_place(model, block) : NULL;
    return block ? DN_OK : DN_NO_MEMORY;
}

void dn_state_reset(dn_state *state) {
    if (state->shell) memset(&state->shell->past, 0, sizeof(state->shell->past));
    memset(state->tail, 0, dn_tail_size(state->model));
}

void dn_state_destroy(dn_state *state) {
    dn_delete(state);
}

/* Brings a frame out: the one just analysed, or with look-ahead the one before it.
 * gain: the network's for it, or NULL where it did not run. */
static void finish_frame(dn_state *state, const float *gain, float min_gain, float *out) {
    const dn_model *model = state->model;
    const dn_tables *tables = &model->tables;
    dn_shell *shell = state->shell;
    dn_past *past = &shell->past;
    dn_held_back *held = dn_state_held(state);
    dn_frame *due = held ? &held->frame : &shell->frame;
    if (gain) {
        dn_apply_gains(model->kernels, &tables->bands, due, gain, past->last_gain, min_gain);
        if (held) dn_let_fall(&tables->bands, due->energy, shell->frame.energy, past->last_gain);
    }
    dn_synthesise(model->kernels, tables, &due->X, past->overlap, out);
    dn_restore_rumble(held ? held->removed : past->removed, min_gain, out);
    if (held) {
        held->frame = shell->frame;
        memcpy(held->removed, past->removed, sizeof(held->removed));
    }
    memcpy(past->removed, shell->removed, sizeof(past->removed));
}

typedef void step_frame(dn_state *const *states, int count, const float *in, const float *guide, float *out,
                        size_t apart, float min_gain, float *voice);

/* Processes one frame of each of count states, as many as go together or fewer. in, out: of the first state, each other
 * one's apart samples behind the one before; they may be the same. The network runs for those whose frame is loud
 * enough, in one go. voice[count] */
static void process_frame(dn_state *const *states, int count, const float *in, const float *guide, float *out,
                          size_t apart, float min_gain, float *voice) {
    const dn_model *model = states[0]->model;
    (void)guide; /* no network with bands takes one */
    const dn_traits *traits = model->traits;
    float features[DN_BATCH][DN_MAX_FEATURES], gain[DN_BATCH][DN_MAX_BANDS], loud_voice[DN_BATCH];
    const float *loud_features[DN_BATCH];
    float *loud_memory[DN_BATCH], *loud_gain[DN_BATCH], *gain_of[DN_BATCH] = {NULL};
    int loud = 0;
    for (int i = 0; i < count; i++) {
        dn_shell *s = states[i]->shell;
        dn_frontend_push(&s->past.front, model->kernels, in + (size_t)i * apart, s->removed);
        if (!dn_frontend_analyse(&s->past.front, model->kernels, &model->tables, &s->frame)) continue;
        traits->make_features(&s->past.front, model->kernels, &model->tables.bands, &s->frame, features[i]);
        loud_features[loud] = features[i];
        loud_memory[loud] = states[i]->tail;
        loud_gain[loud++] = gain_of[i] = gain[i];
    }
    if (loud) traits->run(model->network, model->kernels, loud, loud_features, loud_memory, loud_gain, loud_voice);
    for (int i = 0, l = 0; i < count; i++) {
        voice[i] = gain_of[i] ? dn_within(loud_voice[l++], 0, 1) : 0;
        finish_frame(states[i], gain_of[i], min_gain, out + (size_t)i * apart);
    }
}

/* Processes one frame of each of count states of a network that takes samples; see process_frame. guide: as in. */
static void process_samples(dn_state *const *states, int count, const float *in, const float *guide, float *out,
                            size_t apart, float min_gain, float *voice) {
    const dn_model *model = states[0]->model;
    for (int i = 0; i < count; i++, in += apart, guide += apart, out += apart) {
        voice[i] =
            model->traits->run_samples(model->network, model->kernels, states[i]->tail, in, guide, out, min_gain);
    }
}

static step_frame *step_of(const dn_model *model) {
    return model->traits->run_samples ? process_samples : process_frame;
}

/* Processes hops of each of count states of a network that takes them by itself. */
static void process_hops(dn_state *const *states, int count, const float *in, float *out, size_t hops, size_t apart,
                         float min_gain) {
    const dn_model *model = states[0]->model;
    float *memory[DN_BATCH];
    for (int i = 0; i < count; i++) memory[i] = states[i]->tail;
    model->traits->run_hops(model->network, model->kernels, count, memory, in, out, apart, hops, min_gain);
}

/* Says whether the states are of one model, and no state is there twice. */
static int fit_together(dn_state *const *states, size_t channels) {
    size_t seen = 0;
    int good = 1;
    for (; good && seen < channels; seen++) {
        good = !states[seen]->is_busy && states[seen]->model == states[0]->model;
        states[seen]->is_busy = 1;
    }
    while (seen-- > 0) states[seen]->is_busy = 0;
    return good;
}

static dn_status process(dn_state *const *states, size_t channels, const float *in, const float *guide, float *out,
                         float *voice, size_t frames, float min_gain) {
    const size_t hop = channels ? (size_t)dn_model_hop(states[0]->model) : 0, samples = frames * hop;
    if (!dn_usable(in, channels * samples, DN_LIMIT)) return DN_NOT_FINITE;
    if (guide != in && !dn_usable(guide, channels * samples, FLT_MAX)) return DN_NOT_FINITE;
    if (!fit_together(states, channels)) return DN_BAD_STATES;
    min_gain = dn_within(min_gain, 0, 1);
    if (!channels) return DN_OK;
    const dn_model *model = states[0]->model;
    step_frame *step = step_of(model);
    size_t most = (size_t)model->network->batch;
    for (size_t c = 0; c < channels; c += most) {
        int count = (int)(channels - c < most ? channels - c : most);
        if (model->traits->run_hops) {
            const size_t at = c * samples;
            process_hops(states + c, count, in + at, out + at, frames, samples, min_gain);
            for (size_t i = 0; voice && i < (size_t)count * frames; i++) voice[c * frames + i] = 0;
            continue;
        }
        for (size_t f = 0; f < frames; f++) {
            size_t at = c * samples + f * hop;
            float probability[DN_BATCH];
            step(states + c, count, in + at, guide + at, out + at, samples, min_gain, probability);
            for (int i = 0; voice && i < count; i++) voice[(c + (size_t)i) * frames + f] = probability[i];
        }
    }
    return DN_OK;
}

/* Says whether a model can guide another. */
static int fit_behind(const dn_model *guide, const dn_model *model) {
    int takes_frames = !guide->traits->run_hops && dn_model_hop(guide) == DN_FRAME && dn_model_rate(guide) == DN_RATE;
    return takes_frames && !guide->network->guided && model->network->guided;
}

/* Takes the next frame into what is held of a channel, late samples, and gives the one that leaves it. */
static void hold(float *held, size_t late, const float *in, float *due) {
    memcpy(due, held, DN_FRAME * sizeof(*held));
    memmove(held, held + DN_FRAME, (late - DN_FRAME) * sizeof(*held));
    memcpy(held + late - DN_FRAME, in, DN_FRAME * sizeof(*held));
}

static dn_status process_behind(dn_state *const *guides, dn_state *const *states, size_t channels, const float *in,
                                float *held, float *out, float *voice, size_t frames, float min_gain) {
    const size_t samples = frames * DN_FRAME;
    if (!channels) return DN_OK;
    const dn_model *guide = guides[0]->model, *model = states[0]->model;
    if (!fit_behind(guide, model)) return DN_BAD_STATES;
    if (!dn_usable(in, channels * samples, DN_LIMIT)) return DN_NOT_FINITE;
    if (!fit_together(guides, channels) || !fit_together(states, channels)) return DN_BAD_STATES;
    min_gain = dn_within(min_gain, 0, 1);
    step_frame *step = step_of(guide);
    const size_t most = (size_t)guide->network->batch, late = (size_t)dn_model_delay(guide);
    for (size_t c = 0; c < channels; c += most) {
        int count = (int)(channels - c < most ? channels - c : most);
        for (size_t f = 0; f < frames; f++) {
            size_t at = c * samples + f * DN_FRAME;
            float guessed[DN_BATCH], due[DN_BATCH][DN_FRAME];
            for (size_t i = 0; i < (size_t)count; i++) hold(held + (c + i) * late, late, in + at + i * samples, due[i]);
            step(guides + c, count, in + at, in + at, out + at, samples, 0, guessed);
            for (size_t i = 0; i < (size_t)count; i++, at += samples) {
                float own = model->traits->run_samples(model->network, model->kernels, states[c + i]->tail, due[i],
                                                       out + at, out + at, min_gain);
                if (voice) voice[(c + i) * frames + f] = 0.5f * (guessed[i] + own);
            }
        }
    }
    return DN_OK;
}

dn_status dn_process(dn_state *const *states, size_t channels, const float *in, float *out, float *voice, size_t frames,
                     float min_gain) {
    return dn_process_guided(states, channels, in, in, out, voice, frames, min_gain);
}

dn_status dn_process_guided(dn_state *const *states, size_t channels, const float *in, const float *guide, float *out,
                            float *voice, size_t frames, float min_gain) {
    uint64_t mode = dn_enter();
    dn_status status = process(states, channels, in, guide, out, voice, frames, min_gain);
    dn_leave(mode);
    return status;
}

dn_status dn_process_behind(dn_state *const *guides, dn_state *const *states, size_t channels, const float *in,
                            float *held, float *out, float *voice, size_t frames, float min_gain) {
    uint64_t mode = dn_enter();
    dn_status status = process_behind(guides, states, channels, in, held, out, voice, frames, min_gain);
    dn_leave(mode);
    return status;
}
