/* Many threads at once: one model shared, states of each thread's own, models loaded and freed all the while. What each
 * gets is bit for bit what one thread alone gets. Worth most under ThreadSanitizer (make tsan). */
#include "models_dtln.h"
#include "models_enhancer.h"

#ifdef _WIN32

int main(void) {
    printf("test_threads: no POSIX threads here\n");
    return EXIT_SUCCESS;
}

#else

#include <pthread.h>

enum {
    THREADS = 64,
    MODELS = 5,
    PAIR = 3,
    FRAMES = 12,
    SAMPLES = FRAMES * DN_FRAME,
    HALF = FRAMES / 2,
    RESAMPLED = 400
};

static model_file file[MODELS]; /* the last one's stays empty: it is the one compiled in; so does that of the pair */
static onnx_file first, second;
static dn_model *shared[MODELS];
static dn_ratio *ratio;
static float noise[SAMPLES], wanted[MODELS][SAMPLES], wanted_voice[MODELS][FRAMES], wanted_resampled[RESAMPLED];
static pthread_mutex_t start = PTHREAD_MUTEX_INITIALIZER; /* held until all threads are there */

typedef struct {
    pthread_t thread;
    int number, failures;
    float out[SAMPLES], voice[FRAMES];
} worker;

static dn_status load(int m, dn_model **model) {
    if (m == PAIR) return dn_model_load_pair(first.data, first.size, second.data, second.size, DN_INT8, model, NULL);
    return m < MODELS - 1 ? dn_model_load(file[m].data, file[m].size, model, NULL) : dn_model_builtin(model, NULL);
}

static int same(const float *x, const float *y, size_t n) {
    return memcmp(x, y, n * sizeof(*x)) == 0;
}

/* The noise through a model, in pieces whose size is this thread's own, half of it by a state taken over from bytes.
 * Returns whether it came out as it should. */
static int is_right(const dn_model *model, int m, worker *w) {
    dn_state *state, *other;
    const size_t hop = (size_t)dn_model_hop(model);
    int size = 1 + w->number % 5;
    if (dn_state_create(model, &state) != DN_OK || dn_state_create(model, &other) != DN_OK) return 0;
    for (int f = 0, n; f < FRAMES; f += n) {
        if (f == HALF) {
            void *bytes = malloc(dn_state_size(state));
            dn_state_save(state, bytes);
            if (dn_state_restore(other, bytes, dn_state_size(other)) != DN_OK) return 0;
            free(bytes);
        }
        int end = f < HALF ? HALF : FRAMES;
        n = size < end - f ? size : end - f;
        dn_state *now = f < HALF ? state : other;
        size_t at = (size_t)f * hop;
        if (dn_process(&now, 1, noise + at, w->out + at, w->voice + f, (size_t)n, 0) != DN_OK) return 0;
    }
    dn_state_destroy(state);
    dn_state_destroy(other);
    return same(w->out, wanted[m], FRAMES * hop) && same(w->voice, wanted_voice[m], FRAMES);
}

static void *work(void *argument) {
    worker *w = argument;
    pthread_mutex_lock(&start);
    pthread_mutex_unlock(&start);
    for (int m = 0; m < MODELS; m++) {
        w->failures += !is_right(shared[(w->number + m) % MODELS], (w->number + m) % MODELS, w);
    }
    int m = w->number % MODELS;
    dn_model *own;
    if (load(m, &own) != DN_OK) {
        w->failures++;
        return NULL;
    }
    w->failures += dn_model_set_isa(own, NULL) != DN_OK || strcmp(dn_isa(own), dn_isa(shared[m])) != 0;
    w->failures += !is_right(own, m, w);
    dn_model_destroy(own);
    w->failures += dn_resample(ratio, noise, 0, SAMPLES, w->out, 100, RESAMPLED) != DN_OK;
    w->failures += !same(w->out, wanted_resampled, RESAMPLED);
    return NULL;
}

int main(void) {
    static worker workers[THREADS];
    for (int i = 0; i < SAMPLES; i++) noise[i] = 0.3f * random_float();
    make_v02(&file[0], 1);
    make_bytes(&file[1], 1);
    make_enhancer(&file[2], 0);
    make_dtln(&first, &second, 1);
    for (int m = 0; m < MODELS; m++) {
        dn_state *state;
        CHECK(load(m, &shared[m]) == DN_OK && dn_state_create(shared[m], &state) == DN_OK);
        CHECK(dn_process(&state, 1, noise, wanted[m], wanted_voice[m], FRAMES, 0) == DN_OK);
        dn_state_destroy(state);
    }
    CHECK(dn_ratio_create(44100, 48000, &ratio) == DN_OK);
    CHECK(dn_resample(ratio, noise, 0, SAMPLES, wanted_resampled, 100, RESAMPLED) == DN_OK);
    pthread_mutex_lock(&start);
    int started = 0;
    for (; started < THREADS; started++) {
        workers[started].number = started;
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0) break;
    }
    pthread_mutex_unlock(&start);
    CHECK(started == THREADS);
    for (int i = 0; i < started; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        CHECK(workers[i].failures == 0);
    }
    for (int m = 0; m < MODELS; m++) dn_model_destroy(shared[m]);
    dn_ratio_destroy(ratio);
    return done("test_threads");
}

#endif
