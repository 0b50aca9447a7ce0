/* The loops of networks whose values are rows of channels: matrices over the rows of a frame, memories, attention, and
 * what lies between spectra and bands. Included by body.h. DN_WIDE: the vec_*.h has a v16; DN_HAS_SHORTS: it has pairs
 * of integers. No decision hangs on a bit here, so that products may be added as each processor does it quickest. */

#define DN_ONE_ROW(DO) DO(0)
#define DN_FOUR_ROWS(DO) DO(0) DO(1) DO(2) DO(3)
#define DN_EIGHT_ROWS(DO) DN_FOUR_ROWS(DO) DO(4) DO(5) DO(6) DO(7)

/* What tiles begin and end with, for a vector V: the bias of a place, or 0; y set to sum or raised by it, and bound. */
#define DN_TILE_OPERATIONS(V)                                                                                          \
    static inline V V##_bias(const float *bias, int place) {                                                           \
        return bias ? V##_load(bias + place) : V##_set(0);                                                             \
    }                                                                                                                  \
    static inline void V##_put(float *y, int add, V sum) {                                                             \
        if (add) sum = V##_add(V##_load(y), sum);                                                                      \
        V##_store(y, V##_min(V##_max(sum, V##_set(-DN_ROWS_MOST)), V##_set(DN_ROWS_MOST)));                            \
    }

DN_TILE_OPERATIONS(v8)
#ifdef DN_WIDE
DN_TILE_OPERATIONS(v16)
#endif

/* What tiles of floats are made of, for a vector V. */
#define DN_ROW_OPERATIONS(V)                                                                                           \
    typedef V rows_##V;                                                                                                \
    typedef int rows_##V##_unit; /* has none */                                                                        \
    static inline int rows_##V##_unit_of(const dn_rows *m, int column) {                                               \
        (void)m;                                                                                                       \
        return column;                                                                                                 \
    }                                                                                                                  \
    static inline V rows_##V##_start(const dn_rows *m, int row, int column) {                                          \
        return V##_bias(m->bias, row * m->bias_row + column);                                                          \
    }                                                                                                                  \
    static inline V rows_##V##_weights(const float *w) {                                                               \
        return V##_load(w);                                                                                            \
    }                                                                                                                  \
    static inline V rows_##V##_input(float x) {                                                                        \
        return V##_set(x);                                                                                             \
    }                                                                                                                  \
    static inline V rows_##V##_products(V in, V w, V sum) {                                                            \
        return V##_muladd(in, w, sum);                                                                                 \
    }                                                                                                                  \
    static inline void rows_##V##_finish(const dn_rows *m, int row, int column, V sum, int unit) {                     \
        (void)unit;                                                                                                    \
        V##_put(m->y + row * m->y_row + column, m->add, sum);                                                          \
    }

DN_ROW_OPERATIONS(v8)
#ifdef DN_WIDE
DN_ROW_OPERATIONS(v16)
#endif

#define DN_MAP dn_rows
#define DN_NUMBER float
#define DN_NAME(of) rows_##of
#include "kernels/body_row_map.h"

/* Greatest absolute value of x[n]. */
static inline float greatest(const float *x, int n) {
    v8 zero = v8_set(0), most;
    float all[8], found = 0;
    int i = 0;
#ifdef DN_WIDE
    v16 wide[4] = {v16_set(0), v16_set(0), v16_set(0), v16_set(0)};
    for (; i + 64 <= n; i += 64) {
        for (int j = 0; j < 4; j++) wide[j] = v16_max(wide[j], v16_abs(v16_load(x + i + 16 * j)));
    }
    wide[0] = v16_max(v16_max(wide[0], wide[1]), v16_max(wide[2], wide[3]));
    most = v8_max(v16_low(wide[0]), v16_high(wide[0]));
#else
    v8 four[4] = {zero, zero, zero, zero};
    for (; i + 32 <= n; i += 32) {
        for (int j = 0; j < 4; j++) {
            v8 here = v8_load(x + i + 8 * j);
            four[j] = v8_max(four[j], v8_max(here, v8_sub(zero, here)));
        }
    }
    most = v8_max(v8_max(four[0], four[1]), v8_max(four[2], four[3]));
#endif
    for (; i + 8 <= n; i += 8) most = v8_max(most, v8_max(v8_load(x + i), v8_sub(zero, v8_load(x + i))));
    v8_store(all, most);
    for (int lane = 0; lane < 8; lane++) found = all[lane] > found ? all[lane] : found;
    for (; i < n; i++) found = fabsf(x[i]) > found ? fabsf(x[i]) : found;
    return found;
}

