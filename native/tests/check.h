/* A small test harness: CHECK counts, done() prints one line and gives the exit status. */
#ifndef DN_CHECK_H
#define DN_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks, failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        checks++;                                                                                                      \
        if (!(condition)) {                                                                                            \
            failures++;                                                                                                \
            printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                           \
        }                                                                                                              \
    } while (0)

static inline int done(const char *name) {
    printf("%s: %d checks, %d failed\n", name, checks, failures);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* xorshift32, which gives equal numbers everywhere. */
static uint32_t random_state = 2463534242u;

static inline uint32_t random_bits(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* Uniform in -1 to 1. */
static inline float random_float(void) {
    return (float)(random_bits() >> 8) / 8388608.0f - 1.0f;
}

#endif
