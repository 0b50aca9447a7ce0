/* The readers: what they must take, and that damage of any kind is refused with a reason and without harm. */
#include <math.h>

#include "models_narrow.h"

static model_file file, damaged;

/* Runs a network that was damaged and still loads for a few frames. */
static void run(const dn_model *model) {
    float audio[4 * DN_FRAME];
    dn_state *state;
    for (int i = 0; i < 4 * DN_FRAME; i++) audio[i] = random_float();
    CHECK(dn_state_create(model, &state) == DN_OK);
    CHECK(dn_process(&state, 1, audio, audio, NULL, 4, 0) == DN_OK);
    int finite = 1;
    for (int i = 0; i < 4 * DN_FRAME; i++) finite &= isfinite(audio[i]) != 0;
    CHECK(finite);
    dn_state_destroy(state);
}

static dn_status load(const model_file *f, char *message) {
    dn_model *model;
    unsigned char *exact = malloc(f->size ? f->size : 1); /* so that a read past the end is seen */
    memcpy(exact, f->data, f->size);
    dn_status status = dn_model_load(exact, f->size, &model, message);
    free(exact);
    CHECK((status == DN_OK) == (model != NULL));
    CHECK(status == DN_OK || message[0] != '\0');
    if (model) run(model);
    dn_model_destroy(model);
    return status;
}

static void expect(const model_file *f, const char *words) {
    char message[DN_MESSAGE];
    CHECK(load(f, message) == DN_BAD_MODEL);
    if (!strstr(message, words)) printf("'%s' is not in '%s'\n", words, message);
    CHECK(strstr(message, words) != NULL);
}

static void copy_to_damage(void) {
    damaged = file;
}

static void test_good(void (*make)(model_file *, int), int variant) {
    char message[DN_MESSAGE];
    make(&file, variant);
    CHECK(load(&file, message) == DN_OK);
}

static void test_every_truncation(void (*make)(model_file *, int), int variant, size_t step) {
    char message[DN_MESSAGE];
    make(&file, variant);
    for (size_t size = 0; size + 64 < file.size; size += step) {
        copy_to_damage();
        damaged.size = size;
        CHECK(load(&damaged, message) == DN_BAD_MODEL);
    }
}

/* Any outcome but a crash: a changed weight is still a model. */
static void test_mutations(void (*make)(model_file *, int), int variant, int count) {
    char message[DN_MESSAGE];
    make(&file, variant);
    for (int i = 0; i < count; i++) {
        copy_to_damage();
        for (uint32_t n = random_bits() % 4 + 1; n > 0; n--) {
            damaged.data[random_bits() % (i % 2 ? 512 : damaged.size)] = (unsigned char)random_bits();
        }
        load(&damaged, message);
    }
}

static void test_messages(void) {
    make_text(&file, 1);
    copy_to_damage();
    damaged.data[30] = '2';
    expect(&damaged, "first line");
    copy_to_damage();
    damaged.data[damaged.size++] = '7';
    expect(&damaged, "followed by");
    copy_to_damage();
    memcpy(damaged.data + 40, "x", 1);
    expect(&damaged, "layer input_dense, weights: value 1 of 210");

    make_bytes(&file, 1);
    copy_to_damage();
    damaged.size -= 2;
    expect(&damaged, "layer vad_output, weights: the file ends after 2 of 3");
    copy_to_damage();
    damaged.data[damaged.size++] = 1;
    expect(&damaged, "followed by 1 bytes");
    copy_to_damage();
    damaged.data[3 + 42 * 5 + 5] = 6;
    expect(&damaged, "layer vad_gru has 6 inputs");

    make_records(&file, 1);
    copy_to_damage();
    damaged.data[0] = 'E';
    expect(&damaged, "no model");
    copy_to_damage();
    damaged.data[4] = 1;
    expect(&damaged, "version");
    copy_to_damage();
    damaged.data[8] = 9;
    expect(&damaged, "type");
    copy_to_damage();
    damaged.data[12 + 3] = 0x7f;
    expect(&damaged, "is said to have");
    copy_to_damage();
    damaged.data[16 + 3] = 0x7f;
    expect(&damaged, "do not fit");
    copy_to_damage();
    damaged.data[128 + 64 + 12] = 6; /* vad_gru's inputs */
    expect(&damaged, "layer vad_gru");
    damaged.size = 0;
    expect(&damaged, "empty");
}

