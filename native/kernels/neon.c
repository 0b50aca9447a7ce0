/* The kernels with NEON and fused multiply-add, for itself alone as in avx2.c where that takes a pragma. */
#include "kernels/arm.h"

#ifdef DN_NEON

#if defined(__arm__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("fpu=neon-vfpv4")
#endif

#include "kernels/vec_neon.h"

#define DN_TABLE dn_kernels_neon
#define DN_TABLE_NAME "neon"
#include "kernels/body.h"

#else
typedef int dn_no_neon; /* C wants something in every file */
#endif
