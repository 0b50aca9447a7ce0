/* Each kernel of each instruction set against the formula, in double.
 *     test_kernels [SET]      SET: the fastest that there should be */
#include <math.h>
#include <string.h>

#include "bands.h"
#include "check.h"
#include "memory.h"

enum { MOST = 1024 };

static float a[MOST], b[MOST], c[MOST], y[MOST];

static void fill(float *v, int n) {
    for (int i = 0; i < n; i++) v[i] = random_float();
}

static void test_matvec(const dn_kernels *k) {
    static const int sizes[][2] = {{1, 8}, {2, 24}, {42, 24}, {90, 144}, {17, 40}, {33, 136}};
    static float w[90 * 144];
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        int inputs = sizes[s][0], columns = sizes[s][1];
        fill(w, inputs * columns);
        fill(a, inputs);
        fill(y, columns);
        memcpy(b, y, sizeof(b));
        memcpy(c, y, sizeof(c));
        k->matvec_add(y, w, a, inputs, columns);
        k->matvec_add_batch((float *[]){b}, w, (const float *[]){a}, inputs, columns, 1);
        CHECK(memcmp(y, b, (size_t)columns * sizeof(*y)) == 0);
        for (int o = 0; o < columns; o++) {
            double sum = c[o];
            for (int j = 0; j < inputs; j++) sum += (double)a[j] * (double)w[(o / 8 * inputs + j) * 8 + o % 8];
            CHECK(fabs(sum - (double)y[o]) < 1e-5);
        }
    }
}

/* Integers for weights give what the same weights give as floats, bit for bit. */
static void test_bytes(const dn_kernels *k) {
    static const int sizes[][2] = {{1, 8}, {2, 24}, {42, 24}, {90, 144}, {17, 40}, {33, 136}};
    static float w[90 * 144];
    static int8_t bytes[90 * 144];
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        int inputs = sizes[s][0], columns = sizes[s][1];
        for (int i = 0; i < inputs * columns; i++) w[i] = bytes[i] = (int8_t)(random_bits() >> 24);
        fill(a, inputs);
        fill(y, columns);
        memcpy(c, y, sizeof(c));
        k->matvec_add(y, w, a, inputs, columns);
        k->matvec_add_bytes_batch((float *[]){c}, bytes, (const float *[]){a}, inputs, columns, 1);
        CHECK(memcmp(y, c, (size_t)columns * sizeof(*y)) == 0);
    }
}

/* Makes an index of groups of 8 outputs that have some of the blocks of 4 inputs; returns the number of blocks. */
static int make_index(uint16_t *index, int inputs, int groups) {
    int blocks = 0;
    for (int g = 0; g < groups; g++) {
        uint16_t *count = index++;
        *count = 0;
        for (int j = 0; j < inputs; j += 4) {
            if (g == 1 || random_bits() % 3 == 0) continue; /* group 1 stays empty */
            *index++ = (uint16_t)j;
            ++*count;
        }
        blocks += *count;
    }
    return blocks;
}

static void test_blocks(const dn_kernels *k) {
    enum { INPUTS = 52, GROUPS = 5, BLOCKS = INPUTS / 4 * GROUPS };
    static float w[32 * BLOCKS], scale[8 * GROUPS];
    static int8_t q[32 * BLOCKS], steps[INPUTS];
    uint16_t index[GROUPS + BLOCKS], *at = index;
    int blocks = make_index(index, INPUTS, GROUPS), block = 0;
    fill(w, 32 * blocks);
    fill(scale, 8 * GROUPS);
    fill(a, INPUTS);
    fill(b, 8 * GROUPS);
    for (int i = 0; i < 32 * blocks; i++) q[i] = (int8_t)random_bits();
    for (int i = 0; i < INPUTS; i++) steps[i] = (int8_t)((int)(random_bits() % 255) - 127);
    memcpy(y, b, sizeof(b));
    memcpy(c, b, sizeof(b));
    k->blocks_add_batch((float *[]){y}, w, index, (const float *[]){a}, GROUPS, 1);
    k->blocks_add_int8_batch((float *[]){c}, q, scale, index, (const int8_t *[]){steps}, GROUPS, 1);
    for (int g = 0; g < GROUPS; g++) {
        double sum[8] = {0};
        int32_t whole[8] = {0};
        for (int left = *at++; left > 0; left--, block++) {
            int place = *at++;
            for (int i = 0; i < 32; i++) {
                sum[i % 8] += (double)w[32 * block + i] * (double)a[place + i / 8];
                whole[i / 4] += q[32 * block + i] * steps[place + i % 4];
            }
        }
        for (int o = 0; o < 8; o++) {
            double before = (double)b[8 * g + o], exact = before + (double)scale[8 * g + o] * whole[o];
            CHECK(fabs(before + sum[o] - (double)y[8 * g + o]) < 1e-5);
            CHECK(fabs(exact - (double)c[8 * g + o]) <= 1e-6 * (1 + fabs(exact)));
        }
    }
    CHECK(block == blocks);
}

