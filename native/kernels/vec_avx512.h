/* v8 as in vec_avx2.h, with the dot products of VNNI; and the loops that pay with registers of sixteen floats or 64
 * bytes, those over the weights. A group of 8 columns has its weights in order of inputs, so that a wide register holds
 * those of two inputs (of two times four in integers), and its halves are summed up at the end, as the loops over v8
 * do, in the same order. */
#include <immintrin.h>

#define DN_DOT_PRODUCTS _mm256_dpbusd_epi32
#define DN_DOT_PAIRS _mm256_dpwssd_epi32
#define DN_OWN_ROUNDING
#include "kernels/vec_avx2.h"

#define DN_OWN_MATVEC
#define DN_OWN_BLOCKS
#define DN_OWN_BATCH
#define DN_WIDE

enum { AT_ONCE = 8 }; /* groups of 8 columns, so many sums do not wait for each other */

typedef __m512 v16;

static inline v16 v16_load(const float *p) {
    return _mm512_loadu_ps(p);
}

static inline void v16_store(float *p, v16 a) {
    _mm512_storeu_ps(p, a);
}

static inline v16 v16_set(float x) {
    return _mm512_set1_ps(x);
}

static inline v16 v16_add(v16 a, v16 b) {
    return _mm512_add_ps(a, b);
}

static inline v16 v16_mul(v16 a, v16 b) {
    return _mm512_mul_ps(a, b);
}

static inline v16 v16_min(v16 a, v16 b) {
    return _mm512_min_ps(a, b);
}

static inline v16 v16_max(v16 a, v16 b) {
    return _mm512_max_ps(a, b);
}

static inline v16 v16_abs(v16 a) {
    return _mm512_abs_ps(a);
}

