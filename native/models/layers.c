/* Reader of the classic network from records of our own:
 *     classic_layers                                      int32 [6][3]: inputs, units, activation of each layer
 *     LAYER_weights, LAYER_recurrent (GRUs), LAYER_bias   int8, 256 times the value, in the order of dn_layer */
#include <string.h>

#include "models/message.h"
#include "models/readers.h"

/* Reads all layers, whose shapes are known. */
static dn_status read_all(dn_records file, const dn_record *shapes, dn_source *source, char *message) {
    for (int i = 0; i < DN_LAYERS; i++) {
        size_t at = 3 * (size_t)i;
        dn_status status = dn_make_layer(source, i, dn_record_int(shapes, at), dn_record_int(shapes, at + 1),
                                         dn_record_int(shapes, at + 2), message);
        if (status != DN_OK) return status;
        dn_arrays arrays = dn_layer_arrays(source, i);
        for (int a = 0; a < 3; a++) {
            dn_record values;
            if (arrays.size[a] == 0) continue;
            status = dn_record_want(file, source->layer[i].name, arrays.name[a], DN_RECORD_INT8, arrays.size[a],
                                    &values, message);
            if (status != DN_OK) return status;
            memcpy(arrays.place[a], values.payload, arrays.size[a]);
        }
    }
    return DN_OK;
}

dn_status dn_read_layers(dn_records file, dn_source *source, char *message) {
    dn_record shapes;
    dn_status status = dn_record_find(file, "classic_layers", &shapes, message);
    if (status != DN_OK) return status;
    if (!shapes.payload) {
        return dn_bad_model(message, "there is neither a record classic_layers nor conv1_bias: this is no RNNoise "
                                     "network, classic or v0.2");
    }
    if (shapes.type != DN_RECORD_INT32 || shapes.size != 12 * DN_LAYERS) {
        return dn_bad_model(message, "record classic_layers has %lu bytes of type %d; %d of type 1 (int32) are wanted",
                            (unsigned long)shapes.size, (int)shapes.type, 12 * DN_LAYERS);
    }
    return read_all(file, &shapes, source, message);
}
