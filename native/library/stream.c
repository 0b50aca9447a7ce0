/* A live signal: a lane, its dry line, and the memory of its channels in the model. All memory is set aside when the
 * stream is opened, for `block` frames; larger chunks go through piece by piece. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "denoise.h"
#include "flag.h"
#include "fpmode.h"
#include "library/denoiser.h"
#include "memory.h"
#include "samples.h"

/* No product of a gain is summed in one rounding, so that every build rounds alike. GCC does so by -std=c11. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

enum { MOST_SECONDS = 60 /* of latency */, MOST_BLOCK = 1 << 20 };

#define LOUDEST 1e5f      /* the loudest sample that is taken */
#define GAIN_STEP 0.125f  /* by which the least gain changes in a hop at most */
#define FADE_SECONDS 0.02 /* in which another mix is reached */

struct denoise_stream {
    dn_flag busy; /* a thread is in a function with it */
    const denoiser *model;
    int32_t rate, channels, step, latency;
    size_t block; /* frames that go through at a time; whole steps */
    size_t hop, delay;
    int zero_bad;
    int is_blended; /* the limit is a share of the late original, which this file mixes in */
    dn_ratio *to_backend, *to_caller;
    dn_lane *lane, *dry;
    dn_state **states; /* [channels] */
    dn_state **guides; /* [channels] of the model's guide, if it has one, and the signal that they are late by: */
    float *held;       /* [channels][late] */
    size_t late;
    size_t most_hops;     /* that a block can make whole */
    float *hops, *voices; /* [channels][most_hops * hop], [channels][most_hops] */
    float *originals;     /* [channels][delay + most_hops * hop], if it is blended */
    void *frames;         /* [block][channels] of any type */
    float gain, wanted;   /* the least gain, and the one that it goes to */
    float voice;
};

/* ---- settings ---- */

/* Also false for NaN. */
static int is_between(double value, double least, double most) {
    return value >= least && value <= most;
}

static float least_gain(double atten_lim_db) {
    return atten_lim_db < 0 ? 0 : (float)pow(10.0, -atten_lim_db / 20.0);
}

/* Checks the settings that may change while a signal goes on. */
static denoise_status check_changing(const denoiser *model, const denoise_settings *s, char *message) {
    if (isnan(s->atten_lim_db)) {
        return dn_say(DENOISE_BAD_RANGE, message, "atten_lim_db is in dB, or below 0 for no limit; it is NaN");
    }
    if (!is_between(s->mix, 0, 1)) {
        return dn_say(DENOISE_BAD_RANGE, message, "mix is 0 (the original) to 1 (the result), not %g", s->mix);
    }
    if (isnan(s->vad_threshold) || s->vad_threshold > 1) {
        return dn_say(DENOISE_BAD_RANGE, message, "vad_threshold is 0 to 1, or below 0 for no gate, not %g",
                      s->vad_threshold);
    }
    if (s->vad_threshold >= 0 && !denoiser_has_voice(model)) {
        return dn_say(DENOISE_BAD_RANGE, message,
                      "the model tells no probability of speech, and vad_threshold is %g; leave it below 0",
                      s->vad_threshold);
    }
    return DENOISE_OK;
}

static denoise_status check(const denoiser *model, int32_t rate, int32_t channels, const denoise_settings *s,
                            char *message) {
    if (rate < DENOISE_MIN_RATE || rate > DENOISE_MAX_RATE) {
        return dn_say(DENOISE_BAD_RANGE, message, "rate is %d to %d Hz, not %ld", DENOISE_MIN_RATE, DENOISE_MAX_RATE,
                      (long)rate);
    }
    if (channels < 1 || channels > DENOISE_MAX_CHANNELS) {
        return dn_say(DENOISE_BAD_RANGE, message, "channels are 1 to %d, not %ld", DENOISE_MAX_CHANNELS,
                      (long)channels);
    }
    if (s->size < sizeof(*s)) {
        return dn_say(DENOISE_BAD_RANGE, message,
                      "size is that of denoise_settings, %lu or more, not %lu; begin with %s",
                      (unsigned long)sizeof(*s), (unsigned long)s->size, "DENOISE_SETTINGS");
    }
    if (!is_between(s->vad_hold, 0, 3600)) {
        return dn_say(DENOISE_BAD_RANGE, message, "vad_hold is 0 to 3600 seconds, not %g", s->vad_hold);
    }
    if (s->step < 1 || s->step > MOST_BLOCK) {
        return dn_say(DENOISE_BAD_RANGE, message, "step is 1 to %d frames, not %ld", MOST_BLOCK, (long)s->step);
    }
    if (s->block < 1 || s->block > MOST_BLOCK) {
        return dn_say(DENOISE_BAD_RANGE, message, "block is 1 to %d frames, not %ld", MOST_BLOCK, (long)s->block);
    }
    return check_changing(model, s, message);
}

