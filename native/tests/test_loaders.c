/* The three readers: what they must take, and that damage of any kind is refused with a reason and without harm. */
#include "models.h"

static model_file file, damaged;

static dn_status load(const model_file *f, char *message) {
    dn_model *model;
    unsigned char *exact = malloc(f->size ? f->size : 1); /* so that a read past the end is seen */
    memcpy(exact, f->data, f->size);
    dn_status status = dn_model_load(exact, f->size, &model, message);
    free(exact);
    CHECK((status == DN_OK) == (model != NULL));
    CHECK(status == DN_OK || message[0] != '\0');
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

static void test_good(void (*make)(model_file *, int)) {
    char message[DN_MESSAGE];
    for (int small = 0; small < 2; small++) {
        make(&file, small);
        CHECK(load(&file, message) == DN_OK);
    }
}

static void test_every_truncation(void (*make)(model_file *, int), size_t step) {
    char message[DN_MESSAGE];
    make(&file, 1);
    for (size_t size = 0; size + 64 < file.size; size += step) {
        copy_to_damage();
        damaged.size = size;
        CHECK(load(&damaged, message) == DN_BAD_MODEL);
    }
}

/* Any outcome but a crash: a changed weight is still a model. */
static void test_mutations(void (*make)(model_file *, int), int count) {
    char message[DN_MESSAGE];
    make(&file, 1);
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
    expect(&damaged, "layer");

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
    CHECK(gru.recurrent != NULL && dn_model_layer(model, 5).recurrent == NULL);
    const char *metadata = dn_model_metadata(model, &size);
    CHECK(metadata && size == 18 && memcmp(metadata, "{\"name\": \"random\"}", size) == 0);
    dn_model_destroy(model);
}

int main(void) {
    void (*const makers[])(model_file *, int) = {make_text, make_bytes, make_records};
    for (int i = 0; i < 3; i++) {
        test_good(makers[i]);
        test_every_truncation(makers[i], 7);
        test_mutations(makers[i], 5000);
    }
    test_messages();
    test_layers_read_back();
    dn_model_destroy(NULL);
    return done("test_loaders");
}
