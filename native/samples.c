#include "samples.h"

#include <float.h>
#include <math.h>
#include <string.h>

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