/* ---- the latency ---- */

static int64_t common_factor(int64_t a, int64_t b) {
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Least frames by which a stream is late if its queue is never to run dry: what the filters reach ahead, the delay, and
 * the samples that can wait for their hop to be whole. */
static int64_t least_latency(const denoise_stream *s, int32_t model_rate) {
    const int64_t hop = (int64_t)s->hop, delay = (int64_t)s->delay;
    if (!s->to_backend) return delay + hop - common_factor(hop, s->step);
    int64_t at_model = dn_ratio_reach(s->to_caller) + delay + hop - 1;
    return dn_ratio_reach(s->to_backend) + (at_model * s->rate + model_rate - 1) / model_rate;
}

static denoise_status choose_latency(denoise_stream *s, const denoiser *model, int32_t wanted, char *message) {
    int64_t least = least_latency(s, model->rate), most = (int64_t)MOST_SECONDS * s->rate;
    if (wanted && (wanted < least || wanted > most)) {
        return dn_say(DENOISE_BAD_RANGE, message, "latency is %ld to %ld frames here, or 0 for the least, not %ld",
                      (long)least, (long)most, (long)wanted);
    }
    s->latency = wanted ? wanted : (int32_t)least;
    return DENOISE_OK;
}

/* ---- a stream ---- */

static dn_status make_filters(denoise_stream *s, int32_t model_rate) {
    if (s->rate == model_rate) return DN_OK;
    dn_status status = dn_ratio_create(s->rate, model_rate, &s->to_backend);
    return status == DN_OK ? dn_ratio_create(model_rate, s->rate, &s->to_caller) : status;
}

static dn_gate make_gate(const denoise_stream *s, const denoiser *model, const denoise_settings *settings) {
    double hops = (settings->vad_hold * model->rate + (double)s->delay) / (double)s->hop;
    int64_t hold = (int64_t)ceil(rint(hops * 1e6) / 1e6);
    int is_gated = settings->vad_threshold >= 0;
    return (dn_gate){.threshold = (float)settings->vad_threshold,
                     .gain = is_gated ? 0 : 1,
                     .hold = hold,
                     .since = is_gated ? hold + 1 : 0};
}

static dn_status make_lanes(denoise_stream *s, const denoiser *model, const denoise_settings *settings) {
    const int64_t fade = (int64_t)ceil(FADE_SECONDS * s->rate);
    dn_lane_plan plan = {
        .channels = (size_t)s->channels, .latency = (size_t)s->latency, .mix = (float)settings->mix, .fade = fade};
    dn_status status = dn_lane_create(&plan, &s->dry);
    plan.hop = s->hop;
    plan.delay = s->delay;
    plan.to_backend = s->to_backend;
    plan.to_caller = s->to_caller;
    plan.gated = denoiser_has_voice(model);
    if (plan.gated) plan.gate = make_gate(s, model, settings);
    if (status == DN_OK) status = dn_lane_create(&plan, &s->lane);
    if (status == DN_OK) status = dn_lane_reserve(s->dry, s->block);
    if (status == DN_OK) status = dn_lane_reserve(s->lane, s->block);
    return status;
}

static size_t most_samples(const denoise_stream *s) {
    if (!s->to_backend) return s->block;
    return (size_t)dn_ratio_ready(s->to_backend, (int64_t)s->block + dn_ratio_reach(s->to_backend)) + 1;
}

/* Memory for so many rows; NULL when there is none, and when their size is beyond that of an address. */
static void *new_rows(int32_t rows, size_t columns, size_t size) {
    return columns > SIZE_MAX / 2 / size / (size_t)rows ? NULL : dn_new((size_t)rows * columns * size);
}

static dn_status make_guides(denoise_stream *s, const dn_model *guide) {
    s->late = (size_t)dn_model_delay(guide);
    s->guides = new_rows(s->channels, 1, sizeof(*s->guides));
    s->held = new_rows(s->channels, s->late, sizeof(float));
    dn_status status = s->guides && s->held ? DN_OK : DN_NO_MEMORY;
    for (int32_t c = 0; c < s->channels && status == DN_OK; c++) status = dn_state_create(guide, &s->guides[c]);
    return status;
}

static dn_status make_memory(denoise_stream *s, const denoiser *model) {
    const int32_t channels = s->channels;
    s->most_hops = most_samples(s) / s->hop + 1;
    s->states = new_rows(channels, 1, sizeof(*s->states));
    s->hops = new_rows(channels, s->most_hops * s->hop, sizeof(float));
    s->voices = new_rows(channels, s->most_hops, sizeof(float));
    s->frames = new_rows(channels, s->block, sizeof(double));
    if (s->is_blended) s->originals = new_rows(channels, s->delay + s->most_hops * s->hop, sizeof(float));
    if (!s->states || !s->hops || !s->voices || !s->frames || (s->is_blended && !s->originals)) return DN_NO_MEMORY;
    dn_status status = DN_OK;
    for (int32_t c = 0; c < channels && status == DN_OK; c++) status = dn_state_create(model->model, &s->states[c]);
    return status == DN_OK && model->guide ? make_guides(s, model->guide) : status;
}

static denoise_status fill(denoise_stream *s, const denoiser *model, const denoise_settings *settings, char *message) {
    s->step = settings->step;
    s->block = ((size_t)settings->block + (size_t)s->step - 1) / (size_t)s->step * (size_t)s->step;
    s->hop = (size_t)dn_model_hop(model->model);
    s->delay = (size_t)denoiser_delay(model);
    s->zero_bad = settings->zero_bad;
    s->is_blended = dn_model_family(model->model) == DN_DTLN;
    s->gain = s->wanted = least_gain(settings->atten_lim_db);
    dn_status made = make_filters(s, model->rate);
    if (made == DN_BAD_RANGE) {
        return dn_say(DENOISE_BAD_RANGE, message,
                      "%ld Hz cannot be brought to the model's %ld Hz; they are too far apart", (long)s->rate,
                      (long)model->rate);
    }
    if (made == DN_OK) {
        denoise_status status = choose_latency(s, model, settings->latency, message);
        if (status != DENOISE_OK) return status;
        made = make_lanes(s, model, settings);
    }
    if (made == DN_OK) made = make_memory(s, model);
    return made == DN_OK ? DENOISE_OK : dn_say(dn_public_status(made), message, "no memory for the stream");
}

denoise_status denoise_stream_open(const denoiser *model, int32_t rate, int32_t channels,
                                   const denoise_settings *settings, denoise_stream **out, char *message) {
    const denoise_settings usual = DENOISE_SETTINGS;
    *out = NULL;
    if (!settings) settings = &usual;
    denoise_status status = check(model, rate, channels, settings, message);
    if (status != DENOISE_OK) return status;
    denoise_stream *s = dn_new(sizeof(*s));
    if (!s) return dn_say(DENOISE_NO_MEMORY, message, "no memory for the stream");
    s->model = model;
    s->rate = rate;
    s->channels = channels;
    status = fill(s, model, settings, message);
    if (status == DENOISE_OK) {
        *out = s;
    } else {
        denoise_stream_close(s);
    }
    return status;
}

void denoise_stream_close(denoise_stream *stream) {
    if (!stream) return;
    dn_lane_destroy(stream->lane);
    dn_lane_destroy(stream->dry);
    for (int32_t c = 0; stream->states && c < stream->channels; c++) dn_state_destroy(stream->states[c]);
    for (int32_t c = 0; stream->guides && c < stream->channels; c++) dn_state_destroy(stream->guides[c]);
    dn_ratio_destroy(stream->to_backend);
    dn_ratio_destroy(stream->to_caller);
    dn_delete(stream->states);
    dn_delete(stream->guides);
    dn_delete(stream->held);
    dn_delete(stream->hops);
    dn_delete(stream->voices);
    dn_delete(stream->originals);
    dn_delete(stream->frames);
    dn_delete(stream);
}

int32_t denoise_stream_latency(const denoise_stream *stream) {
    return stream->latency;
}

float denoise_stream_voice(const denoise_stream *stream) {
    return stream->voice;
}

/* ---- hops ---- */

static float next_gain(float gain, float wanted) {
    float change = wanted - gain;
    return fabsf(change) <= GAIN_STEP ? wanted : gain + copysignf(GAIN_STEP, change);
}

/* A hop of the late original and of the result, with a share of the first that goes from before to after. */
static void blend_hop(float *out, const float *original, size_t hop, float before, float after) {
    if (before == after) {
        for (size_t i = 0; i < hop; i++) out[i] = out[i] * (1 - after) + original[i] * after;
        return;
    }
    for (size_t i = 0; i < hop; i++) {
        float gain = before + (after - before) * ((float)(i + 1) / (float)hop);
        out[i] = out[i] * (1 - gain) + original[i] * gain;
    }
}

static dn_status clean_blended(denoise_stream *s, size_t hops) {
    const size_t n = hops * s->hop, row = s->delay + s->most_hops * s->hop, channels = (size_t)s->channels;
    for (size_t c = 0; c < channels; c++) memcpy(s->originals + c * row + s->delay, s->hops + c * n, n * sizeof(float));
    dn_status status = dn_process(s->states, channels, s->hops, s->hops, s->voices, hops, 0);
    uint64_t mode = dn_enter();
    float before = s->gain, after = before;
    for (size_t h = 0; h < hops && status == DN_OK; h++, before = after) {
        after = next_gain(before, s->wanted);
        if (before == 0 && after == 0) continue;
        for (size_t c = 0; c < channels; c++) {
            blend_hop(s->hops + c * n + h * s->hop, s->originals + c * row + h * s->hop, s->hop, before, after);
        }
    }
    s->gain = after;
    dn_leave(mode);
    for (size_t c = 0; c < channels; c++) {
        memmove(s->originals + c * row, s->originals + c * row + n, s->delay * sizeof(float));
    }
    return status;
}

/* Cleans hops of count channels from number c on in place. */
static dn_status run_model(denoise_stream *s, size_t c, size_t count, float *samples, float *voices, size_t hops) {
    dn_state **states = s->states + c;
    if (!s->guides) return dn_process(states, count, samples, samples, voices, hops, s->gain);
    float *held = s->held + c * s->late;
    return dn_process_behind(s->guides + c, states, count, samples, held, samples, voices, hops, s->gain);
}

/* Cleans one hop of every channel, number h of so many. */
static dn_status clean_hop(denoise_stream *s, size_t hops, size_t h) {
    dn_status status = DN_OK;
    s->gain = next_gain(s->gain, s->wanted);
    for (size_t c = 0; c < (size_t)s->channels && status == DN_OK; c++) {
        status = run_model(s, c, 1, s->hops + (c * hops + h) * s->hop, s->voices + c * hops + h, 1);
    }
    return status;
}

static dn_status clean(denoise_stream *s, size_t hops) {
    if (s->is_blended) return clean_blended(s, hops);
    if (s->gain == s->wanted) return run_model(s, 0, (size_t)s->channels, s->hops, s->voices, hops);
    dn_status status = DN_OK;
    for (size_t h = 0; h < hops && status == DN_OK; h++) status = clean_hop(s, hops, h);
    return status;
}

static float loudest_voice(const denoise_stream *s, size_t hops) {
    float voice = 0;
    for (size_t c = 0; c < (size_t)s->channels; c++) voice = fmaxf(voice, s->voices[c * hops + hops - 1]);
    return voice;
}

/* ---- chunks ---- */

/* Takes frames, a block at most, and gives as many. The two types are those of what comes and of what goes. */
static denoise_status run_block(denoise_stream *s, dn_type in_type, const void *in, dn_type out_type, void *out,
                                size_t frames) {
    int64_t hops = dn_lane_take(s->dry, in_type, in, frames, LOUDEST, -1, NULL);
    if (hops >= 0) hops = dn_lane_take(s->lane, in_type, in, frames, LOUDEST, -1, NULL);
    if (hops < 0) return dn_public_status((dn_status)-hops);
    dn_status status = DN_OK;
    if (hops) {
        status = dn_lane_block(s->lane, hops, s->hops);
        if (status == DN_OK) status = clean(s, (size_t)hops);
        if (status == DN_OK) s->voice = loudest_voice(s, (size_t)hops);
    }
    if (status != DN_OK) return dn_public_status(status);
    int64_t silent = dn_lanes_give(&s->lane, 1, s->dry, hops, s->hops, s->voices, out_type, out);
    return silent < 0 ? dn_public_status((dn_status)-silent) : DENOISE_OK;
}

static size_t size_of(dn_type type) {
    switch (type) {
    case DN_INT16:
        return sizeof(int16_t);
    case DN_INT32:
        return sizeof(int32_t);
    case DN_FLOAT:
        return sizeof(float);
    default:
        return sizeof(double);
    }
}

/* Says whether all samples of a chunk of floats can be taken. */
static int is_usable(dn_type type, const void *samples, size_t count) {
    int bad = 0;
    if (type == DN_FLOAT) {
        for (size_t i = 0; i < count; i++) bad |= !(fabsf(((const float *)samples)[i]) <= LOUDEST);
    } else if (type == DN_DOUBLE) {
        for (size_t i = 0; i < count; i++) bad |= !(fabsf((float)((const double *)samples)[i]) <= LOUDEST);
    }
    return !bad;
}

/* Floats of samples, those being zero that cannot be taken. */
static void take_good(denoise_stream *s, dn_type type, const void *samples, size_t count) {
    float *to = s->frames;
    if (dn_take_samples(type, samples, 1, count, LOUDEST, to, count) == DN_OK) return;
    for (size_t i = 0; i < count; i++) to[i] = fabsf(to[i]) <= LOUDEST ? to[i] : 0;
}

static denoise_status process(denoise_stream *s, dn_type type, const void *in, void *out, size_t frames) {
    const size_t channels = (size_t)s->channels, size = channels * size_of(type);
    const int may_be_bad = type == DN_FLOAT || type == DN_DOUBLE;
    if (frames % (size_t)s->step) return DENOISE_BAD_RANGE;
    if (frames > s->block && !s->zero_bad && !is_usable(type, in, frames * channels)) return DENOISE_NOT_FINITE;
    for (size_t at = 0; at < frames; at += s->block) {
        const size_t count = frames - at < s->block ? frames - at : s->block;
        const void *from = (const char *)in + at * size;
        dn_type from_type = type;
        if (s->zero_bad && may_be_bad) {
            take_good(s, type, from, count * channels);
            from = s->frames;
            from_type = DN_FLOAT;
        }
        denoise_status status = run_block(s, from_type, from, type, (char *)out + at * size, count);
        if (status != DENOISE_OK) return status;
    }
    return DENOISE_OK;
}

static int is_type(denoise_type type) {
    return type == DENOISE_INT16 || type == DENOISE_INT32 || type == DENOISE_FLOAT || type == DENOISE_DOUBLE;
}

denoise_status denoise_stream_process(denoise_stream *stream, denoise_type type, const void *in, void *out,
                                      size_t frames) {
    if (!is_type(type)) return DENOISE_BAD_RANGE;
    if (DN_SET(&stream->busy)) return DENOISE_BUSY;
    denoise_status status = process(stream, (dn_type)type, in, out, frames);
    DN_CLEAR(&stream->busy);
    return status;
}

/* ---- rows ---- */

static void weave(const denoise_stream *s, const float *const *in, size_t at, size_t count, float *to) {
    const size_t channels = (size_t)s->channels;
    for (size_t c = 0; c < channels; c++) {
        for (size_t i = 0; i < count; i++) to[i * channels + c] = in[c][at + i];
    }
}

static void part(const denoise_stream *s, const float *from, float *const *out, size_t at, size_t count) {
    const size_t channels = (size_t)s->channels;
    for (size_t c = 0; c < channels; c++) {
        for (size_t i = 0; i < count; i++) out[c][at + i] = from[i * channels + c];
    }
}

static denoise_status process_rows(denoise_stream *s, const float *const *in, float *const *out, size_t frames) {
    if (frames % (size_t)s->step) return DENOISE_BAD_RANGE;
    for (int32_t c = 0; c < s->channels && !s->zero_bad && frames > s->block; c++) {
        if (!is_usable(DN_FLOAT, in[c], frames)) return DENOISE_NOT_FINITE;
    }
    for (size_t at = 0; at < frames; at += s->block) {
        const size_t count = frames - at < s->block ? frames - at : s->block;
        weave(s, in, at, count, s->frames);
        denoise_status status = process(s, DN_FLOAT, s->frames, s->frames, count);
        if (status != DENOISE_OK) return status;
        part(s, s->frames, out, at, count);
    }
    return DENOISE_OK;
}

denoise_status denoise_stream_process_rows(denoise_stream *stream, const float *const *in, float *const *out,
                                           size_t frames) {
    if (DN_SET(&stream->busy)) return DENOISE_BUSY;
    denoise_status status = process_rows(stream, in, out, frames);
    DN_CLEAR(&stream->busy);
    return status;
}

/* ---- the end, and changes ---- */

static void begin_anew(denoise_stream *s) {
    dn_lane_reset(s->lane);
    dn_lane_reset(s->dry);
    for (int32_t c = 0; c < s->channels; c++) dn_state_reset(s->states[c]);
    for (int32_t c = 0; s->guides && c < s->channels; c++) dn_state_reset(s->guides[c]);
    if (s->guides) memset(s->held, 0, (size_t)s->channels * s->late * sizeof(float));
    if (s->is_blended) {
        memset(s->originals, 0, (size_t)s->channels * (s->delay + s->most_hops * s->hop) * sizeof(float));
    }
    s->gain = s->wanted;
    s->voice = 0;
}

static denoise_status flush(denoise_stream *s, dn_type type, char *out) {
    const size_t channels = (size_t)s->channels, size = channels * size_of(type), latency = (size_t)s->latency;
    for (size_t at = 0; at < latency; at += s->block) {
        size_t due = latency - at < s->block ? latency - at : s->block;
        size_t count = (due + (size_t)s->step - 1) / (size_t)s->step * (size_t)s->step; /* no more than a block */
        memset(s->frames, 0, count * channels * sizeof(float));
        denoise_status status = run_block(s, DN_FLOAT, s->frames, type, s->frames, count);
        if (status != DENOISE_OK) return status;
        memcpy(out + at * size, s->frames, due * size);
    }
    begin_anew(s);
    return DENOISE_OK;
}

denoise_status denoise_stream_flush(denoise_stream *stream, denoise_type type, void *out) {
    if (!is_type(type)) return DENOISE_BAD_RANGE;
    if (DN_SET(&stream->busy)) return DENOISE_BUSY;
    denoise_status status = flush(stream, (dn_type)type, out);
    DN_CLEAR(&stream->busy);
    return status;
}

denoise_status denoise_stream_reset(denoise_stream *stream) {
    if (DN_SET(&stream->busy)) return DENOISE_BUSY;
    begin_anew(stream);
    DN_CLEAR(&stream->busy);
    return DENOISE_OK;
}

denoise_status denoise_stream_change(denoise_stream *stream, const denoise_settings *settings) {
    if (settings->size < sizeof(*settings)) return DENOISE_BAD_RANGE;
    if (check_changing(stream->model, settings, NULL) != DENOISE_OK) return DENOISE_BAD_RANGE;
    if (DN_SET(&stream->busy)) return DENOISE_BUSY;
    stream->wanted = least_gain(settings->atten_lim_db);
    dn_lane_set(stream->dry, (float)settings->mix, 0);
    dn_lane_set(stream->lane, (float)settings->mix, (float)settings->vad_threshold);
    DN_CLEAR(&stream->busy);
    return DENOISE_OK;
}
