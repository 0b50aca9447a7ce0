/* Each kernel of each instruction set against the formula, in double.
 *     test_kernels [SET]      SET: the fastest that there should be */
#include <math.h>
#include <string.h>

#include "bands.h"
#include "check.h"
#include "halves.h"
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

/* Rows, columns and inputs that leave something over from every tile; strides of more than a row. */
static void test_rows(const dn_kernels *k) {
    enum { SPACE = 9000 };
    static const int shapes[][3] = {{1, 8, 3}, {3, 24, 1}, {8, 16, 12}, {12, 40, 8}, {32, 96, 32}, {80, 8, 5}};
    static float x[SPACE], w[SPACE], bias[SPACE], before[SPACE], out[SPACE];
    for (size_t s = 0; s < sizeof(shapes) / sizeof(*shapes); s++) {
        for (int variant = 0; variant < 8; variant++) {
            int rows = shapes[s][0], columns = shapes[s][1], inputs = shapes[s][2], is_turned = variant >> 2;
            dn_rows m = {.x = x, .w = w, .y = out, .rows = rows, .columns = columns, .inputs = inputs};
            m.x_row = is_turned ? 1 : inputs + 2;
            m.x_step = is_turned ? rows : 1;
            m.w_row = columns + 8;
            m.bias = variant % 4 ? bias : NULL;
            m.bias_row = variant % 4 == 2 ? columns : 0;
            m.y_row = columns + 3;
            m.add = variant % 4 == 3;
            fill(x, SPACE);
            fill(w, SPACE);
            fill(bias, SPACE);
            fill(out, SPACE);
            memcpy(before, out, sizeof(out));
            k->map_rows(&m);
            for (int i = 0; i < rows * m.y_row; i++) {
                int row = i / m.y_row, at = i % m.y_row;
                double sum = m.add || at >= columns ? (double)before[i] : 0;
                if (at < columns && m.bias) sum += (double)bias[row * m.bias_row + at];
                for (int j = 0; at < columns && j < inputs; j++) {
                    sum += (double)x[row * m.x_row + j * m.x_step] * (double)w[j * m.w_row + at];
                }
                CHECK(fabs(sum - (double)out[i]) < 1e-5);
            }
        }
    }
    for (int add = 0; add < 2; add++) {
        const dn_rows loud = {.x = (float[]){1e6f, -1e6f},
                              .x_row = 1,
                              .x_step = 1,
                              .w = w,
                              .w_row = 8,
                              .y = out,
                              .y_row = 8,
                              .rows = 2,
                              .columns = 8,
                              .inputs = 1,
                              .add = add};
        for (int i = 0; i < 8; i++) w[i] = 7;
        k->map_rows(&loud);
        for (int i = 0; i < 16; i++) CHECK(out[i] == (i < 8 ? DN_ROWS_MOST : -DN_ROWS_MOST));
    }
}

static int16_t short_at(const int32_t *pairs, int i) {
    return (int16_t)((uint32_t)pairs[i / 2] >> (i % 2 ? 16 : 0));
}

static int32_t short_pair(int first, int second) {
    return (int32_t)((uint32_t)(uint16_t)first | (uint32_t)(uint16_t)second << 16);
}

