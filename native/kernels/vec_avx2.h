/* v8 as one AVX2 register with fused multiply-add; its operations are described in vec_scalar.h. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef __m256 v8;

static inline v8 v8_load(const float *p) {
    return _mm256_loadu_ps(p);
}

static inline v8 v8_from_bytes(const int8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

static inline v8 v8_from_halves(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline void v8_store(float *p, v8 a) {
    _mm256_storeu_ps(p, a);
}

static inline void v8_prefetch(const void *p) {
    _mm_prefetch((const char *)p, _MM_HINT_T0);
}

static inline v8 v8_set(float x) {
    return _mm256_set1_ps(x);
}

static inline v8 v8_add(v8 a, v8 b) {
    return _mm256_add_ps(a, b);
}

static inline v8 v8_sub(v8 a, v8 b) {
    return _mm256_sub_ps(a, b);
}

static inline v8 v8_mul(v8 a, v8 b) {
    return _mm256_mul_ps(a, b);
}

static inline v8 v8_div(v8 a, v8 b) {
    return _mm256_div_ps(a, b);
}

static inline v8 v8_min(v8 a, v8 b) {
    return _mm256_min_ps(a, b);
}

static inline v8 v8_max(v8 a, v8 b) {
    return _mm256_max_ps(a, b);
}

static inline v8 v8_fma(v8 a, v8 b, v8 c) {
    return _mm256_fmadd_ps(a, b, c);
}

static inline v8 v8_muladd(v8 a, v8 b, v8 c) {
    return v8_fma(a, b, c);
}

static inline v8 v8_fnma(v8 a, v8 b, v8 c) {
    return _mm256_fnmadd_ps(a, b, c);
}

static inline v8 v8_bits(v8 a) {
    return _mm256_cvtepi32_ps(_mm256_castps_si256(a));
}

static inline v8 v8_of_bits(v8 a) {
    return _mm256_castsi256_ps(_mm256_cvttps_epi32(a));
}

static inline v8 v8_reverse(v8 a) {
    return _mm256_permutevar8x32_ps(a, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0));
}

static inline float v8_sum(v8 a) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

static inline void v8_split(v8 low, v8 high, v8 *a, v8 *b) {
    __m256d even = _mm256_castps_pd(_mm256_shuffle_ps(low, high, 0x88));
    __m256d odd = _mm256_castps_pd(_mm256_shuffle_ps(low, high, 0xdd));
    *a = _mm256_castpd_ps(_mm256_permute4x64_pd(even, 0xd8));
    *b = _mm256_castpd_ps(_mm256_permute4x64_pd(odd, 0xd8));
}

static inline void v8_join(v8 a, v8 b, v8 *low, v8 *high) {
    v8 first = _mm256_unpacklo_ps(a, b), second = _mm256_unpackhi_ps(a, b);
    *low = _mm256_permute2f128_ps(first, second, 0x20);
    *high = _mm256_permute2f128_ps(first, second, 0x31);
}

static inline v8 v8_from_fours(const float *low, const float *high) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}

static inline void v8_store_fours(float *low, float *high, v8 a) {
    _mm_storeu_ps(low, _mm256_castps256_ps128(a));
    _mm_storeu_ps(high, _mm256_extractf128_ps(a, 1));
}

static inline v8 v8_spread_0(v8 a) {
    return _mm256_permute_ps(a, 0x00);
}

static inline v8 v8_spread_1(v8 a) {
    return _mm256_permute_ps(a, 0x55);
}

static inline v8 v8_spread_2(v8 a) {
    return _mm256_permute_ps(a, 0xaa);
}

static inline v8 v8_spread_3(v8 a) {
    return _mm256_permute_ps(a, 0xff);
}

static inline void v8_transpose(v8 rows[8]) {
    v8 pairs[8], quads[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
        quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
        quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
        quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        rows[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
    }
}

typedef __m256i dots8;

static inline dots8 dots8_zero(void) {
    return _mm256_setzero_si256();
}

/* sums[o] + the sum over j < 4 of factor[o][j] * other[o][j]; any two neighbouring products sum up to less than 2^15.
 */
static inline dots8 add_products(dots8 sums, __m256i unsigned_factor, __m256i other) {
#ifdef DN_DOT_PRODUCTS
    return DN_DOT_PRODUCTS(sums, unsigned_factor, other);
#else
    __m256i pairs = _mm256_maddubs_epi16(unsigned_factor, other);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
}

