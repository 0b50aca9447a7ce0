/* C source of a file's bytes, to be compiled into the engine as the model that it carries.
 *     embed MODEL RNN_DATA        reads MODEL, any file that dn_model_load takes, and writes RNN_DATA
 * Runs where the engine is built, not where it will work: it is made by the building machine's own compiler. */
#include <stdio.h>
#include <stdlib.h>

enum { IN_A_LINE = 32 };

static int fail(const char *path) {
    perror(path);
    return EXIT_FAILURE;
}

/* Returns the size of what is left of the file, -1 on failure. */
static long size_of(FILE *file) {
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    rewind(file);
    return size;
}

static void write_source(FILE *in, long size, FILE *out) {
    fprintf(out, "/* The model compiled in, written when the engine was built: do not edit. */\n");
    fprintf(out, "#include \"rnn_data.h\"\n\nconst size_t dn_builtin_size = %ld;\n", size);
    fprintf(out, "const unsigned char dn_builtin_data[%ld] = {", size);
    for (long i = 0; i < size; i++) fprintf(out, "%s%d,", i % IN_A_LINE ? "" : "\n", getc(in));
    fprintf(out, "\n};\n");
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: embed MODEL RNN_DATA\n");
        return EXIT_FAILURE;
    }
    FILE *in = fopen(argv[1], "rb");
    long size = in ? size_of(in) : -1;
    if (size < 0) return fail(argv[1]);
    if (size == 0) {
        fprintf(stderr, "%s: the file is empty; give a model\n", argv[1]);
        return EXIT_FAILURE;
    }
    FILE *out = fopen(argv[2], "wb"); /* lines end alike everywhere */
    if (!out) return fail(argv[2]);
    write_source(in, size, out);
    int bad = ferror(in) || feof(in) || ferror(out);
    if (fclose(out) != 0 || bad) return fail(argv[2]);
    fclose(in);
    return EXIT_SUCCESS;
}
