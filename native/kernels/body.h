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
#include "kernels/body_fourier.h"
#include "kernels/body_rows.h" /* needs body_network.h */

#include "kernels/body_panels.h" /* needs both */
#include "kernels/body_places.h"

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
    .map_rows = rows_map,
#ifdef DN_HAS_SHORTS
    .map_shorts = shorts_map,
    .step_shorts = step_shorts,
#endif
    .hard_swish = hard_swish,
    .blend = blend,
    .gru = gru,
    .softmax_columns = softmax_columns,
    .compress = compress,
    .shape_gains = shape_gains,
    .map_panels = map_panels,
    .map_panels_halves = map_panels_halves,
    .map_steps = map_steps,
    .step_rows = step_rows,
    .lstm = lstm,
    .normalise = normalise,
    .logarithms = logarithms,
    .filter_places = filter_places,
    .bend_places = bend_places,
    .gru_places = gru_places,
    .gru_lines = gru_lines,
    .power_places = power_places,
    .gain_places = gain_places,
    .add_normal = add_normal,
    .decades = decades,
    .fft512 = fft512,
    .ifft512 = ifft512,
};
