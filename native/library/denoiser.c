/* Models by name, by path and from memory. */
#include "library/denoiser.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library/shipped.h"
#include "memory.h"

#ifndef DN_VERSION
#define DN_VERSION "0"
#endif

enum {
    MOST_BYTES = 64 << 20,  /* of a model file */
    HOPS_A_SECOND = 125,    /* of a DTLN: blocks of 32 ms, one every quarter */
    ROOM_AT_FIRST = 1 << 16 /* bytes, when a file is read */
};

const char *denoise_version(void) {
    return DN_VERSION;
}

const char *denoise_status_text(denoise_status status) {
    switch (status) {
    case DENOISE_OK:
        return "all is well";
    case DENOISE_NO_MEMORY:
        return "there is no memory left";
    case DENOISE_BAD_MODEL:
        return "the model is damaged, or none that is known";
    case DENOISE_NO_MODEL:
        return "no model of that name is compiled in";
    case DENOISE_NO_FILE:
        return "the file cannot be read";
    case DENOISE_BAD_RANGE:
        return "an argument or a setting is out of range";
    case DENOISE_NOT_FINITE:
        return "a sample is not finite, or beyond +-100000";
    case DENOISE_BUSY:
        return "another thread is using the stream";
    case DENOISE_NO_SUCH_ISA:
        return "this processor cannot run that instruction set";
    }
    return "no status of this library";
}

denoise_status dn_public_status(dn_status status) {
    switch (status) {
    case DN_OK:
        return DENOISE_OK;
    case DN_NO_MEMORY:
        return DENOISE_NO_MEMORY;
    case DN_NOT_FINITE:
        return DENOISE_NOT_FINITE;
    case DN_BUSY:
        return DENOISE_BUSY;
    case DN_NO_SUCH_ISA:
        return DENOISE_NO_SUCH_ISA;
    case DN_BAD_MODEL:
    case DN_UNKNOWN_MODEL:
        return DENOISE_BAD_MODEL;
    default:
        return DENOISE_BAD_RANGE;
    }
}

denoise_status dn_say(denoise_status status, char *message, const char *format, ...) {
    if (!message) return status;
    va_list values;
    va_start(values, format);
    vsnprintf(message, DENOISE_MESSAGE, format, values);
    va_end(values);
    return status;
}

const char *denoise_model_name(int32_t index) {
    if (index <= 0) return index ? NULL : "rnnoise";
    const dn_shipped *shipped = dn_shipped_model(index - 1);
    return shipped ? shipped->name : NULL;
}

/* ---- a model ---- */

static denoise_status choose_isa(dn_model *model, char *message) {
    const char *wanted = getenv("DENOISE_WRAPPER_ISA");
    if (!wanted || !*wanted || dn_model_set_isa(model, wanted) == DN_OK) return DENOISE_OK;
    return dn_say(DENOISE_NO_SUCH_ISA, message,
                  "the instruction set %.40s, which DENOISE_WRAPPER_ISA names, cannot be used here; unset it for the "
                  "fastest",
                  wanted);
}

static const dn_shipped *find(const char *name) {
    const dn_shipped *shipped = dn_shipped_model(0);
    for (int32_t i = 1; shipped && strcmp(shipped->name, name) != 0; i++) shipped = dn_shipped_model(i);
    return shipped;
}

static size_t size_of(const unsigned char *first, const unsigned char *end) {
    return (size_t)((uintptr_t)end - (uintptr_t)first);
}

/* Finds the name that the metadata give for the guide, of size bytes; NULL if there is none. */
static const char *guide_name(const dn_model *model, size_t *size) {
    static const char key[] = "\"guide\": \"";
    const size_t length = sizeof(key) - 1;
    size_t end;
    const char *text = dn_model_metadata(model, &end);
    for (size_t at = 0; text && at + length < end; at++) {
        if (memcmp(text + at, key, length) != 0) continue;
        const char *name = text + at + length, *close = memchr(name, '"', end - at - length);
        *size = close ? (size_t)(close - name) : 0;
        return close ? name : NULL;
    }
    return NULL;
}

