/* Floats of 16 bits (IEEE 754 binary16), in which weights are kept. */
#ifndef DN_HALVES_H
#define DN_HALVES_H

#include <stdint.h>
#include <string.h>

/* The value of a finite one, exactly, whatever the floating-point mode makes of small numbers. */
static inline float dn_half_to_float(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = (uint32_t)(half & 0x7fff) << 13;
    const int small = rest < 1u << 23; /* below the normal ones: without the leading one */
    uint32_t bits = rest + ((uint32_t)(small ? 113 : 112) << 23);
    float value;
    memcpy(&value, &bits, sizeof(value));
    value -= small ? 6.103515625e-5f : 0; /* 2^-14, which that one was */
    memcpy(&bits, &value, sizeof(bits));
    bits |= sign;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Writes value as one of 16 bits if that is exact; returns whether it is. */
static inline int dn_float_is_half(float value, uint16_t *half) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    const uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff, exponent = rest >> 23;
    *half = (uint16_t)sign;
    if (rest == 0) return 1;
    if (exponent >= 113) {
        *half = (uint16_t)(sign | (rest - (112u << 23)) >> 13);
        return exponent < 143 && (rest & 0x1fff) == 0;
    }
    if (exponent < 103) return 0;
    const uint32_t shift = 126 - exponent, all = (rest & 0x7fffff) | 0x800000;
    *half = (uint16_t)(sign | all >> shift);
    return (all & ((1u << shift) - 1)) == 0;
}

#endif
