/* Weights as they are taken out of records, one map after the other: first they are counted, then there is room. */
#ifndef DN_TAKER_H
#define DN_TAKER_H

#include "enhancer_parts.h"
#include "models/records.h"

typedef struct {
    dn_records file;
    float *room; /* NULL while they are counted */
    size_t used;
    uint32_t hash;
    dn_status status; /* of the first that failed, after which nothing is taken */
    char *message;
} dn_taker;

/* Takes the record LAYER_ARRAY of rows times columns floats, of 32 or 16 bits, and rounds columns up to a multiple
 * of 8. NULL while they are counted, and after a failure. */
float *dn_take(dn_taker *t, const char *layer, const char *array, int rows, int columns);

/* Takes weights of [inputs][parts][columns], each part likewise; and in groups of 8 columns: for matvec_add. */
float *dn_take_parts(dn_taker *t, const char *layer, int inputs, int parts, int columns);
float *dn_take_groups(dn_taker *t, const char *layer, int inputs, int parts, int columns);

/* Takes a map with a bias for all rows, or one for each of so many. */
dn_dense dn_take_dense(dn_taker *t, const char *layer, int inputs, int columns, int bias_rows);

/* Takes a map without a bias. */
dn_dense dn_take_alone(dn_taker *t, const char *layer, int inputs, int columns);

/* Gives a map of an even number of inputs its weights as integers, too. */
void dn_take_shorts(dn_taker *t, dn_dense *d);

/* Name of a part of a block or of a path. */
typedef struct {
    char text[DN_RECORD_NAME];
} dn_part_name;

dn_part_name dn_name_of(const char *owner, int number, const char *part);

dn_dense dn_take_map(dn_taker *t, const char *owner, int number, const char *part, int inputs, int columns);

/* Takes the records LAYER_scale, _offset, both if rows is not 0, and _slope of a bend. */
dn_bend dn_take_bend(dn_taker *t, const char *layer, int rows, int channels);

/* Takes the records of OWNERn_time_input, _recurrent and _map. */
dn_time_attention dn_take_time(dn_taker *t, const char *owner, int number, int channels, int units);

/* Takes all of a network by take, once to count and once for good. *room: from dn_new, or NULL, to be deleted either
 * way. *hash: of what is before, and then of that and of all weights. */
typedef void dn_take_network(dn_taker *t, void *net);
dn_status dn_take_all(dn_records file, dn_take_network *take, void *net, float **room, uint32_t *hash, char *message);

#endif
