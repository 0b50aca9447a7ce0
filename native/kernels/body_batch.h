/* The loops of the networks for several inputs at once, which share each reading of the weights, four by four: included
 * by body.h after body_network.h, whose loops take what is left over. Every input's sums are those of the
 * loops there, term by term in the same order, so that its result has the same bits whatever is beside it. Sums are in
 * variables of their own, as compilers leave arrays of them in memory. */

static inline void store_scaled(float *y, const float *scale, dots8 sum) {
    v8_store(y, v8_fma(v8_load(scale), v8_from_dots8(sum), v8_load(y)));
}

#ifndef DN_OWN_BATCH
/* Sums two groups of columns for four inputs: the first one's two sums, then the second one's ... */
static inline void dots8_2_by_4(dots8 sum[8], const int8_t *q, const int8_t *const *steps, int inputs) {
    const int8_t *q0 = q, *q1 = q + 8 * inputs, *sa = steps[0], *sb = steps[1], *sc = steps[2], *sd = steps[3];
    dots8 a0 = dots8_zero(), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    for (int j = 0; j < inputs; j += 4) {
        a0 = dots8_add(a0, q0 + 8 * j, sa + j);
        a1 = dots8_add(a1, q1 + 8 * j, sa + j);
        b0 = dots8_add(b0, q0 + 8 * j, sb + j);
        b1 = dots8_add(b1, q1 + 8 * j, sb + j);
        c0 = dots8_add(c0, q0 + 8 * j, sc + j);
        c1 = dots8_add(c1, q1 + 8 * j, sc + j);
        d0 = dots8_add(d0, q0 + 8 * j, sd + j);
        d1 = dots8_add(d1, q1 + 8 * j, sd + j);
    }
    sum[0] = a0, sum[1] = a1, sum[2] = b0, sum[3] = b1, sum[4] = c0, sum[5] = c1, sum[6] = d0, sum[7] = d1;
}
#endif

static void int8_2_by_4(float *const *y, const int8_t *q, const float *scale, const int8_t *const *steps, int inputs,
                        int column) {
    dots8 sum[8];
    dots8_2_by_4(sum, q, steps, inputs);
    for (int s = 0; s < 8; s++) {
        int at = column + s % 2 * 8;
        store_scaled(y[s / 2] + at, scale + at, sum[s]);
    }
}

static void matvec_add_int8_batch(float *const *y, const int8_t *q, const float *scale, const int8_t *const *steps,
                                  int inputs, int columns, int count) {
    int wide = columns - columns % 16, shared = count - count % 4;
    for (int c = 0; c < wide; c += 16) {
        for (int i = 0; i < shared; i += 4) int8_2_by_4(y + i, q + c * inputs, scale, steps + i, inputs, c);
    }
    for (int i = 0; i < count; i++) {
        int from = i < shared ? wide : 0;
        matvec_add_int8(y[i] + from, q + from * inputs, scale + from, steps[i], inputs, columns - from);
    }
}

/* Sums the blocks of one group of outputs for two inputs; index: first input of each block. */
static void blocks_by_2(float *const *y, const float *w, const uint16_t *index, const float *const *x, int blocks,
                        int column) {
    v8 a = v8_load(y[0] + column), b = v8_set(0), c = b, d = b, a2 = v8_load(y[1] + column), b2 = b, c2 = b, d2 = b;
    for (int n = 0; n < blocks; n++, w += 32) {
        const float *in = x[0] + index[n], *in2 = x[1] + index[n];
        v8 weights = v8_load(w);
        a = v8_fma(v8_set(in[0]), weights, a);
        a2 = v8_fma(v8_set(in2[0]), weights, a2);
        weights = v8_load(w + 8);
        b = v8_fma(v8_set(in[1]), weights, b);
        b2 = v8_fma(v8_set(in2[1]), weights, b2);
        weights = v8_load(w + 16);
        c = v8_fma(v8_set(in[2]), weights, c);
        c2 = v8_fma(v8_set(in2[2]), weights, c2);
        weights = v8_load(w + 24);
        d = v8_fma(v8_set(in[3]), weights, d);
        d2 = v8_fma(v8_set(in2[3]), weights, d2);
    }
    v8_store(y[0] + column, v8_add(v8_add(a, b), v8_add(c, d)));
    v8_store(y[1] + column, v8_add(v8_add(a2, b2), v8_add(c2, d2)));
}

static void blocks_add_batch(float *const *y, const float *w, const uint16_t *index, const float *const *x, int groups,
                             int count) {
    int shared = count - count % 2;
    if (shared < count) blocks_add(y[shared], w, index, x[shared], groups);
    for (int g = 0; g < groups; g++) {
        int blocks = *index++;
        for (int i = 0; i < shared; i += 2) blocks_by_2(y + i, w, index, x + i, blocks, 8 * g);
        index += blocks;
        w += 32 * blocks;
    }
}

/* Sums the blocks of one group of outputs for four inputs, in integers. */
static void int8_blocks_by_4(float *const *y, const int8_t *q, const float *scale, const uint16_t *index,
                             const int8_t *const *steps, int blocks, int column) {
    dots8 a = dots8_zero(), b = a, c = a, d = a;
    for (int n = 0; n < blocks; n++, q += 32) {
        a = dots8_add(a, q, steps[0] + index[n]);
        b = dots8_add(b, q, steps[1] + index[n]);
        c = dots8_add(c, q, steps[2] + index[n]);
        d = dots8_add(d, q, steps[3] + index[n]);
    }
    store_scaled(y[0] + column, scale + column, a);
    store_scaled(y[1] + column, scale + column, b);
    store_scaled(y[2] + column, scale + column, c);
    store_scaled(y[3] + column, scale + column, d);
}

static void blocks_add_int8_batch(float *const *y, const int8_t *q, const float *scale, const uint16_t *index,
                                  const int8_t *const *steps, int groups, int count) {
    int shared = count - count % 4;
    for (int i = shared; i < count; i++) blocks_add_int8(y[i], q, scale, index, steps[i], groups);
    for (int g = 0; g < groups; g++) {
        int blocks = *index++;
        for (int i = 0; i < shared; i += 4) int8_blocks_by_4(y + i, q, scale, index, steps + i, blocks, 8 * g);
        index += blocks;
        q += 32 * blocks;
    }
}
