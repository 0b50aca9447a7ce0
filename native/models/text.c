/* Reader of "rnnoise-nu" text, .rnnn: a version line, then for each layer "inputs units activation" and its arrays as
 * decimal integers from -128 to 127, apart by any white space. */
#include <stdio.h>
#include <string.h>

#include "models/message.h"
#include "models/readers.h"

typedef struct {
    const char *at, *end;
} cursor;

static int is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

typedef enum { NUMBER, NO_MORE, NOT_A_NUMBER } token;

/* Reads an integer of at most four digits; "24.0", as an old writer put it under Python 3, counts as 24. */
static token next_number(cursor *c, long *value) {
    while (c->at < c->end && is_space(*c->at)) c->at++;
    if (c->at == c->end) return NO_MORE;
    int negative = *c->at == '-';
    if (negative) c->at++;
    long number = 0;
    int digits = 0;
    for (; c->at < c->end && is_digit(*c->at) && digits < 5; c->at++, digits++) number = 10 * number + (*c->at - '0');
    if (c->end - c->at >= 2 && c->at[0] == '.' && c->at[1] == '0') c->at += 2;
    if (digits == 0 || digits > 4 || (c->at < c->end && !is_space(*c->at))) return NOT_A_NUMBER;
    *value = negative ? -number : number;
    return NUMBER;
}

static dn_status read_array(cursor *c, const char *layer, const char *array, int8_t *to, size_t size, char *message) {
    for (size_t i = 0; i < size; i++) {
        long value = 0;
        token t = next_number(c, &value);
        if (t == NO_MORE) {
            return dn_bad_model(message, "layer %s, %s: the file ends after %lu of %lu values", layer, array,
                                (unsigned long)i, (unsigned long)size);
        }
        if (t == NOT_A_NUMBER || value < -128 || value > 127) {
            return dn_bad_model(message, "layer %s, %s: value %lu of %lu is no integer from -128 to 127", layer, array,
                                (unsigned long)(i + 1), (unsigned long)size);
        }
        to[i] = (int8_t)value;
    }
    return DN_OK;
}

static dn_status read_layer(cursor *c, dn_source *source, int index, char *message) {
    const char *name = source->layer[index].name;
    long header[3];
    for (int i = 0; i < 3; i++) {
        if (next_number(c, &header[i]) != NUMBER) {
            return dn_bad_model(message, "layer %s has no header of three integers: inputs, units, activation", name);
        }
    }
    dn_status status = dn_make_layer(source, index, header[0], header[1], header[2], message);
    if (status != DN_OK) return status;
    dn_arrays arrays = dn_layer_arrays(source, index);
    for (int a = 0; a < 3 && status == DN_OK; a++) {
        status = read_array(c, name, arrays.name[a], arrays.place[a], arrays.size[a], message);
    }
    return status;
}

dn_status dn_read_text(const char *data, size_t size, dn_source *source, char *message) {
    static const char version[] = "rnnoise-nu model file version 1";
    size_t length = sizeof(version) - 1;
    if (size <= length || memcmp(data, version, length) != 0 || !is_space(data[length])) {
        return dn_bad_model(message, "the first line is not '%s'", version);
    }
    cursor c = {data + length, data + size};
    for (int i = 0; i < DN_LAYERS; i++) {
        dn_status status = read_layer(&c, source, i, message);
        if (status != DN_OK) return status;
    }
    long unused;
    if (next_number(&c, &unused) != NO_MORE) {
        return dn_bad_model(message, "layer vad_output is followed by something more; the file should end there");
    }
    return DN_OK;
}
