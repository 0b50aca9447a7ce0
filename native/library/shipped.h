/* The models that are compiled into the library, beside the one of dn_model_builtin. */
#ifndef DN_SHIPPED_H
#define DN_SHIPPED_H

#include "denoise.h"

/* The bytes of one file or, of a DTLN, of two; each from its beginning to its end. */
typedef struct {
    const char *name; /* of the backend */
    const unsigned char *first, *first_end;
    const unsigned char *second, *second_end; /* NULL, but of a DTLN */
    dn_precision precision;
} dn_shipped;

/* Returns the model of that index; NULL behind the last. */
const dn_shipped *dn_shipped_model(int32_t index);

#endif
