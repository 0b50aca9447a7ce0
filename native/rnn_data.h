/* The model that is compiled in: the bytes of a file that dn_model_load reads. */
#ifndef DN_RNN_DATA_H
#define DN_RNN_DATA_H

#include <stddef.h>

extern const unsigned char dn_builtin_data[];
extern const size_t dn_builtin_size;

#endif
