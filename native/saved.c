/* A state as bytes: a head, which says whose they are, then all that outlives a frame. */
#include <math.h>
#include <string.h>

#include "hash.h"
#include "state.h"

typedef struct {
    char magic[4];
    uint32_t version;     /* of the layout */
    uint32_t fingerprint; /* of the model */
    uint32_t size;        /* of all, this head included */
    uint32_t hash;        /* of what follows */
} saved_head;

/* Head of a state that is saved in bytes, of which what is behind the head is read. */
static saved_head make_head(const dn_state *state, const char *bytes) {
    size_t size = dn_state_size(state);
    uint32_t hash = dn_hash(DN_HASH_START, bytes + sizeof(saved_head), size - sizeof(saved_head));
    return (saved_head){{'D', 'N', 's', 't'}, 3, state->model->fingerprint, (uint32_t)size, hash};
}

/* Bytes of what the signal processing around a network remembers. */
static size_t past_size(const dn_state *state) {
    return state->shell ? sizeof(state->shell->past) : 0;
}

size_t dn_state_size(const dn_state *state) {
    return sizeof(saved_head) + past_size(state) + dn_tail_size(state->model);
}

void dn_state_save(const dn_state *state, void *bytes) {
    char *to = bytes;
    size_t past = past_size(state);
    if (past) memcpy(to + sizeof(saved_head), &state->shell->past, past);
    memcpy(to + sizeof(saved_head) + past, state->tail, dn_tail_size(state->model));
    saved_head head = make_head(state, to);
    memcpy(to, &head, sizeof(head));
}

static int all_finite(const float *x, size_t n) {
    int good = 1;
    for (size_t i = 0; i < n; i++) good &= isfinite(x[i]) != 0;
    return good;
}

/* Says whether no call could have made the engine do harm with it: all numbers are finite and in range. */
static int is_sound(const dn_past *past) {
    const dn_frontend *f = &past->front;
    return isfinite(f->highpass[0]) && isfinite(f->highpass[1]) &&
           all_finite(f->samples, sizeof(f->samples) / sizeof(float)) &&
           all_finite(f->cepstra[0], sizeof(f->cepstra) / sizeof(float)) &&
           all_finite(f->distance[0], sizeof(f->distance) / sizeof(float)) && f->newest >= 0 &&
           f->newest < DN_CEPSTRA && f->pitch.period >= 0 && f->pitch.period < DN_MAX_PERIOD &&
           isfinite(f->pitch.gain) && all_finite(past->overlap, DN_FRAME) && all_finite(past->removed, DN_FRAME) &&
           all_finite(past->last_gain, DN_MAX_BANDS);
}

dn_status dn_state_restore(dn_state *state, const void *bytes, size_t size) {
    const char *from = bytes;
    dn_past past;
    if (size != dn_state_size(state)) return DN_BAD_STATE;
    saved_head wanted = make_head(state, from);
    if (memcmp(from, &wanted, sizeof(wanted)) != 0) return DN_BAD_STATE;
    from += sizeof(wanted);
    if (state->shell) {
        memcpy(&past, from, sizeof(past));
        from += sizeof(past);
        if (!is_sound(&past)) return DN_BAD_STATE;
    }
    for (size_t i = 0; i < dn_tail_size(state->model) / sizeof(float); i++) {
        float x;
        memcpy(&x, from + i * sizeof(x), sizeof(x));
        if (!(fabsf(x) <= state->model->traits->most)) return DN_BAD_STATE;
    }
    if (state->shell) state->shell->past = past;
    memcpy(state->tail, from, dn_tail_size(state->model));
    return DN_OK;
}
