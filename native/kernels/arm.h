/* The kernels for ARM that this build has. */
#ifndef DN_ARM_H
#define DN_ARM_H

/* Little-endian, as the loops take numbers apart by their place. 64-bit ARM always has NEON. 32-bit ARM may have it:
 * GCC compiles one file for it by a pragma there, other compilers only where all of the build is for it. */
#if !defined(__ARM_BIG_ENDIAN)
#if defined(__aarch64__) || defined(_M_ARM64)
#define DN_NEON 1
#define DN_NEON_DOTPROD 1
#elif defined(__arm__) && defined(__ARM_PCS_VFP) && __ARM_ARCH >= 7
#if defined(__GNUC__) && !defined(__clang__) || defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
#define DN_NEON 1
#endif
#endif
#endif

#endif