/* Takes the sign from q to the steps, as one factor of vpmaddubsw is unsigned; its sums of two products, at most
 * 2 * 128 * 127, fit 16 bits for any q. */
static inline dots8 dots8_add(dots8 sums, const int8_t *q, const int8_t *steps) {
    int32_t four;
    memcpy(&four, steps, sizeof(four));
    __m256i weights = _mm256_loadu_si256((const __m256i *)(const void *)q);
    return add_products(sums, _mm256_abs_epi8(weights), _mm256_sign_epi8(_mm256_set1_epi32(four), weights));
}

/* Four steps, for all eight sums. */
typedef struct {
    __m256i size, sign;
} steps4;

static inline steps4 steps4_load(const int8_t *steps) {
    int32_t four;
    memcpy(&four, steps, sizeof(four));
    __m256i all = _mm256_set1_epi32(four);
    return (steps4){_mm256_abs_epi8(all), all};
}

/* Takes the sign from the steps to q, of which none is -128: steps serve many q. */
static inline dots8 dots8_add_steps(dots8 sums, const int8_t *q, steps4 steps) {
    __m256i weights = _mm256_loadu_si256((const __m256i *)(const void *)q);
    return add_products(sums, steps.size, _mm256_sign_epi8(weights, steps.sign));
}

static inline v8 v8_from_dots8(dots8 a) {
    return _mm256_cvtepi32_ps(a);
}

/* p[i] = floor(a[i]) as int8; a is from -128 to 127. */
static inline void v8_store_steps(int8_t *p, v8 a) {
    __m256i whole = _mm256_cvtps_epi32(_mm256_floor_ps(a));
    __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packs_epi16(half, half));
}

/* Pairs of integers of 16 bits, for sets of instructions that multiply them more quickly than floats. */
#define DN_HAS_SHORTS

static inline dots8 dots8_load(const int32_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline dots8 dots8_set(int32_t pair) {
    return _mm256_set1_epi32(pair);
}

/* sums[i] + a[i][0] * b[i][0] + a[i][1] * b[i][1] */
static inline dots8 dots8_add_pairs(dots8 sums, dots8 a, dots8 b) {
#ifdef DN_DOT_PAIRS
    return DN_DOT_PAIRS(sums, a, b);
#else
    return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
#endif
}

/* p[0] to p[7]: pairs of whole * x[i], i < 16, rounded. */
#ifndef DN_OWN_ROUNDING
static inline void round_16(int32_t *p, const float *x, float whole) {
    v8 size = v8_set(whole);
    __m256i low = _mm256_cvtps_epi32(v8_mul(v8_load(x), size)), high = _mm256_cvtps_epi32(v8_mul(v8_load(x + 8), size));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8));
}
#endif

static inline double fma_double(double a, double b, double c) {
    return _mm_cvtsd_f64(_mm_fmadd_sd(_mm_set_sd(a), _mm_set_sd(b), _mm_set_sd(c)));
}

/* Eight doubles, for sets of instructions that gain by them. */
#define DN_HAS_DOUBLES

typedef struct {
    __m256d low, high;
} d8;

static inline d8 d8_load(const double *p) {
    return (d8){_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)};
}

static inline void d8_store(double *p, d8 a) {
    _mm256_storeu_pd(p, a.low);
    _mm256_storeu_pd(p + 4, a.high);
}

/* a * b + c */
static inline d8 d8_fma(double a, d8 b, d8 c) {
    __m256d all = _mm256_set1_pd(a);
    return (d8){_mm256_fmadd_pd(all, b.low, c.low), _mm256_fmadd_pd(all, b.high, c.high)};
}

/* scale * p[i], i < 8 */
static inline d8 d8_scaled(double scale, const float *p) {
    __m256d all = _mm256_set1_pd(scale);
    return (d8){_mm256_mul_pd(all, _mm256_cvtps_pd(_mm_loadu_ps(p))),
                _mm256_mul_pd(all, _mm256_cvtps_pd(_mm_loadu_ps(p + 4)))};
}

/* a + b as floats */
static inline void d8_store_sum(float *p, d8 a, d8 b) {
    _mm_storeu_ps(p, _mm256_cvtpd_ps(_mm256_add_pd(a.low, b.low)));
    _mm_storeu_ps(p + 4, _mm256_cvtpd_ps(_mm256_add_pd(a.high, b.high)));
}