static void test_layers_read_back(void) {
    dn_model *model;
    size_t size;
    make_records(&file, 0);
    CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK);
    dn_layer gru = dn_model_layer(model, 3);
    CHECK(strcmp(gru.name, "denoise_gru") == 0 && gru.inputs == 114 && gru.units == 96 && gru.is_gru);
    CHECK(dn_model_family(model) == DN_CLASSIC && dn_model_map(model, 0).name == NULL);
    CHECK(gru.recurrent != NULL && dn_model_layer(model, 5).recurrent == NULL);
    const char *metadata = dn_model_metadata(model, &size);
    CHECK(metadata && size == 18 && memcmp(metadata, "{\"name\": \"random\"}", size) == 0);
    dn_model_destroy(model);
}

/* The heads of the records and the indices are where damage does most. */
static void test_mutations_of_records(void (*make)(model_file *, int), int kind, int count) {
    char message[DN_MESSAGE];
    make(&file, kind);
    for (int i = 0; i < count; i++) {
        copy_to_damage();
        size_t at = 0;
        for (uint32_t skip = random_bits() % 40; skip > 0; skip--) {
            const unsigned char *block = file.data + at + 16;
            size_t next = at + 64 + (size_t)(block[0] | block[1] << 8 | block[2] << 16);
            at = next < file.size ? next : 0;
        }
        uint32_t place = random_bits() % (i % 2 ? 96 : 24);
        damaged.data[at + place] = (unsigned char)(i % 3 ? random_bits() : damaged.data[at + place] ^ 1u);
        load(&damaged, message);
    }
}

/* Puts value into the record of that name, as an int32 at place, and expects a refusal with these words. */
static void expect_v02(int kind, const char *record, int place, int32_t value, const char *words) {
    make_v02(&file, kind);
    copy_to_damage();
    put_int(find_payload(&damaged, record) + 4 * place, value);
    expect(&damaged, words);
}

static void test_v02_messages(void) {
    enum { HEAD_NAME = -11, HEAD_TYPE = -14, HEAD_SIZE = -13, NAN_BITS = 0x7fc00000, INFINITE_BITS = 0x7f800000 };
    expect_v02(2, "gru1_input_weights_idx", 0, 9, "layer gru1_input: group 0 of weights_idx");
    expect_v02(2, "gru1_input_weights_idx", 0, -1, "layer gru1_input: group 0 of weights_idx");
    expect_v02(2, "gru1_input_weights_idx", 1, 2, "layer gru1_input: weights_idx has a block at input 2;");
    expect_v02(2, "gru1_input_weights_idx", 1, 32, "block at input 32; multiples of 4 below 29");
    expect_v02(2, "gru1_input_weights_idx", 1, -4, "block at input -4");
    expect_v02(2, "gru3_recurrent_scale", 5, 0, "layer gru3_recurrent: value 5 of scale is not above zero");
    expect_v02(2, "gru3_recurrent_scale", 5, NAN_BITS, "layer gru3_recurrent: value 5 of scale is not finite");
    expect_v02(2, "gru2_recurrent_weights_diag", 7, INFINITE_BITS, "value 7 of weights_diag is not finite");
    expect_v02(0, "conv2_weights_float", 3, NAN_BITS, "layer conv2: value 3 of weights_float is not finite");
    expect_v02(0, "dense_out_bias", 31, NAN_BITS, "layer dense_out: value 31 of bias is not finite");
    expect_v02(0, "dense_out_bias", HEAD_NAME, 0, "layer dense_out: there is no record dense_out_bias");
    expect_v02(0, "conv1_weights_float", HEAD_NAME, 0, "layer conv1: there is neither weights_float nor weights_int8");
    expect_v02(0, "conv2_bias", HEAD_NAME, 0, "no record conv2_bias");
    expect_v02(0, "conv1_bias", HEAD_NAME, 0, "neither a record classic_layers nor conv1_bias");
    expect_v02(0, "conv1_bias", HEAD_SIZE, 51, "record conv1_bias has 51 bytes of type 0");
    expect_v02(0, "conv1_bias", HEAD_TYPE, 1, "record conv1_bias has 52 bytes of type 1");
    expect_v02(1, "conv2_weights_int8", HEAD_TYPE, 2, "of type 2; 1152 of type 3 (int8) are wanted");
    expect_v02(3, "gru1_input_weights_float", HEAD_SIZE, 128, "has 128 bytes of type 0");
}

