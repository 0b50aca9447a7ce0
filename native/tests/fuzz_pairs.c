/* Pairs of ONNX files mutated at random: each is refused with a reason, or is a DTLN that answers any good samples with
 * finite ones, the same however they are cut.
 *
 *     fuzz_pairs COUNT [SEED [FIRST]]    mutants FIRST to FIRST + COUNT - 1; a crash tells which one it was
 *     fuzz_pairs seeds FOLDER            writes pairs for libFuzzer to begin with
 *
 * An input is the size of the first file, four bytes, and both files. With DN_LIBFUZZER defined there is no main and no
 * mutator: libFuzzer has its own. */
#include <math.h>

#include "denoise.h"

#define FUZZER "fuzz_pairs"
#include "fuzz.h"
#include "models_dtln.h"

enum { MOST_CHANNELS = 4, MOST_HOPS = 6, MOST_HOP = DN_FRAME, MOST = MOST_CHANNELS * MOST_HOPS * MOST_HOP };

/* ---- what a pair must bear ---- */

static float in[MOST], whole[MOST], cut[MOST], voice[MOST_CHANNELS * MOST_HOPS];

static void make_samples(int count) {
    static const float levels[] = {0, 1e-39f, 1e-20f, 1e-6f, 0.01f, 0.5f, 1, 1000, DN_LIMIT};
    const float level = levels[random_bits() % (sizeof(levels) / sizeof(*levels))];
    for (int i = 0; i < count; i++) in[i] = level * random_float();
    for (uint32_t odd = random_bits() % 4; odd > 0; odd--) {
        in[random_bits() % (uint32_t)count] = levels[random_bits() % (sizeof(levels) / sizeof(*levels))];
    }
}

static void check_saving(dn_state *state, dn_state *twin) {
    const size_t size = dn_state_size(state);
    char *bytes = malloc(size), *again = malloc(size);
    dn_state_save(state, bytes);
    if (dn_state_restore(twin, bytes, size) != DN_OK) fail("a state of good samples is not restored");
    dn_state_save(twin, again);
    if (memcmp(bytes, again, size) != 0) fail("a restored state is another one");
    bytes[random_bits() % size] ^= (char)(1u << random_bits() % 8);
    if (dn_state_restore(twin, bytes, size) != DN_BAD_STATE) fail("a damaged state is accepted");
    free(bytes);
    free(again);
}

/* Runs hops of channels at once, and of each channel one by one. */
static void run_model(const dn_model *model) {
    const int hop = dn_model_hop(model), channels = 1 + (int)(random_bits() % MOST_CHANNELS);
    const int hops = 1 + (int)(random_bits() % MOST_HOPS), samples = hops * hop;
    const float gains[] = {0, 0, 0.5f, 1}, min_gain = gains[random_bits() % 4];
    dn_state *states[MOST_CHANNELS], *alone, *twin;
    for (int c = 0; c < channels; c++) {
        if (dn_state_create(model, &states[c]) != DN_OK) fail("no memory");
    }
    if (dn_state_create(model, &alone) != DN_OK || dn_state_create(model, &twin) != DN_OK) fail("no memory");
    for (int round = 0; round < 2; round++) {
        make_samples(channels * samples);
        dn_status status = dn_process(states, (size_t)channels, in, whole, voice, (size_t)hops, min_gain);
        if (status != DN_OK) fail("good samples are refused");
        for (int i = 0; i < channels * samples; i++) {
            if (!isfinite(whole[i])) fail("a sample is not finite");
        }
        if (round) break;
        for (int h = 0; h < hops; h++) {
            memcpy(cut + h * hop, in + h * hop, (size_t)hop * sizeof(*cut));
            dn_process(&alone, 1, cut + h * hop, cut + h * hop, NULL, 1, min_gain);
        }
        if (memcmp(cut, whole, (size_t)samples * sizeof(*cut)) != 0) fail("the cut or a neighbour changes a bit");
    }
    check_saving(states[0], twin);
    in[random_bits() % (uint32_t)samples] = NAN;
    if (dn_process(states, 1, in, whole, voice, (size_t)hops, 0) != DN_NOT_FINITE) fail("a NaN is accepted");
    for (int c = 0; c < channels; c++) dn_state_destroy(states[c]);
    dn_state_destroy(alone);
    dn_state_destroy(twin);
}

/* Loads two files, of exactly these sizes, so that AddressSanitizer sees a read past their ends. Returns whether they
 * are a pair. */
static int try_pair(const uint8_t *first, size_t first_size, const uint8_t *second, size_t second_size) {
    char message[DN_MESSAGE];
    dn_model *model;
    random_state = 1 + (uint32_t)(first_size * 31 + second_size);
    const dn_precision precision = random_bits() % 2 ? DN_INT8 : DN_AS_STORED;
    dn_status status = dn_model_load_pair(first, first_size, second, second_size, precision, &model, message);
    if ((status == DN_OK) != (model != NULL)) fail("the status and the model disagree");
    if (status != DN_OK && status != DN_BAD_MODEL && status != DN_UNKNOWN_MODEL)
        fail("it is not the files that are blamed");
    if (status != DN_OK && message[0] == '\0') fail("no reason is given");
    if (!model) return 0;
    if (random_bits() % 8 == 0) dn_model_set_isa(model, "scalar");
    if (random_bits() % 8 == 0) dn_model_set_isa(model, "avx2");
    run_model(model);
    dn_model_destroy(model);
    return 1;
}