/* The bytes of the model of that name, if it is compiled in and has one file; else NULL. */
static const void *compiled_in(const char *name, size_t *size) {
    if (strcmp(name, denoise_model_name(0)) == 0) return dn_builtin_bytes(size);
    const dn_shipped *shipped = find(name);
    if (!shipped || shipped->second) return NULL;
    *size = size_of(shipped->first, shipped->first_end);
    return shipped->first;
}

static int can_guide(const dn_model *model) {
    return dn_model_rate(model) == DN_RATE && dn_model_hop(model) == DN_FRAME && !dn_model_is_guided(model);
}

/* Loads the model that is to guide another one, of those that are compiled in; *guide is NULL if there is none. */
static denoise_status load_guide(const dn_model *model, dn_model **guide, char *message) {
    char name[40] = "";
    size_t size = 0;
    const char *text = guide_name(model, &size);
    if (text && size < sizeof(name)) memcpy(name, text, size);
    const void *bytes = compiled_in(name, &size);
    dn_status loaded = bytes ? dn_model_load(bytes, size, guide, NULL) : DN_BAD_MODEL;
    if (loaded == DN_OK && can_guide(*guide)) return choose_isa(*guide, message);
    dn_model_destroy(*guide);
    *guide = NULL;
    if (loaded == DN_NO_MEMORY) return dn_say(DENOISE_NO_MEMORY, message, "no memory for the model");
    return dn_say(DENOISE_BAD_MODEL, message,
                  "the model is a guided enhancer, and no model that is compiled in can guide it: it names '%s'", name);
}

/* Makes a denoiser of what was loaded, which it owns; on failure it is gone. */
static denoise_status wrap(dn_model *model, denoiser **out, char *message) {
    dn_model *guide = NULL;
    denoise_status status = choose_isa(model, message);
    if (status == DENOISE_OK && dn_model_is_guided(model)) status = load_guide(model, &guide, message);
    *out = status == DENOISE_OK ? dn_new(sizeof(**out)) : NULL;
    if (!*out) {
        dn_model_destroy(guide);
        dn_model_destroy(model);
        return status == DENOISE_OK ? dn_say(DENOISE_NO_MEMORY, message, "no memory for the model") : status;
    }
    (*out)->model = model;
    (*out)->guide = guide;
    (*out)->rate = dn_model_family(model) == DN_DTLN ? HOPS_A_SECOND * dn_model_hop(model) : dn_model_rate(model);
    return DENOISE_OK;
}

static dn_status load(const void *first, size_t first_size, const void *second, size_t second_size,
                      denoise_precision precision, dn_model **model, char *why) {
    dn_precision kept = precision == DENOISE_INT8 ? DN_INT8 : DN_AS_STORED;
    if (second) return dn_model_load_pair(first, first_size, second, second_size, kept, model, why);
    return dn_model_load(first, first_size, model, why);
}

/* called: what the message says of the model. */
static denoise_status open_bytes(const void *first, size_t first_size, const void *second, size_t second_size,
                                 denoise_precision precision, const char *called, denoiser **out, char *message) {
    static const char nothing = 0;
    char why[DN_MESSAGE] = "";
    dn_model *model = NULL;
    *out = NULL;
    if (first_size > MOST_BYTES || second_size > MOST_BYTES) {
        return dn_say(DENOISE_BAD_MODEL, message, "%.180s has more than %d MB; no model is so large", called,
                      MOST_BYTES >> 20);
    }
    dn_status status =
        load(first ? first : &nothing, first ? first_size : 0, second, second_size, precision, &model, why);
    if (status == DN_OK) return wrap(model, out, message);
    return dn_say(dn_public_status(status), message, "%.180s cannot be used: %s", called, why);
}

denoise_status denoiser_open_memory(const void *first, size_t first_size, const void *second, size_t second_size,
                                    denoise_precision precision, denoiser **out, char *message) {
    return open_bytes(first, first_size, second, second_size, precision, "the model given as bytes", out, message);
}

static denoise_status no_such_model(const char *name, char *message) {
    char known[200] = "";
    size_t at = 0;
    const char *each = denoise_model_name(0);
    for (int32_t i = 1; each && at < sizeof(known); i++) {
        int more = snprintf(known + at, sizeof(known) - at, "%s%s", at ? ", " : "", each);
        at += more > 0 ? (size_t)more : 0;
        each = denoise_model_name(i);
    }
    return dn_say(DENOISE_NO_MODEL, message, "there is no model %.60s; compiled in are %s", name, known);
}