/* The same in integers: rows that overlap, touch and lie apart, the largest sums, and nothing but zeros. */
static void test_shorts(const dn_kernels *k) {
    enum { SPACE = 8000, INPUTS = 30, MOST_COLUMNS = 96 };
    static const int shapes[][2] = {{1, 8}, {3, 24}, {8, 16}, {24, 96}, {32, 40}};
    static float x[SPACE], unit[MOST_COLUMNS], bias[SPACE], before[SPACE], out[SPACE];
    static int32_t steps[SPACE], w[INPUTS / 2 * MOST_COLUMNS];
    CHECK(!k->map_shorts == !k->step_shorts);
    if (!k->map_shorts) return;
    for (size_t s = 0; s < sizeof(shapes) / sizeof(*shapes); s++) {
        for (int variant = 0; variant < 12; variant++) {
            static const int apart[] = {10, INPUTS, INPUTS + 8};
            int rows = shapes[s][0], columns = shapes[s][1], x_row = apart[variant / 4], y_row = columns + 3;
            int is_largest = variant == 11;
            fill(x, SPACE);
            fill(unit, MOST_COLUMNS);
            fill(bias, SPACE);
            fill(out, SPACE);
            for (int i = 0; is_largest && i < SPACE; i++) x[i] = 3;
            memcpy(before, out, sizeof(out));
            for (int i = 0; i < INPUTS / 2 * columns; i++) {
                int step = (int)DN_COLUMN_MOST / INPUTS;
                w[i] = is_largest ? short_pair(step, step) : short_pair((i * 7919) % 8000 - 4000, (i * 104729) % 999);
            }
            float most = 0, size = k->step_shorts(steps, x, x_row, INPUTS, rows);
            for (int i = 0; i < (rows - 1) * x_row + INPUTS; i++) {
                if (i % x_row < INPUTS) most = fmaxf(most, fabsf(x[i]));
            }
            CHECK(fabsf(size - most / DN_SHORT_MOST) <= 1e-6f * size);
            dn_shorts m = {steps, x_row / 2,  1,       w,    columns,         unit, size, NULL, 0, out,
                           y_row, INPUTS / 2, columns, rows, variant % 4 == 3};
            m.bias = variant % 4 ? bias : NULL;
            m.bias_row = variant % 4 == 2 ? columns : 0;
            k->map_shorts(&m);
            for (int i = 0; i < rows * y_row; i++) {
                int row = i / y_row, at = i % y_row, sum = 0;
                double wanted = m.add || at >= columns ? (double)before[i] : 0;
                if (at < columns && m.bias) wanted += (double)bias[row * m.bias_row + at];
                for (int j = 0; at < columns && j < INPUTS; j++) {
                    int step = short_at(steps + row * x_row / 2, j);
                    CHECK(fabsf((float)step * size - x[row * x_row + j]) <= 0.51f * size);
                    sum += step * short_at(w + j / 2 * columns + at, j % 2);
                }
                if (at < columns) wanted += (double)unit[at] * (double)size * (double)sum;
                CHECK(fabs(wanted - (double)out[i]) <= 1e-6 * (1 + fabs(wanted)));
            }
        }
    }
    memset(x, 0, sizeof(x));
    CHECK(k->step_shorts(steps, x, INPUTS, INPUTS, 3) == 0 && steps[0] == 0 && steps[3 * INPUTS / 2 - 1] == 0);
    x[40] = 1e6f;
    w[0] = short_pair(30000, 30000);
    unit[0] = 1e4f;
    dn_shorts loud = {steps, INPUTS / 2, 1, w, 8, unit, k->step_shorts(steps, x + 40, 2, 2, 1), NULL, 0,
                      out,   8,          1, 8, 1, 0};
    k->map_shorts(&loud);
    CHECK(out[0] == DN_ROWS_MOST);
}

