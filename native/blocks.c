/* Spectra of blocks that overlap, and the blocks of changed spectra added up again, as a DTLN has them around its
 * networks. A block of n reals is transformed as n / 2 complex numbers, in passes of radix 4 that leave the bins in
 * their order (Stockham's arrangement), on separate arrays of real and imaginary parts, which compilers turn into
 * vectors. */
#include <math.h>
#include <string.h>

#include "blocks.h"

#include "fpmode.h"
#include "memory.h"

enum { LEAST_BLOCK = 16, MOST_HALF = DN_MOST_BLOCK / 2 };

struct dn_blocks {
    int32_t block, hop, half; /* half = block / 2, the length of the complex transform */
    /* Turns of each pass in which n points are left, one pass after another: exp(-2 pi i k p / n), k = 1, 2, 3, each
     * for p = 0..n/4-1. */
    float pass_re[MOST_HALF], pass_im[MOST_HALF];
    float turn_re[MOST_HALF / 2 + 1], turn_im[MOST_HALF / 2 + 1]; /* exp(-2 pi i k / block), k = 0..half/2 */
};

typedef struct {
    float *re, *im; /* [half] */
} points;

dn_status dn_blocks_create(int32_t block, int32_t hop, dn_blocks **out) {
    const double tau = 6.283185307179586;
    *out = NULL;
    if (block < LEAST_BLOCK || block > DN_MOST_BLOCK || (block & (block - 1)) != 0) return DN_BAD_RANGE;
    if (hop < 1 || hop > block || block % hop != 0) return DN_BAD_RANGE;
    dn_blocks *blocks = dn_new(sizeof(*blocks));
    if (!blocks) return DN_NO_MEMORY;
    blocks->block = block;
    blocks->hop = hop;
    blocks->half = block / 2;
    int32_t at = 0;
    for (int32_t n = blocks->half; n >= 4; n /= 4) {
        for (int32_t k = 1; k <= 3; k++) {
            for (int32_t p = 0; p < n / 4; p++, at++) {
                blocks->pass_re[at] = (float)cos(tau * k * p / n);
                blocks->pass_im[at] = (float)-sin(tau * k * p / n);
            }
        }
    }
    for (int32_t k = 0; k <= blocks->half / 2; k++) {
        blocks->turn_re[k] = (float)cos(tau * k / block);
        blocks->turn_im[k] = (float)-sin(tau * k / block);
    }
    *out = blocks;
    return DN_OK;
}

void dn_blocks_destroy(dn_blocks *blocks) {
    dn_delete(blocks);
}

/* Makes one pass of radix 4 from x to y: n points are left in each of s transforms, which lie side by side. */
static inline void pass_of_4(const points *x, points *y, const float *w_re, const float *w_im, int32_t n, int32_t s) {
    const int32_t quarter = n / 4, far = s * quarter;
    for (int32_t p = 0; p < quarter; p++) {
        const float w1_re = w_re[p], w1_im = w_im[p], w2_re = w_re[quarter + p], w2_im = w_im[quarter + p];
        const float w3_re = w_re[2 * quarter + p], w3_im = w_im[2 * quarter + p];
        const float *x_re = x->re + s * p, *x_im = x->im + s * p;
        float *y_re = y->re + 4 * s * p, *y_im = y->im + 4 * s * p;
        for (int32_t q = 0; q < s; q++) {
            float a_re = x_re[q] + x_re[q + 2 * far], a_im = x_im[q] + x_im[q + 2 * far];
            float b_re = x_re[q] - x_re[q + 2 * far], b_im = x_im[q] - x_im[q + 2 * far];
            float c_re = x_re[q + far] + x_re[q + 3 * far], c_im = x_im[q + far] + x_im[q + 3 * far];
            float d_re = x_im[q + far] - x_im[q + 3 * far], d_im = x_re[q + 3 * far] - x_re[q + far]; /* times -i */
            y_re[q] = a_re + c_re;
            y_im[q] = a_im + c_im;
            float e_re = b_re + d_re, e_im = b_im + d_im, f_re = a_re - c_re, f_im = a_im - c_im;
            float g_re = b_re - d_re, g_im = b_im - d_im;
            y_re[q + s] = e_re * w1_re - e_im * w1_im;
            y_im[q + s] = e_re * w1_im + e_im * w1_re;
            y_re[q + 2 * s] = f_re * w2_re - f_im * w2_im;
            y_im[q + 2 * s] = f_re * w2_im + f_im * w2_re;
            y_re[q + 3 * s] = g_re * w3_re - g_im * w3_im;
            y_im[q + 3 * s] = g_re * w3_im + g_im * w3_re;
        }
    }
}

