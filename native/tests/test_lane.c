/* A lane gives as many frames as it takes, late by its latency and the same however they are cut; a chunk given up on
 * the way leaves no trace; saved bytes go on, and damaged ones are refused. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "denoise.h"

enum { CHANNELS = 2, HOP = 100, DELAY = 70, FRAMES = 6000, LATENCY = 1200, MOST = 40 * FRAMES };

static const float limit = 1e5f;

/* A backend that only delays, and hears speech in loud hops. */
typedef struct {
    float late[CHANNELS][DELAY];
} backend;

static void clean(backend *b, int64_t hops, const float *block, float *cleaned, float *voice) {
    static float line[DELAY + MOST];
    size_t n = (size_t)hops * HOP;
    for (size_t c = 0; c < CHANNELS; c++) {
        memcpy(line, b->late[c], sizeof(b->late[c]));
        memcpy(line + DELAY, block + c * n, n * sizeof(float));
        memcpy(cleaned + c * n, line, n * sizeof(float));
        memcpy(b->late[c], line + n, sizeof(b->late[c]));
        for (size_t h = 0; h < (size_t)hops; h++) voice[c * (size_t)hops + h] = fabsf(block[c * n + h * HOP]);
    }
}

static float block[CHANNELS * MOST], cleaned[CHANNELS * MOST], voice[CHANNELS * MOST];

/* The next chunk through a lane, and a dry one if there is one. */
static void process(dn_lane *lane, dn_lane *dry, backend *b, const float *in, size_t frames, float *out) {
    int64_t hops = dn_lane_take(lane, DN_FLOAT, in, frames, limit, 1, block);
    CHECK(hops >= 0);
    if (dry) CHECK(dn_lane_take(dry, DN_FLOAT, in, frames, limit, 0, NULL) == 0);
    if (hops > 1) CHECK(dn_lane_block(lane, hops, block) == DN_OK);
    if (hops) clean(b, hops, block, cleaned, voice);
    CHECK(dn_lanes_give(&lane, 1, dry, hops, cleaned, voice, DN_FLOAT, out) == 0);
}

static dn_lane *opened(const dn_lane_plan *plan) {
    dn_lane *lane;
    CHECK(dn_lane_create(plan, &lane) == DN_OK);
    return lane;
}

static dn_lane_facts facts_of(dn_lane *lane) {
    dn_lane_facts facts;
    CHECK(dn_lane_look(lane, &facts) == DN_OK);
    return facts;
}

static dn_lane *saved_and_restored(dn_lane *lane, const dn_lane_plan *plan) {
    static char bytes[1 << 20];
    size_t size = facts_of(lane).size;
    CHECK(size <= sizeof(bytes));
    CHECK(dn_lane_save(lane, bytes, size - 1) == DN_BAD_RANGE);
    CHECK(dn_lane_save(lane, bytes, size) == DN_OK);
    dn_lane *twin = opened(plan);
    CHECK(dn_lane_restore(twin, bytes, size - 4) == DN_BAD_STATE);
    CHECK(dn_lane_restore(twin, bytes, 7) == DN_BAD_STATE);
    for (size_t i = 0; i < 8 * 8; i += 8) { /* version to counts of frames */
        bytes[i + 1] ^= 0x20;
        CHECK(dn_lane_restore(twin, bytes, size) == DN_BAD_STATE);
        bytes[i + 1] ^= 0x20;
    }
    CHECK(dn_lane_restore(twin, bytes, size) == DN_OK);
    CHECK(facts_of(twin).size == size && facts_of(twin).position == facts_of(lane).position);
    dn_lane_destroy(lane);
    return twin;
}

