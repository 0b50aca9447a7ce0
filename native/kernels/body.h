/* The loops of table.h over v8, eight floats at a time. Included once by the file of each instruction set, after the
 * vec_*.h that says what a v8 is; DN_TABLE is the variable of the table that comes out, DN_TABLE_NAME its name. */
#include <math.h>

#include "kernels/table.h"

/* Multiplications and additions are fused where it says so, and nowhere else, so that all tables round alike. What is
 * then rounded to 1/127 as a network's input comes out the same with all of them. GCC does so by -std=c11. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#include "kernels/body_network.h"

#include "kernels/body_batch.h" /* needs the one before */

static float dot(const float *x, const float *y, int n) {
    v8 a = v8_set(0), b = a, c = a, d = a;
    int i = 0;
    for (; i + 32 <= n; i += 32) {
        a = v8_muladd(v8_load(x + i), v8_load(y + i), a);
        b = v8_muladd(v8_load(x + i + 8), v8_load(y + i + 8), b);
        c = v8_muladd(v8_load(x + i + 16), v8_load(y + i + 16), c);
        d = v8_muladd(v8_load(x + i + 24), v8_load(y + i + 24), d);
    }
    for (; i + 8 <= n; i += 8) a = v8_muladd(v8_load(x + i), v8_load(y + i), a);
    float rest = 0;
    for (; i < n; i++) rest += x[i] * y[i];
    return v8_sum(v8_add(v8_add(a, b), v8_add(c, d))) + rest;
}

/* Sums term by term as two calls of dot. */
static void match(const float *x, const float *y, int n, float out[2]) {
    v8 a = v8_set(0), b = a, c = a, d = a, aa = a, bb = a, cc = a, dd = a;
    int i = 0;
    for (; i + 32 <= n; i += 32) {
        v8 ya = v8_load(y + i), yb = v8_load(y + i + 8), yc = v8_load(y + i + 16), yd = v8_load(y + i + 24);
        a = v8_muladd(v8_load(x + i), ya, a);
        aa = v8_muladd(ya, ya, aa);
        b = v8_muladd(v8_load(x + i + 8), yb, b);
        bb = v8_muladd(yb, yb, bb);
        c = v8_muladd(v8_load(x + i + 16), yc, c);
        cc = v8_muladd(yc, yc, cc);
        d = v8_muladd(v8_load(x + i + 24), yd, d);
        dd = v8_muladd(yd, yd, dd);
    }
    for (; i + 8 <= n; i += 8) {
        v8 ya = v8_load(y + i);
        a = v8_muladd(v8_load(x + i), ya, a);
        aa = v8_muladd(ya, ya, aa);
    }
    float rest = 0, rest_yy = 0;
    for (; i < n; i++) {
        rest += x[i] * y[i];
        rest_yy += y[i] * y[i];
    }
    out[0] = v8_sum(v8_add(v8_add(a, b), v8_add(c, d))) + rest;
    out[1] = v8_sum(v8_add(v8_add(aa, bb), v8_add(cc, dd))) + rest_yy;
}

/* Correlates at 64 lags, eight a vector: x[i] times the run of y that starts at i. All of them at once keep eight sums
 * in flight, and two x that are eight apart share the runs: the second's are the first's, one vector on. */
static void correlate_64(float *out, const float *x, const float *y, int n) {
    v8 sum[8];
    for (int v = 0; v < 8; v++) sum[v] = v8_set(0);
    int whole = n - n % 16;
    for (int phase = 0; phase < 8; phase++) {
        for (int i = phase; i < whole; i += 16) {
            v8 here = v8_set(x[i]), there = v8_set(x[i + 8]), run = v8_load(y + i);
            for (int v = 0; v < 8; v++) {
                sum[v] = v8_muladd(here, run, sum[v]);
                run = v8_load(y + i + 8 * v + 8);
                sum[v] = v8_muladd(there, run, sum[v]);
            }
        }
    }
    for (int i = whole; i < n; i++) {
        v8 here = v8_set(x[i]);
        for (int v = 0; v < 8; v++) sum[v] = v8_muladd(here, v8_load(y + i + 8 * v), sum[v]);
    }
    for (int v = 0; v < 8; v++) v8_store(out + 8 * v, sum[v]);
}

