/* Two threads that use one lane: every pair of its functions, called at once over and over. One of them is refused or
 * waits for nothing, no sample of one gets among those of the other, and ThreadSanitizer sees no race (make tsan).
 *
 *     test_lane_threads [CALLS]    in all, over all pairs */
#include <string.h>

#include "check.h"
#include "denoise.h"

#ifdef _WIN32

int main(void) {
    printf("test_lane_threads: no POSIX threads here\n");
    return EXIT_SUCCESS;
}

#else

#include <pthread.h>

/* A chunk is as long as the lane is late: each comes out whole, with the next one that goes in. */
enum { CHUNK = 24, HOP = 8, MOST_BYTES = 4096, JOBS = 6 };

typedef struct {
    dn_lane *lane;
    int number, job; /* of the thread, 0 or 1, and what it does */
    long calls, done, refused;
    float sent;                      /* chunks so far, of which each sample says which it is of */
    long wrong, disordered, came[2]; /* chunks of either thread that came out here */
    float newest[2];                 /* of them */
    char bytes[MOST_BYTES];
    size_t size; /* of the lane saved in them */
} worker;

static const float limit = 1e9f;

/* What comes out is one chunk of one thread, later than all that came before of it; or the silence of the beginning. */
static void check_chunk(worker *w, const float *out) {
    for (int i = 1; i < CHUNK; i++) w->wrong += out[i] != out[0];
    if (out[0] == 0) return;
    int whose = out[0] < 0;
    float number = whose ? -out[0] : out[0];
    w->disordered += number <= w->newest[whose];
    w->newest[whose] = number;
    w->came[whose]++;
}

/* One chunk all its way, or one of whose place another takes. */
static int process(worker *w) {
    float in[CHUNK], block[CHUNK + HOP], out[CHUNK];
    float value = w->sent + 1;
    for (int i = 0; i < CHUNK; i++) in[i] = w->number ? -value : value;
    int64_t hops = dn_lane_take(w->lane, DN_FLOAT, in, CHUNK, limit, 3, block);
    if (hops < 0) return 0;
    w->wrong += hops != CHUNK / HOP;
    if (w->sent > 0 && (long)w->sent % 3 == 0 && dn_lane_block(w->lane, hops, block) != DN_OK) return 0;
    for (int i = 0; i < CHUNK; i++) w->wrong += block[i] != in[i];
    if (dn_lanes_give(&w->lane, 1, NULL, hops, block, NULL, DN_FLOAT, out) != 0) return 0;
    w->sent = value;
    check_chunk(w, out);
    return 1;
}

static int give_up(worker *w) {
    float in[CHUNK] = {5e8f}, block[CHUNK + HOP] = {0};
    int64_t hops = dn_lane_take(w->lane, DN_FLOAT, in, CHUNK, limit, 0, NULL);
    return hops >= 0 && dn_lane_bring(w->lane, hops, block, NULL) == DN_OK;
}

static int look(worker *w) {
    dn_lane_facts facts;
    if (dn_lane_look(w->lane, &facts) != DN_OK) return 0;
    w->wrong += facts.position % CHUNK != 0 || facts.fade_in > 0 || facts.size > MOST_BYTES;
    return 1;
}

static int save(worker *w) {
    dn_lane_facts facts;
    if (dn_lane_look(w->lane, &facts) != DN_OK || dn_lane_save(w->lane, w->bytes, facts.size) != DN_OK) return 0;
    w->size = facts.size;
    return 1;
}

static int restore_damaged(worker *w) {
    if (!w->size && !save(w)) return 0;
    return dn_lane_restore(w->lane, w->bytes, w->size - 1) == DN_BAD_STATE;
}

/* To what was saved first, so that chunks come out again: their order is not looked at then. */
static int restore(worker *w) {
    if (!w->size && !save(w)) return 0;
    return dn_lane_restore(w->lane, w->bytes, w->size) == DN_OK;
}

static int (*const jobs[JOBS])(worker *w) = {process, give_up, look, save, restore_damaged, restore};

static void *work(void *argument) {
    worker *w = argument;
    for (long i = 0; i < w->calls; i++) {
        if (jobs[w->job](w))
            w->done++;
        else
            w->refused++;
    }
    return NULL;
}

static void try_pair(int first, int second, long calls) {
    const dn_lane_plan plan = {.channels = 1, .hop = HOP, .latency = CHUNK};
    dn_lane *lane;
    CHECK(dn_lane_create(&plan, &lane) == DN_OK);
    static worker workers[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        workers[i] = (worker){.lane = lane, .number = i, .job = i ? second : first, .calls = calls};
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 2; i++) CHECK(workers[i].wrong == 0 && (workers[i].disordered == 0 || second == 5));
    for (int whose = 0; whose < 2 && second != 5; whose++) { /* each chunk came out once, but for the last of all */
        long came = workers[0].came[whose] + workers[1].came[whose];
        CHECK(came == (long)workers[whose].sent || came == (long)workers[whose].sent - 1);
    }
    dn_lane_destroy(lane);
}

int main(int argc, char **argv) {
    long calls = argc > 1 ? strtol(argv[1], NULL, 10) : 42000;
    int pairs = JOBS * (JOBS + 1) / 2;
    for (int first = 0; first < JOBS; first++) {
        for (int second = first; second < JOBS; second++) try_pair(first, second, calls / pairs / 2);
    }
    return done("test_lane_threads");
}

#endif
