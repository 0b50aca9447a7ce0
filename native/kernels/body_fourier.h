/* The Fourier transform of 960 reals and back, and the complex numbers that the loops over bands need too: included by
 * body.h. */

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

/* Z[256] = DFT of z[256]: eight transforms of 32 = 4 * 8 points side by side, one a vector lane, then 32 of 8 points.
 */
static void fft256(const dn_fft512 *fft, const float *re, const float *im, float *out_re, float *out_im) {
    complex8 z[32];
    for (int b = 0; b < 8; b++) {
        complex8 y[4];
        for (int a = 0; a < 4; a++) y[a] = c_load(re + 64 * a + 8 * b, im + 64 * a + 8 * b);
        dft4(&y[0], &y[1], &y[2], &y[3]);
        z[b] = y[0];
        for (int c = 1; c < 4; c++) {
            complex8 turn = {v8_set(fft->inner_re[b][c]), v8_set(fft->inner_im[b][c])};
            z[8 * c + b] = c_mul(y[c], turn);
        }
    }
    float row_re[32][8], row_im[32][8];
    for (int c = 0; c < 4; c++) {
        dft8(z + 8 * c);
        for (int d = 0; d < 8; d++) {
            int k = c + 4 * d;
            c_store(row_re[k], row_im[k], c_mul(z[8 * c + d], c_load(fft->lane_re[k], fft->lane_im[k])));
        }
    }
    for (int k = 0; k < 32; k += 8) {
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
        for (int i = 0; i < 8; i++) c_store(out_re + 32 * i + k, out_im + 32 * i + k, column[i]);
    }
}

/* As fft960 and ifft960. */
static void fft512(const dn_fft512 *fft, const float *window, const float *x, dn_spectrum *X) {
    enum { HALF = 256, MIRROR = HALF - 7 };
    float even[HALF], odd[HALF], re[HALF], im[HALF];
    for (int n = 0; n < HALF; n += 8) {
        v8 low = v8_mul(v8_load(x + 2 * n), v8_load(window + 2 * n));
        v8 high = v8_mul(v8_load(x + 2 * n + 8), v8_load(window + 2 * n + 8));
        v8 a, b;
        v8_split(low, high, &a, &b);
        v8_store(even + n, a);
        v8_store(odd + n, b);
    }
    fft256(fft, even, odd, re, im);
    v8 half = v8_set(0.5f);
    complex8 zero = {v8_set(0), v8_set(0)};
    for (int k = 1; k <= HALF / 2; k += 8) {
        complex8 here = c_load(re + k, im + k), mirror = c_reverse_conj(re + MIRROR - k, im + MIRROR - k);
        complex8 E = c_scale(half, c_add(here, mirror));
        complex8 O = c_sub_i(zero, c_scale(half, c_sub(here, mirror)));
        complex8 turned = c_mul(c_load(fft->turn_re + k, fft->turn_im + k), O);
        c_store_reverse_conj(X->re + MIRROR - k, X->im + MIRROR - k, c_sub(E, turned));
        c_store(X->re + k, X->im + k, c_add(E, turned));
    }
    c_store(X->re + HALF, X->im + HALF, zero);
    X->re[0] = re[0] + im[0];
    X->re[HALF] = re[0] - im[0];
    X->im[0] = 0;
}

static void ifft512(const dn_fft512 *fft, const float *window, const dn_spectrum *X, float *x) {
    enum { HALF = 256, MIRROR = HALF - 7 };
    float re[HALF], im[HALF], even[HALF], odd[HALF];
    for (int k = 1; k <= HALF / 2; k += 8) {
        complex8 here = c_load(X->re + k, X->im + k), mirror = c_reverse_conj(X->re + MIRROR - k, X->im + MIRROR - k);
        complex8 turn = {v8_load(fft->turn_re + k), v8_sub(v8_set(0), v8_load(fft->turn_im + k))};
        complex8 A = c_add(here, mirror), B = c_mul(turn, c_sub(here, mirror));
        c_store_reverse_conj(re + MIRROR - k, im + MIRROR - k, c_sub_i(A, B));
        c_store(re + k, im + k, c_add_i(A, B));
    }
    re[0] = X->re[0] + X->re[HALF];
    im[0] = X->re[0] - X->re[HALF];
    fft256(fft, im, re, odd, even);
    for (int n = 0; n < HALF; n += 8) {
        v8 low, high;
        v8_join(v8_load(even + n), v8_load(odd + n), &low, &high);
        v8_store(x + 2 * n, v8_mul(low, v8_load(window + 2 * n)));
        v8_store(x + 2 * n + 8, v8_mul(high, v8_load(window + 2 * n + 8)));
    }
}
