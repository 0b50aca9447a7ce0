/* The memory of a channel. */
#ifndef DN_STATE_H
#define DN_STATE_H

#include "model.h"

/* Memory that outlives a frame, but for what follows it in dn_state, whose size is the model's. */
typedef struct {
    dn_frontend front;
    float overlap[DN_FRAME]; /* second half of the last synthesis window */
    float removed[DN_FRAME]; /* what the high-pass took out of the last frame */
    float last_gain[DN_MAX_BANDS];
} dn_past;

/* The last frame, on which the gains of this one act, in models with look-ahead; nothing but floats. */
typedef struct {
    dn_frame frame;
    float removed[DN_FRAME]; /* out of the frame before the last */
} dn_held_back;

/* The signal processing around a network with bands. */
typedef struct {
    dn_past past;
    dn_frame frame;          /* from here on what is worked with; nothing of it outlives a frame */
    float removed[DN_FRAME]; /* what the high-pass took out of it */
} dn_shell;

struct dn_state {
    const dn_model *model;
    int is_busy;     /* while the call of dn_process that has it checks its states */
    dn_shell *shell; /* NULL around a network that takes samples. It and the tail lie behind this, in one block. */
    float *tail;     /* the network's memory, and with look-ahead a dn_held_back */
};

/* Bytes of a state's tail. */
size_t dn_tail_size(const dn_model *model);

/* Bytes of a whole state, and the most of any model with bands whose network has so many floats of memory. */
size_t dn_state_room(const dn_model *model);
size_t dn_state_most_room(size_t memory);

/* Makes a state of dn_state_room bytes, all zero, at an address that is a multiple of 64. Nothing else is to be freed.
 */
dn_state *dn_state_place(const dn_model *model, void *memory);

/* Returns the part of the tail that holds the last frame; NULL in models without look-ahead. */
dn_held_back *dn_state_held(dn_state *state);

#endif