/* The whole maps' sums are exact, so that they equal those of blocks, all of which are there. */
static void test_matvec_int8(const dn_kernels *k) {
    static const int sizes[][2] = {{4, 8}, {12, 24}, {52, 32}, {100, 136}};
    static int8_t q[100 * 136], steps[100];
    static float scale[136];
    static uint16_t index[17 * 26];
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        int inputs = sizes[s][0], columns = sizes[s][1], at = 0;
        for (int g = 0; g < columns / 8; g++) {
            index[at++] = (uint16_t)(inputs / 4);
            for (int j = 0; j < inputs; j += 4) index[at++] = (uint16_t)j;
        }
        for (int i = 0; i < inputs * columns; i++) q[i] = (int8_t)((int)(random_bits() % 255) - 127);
        for (int i = 0; i < inputs; i++) steps[i] = (int8_t)((int)(random_bits() % 255) - 127);
        fill(scale, columns);
        fill(y, columns);
        memcpy(c, y, sizeof(c));
        k->matvec_add_int8_batch((float *[]){y}, q, scale, (const int8_t *[]){steps}, inputs, columns, 1);
        k->blocks_add_int8_batch((float *[]){c}, q, scale, index, (const int8_t *[]){steps}, columns / 8, 1);
        for (int o = 0; o < columns; o++) CHECK(y[o] == c[o]);
    }
}

/* Sums of two products that would pass 16 bits, were inputs or weights unsigned. */
static void test_blocks_of_the_greatest_weights(const dn_kernels *k) {
    static const int extremes[][2] = {{127, 127}, {-128, -127}, {127, -127}, {-128, 127}};
    uint16_t index[2] = {1, 0};
    float scale[8], sums[8];
    int8_t q[32], steps[4];
    for (int i = 0; i < 8; i++) scale[i] = 1;
    for (int e = 0; e < 4; e++) {
        memset(q, extremes[e][0], sizeof(q));
        memset(steps, extremes[e][1], sizeof(steps));
        memset(sums, 0, sizeof(sums));
        k->blocks_add_int8_batch((float *[]){sums}, q, scale, index, (const int8_t *[]){steps}, 1, 1);
        for (int o = 0; o < 8; o++) CHECK(sums[o] == (float)(4 * extremes[e][0] * extremes[e][1]));
        if (extremes[e][0] == -128) continue;
        memset(sums, 0, sizeof(sums));
        k->matvec_add_int8_batch((float *[]){sums}, q, scale, (const int8_t *[]){steps}, 4, 8, 1);
        for (int o = 0; o < 8; o++) CHECK(sums[o] == (float)(4 * extremes[e][0] * extremes[e][1]));
    }
}

static void test_quantise(const dn_kernels *k) {
    static int8_t steps[MOST];
    const float outside[] = {-1e30f, -1.001f, -1, 1, 1.001f, 1e30f};
    for (int i = 0; i < MOST; i++) a[i] = (float)i / (MOST / 2) - 1;
    k->quantise(steps, a, MOST);
    for (int i = 0; i < MOST; i++) CHECK(steps[i] == (int)floor(127 * (double)a[i] + 0.5));
    for (int n = 0; n < 20; n++) { /* and nothing behind the last */
        memset(steps, 99, 20);
        k->quantise(steps, a, n);
        for (int i = 0; i < 20; i++) CHECK(steps[i] == (i < n ? (int)floor(127 * (double)a[i] + 0.5) : 99));
    }
    k->quantise(steps, outside, 6);
    for (int i = 0; i < 6; i++) CHECK(steps[i] == (i < 3 ? -127 : 127));
}

static void test_activations(const dn_kernels *k) {
    for (float from = -20; from < 20; from += 1) {
        for (int i = 0; i < 1000; i++) a[i] = from + (float)i / 1000;
        memcpy(b, a, sizeof(a));
        k->tanh(a, 1000);
        for (int i = 0; i < 1000; i++) CHECK(fabs((double)a[i] - tanh((double)b[i])) < 1e-6);
        memcpy(a, b, sizeof(a));
        k->sigmoid(a, 1000);
        for (int i = 0; i < 1000; i++) CHECK(fabs((double)a[i] - 1 / (1 + exp(-(double)b[i]))) < 1e-6);
    }
}

