/* FNV-1a of 32 bits: tells apart models and saved states that were damaged, not forged. */
#ifndef DN_HASH_H
#define DN_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DN_HASH_START 2166136261u

/* Hash of data after that of the bytes before it; DN_HASH_START where there are none. */
static inline uint32_t dn_hash(uint32_t before, const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint32_t h = before;
    size_t i = 0;
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION /* four bytes at once, or a third of a fuzzer's time is spent here */
    for (uint32_t four; i + sizeof(four) <= size; i += sizeof(four)) {
        memcpy(&four, bytes + i, sizeof(four));
        h = (h ^ four) * 16777619u;
        h ^= h >> 15; /* so that a change in a high bit reaches all others */
    }
#endif
    for (; i < size; i++) h = (h ^ bytes[i]) * 16777619u;
    return h;
}

#endif
