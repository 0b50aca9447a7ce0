#include "models/classic.h"

#include <string.h>

#include "memory.h"
#include "models/message.h"
#include "models/readers.h"

static dn_status read_source(const void *data, size_t size, dn_source *source, char *message) {
    if (size == 0) return dn_bad_model(message, "the model is empty");
    if (dn_has_records(data, size)) return dn_read_layers((dn_records){data, size}, source, message);
    if (size >= 10 && memcmp(data, "rnnoise-nu", 10) == 0) return dn_read_text(data, size, source, message);
    if (*(const uint8_t *)data == DN_FEATURES) return dn_read_bytes(data, size, source, message);
    return dn_bad_model(message, "these bytes are no model: neither rnnoise-nu text, nor DNNw records, nor the bytes "
                                 "of a classic network");
}

/* Place of column i of a block, of rows that are packed in groups of 8 columns, each block padded to whole groups. */
static size_t packed(int block, int units, int i, int rows) {
    int column = block * dn_round_up_8(units) + i;
    return (size_t)(column / 8) * (size_t)rows * 8 + (size_t)(column % 8);
}

/* Packs weights [rows][blocks * units]. */
static void pack(const int8_t *from, int rows, int blocks, int units, int8_t *to) {
    for (int block = 0; block < blocks; block++) {
        for (int i = 0; i < units; i++) {
            int8_t *column = to + packed(block, units, i, rows);
            for (int row = 0; row < rows; row++) column[8 * row] = from[(row * blocks + block) * units + i];
        }
    }
}

/* Numbers of weights, recurrent weights and biases that a packed layer has. */
typedef struct {
    size_t w, u, b;
} sizes;

static sizes packed_sizes(const dn_layer *layer) {
    size_t n = (size_t)(layer->is_gru ? 3 : 1) * (size_t)dn_round_up_8(layer->units);
    return (sizes){n * (size_t)layer->inputs, layer->is_gru ? n * (size_t)layer->units : 0, n};
}

/* Packs a layer, its weights to w and behind them, its biases to b. */
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

static dn_status build_network(dn_classic_model *model) {
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
        build_layer(&model->source.layer[i], &model->net.layer[i], w, b);
        w += of.w + of.u;
        b += of.b;
    }
    dn_classic_measure(&model->net);
    return DN_OK;
}

dn_status dn_classic_read(dn_network *net, const void *data, size_t size, uint32_t *fingerprint, char *message) {
    dn_classic_model *model = (dn_classic_model *)net;
    dn_source_init(&model->source);
    dn_status status = read_source(data, size, &model->source, message);
    if (status == DN_OK) status = build_network(model);
    if (status == DN_OK) *fingerprint = dn_source_fingerprint(&model->source);
    return status;
}

void dn_classic_discard(dn_network *net) {
    dn_classic_model *model = (dn_classic_model *)net;
    dn_source_discard(&model->source);
    dn_delete(model->weights);
    dn_delete(model->biases);
}

dn_layer dn_classic_layer(const dn_network *net, int index) {
    return ((const dn_classic_model *)net)->source.layer[index];
}