static void test_sums(const dn_kernels *k) {
    for (int n = 0; n < 70; n++) {
        fill(a, n);
        fill(b, n);
        double sum = 0;
        for (int i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
        CHECK(fabs(sum - (double)k->dot(a, b, n)) < 1e-5);
        float both[2];
        k->match(a, b, n, both);
        CHECK(both[0] == k->dot(a, b, n) && both[1] == k->dot(b, b, n));
    }
    fill(a, 240);
    fill(b, 400);
    for (int lags = 8; lags <= 152; lags += 72) {
        k->correlate(y, a, b, 240, lags);
        for (int lag = 0; lag < lags; lag++) {
            double sum = 0;
            for (int i = 0; i < 240; i++) sum += (double)a[i] * (double)b[i + lag];
            CHECK(fabs(sum - (double)y[lag]) < 1e-4);
        }
    }
}

static void test_filters(const dn_kernels *k) {
    const float taps[5] = {0.5f, -0.25f, 0.75f, -1, 0.125f};
    fill(a, 200);
    k->fir5(y, a + 8, taps, 192);
    for (int i = 0; i < 192; i++) {
        double sum = (double)a[i + 8];
        for (int t = 0; t < 5; t++) sum += (double)taps[t] * (double)a[i + 7 - t];
        CHECK(fabs(sum - (double)y[i]) < 1e-5);
    }
    k->halve(y, a + 1, 96);
    for (int i = 0; i < 96; i++) {
        double sum = 0.25 * (double)a[2 * i] + 0.5 * (double)a[2 * i + 1] + 0.25 * (double)a[2 * i + 2];
        CHECK(fabs(sum - (double)y[i]) < 1e-6);
    }
    double memory[2] = {0, 0}, x1 = 0, x2 = 0, y1 = 0, y2 = 0;
    fill(a, MOST);
    k->highpass(y, a, memory, 1, 300);
    k->highpass(y + 300, a + 300, memory, 1, MOST - 300);
    for (int i = 0; i < MOST; i++) { /* the difference equation of H(z) */
        double x0 = (double)a[i], y0 = x0 - 2 * x1 + x2 + 1.99599 * y1 - 0.99600 * y2;
        CHECK(fabs(y0 - (double)y[i]) < 1e-5);
        x2 = x1, x1 = x0, y2 = y1, y1 = y0;
    }
}

static void test_highpass_forgets(const dn_kernels *k) {
    double memory[2] = {0, 0};
    memset(a, 0, sizeof(a));
    a[0] = 1;
    for (int i = 0; i < 100; i++) {
        k->highpass(y, a, memory, 32768, 480);
        a[0] = 0;
    }
    CHECK(memory[0] == 0 && memory[1] == 0);
}

static void test_fourier(const dn_kernels *k, const dn_fft *fft) {
    dn_spectrum X;
    fill(a, DN_WINDOW);
    fill(b, DN_WINDOW);
    k->fft(fft, b, a, &X);
    for (int bin = 0; bin < DN_BINS; bin++) {
        double re = 0, im = 0;
        for (int i = 0; i < DN_WINDOW; i++) {
            double turn = 6.283185307179586 * (bin * i % DN_WINDOW) / DN_WINDOW, x = (double)a[i] * (double)b[i];
            re += x * cos(turn);
            im -= x * sin(turn);
        }
        CHECK(fabs(re - (double)X.re[bin]) < 5e-5 && fabs(im - (double)X.im[bin]) < 5e-5);
    }
    for (int i = 0; i < DN_WINDOW; i++) c[i] = 1.0f / DN_WINDOW;
    k->ifft(fft, c, &X, y);
    for (int i = 0; i < DN_WINDOW; i++) CHECK(fabs((double)a[i] * (double)b[i] - (double)y[i]) < 1e-6);
}

static void test_bands(const dn_kernels *k, const dn_bands *layout) {
    dn_spectrum X = {0}, P = {0};
    fill(X.re, DN_BINS);
    fill(X.im, DN_BINS);
    fill(P.re, DN_BINS);
    fill(P.im, DN_BINS);
    k->cross_power(y, &X, &P, DN_BAND_BINS);
    double total = 0;
    for (int i = 0; i < DN_BAND_BINS; i++) {
        double p = (double)X.re[i] * (double)P.re[i] + (double)X.im[i] * (double)P.im[i];
        CHECK(fabs(p - (double)y[i]) < 1e-6);
        total += p;
    }
    float bands[DN_BANDS];
    dn_band_correlation(k, layout, &X, &P, bands);
    bands[0] /= 2;
    bands[DN_BANDS - 1] /= 2;
    for (int i = 0; i < DN_BANDS; i++) total -= (double)bands[i]; /* every bin is shared out completely */
    CHECK(fabs(total) < 1e-3);

    for (int i = 0; i < DN_BANDS; i++) bands[i] = (float)(i * i);
    dn_band_interpolate(k, layout, bands, y);
    CHECK(y[0] == 0 && y[32] == 64 && y[36] == 72.5f && y[312] == 400);
    dn_spectrum before = X;
    k->add_scaled(&X, y, &P, DN_BAND_BINS);
    for (int i = 0; i < DN_BAND_BINS; i++) CHECK(fabsf(before.re[i] + y[i] * P.re[i] - X.re[i]) < 1e-4f);
    before = X;
    k->scale(&X, y, DN_BAND_BINS);
    for (int i = 0; i < DN_BINS; i++) CHECK(X.im[i] == before.im[i] * (i < DN_BAND_BINS ? y[i] : 1));
}

/* Bins 0 and 2 are edges 0 and 1, 12 and 15 are 6 and 7; 356 is edge 32, 400 the last. */
static void test_v02_bands(const dn_kernels *k, const dn_bands *layout) {
    float bands[DN_MAX_BANDS];
    for (int i = 0; i < DN_MAX_BANDS; i++) bands[i] = (float)(i * i);
    dn_band_interpolate(k, layout, bands, y);
    CHECK(y[0] == 0 && y[1] == 0 && y[2] == 0 && y[3] == 0.5f && y[12] == 25);
    CHECK(fabsf(y[13] - (25 + 11 / 3.0f)) < 1e-5f && y[356] == 961 && y[399] == 961);

    dn_spectrum X = {0};
    X.re[1] = 1; /* half to the sum at bin 0, half to that at bin 2 */
    dn_band_correlation(k, layout, &X, &X, bands);
    CHECK(fabsf(bands[0] - 2 / 3.0f) < 1e-6f && bands[1] == 0 && bands[31] == 0);
    X.re[1] = 0;
    X.im[13] = 3;
    X.im[380] = 2;
    dn_band_correlation(k, layout, &X, &X, bands);
    CHECK(bands[0] == 0 && fabsf(bands[5] - 6) < 1e-5f && fabsf(bands[6] - 3) < 1e-5f);
    CHECK(bands[30] == 0 && fabsf(bands[31] - 4 * 2 / 3.0f) < 1e-5f);
}

/* size: factor by which the transform multiplies the sum of squares. */
static void test_dct(const dn_kernels *k, const dn_bands *layout, double size) {
    float out[DN_MAX_BANDS];
    fill(a, layout->count);
    dn_band_dct(k, layout, a, out);
    double before = 0, after = 0;
    for (int i = 0; i < layout->count; i++) {
        before += (double)a[i] * (double)a[i];
        after += (double)out[i] * (double)out[i];
    }
    CHECK(fabs(size * before - after) < 1e-4);
    for (int i = layout->count; i < layout->padded; i++) CHECK(out[i] == 0);
}

int main(int argc, char **argv) {
    dn_tables *tables = dn_new(sizeof(*tables)), *v02 = dn_new(sizeof(*v02));
    dn_tables_init(tables, &dn_classic_bands);
    dn_tables_init(v02, &dn_v02_bands);
    CHECK(dn_kernels_find("no such set") == NULL);
    CHECK(dn_kernels_find(NULL) != NULL);
    if (argc > 1) CHECK(strcmp(dn_kernels_find(NULL)->name, argv[1]) == 0);
    const char *name;
    CHECK(dn_isa_name(-1) == NULL && dn_isa_name(0) != NULL);
    for (int isa = 0; (name = dn_isa_name(isa)) != NULL; isa++) {
        const dn_kernels *k = dn_kernels_find(name);
        if (!k) {
            printf("test_kernels: this processor has no %s\n", name);
            continue;
        }
        CHECK(strcmp(k->name, name) == 0);
        test_matvec(k);
        test_bytes(k);
        test_blocks(k);
        test_matvec_int8(k);
        test_blocks_of_the_greatest_weights(k);
        test_quantise(k);
        test_activations(k);
        test_sums(k);
        test_filters(k);
        test_highpass_forgets(k);
        test_fourier(k, &tables->fft);
        test_bands(k, &tables->bands);
        test_v02_bands(k, &v02->bands);
        test_dct(k, &tables->bands, 1);
        test_dct(k, &v02->bands, 32.0 / 22);
    }
    dn_delete(tables);
    dn_delete(v02);
    return done("test_kernels");
}
