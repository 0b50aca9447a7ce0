#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "rnn_data.h"

static const char *const layer_names[DN_LAYERS] = {"input_dense", "vad_gru",        "noise_gru",
                                                   "denoise_gru", "denoise_output", "vad_output"};

dn_status dn_bad_model(char *message, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, DN_MESSAGE, format, arguments);
    va_end(arguments);
    return DN_BAD_MODEL;
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

/* A layer has the inputs that the layers before it give, and the ends fit the signal processing. */
static dn_status check_place(const dn_source *source, int index, long inputs, long units, char *message) {
    const dn_layer *l = source->layer;
    int first = l[DN_INPUT_DENSE].units, vad = l[DN_VAD_GRU].units, noise = l[DN_NOISE_GRU].units;
    const int given[DN_LAYERS] = {
        DN_FEATURES, first, first + vad + DN_FEATURES, vad + noise + DN_FEATURES, l[DN_DENOISE_GRU].units, vad};
    if (inputs != given[index]) {
        return dn_bad_model(message, "layer %s has %ld inputs; %d are given to it", l[index].name, inputs,
                            given[index]);
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

static int has_records(const void *data, size_t size) {
    return size >= 4 && memcmp(data, "DNNw", 4) == 0;
}

static dn_status read_source(const void *data, size_t size, dn_source *source, char *message) {
    if (size == 0) return dn_bad_model(message, "the model is empty");
    if (has_records(data, size)) return dn_read_records((dn_records){data, size}, source, message);
    if (size >= 10 && memcmp(data, "rnnoise-nu", 10) == 0) return dn_read_text(data, size, source, message);
    if (*(const uint8_t *)data == DN_FEATURES) return dn_read_bytes(data, size, source, message);
    return dn_bad_model(message, "these bytes are no model: neither rnnoise-nu text, nor DNNw records, nor the bytes "
                                 "of a classic network");
}

/* Where column i of a block is, of rows that are packed in groups of 8 columns, each block padded to whole groups. */
static size_t packed(int block, int units, int i, int rows) {
    int column = block * dn_round_up_8(units) + i;
    return (size_t)(column / 8) * (size_t)rows * 8 + (size_t)(column % 8);
}

/* Weights [rows][blocks * units], packed. */
static void pack(const int8_t *from, int rows, int blocks, int units, int8_t *to) {
    for (int block = 0; block < blocks; block++) {
        for (int i = 0; i < units; i++) {
            int8_t *column = to + packed(block, units, i, rows);
            for (int row = 0; row < rows; row++) column[8 * row] = from[(row * blocks + block) * units + i];
        }
    }
}

/* How many weights and biases a layer has when they are packed. */
typedef struct {
    size_t w, u, b;
} sizes;

static sizes packed_sizes(const dn_layer *layer) {
    size_t n = (size_t)(layer->is_gru ? 3 : 1) * (size_t)dn_round_up_8(layer->units);
    return (sizes){n * (size_t)layer->inputs, layer->is_gru ? n * (size_t)layer->units : 0, n};
}

/* The layer, its weights at w and behind them, its biases at b. */
static void build_layer(const dn_layer *from, dn_weights *to, int8_t *w, float *b) {
    int blocks = from->is_gru ? 3 : 1;
    int8_t *u = from->is_gru ? w + packed_sizes(from).w : NULL;
    pack(from->weights, from->inputs, blocks, from->units, w);
    if (u) pack(from->recurrent, from->units, blocks, from->units, u);
    for (int i = 0; i < blocks * from->units; i++) {
        b[packed(i / from->units, from->units, i % from->units, 1)] = from->bias[i];
    }
    *to = (dn_weights){from->inputs, from->units, dn_round_up_8(from->units), (dn_activation)from->activation, w, u, b};
}

static dn_status build_network(dn_model *model) {
    size_t weights = 0, biases = 0;
    for (int i = 0; i < DN_LAYERS; i++) {
        sizes of = packed_sizes(&model->source.layer[i]);
        weights += of.w + of.u;
        biases += of.b;
    }
    model->weights = dn_new(weights);
    model->biases = dn_new(biases * sizeof(float));
    if (!model->weights || !model->biases) return DN_NO_MEMORY;
    int8_t *w = model->weights;
    float *b = model->biases;
    for (int i = 0; i < DN_LAYERS; i++) {
        sizes of = packed_sizes(&model->source.layer[i]);
        build_layer(&model->source.layer[i], &model->network.layer[i], w, b);
        w += of.w + of.u;
        b += of.b;
    }
    return DN_OK;
}

uint32_t dn_hash(uint32_t before, const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint32_t h = before;
    for (size_t i = 0; i < size; i++) h = (h ^ bytes[i]) * 16777619u;
    return h;
}

static uint32_t fingerprint(const dn_source *source) {
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

static dn_status fill_classic(dn_model *model, const void *data, size_t size, char *message) {
    for (int i = 0; i < DN_LAYERS; i++) model->source.layer[i].name = layer_names[i];
    dn_status status = read_source(data, size, &model->source, message);
    if (status == DN_OK) status = build_network(model);
    if (status == DN_OK) model->fingerprint = fingerprint(&model->source);
    return status;
}

/* What records of either family have in common: the metadata, and which family they are. */
static dn_status read_about(dn_model *model, dn_records file, char *message) {
    dn_record classic, v02, metadata;
    dn_status status = dn_record_find(file, "classic_layers", &classic, message);
    if (status == DN_OK) status = dn_record_find(file, "conv1_bias", &v02, message);
    if (status == DN_OK) status = dn_record_find(file, "metadata", &metadata, message);
    if (status != DN_OK) return status;
    model->family = v02.payload && !classic.payload ? DN_V02 : DN_CLASSIC;
    if (!metadata.payload) return DN_OK;
    model->metadata = dn_new(metadata.size);
    if (!model->metadata) return DN_NO_MEMORY;
    memcpy(model->metadata, metadata.payload, metadata.size);
    model->metadata_size = metadata.size;
    return DN_OK;
}

static dn_status fill_model(dn_model *model, const void *data, size_t size, char *message) {
    dn_records file = {data, size};
    dn_status status = has_records(data, size) ? read_about(model, file, message) : DN_OK;
    if (status != DN_OK) return status;
    status = model->family == DN_V02 ? dn_read_v02(file, &model->v02, &model->fingerprint, message)
                                     : fill_classic(model, data, size, message);
    if (status != DN_OK) return status;
    model->kernels = dn_kernels_find(NULL);
    dn_tables_init(&model->tables, model->family);
    return DN_OK;
}

dn_status dn_model_load(const void *data, size_t size, dn_model **out, char *message) {
    char unread[DN_MESSAGE];
    if (!message) message = unread;
    message[0] = '\0';
    *out = dn_new(sizeof(**out));
    dn_status status = *out ? fill_model(*out, data, size, message) : DN_NO_MEMORY;
    if (status == DN_NO_MEMORY) snprintf(message, DN_MESSAGE, "no memory for the model");
    if (status != DN_OK) {
        dn_model_destroy(*out);
        *out = NULL;
    }
    return status;
}

dn_status dn_model_builtin(dn_model **out, char *message) {
    return dn_model_load(dn_builtin_data, dn_builtin_size, out, message);
}

const void *dn_builtin_bytes(size_t *size) {
    *size = dn_builtin_size;
    return dn_builtin_data;
}

void dn_model_destroy(dn_model *model) {
    if (!model) return;
    for (int i = 0; i < DN_LAYERS; i++) dn_delete(model->source.values[i]);
    for (int i = 0; i < DN_MAPS; i++) dn_delete(model->v02.map[i].room);
    dn_delete(model->metadata);
    dn_delete(model->weights);
    dn_delete(model->biases);
    dn_delete(model);
}

dn_family dn_model_family(const dn_model *model) {
    return model->family;
}

int dn_model_delay(const dn_model *model) {
    return model->family == DN_V02 ? 2 * DN_FRAME : DN_FRAME; /* the overlap's frame, and the look-ahead's */
}

dn_layer dn_model_layer(const dn_model *model, int index) {
    return model->source.layer[index];
}

dn_map dn_model_map(const dn_model *model, int index) {
    return model->family == DN_V02 ? dn_v02_map(&model->v02, index) : (dn_map){0};
}

const char *dn_model_metadata(const dn_model *model, size_t *size) {
    *size = model->metadata_size;
    return model->metadata;
}

const char *dn_isa(const dn_model *model) {
    return model->kernels->name;
}

dn_status dn_model_set_isa(dn_model *model, const char *name) {
    const dn_kernels *found = dn_kernels_find(name);
    if (!found) return DN_NO_SUCH_ISA;
    model->kernels = found;
    return DN_OK;
}
