/* Zeroed memory at addresses that suit the widest vectors. */
#ifndef DN_MEMORY_H
#define DN_MEMORY_H

#include <stddef.h>

/* NULL when there is none. */
void *dn_new(size_t size);
void dn_delete(void *memory); /* NULL is fine */

#endif