static inline v16 v16_from_bytes(const int8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

static inline v16 v16_from_halves(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* Eight times p[0], eight times p[1]. */
static inline v16 v16_set_halves(const float *p) {
    return _mm512_mask_broadcastss_ps(_mm512_set1_ps(p[0]), 0xff00, _mm_load_ss(p + 1));
}

static inline v16 v16_with_zeros(v8 low) {
    return _mm512_zextps256_ps512(low);
}

static inline v16 v16_fma(v16 a, v16 b, v16 c) {
    return _mm512_fmadd_ps(a, b, c);
}

static inline v16 v16_muladd(v16 a, v16 b, v16 c) {
    return v16_fma(a, b, c);
}

static inline void round_16(int32_t *p, const float *x, float whole) {
    __m512i rounded = _mm512_cvtps_epi32(v16_mul(v16_load(x), v16_set(whole)));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtsepi32_epi16(rounded));
}

static inline v8 v16_low(v16 a) {
    return _mm512_castps512_ps256(a);
}

static inline v8 v16_high(v16 a) {
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
}

/* Four steps for the low half, four for the high one. */
static inline __m512i steps_for_halves(int32_t low, int32_t high) {
    return _mm512_mask_set1_epi32(_mm512_set1_epi32(low), 0xff00, high);
}

static inline int32_t four_steps(const int8_t *steps) {
    int32_t four;
    memcpy(&four, steps, sizeof(four));
    return four;
}

/* Sixteen sums, see body_panels.h: 128 is added to the steps, as vpdpbusd wants one factor unsigned, and what that
 * makes of the weights is subtracted at the end. */
typedef __m512i dots16;
typedef __m512i steps16;

static inline steps16 steps16_load(const int8_t *steps) {
    return _mm512_set1_epi32(four_steps(steps) ^ (int32_t)0x80808080u);
}

static inline dots16 dots16_zero(void) {
    return _mm512_setzero_si512();
}

static inline dots16 dots16_load(const int32_t *p) {
    return _mm512_loadu_si512(p);
}

static inline dots16 dots16_set(int32_t pair) {
    return _mm512_set1_epi32(pair);
}

static inline dots16 dots16_add_pairs(dots16 sums, dots16 a, dots16 b) {
    return _mm512_dpwssd_epi32(sums, a, b);
}

static inline v16 v16_from_dots16(dots16 a) {
    return _mm512_cvtepi32_ps(a);
}

static inline dots16 dots16_add(dots16 sums, const int8_t *q, steps16 steps) {
    return _mm512_dpbusd_epi32(sums, steps, _mm512_loadu_si512(q));
}

/* Adds the halves up. vpdpbusd wants one factor unsigned: 128 is added to the weights, and what that makes of the
 * steps, too_much, is subtracted from the sums. */
static inline dots8 halves_without(__m512i sums, __m512i too_much) {
    __m512i exact = _mm512_sub_epi32(sums, too_much);
    return _mm256_add_epi32(_mm512_castsi512_si256(exact), _mm512_extracti64x4_epi64(exact, 1));
}

static inline int matvec_many_int8(float *y, const int8_t *q, const float *scale, const int8_t *steps, int inputs,
                                   int columns) {
    const __m512i more = _mm512_set1_epi8(-128);
    int c = 0, large = inputs >= 256; /* see matvec_four_int8 */
    for (; c + 8 * AT_ONCE <= columns; c += 8 * AT_ONCE) {
        const int8_t *group = q + c * inputs;
        __m512i sum[AT_ONCE], too_much = _mm512_setzero_si512();
        for (int g = 0; g < AT_ONCE; g++) sum[g] = _mm512_setzero_si512();
        for (int j = 0; j < inputs; j += 8) {
            int last = j + 8 > inputs; /* of these 8 there are 4 */
            __m512i both = steps_for_halves(four_steps(steps + j), last ? 0 : four_steps(steps + j + 4));
            __mmask64 there = last ? 0xffffffffu : ~(__mmask64)0;
            for (int g = 0; g < AT_ONCE; g++) {
                const int8_t *from = group + 8 * (g * inputs + j);
                __m512i weights = _mm512_maskz_loadu_epi8(there, from);
                if (large) v8_prefetch(from + 8 * AT_ONCE * inputs);
                sum[g] = _mm512_dpbusd_epi32(sum[g], _mm512_xor_si512(weights, more), both);
            }
            too_much = _mm512_dpbusd_epi32(too_much, more, both);
        }
        for (int g = 0; g < AT_ONCE; g++) {
            dots8 all = halves_without(sum[g], too_much);
            float *to = y + c + 8 * g;
            v8_store(to, v8_fma(v8_load(scale + c + 8 * g), v8_from_dots8(all), v8_load(to)));
        }
    }
    return c;
}

/* Sums two blocks at once, and twice that, so that the sums wait less for each other. */
static inline dots8 dots8_of_blocks(const int8_t *q, const uint16_t *places, const int8_t *steps, int count) {
    const __m512i more = _mm512_set1_epi8(-128);
    __m512i sum[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()}, too_much[2] = {sum[0], sum[0]};
    int b = 0;
    for (; b + 4 <= count; b += 4) {
        for (int half = 0; half < 2; half++) {
            const uint16_t *at = places + b + 2 * half;
            __m512i weights = _mm512_loadu_si512(q + 32 * (b + 2 * half));
            __m512i both = steps_for_halves(four_steps(steps + at[0]), four_steps(steps + at[1]));
            sum[half] = _mm512_dpbusd_epi32(sum[half], _mm512_xor_si512(weights, more), both);
            too_much[half] = _mm512_dpbusd_epi32(too_much[half], more, both);
        }
    }
    dots8 all = halves_without(_mm512_add_epi32(sum[0], sum[1]), _mm512_add_epi32(too_much[0], too_much[1]));
    for (; b < count; b++) all = dots8_add(all, q + 32 * b, steps + places[b]);
    return all;
}

/* Sums of two groups of columns for four inputs; see body_batch.h. */
static inline void dots8_2_by_4(dots8 sum[8], const int8_t *q, const int8_t *const *steps, int inputs) {
    const __m512i more = _mm512_set1_epi8(-128);
    const int8_t *q0 = q, *q1 = q + 8 * inputs;
    __m512i a0 = _mm512_setzero_si512(), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    __m512i a_more = a0, b_more = a0, c_more = a0, d_more = a0;
    for (int j = 0; j < inputs; j += 8) {
        int last = j + 8 > inputs, second = last ? j : j + 4;
        __mmask64 there = last ? 0xffffffffu : ~(__mmask64)0;
        __mmask16 high = last ? 0 : 0xff00;
        __m512i weights0 = _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, q0 + 8 * j), more);
        __m512i weights1 = _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, q1 + 8 * j), more);
#define DN_FOR_INPUT(n, sum0, sum1, too_much)                                                                          \
    do {                                                                                                               \
        __m512i low = _mm512_maskz_set1_epi32(0x00ff, four_steps(steps[n] + j));                                       \
        __m512i both = _mm512_mask_set1_epi32(low, high, four_steps(steps[n] + second));                               \
        sum0 = _mm512_dpbusd_epi32(sum0, weights0, both);                                                              \
        sum1 = _mm512_dpbusd_epi32(sum1, weights1, both);                                                              \
        too_much = _mm512_dpbusd_epi32(too_much, more, both);                                                          \
    } while (0)
        DN_FOR_INPUT(0, a0, a1, a_more);
        DN_FOR_INPUT(1, b0, b1, b_more);
        DN_FOR_INPUT(2, c0, c1, c_more);
        DN_FOR_INPUT(3, d0, d1, d_more);
#undef DN_FOR_INPUT
    }
    sum[0] = halves_without(a0, a_more), sum[1] = halves_without(a1, a_more);
    sum[2] = halves_without(b0, b_more), sum[3] = halves_without(b1, b_more);
    sum[4] = halves_without(c0, c_more), sum[5] = halves_without(c1, c_more);
    sum[6] = halves_without(d0, d_more), sum[7] = halves_without(d1, d_more);
}