static void test_v02_maps_read_back(void) {
    dn_model *model;
    size_t size;
    make_v02(&file, 2);
    CHECK(dn_model_load(file.data, file.size, &model, NULL) == DN_OK);
    CHECK(dn_model_family(model) == DN_V02 && dn_model_layer(model, 0).weights == NULL);
    dn_map map = dn_model_map(model, 3);
    CHECK(strcmp(map.name, "gru1_recurrent") == 0 && map.inputs == 32 && map.outputs == 96);
    CHECK(map.is_int8 && map.has_diagonal && map.weights % 32 == 0 && map.weights < 32 * 96);
    map = dn_model_map(model, 0);
    CHECK(strcmp(map.name, "conv1") == 0 && !map.is_int8 && !map.has_diagonal && map.weights == 3 * 65 * 24);
    CHECK(dn_model_metadata(model, &size) != NULL && size == 18);
    dn_model_destroy(model);
}

static void expect_narrow(int kind, const char *record, int place, int32_t value, const char *words) {
    make_narrow(&file, kind);
    copy_to_damage();
    put_int(find_payload(&damaged, record) + 4 * place, value);
    expect(&damaged, words);
}

static void test_narrow_messages(void) {
    enum { HEAD_NAME = -11, HEAD_SIZE = -13, NAN_BITS = 0x7fc00000, LARGE_BITS = 0x7f000000 };
    expect_narrow(0, "narrow_network", 0, 2, "narrow_network: a network of kind 2; 0 (UL-UNAS) and 1 (GTCRN) are");
    expect_narrow(0, "narrow_network", 0, -1, "a network of kind -1");
    expect_narrow(0, "narrow_network", 0, 1, "layer encoder0_conv");
    expect_narrow(0, "encoder1_leave_bias", HEAD_NAME, 0, "there is no record encoder1_leave_bias");
    expect_narrow(0, "decoder3_bend_scale", 7, NAN_BITS, "layer decoder3_bend: value 7 of scale is nan");
    expect_narrow(0, "path1_time_norm_offset", 3, LARGE_BITS, "value 3 of offset is 1.7");
    expect_narrow(0, "encoder2_bands_map_bias", HEAD_SIZE, 12,
                  "has 12 bytes of type 0; 16 of type 0 (float) are wanted");
    expect_narrow(1, "decoder4_conv_weights", 5, NAN_BITS, "layer decoder4_conv: value 5 of weights is nan");
}

int main(void) {
    static const struct {
        void (*make)(model_file *, int);
        int variants;
    } forms[] = {
        {make_text, 2}, {make_bytes, 2}, {make_records, 2}, {make_v02, V02_KINDS}, {make_enhancer, ENHANCER_KINDS}};
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        for (int v = 0; v < forms[i].variants; v++) test_good(forms[i].make, v);
        for (int v = 1; v < forms[i].variants; v++) {
            test_every_truncation(forms[i].make, v, i >= 3 ? 197 : 7);
            test_mutations(forms[i].make, v, i >= 3 ? 500 : 5000);
        }
    }
    for (int kind = 0; kind < NARROW_KINDS; kind++) {
        test_good(make_narrow, kind);
        test_mutations_of_records(make_narrow, kind, kind ? 1000 : 100);
    }
    test_every_truncation(make_narrow, 1, 1997);
    test_mutations(make_narrow, 1, 200);
    test_narrow_messages();
    for (int kind = 0; kind < V02_KINDS; kind++) test_mutations_of_records(make_v02, kind, 1500);
    for (int kind = 0; kind < ENHANCER_KINDS; kind++) test_mutations_of_records(make_enhancer, kind, 1500);
    test_messages();
    test_layers_read_back();
    test_v02_messages();
    test_v02_maps_read_back();
    dn_model_destroy(NULL);
    return done("test_loaders");
}
