/* v8 as two SSE4.1 registers of four; its operations are described in vec_scalar.h. */
#include <smmintrin.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    __m128 low, high;
} v8;

static inline v8 v8_load(const float *p) {
    return (v8){_mm_loadu_ps(p), _mm_loadu_ps(p + 4)};
}

static inline v8 v8_from_bytes(const int8_t *p) {
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return (v8){_mm_cvtepi32_ps(_mm_cvtepi8_epi32(bytes)),
                _mm_cvtepi32_ps(_mm_cvtepi8_epi32(_mm_srli_si128(bytes, 4)))};
}

/* As halves.h does it. */
static inline __m128 four_halves(__m128i words) {
    __m128i rest = _mm_slli_epi32(_mm_and_si128(words, _mm_set1_epi32(0x7fff)), 13);
    __m128i small = _mm_cmplt_epi32(rest, _mm_set1_epi32(1 << 23));
    __m128i bits = _mm_add_epi32(rest, _mm_set1_epi32(112 << 23));
    bits = _mm_add_epi32(bits, _mm_and_si128(small, _mm_set1_epi32(1 << 23)));
    __m128 leading = _mm_and_ps(_mm_castsi128_ps(small), _mm_set1_ps(6.103515625e-5f));
    __m128 value = _mm_sub_ps(_mm_castsi128_ps(bits), leading);
    return _mm_or_ps(value, _mm_castsi128_ps(_mm_slli_epi32(_mm_and_si128(words, _mm_set1_epi32(0x8000)), 16)));
}

static inline v8 v8_from_halves(const uint16_t *p) {
    __m128i all = _mm_loadu_si128((const __m128i *)(const void *)p);
    return (v8){four_halves(_mm_cvtepu16_epi32(all)), four_halves(_mm_cvtepu16_epi32(_mm_srli_si128(all, 8)))};
}

static inline void v8_store(float *p, v8 a) {
    _mm_storeu_ps(p, a.low);
    _mm_storeu_ps(p + 4, a.high);
}

static inline void v8_prefetch(const void *p) {
    _mm_prefetch((const char *)p, _MM_HINT_T0);
}

static inline v8 v8_set(float x) {
    return (v8){_mm_set1_ps(x), _mm_set1_ps(x)};
}

static inline v8 v8_add(v8 a, v8 b) {
    return (v8){_mm_add_ps(a.low, b.low), _mm_add_ps(a.high, b.high)};
}

static inline v8 v8_sub(v8 a, v8 b) {
    return (v8){_mm_sub_ps(a.low, b.low), _mm_sub_ps(a.high, b.high)};
}

static inline v8 v8_mul(v8 a, v8 b) {
    return (v8){_mm_mul_ps(a.low, b.low), _mm_mul_ps(a.high, b.high)};
}

static inline v8 v8_div(v8 a, v8 b) {
    return (v8){_mm_div_ps(a.low, b.low), _mm_div_ps(a.high, b.high)};
}

static inline v8 v8_min(v8 a, v8 b) {
    return (v8){_mm_min_ps(a.low, b.low), _mm_min_ps(a.high, b.high)};
}

static inline v8 v8_max(v8 a, v8 b) {
    return (v8){_mm_max_ps(a.low, b.low), _mm_max_ps(a.high, b.high)};
}

static inline __m128 fma_four(__m128 a, __m128 b, __m128 c) {
    __m128d low = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(c));
    a = _mm_movehl_ps(a, a), b = _mm_movehl_ps(b, b), c = _mm_movehl_ps(c, c);
    __m128d high = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(c));
    return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}

static inline v8 v8_fma(v8 a, v8 b, v8 c) {
    return (v8){fma_four(a.low, b.low, c.low), fma_four(a.high, b.high, c.high)};
}

static inline v8 v8_muladd(v8 a, v8 b, v8 c) {
    return v8_add(v8_mul(a, b), c);
}

static inline v8 v8_fnma(v8 a, v8 b, v8 c) {
    __m128 minus = _mm_set1_ps(-0.0f);
    return v8_fma((v8){_mm_xor_ps(a.low, minus), _mm_xor_ps(a.high, minus)}, b, c);
}

static inline v8 v8_bits(v8 a) {
    return (v8){_mm_cvtepi32_ps(_mm_castps_si128(a.low)), _mm_cvtepi32_ps(_mm_castps_si128(a.high))};
}

static inline v8 v8_of_bits(v8 a) {
    return (v8){_mm_castsi128_ps(_mm_cvttps_epi32(a.low)), _mm_castsi128_ps(_mm_cvttps_epi32(a.high))};
}

static inline __m128 reverse_four(__m128 a) {
    return _mm_shuffle_ps(a, a, _MM_SHUFFLE(0, 1, 2, 3));
}

static inline v8 v8_reverse(v8 a) {
    return (v8){reverse_four(a.high), reverse_four(a.low)};
}

