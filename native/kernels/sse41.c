/* The kernels with SSE4.1, for itself alone as in avx2.c. */
#if defined(__x86_64__) || defined(_M_X64)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("sse4.1"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("sse4.1")
#endif

#include "kernels/vec_sse41.h"

#define DN_TABLE dn_kernels_sse41
#define DN_TABLE_NAME "sse4.1"
#include "kernels/body.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
typedef int dn_no_sse41; /* C wants something in every file */
#endif
