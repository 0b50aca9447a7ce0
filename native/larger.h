/* The larger and the smaller of two numbers, and b where a is NaN; x within two bounds, and the lower where it is NaN.
 * As comparisons they are an instruction each; fmaxf and fminf are calls to compilers that keep the sign of a zero. */
#ifndef DN_LARGER_H
#define DN_LARGER_H

static inline float dn_larger(float a, float b) {
    return a > b ? a : b;
}

static inline float dn_smaller(float a, float b) {
    return a < b ? a : b;
}

static inline float dn_within(float x, float least, float most) {
    return dn_smaller(dn_larger(x, least), most);
}

#endif
