/* A live signal's way through a backend: frames at a caller's rate, hops for the backend, what it made of them at the
 * caller's rate again, and the queue that makes all of it late by a constant.
 *
 * What comes is laid behind the ends of the rows, and noted in `next`; the rows' ends, and all that says how far the
 * signal is, move in dn_lanes_give alone, which has nothing left that could fail. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "denoise.h"
#include "flag.h"
#include "memory.h"
#include "samples.h"

/* No product of a gain is summed in one rounding, so that every build rounds alike. GCC does so by -std=c11. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

/* A place in memory that each thread has its own of. */
#ifdef _MSC_VER
static __declspec(thread) char here;
#else
static _Thread_local char here;
#endif

#define FAR ((int64_t)1 << 52) /* frames, up to which dn_resample finds its places */

/* A row a channel, [channels][room], of which frames start to end - 1 are there. */
typedef struct {
    float *at;
    size_t room, start, end;
} rows;

typedef enum { NOTHING, CAME, READY } stage; /* no chunk; one whose hops are to be cleaned; one to be given */

struct dn_lane {
    dn_flag busy; /* a thread is in a function with it */
    dn_lane_plan plan;
    dn_gate gate;
    rows input;                        /* frames of which samples for the backend are still to be made */
    rows waiting;                      /* samples whose hop is not whole yet */
    rows output;                       /* of the backend, of which frames are still to be made */
    rows queue;                        /* frames to give */
    int64_t input_first, output_first; /* numbers of the first in input and output; below zero there is silence */
    int64_t samples, frames;           /* made so far by to_backend and to_caller */
    size_t skip;                       /* of the backend's samples to come, those before the signal's beginning */
    int64_t position, fade_in;
    float mix;       /* that the last change of plan.mix began from */
    int64_t gliding; /* frames since; from plan.fade on it is plan.mix */
    struct {
        stage stage;
        const char *owner;     /* `here` of the thread whose chunk it is */
        size_t count;          /* frames of the chunk */
        size_t samples, hops;  /* that it brings the backend */
        size_t cleaned, ready; /* that the backend brings output, and that come into the queue */
        dn_gate gate;
    } next;
};