/* Correlates at 8 lags, one vector; four sums of every fourth product. */
static void correlate_8(float *out, const float *x, const float *y, int n) {
    v8 a = v8_set(0), b = a, c = a, d = a;
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        a = v8_muladd(v8_set(x[i]), v8_load(y + i), a);
        b = v8_muladd(v8_set(x[i + 1]), v8_load(y + i + 1), b);
        c = v8_muladd(v8_set(x[i + 2]), v8_load(y + i + 2), c);
        d = v8_muladd(v8_set(x[i + 3]), v8_load(y + i + 3), d);
    }
    for (; i < n; i++) a = v8_muladd(v8_set(x[i]), v8_load(y + i), a);
    v8_store(out, v8_add(v8_add(a, b), v8_add(c, d)));
}

static void correlate(float *out, const float *x, const float *y, int n, int lags) {
    int lag = 0;
    for (; lag + 64 <= lags; lag += 64) correlate_64(out + lag, x, y + lag, n);
    for (; lag < lags; lag += 8) correlate_8(out + lag, x, y + lag, n);
}

static void fir5(float *y, const float *x, const float taps[5], int n) {
    v8 t0 = v8_set(taps[0]), t1 = v8_set(taps[1]), t2 = v8_set(taps[2]), t3 = v8_set(taps[3]), t4 = v8_set(taps[4]);
    for (int i = 0; i < n; i += 8) {
        v8 sum = v8_muladd(t0, v8_load(x + i - 1), v8_load(x + i));
        sum = v8_muladd(t1, v8_load(x + i - 2), sum);
        sum = v8_muladd(t2, v8_load(x + i - 3), sum);
        sum = v8_muladd(t3, v8_load(x + i - 4), sum);
        v8_store(y + i, v8_muladd(t4, v8_load(x + i - 5), sum));
    }
}

static void halve(float *y, const float *x, int n) {
    v8 quarter = v8_set(0.25f), half = v8_set(0.5f);
    for (int i = 0; i < n; i += 8) {
        v8 before, here, unused, after;
        v8_split(v8_load(x + 2 * i - 1), v8_load(x + 2 * i + 7), &before, &here);
        v8_split(v8_load(x + 2 * i), v8_load(x + 2 * i + 8), &unused, &after);
        v8_store(y + i, v8_muladd(quarter, v8_add(before, after), v8_mul(half, here)));
    }
}

/* The biquad in transposed direct form, y = x + m0, with y put into the updates of m0 and m1. */
static const double iir_a0 = -1.99599, iir_a1 = 0.99600, iir_b0 = -2, iir_b1 = 1;

#ifdef DN_HAS_DOUBLES
/* Filters eight samples at a time, as many as there are; returns their number. m0 is linear in its two memories and the
 * samples since, m0[i] = from_m0[i] m0 + from_m1[i] m1 + the sum of from_x[i - 1 - j] x[j] over j < i, so that only one
 * sample of eight waits for those before it. */
