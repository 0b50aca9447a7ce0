/* Maps with all their weights, which are DN_WEIGHT: floats, and again int8 that DN_LOAD turns to floats as it reads
 * them. Included for each by body_network.h, DN_NAMED giving the functions names. DN_OWN_MATVEC: the vec_*.h has a
 * v16, sixteen floats. */

#ifdef DN_OWN_MATVEC
/* Sums eight groups at once, each with two inputs in a v16; returns the number of columns that were. */
static inline int DN_NAMED(matvec_many)(float *y, const DN_WEIGHT *w, const float *x, int inputs, int columns) {
    int c = 0;
    for (; c + 8 * AT_ONCE <= columns; c += 8 * AT_ONCE) {
        const DN_WEIGHT *group = w + c * inputs;
        v16 sum[AT_ONCE];
        for (int g = 0; g < AT_ONCE; g++) sum[g] = v16_with_zeros(v8_load(y + c + 8 * g));
        int j = 0;
        for (; j + 2 <= inputs; j += 2) {
            v16 both = v16_set_halves(x + j);
            for (int g = 0; g < AT_ONCE; g++) sum[g] = v16_fma(both, DN_LOAD_16(group + 8 * (g * inputs + j)), sum[g]);
        }
        for (int g = 0; g < AT_ONCE; g++) {
            v8 even = v16_low(sum[g]);
            if (j < inputs) even = v8_fma(v8_set(x[j]), DN_LOAD(group + 8 * (g * inputs + j)), even);
            v8_store(y + c + 8 * g, v8_add(even, v16_high(sum[g])));
        }
    }
    return c;
}
#endif

/* Sums four groups of columns at once, two inputs at a time: eight sums that do not wait for each other. */
static void DN_NAMED(matvec_four)(float *y, const DN_WEIGHT *w, const float *x, int inputs) {
    const DN_WEIGHT *w0 = w, *w1 = w0 + 8 * inputs, *w2 = w1 + 8 * inputs, *w3 = w2 + 8 * inputs;
    v8 a0 = v8_load(y), a1 = v8_load(y + 8), a2 = v8_load(y + 16), a3 = v8_load(y + 24);
    v8 b0 = v8_set(0), b1 = b0, b2 = b0, b3 = b0;
    int j = 0;
    for (; j + 2 <= inputs; j += 2) {
        v8 xa = v8_set(x[j]), xb = v8_set(x[j + 1]);
        a0 = v8_fma(xa, DN_LOAD(w0 + 8 * j), a0);
        a1 = v8_fma(xa, DN_LOAD(w1 + 8 * j), a1);
        a2 = v8_fma(xa, DN_LOAD(w2 + 8 * j), a2);
        a3 = v8_fma(xa, DN_LOAD(w3 + 8 * j), a3);
        b0 = v8_fma(xb, DN_LOAD(w0 + 8 * j + 8), b0);
        b1 = v8_fma(xb, DN_LOAD(w1 + 8 * j + 8), b1);
        b2 = v8_fma(xb, DN_LOAD(w2 + 8 * j + 8), b2);
        b3 = v8_fma(xb, DN_LOAD(w3 + 8 * j + 8), b3);
    }
    if (j < inputs) {
        v8 xa = v8_set(x[j]);
        a0 = v8_fma(xa, DN_LOAD(w0 + 8 * j), a0);
        a1 = v8_fma(xa, DN_LOAD(w1 + 8 * j), a1);
        a2 = v8_fma(xa, DN_LOAD(w2 + 8 * j), a2);
        a3 = v8_fma(xa, DN_LOAD(w3 + 8 * j), a3);
    }
    v8_store(y, v8_add(a0, b0));
    v8_store(y + 8, v8_add(a1, b1));
    v8_store(y + 16, v8_add(a2, b2));
    v8_store(y + 24, v8_add(a3, b3));
}