static void test_rows_one_by_one(const dn_kernels *k) {
    enum { UNITS = 24, ROWS = 8, PLACES = 40, COLUMNS = 24 };
    static float gates[2 * UNITS * ROWS], from_x[3 * UNITS * ROWS], from_h[3 * UNITS * ROWS];
    for (int i = 0; i < MOST; i++) a[i] = 8 * ((float)i / (MOST / 2) - 1);
    memcpy(b, a, sizeof(a));
    k->hard_swish(a, MOST);
    for (int i = 0; i < MOST; i++) {
        CHECK(fabs((double)b[i] * fmin(fmax((double)b[i] + 3, 0), 6) / 6 - (double)a[i]) < 1e-6);
    }
    fill(gates, 2 * UNITS * ROWS);
    fill(a, UNITS * ROWS);
    memcpy(b, a, sizeof(a));
    for (int i = 0; i < 2 * UNITS * ROWS; i++) gates[i] *= 10;
    k->blend(a, gates, UNITS, ROWS);
    for (int i = 0; i < UNITS * ROWS; i++) {
        const float *row = gates + i / UNITS * 2 * UNITS + i % UNITS;
        double share = 1 / (1 + exp(-(double)row[0])), h = (double)b[i];
        CHECK(fabs(h + share * ((double)row[UNITS] - h) - (double)a[i]) < 2e-5);
    }
    fill(a, UNITS * ROWS);
    memcpy(b, a, sizeof(a));
    fill(from_h, 3 * UNITS * ROWS);
    fill(from_x, 3 * UNITS * ROWS);
    for (int i = 0; i < 3 * UNITS * ROWS; i++) from_x[i] *= 6;
    k->gru(a, from_x, from_h, UNITS, ROWS);
    for (int i = 0; i < UNITS * ROWS; i++) {
        const float *of_x = from_x + i / UNITS * 3 * UNITS + i % UNITS, *of_h = from_h + (of_x - from_x);
        double keep = 1 / (1 + exp(-(double)of_x[0] - (double)of_h[0])), h = (double)b[i];
        double reset = 1 / (1 + exp(-(double)of_x[UNITS] - (double)of_h[UNITS]));
        double next = tanh((double)of_x[2 * UNITS] + reset * (double)of_h[2 * UNITS]);
        CHECK(fabs(keep * h + (1 - keep) * next - (double)a[i]) < 5e-6);
    }
    for (float size = 0.1f; size < 1e30f; size *= 1000) {
        fill(a, PLACES * COLUMNS);
        for (int i = 0; i < PLACES * COLUMNS; i++) a[i] *= size;
        memcpy(b, a, sizeof(a));
        k->softmax_columns(a, PLACES, COLUMNS);
        for (int column = 0; column < COLUMNS; column++) {
            double most = -INFINITY, sum = 0;
            for (int i = 0; i < PLACES; i++) most = fmax(most, (double)b[i * COLUMNS + column]);
            for (int i = 0; i < PLACES; i++) sum += exp((double)b[i * COLUMNS + column] - most);
            for (int i = column; i < PLACES * COLUMNS; i += COLUMNS) {
                CHECK(fabs(exp((double)b[i] - most) / sum - (double)a[i]) < 1e-6);
            }
        }
    }
}

static void test_magnitudes(const dn_kernels *k) {
    enum { COUNT = 480 };
    static dn_spectrum X;
    static float root[COUNT], inverse[COUNT], gain[COUNT];
    for (int i = 0; i < COUNT; i++) {
        float size = powf(10, -6 + 14 * (float)i / COUNT);
        X.re[i] = i % 5 ? size * random_float() : 0;
        X.im[i] = i % 7 ? size * random_float() : 0;
    }
    k->compress(root, inverse, &X, 1e-10f, COUNT);
    for (int i = 0; i < COUNT; i++) {
        double re = (double)X.re[i], im = (double)X.im[i], wanted = pow(re * re + im * im + 1e-10, 1.0 / 6);
        CHECK(fabs((double)root[i] / wanted - 1) < 1e-6 && fabs((double)inverse[i] * wanted - 1) < 1e-6);
    }
    fill(a, COUNT);
    for (int i = 0; i < COUNT; i++) {
        gain[i] = fabsf(a[i]);
        a[i] = i % 3 ? root[i] * fabsf(random_float()) : 0;
    }
    memcpy(b, gain, sizeof(gain));
    k->shape_gains(gain, root, a, 0.25f, COUNT);
    for (int i = 0; i < COUNT; i++) {
        double m = pow((double)root[i], 4), g = (double)b[i] * m / (m + pow((double)a[i], 4) + 1e-9);
        CHECK(fabs(0.25 + 0.75 * g * g * g - (double)gain[i]) < 2e-6);
    }
}