static int highpass_eights(float *y, const float *x, double memory[2], double scale, int n) {
    double from_m0[9] = {1, -iir_a0}, from_m1[9] = {0, 1}, padded[16] = {0}, *from_x = padded + 8;
    from_x[0] = iir_b0 - iir_a0;
    from_x[1] = iir_b1 - iir_a1 - iir_a0 * from_x[0];
    for (int i = 2; i < 9; i++) {
        from_m0[i] = -iir_a0 * from_m0[i - 1] - iir_a1 * from_m0[i - 2];
        from_m1[i] = -iir_a0 * from_m1[i - 1] - iir_a1 * from_m1[i - 2];
        if (i < 8) from_x[i] = -iir_a0 * from_x[i - 1] - iir_a1 * from_x[i - 2];
    }
    const d8 all_m0 = d8_load(from_m0), all_m1 = d8_load(from_m1);
    double m0 = memory[0], m1 = memory[1];
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        double in[8], sum[8], last = 0;
        d8 scaled = d8_scaled(scale, x + i), partial = d8_scaled(0, x + i);
        d8_store(in, scaled);
        for (int j = 0; j < 7; j++) partial = d8_fma(in[j], d8_load(from_x - 1 - j), partial);
        for (int j = 0; j < 8; j++) last += in[j] * from_x[7 - j];
        d8_store(sum, partial);
        d8_store_sum(y + i, scaled, d8_fma(m1, all_m1, d8_fma(m0, all_m0, partial)));
        double next = fma_double(from_m0[8], m0, fma_double(from_m1[8], m1, last));
        double from_last = (iir_b1 - iir_a1) * in[7] - iir_a1 * sum[7];
        m1 = fma_double(-iir_a1 * from_m0[7], m0, fma_double(-iir_a1 * from_m1[7], m1, from_last));
        m0 = next;
    }
    memory[0] = m0;
    memory[1] = m1;
    return i;
}
#endif

/* Filters n samples; a memory too small to hear is then set to zero: without this it would decay through the denormal
 * numbers, which are slow. */
static void highpass(float *y, const float *x, double memory[2], float scale, int n) {
    int i = 0;
#ifdef DN_HAS_DOUBLES
    i = highpass_eights(y, x, memory, (double)scale, n);
#endif
    double m0 = memory[0], m1 = memory[1];
    for (; i < n; i++) { /* one multiply-add is all that a sample waits for */
        double in = (double)scale * (double)x[i];
        y[i] = (float)(in + m0);
        double next = fma_double(-iir_a0, m0, fma_double(iir_b0 - iir_a0, in, m1));
        m1 = fma_double(-iir_a1, m0, (iir_b1 - iir_a1) * in);
        m0 = next;
    }
    memory[0] = fabs(m0) < 1e-9 ? 0 : m0;
    memory[1] = fabs(m1) < 1e-9 ? 0 : m1;
}

/* ---- Fourier ---- */

typedef struct {
    v8 re, im;
} complex8;

static inline complex8 c_add(complex8 a, complex8 b) {
    return (complex8){v8_add(a.re, b.re), v8_add(a.im, b.im)};
}

static inline complex8 c_sub(complex8 a, complex8 b) {
    return (complex8){v8_sub(a.re, b.re), v8_sub(a.im, b.im)};
}

/* a - i b and a + i b */
static inline complex8 c_sub_i(complex8 a, complex8 b) {
    return (complex8){v8_add(a.re, b.im), v8_sub(a.im, b.re)};
}

static inline complex8 c_add_i(complex8 a, complex8 b) {
    return (complex8){v8_sub(a.re, b.im), v8_add(a.im, b.re)};
}

/* a + s b for a real s */
static inline complex8 c_fma(v8 s, complex8 b, complex8 a) {
    return (complex8){v8_fma(s, b.re, a.re), v8_fma(s, b.im, a.im)};
}

static inline complex8 c_scale(v8 s, complex8 a) {
    return (complex8){v8_mul(s, a.re), v8_mul(s, a.im)};
}

static inline complex8 c_mul(complex8 a, complex8 b) {
    return (complex8){v8_fnma(a.im, b.im, v8_mul(a.re, b.re)), v8_fma(a.im, b.re, v8_mul(a.re, b.im))};
}

static inline complex8 c_load(const float *re, const float *im) {
    return (complex8){v8_load(re), v8_load(im)};
}

static inline void c_store(float *re, float *im, complex8 a) {
    v8_store(re, a.re);
    v8_store(im, a.im);
}

static inline void dft3(complex8 *z0, complex8 *z1, complex8 *z2) {
    complex8 sum = c_add(*z1, *z2);
    complex8 turned = c_scale(v8_set(0.8660254038f), c_sub(*z1, *z2)); /* sin 120 degrees */
    complex8 middle = c_fma(v8_set(-0.5f), sum, *z0);
    *z0 = c_add(*z0, sum);
    *z1 = c_sub_i(middle, turned);
    *z2 = c_add_i(middle, turned);
}

