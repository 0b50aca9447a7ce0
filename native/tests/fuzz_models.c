/* Model files mutated at random: each is refused with a reason, or runs, and nothing else happens.
 *
 *     fuzz_models COUNT [SEED [FIRST]]    mutants FIRST to FIRST + COUNT - 1; a crash tells which one it was
 *     fuzz_models seeds FOLDER            writes the files that are mutated, for libFuzzer to begin with
 *
 * With DN_LIBFUZZER defined there is no main and no mutator: libFuzzer has its own. */
#include <math.h>

#define FUZZER "fuzz_models"
#include "fuzz.h"
#include "models_narrow.h"

/* ---- what a file must bear ---- */

static void run_frame(const dn_model *model, dn_state *state, const float *in, float *out) {
    float voice;
    if (dn_process(&state, 1, in, out, &voice, 1, 0) != DN_OK) fail("good samples are refused");
    for (int i = 0; i < dn_model_hop(model); i++) {
        if (!isfinite(out[i])) fail("a sample is not finite");
    }
    if (!(voice >= 0 && voice <= 1)) fail("a probability is not within 0 to 1");
}

/* Checks that a state that was saved goes on in another as it does itself. */
static void run_model(const dn_model *model) {
    float in[DN_FRAME], one[DN_FRAME], other[DN_FRAME];
    dn_state *state, *restored;
    for (int i = 0; i < DN_FRAME; i++) in[i] = 0.5f * random_float();
    if (dn_state_create(model, &state) != DN_OK || dn_state_create(model, &restored) != DN_OK) fail("no memory");
    run_frame(model, state, in, one);
    size_t size = dn_state_size(state);
    void *bytes = malloc(size);
    dn_state_save(state, bytes);
    if (dn_state_restore(restored, bytes, size) != DN_OK) fail("a state cannot be restored");
    free(bytes);
    run_frame(model, state, in, one);
    run_frame(model, restored, in, other);
    if (memcmp(one, other, (size_t)dn_model_hop(model) * sizeof(*one)) != 0) fail("a restored state goes on otherwise");
    dn_state_destroy(state);
    dn_state_destroy(restored);
}

/* Sums up all that a model shows of itself, so that all of it is read. */
static size_t look_at(const dn_model *model) {
    size_t size, sum = 0;
    const char *metadata = dn_model_metadata(model, &size);
    for (size_t i = 0; i < size; i++) sum += (unsigned char)metadata[i];
    for (int i = 0; i < DN_LAYERS; i++) {
        dn_layer l = dn_model_layer(model, i);
        size_t columns = (size_t)(l.is_gru ? 3 * l.units : l.units);
        for (size_t w = 0; w < (size_t)l.inputs * columns; w++) sum += (unsigned char)l.weights[w];
    }
    for (int i = 0; i < DN_MAPS; i++) sum += dn_model_map(model, i).weights;
    return sum;
}

static volatile size_t seen; /* by try_file, or the compiler would leave look_at out */

/* Loads data, of exactly that size, so that AddressSanitizer sees a read past its end. Returns whether it is a model.
 */
static int try_file(const uint8_t *data, size_t size) {
    char message[DN_MESSAGE];
    dn_model *model;
    dn_status status = dn_model_load(data, size, &model, message);
    if ((status == DN_OK) != (model != NULL)) fail("the status and the model disagree");
    if (status != DN_OK && status != DN_BAD_MODEL) fail("it is not the file that is blamed");
    if (status == DN_BAD_MODEL && message[0] == '\0') fail("no reason is given");
    if (!model) return 0;
    seen = look_at(model);
    if (seen % 16 == 0) dn_model_set_isa(model, "scalar");
    run_model(model);
    dn_model_destroy(model);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_file(data, size);
    return 0;
}

#ifndef DN_LIBFUZZER

/* ---- the files that are mutated ---- */

enum { SMALL = V02_KINDS + ENHANCER_KINDS + 4, SEEDS = SMALL + 6, LARGE_ONCE_IN = 500 };

typedef struct {
    unsigned char *data;
    size_t size;
    int is_text;
} seed_file;

static seed_file seeds[SEEDS]; /* small ones first */
static int seed_count;

static void add_seed(const void *data, size_t size, int is_text) {
    unsigned char *copy = malloc(size);
    memcpy(copy, data, size);
    seeds[seed_count++] = (seed_file){copy, size, is_text};
}

