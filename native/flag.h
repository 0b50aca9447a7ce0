/* A flag that is set without waiting, in one step for all threads. */
#ifndef DN_FLAG_H
#define DN_FLAG_H

#ifdef _MSC_VER
#include <intrin.h>
typedef volatile char dn_flag;
#define DN_SET(f) _InterlockedExchange8((f), 1) /* what it was */
#define DN_CLEAR(f) ((void)_InterlockedExchange8((f), 0))
#else
typedef char dn_flag;
#define DN_SET(f) __atomic_exchange_n((f), 1, __ATOMIC_ACQUIRE) /* what it was */
#define DN_CLEAR(f) __atomic_store_n((f), 0, __ATOMIC_RELEASE)
#endif

#endif