static inline void dft4(complex8 *z0, complex8 *z1, complex8 *z2, complex8 *z3) {
    complex8 sum02 = c_add(*z0, *z2), sum13 = c_add(*z1, *z3);
    complex8 difference02 = c_sub(*z0, *z2), difference13 = c_sub(*z1, *z3);
    *z0 = c_add(sum02, sum13);
    *z1 = c_sub_i(difference02, difference13);
    *z2 = c_sub(sum02, sum13);
    *z3 = c_add_i(difference02, difference13);
}

static inline void dft5(complex8 z[5]) {
    v8 cos72 = v8_set(0.3090169944f), cos144 = v8_set(-0.8090169944f);
    v8 sin72 = v8_set(0.9510565163f), sin144 = v8_set(0.5877852523f);
    complex8 sum14 = c_add(z[1], z[4]), sum23 = c_add(z[2], z[3]);
    complex8 difference14 = c_sub(z[1], z[4]), difference23 = c_sub(z[2], z[3]);
    complex8 middle1 = c_fma(cos144, sum23, c_fma(cos72, sum14, z[0]));
    complex8 middle2 = c_fma(cos72, sum23, c_fma(cos144, sum14, z[0]));
    complex8 turned1 = c_fma(sin144, difference23, c_scale(sin72, difference14));
    complex8 turned2 = c_sub(c_scale(sin144, difference14), c_scale(sin72, difference23));
    z[0] = c_add(z[0], c_add(sum14, sum23));
    z[1] = c_sub_i(middle1, turned1);
    z[2] = c_sub_i(middle2, turned2);
    z[3] = c_add_i(middle2, turned2);
    z[4] = c_add_i(middle1, turned1);
}

static inline void dft8(complex8 z[8]) {
    complex8 e0 = z[0], e1 = z[2], e2 = z[4], e3 = z[6], o0 = z[1], o1 = z[3], o2 = z[5], o3 = z[7];
    dft4(&e0, &e1, &e2, &e3);
    dft4(&o0, &o1, &o2, &o3);
    v8 diagonal = v8_set(0.7071067812f);
    o1 = c_scale(diagonal, c_sub_i(o1, o1));               /* times (1 - i) / sqrt 2 */
    o3 = c_scale(v8_set(-0.7071067812f), c_add_i(o3, o3)); /* times (-1 - i) / sqrt 2 */
    z[0] = c_add(e0, o0);
    z[1] = c_add(e1, o1);
    z[2] = c_sub_i(e2, o2);
    z[3] = c_add(e3, o3);
    z[4] = c_sub(e0, o0);
    z[5] = c_sub(e1, o1);
    z[6] = c_add_i(e2, o2);
    z[7] = c_sub(e3, o3);
}

/* Z[480] = DFT of z[480], both as separate real and imaginary parts. See fft.h for the plan. */
static void fft480(const dn_fft *fft, const float *re, const float *im, float *out_re, float *out_im) {
    complex8 z[60];
    for (int p = 0; p < 20; p++) {
        const int16_t *from = fft->input + p;
        for (int a = 0; a < 3; a++) z[p + 20 * a] = c_load(re + 8 * from[20 * a], im + 8 * from[20 * a]);
        dft3(&z[p], &z[p + 20], &z[p + 40]);
    }
    for (int a = 0; a < 3; a++) {
        for (int c = 0; c < 5; c++) {
            complex8 *first = z + 20 * a + c;
            dft4(first, first + 5, first + 10, first + 15);
        }
    }
    float row_re[60][8], row_im[60][8];
    for (int p = 0; p < 60; p += 5) {
        dft5(z + p);
        for (int c = 0; c < 5; c++) {
            int k = fft->output[p + c];
            c_store(row_re[k], row_im[k], c_mul(z[p + c], c_load(fft->lane_re[k], fft->lane_im[k])));
        }
    }
    for (int block = 0; block < 8; block++) {
        int k = block < 7 ? 8 * block : 52; /* the last block goes over four rows again, to end at 60 */
        v8 column_re[8], column_im[8];
        for (int i = 0; i < 8; i++) {
            column_re[i] = v8_load(row_re[k + i]);
            column_im[i] = v8_load(row_im[k + i]);
        }
        v8_transpose(column_re);
        v8_transpose(column_im);
        complex8 column[8];
        for (int i = 0; i < 8; i++) column[i] = (complex8){column_re[i], column_im[i]};
        dft8(column);
        for (int i = 0; i < 8; i++) c_store(out_re + 60 * i + k, out_im + 60 * i + k, column[i]);
    }
}

