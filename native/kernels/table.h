/* The inner loops, one table of functions an instruction set. A table is chosen once, when a model is loaded, and all
 * stages call through it. Each table gives the same result from run to run; tables differ from each other by rounding.
 * Pointers need no alignment; inputs and outputs do not overlap unless it says so. */
#ifndef DN_KERNELS_H
#define DN_KERNELS_H

#include "fft.h"

/* Rounds a length up to whole vectors. */
static inline int dn_round_up_8(int n) {
    return (n + 7) / 8 * 8;
}

/* Channels that go through a network together, and units of gru_lines, at most. */
enum { DN_BATCH = 8, DN_LINE_UNITS = 64 };

/* A map of rows: y[r][c] = bias[r][c] + sum over j < inputs of x[r][j] * w[j][c], added one after the other, and to
 * what was in y where add; kept within +-DN_ROWS_MOST, so that no network drives its numbers out of range. The numbers
 * that end in row are those of floats from one row, or input of w, to the next. */
#define DN_ROWS_MOST 1e6f
typedef struct {
    const float *x;
    int x_row, x_step; /* x_step: from one input to the next */
    const float *w;
    int w_row;
    const float *bias;
    int bias_row; /* 0: all rows have the same; bias NULL: none */
    float *y;
    int y_row;
    int inputs, columns, rows; /* columns is a multiple of 8 */
    int add;
} dn_rows;

/* The same in integers of 16 bits, whose sums are exact: size * unit[c] * the sum of x[r][j] * w[j][c], two j in each
 * int32_t, x[rows][x_row] as step_shorts gives them, w[inputs][w_row]; the sum of |w| of a column is at most
 * DN_COLUMN_MOST. inputs, x_step and the numbers that end in row are those of int32_t, but for y and the bias. */
#define DN_SHORT_MOST 16383.0f
#define DN_COLUMN_MOST 131000.0f /* times DN_SHORT_MOST fits 32 bits */
typedef struct {
    const int32_t *x;
    int x_row, x_step; /* 1 */
    const int32_t *w;
    int w_row;
    const float *unit;
    float size;
    const float *bias;
    int bias_row;
    float *y;
    int y_row;
    int inputs, columns, rows;
    int add;
} dn_shorts;

/* A map of rows by a matrix in panels of 16 columns, w[columns / 16][inputs][16]: y[r][c] = bias[c], or what was in y
 * where add, plus the sum over j < inputs of x[r][j] * w[j][c], added one after the other. columns is a multiple of 16;
 * bias NULL: zeros. No bit of a row depends on the others. */
typedef struct {
    const float *x;
    int x_row;
    const void *w;
    const float *bias;
    float *y;
    int y_row;
    int inputs, columns, rows;
    int add;
} dn_panels;

/* The same in integers, whose sums are exact: y[r][c] = bias[c] or y plus scale[c] * size[r] * the sum of x[r][j] *
 * w[j][c]; w[columns / 16][inputs / 4][16][4], none of it -128; x, what step_rows gives; inputs is a multiple of 4. */
typedef struct {
    const int8_t *x;
    int x_row;
    const float *size;
    const int8_t *w;
    const float *scale, *bias;
    const int32_t *sums; /* [columns], 128 times the sum of a column's weights, which some sets need */
    float *y;
    int y_row;
    int inputs, columns, rows;
    int add;
} dn_steps;

/* A convolution of each channel by itself over times and places: y[row][c] = bias[c] + sum over t < times, tap < taps
 * of w[t][tap][c] * x[t][row * x_row + tap * x_tap + c]; c < channels, a multiple of 8. The numbers that end in row,
 * tap or time are those of floats from one to the next. */
typedef struct {
    const float *const *x; /* [times] */
    int x_row, x_tap;
    const float *w, *bias;
    int w_time, w_tap;
    float *y;
    int y_row;
    int times, taps, rows, channels;
} dn_places;

