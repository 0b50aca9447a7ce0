#include "memory.h"

#include <stdint.h>
#include <stdlib.h>

enum { ALIGNMENT = 64 };

/* malloc, with the pointer that it gave kept just before the block; C11's aligned_alloc is missing on Windows. */
void *dn_new(size_t size) {
    if (size > SIZE_MAX - ALIGNMENT - sizeof(void *)) return NULL;
    char *raw = calloc(1, size + ALIGNMENT + sizeof(void *));
    if (!raw) return NULL;
    uintptr_t start = ((uintptr_t)raw + sizeof(void *) + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    ((void **)start)[-1] = raw;
    return (void *)start;
}

void dn_delete(void *memory) {
    if (memory) free(((void **)memory)[-1]);
}