static inline complex8 c_reverse_conj(const float *re, const float *im) {
    return (complex8){v8_reverse(v8_load(re)), v8_sub(v8_set(0), v8_reverse(v8_load(im)))};
}

static inline void c_store_reverse_conj(float *re, float *im, complex8 a) {
    v8_store(re, v8_reverse(a.re));
    v8_store(im, v8_sub(v8_set(0), v8_reverse(a.im)));
}

/* The 960 reals as 480 complex numbers z[n] = x[2n] + i x[2n+1]; with Z their DFT and W = exp(-2 pi i / 960),
 *     E = (Z[k] + conj Z[480-k]) / 2    O = -i (Z[k] - conj Z[480-k]) / 2
 *     X[k] = E + W^k O                  X[480-k] = conj(E - W^k O) */
static void fft960(const dn_fft *fft, const float *window, const float *x, dn_spectrum *X) {
    float even[DN_HALF], odd[DN_HALF], re[DN_HALF], im[DN_HALF];
    for (int n = 0; n < DN_HALF; n += 8) {
        v8 low = v8_mul(v8_load(x + 2 * n), v8_load(window + 2 * n));
        v8 high = v8_mul(v8_load(x + 2 * n + 8), v8_load(window + 2 * n + 8));
        v8 a, b;
        v8_split(low, high, &a, &b);
        v8_store(even + n, a);
        v8_store(odd + n, b);
    }
    fft480(fft, even, odd, re, im);
    v8 half = v8_set(0.5f);
    complex8 zero = {v8_set(0), v8_set(0)};
    for (int k = 1; k <= 240; k += 8) {
        complex8 here = c_load(re + k, im + k), mirror = c_reverse_conj(re + 473 - k, im + 473 - k);
        complex8 E = c_scale(half, c_add(here, mirror));
        complex8 O = c_sub_i(zero, c_scale(half, c_sub(here, mirror)));
        complex8 turned = c_mul(c_load(fft->turn_re + k, fft->turn_im + k), O);
        c_store_reverse_conj(X->re + 473 - k, X->im + 473 - k, c_sub(E, turned));
        c_store(X->re + k, X->im + k, c_add(E, turned));
    }
    c_store(X->re + DN_HALF, X->im + DN_HALF, zero); /* the padding too, so that no garbage is ever saved */
    X->re[0] = re[0] + im[0];
    X->re[DN_HALF] = re[0] - im[0];
    X->im[0] = 0;
}

/* fft960 undone, without the factor 1/960: A = X[k] + conj X[480-k], B = conj(W^k) (X[k] - conj X[480-k]),
 *     Z[k] = A + i B    Z[480-k] = conj(A) + i conj(B)
 * A forward transform of Z with its parts exchanged gives z with its parts exchanged. */