typedef struct dn_kernels {
    const char *name;

    /* y[columns] += sum over j of x[j] * w[j][columns]. columns is a multiple of 8; w is packed in groups of 8 columns,
     * w[columns / 8][inputs][8]. */
    void (*matvec_add)(float *y, const float *w, const float *x, int inputs, int columns);

    /* matvec_add of count inputs, x[i] to y[i], at most DN_BATCH. Here and below each y[i] has the bits that it would
     * have alone; a weight is read once for several of them. */
    void (*matvec_add_batch)(float *const *y, const float *w, const float *const *x, int inputs, int columns,
                             int count);

    /* matvec_add_batch with integers for weights, which are floats only while they are multiplied. */
    void (*matvec_add_bytes_batch)(float *const *y, const int8_t *w, const float *const *x, int inputs, int columns,
                                   int count);

    /* matvec_add_batch with only some of the weights, blocks of 4 inputs by a group of 8 outputs: w[blocks][4][8].
     * index: for each of the groups the number of its blocks, then the first input of each. */
    void (*blocks_add_batch)(float *const *y, const float *w, const uint16_t *index, const float *const *x, int groups,
                             int count);

    /* blocks_add_batch in integers: y += scale * sum of q * steps, the sum being exact; q[blocks][8 outputs][4 inputs],
     * scale[8 * groups]; steps, what quantise gives, are from -127 to 127. */
    void (*blocks_add_int8_batch)(float *const *y, const int8_t *q, const float *scale, const uint16_t *index,
                                  const int8_t *const *steps, int groups, int count);

    /* matvec_add_batch in integers, none of them -128: q[columns / 8][inputs / 4][8 outputs][4 inputs], scale[columns];
     * inputs is a multiple of 4, columns of 8. */
    void (*matvec_add_int8_batch)(float *const *y, const int8_t *q, const float *scale, const int8_t *const *steps,
                                  int inputs, int columns, int count);

    /* steps[i] = floor(127 x[i] + 0.5), i < n, x being cut off at -1 and 1. */
    void (*quantise)(int8_t *steps, const float *x, int n);

    /* v[n] in place, n a multiple of 8; errors below 1e-6. */
    void (*tanh)(float *v, int n);
    void (*sigmoid)(float *v, int n);

    /* sum of x[i] * y[i], i < n */
    float (*dot)(const float *x, const float *y, int n);

    /* out[0] = dot(x, y, n), out[1] = dot(y, y, n), in one go. */
    void (*match)(const float *x, const float *y, int n, float out[2]);

    /* out[lag] = sum over i < n of x[i] * y[i + lag], lag < lags, a multiple of 8. */
    void (*correlate)(float *out, const float *x, const float *y, int n, int lags);

    /* y[i] = x[i] + sum over k < 5 of taps[k] * x[i - 1 - k], i < n, a multiple of 8; x[-5] to x[-1] are read. */
    void (*fir5)(float *y, const float *x, const float taps[5], int n);

    /* y[i] = (x[2i - 1] + x[2i + 1]) / 4 + x[2i] / 2, i < n, a multiple of 8; x[-1] is read. */
    void (*halve)(float *y, const float *x, int n);

    /* y = scale * x through H(z) = (1 - 2 z^-1 + z^-2) / (1 - 1.99599 z^-1 + 0.99600 z^-2), -3 dB at 22 Hz.
     * memory, two numbers that start at zero, goes on from call to call. y may be x. */
    void (*highpass)(float *y, const float *x, double memory[2], float scale, int n);

    /* X = DFT of window[i] * x[i], i < 960; and back, x[i] = window[i] * sum over the 960 bins. */
    void (*fft)(const dn_fft *fft, const float *window, const float *x, dn_spectrum *X);
    void (*ifft)(const dn_fft *fft, const float *window, const dn_spectrum *X, float *x);

    /* p[i] = Re(X[i] conj(Y[i])), i < n, a multiple of 8. X may be Y. */
    void (*cross_power)(float *p, const dn_spectrum *X, const dn_spectrum *Y, int n);

    /* Triangles: bin i between edges[b] and edges[b + 1] gives (1 - rise[i]) p[i] to sums[b] and rise[i] p[i] to
     * sums[b + 1]. sums[intervals + 1] is overwritten. */
    void (*band_sums)(float *sums, const float *p, const float *rise, const int16_t *edges, int intervals);

    /* Triangles the other way: g[i] = (1 - rise[i]) bands[b] + rise[i] bands[b + 1]. */
    void (*band_spread)(float *g, const float *bands, const float *rise, const int16_t *edges, int intervals);

    /* X[i] *= g[i], and X[i] += g[i] P[i]; i < n, a multiple of 8. */
    void (*scale)(dn_spectrum *X, const float *g, int n);
    void (*add_scaled)(dn_spectrum *X, const float *g, const dn_spectrum *P, int n);

    void (*map_rows)(const dn_rows *map);

    /* NULL where integers are not quicker. step_shorts: steps[row][i] = x[row][i], in units of the greatest |x| of all
     * rows / DN_SHORT_MOST, rounded; x_row and inputs are even, and rows may overlap. Returns that unit; 0, and steps
     * of 0, where none of x is beyond 1e-30. */
    void (*map_shorts)(const dn_shorts *map);
    float (*step_shorts)(int32_t *steps, const float *x, int x_row, int inputs, int rows);

    /* v[i] *= min(max(v[i] + 3, 0), 6) / 6, i < n, a multiple of 8. */
    void (*hard_swish)(float *v, int n);

    /* h[row][i] += sigmoid(gates[row][i]) * (gates[row][units + i] - h[row][i]); units is a multiple of 8. */
    void (*blend)(float *h, const float *gates, int units, int rows);

    /* Makes one step of a GRU for each row; the reset gate acts after U. from_x, from_h [rows][3 * units]: of x and h,
     * biases in them, z, r, n; h[rows][units] is updated in place; units is a multiple of 8. */
    void (*gru)(float *h, const float *from_x, const float *from_h, int units, int rows);

    /* Makes the values of each column, v[places][columns], exp(v) over the sum of those; columns is a multiple of 8;
     * errors below 1e-6 of the largest. */
    void (*softmax_columns)(float *v, int places, int columns);

    /* With p = |X[i]|^2 + floor, from 1e-12 to 1e18: root[i] = p^(1/6), inverse[i] = p^(-1/6), relative errors below
     * 1e-6; i < n, a multiple of 8. */
    void (*compress)(float *root, float *inverse, const dn_spectrum *X, float floor, int n);

    /* gain[i] = min_gain + (1 - min_gain) g^3, g = gain[i] m^4 / (m^4 + level[i]^4 + 1e-9), m = magnitude[i]; i < n, a
     * multiple of 8. */
    void (*shape_gains)(float *gain, const float *magnitude, const float *level, float min_gain, int n);

    void (*map_panels)(const dn_panels *map);        /* w are floats */
    void (*map_panels_halves)(const dn_panels *map); /* w are floats of 16 bits */
    void (*map_steps)(const dn_steps *map);

    /* steps[i] = x[i] in units of the greatest |x[i]| / 127, rounded, i < n, and zeros up to a multiple of 4. Returns
     * that unit; 0, and steps of 0, where none of x is beyond 1e-30. */
    float (*step_rows)(int8_t *steps, const float *x, int n);

    /* Makes one step of an LSTM for each row: gates[rows][4 * units], biases in them: input, forget, candidate, output;
     * h, c [rows][units], c is updated in place, h written; units is a multiple of 8. */
    void (*lstm)(float *h, float *c, const float *gates, int units, int rows);

    /* y[i] = weight[i] * (x[i] - mean) / sqrt(variance + least) + bias[i], i < n; mean and variance of the n. y may be
     * x.
     */
    void (*normalise)(float *y, const float *x, const float *weight, const float *bias, float least, int n);

    /* v[i] = ln(v[i] + least), i < n, of sums that are normal numbers; errors below 3e-7, or 1e-7 of it. */
    void (*logarithms)(float *v, float least, int n);
    void (*filter_places)(const dn_places *filter);

    /* x = scale * x + offset + slope[c] * min(x, 0), kept within +-DN_ROWS_MOST; x, scale, offset [rows][channels], the
     * last two NULL for 1 and 0; channels is a multiple of 8. */
    void (*bend_places)(float *x, const float *scale, const float *offset, const float *slope, int rows, int channels);

    /* Runs pairs of GRUs of four units along places, one up and one down, from zeros; the reset gate acts after U.
     * y[places][chains][up, down][4]. from_x[places][chains][z, r, n][up, down][4], of the inputs, biases in them,
     * w[chains][z, r, n][4 units][up, down][4]: those of z and r halved; bias[chains][up, down][4]: of n within the
     * reset gate. */
    void (*gru_places)(float *y, const float *from_x, const float *w, const float *bias, int chains, int places);

    /* Runs two GRUs of inputs units along places, one up and one down, from zeros; the reset gate acts after U. units,
     * a multiple of 8, is inputs or more. y[places][up, down][units]; from_x[places][up, down][z, r, n][units], of the
     * inputs, biases in them; w[up, down][inputs][z, r, n][units]; bias[up, down][units]: of n within the reset gate.
     */
    void (*gru_lines)(float *y, const float *from_x, const float *w, const float *bias, int inputs, int units,
                      int places);

    /* Means of the squares of x[rows][channels] over all rows, of_channels[channels], and their sums over channels,
     * of_rows[rows]; channels is a multiple of 8. */
    void (*power_places)(float *of_channels, float *of_rows, const float *x, int rows, int channels);

    /* y = x * of_channels * of_rows + add, [rows][channels]; of_rows, add NULL: none. channels is a multiple of 8; y
     * may be x or add. */
    void (*gain_places)(float *y, const float *x, const float *of_channels, const float *of_rows, const float *add,
                        int rows, int channels);

    /* x[i] += scale[i] * (y[i] - mean) / sqrt(variance + least) + offset[i], i < n, a multiple of 8; mean and variance
     * of the n; kept within +-DN_ROWS_MOST. */
    void (*add_normal)(float *x, const float *y, const float *scale, const float *offset, float least, int n);

    /* v[i] = log10(max(v[i], least)), i < n, a multiple of 8; least is a normal number. Errors below 3e-6. */
    void (*decades)(float *v, float least, int n);

    /* X = DFT of window[i] * x[i], i < 512: 257 bins, and zeros up to 264; and back, x[i] = window[i] * sum over the
     * 512. */
    void (*fft512)(const dn_fft512 *fft, const float *window, const float *x, dn_spectrum *X);
    void (*ifft512)(const dn_fft512 *fft, const float *window, const dn_spectrum *X, float *x);
} dn_kernels;

/* Returns the table called name, or the fastest one for NULL. NULL: there is none of that name that this processor can
 * run. */
const dn_kernels *dn_kernels_find(const char *name);

#endif
