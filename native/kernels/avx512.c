/* The kernels with AVX-512 (F, VL, BW) and its VNNI, for itself alone as in avx2.c. */
#if defined(__x86_64__) || defined(_M_X64)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512vl,avx512bw,avx512vnni"))),            \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma,f16c,avx512f,avx512vl,avx512bw,avx512vnni")
#endif

#include "kernels/vec_avx512.h"

#define DN_TABLE dn_kernels_avx512
#define DN_TABLE_NAME "avx512"
#include "kernels/body.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
typedef int dn_no_avx512; /* C wants something in every file */
#endif
