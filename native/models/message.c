#include "models/message.h"

#include <stdarg.h>
#include <stdio.h>

dn_status dn_bad_model(char *message, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, DN_MESSAGE, format, arguments);
    va_end(arguments);
    return DN_BAD_MODEL;
}
