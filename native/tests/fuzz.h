/* Common parts of the fuzzers: failing with the number of the input, writing seeds. FUZZER is their name. */
#ifndef DN_TEST_FUZZ_H
#define DN_TEST_FUZZ_H

#include <signal.h>
#include <time.h>

#include "check.h"

static _Noreturn void fail(const char *what) {
    fprintf(stderr, FUZZER ": %s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Makes a report of a sanitizer end in abort, so that tell_which is called. What is freed waits in a small room, and no
 * calls are noted down for it, which costs more than most inputs. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "abort_on_error=1:quarantine_size_mb=4:thread_local_quarantine_size_kb=256:malloc_context_size=2";
}

#ifndef DN_LIBFUZZER /* which has all of this itself */

static volatile unsigned long current; /* the number of the input */

static void tell_which(int number) {
    fprintf(stderr, FUZZER ": signal %d at input %lu\n", number, current);
    signal(number, SIG_DFL);
    raise(number);
}

/* Seeds random_bits for input n of this seed. */
static void choose_chance(uint32_t seed, uint32_t n) {
    random_state = (seed * 2654435761u) ^ (n * 2246822519u + 374761393u);
    if (random_state == 0) random_state = 1;
    for (int i = 0; i < 8; i++) random_bits();
}

/* Returns whether it could be written. */
static int write_seed(const char *folder, int number, const void *data, size_t size) {
    char path[1024];
    snprintf(path, sizeof(path), "%s/seed_%02d", folder, number);
    FILE *file = fopen(path, "wb");
    if (file && fwrite(data, 1, size, file) == size && fclose(file) == 0) return 1;
    perror(path);
    return 0;
}

/* Tries inputs first to first + count - 1 of a seed of chance: try_input returns whether it was accepted.
 * Returns how many were. */
static unsigned long try_many(int argc, char **argv, int (*try_input)(uint32_t seed, uint32_t n)) {
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000, accepted = 0;
    unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1, first = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    signal(SIGABRT, tell_which);
    clock_t start = clock();
    for (current = first; current < first + count; current++) {
        accepted += (unsigned long)try_input((uint32_t)seed, (uint32_t)current);
    }
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    printf(FUZZER ": %lu inputs of seed %lu: %lu accepted and run, %lu refused; %.0f a second\n", count, seed, accepted,
           count - accepted, (double)count / (seconds > 0 ? seconds : 1));
    return accepted;
}

#endif
#endif
