/* A model as the library's callers have it. */
#ifndef DN_DENOISER_H
#define DN_DENOISER_H

#include "denoise.h"
#include "library/denoise_wrapper/denoise.h"

struct denoiser {
    dn_model *model;
    dn_model *guide; /* that goes before a model that takes one; else NULL */
    int32_t rate;    /* Hz */
};

/* What a status of the engine is to the library's callers. */
denoise_status dn_public_status(dn_status status);

/* Writes a line to message, unless that is NULL, and returns status. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
denoise_status
dn_say(denoise_status status, char *message, const char *format, ...);

#endif