static size_t length(const rows *r) {
    return r->end - r->start;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- rows ---- */

/* Rows of so many frames of silence. */
static dn_status rows_begin(rows *r, size_t channels, size_t frames) {
    size_t room = frames ? frames : 1;
    if (room > SIZE_MAX / sizeof(float) / channels) return DN_NO_MEMORY;
    *r = (rows){dn_new(channels * room * sizeof(float)), room, 0, frames};
    return r->at ? DN_OK : DN_NO_MEMORY;
}

/* Sees to it that more frames fit behind the end. What is there may move, to the beginning or to rows with so much room
 * that this is seldom done. */
static dn_status rows_reserve(rows *r, size_t channels, size_t more) {
    if (more <= r->room - r->end) return DN_OK;
    size_t have = length(r), room = r->room;
    float *at = r->at;
    if (more > SIZE_MAX / 16 / sizeof(float) / channels - have) return DN_NO_MEMORY;
    if (2 * (have + more) > room) {
        room = 3 * (have + more);
        at = dn_new(channels * room * sizeof(float));
        if (!at) return DN_NO_MEMORY;
    }
    for (size_t c = 0; c < channels; c++) {
        memmove(at + c * room, r->at + c * r->room + r->start, have * sizeof(float));
    }
    if (at != r->at) dn_delete(r->at);
    *r = (rows){at, room, 0, have};
    return DN_OK;
}

/* Samples number first to first + count - 1 at the other rate, behind the end of out. in: its first sample's number. */
static dn_status rows_resample(const dn_ratio *ratio, size_t channels, const rows *in, int64_t number, size_t n,
                               rows *out, int64_t first, size_t count) {
    for (size_t c = 0; c < channels; c++) {
        const float *from = in->at + c * in->room + in->start;
        dn_status status = dn_resample(ratio, from, number, n, out->at + c * out->room + out->end, first, count);
        if (status != DN_OK) return status;
    }
    return DN_OK;
}

/* How many samples are ready of which first have been made, when n are there from number on. */
static size_t newly_ready(const dn_ratio *ratio, int64_t number, size_t n, int64_t first) {
    int64_t ready = dn_ratio_ready(ratio, number + (int64_t)n);
    return ready > first ? (size_t)(ready - first) : 0;
}

/* ---- the gate ---- */

/* Moves the gate on by a hop. voice: one probability a channel, stride apart. */
static void gate_step(dn_gate *gate, const float *voice, size_t channels, size_t stride) {
    int speech = gate->threshold <= 0;
    for (size_t c = 0; c < channels; c++) speech |= voice[c * stride] >= gate->threshold;
    if (speech)
        gate->since = 0;
    else if (gate->since <= gate->hold)
        gate->since++;
    gate->gain = gate->since <= gate->hold ? 1 : 0;
}

void dn_gate_run(dn_gate *gate, const float *voice, size_t channels, size_t hops, float *gains) {
    for (size_t h = 0; h < hops; h++) {
        gate_step(gate, voice + h, channels, hops);
        gains[h] = gate->gain;
    }
}

/* A hop's samples from number first on, with a gain that goes from before to after over the hop. */
static void fade_hop(const float *in, size_t first, size_t hop, float before, float after, float *out) {
    if (before == 1 && after == 1) {
        memcpy(out, in + first, (hop - first) * sizeof(float));
        return;
    }
    for (size_t i = first; i < hop; i++) {
        float ramp = (float)(i + 1) / (float)hop, change = (after - before) * ramp, gain = before + change;
        *out++ = in[i] * gain;
    }
}

/* All of several hops from sample number skip on, through the gate, to out. */
static void run_gated(dn_lane *lane, const float *cleaned, const float *voice, size_t skip, rows *out) {
    size_t channels = lane->plan.channels, hop = lane->plan.hop, hops = lane->next.hops;
    for (size_t h = 0; h < hops; h++) {
        float before = lane->next.gate.gain;
        gate_step(&lane->next.gate, voice + h, channels, hops);
        size_t at = h * hop, first = skip > at ? least(skip - at, hop) : 0;
        for (size_t c = 0; c < channels; c++) {
            const float *in = cleaned + c * hops * hop + at;
            float *to = out->at + c * out->room + out->end + (at + first - skip);
            if (first < hop) fade_hop(in, first, hop, before, lane->next.gate.gain, to);
        }
    }
}

/* ---- a lane ---- */

static void begin(dn_lane *lane) {
    const dn_lane_plan *plan = &lane->plan;
    lane->gate = plan->gate;
    lane->input_first = plan->to_backend ? dn_ratio_first(plan->to_backend, 0) : 0;
    lane->output_first = plan->to_caller ? dn_ratio_first(plan->to_caller, 0) : 0;
    lane->samples = lane->frames = 0;
    lane->skip = plan->delay;
    lane->position = plan->position;
    lane->fade_in = plan->fade_in;
    lane->gliding = plan->fade;
    lane->next.stage = NOTHING;
}

static dn_status make_rows(dn_lane *lane) {
    const dn_lane_plan *plan = &lane->plan;
    dn_status status = rows_begin(&lane->input, plan->channels, (size_t)-lane->input_first);
    if (status == DN_OK) status = rows_begin(&lane->waiting, plan->channels, 0);
    if (status == DN_OK) status = rows_begin(&lane->output, plan->channels, (size_t)-lane->output_first);
    if (status == DN_OK) status = rows_begin(&lane->queue, plan->channels, plan->latency);
    return status;
}

dn_status dn_lane_create(const dn_lane_plan *plan, dn_lane **out) {
    *out = NULL;
    if (!plan->channels || !plan->to_backend != !plan->to_caller) return DN_BAD_RANGE;
    dn_lane *lane = dn_new(sizeof(*lane));
    if (!lane) return DN_NO_MEMORY;
    lane->plan = *plan;
    begin(lane);
    dn_status status = make_rows(lane);
    if (status != DN_OK) {
        dn_lane_destroy(lane);
        return status;
    }
    *out = lane;
    return DN_OK;
}

void dn_lane_destroy(dn_lane *lane) {
    if (!lane) return;
    dn_delete(lane->input.at);
    dn_delete(lane->waiting.at);
    dn_delete(lane->output.at);
    dn_delete(lane->queue.at);
    dn_delete(lane);
}

/* Makes samples at the backend's rate of the frames that lie behind the end of input. */
static dn_status take_at_other_rate(dn_lane *lane, size_t frames) {
    const dn_ratio *ratio = lane->plan.to_backend;
    size_t n = length(&lane->input) + frames;
    size_t count = newly_ready(ratio, lane->input_first, n, lane->samples);
    dn_status status = rows_reserve(&lane->waiting, lane->plan.channels, count);
    lane->next.samples = count;
    if (status != DN_OK) return status;
    return rows_resample(ratio, lane->plan.channels, &lane->input, lane->input_first, n, &lane->waiting, lane->samples,
                         count);
}

/* Room for all that the hops of this chunk will bring, so that nothing fails once they have been cleaned. */
static dn_status reserve_results(dn_lane *lane) {
    size_t channels = lane->plan.channels, brought = lane->next.hops * lane->plan.hop;
    size_t ready = brought - least(brought, lane->skip);
    lane->next.cleaned = 0;
    if (lane->plan.to_caller) {
        lane->next.cleaned = ready;
        size_t n = length(&lane->output) + ready;
        ready = newly_ready(lane->plan.to_caller, lane->output_first, n, lane->frames);
        if (lane->frames > FAR - (int64_t)ready) return DN_BAD_RANGE;
        dn_status status = rows_reserve(&lane->output, channels, lane->next.cleaned);
        if (status != DN_OK) return status;
    }
    lane->next.ready = ready;
    return rows_reserve(&lane->queue, channels, ready);
}

/* True for a chunk that is on its way, of this thread, with so many hops. */
static int is_mine(const dn_lane *lane, int64_t hops) {
    return lane->next.stage != NOTHING && lane->next.owner == &here && hops == (int64_t)lane->next.hops;
}

static void copy_block(const dn_lane *lane, float *block) {
    const rows *from = &lane->waiting;
    size_t n = lane->next.hops * lane->plan.hop;
    for (size_t c = 0; c < lane->plan.channels; c++) {
        memcpy(block + c * n, from->at + c * from->room + from->start, n * sizeof(float));
    }
}

static int64_t take(dn_lane *lane, dn_type type, const void *samples, size_t frames, float limit, int64_t expected,
                    float *block) {
    size_t channels = lane->plan.channels, hop = lane->plan.hop;
    rows *to = !hop ? &lane->queue : lane->plan.to_backend ? &lane->input : &lane->waiting;
    lane->next.stage = NOTHING;
    if (frames > (uint64_t)(FAR - lane->position)) return -DN_BAD_RANGE;
    dn_status status = rows_reserve(to, channels, frames);
    if (status != DN_OK) return -(int64_t)status;
    status = dn_take_samples(type, samples, channels, frames, limit, to->at + to->end, to->room);
    if (status != DN_OK) return -(int64_t)status;
    lane->next.count = lane->next.samples = lane->next.ready = frames;
    lane->next.hops = 0;
    lane->next.gate = lane->gate;
    if (hop) {
        if (lane->plan.to_backend) status = take_at_other_rate(lane, frames);
        lane->next.hops = (length(&lane->waiting) + lane->next.samples) / hop;
        if (status == DN_OK) status = reserve_results(lane);
        if (status != DN_OK) return -(int64_t)status;
    }
    lane->next.stage = lane->next.hops ? CAME : READY;
    lane->next.owner = &here;
    int64_t hops = (int64_t)lane->next.hops;
    if (hops && hops == expected) copy_block(lane, block);
    return hops;
}

int64_t dn_lane_take(dn_lane *lane, dn_type type, const void *samples, size_t frames, float limit, int64_t expected,
                     float *block) {
    if (DN_SET(&lane->busy)) return -DN_BUSY;
    int64_t hops = take(lane, type, samples, frames, limit, expected, block);
    DN_CLEAR(&lane->busy);
    return hops;
}

dn_status dn_lane_block(dn_lane *lane, int64_t hops, float *block) {
    if (DN_SET(&lane->busy)) return DN_BUSY;
    dn_status status = is_mine(lane, hops) ? DN_OK : DN_BAD_RANGE;
    if (status == DN_OK) copy_block(lane, block);
    DN_CLEAR(&lane->busy);
    return status;
}

static dn_status bring(dn_lane *lane, int64_t hops, const float *cleaned, const float *voice) {
    size_t channels = lane->plan.channels, n = lane->next.hops * lane->plan.hop, skip = least(lane->skip, n);
    rows *to = lane->plan.to_caller ? &lane->output : &lane->queue;
    if (!is_mine(lane, hops)) return DN_BAD_RANGE;
    lane->next.gate = lane->gate;
    if (lane->plan.gated) {
        run_gated(lane, cleaned, voice, skip, to);
    } else {
        for (size_t c = 0; c < channels; c++) {
            memcpy(to->at + c * to->room + to->end, cleaned + c * n + skip, (n - skip) * sizeof(float));
        }
    }
    if (lane->plan.to_caller) {
        size_t have = length(&lane->output) + lane->next.cleaned;
        dn_status status = rows_resample(lane->plan.to_caller, channels, &lane->output, lane->output_first, have,
                                         &lane->queue, lane->frames, lane->next.ready);
        if (status != DN_OK) return status;
    }
    lane->next.stage = READY;
    return DN_OK;
}

dn_status dn_lane_bring(dn_lane *lane, int64_t hops, const float *cleaned, const float *voice) {
    if (DN_SET(&lane->busy)) return DN_BUSY;
    dn_status status = bring(lane, hops, cleaned, voice);
    DN_CLEAR(&lane->busy);
    return status;
}

/* ---- the frames that are due ---- */

/* Fades a lane in over what is heard before it: weights of 0 and 1 give one or the other exactly. */
static void fade_over(float *before, const float *fresh, size_t frames, int64_t fade_in, int64_t fade) {
    for (size_t i = 0; i < frames; i++) {
        int64_t at = (int64_t)i + 1 - fade_in;
        float weight = at <= 0 ? 0.0f : at >= fade ? 1.0f : (float)at / (float)fade;
        float going = before[i] * (1.0f - weight), coming = fresh[i] * weight;
        before[i] = going + coming;
    }
}

/* The share of the others in the result, i frames on from the next to come. */
static float mix_at(const dn_lane *dry, int64_t i) {
    const int64_t at = dry->gliding + i, fade = dry->plan.fade;
    if (at >= fade) return dry->plan.mix;
    return dry->mix + (dry->plan.mix - dry->mix) * ((float)at / (float)fade);
}

static void mix_dry(float *cleaned, const float *dry, size_t frames, const dn_lane *lane) {
    const int is_steady = lane->gliding >= lane->plan.fade;
    if (is_steady && lane->plan.mix == 1) return;
    float mix = lane->plan.mix, rest = 1.0f - mix;
    for (size_t i = 0; i < frames; i++) {
        if (!is_steady) {
            mix = mix_at(lane, (int64_t)i + 1);
            rest = 1.0f - mix;
        }
        float wet = cleaned[i] * mix, kept = dry[i] * rest;
        cleaned[i] = wet + kept;
    }
}

static int is_ready(const dn_lane *lane, const dn_lane *first) {
    return lane->next.stage == READY && lane->next.owner == &here && lane->next.count == first->next.count &&
           lane->plan.channels == first->plan.channels && length(&lane->queue) + lane->next.ready >= lane->next.count;
}

/* Makes what a chunk brought part of the lane. */
static void move_on(dn_lane *lane) {
    size_t count = lane->next.count;
    int64_t fade = lane->plan.fade;
    lane->position += (int64_t)count;
    lane->fade_in = lane->fade_in > (int64_t)count - fade ? lane->fade_in - (int64_t)count : -fade;
    lane->gliding = lane->gliding < fade - (int64_t)count ? lane->gliding + (int64_t)count : fade;
    lane->queue.end += lane->next.ready;
    lane->queue.start += count;
    lane->next.stage = NOTHING;
    if (!lane->plan.hop) return;
    lane->gate = lane->next.gate;
    lane->waiting.end += lane->next.samples;
    lane->waiting.start += lane->next.hops * lane->plan.hop;
    lane->skip -= least(lane->skip, lane->next.hops * lane->plan.hop);
    if (!lane->plan.to_backend) return;
    lane->samples += (int64_t)lane->next.samples;
    lane->frames += (int64_t)lane->next.ready;
    lane->input.end += count;
    lane->output.end += lane->next.cleaned;
    int64_t input_first = dn_ratio_first(lane->plan.to_backend, lane->samples);
    int64_t output_first = dn_ratio_first(lane->plan.to_caller, lane->frames);
    lane->input.start += (size_t)(input_first - lane->input_first);
    lane->output.start += (size_t)(output_first - lane->output_first);
    lane->input_first = input_first;
    lane->output_first = output_first;
}

/* Fades the later lanes in, and mixes the dry one in, where the first lane's frames lie. */
static void blend(dn_lane *const *lanes, size_t count, const dn_lane *dry) {
    const rows *first = &lanes[0]->queue;
    size_t frames = lanes[0]->next.count;
    for (size_t c = 0; c < lanes[0]->plan.channels; c++) {
        float *row = first->at + c * first->room + first->start;
        for (size_t k = 1; k < count; k++) {
            const rows *other = &lanes[k]->queue;
            const float *fresh = other->at + c * other->room + other->start;
            fade_over(row, fresh, frames, lanes[k]->fade_in, lanes[k]->plan.fade);
        }
        if (dry) mix_dry(row, dry->queue.at + c * dry->queue.room + dry->queue.start, frames, dry);
    }
}

static int64_t give(dn_lane *const *lanes, size_t count, dn_lane *dry, int64_t hops, const float *cleaned,
                    const float *voice, dn_type type, void *out) {
    dn_lane *first = lanes[0];
    if (hops && bring(first, hops, cleaned, voice) != DN_OK) return -DN_BAD_RANGE;
    for (size_t k = 0; k < count; k++) {
        if (!is_ready(lanes[k], first)) return -DN_BAD_RANGE;
    }
    if (dry && !is_ready(dry, first)) return -DN_BAD_RANGE;
    blend(lanes, count, dry);
    const float *row = first->queue.at + first->queue.start;
    dn_give_samples(type, row, first->queue.room, first->plan.channels, first->next.count, out);
    int64_t silent = 0;
    for (size_t k = 0; k < count; k++) {
        move_on(lanes[k]);
        if (k && lanes[k]->fade_in == -lanes[k]->plan.fade) silent = (int64_t)k;
    }
    if (dry) move_on(dry);
    return silent;
}

int64_t dn_lanes_give(dn_lane *const *lanes, size_t count, dn_lane *dry, int64_t hops, const float *cleaned,
                      const float *voice, dn_type type, void *out) {
    size_t held = 0;
    int64_t silent = -DN_BUSY;
    while (held < count && !DN_SET(&lanes[held]->busy)) held++;
    if (held == count && (!dry || !DN_SET(&dry->busy))) {
        silent = give(lanes, count, dry, hops, cleaned, voice, type, out);
        if (dry) DN_CLEAR(&dry->busy);
    }
    while (held > 0) DN_CLEAR(&lanes[--held]->busy);
    return silent;
}

/* ---- room, and a new beginning, without memory being asked for in between ---- */

enum { MOST_RESERVED = 1 << 24 /* frames */ };

/* Rows with room for so many frames and as many to come; see rows_reserve. */
static dn_status rows_widen(rows *r, size_t channels, size_t frames) {
    if (frames > SIZE_MAX / 16 / sizeof(float) / channels) return DN_NO_MEMORY;
    if (r->room >= 2 * frames) return DN_OK;
    size_t have = length(r), room = 2 * frames;
    float *at = dn_new(channels * room * sizeof(float));
    if (!at) return DN_NO_MEMORY;
    for (size_t c = 0; c < channels; c++) {
        memcpy(at + c * room, r->at + c * r->room + r->start, have * sizeof(float));
    }
    dn_delete(r->at);
    *r = (rows){at, room, 0, have};
    return DN_OK;
}

/* The most samples that so many frames bring at the other rate, and a few. */
static size_t most_ready(const dn_ratio *ratio, size_t frames) {
    return (size_t)dn_ratio_ready(ratio, (int64_t)frames + dn_ratio_reach(ratio)) + 8;
}

static dn_status reserve(dn_lane *lane, size_t frames) {
    const dn_lane_plan *plan = &lane->plan;
    size_t samples = plan->to_backend ? most_ready(plan->to_backend, frames) : frames, brought = samples + plan->hop;
    size_t ready = plan->to_caller ? most_ready(plan->to_caller, brought) : brought;
    dn_status status = rows_widen(&lane->queue, plan->channels, plan->latency + frames + ready);
    if (status == DN_OK && plan->hop) status = rows_widen(&lane->waiting, plan->channels, brought);
    if (status != DN_OK || !plan->to_backend) return status;
    size_t before = 2 * (size_t)dn_ratio_reach(plan->to_backend), after = 2 * (size_t)dn_ratio_reach(plan->to_caller);
    status = rows_widen(&lane->input, plan->channels, before + frames + samples);
    return status == DN_OK ? rows_widen(&lane->output, plan->channels, after + brought + ready) : status;
}

dn_status dn_lane_reserve(dn_lane *lane, size_t frames) {
    if (DN_SET(&lane->busy)) return DN_BUSY;
    dn_status status = frames > MOST_RESERVED ? DN_NO_MEMORY : reserve(lane, frames);
    DN_CLEAR(&lane->busy);
    return status;
}

/* Silence of so many frames in rows that had room for it from the beginning. */
static void rows_silence(rows *r, size_t channels, size_t frames) {
    r->start = 0;
    r->end = frames;
    for (size_t c = 0; c < channels; c++) memset(r->at + c * r->room, 0, frames * sizeof(float));
}

dn_status dn_lane_reset(dn_lane *lane) {
    const dn_lane_plan *plan = &lane->plan;
    if (DN_SET(&lane->busy)) return DN_BUSY;
    begin(lane);
    rows_silence(&lane->input, plan->channels, (size_t)-lane->input_first);
    rows_silence(&lane->waiting, plan->channels, 0);
    rows_silence(&lane->output, plan->channels, (size_t)-lane->output_first);
    rows_silence(&lane->queue, plan->channels, plan->latency);
    DN_CLEAR(&lane->busy);
    return DN_OK;
}

dn_status dn_lane_set(dn_lane *lane, float mix, float threshold) {
    if (DN_SET(&lane->busy)) return DN_BUSY;
    if (mix != lane->plan.mix) {
        lane->mix = mix_at(lane, 0);
        lane->plan.mix = mix;
        lane->gliding = 0;
    }
    lane->plan.gate.threshold = lane->gate.threshold = threshold;
    DN_CLEAR(&lane->busy);
    return DN_OK;
}

/* ---- a lane as bytes ---- */

enum { SAVED_VERSION = 1 };

/* What stands before the rows, each of which has as many frames as its count says. */
typedef struct {
    int64_t version, channels, hop, gated;
    int64_t input, waiting, output, queue; /* frames */
    int64_t input_first, output_first, samples, frames, skip, position, fade_in;
    int64_t since;
    double gain;
} saved_head;

static size_t saved_frames(const dn_lane *lane) {
    return length(&lane->input) + length(&lane->waiting) + length(&lane->output) + length(&lane->queue);
}

static size_t saved_size(const dn_lane *lane) {
    return sizeof(saved_head) + saved_frames(lane) * lane->plan.channels * sizeof(float);
}

dn_status dn_lane_look(dn_lane *lane, dn_lane_facts *facts) {
    if (DN_SET(&lane->busy)) return DN_BUSY;
    *facts = (dn_lane_facts){lane->position, lane->fade_in, lane->gate, saved_size(lane)};
    DN_CLEAR(&lane->busy);
    return DN_OK;
}

static char *save_rows(const rows *r, size_t channels, char *to) {
    size_t size = length(r) * sizeof(float);
    for (size_t c = 0; c < channels; c++, to += size) memcpy(to, r->at + c * r->room + r->start, size);
    return to;
}

static void save(const dn_lane *lane, void *bytes) {
    const saved_head head = {
        .version = SAVED_VERSION,
        .channels = (int64_t)lane->plan.channels,
        .hop = (int64_t)lane->plan.hop,
        .gated = lane->plan.gated,
        .input = (int64_t)length(&lane->input),
        .waiting = (int64_t)length(&lane->waiting),
        .output = (int64_t)length(&lane->output),
        .queue = (int64_t)length(&lane->queue),
        .input_first = lane->input_first,
        .output_first = lane->output_first,
        .samples = lane->samples,
        .frames = lane->frames,
        .skip = (int64_t)lane->skip,
        .position = lane->position,
        .fade_in = lane->fade_in,
        .since = lane->gate.since,
        .gain = (double)lane->gate.gain,
    };
    memcpy(bytes, &head, sizeof(head));
    char *to = (char *)bytes + sizeof(head);
    to = save_rows(&lane->input, lane->plan.channels, to);
    to = save_rows(&lane->waiting, lane->plan.channels, to);
    to = save_rows(&lane->output, lane->plan.channels, to);
    save_rows(&lane->queue, lane->plan.channels, to);
}

dn_status dn_lane_save(dn_lane *lane, void *bytes, size_t size) {
    if (DN_SET(&lane->busy)) return DN_BUSY;
    dn_status status = size == saved_size(lane) ? DN_OK : DN_BAD_RANGE;
    if (status == DN_OK) save(lane, bytes);
    DN_CLEAR(&lane->busy);
    return status;
}

/* A number between zero and most. */
static int within(int64_t value, int64_t most) {
    return value >= 0 && value <= most;
}

static int head_fits(const saved_head *head, const dn_lane_plan *plan, size_t size) {
    const int64_t most = (int64_t)((size - sizeof(*head)) / sizeof(float) / plan->channels);
    if (head->version != SAVED_VERSION || head->channels != (int64_t)plan->channels) return 0;
    if (head->hop != (int64_t)plan->hop || head->gated != plan->gated) return 0;
    if (!within(head->input, most) || !within(head->waiting, most)) return 0;
    if (!within(head->output, most) || !within(head->queue, most)) return 0;
    uint64_t frames = (uint64_t)(head->input + head->waiting) + (uint64_t)(head->output + head->queue);
    if (sizeof(*head) + frames * plan->channels * sizeof(float) != size) return 0;
    if (head->waiting && head->waiting >= head->hop) return 0;
    if (!within(head->samples, FAR) || !within(head->frames, FAR) || !within(head->position, FAR)) return 0;
    if (!within(head->skip, (int64_t)plan->delay) || head->fade_in < -FAR || head->fade_in > FAR) return 0;
    if (plan->gated && (!within(head->since, plan->gate.hold + 1) || (head->gain != 0 && head->gain != 1))) return 0;
    if (!plan->to_backend) return !head->input && !head->output;
    if (head->input_first != dn_ratio_first(plan->to_backend, head->samples)) return 0;
    return head->output_first == dn_ratio_first(plan->to_caller, head->frames);
}

static const char *restore_rows(rows *r, size_t channels, int64_t frames, const char *from, dn_status *status) {
    size_t size = channels * (size_t)frames * sizeof(float);
    if (*status == DN_OK) *status = rows_begin(r, channels, (size_t)frames);
    if (*status == DN_OK) memcpy(r->at, from, size);
    return from + size;
}

/* The lane that the bytes are of, beside the one that they are for. */
static dn_status read_saved(const dn_lane_plan *plan, const void *bytes, size_t size, dn_lane *out) {
    saved_head head;
    if (size < sizeof(head)) return DN_BAD_STATE;
    memcpy(&head, bytes, sizeof(head));
    if (!head_fits(&head, plan, size)) return DN_BAD_STATE;
    dn_status status = DN_OK;
    const char *from = (const char *)bytes + sizeof(head);
    from = restore_rows(&out->input, plan->channels, head.input, from, &status);
    from = restore_rows(&out->waiting, plan->channels, head.waiting, from, &status);
    from = restore_rows(&out->output, plan->channels, head.output, from, &status);
    restore_rows(&out->queue, plan->channels, head.queue, from, &status);
    out->plan = *plan;
    out->gate = plan->gate;
    out->gate.since = plan->gated ? head.since : plan->gate.since;
    out->gate.gain = (float)head.gain;
    out->input_first = head.input_first;
    out->output_first = head.output_first;
    out->samples = head.samples;
    out->frames = head.frames;
    out->skip = (size_t)head.skip;
    out->position = head.position;
    out->fade_in = head.fade_in;
    out->gliding = plan->fade;
    return status;
}

/* Gives each all that the other has, but for the flag. */
static void exchange(dn_lane *a, dn_lane *b) {
    enum { AT = offsetof(dn_lane, plan), SIZE = sizeof(dn_lane) - AT };
    char kept[SIZE];
    memcpy(kept, (char *)a + AT, SIZE);
    memcpy((char *)a + AT, (char *)b + AT, SIZE);
    memcpy((char *)b + AT, kept, SIZE);
}

dn_status dn_lane_restore(dn_lane *lane, const void *bytes, size_t size) {
    dn_lane *twin = dn_new(sizeof(*twin));
    if (!twin) return DN_NO_MEMORY;
    dn_status status = read_saved(&lane->plan, bytes, size, twin);
    if (status == DN_OK && DN_SET(&lane->busy)) status = DN_BUSY;
    if (status == DN_OK) {
        exchange(lane, twin);
        DN_CLEAR(&lane->busy);
    }
    dn_lane_destroy(twin);
    return status;
}