static inline float v8_sum(v8 a) {
    __m128 four = _mm_add_ps(a.low, a.high);
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

static inline void v8_split(v8 low, v8 high, v8 *a, v8 *b) {
    a->low = _mm_shuffle_ps(low.low, low.high, _MM_SHUFFLE(2, 0, 2, 0));
    a->high = _mm_shuffle_ps(high.low, high.high, _MM_SHUFFLE(2, 0, 2, 0));
    b->low = _mm_shuffle_ps(low.low, low.high, _MM_SHUFFLE(3, 1, 3, 1));
    b->high = _mm_shuffle_ps(high.low, high.high, _MM_SHUFFLE(3, 1, 3, 1));
}

static inline void v8_join(v8 a, v8 b, v8 *low, v8 *high) {
    low->low = _mm_unpacklo_ps(a.low, b.low);
    low->high = _mm_unpackhi_ps(a.low, b.low);
    high->low = _mm_unpacklo_ps(a.high, b.high);
    high->high = _mm_unpackhi_ps(a.high, b.high);
}

/* Transposes by quarters of 4 x 4, of which the two off the diagonal change places. */
static inline v8 v8_from_fours(const float *low, const float *high) {
    return (v8){_mm_loadu_ps(low), _mm_loadu_ps(high)};
}

static inline void v8_store_fours(float *low, float *high, v8 a) {
    _mm_storeu_ps(low, a.low);
    _mm_storeu_ps(high, a.high);
}

static inline v8 v8_spread_0(v8 a) {
    return (v8){_mm_shuffle_ps(a.low, a.low, 0x00), _mm_shuffle_ps(a.high, a.high, 0x00)};
}

static inline v8 v8_spread_1(v8 a) {
    return (v8){_mm_shuffle_ps(a.low, a.low, 0x55), _mm_shuffle_ps(a.high, a.high, 0x55)};
}

static inline v8 v8_spread_2(v8 a) {
    return (v8){_mm_shuffle_ps(a.low, a.low, 0xaa), _mm_shuffle_ps(a.high, a.high, 0xaa)};
}

static inline v8 v8_spread_3(v8 a) {
    return (v8){_mm_shuffle_ps(a.low, a.low, 0xff), _mm_shuffle_ps(a.high, a.high, 0xff)};
}

static inline void v8_transpose(v8 rows[8]) {
    for (int i = 0; i < 8; i += 4) {
        _MM_TRANSPOSE4_PS(rows[i].low, rows[i + 1].low, rows[i + 2].low, rows[i + 3].low);
        _MM_TRANSPOSE4_PS(rows[i].high, rows[i + 1].high, rows[i + 2].high, rows[i + 3].high);
    }
    for (int i = 0; i < 4; i++) {
        __m128 swap = rows[i].high;
        rows[i].high = rows[i + 4].low;
        rows[i + 4].low = swap;
    }
}

typedef struct {
    __m128i low, high;
} dots8;

static inline dots8 dots8_zero(void) {
    return (dots8){_mm_setzero_si128(), _mm_setzero_si128()};
}

/* Takes the sign from q to the steps, as one factor of pmaddubsw is unsigned; see vec_avx2.h. */
static inline __m128i add_four_dots(__m128i sums, const int8_t *q, __m128i steps) {
    __m128i weights = _mm_loadu_si128((const __m128i *)(const void *)q);
    __m128i pairs = _mm_maddubs_epi16(_mm_abs_epi8(weights), _mm_sign_epi8(steps, weights));
    return _mm_add_epi32(sums, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
}

static inline dots8 dots8_add(dots8 sums, const int8_t *q, const int8_t *steps) {
    int32_t four;
    memcpy(&four, steps, sizeof(four));
    __m128i all = _mm_set1_epi32(four);
    return (dots8){add_four_dots(sums.low, q, all), add_four_dots(sums.high, q + 16, all)};
}

/* Four steps, for all eight sums. */
typedef struct {
    __m128i size, sign;
} steps4;

static inline steps4 steps4_load(const int8_t *steps) {
    int32_t four;
    memcpy(&four, steps, sizeof(four));
    __m128i all = _mm_set1_epi32(four);
    return (steps4){_mm_abs_epi8(all), all};
}

static inline __m128i add_four_dots_steps(__m128i sums, const int8_t *q, steps4 steps) {
    __m128i turned = _mm_sign_epi8(_mm_loadu_si128((const __m128i *)(const void *)q), steps.sign);
    __m128i pairs = _mm_maddubs_epi16(steps.size, turned);
    return _mm_add_epi32(sums, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
}

static inline dots8 dots8_add_steps(dots8 sums, const int8_t *q, steps4 steps) {
    return (dots8){add_four_dots_steps(sums.low, q, steps), add_four_dots_steps(sums.high, q + 16, steps)};
}

static inline v8 v8_from_dots8(dots8 a) {
    return (v8){_mm_cvtepi32_ps(a.low), _mm_cvtepi32_ps(a.high)};
}

/* p[i] = floor(a[i]) as int8; a is from -128 to 127. */
static inline void v8_store_steps(int8_t *p, v8 a) {
    __m128i low = _mm_cvtps_epi32(_mm_floor_ps(a.low)), high = _mm_cvtps_epi32(_mm_floor_ps(a.high));
    __m128i half = _mm_packs_epi32(low, high);
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packs_epi16(half, half));
}

static inline double fma_double(double a, double b, double c) {
    return a * b + c;
}