static int try_input(const uint8_t *data, size_t size) {
    if (size < 4) return 0;
    size_t first = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16;
    if (first > size - 4) first = size - 4;
    const size_t second = size - 4 - first;
    uint8_t *a = malloc(first ? first : 1), *b = malloc(second ? second : 1);
    memcpy(a, data + 4, first);
    memcpy(b, data + 4 + first, second);
    const int loaded = try_pair(a, first, b, second);
    free(a);
    free(b);
    return loaded;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_input(data, size);
    return 0;
}

#ifndef DN_LIBFUZZER

/* ---- mutants ---- */

static onnx_file seeds[DTLN_KINDS][2];
static uint8_t input[4 + 2 * ONNX_ROOM];

static size_t below(size_t n) {
    return n ? random_bits() % n : 0;
}

/* Puts n bytes in the place of old ones. */
static void replace(onnx_file *f, size_t at, size_t old, const void *bytes, size_t n) {
    static unsigned char copy[ONNX_ROOM];
    if (at + old > f->size || f->size - old + n > sizeof(f->data)) return;
    memcpy(copy, bytes, n);
    memmove(f->data + at + n, f->data + at + old, f->size - at - old);
    memcpy(f->data + at, copy, n);
    f->size += n - old;
}

/* Puts a name of a value or an operator in the place of another one of its length, so that the file stays whole. */
static void rename_one(onnx_file *f) {
    static const char *const names[] = {
        "h1",     "c1",     "h2",     "c2",     "W1",      "R1",      "B1",     "W2",     "R2",
        "B2",     "x1",     "x2",     "y1",     "y2",      "mask",    "code",   "kept",   "bias",
        "logit",  "level",  "shift",  "dense",  "frame",   "state",   "normal", "weight", "encode",
        "decode", "raised", "h1_out", "c1_out", "h2_out",  "c2_out",  "MatMul", "Concat", "Add",
        "Log",    "Mul",    "Sub",    "mag",    "Sigmoid", "Squeeze", "LSTM",   "Tanh",   "Sqrt",
        "Conv",   "Cast",   "Split",  "Slice",  "product", "Reshape", "axis",   "axes",   "perm"};
    enum { NAMES = sizeof(names) / sizeof(*names) };
    const char *from = names[below(NAMES)], *to = names[below(NAMES)];
    const size_t size = strlen(from), begin = below(f->size);
    for (int tries = 0; strlen(to) != size && tries < 100; tries++) to = names[below(NAMES)];
    if (strlen(to) != size) return;
    for (size_t i = 0; i + size < f->size; i++) {
        const size_t at = (begin + i) % (f->size - size);
        if (memcmp(f->data + at, from, size) != 0 || (at && f->data[at - 1] != size)) continue;
        memcpy(f->data + at, to, size);
        return;
    }
}

static void change(onnx_file *f) {
    static const unsigned char values[] = {0, 1, 2, 3, 4, 8, 0x0a, 0x12, 0x1a, 0x22, 0x7f, 0x80, 0xff};
    const onnx_file *other = &seeds[below(DTLN_KINDS)][below(2)];
    const size_t at = below(f->size), n = below(48), place = below(other->size);
    switch (random_bits() % 12) {
    case 0:
        f->size = at;
        break;
    case 1:
        replace(f, at, 0, other->data + place, place + n <= other->size ? n : 0);
        break;
    case 2:
        replace(f, at, at + n <= f->size ? n : 0, "", 0);
        break;
    case 3:
    case 4:
        if (f->size) f->data[at] = values[below(sizeof(values))];
        break;
    case 5:
        if (f->size) f->data[at] ^= (unsigned char)(1u << random_bits() % 8);
        break;
    case 6:
        if (f->size) f->data[below(f->size < 300 ? f->size : 300)] = (unsigned char)random_bits();
        break;
    default:
        rename_one(f);
    }
}

static int try_mutant(uint32_t seed, uint32_t n) {
    static onnx_file pair[2];
    choose_chance(seed, n);
    const int kind = random_bits() % 16 ? (int)below(3) : DTLN_KINDS - 1;
    memcpy(pair, seeds[kind], sizeof(pair));
    for (uint32_t changes = random_bits() % 4; changes > 0; changes--) change(&pair[below(2)]);
    if (random_bits() % 8 == 0) memcpy(&pair[below(2)], &seeds[below(DTLN_KINDS)][below(2)], sizeof(*pair));
    const size_t first = pair[0].size, second = pair[1].size;
    for (int i = 0; i < 4; i++) input[i] = (uint8_t)(first >> (8 * i));
    memcpy(input + 4, pair[0].data, first);
    memcpy(input + 4 + first, pair[1].data, second);
    return try_input(input, 4 + first + second);
}

int main(int argc, char **argv) {
    int good = 1;
    for (int kind = 0; kind < DTLN_KINDS; kind++) make_dtln(&seeds[kind][0], &seeds[kind][1], kind);
    if (argc != 3 || strcmp(argv[1], "seeds") != 0) {
        try_many(argc, argv, try_mutant);
        return EXIT_SUCCESS;
    }
    for (int kind = 0; kind < DTLN_KINDS; kind++) {
        const size_t first = seeds[kind][0].size, second = seeds[kind][1].size;
        for (int i = 0; i < 4; i++) input[i] = (uint8_t)(first >> (8 * i));
        memcpy(input + 4, seeds[kind][0].data, first);
        memcpy(input + 4 + first, seeds[kind][1].data, second);
        good &= write_seed(argv[2], kind, input, 4 + first + second);
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
