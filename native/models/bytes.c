/* Reader of nnnoiseless' .rnn: the integers of the text form, each as one signed byte, nothing between them. */
#include <string.h>

#include "models/message.h"
#include "models/readers.h"

dn_status dn_read_bytes(const uint8_t *data, size_t size, dn_source *source, char *message) {
    size_t at = 0;
    for (int i = 0; i < DN_LAYERS; i++) {
        const char *name = source->layer[i].name;
        if (size - at < 3) return dn_bad_model(message, "layer %s: the file ends before its header", name);
        const int8_t header[3] = {(int8_t)data[at], (int8_t)data[at + 1], (int8_t)data[at + 2]};
        at += 3;
        dn_status status = dn_make_layer(source, i, header[0], header[1], header[2], message);
        if (status != DN_OK) return status;
        dn_arrays arrays = dn_layer_arrays(source, i);
        for (int a = 0; a < 3; a++) {
            if (size - at < arrays.size[a]) {
                return dn_bad_model(message, "layer %s, %s: the file ends after %lu of %lu values", name,
                                    arrays.name[a], (unsigned long)(size - at), (unsigned long)arrays.size[a]);
            }
            memcpy(arrays.place[a], data + at, arrays.size[a]);
            at += arrays.size[a];
        }
    }
    if (at != size) {
        return dn_bad_model(message, "layer vad_output is followed by %lu bytes more; the file should end there",
                            (unsigned long)(size - at));
    }
    return DN_OK;
}