/* Maps of rows by panels, in floats of either size and in integers, and that no bit of a row depends on the others. */
static void test_panels(const dn_kernels *k) {
    enum { INPUTS = 68, COLUMNS = 176, ROWS = 11, SIZE = INPUTS * COLUMNS };
    static const int sizes[][2] = {{4, 16}, {68, 32}, {33, 48}, {20, 64}, {7, 128}, {68, 176}};
    static float w[SIZE], x[ROWS * INPUTS], bias[COLUMNS], scale[COLUMNS], made[ROWS * COLUMNS], one[COLUMNS];
    static uint16_t halves[SIZE];
    static int8_t q[SIZE], steps[ROWS * INPUTS];
    static int32_t sums[COLUMNS];
    static float size[ROWS];
    fill(x, ROWS * INPUTS);
    fill(bias, COLUMNS);
    fill(scale, COLUMNS);
    fill(size, ROWS);
    for (int i = 0; i < ROWS * INPUTS; i++) steps[i] = (int8_t)(random_bits() % 255 - 127);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        const int inputs = sizes[s][0], columns = sizes[s][1], fours = inputs / 4 * 4;
        memset(sums, 0, sizeof(sums));
        for (int i = 0; i < inputs * columns; i++) {
            /* among them some that are too small to be normal as 16 bits */
            halves[i] = (uint16_t)(random_bits() & (i % 3 ? 0xbbff : 0x83ff));
            w[i] = dn_half_to_float(halves[i]);
            q[i] = (int8_t)(random_bits() % 255 - 127);
        }
        for (int o = 0; o < columns; o++) {
            for (int j = 0; j < fours; j++) sums[o] += 128 * q[(o / 16 * fours + j / 4 * 4) * 16 + o % 16 * 4 + j % 4];
        }
        for (int rows = 1; rows <= ROWS; rows++) {
            dn_panels map = {x, INPUTS, w, bias, made, COLUMNS, inputs, columns, rows, 0};
            k->map_panels(&map);
            for (int r = 0; r < rows; r++) {
                for (int o = 0; o < columns; o++) {
                    double sum = (double)bias[o];
                    for (int j = 0; j < inputs; j++) {
                        sum += (double)x[r * INPUTS + j] * (double)w[(o / 16 * inputs + j) * 16 + o % 16];
                    }
                    CHECK(fabs(sum - (double)made[r * COLUMNS + o]) < 1e-5);
                }
                dn_panels alone = {x + r * INPUTS, INPUTS, halves, NULL, one, COLUMNS, inputs, columns, 1, 1};
                memcpy(one, bias, sizeof(one));
                k->map_panels_halves(&alone);
                CHECK(memcmp(one, made + r * COLUMNS, (size_t)columns * sizeof(*one)) == 0);
            }
            dn_steps whole = {steps, INPUTS, size, q, scale, bias, sums, made, COLUMNS, fours, columns, rows, 0};
            k->map_steps(&whole);
            for (int r = 0; r < rows; r++) {
                for (int o = 0; o < columns; o++) {
                    int sum = 0;
                    for (int j = 0; j < fours; j++) {
                        sum += steps[r * INPUTS + j] * q[(o / 16 * fours + j / 4 * 4) * 16 + o % 16 * 4 + j % 4];
                    }
                    const float exact = fmaf(scale[o] * size[r], (float)sum, bias[o]);
                    CHECK(fabsf(exact - made[r * COLUMNS + o]) <= 1e-6f * fabsf(exact));
                }
            }
        }
    }
}

/* Steps of rows, cells, norms and logarithms against the formulas. */
static void test_cells(const dn_kernels *k) {
    enum { UNITS = 24, N = 257 };
    static float gates[4 * UNITS], h[UNITS], cells[UNITS], old[UNITS], v[N + 7], made[N + 7], ones[N], zeros[N];
    static int8_t steps[N + 7];
    fill(gates, 4 * UNITS);
    fill(cells, UNITS);
    for (int i = 0; i < 4 * UNITS; i++) gates[i] *= 6;
    memcpy(old, cells, sizeof(old));
    k->lstm(h, cells, gates, UNITS, 1);
    for (int i = 0; i < UNITS; i++) {
        double g[4];
        for (int part = 0; part < 4; part++) {
            const double x = (double)gates[part * UNITS + i];
            g[part] = part == 2 ? tanh(x) : 1 / (1 + exp(-x));
        }
        const double cell = g[1] * (double)old[i] + g[0] * g[2];
        CHECK(fabs(cell - (double)cells[i]) < 1e-6 && fabs(g[3] * tanh(cell) - (double)h[i]) < 1e-6);
    }
    for (int n = 1; n <= N; n += 16) {
        fill(v, n);
        const float unit = k->step_rows(steps, v, n);
        float most = 0;
        for (int i = 0; i < n; i++) most = fmaxf(most, fabsf(v[i]));
        CHECK(fabsf(unit - most / 127) <= 1e-7f);
        for (int i = 0; i < n; i++) CHECK(fabsf((float)steps[i] * unit - v[i]) <= 0.5001f * unit);
        for (int i = n; i % 4; i++) CHECK(steps[i] == 0);
    }
    memset(v, 0, sizeof(v));
    CHECK(k->step_rows(steps, v, N) == 0 && steps[0] == 0 && steps[N - 1] == 0);
    fill(v, N);
    fill(zeros, N);
    fill(ones, N);
    double mean = 0, variance = 0;
    for (int i = 0; i < N; i++) mean += (double)v[i] / N;
    for (int i = 0; i < N; i++) variance += ((double)v[i] - mean) * ((double)v[i] - mean) / N;
    k->normalise(made, v, ones, zeros, 1e-3f, N);
    for (int i = 0; i < N; i++) {
        const double wanted =
            (double)ones[i] * ((double)v[i] - mean) / sqrt(variance + (double)1e-3f) + (double)zeros[i];
        CHECK(fabs(wanted - (double)made[i]) < 1e-5);
    }
    for (int i = 0; i < N; i++) made[i] = v[i] = ldexpf(1.5f + 0.5f * v[i], i / 2 - 24);
    k->logarithms(made, 1e-7f, N);
    for (int i = 0; i < N; i++) {
        const double wanted = log((double)(v[i] + 1e-7f));
        CHECK(fabs(wanted - (double)made[i]) < 3e-7 + 1e-7 * fabs(wanted));
    }
}