denoise_status denoiser_open(const char *name, denoiser **out, char *message) {
    *out = NULL;
    if (!name || strcmp(name, denoise_model_name(0)) == 0) {
        size_t size;
        const void *bytes = dn_builtin_bytes(&size);
        return open_bytes(bytes, size, NULL, 0, DENOISE_AS_STORED, "the model compiled in", out, message);
    }
    const dn_shipped *shipped = find(name);
    if (!shipped) return no_such_model(name, message);
    return open_bytes(shipped->first, size_of(shipped->first, shipped->first_end), shipped->second,
                      shipped->second ? size_of(shipped->second, shipped->second_end) : 0,
                      shipped->precision == DN_INT8 ? DENOISE_INT8 : DENOISE_AS_STORED, name, out, message);
}

/* ---- files ---- */

typedef struct {
    unsigned char *bytes; /* from malloc */
    size_t size;
} content;

/* Reads what is left of a file, one byte more than MOST_BYTES at most. Returns DENOISE_OK, or what went wrong. */
static denoise_status read_rest(FILE *file, content *to) {
    size_t room = 0;
    while (to->size <= MOST_BYTES) {
        if (to->size == room) {
            room = room ? 2 * room : ROOM_AT_FIRST;
            unsigned char *larger = realloc(to->bytes, room);
            if (!larger) return DENOISE_NO_MEMORY;
            to->bytes = larger;
        }
        size_t more = fread(to->bytes + to->size, 1, room - to->size, file);
        to->size += more;
        if (!more) return ferror(file) ? DENOISE_NO_FILE : DENOISE_OK;
    }
    return DENOISE_OK;
}

static denoise_status read_file(const char *path, content *to, char *message) {
    errno = 0;
    FILE *file = fopen(path, "rb");
    denoise_status status = file ? read_rest(file, to) : DENOISE_NO_FILE;
    int reason = errno;
    if (file) fclose(file);
    if (status == DENOISE_NO_MEMORY) return dn_say(status, message, "no memory for %.300s", path);
    if (status != DENOISE_OK) return dn_say(status, message, "%.300s cannot be read: %.60s", path, strerror(reason));
    return DENOISE_OK;
}

static denoise_status open_files(const char *path, const char *second_path, denoise_precision precision, denoiser **out,
                                 char *message) {
    content first = {0}, second = {0};
    denoise_status status = read_file(path, &first, message);
    if (status == DENOISE_OK && second_path) status = read_file(second_path, &second, message);
    if (status == DENOISE_OK) {
        status = open_bytes(first.bytes, first.size, second_path ? second.bytes : NULL, second.size, precision, path,
                            out, message);
    }
    free(first.bytes);
    free(second.bytes);
    return status;
}

denoise_status denoiser_open_file(const char *path, denoiser **out, char *message) {
    *out = NULL;
    size_t length = strlen(path);
    denoise_status status = open_files(path, NULL, DENOISE_AS_STORED, out, message);
    if (status == DENOISE_BAD_MODEL && length > 5 && strcmp(path + length - 5, ".onnx") == 0) {
        return dn_say(status, message, "%.200s is one of the two files of a DTLN; open both with denoiser_open_pair",
                      path);
    }
    return status;
}

denoise_status denoiser_open_pair(const char *first, const char *second, denoise_precision precision, denoiser **out,
                                  char *message) {
    *out = NULL;
    return open_files(first, second, precision, out, message);
}

void denoiser_close(denoiser *model) {
    if (!model) return;
    dn_model_destroy(model->model);
    dn_model_destroy(model->guide);
    dn_delete(model);
}

int32_t denoiser_rate(const denoiser *model) {
    return model->rate;
}

int32_t denoiser_hop(const denoiser *model) {
    return dn_model_hop(model->model);
}

int32_t denoiser_delay(const denoiser *model) {
    return dn_model_delay(model->model) + (model->guide ? dn_model_delay(model->guide) : 0);
}

int denoiser_has_voice(const denoiser *model) {
    dn_family family = dn_model_family(model->model);
    return family != DN_DTLN && family != DN_NARROW;
}

const char *denoiser_isa(const denoiser *model) {
    return dn_isa(model->model);
}
