/* The kernels with NEON and its products of four bytes at a time, for itself alone as in avx2.c. */
#include "kernels/arm.h"

#ifdef DN_NEON_DOTPROD

#include <arm_neon.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#if defined(__clang__) && !defined(__ARM_FEATURE_DOTPROD)
/* Clang before 16 hides the intrinsic from builds that are for processors without it. */
static inline int32x4_t dot_products(int32x4_t sums, int8x16_t a, int8x16_t b) {
    __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(sums) : "w"(a), "w"(b));
    return sums;
}
#define DN_DOT_PRODUCTS dot_products
#else
#define DN_DOT_PRODUCTS vdotq_s32
#endif

#include "kernels/vec_neon.h"

#define DN_TABLE dn_kernels_neon_dotprod
#define DN_TABLE_NAME "neon-dotprod"
#include "kernels/body.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
typedef int dn_no_neon_dotprod; /* C wants something in every file */
#endif
