/* The kernels with NEON and fused multiply-add, for itself alone as in kernels_avx2.c where that takes a pragma. */
#include "arm.h"

#ifdef DN_NEON

#if defined(__arm__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("fpu=neon-vfpv4")
#endif

#include "vec_neon.h"

#define DN_TABLE dn_kernels_neon
#define DN_TABLE_NAME "neon"
#include "kernels_body.h"

#else
typedef int dn_no_neon; /* C wants something in every file */
#endif
