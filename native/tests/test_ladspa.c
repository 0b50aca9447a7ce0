/* A host of the LADSPA plugin that is stricter than any: whatever run() asks of memory or of a lock ends it.
 *     test_ladspa [PLUGIN] [RATE]       the plugin is linked, or with -DLOADED loaded, as hosts do it
 * Blocks of all sizes, in place; every backend, switched while the signal goes on; two threads for each plugin, with
 * instances of their own, whose answers are equal. Prints the latency of each backend. */
#include <dlfcn.h>
#include <ladspa.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
static _Thread_local int is_running; /* sanitizers have an allocator of their own */
#else
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void __libc_free(void *memory);

static _Thread_local int is_running;

static void forbid(const char *what) {
    if (!is_running) return;
    is_running = 0;
    fprintf(stderr, "run() called %s\n", what);
    abort();
}

void *malloc(size_t size) {
    forbid("malloc");
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    forbid("calloc");
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    forbid("realloc");
    return __libc_realloc(memory, size);
}

void free(void *memory) {
    forbid("free");
    __libc_free(memory);
}

int pthread_mutex_lock(pthread_mutex_t *mutex) {
    static int (*next)(pthread_mutex_t *);
    forbid("pthread_mutex_lock");
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    return next(mutex);
}
#endif

#ifndef LOADED
const LADSPA_Descriptor *ladspa_descriptor(unsigned long index);
#endif

enum { BACKEND, LIMIT, MIX, GATE, LATENCY, AUDIO, CONTROLS = AUDIO, MOST_CHANNELS = 2, FRAMES = 1 << 17 };

typedef struct {
    const LADSPA_Descriptor *plugin;
    unsigned long rate;
    int channels, backends, failures;
    float latency[8];
    float sound[MOST_CHANNELS][FRAMES];
} job;

static void fail(job *j, const char *what, double value) {
    fprintf(stderr, "%s: %s: %g\n", j->plugin->Label, what, value);
    j->failures++;
}

static void make_sound(job *j) {
    unsigned seed = 1;
    for (int i = 0; i < FRAMES; i++) {
        for (int c = 0; c < j->channels; c++) {
            seed = seed * 1664525u + 1013904223u;
            j->sound[c][i] = 0.05f * ((float)(seed >> 8) / 8388608.0f - 1.0f) + 0.3f * sinf(0.02f * (float)i);
        }
    }
}

static void run(const LADSPA_Descriptor *plugin, LADSPA_Handle handle, unsigned long frames) {
    is_running = 1;
    plugin->run(handle, frames);
    is_running = 0;
}

/* A step that no filter of a voice makes: two neighbours further apart than twice full scale of what came. */
static void check_sound(job *j, int from, int count) {
    for (int c = 0; c < j->channels; c++) {
        for (int i = from; i < from + count; i++) {
            if (!isfinite(j->sound[c][i]) || fabsf(j->sound[c][i]) > 1) fail(j, "a sample is", j->sound[c][i]);
        }
    }
}

static void *play(void *data) {
    job *j = data;
    static const unsigned long sizes[] = {1, 64, 480, 1024, 37, 2048, 5000, 128, 8192, 3, 441};
    float controls[CONTROLS] = {0, 100, 1, 0, -1};
    const LADSPA_Descriptor *plugin = j->plugin;
    LADSPA_Handle handle = plugin->instantiate(plugin, j->rate);
    if (!handle) {
        fail(j, "instantiate gave nothing at", (double)j->rate);
        return NULL;
    }
    for (unsigned long p = 0; p < CONTROLS; p++) plugin->connect_port(handle, p, &controls[p]);
    plugin->activate(handle);
    make_sound(j);
    unsigned turn = 0;
    for (unsigned long at = 0, n = 0; at < FRAMES; at += n, turn++) {
        n = sizes[turn % (sizeof(sizes) / sizeof(sizes[0]))];
        n = n < FRAMES - at ? n : FRAMES - at;
        for (int c = 0; c < j->channels; c++) {
            plugin->connect_port(handle, AUDIO + (unsigned long)c, j->sound[c] + at);
            plugin->connect_port(handle, AUDIO + (unsigned long)(j->channels + c), j->sound[c] + at);
        }
        controls[BACKEND] = (float)(at * (unsigned long)j->backends / FRAMES);
        controls[LIMIT] = turn % 5 == 4 ? NAN : (float)(turn % 3 * 50);
        controls[MIX] = turn % 4 == 3 ? 0.5f : 1;
        controls[GATE] = turn % 7 == 6 ? 0.3f : 0;
        run(plugin, handle, n);
        check_sound(j, (int)at, (int)n);
        j->latency[(int)controls[BACKEND]] = controls[LATENCY];
    }
    plugin->cleanup(handle);
    return NULL;
}

static LADSPA_Descriptor_Function find(const char *path) {
#ifdef LOADED
    LADSPA_Descriptor_Function found = NULL;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library) *(void **)&found = dlsym(library, "ladspa_descriptor");
    if (!found) fprintf(stderr, "%s\n", dlerror());
    return found;
#else
    (void)path;
    return ladspa_descriptor;
#endif
}

int main(int argc, char **argv) {
    static job jobs[4];
    pthread_t threads[4];
    LADSPA_Descriptor_Function descriptor = find(argc > 1 ? argv[1] : "");
    if (!descriptor) return EXIT_FAILURE;
    for (int i = 0; i < 4; i++) {
        jobs[i].plugin = descriptor((unsigned long)(i / 2));
        jobs[i].channels = 1 + i / 2;
        jobs[i].rate = argc > 2 ? (unsigned long)atol(argv[2]) : 22050;
        jobs[i].backends = (int)jobs[i].plugin->PortRangeHints[BACKEND].UpperBound + 1;
        if (pthread_create(&threads[i], NULL, play, &jobs[i]) != 0) return EXIT_FAILURE;
    }
    int failures = descriptor(2) != NULL;
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        failures += jobs[i].failures;
    }
    for (int i = 0; i < 4; i += 2) failures += memcmp(jobs[i].sound, jobs[i + 1].sound, sizeof(jobs[i].sound)) != 0;
    for (int b = 0; b < jobs[0].backends; b++) printf("%g ", jobs[0].latency[b]);
    printf("frames of latency, %d failed\n", failures);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