static void ifft960(const dn_fft *fft, const float *window, const dn_spectrum *X, float *x) {
    float re[DN_HALF], im[DN_HALF], even[DN_HALF], odd[DN_HALF];
    for (int k = 1; k <= 240; k += 8) {
        complex8 here = c_load(X->re + k, X->im + k), mirror = c_reverse_conj(X->re + 473 - k, X->im + 473 - k);
        complex8 turn = {v8_load(fft->turn_re + k), v8_sub(v8_set(0), v8_load(fft->turn_im + k))};
        complex8 A = c_add(here, mirror), B = c_mul(turn, c_sub(here, mirror));
        c_store_reverse_conj(re + 473 - k, im + 473 - k, c_sub_i(A, B));
        c_store(re + k, im + k, c_add_i(A, B));
    }
    re[0] = X->re[0] + X->re[DN_HALF];
    im[0] = X->re[0] - X->re[DN_HALF];
    fft480(fft, im, re, odd, even);
    for (int n = 0; n < DN_HALF; n += 8) {
        v8 low, high;
        v8_join(v8_load(even + n), v8_load(odd + n), &low, &high);
        v8_store(x + 2 * n, v8_mul(low, v8_load(window + 2 * n)));
        v8_store(x + 2 * n + 8, v8_mul(high, v8_load(window + 2 * n + 8)));
    }
}

/* ---- bands ---- */

static void cross_power(float *p, const dn_spectrum *X, const dn_spectrum *Y, int n) {
    for (int i = 0; i < n; i += 8) {
        v8 re = v8_mul(v8_load(X->re + i), v8_load(Y->re + i));
        v8_store(p + i, v8_fma(v8_load(X->im + i), v8_load(Y->im + i), re));
    }
}

static void band_sums(float *sums, const float *p, const float *rise, const int16_t *edges, int intervals) {
    sums[0] = 0;
    for (int b = 0; b < intervals; b++) {
        int i = edges[b], end = edges[b + 1];
        v8 all8 = v8_set(0), rising8 = all8;
        for (; i + 8 <= end; i += 8) {
            v8 here = v8_load(p + i);
            all8 = v8_add(all8, here);
            rising8 = v8_fma(here, v8_load(rise + i), rising8);
        }
        float all = v8_sum(all8), rising = v8_sum(rising8);
        for (; i < end; i++) {
            all += p[i];
            rising += p[i] * rise[i];
        }
        sums[b] += all - rising;
        sums[b + 1] = rising;
    }
}

static void band_spread(float *g, const float *bands, const float *rise, const int16_t *edges, int intervals) {
    for (int b = 0; b < intervals; b++) {
        int i = edges[b], end = edges[b + 1];
        float from = bands[b], step = bands[b + 1] - bands[b];
        for (; i + 8 <= end; i += 8) v8_store(g + i, v8_fma(v8_load(rise + i), v8_set(step), v8_set(from)));
        for (; i < end; i++) g[i] = from + rise[i] * step;
    }
}

static void scale(dn_spectrum *X, const float *g, int n) {
    for (int i = 0; i < n; i += 8) {
        v8 gain = v8_load(g + i);
        c_store(X->re + i, X->im + i, c_scale(gain, c_load(X->re + i, X->im + i)));
    }
}

static void add_scaled(dn_spectrum *X, const float *g, const dn_spectrum *P, int n) {
    for (int i = 0; i < n; i += 8) {
        complex8 sum = c_fma(v8_load(g + i), c_load(P->re + i, P->im + i), c_load(X->re + i, X->im + i));
        c_store(X->re + i, X->im + i, sum);
    }
}

const dn_kernels DN_TABLE = {
    .name = DN_TABLE_NAME,
    .matvec_add = matvec_add,
    .matvec_add_batch = matvec_add_batch,
    .matvec_add_bytes_batch = matvec_add_batch_bytes,
    .blocks_add_batch = blocks_add_batch,
    .blocks_add_int8_batch = blocks_add_int8_batch,
    .matvec_add_int8_batch = matvec_add_int8_batch,
    .quantise = quantise,
    .tanh = tanh_all,
    .sigmoid = sigmoid_all,
    .dot = dot,
    .match = match,
    .correlate = correlate,
    .fir5 = fir5,
    .halve = halve,
    .highpass = highpass,
    .fft = fft960,
    .ifft = ifft960,
    .cross_power = cross_power,
    .band_sums = band_sums,
    .band_spread = band_spread,
    .scale = scale,
    .add_scaled = add_scaled,
};