static void test_pieces(const dn_lane_plan *plan) {
    static float in[CHANNELS * FRAMES], whole[CHANNELS * FRAMES], out[CHANNELS * FRAMES];
    const dn_lane_plan dry_plan = {.channels = CHANNELS, .latency = LATENCY, .mix = 0.75f};
    for (size_t i = 0; i < CHANNELS * FRAMES; i++) in[i] = random_float() * (i / 2000 % 2 ? 1 : 0.01f);
    backend b = {0}, alone = {0}, kept;
    dn_lane *lane = opened(plan), *dry = opened(&dry_plan);
    process(lane, dry, &alone, in, FRAMES, whole);
    dn_lane_destroy(lane);
    dn_lane_destroy(dry);
    lane = opened(plan);
    dry = opened(&dry_plan);
    for (size_t at = 0, size; at < FRAMES; at += size) {
        size = random_bits() % 400;
        if (size > FRAMES - at) size = FRAMES - at;
        float bad[CHANNELS * 3] = {0, 0, 0, NAN, 0, 0};
        kept = b;
        int64_t hops = dn_lane_take(lane, DN_FLOAT, in, 333, limit, 0, NULL); /* given up at once, or later */
        CHECK(dn_lane_bring(lane, hops + 1, cleaned, voice) == DN_BAD_RANGE);
        if (hops && random_bits() % 2) CHECK(dn_lane_bring(lane, hops, cleaned, voice) == DN_OK);
        if (hops) CHECK(dn_lanes_give(&lane, 1, dry, 0, NULL, NULL, DN_FLOAT, out) == -DN_BAD_RANGE);
        CHECK(dn_lane_take(lane, DN_FLOAT, bad, 3, limit, 0, NULL) == -DN_NOT_FINITE);
        CHECK(dn_lanes_give(&lane, 1, NULL, 0, NULL, NULL, DN_FLOAT, out) == -DN_BAD_RANGE);
        b = kept;
        process(lane, dry, &b, in + at * CHANNELS, size, out + at * CHANNELS);
        if (random_bits() % 4 == 0) lane = saved_and_restored(lane, plan);
        if (random_bits() % 4 == 0) dry = saved_and_restored(dry, &dry_plan);
    }
    CHECK(memcmp(out, whole, sizeof(out)) == 0);
    CHECK(facts_of(lane).position == FRAMES);
    for (size_t i = 0; i < CHANNELS * LATENCY; i++) CHECK(out[i] == 0);
    double error = 0;
    for (size_t i = CHANNELS * LATENCY; i < CHANNELS * FRAMES && !plan->gated; i++) {
        error = fmax(error, fabs((double)out[i] - (double)in[i - CHANNELS * LATENCY]));
    }
    CHECK(plan->to_backend || error < 1e-6); /* white noise does not pass a change of rate as it is */
    dn_lane_destroy(lane);
    dn_lane_destroy(dry);
}

/* The second lane is heard once it has faded in, and nothing is left of the first. */
static void test_fade(void) {
    enum { FADE_IN = 250, FADE = 40, N = 400 };
    dn_lane_plan plan = {.channels = 1, .hop = 1, .fade = FADE};
    dn_lane *lanes[2] = {opened(&plan)};
    plan.fade_in = FADE_IN;
    lanes[1] = opened(&plan);
    float in[N], out[N], doubled[N];
    for (int i = 0; i < N; i++) in[i] = 1;
    for (int i = 0; i < N; i++) doubled[i] = 2;
    for (int at = 0, size = 1; at < N; at += size, size = size % 60 + 7) {
        if (size > N - at) size = N - at;
        for (int k = 0; k < 2; k++) CHECK(dn_lane_take(lanes[k], DN_FLOAT, in, (size_t)size, limit, 0, NULL) == size);
        CHECK(dn_lane_bring(lanes[1], size, doubled, NULL) == DN_OK);
        int64_t silent = dn_lanes_give(lanes, 2, NULL, size, in, NULL, DN_FLOAT, out + at);
        CHECK(silent == (at + size >= FADE_IN + FADE));
        CHECK(facts_of(lanes[1]).fade_in == (silent ? -FADE : FADE_IN - at - size));
    }
    for (int i = 0; i < N; i++) {
        float weight = i < FADE_IN ? 0 : i >= FADE_IN + FADE ? 1 : (float)(i + 1 - FADE_IN) / FADE;
        CHECK(fabsf(out[i] - 1 - weight) < 1e-6f);
    }
    dn_lane_destroy(lanes[0]);
    dn_lane_destroy(lanes[1]);
}

static void test_gate(void) {
    dn_gate gate = {.threshold = 0.5f, .hold = 2, .since = 3};
    const float heard[2][8] = {{0, 0.5f, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0.9f, 0, 0}};
    const float wanted[8] = {0, 1, 1, 1, 0, 1, 1, 1};
    float gains[8];
    dn_gate_run(&gate, heard[0], 2, 8, gains);
    CHECK(memcmp(gains, wanted, sizeof(gains)) == 0 && gate.since == 2 && gate.gain == 1);
}

int main(void) {
    const int32_t rates[][2] = {{8000, 8000}, {44100, 16000}, {8000, 16000}, {47999, 48000}};
    for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
        dn_ratio *in = NULL, *out = NULL;
        if (rates[i][0] != rates[i][1]) {
            CHECK(dn_ratio_create(rates[i][0], rates[i][1], &in) == DN_OK);
            CHECK(dn_ratio_create(rates[i][1], rates[i][0], &out) == DN_OK);
        }
        for (int gated = 0; gated < 2; gated++) {
            const dn_lane_plan plan = {
                .channels = CHANNELS,
                .hop = HOP,
                .delay = DELAY,
                .latency = LATENCY,
                .to_backend = in,
                .to_caller = out,
                .gated = gated,
                .gate = {.threshold = 0.3f, .hold = 3, .since = 4},
            };
            test_pieces(&plan);
        }
        dn_ratio_destroy(in);
        dn_ratio_destroy(out);
    }
    test_fade();
    test_gate();
    dn_lane *lane;
    const dn_lane_plan none = {.channels = 0};
    CHECK(dn_lane_create(&none, &lane) == DN_BAD_RANGE && lane == NULL);
    dn_lane_destroy(NULL);
    return done("lane");
}