static void DN_NAMED(matvec_one)(float *y, const DN_WEIGHT *w, const float *x, int inputs) {
    v8 a = v8_load(y), b = v8_set(0);
    int j = 0;
    for (; j + 2 <= inputs; j += 2) {
        a = v8_fma(v8_set(x[j]), DN_LOAD(w + 8 * j), a);
        b = v8_fma(v8_set(x[j + 1]), DN_LOAD(w + 8 * j + 8), b);
    }
    if (j < inputs) a = v8_fma(v8_set(x[j]), DN_LOAD(w + 8 * j), a);
    v8_store(y, v8_add(a, b));
}

static void DN_NAMED(matvec_add)(float *y, const DN_WEIGHT *w, const float *x, int inputs, int columns) {
#ifdef DN_OWN_MATVEC
    int c = DN_NAMED(matvec_many)(y, w, x, inputs, columns);
#else
    int c = 0;
#endif
    for (; c + 32 <= columns; c += 32) DN_NAMED(matvec_four)(y + c, w + c * inputs, x, inputs);
    for (; c < columns; c += 8) DN_NAMED(matvec_one)(y + c, w + c * inputs, x, inputs);
}

/* Sums of two groups of columns for four inputs each, over the even or the odd elements of x, as first is 0 or 1: from
 * y on, or from zero. */
static inline void DN_NAMED(sum_2_by_4)(v8 sum[8], const DN_WEIGHT *w, const float *const *x, int inputs, int first) {
    const DN_WEIGHT *w0 = w, *w1 = w + 8 * inputs;
    const float *xa = x[0], *xb = x[1], *xc = x[2], *xd = x[3];
    v8 a0 = sum[0], a1 = sum[1], b0 = sum[2], b1 = sum[3], c0 = sum[4], c1 = sum[5], d0 = sum[6], d1 = sum[7];
    for (int j = first; j < inputs; j += 2) {
        v8 weights0 = DN_LOAD(w0 + 8 * j), weights1 = DN_LOAD(w1 + 8 * j), in = v8_set(xa[j]);
        a0 = v8_fma(in, weights0, a0);
        a1 = v8_fma(in, weights1, a1);
        in = v8_set(xb[j]);
        b0 = v8_fma(in, weights0, b0);
        b1 = v8_fma(in, weights1, b1);
        in = v8_set(xc[j]);
        c0 = v8_fma(in, weights0, c0);
        c1 = v8_fma(in, weights1, c1);
        in = v8_set(xd[j]);
        d0 = v8_fma(in, weights0, d0);
        d1 = v8_fma(in, weights1, d1);
    }
    sum[0] = a0, sum[1] = a1, sum[2] = b0, sum[3] = b1, sum[4] = c0, sum[5] = c1, sum[6] = d0, sum[7] = d1;
}

static void DN_NAMED(matvec_2_by_4)(float *const *y, const DN_WEIGHT *w, const float *const *x, int inputs,
                                    int column) {
    v8 even[8], odd[8];
    for (int s = 0; s < 8; s++) {
        even[s] = v8_load(y[s / 2] + column + s % 2 * 8);
        odd[s] = v8_set(0);
    }
    DN_NAMED(sum_2_by_4)(even, w, x, inputs, 0);
    DN_NAMED(sum_2_by_4)(odd, w, x, inputs, 1);
    for (int s = 0; s < 8; s++) v8_store(y[s / 2] + column + s % 2 * 8, v8_add(even[s], odd[s]));
}

static void DN_NAMED(matvec_add_batch)(float *const *y, const DN_WEIGHT *w, const float *const *x, int inputs,
                                       int columns, int count) {
    int wide = columns - columns % 16, shared = count - count % 4;
    for (int c = 0; c < wide; c += 16) {
        for (int i = 0; i < shared; i += 4) DN_NAMED(matvec_2_by_4)(y + i, w + c * inputs, x + i, inputs, c);
    }
    for (int i = 0; i < count; i++) {
        int from = i < shared ? wide : 0;
        DN_NAMED(matvec_add)(y[i] + from, w + from * inputs, x[i], inputs, columns - from);
    }
}
