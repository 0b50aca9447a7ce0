/* Second-order sections, for training: what colours a clip and takes its highs away.
 *     y = b0 x + s1      s1' = b1 x - a1 y + s2      s2' = b2 x - a2 y       (transposed direct form 2)
 * A sample waits for the one before, so that time goes by the length of that chain and not by the number of operations:
 * a second signal costs nothing, and sections in a row little. */
#include "denoise.h"
#include "fpmode.h"

enum { AT_ONCE = 5 }; /* sections whose memories stay in registers */

/* A sample of each of two signals. */
#if defined(__GNUC__)
typedef double pair __attribute__((vector_size(16)));

static inline pair add(pair x, pair y) {
    return x + y;
}

static inline pair scale(double c, pair x) {
    return c * x;
}
#else
typedef struct {
    double v[2];
} pair;

static inline pair add(pair x, pair y) {
    return (pair){{x.v[0] + y.v[0], x.v[1] + y.v[1]}};
}

static inline pair scale(double c, pair x) {
    return (pair){{c * x.v[0], c * x.v[1]}};
}
#endif

typedef struct {
    pair s1, s2;
} memory;

/* One sample through count sections, coefficients [count][5] being b0, b1, b2, -a1, -a2. count is a constant wherever
 * this is called, so that the loop unrolls. */
static inline pair filter(pair x, const double *coefficients, memory *memories, int count) {
    for (int k = 0; k < count; k++) {
        const double *c = coefficients + 5 * k;
        pair y = add(scale(c[0], x), memories[k].s1);
        memories[k].s1 = add(add(scale(c[1], x), memories[k].s2), scale(c[3], y));
        memories[k].s2 = add(scale(c[2], x), scale(c[4], y));
        x = y;
    }
    return x;
}

#define DN_PASS(count)                                                                                                 \
    static void pass_##count(float *a, float *b, size_t n, const double *sections) {                                   \
        double coefficients[5 * (count)];                                                                              \
        for (int i = 0; i < 5 * (count); i++) {                                                                        \
            coefficients[i] = i % 5 < 3 ? sections[i] : -sections[i];                                                  \
        }                                                                                                              \
        memory memories[count] = {0};                                                                                  \
        for (size_t i = 0; i < n; i++) {                                                                               \
            union {                                                                                                    \
                double of[2];                                                                                          \
                pair both;                                                                                             \
            } x = {{a[i], b[i]}};                                                                                      \
            x.both = filter(x.both, coefficients, memories, count);                                                    \
            a[i] = (float)x.of[0];                                                                                     \
            b[i] = (float)x.of[1];                                                                                     \
        }                                                                                                              \
    }

DN_PASS(1)
DN_PASS(2)
DN_PASS(3)
DN_PASS(4)
DN_PASS(5)

void dn_sections(float *a, float *b, size_t n, const double *sections, size_t count) {
    static void (*const passes[AT_ONCE])(float *, float *, size_t, const double *) = {pass_1, pass_2, pass_3, pass_4,
                                                                                      pass_5};
    uint64_t mode = dn_enter();
    while (count) {
        size_t now = count < AT_ONCE ? count : AT_ONCE;
        passes[now - 1](a, b, n, sections);
        sections += 5 * now;
        count -= now;
    }
    dn_leave(mode);
}
