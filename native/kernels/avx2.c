/* The kernels with AVX2, FMA and F16C. The pragmas stand for -mavx2 -mfma -mf16c, for this file alone, so that no build
 * needs flags by file; MSVC compiles any intrinsic without being asked. Empty on other processors. */
#if defined(__x86_64__) || defined(_M_X64)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma,f16c")
#endif

#include "kernels/vec_avx2.h"

#define DN_TABLE dn_kernels_avx2
#define DN_TABLE_NAME "avx2"
#include "kernels/body.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
typedef int dn_no_avx2; /* C wants something in every file */
#endif
