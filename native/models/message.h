/* Words for a file that is no model. */
#ifndef DN_MESSAGE_H
#define DN_MESSAGE_H

#include "denoise.h"

/* Writes one line to message, DN_MESSAGE bytes, and returns DN_BAD_MODEL. */
dn_status dn_bad_model(char *message, const char *format, ...)
#if defined(__MINGW32__)
    __attribute__((format(gnu_printf, 2, 3)))
#elif defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

#endif
