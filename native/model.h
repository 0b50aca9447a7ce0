/* A loaded model, and the readers that make one from bytes. */
#ifndef DN_MODEL_H
#define DN_MODEL_H

#include "bands.h"
#include "denoise.h"
#include "network.h"
#include "network_v02.h"
#include "records.h"

/* What a reader finds in a file, before the layers are checked against each other. */
typedef struct {
    dn_layer layer[DN_LAYERS]; /* weights, recurrent and bias point into values */
    int8_t *values[DN_LAYERS]; /* from dn_new */
} dn_source;

struct dn_model {
    dn_family family;
    const dn_kernels *kernels;
    dn_tables tables;
    dn_network network; /* classic: these four */
    dn_source source;
    int8_t *weights;    /* all of the network's, from dn_new */
    float *biases;      /* the same */
    dn_network_v02 v02; /* v0.2: this */
    char *metadata;     /* from dn_new, or NULL */
    size_t metadata_size;
    uint32_t fingerprint; /* of layers and weights: a saved state names the model that it belongs to */
};

/* Readers of the classic network fill source, whose names are set beforehand, and leave what they allocated to the
 * caller, also when they fail. message is DN_MESSAGE bytes. */
dn_status dn_read_text(const char *data, size_t size, dn_source *source, char *message);
dn_status dn_read_bytes(const uint8_t *data, size_t size, dn_source *source, char *message);
dn_status dn_read_records(dn_records file, dn_source *source, char *message);

/* Fills net, whose rooms are the caller's to free, also when it fails. */
dn_status dn_read_v02(dn_records file, dn_network_v02 *net, uint32_t *fingerprint, char *message);
dn_map dn_v02_map(const dn_network_v02 *net, int index);

/* Checks the shape of a layer against those before it, which are made already, and gives it room for its values. */
dn_status dn_make_layer(dn_source *source, int index, long inputs, long units, long activation, char *message);

/* The three arrays of a layer, in the order of the files: place[n] has size[n] values; a dense layer has no second
 * array, its size is 0. */
typedef struct {
    const char *name[3];
    int8_t *place[3];
    size_t size[3];
} dn_arrays;

dn_arrays dn_layer_arrays(const dn_source *source, int index);

/* FNV-1a, 32 bits, of data after that of what came before. */
#define DN_HASH_START 2166136261u
uint32_t dn_hash(uint32_t before, const void *data, size_t size);

/* Writes one line to message and returns DN_BAD_MODEL. */
dn_status dn_bad_model(char *message, const char *format, ...)
#if defined(__MINGW32__)
    __attribute__((format(gnu_printf, 2, 3)))
#elif defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

#endif
