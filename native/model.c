#include "model.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "models/dtln.h"
#include "models/records.h"
#include "rnn_data.h"

/* Reads what records of all families have in common: the metadata, and which family they are. */
static dn_status read_about(dn_model *model, dn_records file, char *message) {
    dn_record classic, v02, enhancer, narrow, metadata;
    dn_status status = dn_record_find(file, "classic_layers", &classic, message);
    if (status == DN_OK) status = dn_record_find(file, "conv1_bias", &v02, message);
    if (status == DN_OK) status = dn_record_find(file, "enhancer_sizes", &enhancer, message);
    if (status == DN_OK) status = dn_record_find(file, "narrow_network", &narrow, message);
    if (status == DN_OK) status = dn_record_find(file, "metadata", &metadata, message);
    if (status != DN_OK) return status;
    dn_family others = v02.payload && !classic.payload ? DN_V02 : DN_CLASSIC;
    if (narrow.payload) others = DN_NARROW;
    model->traits = dn_family_traits(enhancer.payload ? DN_ENHANCER : others);
    if (!metadata.payload) return DN_OK;
    model->metadata = dn_new(metadata.size);
    if (!model->metadata) return DN_NO_MEMORY;
    memcpy(model->metadata, metadata.payload, metadata.size);
    model->metadata_size = metadata.size;
    return DN_OK;
}

static dn_status fill_model(dn_model *model, const void *data, size_t size, char *message) {
    model->traits = dn_family_traits(DN_CLASSIC); /* as all files are that have no records */
    dn_status status = dn_has_records(data, size) ? read_about(model, (dn_records){data, size}, message) : DN_OK;
    if (status != DN_OK) return status;
    model->network = dn_new(model->traits->size);
    if (!model->network) return DN_NO_MEMORY;
    status = model->traits->read(model->network, data, size, &model->fingerprint, message);
    if (status != DN_OK) return status;
    model->kernels = dn_kernels_find(NULL);
    if (model->traits->bands) dn_tables_init(&model->tables, model->traits->bands);
    return DN_OK;
}

/* What of a file, or of two, a model is to be filled with. */
typedef struct {
    const void *data[2];
    size_t size[2];
    dn_precision precision;
} filling;

static dn_status fill_pair(dn_model *model, const filling *from, char *message) {
    model->traits = dn_family_traits(DN_DTLN);
    model->network = dn_new(model->traits->size);
    if (!model->network) return DN_NO_MEMORY;
    model->kernels = dn_kernels_find(NULL);
    return dn_dtln_read(model->network, from->data, from->size, from->precision, &model->fingerprint, message);
}

static dn_status load(const filling *from, dn_model **out, char *message) {
    char unread[DN_MESSAGE];
    if (!message) message = unread;
    message[0] = '\0';
    *out = dn_new(sizeof(**out));
    dn_status status = DN_NO_MEMORY;
    if (*out && from->data[1]) status = fill_pair(*out, from, message);
    if (*out && !from->data[1]) status = fill_model(*out, from->data[0], from->size[0], message);
    if (status == DN_NO_MEMORY) snprintf(message, DN_MESSAGE, "no memory for the model");
    if (status != DN_OK) {
        dn_model_destroy(*out);
        *out = NULL;
    }
    return status;
}

dn_status dn_model_load(const void *data, size_t size, dn_model **out, char *message) {
    return load(&(filling){.data = {data}, .size = {size}}, out, message);
}

dn_status dn_model_load_pair(const void *first, size_t first_size, const void *second, size_t second_size,
                             dn_precision precision, dn_model **out, char *message) {
    static const char nothing = 0;
    const filling from = {{first ? first : &nothing, second ? second : &nothing}, {first_size, second_size}, precision};
    return load(&from, out, message);
}

int dn_model_is_swapped(const dn_model *model) {
    return model->traits->family == DN_DTLN && ((const dn_dtln *)model->network)->is_swapped;
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
    if (model->network) model->traits->discard(model->network);
    dn_delete(model->network);
    dn_delete(model->metadata);
    dn_delete(model);
}

dn_family dn_model_family(const dn_model *model) {
    return model->traits->family;
}

int dn_model_rate(const dn_model *model) {
    return model->traits->rate ? model->traits->rate : DN_RATE;
}

int dn_model_is_guided(const dn_model *model) {
    return model->network->guided;
}

int dn_model_delay(const dn_model *model) {
    if (model->traits->run_hops) return (DN_OVERLAP - 1) * model->network->hop;
    return (1 + model->traits->look_ahead) * dn_model_hop(model); /* the overlap's frame, and the look-ahead's */
}

int dn_model_hop(const dn_model *model) {
    return model->network->hop ? model->network->hop : DN_FRAME;
}

dn_layer dn_model_layer(const dn_model *model, int index) {
    return model->traits->layer ? model->traits->layer(model->network, index) : (dn_layer){0};
}

dn_map dn_model_map(const dn_model *model, int index) {
    return model->traits->map ? model->traits->map(model->network, index) : (dn_map){0};
}

const char *dn_model_metadata(const dn_model *model, size_t *size) {
    *size = model->metadata_size;
    return model->metadata;
}

const char *dn_isa(const dn_model *model) {
    return model->kernels->name;
}

dn_status dn_model_set_isa(dn_model *model, const char *name) {
    const dn_kernels *kernels = dn_kernels_find(name);
    if (!kernels) return DN_NO_SUCH_ISA;
    model->kernels = kernels;
    return DN_OK;
}
