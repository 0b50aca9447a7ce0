/* v8 as two NEON registers of four, with fused multiply-add; its operations are described in vec_scalar.h. For
 * 64-bit ARM, and for 32-bit ARM with VFPv4. */
#include <arm_neon.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    float32x4_t low, high;
} v8;

static inline v8 v8_load(const float *p) {
    return (v8){vld1q_f32(p), vld1q_f32(p + 4)};
}

static inline v8 v8_from_bytes(const int8_t *p) {
    int16x8_t all = vmovl_s8(vld1_s8(p));
    return (v8){vcvtq_f32_s32(vmovl_s16(vget_low_s16(all))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(all)))};
}

#if defined(__aarch64__) || defined(_M_ARM64)
static inline v8 v8_from_halves(const uint16_t *p) {
    return (v8){vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))), vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4)))};
}
#else
/* As halves.h does it; compilers for 32 bits hide the instruction from builds that name no form of such numbers. */
static inline float32x4_t four_halves(uint16x4_t half) {
    uint32x4_t words = vmovl_u16(half), rest = vshlq_n_u32(vandq_u32(words, vdupq_n_u32(0x7fff)), 13);
    uint32x4_t small = vcltq_u32(rest, vdupq_n_u32(1u << 23));
    uint32x4_t bits = vaddq_u32(rest, vdupq_n_u32(112u << 23));
    bits = vaddq_u32(bits, vandq_u32(small, vdupq_n_u32(1u << 23)));
    uint32x4_t leading = vandq_u32(small, vdupq_n_u32(113u << 23)); /* 2^-14 */
    float32x4_t value = vsubq_f32(vreinterpretq_f32_u32(bits), vreinterpretq_f32_u32(leading));
    uint32x4_t sign = vshlq_n_u32(vandq_u32(words, vdupq_n_u32(0x8000)), 16);
    return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(value), sign));
}

static inline v8 v8_from_halves(const uint16_t *p) {
    return (v8){four_halves(vld1_u16(p)), four_halves(vld1_u16(p + 4))};
}
#endif

static inline void v8_store(float *p, v8 a) {
    vst1q_f32(p, a.low);
    vst1q_f32(p + 4, a.high);
}

static inline void v8_prefetch(const void *p) {
#if defined(__GNUC__)
    __builtin_prefetch(p);
#else
    (void)p;
#endif
}

static inline v8 v8_set(float x) {
    return (v8){vdupq_n_f32(x), vdupq_n_f32(x)};
}

static inline v8 v8_add(v8 a, v8 b) {
    return (v8){vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)};
}

static inline v8 v8_sub(v8 a, v8 b) {
    return (v8){vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)};
}

static inline v8 v8_mul(v8 a, v8 b) {
    return (v8){vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)};
}

#if defined(__aarch64__) || defined(_M_ARM64)
static inline v8 v8_div(v8 a, v8 b) {
    return (v8){vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)};
}
#else
/* 32-bit NEON cannot divide, but the unit for single numbers can. */
static inline v8 v8_div(v8 a, v8 b) {
    float above[8], below[8];
    v8_store(above, a);
    v8_store(below, b);
    for (int i = 0; i < 8; i++) above[i] /= below[i];
    return v8_load(above);
}
#endif

static inline v8 v8_min(v8 a, v8 b) {
    return (v8){vminq_f32(a.low, b.low), vminq_f32(a.high, b.high)};
}

static inline v8 v8_max(v8 a, v8 b) {
    return (v8){vmaxq_f32(a.low, b.low), vmaxq_f32(a.high, b.high)};
}

static inline v8 v8_fma(v8 a, v8 b, v8 c) {
    return (v8){vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}

static inline v8 v8_muladd(v8 a, v8 b, v8 c) {
    return v8_fma(a, b, c);
}

static inline v8 v8_fnma(v8 a, v8 b, v8 c) {
    return (v8){vfmsq_f32(c.low, a.low, b.low), vfmsq_f32(c.high, a.high, b.high)};
}

static inline v8 v8_bits(v8 a) {
    return (v8){vcvtq_f32_s32(vreinterpretq_s32_f32(a.low)), vcvtq_f32_s32(vreinterpretq_s32_f32(a.high))};
}

static inline v8 v8_of_bits(v8 a) {
    return (v8){vreinterpretq_f32_s32(vcvtq_s32_f32(a.low)), vreinterpretq_f32_s32(vcvtq_s32_f32(a.high))};
}

static inline float32x4_t reverse_four(float32x4_t a) {
    float32x4_t swapped = vrev64q_f32(a);
    return vcombine_f32(vget_high_f32(swapped), vget_low_f32(swapped));
}

static inline v8 v8_reverse(v8 a) {
    return (v8){reverse_four(a.high), reverse_four(a.low)};
}

static inline float v8_sum(v8 a) {
    float32x4_t four = vaddq_f32(a.low, a.high);
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

static inline void v8_split(v8 low, v8 high, v8 *a, v8 *b) {
    float32x4x2_t first = vuzpq_f32(low.low, low.high), second = vuzpq_f32(high.low, high.high);
    *a = (v8){first.val[0], second.val[0]};
    *b = (v8){first.val[1], second.val[1]};
}

static inline void v8_join(v8 a, v8 b, v8 *low, v8 *high) {
    float32x4x2_t first = vzipq_f32(a.low, b.low), second = vzipq_f32(a.high, b.high);
    *low = (v8){first.val[0], first.val[1]};
    *high = (v8){second.val[0], second.val[1]};
}

static inline void transpose_four(float32x4_t *a, float32x4_t *b, float32x4_t *c, float32x4_t *d) {
    float32x4x2_t ab = vtrnq_f32(*a, *b), cd = vtrnq_f32(*c, *d);
    *a = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));
    *b = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));
    *c = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));
    *d = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));
}

