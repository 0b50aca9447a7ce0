/* Parts that bodies of the enhancer share. */
#ifndef DN_ENHANCER_PARTS_H
#define DN_ENHANCER_PARTS_H

#include "enhancer.h"

/* y[rows][y_row] = d of x[rows][x_row], or y += that where add. */
void dn_dense_run(const dn_dense *d, const dn_kernels *k, const float *x, int x_row, float *y, int y_row, int rows,
                  int add);

/* x += y, n values. */
void dn_add(float *x, const float *y, int n);

void dn_bend_run(const dn_bend *b, const dn_kernels *k, float *x, int rows, int channels);

/* A convolution of each channel by itself: weights [times][taps][channels]. */
typedef struct {
    const float *w, *bias;
    int times, taps, channels;
} dn_filter;

/* y[rows][channels] = filter of x[times][(rows - 1) * step + taps][channels]; step: of rows of x for each of y's. */
void dn_filter_run(const dn_filter *f, const dn_kernels *k, const float *const *x, int step, float *y, int rows);

/* Lays out a frame of so many features a band with stride / 2 bands of zeros at either end: [DN_ENHANCER_BANDS +
 * stride][count]. */
void dn_pad_features(const float *features, int count, int stride, float *frame);

/* Floats that dn_pad_features fills. */
static inline int dn_padded_features(int count, int stride) {
    return (DN_ENHANCER_BANDS + stride) * count;
}

enum { DN_FIRST_TIMES = 3 }; /* frames that a first convolution over time sees */

/* y[DN_ENHANCER_BANDS / stride][y_row] = first, a map of DN_FIRST_TIMES frames, of what each row's bands and those
 * around them are in past and in features; past, of all but one frame, is moved on. work: a frame, padded. */
void dn_first_run(const dn_dense *first, const dn_kernels *k, float *past, const float *features, int count, int stride,
                  float *work, float *y);

/* x[rows][units] += after(gru(x)); h[rows][units] is moved on. work: two times [rows][3 * units] */
void dn_row_gru_run(const dn_row_gru *g, const dn_kernels *k, float *x, float *h, int units, int rows, float *work);

/* Gains, in whole vectors, for power[channels]; memory[padded] */
void dn_time_attention_run(const dn_time_attention *a, const dn_kernels *k, float *memory, const float *power,
                           float *gain);

/* Attention of rows to each other. Of each row and head there are depth numbers of a query, as many of a key, which lie
 * joined_row floats from those of the next row, and values channels. */
typedef struct {
    int rows, heads, depth, channels; /* channels of a head; rows is a multiple of 8 */
    const float *queries, *keys;
    int joined_row;
    const float *values; /* after the last value a vector more is read, and not used */
    int values_row;
    float *y; /* [rows][y_row], y_row being the channels of all heads and 8 more */
    int y_row;
    float *work; /* [rows][depth + rows] */
} dn_attention;

void dn_attention_run(const dn_attention *a, const dn_kernels *k);

/* hidden[DN_ENHANCER_BANDS][width] of answers[rows][2 * stride][width], each of which reaches half of a stride into its
 * neighbours' bands, and bias[width]. */
void dn_spread_answers(const float *answers, const float *bias, int stride, int width, float *hidden);

#endif
