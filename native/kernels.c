#include "kernels.h"

#include <stddef.h>
#include <string.h>

#include "denoise.h"

extern const dn_kernels dn_kernels_scalar;

#if defined(__x86_64__) || defined(_M_X64)
#define DN_X86 1
extern const dn_kernels dn_kernels_avx2;

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

/* AVX2 and FMA in the processor, and an operating system that saves the wide registers on a task switch. */
static int has_avx2(void) {
    unsigned r[4];
    cpuid(0, r);
    if (r[0] < 7) return 0;
    cpuid(1, r);
    int fma = r[2] >> 12 & 1, osxsave = r[2] >> 27 & 1, avx = r[2] >> 28 & 1;
    if (!fma || !osxsave || !avx || (saved_registers() & 6) != 6) return 0;
    cpuid(7, r);
    return r[1] >> 5 & 1;
}
#endif

const dn_kernels *dn_kernels_find(const char *name) {
#ifdef DN_X86
    if ((name == NULL || strcmp(name, "avx2") == 0) && has_avx2()) return &dn_kernels_avx2;
#endif
    if (name == NULL || strcmp(name, "scalar") == 0) return &dn_kernels_scalar;
    return NULL;
}

const char *dn_isa_names(void) {
#ifdef DN_X86
    return "avx2 scalar";
#else
    return "scalar";
#endif
}
