/* The floating-point mode of the thread. The engine works to the nearest and takes numbers that are too small to be
 * normal (below 1e-38) for zero, as many processors need a hundred times as long for them; the caller has its own mode
 * back afterwards. Thus no result depends on that of the caller. */
#ifndef DN_FPMODE_H
#define DN_FPMODE_H

#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define DN_HAS_FPMODE 1
#define DN_FPMODE 0x9fc0u /* flush results to zero, take operands for zero; no exception interrupts */

static inline uint64_t dn_get_fpmode(void) {
    return _mm_getcsr();
}

static inline void dn_set_fpmode(uint64_t mode) {
    _mm_setcsr((unsigned)mode);
}
#elif defined(__aarch64__) && defined(__GNUC__)
#define DN_HAS_FPMODE 1
#define DN_FPMODE (1u << 24)

static inline uint64_t dn_get_fpmode(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}

static inline void dn_set_fpmode(uint64_t mode) {
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#elif defined(__arm__) && defined(__GNUC__) && defined(__ARM_FP) && !defined(__SOFTFP__)
#define DN_HAS_FPMODE 1
#define DN_FPMODE (1u << 24)

static inline uint64_t dn_get_fpmode(void) {
    uint32_t mode;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(mode));
    return mode;
}

static inline void dn_set_fpmode(uint64_t mode) {
    __asm__ volatile("vmsr fpscr, %0" : : "r"((uint32_t)mode));
}
#else /* nothing that we know how to set: results are right, and slow near silence */
#define DN_HAS_FPMODE 0
#define DN_FPMODE 0

static inline uint64_t dn_get_fpmode(void) {
    return 0;
}

static inline void dn_set_fpmode(uint64_t mode) {
    (void)mode;
}
#endif

/* Keeps the compiler from moving what is computed from memory, or to it, over a change of mode. */
#if defined(__GNUC__)
#define DN_FENCE() __asm__ volatile("" : : : "memory")
#else
#define DN_FENCE() ((void)0)
#endif

/* Sets the engine's mode; returns the caller's, which every way out has to hand to dn_leave. */
static inline uint64_t dn_enter(void) {
    uint64_t before = dn_get_fpmode();
    dn_set_fpmode(DN_FPMODE);
    DN_FENCE();
    return before;
}

static inline void dn_leave(uint64_t before) {
    DN_FENCE();
    dn_set_fpmode(before);
}

#endif