/* Transforms the half points in x, which is overwritten, as is y. Returns the one of them with the bins. */
static const points *transform(const dn_blocks *blocks, points *x, points *y) {
    const float *w_re = blocks->pass_re, *w_im = blocks->pass_im;
    int32_t n = blocks->half, s = 1;
    for (; n >= 4; n /= 4, s *= 4) {
        if (s == 1) {
            pass_of_4(x, y, w_re, w_im, n, 1);
        } else if (s == 4) { /* a length that the compiler knows */
            pass_of_4(x, y, w_re, w_im, n, 4);
        } else {
            pass_of_4(x, y, w_re, w_im, n, s);
        }
        w_re += 3 * (n / 4);
        w_im += 3 * (n / 4);
        points *swap = x;
        x = y;
        y = swap;
    }
    if (n == 2) {
        for (int32_t q = 0; q < s; q++) {
            y->re[q] = x->re[q] + x->re[q + s];
            y->im[q] = x->im[q] + x->im[q + s];
            y->re[q + s] = x->re[q] - x->re[q + s];
            y->im[q + s] = x->im[q] - x->im[q + s];
        }
        return y;
    }
    return x;
}

void dn_block_analyse(const dn_blocks *blocks, const float *in, float *spectrum, float *magnitude, float *room) {
    const int32_t half = blocks->half;
    points a = {room, room + half}, b = {room + 2 * half, room + 3 * half};
    for (int32_t k = 0; k < half; k++) {
        a.re[k] = in[2 * k];
        a.im[k] = in[2 * k + 1];
    }
    const points *z = transform(blocks, &a, &b);
    spectrum[0] = z->re[0] + z->im[0];
    spectrum[2 * half] = z->re[0] - z->im[0];
    spectrum[1] = spectrum[2 * half + 1] = 0;
    for (int32_t k = 1; k <= half / 2; k++) {
        /* The even samples' bin k and the odd ones', turned: their sum is bin k, and their difference bin half - k. */
        int32_t mirror = half - k;
        float even_re = 0.5f * (z->re[k] + z->re[mirror]), even_im = 0.5f * (z->im[k] - z->im[mirror]);
        float odd_re = 0.5f * (z->im[k] + z->im[mirror]), odd_im = 0.5f * (z->re[mirror] - z->re[k]);
        float w_re = blocks->turn_re[k], w_im = blocks->turn_im[k];
        float turned_re = odd_re * w_re - odd_im * w_im, turned_im = odd_re * w_im + odd_im * w_re;
        spectrum[2 * k] = even_re + turned_re;
        spectrum[2 * k + 1] = even_im + turned_im;
        spectrum[2 * mirror] = even_re - turned_re;
        spectrum[2 * mirror + 1] = turned_im - even_im;
    }
    for (int32_t k = 0; k <= half; k++) {
        magnitude[k] = sqrtf(spectrum[2 * k] * spectrum[2 * k] + spectrum[2 * k + 1] * spectrum[2 * k + 1]);
    }
}

