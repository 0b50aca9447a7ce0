#include "kernels/table.h"

#include <stddef.h>
#include <string.h>

#include "kernels/arm.h"

extern const dn_kernels dn_kernels_scalar;

#if defined(__x86_64__) || defined(_M_X64)
#define DN_X86 1
extern const dn_kernels dn_kernels_avx512, dn_kernels_avx2, dn_kernels_sse41;

#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>

static void cpuid(unsigned leaf, unsigned r[4]) {
    int regs[4];
    __cpuidex(regs, (int)leaf, 0);
    for (int i = 0; i < 4; i++) r[i] = (unsigned)regs[i];
}

static unsigned saved_registers(void) {
    return (unsigned)_xgetbv(0);
}
#else
#include <cpuid.h>

static void cpuid(unsigned leaf, unsigned r[4]) {
    if (!__get_cpuid_count(leaf, 0, &r[0], &r[1], &r[2], &r[3])) memset(r, 0, 4 * sizeof(*r));
}

static unsigned saved_registers(void) {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return low;
}
#endif

static int has(unsigned flags, unsigned bit) {
    return flags >> bit & 1;
}

static int can_run_sse41(void) {
    unsigned r[4];
    cpuid(1, r);
    return has(r[2], 9) && has(r[2], 19); /* SSSE3 too, which SSE4.1 implies */
}

/* Asks for AVX2, FMA and F16C in the processor, and an operating system that saves the wide registers on a task switch.
 */
static int can_run_avx2(void) {
    unsigned r[4];
    cpuid(0, r);
    if (r[0] < 7) return 0;
    cpuid(1, r);
    int fma = has(r[2], 12), osxsave = has(r[2], 27), avx = has(r[2], 28), f16c = has(r[2], 29);
    if (!fma || !f16c || !osxsave || !avx || (saved_registers() & 0x6) != 0x6) return 0;
    cpuid(7, r);
    return has(r[1], 5);
}

/* Asks for F, BW, VL and VNNI besides, the 32 registers of 64 bytes and the masks. */
static int can_run_avx512(void) {
    unsigned r[4];
    if (!can_run_avx2() || (saved_registers() & 0xe6) != 0xe6) return 0;
    cpuid(7, r);
    return has(r[1], 16) && has(r[1], 30) && has(r[1], 31) && has(r[2], 11);
}
#endif

#ifdef DN_NEON
extern const dn_kernels dn_kernels_neon;

#if defined(__linux__)
#include <sys/auxv.h>

/* Asks what the system says of the processor. Its bits have these numbers since there are such processors. */
static int has_hwcap(unsigned bit) {
    return getauxval(AT_HWCAP) >> bit & 1;
}
#endif

#ifdef DN_NEON_DOTPROD
extern const dn_kernels dn_kernels_neon_dotprod;

#if defined(_WIN32)
#include <windows.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

static int can_run_dotprod(void) {
#if defined(__ARM_FEATURE_DOTPROD)
    return 1; /* all of this build needs it */
#elif defined(__linux__)
    return has_hwcap(20);
#elif defined(_WIN32)
    return IsProcessorFeaturePresent(43) != 0; /* PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE, which old headers lack */
#elif defined(__APPLE__)
    int there = 0;
    size_t size = sizeof(there);
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &there, &size, NULL, 0) == 0 && there;
#else
    return 0;
#endif
}
#endif

static int can_run_neon(void) {
#if defined(__aarch64__) || defined(_M_ARM64) || defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
    return 1;
#elif defined(__linux__)
    return has_hwcap(12) && has_hwcap(16); /* NEON and VFPv4 */
#else
    return 0;
#endif
}
#endif

static int can_always_run(void) {
    return 1;
}

/* The fastest first. */
static const struct {
    const dn_kernels *table;
    int (*can_run)(void);
} sets[] = {
#ifdef DN_X86
    {&dn_kernels_avx512, can_run_avx512},
    {&dn_kernels_avx2, can_run_avx2},
    {&dn_kernels_sse41, can_run_sse41},
#endif
#ifdef DN_NEON_DOTPROD
    {&dn_kernels_neon_dotprod, can_run_dotprod},
#endif
#ifdef DN_NEON
    {&dn_kernels_neon, can_run_neon},
#endif
    {&dn_kernels_scalar, can_always_run},
};

enum { SETS = sizeof(sets) / sizeof(*sets) };

const dn_kernels *dn_kernels_find(const char *name) {
    for (int i = 0; i < SETS; i++) {
        if (name && strcmp(name, sets[i].table->name) != 0) continue;
        if (sets[i].can_run()) return sets[i].table;
    }
    return NULL;
}

const char *dn_isa_name(int index) {
    return index >= 0 && index < SETS ? sets[index].table->name : NULL;
}