#ifdef DN_HAS_SHORTS
/* The same in pairs of integers of 16 bits, D of them being the sums of a V. */
#define DN_SHORT_OPERATIONS(V, D)                                                                                      \
    typedef D shorts_##V;                                                                                              \
    typedef V shorts_##V##_unit;                                                                                       \
    static inline V shorts_##V##_unit_of(const dn_shorts *m, int column) {                                             \
        return V##_mul(V##_load(m->unit + column), V##_set(m->size));                                                  \
    }                                                                                                                  \
    static inline D shorts_##V##_start(const dn_shorts *m, int row, int column) {                                      \
        (void)m, (void)row, (void)column;                                                                              \
        return D##_zero();                                                                                             \
    }                                                                                                                  \
    static inline D shorts_##V##_weights(const int32_t *w) {                                                           \
        return D##_load(w);                                                                                            \
    }                                                                                                                  \
    static inline D shorts_##V##_input(int32_t x) {                                                                    \
        return D##_set(x);                                                                                             \
    }                                                                                                                  \
    static inline D shorts_##V##_products(D in, D w, D sum) {                                                          \
        return D##_add_pairs(sum, in, w);                                                                              \
    }                                                                                                                  \
    static inline void shorts_##V##_finish(const dn_shorts *m, int row, int column, D sums, V unit) {                  \
        V sum = V##_fma(unit, V##_from_##D(sums), V##_bias(m->bias, row * m->bias_row + column));                      \
        V##_put(m->y + row * m->y_row + column, m->add, sum);                                                          \
    }

DN_SHORT_OPERATIONS(v8, dots8)
#ifdef DN_WIDE
DN_SHORT_OPERATIONS(v16, dots16)
#endif

#define DN_MAP dn_shorts
#define DN_NUMBER int32_t
#define DN_NAME(of) shorts_##of
#include "kernels/body_row_map.h"

static float step_shorts(int32_t *steps, const float *x, int x_row, int inputs, int rows) {
    float most = 0;
    if (x_row <= inputs) { /* they lie one behind the other, or one over the other */
        inputs += (rows - 1) * x_row;
        rows = 1;
    }
    for (int row = 0; row < rows; row++) {
        float here = greatest(x + row * x_row, inputs);
        most = here > most ? here : most;
    }
    const float whole = most < 1e-30f ? 0 : DN_SHORT_MOST / most;
    for (int row = 0; row < rows; row++, x += x_row, steps += x_row / 2) {
        int i = 0;
        for (; i + 16 <= inputs; i += 16) round_16(steps + i / 2, x + i, whole);
        if (i < inputs) {
            float rest[16] = {0};
            int32_t last[8];
            memcpy(rest, x + i, (size_t)(inputs - i) * sizeof(*x));
            round_16(last, rest, whole);
            memcpy(steps + i / 2, last, (size_t)(inputs - i) / 2 * sizeof(*last));
        }
    }
    return most < 1e-30f ? 0 : most / DN_SHORT_MOST;
}
#endif

static void hard_swish(float *v, int n) {
    v8 zero = v8_set(0), three = v8_set(3), six = v8_set(6), sixth = v8_set(1.0f / 6.0f);
    for (int i = 0; i < n; i += 8) {
        v8 x = v8_load(v + i), share = v8_min(v8_max(v8_add(x, three), zero), six);
        v8_store(v + i, v8_mul(v8_mul(x, share), sixth));
    }
}

static void blend(float *h, const float *gates, int units, int rows) {
    v8 half = v8_set(0.5f);
    for (int row = 0; row < rows; row++, h += units, gates += 2 * units) {
        for (int i = 0; i < units; i += 8) {
            v8 share = v8_muladd(half, tanh_vector(v8_mul(half, v8_load(gates + i))), half), before = v8_load(h + i);
            v8_store(h + i, v8_muladd(share, v8_sub(v8_load(gates + units + i), before), before));
        }
    }
}

static v8 sigmoid_vector(v8 x) {
    v8 half = v8_set(0.5f);
    return v8_muladd(half, tanh_vector(v8_mul(half, x)), half);
}

static void gru(float *h, const float *from_x, const float *from_h, int units, int rows) {
    for (int row = 0; row < rows; row++, h += units, from_x += 3 * units, from_h += 3 * units) {
        for (int i = 0; i < units; i += 8) {
            v8 keep = sigmoid_vector(v8_add(v8_load(from_x + i), v8_load(from_h + i)));
            v8 reset = sigmoid_vector(v8_add(v8_load(from_x + units + i), v8_load(from_h + units + i)));
            v8 sum = v8_muladd(reset, v8_load(from_h + 2 * units + i), v8_load(from_x + 2 * units + i));
            v8 candidate = tanh_vector(sum);
            v8_store(h + i, v8_muladd(keep, v8_sub(v8_load(h + i), candidate), candidate));
        }
    }
}