static void make_seeds(void) {
    static model_file file;
    static const v02_kind large = {96, 128, 1, 1, 1};
    size_t size;
    for (int kind = 0; kind < V02_KINDS; kind++) {
        make_v02(&file, kind);
        add_seed(file.data, file.size, 0);
    }
    for (int kind = 0; kind < ENHANCER_KINDS; kind++) {
        make_enhancer(&file, kind);
        add_seed(file.data, file.size, 0);
    }
    make_narrow(&file, 1);
    add_seed(file.data, file.size, 0);
    for (int small = 1; small >= 0; small--) {
        make_text(&file, small);
        add_seed(file.data, file.size, 1);
        make_bytes(&file, small);
        add_seed(file.data, file.size, 0);
        make_records(&file, small);
        add_seed(file.data, file.size, 0);
    }
    make_narrow(&file, 0);
    add_seed(file.data, file.size, 0);
    make_v02_of(&file, large);
    add_seed(file.data, file.size, 0);
    const void *builtin = dn_builtin_bytes(&size);
    add_seed(builtin, size, 0);
}

static const seed_file *any_seed(void) {
    int large = random_bits() % LARGE_ONCE_IN == 0;
    return &seeds[large ? SMALL + (int)(random_bits() % (SEEDS - SMALL)) : (int)(random_bits() % SMALL)];
}

/* ---- changes ---- */

static unsigned char mutant[1 << 21];
static size_t mutant_size;

static size_t below(size_t n) {
    return n ? random_bits() % n : 0;
}

/* Puts n bytes in the place of old ones at at; nothing happens where there is no room. */
static void replace(size_t at, size_t old, const void *bytes, size_t n) {
    static unsigned char copy[sizeof(mutant)];
    if (mutant_size - old + n > sizeof(mutant)) return;
    memcpy(copy, bytes, n); /* bytes may be the mutant's own */
    memmove(mutant + at + n, mutant + at + old, mutant_size - at - old);
    memcpy(mutant + at, copy, n);
    mutant_size += n - old;
}

/* A value that a size, a count, a place or a float's bits may be wrong by. */
static int32_t odd_value(int32_t now) {
    static const int32_t values[] = {
        0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024,
        1025, 3072, 3073, 4092, 4096, 4097, 32767, 32768, 65535, 65536, -1, -2, -4, -8, -64, -128, -32768, 0x1000000,
        INT32_MAX, INT32_MIN, INT32_MAX - 63,
        /* as floats: 1, -1, 3e38, -3e38, infinity, NaN, a denormal, 1e30 */
        0x3f800000, -0x40800000, 0x7f61b1e6, -0x9e4e1a, 0x7f800000, 0x7fc00000, 0x00000400, 0x7149f2ca};
    switch (random_bits() % 4) {
    case 0:
        return (int32_t)((uint32_t)now + random_bits() % 17 - 8);
    case 1:
        return (int32_t)((uint32_t)now * 2 + (random_bits() & 1));
    case 2:
        return (int32_t)random_bits();
    default:
        return values[below(sizeof(values) / sizeof(*values))];
    }
}

static int32_t get_int(const unsigned char *p) {
    return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

static void change_int(size_t at) {
    if (at + 4 <= mutant_size) put_int(mutant + at, odd_value(get_int(mutant + at)));
}

static void change_byte(size_t at) {
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff, '-', ' ', '\n'};
    if (at >= mutant_size) return;
    uint32_t choice = random_bits() % 3;
    if (choice == 0) mutant[at] ^= (unsigned char)(1u << random_bits() % 8);
    if (choice == 1) mutant[at] = values[below(sizeof(values))];
    if (choice == 2) mutant[at] = (unsigned char)random_bits();
}

/* ---- of records: head 64 bytes, then the block ---- */

/* Chooses any one of a file's records; returns its size with the head, 0 for none. */
static size_t any_record(const unsigned char *data, size_t size, size_t *at) {
    size_t place = 0, chosen = 0, whole = 0;
    for (uint32_t met = 1; size - place >= 64 && memcmp(data + place, "DNNw", 4) == 0; met++) {
        int32_t block = get_int(data + place + 16);
        if (block < 0 || (size_t)block > size - place - 64) break;
        if (random_bits() % met == 0) {
            chosen = place;
            whole = 64 + (size_t)block;
        }
        place += 64 + (size_t)block;
    }
    *at = chosen;
    return whole;
}

/* Gives a record a payload of another length, which its head states rightly. */
static void resize_record(size_t at, size_t whole) {
    int32_t size = get_int(mutant + at + 12);
    if (size <= 0 || (size_t)size > whole - 64) return;
    size_t now = 4 * (1 + below((size_t)size / 2)), block = (now + 63) / 64 * 64;
    unsigned char *payload = calloc(1, block);
    for (size_t i = 0; i < now; i++) payload[i] = mutant[at + 64 + i % (size_t)size];
    put_int(mutant + at + 12, (int32_t)now);
    put_int(mutant + at + 16, (int32_t)block);
    replace(at + 64, whole - 64, payload, block);
    free(payload);
}

