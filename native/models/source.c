#include "models/source.h"

#include "hash.h"
#include "memory.h"
#include "models/message.h"

static const char *const layer_names[DN_LAYERS] = {"input_dense", "vad_gru",        "noise_gru",
                                                   "denoise_gru", "denoise_output", "vad_output"};

void dn_source_init(dn_source *source) {
    for (int i = 0; i < DN_LAYERS; i++) source->layer[i].name = layer_names[i];
}

void dn_source_discard(dn_source *source) {
    for (int i = 0; i < DN_LAYERS; i++) dn_delete(source->values[i]);
}

static int columns(const dn_layer *layer) {
    return layer->is_gru ? 3 * layer->units : layer->units;
}

dn_arrays dn_layer_arrays(const dn_source *source, int index) {
    const dn_layer *layer = &source->layer[index];
    size_t n = (size_t)columns(layer);
    dn_arrays arrays = {.name = {"weights", "recurrent", "bias"},
                        .size = {(size_t)layer->inputs * n, layer->is_gru ? (size_t)layer->units * n : 0, n}};
    arrays.place[0] = source->values[index];
    arrays.place[1] = arrays.place[0] + arrays.size[0];
    arrays.place[2] = arrays.place[1] + arrays.size[1];
    return arrays;
}

/* Refuses a layer whose inputs are not what the layers before it give, or whose units do not fit the signal
 * processing. */
static dn_status check_place(const dn_source *source, int index, long inputs, long units, char *message) {
    const dn_layer *l = source->layer;
    int first = l[DN_INPUT_DENSE].units, vad = l[DN_VAD_GRU].units, noise = l[DN_NOISE_GRU].units;
    const int wanted[DN_LAYERS] = {
        DN_FEATURES, first, first + vad + DN_FEATURES, vad + noise + DN_FEATURES, l[DN_DENOISE_GRU].units, vad};
    if (inputs != wanted[index]) {
        return dn_bad_model(message, "layer %s has %ld inputs; %d are given to it", l[index].name, inputs,
                            wanted[index]);
    }
    if (index == DN_DENOISE_OUTPUT && units != DN_BANDS) {
        return dn_bad_model(message, "layer denoise_output has %ld units; there are %d bands", units, DN_BANDS);
    }
    if (index == DN_VAD_OUTPUT && units != 1) {
        return dn_bad_model(message, "layer vad_output has %ld units; one is wanted", units);
    }
    return DN_OK;
}

dn_status dn_make_layer(dn_source *source, int index, long inputs, long units, long activation, char *message) {
    dn_layer *layer = &source->layer[index];
    if (inputs < 1 || inputs > DN_MAX_UNITS || units < 1 || units > DN_MAX_UNITS) {
        return dn_bad_model(message, "layer %s is said to have %ld inputs and %ld units; 1 to %d are possible",
                            layer->name, inputs, units, DN_MAX_UNITS);
    }
    if (activation < 0 || activation > 128) {
        return dn_bad_model(message, "layer %s has activation %ld; 0 (tanh), 1 (sigmoid) and 2 (ReLU) are possible",
                            layer->name, activation);
    }
    dn_status status = check_place(source, index, inputs, units, message);
    if (status != DN_OK) return status;
    layer->inputs = (int)inputs;
    layer->units = (int)units;
    layer->activation = activation <= DN_RELU ? (int)activation : DN_TANH; /* as other readers take unknown ones */
    layer->is_gru = index >= DN_VAD_GRU && index <= DN_DENOISE_GRU;
    size_t n = (size_t)columns(layer), rows = (size_t)(inputs + 1 + (layer->is_gru ? units : 0));
    source->values[index] = dn_new(rows * n);
    if (!source->values[index]) return DN_NO_MEMORY;
    dn_arrays arrays = dn_layer_arrays(source, index);
    layer->weights = arrays.place[0];
    layer->recurrent = layer->is_gru ? arrays.place[1] : NULL;
    layer->bias = arrays.place[2];
    return DN_OK;
}

uint32_t dn_source_fingerprint(const dn_source *source) {
    uint32_t h = DN_HASH_START;
    for (int i = 0; i < DN_LAYERS; i++) {
        const dn_layer *l = &source->layer[i];
        dn_arrays arrays = dn_layer_arrays(source, i);
        const uint8_t shape[5] = {(uint8_t)l->inputs, (uint8_t)(l->inputs >> 8), (uint8_t)l->units,
                                  (uint8_t)(l->units >> 8), (uint8_t)l->activation};
        h = dn_hash(h, shape, sizeof(shape));
        for (int a = 0; a < 3; a++) h = dn_hash(h, arrays.place[a], arrays.size[a]);
    }
    return h;
}