/* Kernels of networks along places. */

static void test_filter_places(const dn_kernels *k) {
    enum { ROWS = 13, CHANNELS = 16, TIMES = 3, TAPS = 5, LONG = (2 * ROWS + TAPS) * CHANNELS };
    static float x[TIMES][LONG], w[TIMES * TAPS * CHANNELS], out[ROWS * 2 * CHANNELS];
    const float *const frames[TIMES] = {x[0], x[1], x[2]};
    fill(x[0], TIMES * LONG);
    fill(w, TIMES * TAPS * CHANNELS);
    fill(a, CHANNELS);
    for (int step = 1; step <= 2; step++) { /* every place, every second one */
        for (int taps = 1; taps <= TAPS; taps += 2) {
            const dn_places f = {frames, step * CHANNELS, CHANNELS, w,    a,    TAPS * CHANNELS, CHANNELS,
                                 out,    2 * CHANNELS,    TIMES,    taps, ROWS, CHANNELS};
            for (int i = 0; i < ROWS * 2 * CHANNELS; i++) out[i] = -77;
            k->filter_places(&f);
            for (int i = 0; i < ROWS * CHANNELS; i++) {
                int row = i / CHANNELS, ch = i % CHANNELS;
                double sum = a[ch];
                for (int t = 0; t < TIMES; t++) {
                    for (int tap = 0; tap < taps; tap++) {
                        sum += (double)w[(t * TAPS + tap) * CHANNELS + ch] *
                               (double)frames[t][(row * step + tap) * CHANNELS + ch];
                    }
                }
                CHECK(fabs(sum - (double)out[row * 2 * CHANNELS + ch]) < 1e-5);
                CHECK(out[(row * 2 + 1) * CHANNELS + ch] == -77);
            }
        }
    }
}

static void test_bend_places(const dn_kernels *k) {
    enum { ROWS = 7, CHANNELS = 24, COUNT = ROWS * CHANNELS };
    static float x[COUNT], scale[COUNT], offset[COUNT], slope[CHANNELS];
    for (int plain = 0; plain < 2; plain++) {
        fill(x, COUNT);
        fill(scale, COUNT);
        fill(offset, COUNT);
        fill(slope, CHANNELS);
        x[3] = 3e38f;
        scale[3] = slope[3] = 1;
        memcpy(b, x, sizeof(x));
        k->bend_places(x, plain ? NULL : scale, plain ? NULL : offset, slope, ROWS, CHANNELS);
        CHECK(x[3] == DN_ROWS_MOST);
        for (int i = 4; i < COUNT; i++) {
            double in = b[i], wanted = (plain ? in : (double)scale[i] * in + (double)offset[i]);
            wanted += (double)slope[i % CHANNELS] * fmin(in, 0);
            CHECK(fabs(wanted - (double)x[i]) < 1e-6);
        }
    }
}

static double sigmoid_of(double x) {
    return 1 / (1 + exp(-x));
}

