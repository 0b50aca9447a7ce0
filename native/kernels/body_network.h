/* The loops of the networks: the first part of body.h, which includes this. DN_OWN_MATVEC: the vec_*.h has a
 * loop over more columns at once, matvec_many_int8, which gives how many columns it has gone through. */

#define DN_WEIGHT float
#define DN_LOAD v8_load
#define DN_LOAD_16 v16_load
#define DN_NAMED(name) name
#include "kernels/body_matvec.h"
#undef DN_WEIGHT
#undef DN_LOAD
#undef DN_LOAD_16
#undef DN_NAMED

#define DN_WEIGHT int8_t
#define DN_LOAD v8_from_bytes
#define DN_LOAD_16 v16_from_bytes
#define DN_NAMED(name) name##_bytes
#include "kernels/body_matvec.h"
#undef DN_WEIGHT
#undef DN_LOAD
#undef DN_LOAD_16
#undef DN_NAMED

static void blocks_add(float *y, const float *w, const uint16_t *index, const float *x, int groups) {
    for (int g = 0; g < groups; g++) {
        v8 a = v8_load(y + 8 * g), b = v8_set(0), c = b, d = b;
        for (int left = *index++; left > 0; left--, w += 32) {
            const float *in = x + *index++;
            a = v8_fma(v8_set(in[0]), v8_load(w), a);
            b = v8_fma(v8_set(in[1]), v8_load(w + 8), b);
            c = v8_fma(v8_set(in[2]), v8_load(w + 16), c);
            d = v8_fma(v8_set(in[3]), v8_load(w + 24), d);
        }
        v8_store(y + 8 * g, v8_add(v8_add(a, b), v8_add(c, d)));
    }
}

#ifndef DN_OWN_BLOCKS
/* Sums up count blocks of one group. */
static inline dots8 dots8_of_blocks(const int8_t *q, const uint16_t *places, const int8_t *steps, int count) {
    dots8 sum = dots8_zero();
    for (; count > 0; count--, q += 32) sum = dots8_add(sum, q, steps + *places++);
    return sum;
}
#endif

static void blocks_add_int8(float *y, const int8_t *q, const float *scale, const uint16_t *index, const int8_t *steps,
                            int groups) {
    for (int g = 0; g < groups; g++) {
        int count = *index++;
        dots8 sum = dots8_of_blocks(q, index, steps, count);
        q += 32 * count;
        index += count;
        v8_store(y + 8 * g, v8_fma(v8_load(scale + 8 * g), v8_from_dots8(sum), v8_load(y + 8 * g)));
    }
}

/* Sums four groups of columns at once, which share the steps, and fetches the four that come next. */
static void matvec_four_int8(float *y, const int8_t *q, const float *scale, const int8_t *steps, int inputs) {
    const int8_t *q0 = q, *q1 = q0 + 8 * inputs, *q2 = q1 + 8 * inputs, *q3 = q2 + 8 * inputs;
    dots8 a = dots8_zero(), b = a, c = a, d = a;
    int large = inputs >= 256; /* the network is then larger than caches of the second level */
    for (int j = 0; j < inputs; j += 4) {
        steps4 four = steps4_load(steps + j);
        if (large) {
            for (int g = 4; g < 8; g++) v8_prefetch(q + 8 * (g * inputs + j));
        }
        a = dots8_add_steps(a, q0 + 8 * j, four);
        b = dots8_add_steps(b, q1 + 8 * j, four);
        c = dots8_add_steps(c, q2 + 8 * j, four);
        d = dots8_add_steps(d, q3 + 8 * j, four);
    }
    v8_store(y, v8_fma(v8_load(scale), v8_from_dots8(a), v8_load(y)));
    v8_store(y + 8, v8_fma(v8_load(scale + 8), v8_from_dots8(b), v8_load(y + 8)));
    v8_store(y + 16, v8_fma(v8_load(scale + 16), v8_from_dots8(c), v8_load(y + 16)));
    v8_store(y + 24, v8_fma(v8_load(scale + 24), v8_from_dots8(d), v8_load(y + 24)));
}

static void matvec_add_int8(float *y, const int8_t *q, const float *scale, const int8_t *steps, int inputs,
                            int columns) {
#ifdef DN_OWN_MATVEC
    int c = matvec_many_int8(y, q, scale, steps, inputs, columns);
#else
    int c = 0;
#endif
    for (; c + 32 <= columns; c += 32) matvec_four_int8(y + c, q + c * inputs, scale + c, steps, inputs);
    for (; c < columns; c += 8) {
        const int8_t *at = q + c * inputs;
        dots8 sum = dots8_zero();
        for (int j = 0; j < inputs; j += 4) sum = dots8_add_steps(sum, at + 8 * j, steps4_load(steps + j));
        v8_store(y + c, v8_fma(v8_load(scale + c), v8_from_dots8(sum), v8_load(y + c)));
    }
}

static v8 steps_vector(v8 x) {
    x = v8_min(v8_max(x, v8_set(-1)), v8_set(1));
    return v8_add(v8_mul(v8_set(127), x), v8_set(0.5f));
}

static void quantise(int8_t *steps, const float *x, int n) {
    int i = 0;
    for (; i + 8 <= n; i += 8) v8_store_steps(steps + i, steps_vector(v8_load(x + i)));
    if (i == n) return;
    float rest[8] = {0};
    int8_t last[8];
    memcpy(rest, x + i, (size_t)(n - i) * sizeof(*x));
    v8_store_steps(last, steps_vector(v8_load(rest)));
    memcpy(steps + i, last, (size_t)(n - i));
}

/* tanh(x) = x P(x^2) / Q(x^2) on |x| <= 9, the coefficients fitted to the least greatest relative error (3e-8). */
static v8 tanh_vector(v8 x) {
    x = v8_min(v8_max(x, v8_set(-9.0f)), v8_set(9.0f));
    v8 s = v8_mul(x, x);
    v8 p = v8_fma(s, v8_set(1.33546296e-08f), v8_set(2.06090569e-05f));
    p = v8_fma(p, s, v8_set(3.49558648e-03f));
    p = v8_fma(p, s, v8_set(1.33810242e-01f));
    p = v8_fma(p, s, v8_set(9.99999979e-01f));
    v8 q = v8_fma(s, v8_set(7.77654454e-07f), v8_set(3.28563219e-04f));
    q = v8_fma(q, s, v8_set(2.58769758e-02f));
    q = v8_fma(q, s, v8_set(4.67143398e-01f));
    q = v8_fma(q, s, v8_set(1.0f));
    v8 y = v8_div(v8_mul(x, p), q);
    return v8_min(v8_max(y, v8_set(-1.0f)), v8_set(1.0f));
}

static void tanh_all(float *v, int n) {
    for (int i = 0; i < n; i += 8) v8_store(v + i, tanh_vector(v8_load(v + i)));
}

static void sigmoid_all(float *v, int n) {
    v8 half = v8_set(0.5f);
    for (int i = 0; i < n; i += 8) {
        v8_store(v + i, v8_fma(half, tanh_vector(v8_mul(half, v8_load(v + i))), half));
    }
}