/* exp(x) = 2^n exp(r), |r| <= ln(2) / 2, the polynomial fitted to the least greatest relative error (8e-8); together
 * below 3e-7 for x from -87 to 0. Less than -87 counts as that. */
static v8 exp_vector(v8 x) {
    const float to_whole = 12582912.0f; /* 1.5 * 2^23: what is added to it is rounded to whole numbers */
    x = v8_max(x, v8_set(-87.0f));
    v8 n = v8_sub(v8_muladd(x, v8_set(1.44269504f), v8_set(to_whole)), v8_set(to_whole));
    v8 r = v8_fnma(n, v8_set(0.693359375f), x); /* ln(2) in two parts, of which n times the first is exact */
    r = v8_fnma(n, v8_set(-2.12194440e-4f), r);
    v8 p = v8_muladd(r, v8_set(8.297647967e-03f), v8_set(4.191543143e-02f));
    p = v8_muladd(p, r, v8_set(1.666757509e-01f));
    p = v8_muladd(p, r, v8_set(4.999889441e-01f));
    p = v8_muladd(p, r, v8_set(9.999996918e-01f));
    p = v8_muladd(p, r, v8_set(1.000000072f));
    return v8_mul(p, v8_of_bits(v8_muladd(n, v8_set(8388608.0f), v8_set(127 * 8388608.0f))));
}

static void softmax_columns(float *v, int places, int columns) {
    for (int c = 0; c < columns; c += 8) {
        v8 most = v8_load(v + c), sum = v8_set(0);
        for (int i = 1; i < places; i++) most = v8_max(most, v8_load(v + i * columns + c));
        for (int i = 0; i < places; i++) {
            v8 value = exp_vector(v8_sub(v8_load(v + i * columns + c), most));
            sum = v8_add(sum, value);
            v8_store(v + i * columns + c, value);
        }
        v8 share = v8_div(v8_set(1), sum);
        for (int i = 0; i < places; i++) v8_store(v + i * columns + c, v8_mul(share, v8_load(v + i * columns + c)));
    }
}

/* p^(-1/6) from the bits of p, which are nearly a logarithm, to 3 %; then Newton's r (7 - p r^6) / 6 three times, whose
 * error is below 1e-8 but for rounding. */
static v8 inverse_sixth_root(v8 p) {
    const float guess = 8388608.0f * (127 - 0.048f) * 7 / 6;
    v8 r = v8_of_bits(v8_fnma(v8_bits(p), v8_set(1.0f / 6.0f), v8_set(guess)));
    v8 sixth = v8_set(1.0f / 6.0f), more = v8_set(7.0f / 6.0f);
    for (int i = 0; i < 3; i++) {
        v8 cube = v8_mul(v8_mul(r, r), r);
        r = v8_mul(r, v8_fnma(sixth, v8_mul(v8_mul(p, cube), cube), more));
    }
    return r;
}

static void compress(float *root, float *inverse, const dn_spectrum *X, float floor, int n) {
    for (int i = 0; i < n; i += 8) {
        v8 re = v8_load(X->re + i), im = v8_load(X->im + i);
        v8 p = v8_muladd(im, im, v8_muladd(re, re, v8_set(floor)));
        v8 r = inverse_sixth_root(p), square = v8_mul(r, r);
        v8_store(inverse + i, r);
        v8_store(root + i, v8_mul(v8_mul(p, v8_mul(square, r)), square));
    }
}

static void shape_gains(float *gain, const float *magnitude, const float *level, float min_gain, int n) {
    v8 least = v8_set(1e-9f), kept = v8_set(min_gain), rest = v8_set(1 - min_gain);
    for (int i = 0; i < n; i += 8) {
        v8 wanted = v8_load(magnitude + i), noise = v8_load(level + i);
        wanted = v8_mul(wanted, wanted);
        wanted = v8_mul(wanted, wanted);
        noise = v8_mul(noise, noise);
        v8 all = v8_add(v8_muladd(noise, noise, wanted), least);
        v8 g = v8_div(v8_mul(v8_load(gain + i), wanted), all);
        v8_store(gain + i, v8_muladd(rest, v8_mul(v8_mul(g, g), g), kept));
    }
}
