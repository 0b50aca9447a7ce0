/* v8 in plain C: eight floats, for any processor. Included by scalar.c, which then includes body.h. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "halves.h"

typedef struct {
    float f[8];
} v8;

#define V8_EACH(expression)                                                                                            \
    v8 r;                                                                                                              \
    for (int i = 0; i < 8; i++) r.f[i] = expression;                                                                   \
    return r

static inline v8 v8_load(const float *p) {
    V8_EACH(p[i]);
}

/* Eight integers as floats. */
static inline v8 v8_from_bytes(const int8_t *p) {
    V8_EACH((float)p[i]);
}

/* Eight floats of 16 bits. */
static inline v8 v8_from_halves(const uint16_t *p) {
    V8_EACH(dn_half_to_float(p[i]));
}

static inline void v8_store(float *p, v8 a) {
    for (int i = 0; i < 8; i++) p[i] = a.f[i];
}

/* Says that what is at p, which need not be memory of anyone's, will soon be wanted. */
static inline void v8_prefetch(const void *p) {
    (void)p;
}

static inline v8 v8_set(float x) {
    V8_EACH(x);
}

static inline v8 v8_add(v8 a, v8 b) {
    V8_EACH(a.f[i] + b.f[i]);
}

static inline v8 v8_sub(v8 a, v8 b) {
    V8_EACH(a.f[i] - b.f[i]);
}

static inline v8 v8_mul(v8 a, v8 b) {
    V8_EACH(a.f[i] * b.f[i]);
}

static inline v8 v8_div(v8 a, v8 b) {
    V8_EACH(a.f[i] / b.f[i]);
}

static inline v8 v8_min(v8 a, v8 b) {
    V8_EACH(a.f[i] < b.f[i] ? a.f[i] : b.f[i]);
}

static inline v8 v8_max(v8 a, v8 b) {
    V8_EACH(a.f[i] > b.f[i] ? a.f[i] : b.f[i]);
}

/* a * b + c, rounded once, as processors do that have an instruction for it: a product of two floats is exact in
 * double. Rounding first to double and then to float is wrong only where the first happens to end in the middle of two
 * floats. */
static inline float fma_one(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
    return fmaf(a, b, c);
#else
    return (float)((double)a * (double)b + (double)c);
#endif
}

static inline v8 v8_fma(v8 a, v8 b, v8 c) {
    V8_EACH(fma_one(a.f[i], b.f[i], c.f[i]));
}

/* c - a * b, rounded once */
static inline v8 v8_fnma(v8 a, v8 b, v8 c) {
    V8_EACH(fma_one(-a.f[i], b.f[i], c.f[i]));
}

/* a * b + c, rounded once or twice, whichever is faster */
static inline v8 v8_muladd(v8 a, v8 b, v8 c) {
    V8_EACH(a.f[i] * b.f[i] + c.f[i]);
}

/* The bits of a, as integers, as floats; and back: floats of the nearest integers towards zero, as bits. */
static inline v8 v8_bits(v8 a) {
    int32_t bits[8];
    memcpy(bits, a.f, sizeof(bits));
    V8_EACH((float)bits[i]);
}

static inline v8 v8_of_bits(v8 a) {
    int32_t bits[8];
    for (int i = 0; i < 8; i++) bits[i] = (int32_t)a.f[i];
    v8 r;
    memcpy(r.f, bits, sizeof(bits));
    return r;
}

static inline v8 v8_reverse(v8 a) {
    V8_EACH(a.f[7 - i]);
}

static inline float v8_sum(v8 a) {
    return ((a.f[0] + a.f[4]) + (a.f[2] + a.f[6])) + ((a.f[1] + a.f[5]) + (a.f[3] + a.f[7]));
}

/* Sixteen floats a0 b0 a1 b1 ..., as two vectors, into a and b, and back. */
static inline void v8_split(v8 low, v8 high, v8 *a, v8 *b) {
    for (int i = 0; i < 4; i++) {
        a->f[i] = low.f[2 * i];
        a->f[i + 4] = high.f[2 * i];
        b->f[i] = low.f[2 * i + 1];
        b->f[i + 4] = high.f[2 * i + 1];
    }
}

static inline void v8_join(v8 a, v8 b, v8 *low, v8 *high) {
    for (int i = 0; i < 4; i++) {
        low->f[2 * i] = a.f[i];
        low->f[2 * i + 1] = b.f[i];
        high->f[2 * i] = a.f[i + 4];
        high->f[2 * i + 1] = b.f[i + 4];
    }
}

/* Four floats from each of two places, and to them. */
static inline v8 v8_from_fours(const float *low, const float *high) {
    V8_EACH(i < 4 ? low[i] : high[i - 4]);
}

static inline void v8_store_fours(float *low, float *high, v8 a) {
    memcpy(low, a.f, 4 * sizeof(*low));
    memcpy(high, a.f + 4, 4 * sizeof(*high));
}

/* One of each four floats, four times. */
static inline v8 v8_spread_0(v8 a) {
    V8_EACH(a.f[i & 4]);
}

static inline v8 v8_spread_1(v8 a) {
    V8_EACH(a.f[(i & 4) + 1]);
}

static inline v8 v8_spread_2(v8 a) {
    V8_EACH(a.f[(i & 4) + 2]);
}

static inline v8 v8_spread_3(v8 a) {
    V8_EACH(a.f[(i & 4) + 3]);
}

/* rows[i].f[j] <-> rows[j].f[i] */
static inline void v8_transpose(v8 rows[8]) {
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < i; j++) {
            float swap = rows[i].f[j];
            rows[i].f[j] = rows[j].f[i];
            rows[j].f[i] = swap;
        }
    }
}

/* Eight sums of products of integers in the making. Every product has a sum of its own until the end, which is what
 * compilers can turn into vectors. */
typedef struct {
    int32_t sum[32];
} dots8;

static inline dots8 dots8_zero(void) {
    return (dots8){{0}};
}

/* Four steps, for all eight sums. */
typedef struct {
    int8_t repeated[32];
} steps4;

static inline steps4 steps4_load(const int8_t *steps) {
    steps4 r;
    for (int o = 0; o < 8; o++) memcpy(r.repeated + 4 * o, steps, 4);
    return r;
}

/* sums[o] + the sum over j < 4 of q[o][j] * steps[j], the steps being from -127 to 127 and no q -128 */
static inline dots8 dots8_add_steps(dots8 sums, const int8_t *q, steps4 steps) {
    for (int i = 0; i < 32; i++) sums.sum[i] += (int16_t)q[i] * (int16_t)steps.repeated[i];
    return sums;
}

/* sums[o] + the sum over j < 4 of q[o][j] * steps[j], for any q */
static inline dots8 dots8_add(dots8 sums, const int8_t *q, const int8_t *steps) {
    return dots8_add_steps(sums, q, steps4_load(steps));
}

static inline v8 v8_from_dots8(dots8 a) {
    V8_EACH((float)(a.sum[4 * i] + a.sum[4 * i + 1] + a.sum[4 * i + 2] + a.sum[4 * i + 3]));
}

/* p[i] = floor(a[i]) as int8; a is from -128 to 127. */
static inline void v8_store_steps(int8_t *p, v8 a) {
    for (int i = 0; i < 8; i++) {
        int whole = (int)a.f[i]; /* towards zero */
        p[i] = (int8_t)(whole - ((float)whole > a.f[i]));
    }
}

/* a * b + c */
static inline double fma_double(double a, double b, double c) {
    return a * b + c;
}