/* w is as gru_places has it, but for the halves of z and r. */
static void step_gru(double h[4], const float *x, const float *w, const float *bias) {
    double next[4];
    for (int i = 0; i < 4; i++) {
        double sum[3] = {x[i], x[8 + i], bias[i]};
        for (int gate = 0; gate < 3; gate++) {
            for (int j = 0; j < 4; j++) sum[gate] += h[j] * (double)w[(gate * 4 + j) * 8 + i];
        }
        double z = sigmoid_of(2 * sum[0]), r = sigmoid_of(2 * sum[1]), n = tanh((double)x[16 + i] + r * sum[2]);
        next[i] = (1 - z) * n + z * h[i];
    }
    memcpy(h, next, sizeof(next));
}

static void test_gru_places(const dn_kernels *k) {
    enum { PLACES = 9, CHAINS = 2 };
    static float x[PLACES * CHAINS * 24], w[CHAINS * 96], bias[CHAINS * 8], out[PLACES * CHAINS * 8];
    for (float size = 0.5f; size < 300; size *= 8) { /* where gates are nearly linear, and where they are shut */
        fill(x, PLACES * CHAINS * 24);
        fill(w, CHAINS * 96);
        fill(bias, CHAINS * 8);
        for (int i = 0; i < PLACES * CHAINS * 24; i++) x[i] *= size;
        k->gru_places(out, x, w, bias, CHAINS, PLACES);
        for (int chain = 0; chain < CHAINS; chain++) {
            for (int down = 0; down < 2; down++) {
                double h[4] = {0};
                for (int i = 0; i < PLACES; i++) {
                    int place = (down ? PLACES - 1 - i : i) * CHAINS + chain;
                    step_gru(h, x + place * 24 + 4 * down, w + chain * 96 + 4 * down, bias + chain * 8 + 4 * down);
                    for (int j = 0; j < 4; j++) CHECK(fabs(h[j] - (double)out[place * 8 + 4 * down + j]) < 5e-6);
                }
            }
        }
    }
}

static void test_gru_lines(const dn_kernels *k) {
    enum { PLACES = 9, INPUTS = 12, UNITS = 16, GATES = 3 * UNITS };
    static float x[PLACES * 2 * GATES], w[2 * INPUTS * GATES], bias[2 * UNITS], out[PLACES * 2 * UNITS];
    for (float size = 0.5f; size < 300; size *= 8) {
        fill(x, PLACES * 2 * GATES);
        fill(w, 2 * INPUTS * GATES);
        fill(bias, 2 * UNITS);
        for (int i = 0; i < PLACES * 2 * GATES; i++) x[i] *= size;
        k->gru_lines(out, x, w, bias, INPUTS, UNITS, PLACES);
        for (int down = 0; down < 2; down++) {
            double h[UNITS] = {0}, next[UNITS];
            for (int i = 0; i < PLACES; i++) {
                int at = 2 * (down ? PLACES - 1 - i : i) + down;
                for (int unit = 0; unit < UNITS; unit++) {
                    const float *of_x = x + at * GATES + unit;
                    double sum[3] = {of_x[0], of_x[UNITS], bias[down * UNITS + unit]};
                    for (int j = 0; j < INPUTS; j++) {
                        const float *of_h = w + (down * INPUTS + j) * GATES + unit;
                        for (int gate = 0; gate < 3; gate++) sum[gate] += h[j] * (double)of_h[gate * UNITS];
                    }
                    double z = sigmoid_of(sum[0]), n = tanh((double)of_x[2 * UNITS] + sigmoid_of(sum[1]) * sum[2]);
                    next[unit] = (1 - z) * n + z * h[unit];
                }
                memcpy(h, next, sizeof(h));
                for (int unit = 0; unit < UNITS; unit++) CHECK(fabs(h[unit] - (double)out[at * UNITS + unit]) < 5e-6);
            }
        }
    }
}

