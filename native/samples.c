#include "samples.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "fpmode.h"

/* The most that a float can hold below full scale of 32 bits. */
#define MOST_INT32 2147483520.0f

/* NaN, which a foreign network may give, becomes the least: no integer is made of it. */
static inline float clipped(float v, float least, float most) {
    v = v > least ? v : least;
    return v < most ? v : most;
}

/* Rounded, halves to even, and clipped. Written so that compilers make vectors of it: the sum has no bits left below
 * one, and as integers floats above zero keep their order, while those below zero come first. */
static inline int16_t nearest_int16(float v) {
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
    const float shift = 12582912.0f; /* 1.5 * 2^23 */
    const int32_t zero = 0x4b400000; /* the same, bit for bit */
    const float sum = v + shift;
    int32_t bits;
    memcpy(&bits, &sum, sizeof(bits));
    bits = bits < zero + INT16_MIN ? zero + INT16_MIN : bits;
    bits = bits > zero + INT16_MAX ? zero + INT16_MAX : bits;
    return (int16_t)(bits - zero);
#else
    return (int16_t)rintf(clipped(v, INT16_MIN, INT16_MAX));
#endif
}

/* One channel, which is each channels-th sample of in, to a row of floats; for floats, whether all are within the
 * limit. Of one channel and of two, the most frequent, compilers make vectors. */
#define TAKE(name, type, scale, checked)                                                                               \
    static inline int name##_each(const type *in, size_t channels, size_t frames, float limit, float *out) {           \
        int bad = 0;                                                                                                   \
        for (size_t i = 0; i < frames; i++) {                                                                          \
            out[i] = (float)in[i * channels] * (scale);                                                                \
            if (checked) bad |= !(fabsf(out[i]) <= limit);                                                             \
        }                                                                                                              \
        return !bad;                                                                                                   \
    }                                                                                                                  \
    static int name(const type *in, size_t channels, size_t frames, float limit, float *out) {                         \
        if (channels == 1) return name##_each(in, 1, frames, limit, out);                                              \
        if (channels == 2) return name##_each(in, 2, frames, limit, out);                                              \
        return name##_each(in, channels, frames, limit, out);                                                          \
    }

/* And back. */
#define GIVE(name, type, expression)                                                                                   \
    static inline void name##_each(const float *in, size_t channels, size_t frames, type *out) {                       \
        for (size_t i = 0; i < frames; i++) out[i * channels] = (type)(expression);                                    \
    }                                                                                                                  \
    static void name(const float *in, size_t channels, size_t frames, type *out) {                                     \
        if (channels == 1)                                                                                             \
            name##_each(in, 1, frames, out);                                                                           \
        else if (channels == 2)                                                                                        \
            name##_each(in, 2, frames, out);                                                                           \
        else                                                                                                           \
            name##_each(in, channels, frames, out);                                                                    \
    }

TAKE(take_int16, int16_t, 0x1p-15f, 0)
TAKE(take_int32, int32_t, 0x1p-31f, 0)
TAKE(take_float, float, 1.0f, 1)
TAKE(take_double, double, 1.0f, 1)
GIVE(give_int16, int16_t, nearest_int16(in[i] * 0x1p15f))
GIVE(give_int32, int32_t, rintf(clipped(in[i] * 0x1p31f, -0x1p31f, MOST_INT32)))
GIVE(give_float, float, in[i])
GIVE(give_double, double, in[i])

dn_status dn_take_samples(dn_type type, const void *in, size_t channels, size_t frames, float limit, float *rows,
                          size_t stride) {
    int good = 1;
    for (size_t c = 0; c < channels; c++, rows += stride) {
        switch (type) {
        case DN_INT16:
            good &= take_int16((const int16_t *)in + c, channels, frames, limit, rows);
            break;
        case DN_INT32:
            good &= take_int32((const int32_t *)in + c, channels, frames, limit, rows);
            break;
        case DN_FLOAT:
            good &= take_float((const float *)in + c, channels, frames, limit, rows);
            break;
        case DN_DOUBLE:
            good &= take_double((const double *)in + c, channels, frames, limit, rows);
            break;
        }
    }
    return good ? DN_OK : DN_NOT_FINITE;
}

void dn_give_samples(dn_type type, const float *rows, size_t stride, size_t channels, size_t frames, void *out) {
    for (size_t c = 0; c < channels; c++, rows += stride) {
        switch (type) {
        case DN_INT16:
            give_int16(rows, channels, frames, (int16_t *)out + c);
            break;
        case DN_INT32:
            give_int32(rows, channels, frames, (int32_t *)out + c);
            break;
        case DN_FLOAT:
            give_float(rows, channels, frames, (float *)out + c);
            break;
        case DN_DOUBLE:
            give_double(rows, channels, frames, (double *)out + c);
            break;
        }
    }
}