/* Changes the record at at, of whole bytes, or puts one of another file there. */
static void change_record(size_t at, size_t whole) {
    size_t place;
    const seed_file *other = any_seed();
    size_t from_other = any_record(other->data, other->size, &place);
    switch (random_bits() % 9) {
    case 0: /* version, type, size, or size of the block */
        change_int(at + 4 + 4 * below(4));
        break;
    case 1: /* a value at the payload's beginning, where indices go wrong first */
        change_int(at + 64 + 4 * below(whole / 4 - 16 < 8 ? whole / 4 - 16 : 8));
        break;
    case 2:
        change_int(at + 64 + 4 * below(whole / 4 - 16));
        break;
    case 3:
        change_byte(at + 20 + below(44));
        break;
    case 4:
        replace(at, whole, "", 0);
        break;
    case 5:
        replace(at, 0, mutant + at, whole);
        break;
    case 6:
        if (from_other) replace(at, random_bits() % 2 ? whole : 0, other->data + place, from_other);
        break;
    case 7: /* another's name */
        if (from_other) memcpy(mutant + at + 20, other->data + place + 20, 44);
        break;
    default:
        resize_record(at, whole);
    }
}

/* ---- of text ---- */

/* Puts another number in the place of one. */
static void change_number(void) {
    static const char *const words[] = {
        "0",    "1",     "-1",  "-128", "-129", "127", "128", "129", "255",
        "9999", "12345", "-",   "",     "24.0", "1.5", "+3",  "1e3", "x",
        "42",   "24",    "114", "2",    "3",    "7 7", "\n",  "5",   "99999999999999999999"};
    size_t head = random_bits() % 2 && mutant_size > 60 ? 60 : mutant_size; /* half of them in the first header */
    size_t at = below(head), end;
    while (at > 0 && mutant[at - 1] > ' ') at--;
    for (end = at; end < mutant_size && mutant[end] > ' ';) end++;
    const char *word = words[below(sizeof(words) / sizeof(*words))];
    replace(at, end - at, word, strlen(word));
}

/* Puts another header in the place of a short line, which is one. */
static void change_header(void) {
    size_t at = below(mutant_size);
    for (size_t tries = 0; tries < mutant_size; tries++, at = at + 1 < mutant_size ? at + 1 : 0) {
        if (mutant[at] != '\n') continue;
        size_t end = at + 1;
        while (end < mutant_size && mutant[end] != '\n') end++;
        if (end - at > 12) continue;
        char line[60];
        uint32_t bits = random_bits();
        snprintf(line, sizeof(line), "%u %u %u", bits % 200, bits / 256 % 200, bits >> 30);
        replace(at + 1, end - at - 1, line, strlen(line));
        return;
    }
}

/* ---- a mutant ---- */

static void change_anything(void) {
    const seed_file *other = any_seed();
    size_t at = below(mutant_size), n = below(random_bits() % 8 ? 64 : 4096), place = below(other->size);
    if (n > other->size - place) n = other->size - place;
    switch (random_bits() % 8) {
    case 0:
        mutant_size = at;
        break;
    case 1:
        replace(at, 0, other->data + place, n);
        break;
    case 2:
        replace(at, n < mutant_size - at ? n : mutant_size - at, "", 0);
        break;
    case 3:
        change_int(at / 4 * 4);
        break;
    default:
        change_byte(random_bits() % 4 ? at : below(512));
    }
}

/* Makes mutant n of this seed. */
static void make_mutant(uint32_t chance, uint32_t n) {
    choose_chance(chance, n);
    const seed_file *seed = any_seed();
    memcpy(mutant, seed->data, mutant_size = seed->size);
    uint32_t most = 1 + random_bits() % 6;
    for (uint32_t changes = 1 + random_bits() % most; changes > 0; changes--) {
        size_t at, whole = any_record(mutant, mutant_size, &at);
        if (whole > 64 && random_bits() % 4) {
            change_record(at, whole);
        } else if (seed->is_text && random_bits() % 4) {
            (random_bits() % 2 ? change_number : change_header)();
        } else {
            change_anything();
        }
    }
}

/* ---- many of them ---- */

static int try_mutant(uint32_t chance, uint32_t n) {
    make_mutant(chance, n);
    uint8_t *exact = malloc(mutant_size ? mutant_size : 1);
    memcpy(exact, mutant, mutant_size);
    int loaded = try_file(exact, mutant_size);
    free(exact);
    return loaded;
}

int main(int argc, char **argv) {
    int good = 1;
    make_seeds();
    if (argc == 3 && strcmp(argv[1], "seeds") == 0) {
        for (int i = 0; i < seed_count; i++) good &= write_seed(argv[2], i, seeds[i].data, seeds[i].size);
    } else {
        try_many(argc, argv, try_mutant);
    }
    for (int i = 0; i < seed_count; i++) free(seeds[i].data);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