/* Transposes by quarters of 4 x 4, of which the two off the diagonal change places. */
static inline v8 v8_from_fours(const float *low, const float *high) {
    return (v8){vld1q_f32(low), vld1q_f32(high)};
}

static inline void v8_store_fours(float *low, float *high, v8 a) {
    vst1q_f32(low, a.low);
    vst1q_f32(high, a.high);
}

static inline v8 v8_spread_0(v8 a) {
    return (v8){vdupq_lane_f32(vget_low_f32(a.low), 0), vdupq_lane_f32(vget_low_f32(a.high), 0)};
}

static inline v8 v8_spread_1(v8 a) {
    return (v8){vdupq_lane_f32(vget_low_f32(a.low), 1), vdupq_lane_f32(vget_low_f32(a.high), 1)};
}

static inline v8 v8_spread_2(v8 a) {
    return (v8){vdupq_lane_f32(vget_high_f32(a.low), 0), vdupq_lane_f32(vget_high_f32(a.high), 0)};
}

static inline v8 v8_spread_3(v8 a) {
    return (v8){vdupq_lane_f32(vget_high_f32(a.low), 1), vdupq_lane_f32(vget_high_f32(a.high), 1)};
}

static inline void v8_transpose(v8 rows[8]) {
    for (int i = 0; i < 8; i += 4) {
        transpose_four(&rows[i].low, &rows[i + 1].low, &rows[i + 2].low, &rows[i + 3].low);
        transpose_four(&rows[i].high, &rows[i + 1].high, &rows[i + 2].high, &rows[i + 3].high);
    }
    for (int i = 0; i < 4; i++) {
        float32x4_t swap = rows[i].high;
        rows[i].high = rows[i + 4].low;
        rows[i + 4].low = swap;
    }
}

/* Four steps, for all eight sums. */
typedef int8x16_t steps4;

static inline steps4 steps4_load(const int8_t *steps) {
    int32_t four;
    memcpy(&four, steps, sizeof(four));
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

#ifdef DN_DOT_PRODUCTS
typedef struct {
    int32x4_t low, high;
} dots8;

static inline dots8 dots8_zero(void) {
    return (dots8){vdupq_n_s32(0), vdupq_n_s32(0)};
}

static inline dots8 dots8_add_steps(dots8 sums, const int8_t *q, steps4 steps) {
    return (dots8){DN_DOT_PRODUCTS(sums.low, vld1q_s8(q), steps), DN_DOT_PRODUCTS(sums.high, vld1q_s8(q + 16), steps)};
}

static inline v8 v8_from_dots8(dots8 a) {
    return (v8){vcvtq_f32_s32(a.low), vcvtq_f32_s32(a.high)};
}
#else
/* Two sums for each of the eight, one of the first two products of every four and one of the others. */
typedef struct {
    int32x4_t pairs[4];
} dots8;

static inline dots8 dots8_zero(void) {
    int32x4_t zero = vdupq_n_s32(0);
    return (dots8){{zero, zero, zero, zero}};
}

static inline dots8 dots8_add_steps(dots8 sums, const int8_t *q, steps4 steps) {
    for (int i = 0; i < 4; i++) {
        sums.pairs[i] = vpadalq_s16(sums.pairs[i], vmull_s8(vld1_s8(q + 8 * i), vget_low_s8(steps)));
    }
    return sums;
}

static inline int32x4_t add_neighbours(int32x4_t a, int32x4_t b) {
    return vcombine_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)), vpadd_s32(vget_low_s32(b), vget_high_s32(b)));
}

static inline v8 v8_from_dots8(dots8 a) {
    return (v8){vcvtq_f32_s32(add_neighbours(a.pairs[0], a.pairs[1])),
                vcvtq_f32_s32(add_neighbours(a.pairs[2], a.pairs[3]))};
}
#endif

static inline dots8 dots8_add(dots8 sums, const int8_t *q, const int8_t *steps) {
    return dots8_add_steps(sums, q, steps4_load(steps));
}

/* floor(a), a being in the range of int32 */
static inline int32x4_t floor_four(float32x4_t a) {
    int32x4_t whole = vcvtq_s32_f32(a); /* towards zero */
    uint32x4_t above = vcgtq_f32(vcvtq_f32_s32(whole), a);
    return vaddq_s32(whole, vreinterpretq_s32_u32(above)); /* true is -1 */
}

/* p[i] = floor(a[i]) as int8; a is from -128 to 127. */
static inline void v8_store_steps(int8_t *p, v8 a) {
    int16x8_t whole = vcombine_s16(vmovn_s32(floor_four(a.low)), vmovn_s32(floor_four(a.high)));
    vst1_s8(p, vmovn_s16(whole));
}

static inline double fma_double(double a, double b, double c) {
    return fma(a, b, c);
}