/* v in steps of 2^below, halves to even, at most top. (A shift of what is below zero is rounded down by each compiler.)
 */
static inline int32_t whole_steps(int32_t v, int below, int32_t top) {
    const int32_t rest = v & (int32_t)((1u << below) - 1), half = below ? 1 << (below - 1) : 1;
    int32_t steps = v >> below;
    steps += rest + (steps & 1) > half;
    return steps < top ? steps : top;
}

/* v rounded, halves to even, where that is within least and most; NaN is 0. A number with 2^(bits of its fraction), of
 * its sign, added has no bits left below one. */
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
#define NEAREST_BY_SUM(v, shift) (((v) + (shift)) - (shift))
#define NEAREST_FLOAT(v) NEAREST_BY_SUM(v, copysignf(0x1p23f, v))
#define NEAREST_DOUBLE(v) NEAREST_BY_SUM(v, copysign(0x1p52, v))
#else
#define NEAREST_FLOAT(v) rintf(v)
#define NEAREST_DOUBLE(v) rint(v)
#endif
#define WHOLE(name, real, nearest)                                                                                     \
    static inline int32_t name(real v, real least, real most) {                                                        \
        v = v == v ? v : 0;                                                                                            \
        v = v > least ? v : least;                                                                                     \
        v = v < most ? v : most;                                                                                       \
        return (int32_t)nearest(v);                                                                                    \
    }

WHOLE(whole_float, float, NEAREST_FLOAT)
WHOLE(whole_double, double, NEAREST_DOUBLE)

/* Integers of width bits. */
#define ROUND_INTS(name, type, width, wide, wide_width)                                                                \
    static void name(const type *in, size_t count, int depth, wide *out) {                                             \
        const int below = width > depth ? width - depth : 0, up = wide_width - (width > depth ? depth : width);        \
        const int32_t top = (int32_t)((1u << (width - 1 - below)) - 1);                                                \
        for (size_t i = 0; i < count; i++) out[i] = (wide)((uint32_t)whole_steps(in[i], below, top) << up);            \
    }

/* Floats, reckoned with as real numbers, which hold depth bits. */
#define ROUND_FLOATS(name, type, real, whole, wide, wide_width)                                                        \
    static void name(const type *in, size_t count, int depth, wide *out) {                                             \
        const real full = (real)(1u << (depth - 1)), most = full - 1;                                                  \
        const int up = wide_width - depth;                                                                             \
        for (size_t i = 0; i < count; i++) out[i] = (wide)((uint32_t)whole(in[i] * full, -full, most) << up);          \
    }

ROUND_INTS(round_int16_to_16, int16_t, 16, int16_t, 16)
ROUND_INTS(round_int16_to_32, int16_t, 16, int32_t, 32)
ROUND_INTS(round_int32_to_16, int32_t, 32, int16_t, 16)
ROUND_INTS(round_int32_to_32, int32_t, 32, int32_t, 32)
ROUND_FLOATS(round_float_to_16, float, float, whole_float, int16_t, 16)
ROUND_FLOATS(round_float_to_24, float, float, whole_float, int32_t, 32)
ROUND_FLOATS(round_float_to_32, float, double, whole_double, int32_t, 32)
ROUND_FLOATS(round_double_to_16, double, double, whole_double, int16_t, 16)
ROUND_FLOATS(round_double_to_32, double, double, whole_double, int32_t, 32)

void dn_round_samples(dn_type type, const void *in, size_t count, int depth, void *out) {
    const uint64_t mode = dn_enter();
    switch (type) {
    case DN_INT16:
        depth > 16 ? round_int16_to_32(in, count, depth, out) : round_int16_to_16(in, count, depth, out);
        break;
    case DN_INT32:
        depth > 16 ? round_int32_to_32(in, count, depth, out) : round_int32_to_16(in, count, depth, out);
        break;
    case DN_FLOAT:
        if (depth > 24)
            round_float_to_32(in, count, depth, out);
        else
            depth > 16 ? round_float_to_24(in, count, depth, out) : round_float_to_16(in, count, depth, out);
        break;
    case DN_DOUBLE:
        depth > 16 ? round_double_to_32(in, count, depth, out) : round_double_to_16(in, count, depth, out);
        break;
    }
    dn_leave(mode);
}