void dn_block_synthesise(const dn_blocks *blocks, const float *spectrum, const float *gains, float *out, float *room) {
    const int32_t half = blocks->half;
    const float scale = 1.0f / (float)blocks->block;
    points a = {room, room + half}, b = {room + 2 * half, room + 3 * half};
    /* Real and imaginary parts change places before and after, which makes the transform the inverse one. */
    float first = spectrum[0] * gains[0], last = spectrum[2 * half] * gains[half];
    a.im[0] = scale * (first + last);
    a.re[0] = scale * (first - last);
    for (int32_t k = 1; k <= half / 2; k++) {
        int32_t mirror = half - k;
        float low_re = spectrum[2 * k] * gains[k], low_im = spectrum[2 * k + 1] * gains[k];
        float high_re = spectrum[2 * mirror] * gains[mirror], high_im = spectrum[2 * mirror + 1] * gains[mirror];
        float even_re = scale * (low_re + high_re), even_im = scale * (low_im - high_im);
        float turned_re = scale * (low_re - high_re), turned_im = scale * (low_im + high_im);
        float w_re = blocks->turn_re[k], w_im = blocks->turn_im[k];
        float odd_re = turned_re * w_re + turned_im * w_im, odd_im = turned_im * w_re - turned_re * w_im;
        a.im[k] = even_re - odd_im;
        a.re[k] = even_im + odd_re;
        a.im[mirror] = even_re + odd_im;
        a.re[mirror] = odd_re - even_im;
    }
    const points *z = transform(blocks, &a, &b);
    for (int32_t k = 0; k < half; k++) {
        out[2 * k] = z->im[k];
        out[2 * k + 1] = z->re[k];
    }
}

void dn_blocks_analyse(const dn_blocks *blocks, size_t channels, size_t hops, const float *past, const float *in,
                       float *line, float *spectra, float *magnitudes, float *past_after) {
    uint64_t mode = dn_enter();
    float room[2 * DN_MOST_BLOCK];
    const size_t hop = (size_t)blocks->hop, late = (size_t)blocks->block - hop, bins = (size_t)blocks->half + 1;
    for (size_t c = 0; c < channels; c++, line += late + hops * hop) {
        memcpy(line, past + c * late, late * sizeof(*line));
        memcpy(line + late, in + c * hops * hop, hops * hop * sizeof(*line));
        for (size_t h = 0; h < hops; h++, spectra += 2 * bins, magnitudes += bins) {
            dn_block_analyse(blocks, line + h * hop, spectra, magnitudes, room);
        }
        memcpy(past_after + c * late, line + hops * hop, late * sizeof(*line));
    }
    dn_leave(mode);
}

void dn_blocks_synthesise(const dn_blocks *blocks, size_t count, const float *spectra, const float *gains,
                          float *frames) {
    uint64_t mode = dn_enter();
    float room[2 * DN_MOST_BLOCK];
    const size_t bins = (size_t)blocks->half + 1;
    for (size_t i = 0; i < count; i++) {
        float *frame = frames + i * (size_t)blocks->block;
        dn_block_synthesise(blocks, spectra + 2 * i * bins, gains + i * bins, frame, room);
    }
    dn_leave(mode);
}

void dn_blocks_add(const dn_blocks *blocks, size_t channels, size_t hops, const float *frames, const float *pending,
                   float *out, float *pending_after) {
    uint64_t mode = dn_enter();
    const size_t block = (size_t)blocks->block, hop = (size_t)blocks->hop, late = block - hop;
    for (size_t c = 0; c < channels; c++) {
        float *sum = pending_after + c * late;
        memcpy(sum, pending + c * late, late * sizeof(*sum));
        for (size_t h = 0; h < hops; h++, frames += block, out += hop) {
            size_t known = late < hop ? late : hop;
            for (size_t i = 0; i < known; i++) out[i] = sum[i] + frames[i];
            for (size_t i = known; i < hop; i++) out[i] = frames[i];
            for (size_t i = 0; i + hop < late; i++) sum[i] = sum[i + hop] + frames[i + hop];
            for (size_t i = late > hop ? late - hop : 0; i < late; i++) sum[i] = frames[i + hop];
        }
    }
    dn_leave(mode);
}