static void test_powers_and_gains(const dn_kernels *k) {
    enum { ROWS = 19, CHANNELS = 24, COUNT = ROWS * CHANNELS };
    static float x[COUNT], out[COUNT], of_channels[CHANNELS], of_rows[ROWS];
    fill(x, COUNT);
    k->power_places(of_channels, of_rows, x, ROWS, CHANNELS);
    for (int ch = 0; ch < CHANNELS; ch++) {
        double sum = 0;
        for (int row = 0; row < ROWS; row++) sum += (double)x[row * CHANNELS + ch] * (double)x[row * CHANNELS + ch];
        CHECK(fabs(sum / ROWS - (double)of_channels[ch]) < 1e-6);
    }
    for (int row = 0; row < ROWS; row++) {
        double sum = 0;
        for (int ch = 0; ch < CHANNELS; ch++) sum += (double)x[row * CHANNELS + ch] * (double)x[row * CHANNELS + ch];
        CHECK(fabs(sum - (double)of_rows[row]) < 1e-5);
    }
    fill(b, COUNT);
    for (int with = 0; with < 4; with++) {
        k->gain_places(out, x, of_channels, with & 1 ? of_rows : NULL, with & 2 ? b : NULL, ROWS, CHANNELS);
        for (int i = 0; i < COUNT; i++) {
            double wanted = (double)x[i] * (double)of_channels[i % CHANNELS];
            if (with & 1) wanted *= (double)of_rows[i / CHANNELS];
            if (with & 2) wanted += (double)b[i];
            CHECK(fabs(wanted - (double)out[i]) < 3e-6);
        }
    }
}

static void test_norms_and_decades(const dn_kernels *k) {
    enum { COUNT = 528 };
    static float x[COUNT], scale[COUNT], offset[COUNT];
    fill(x, COUNT);
    fill(scale, COUNT);
    fill(offset, COUNT);
    fill(a, COUNT);
    for (int i = 0; i < COUNT; i++) a[i] = 3 + 0.1f * a[i];
    memcpy(b, x, sizeof(x));
    k->add_normal(x, a, scale, offset, 1e-4f, COUNT);
    double mean = 0, variance = 0;
    for (int i = 0; i < COUNT; i++) mean += (double)a[i] / COUNT;
    for (int i = 0; i < COUNT; i++) variance += ((double)a[i] - mean) * ((double)a[i] - mean) / COUNT;
    for (int i = 0; i < COUNT; i++) {
        double normal = ((double)a[i] - mean) / sqrt(variance + (double)1e-4f);
        CHECK(fabs((double)b[i] + normal * (double)scale[i] + (double)offset[i] - (double)x[i]) < 2e-5);
    }
    for (int i = 0; i < COUNT; i++) a[i] = powf(10, -30 + 48 * (float)i / COUNT) * (1 + fabsf(random_float()));
    a[0] = 0;
    memcpy(b, a, sizeof(a));
    k->decades(a, 1e-24f, COUNT);
    for (int i = 0; i < COUNT; i++) CHECK(fabs(log10(fmax((double)b[i], 1e-24)) - (double)a[i]) < 3e-6);
}

static void test_fourier_512(const dn_kernels *k) {
    enum { N = 512, HALF = 256 };
    const double tau = 6.283185307179586;
    static dn_fft512 fft;
    static dn_spectrum X;
    static float x[N], window[N], back[N];
    dn_fft512_init(&fft);
    fill(x, N);
    for (int i = 0; i < N; i++) window[i] = 0.5f + 0.4f * random_float();
    k->fft512(&fft, window, x, &X);
    for (int bin = 0; bin <= HALF; bin++) {
        double re = 0, im = 0;
        for (int i = 0; i < N; i++) {
            double in = (double)window[i] * (double)x[i];
            re += in * cos(tau * (bin * i % N) / N);
            im -= in * sin(tau * (bin * i % N) / N);
        }
        CHECK(fabs(re - (double)X.re[bin]) < 2e-5 && fabs(im - (double)X.im[bin]) < 2e-5);
    }
    for (int i = HALF + 1; i < HALF + 8; i++) CHECK(X.re[i] == 0 && X.im[i] == 0);
    for (int i = 0; i < N; i++) window[i] = 1 / window[i] / N;
    k->ifft512(&fft, window, &X, back);
    for (int i = 0; i < N; i++) {
        double undone = (double)window[i] * N;
        CHECK(fabs((double)x[i] - (double)back[i]) < 1e-5 * fmax(undone, 1));
    }
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
        test_rows(k);
        test_shorts(k);
        test_rows_one_by_one(k);
        test_panels(k);
        test_cells(k);
        test_filter_places(k);
        test_bend_places(k);
        test_gru_places(k);
        test_gru_lines(k);
        test_powers_and_gains(k);
        test_norms_and_decades(k);
        test_fourier_512(k);
        test_magnitudes(k);
    }
    dn_delete(tables);
    dn_delete(v02);
    return done("test_kernels");
}
