/* The loops of networks whose values are rows of channels: matrices over the rows of a frame, memories, attention, and
 * what lies between spectra and bands. Included by body.h. DN_WIDE: the vec_*.h has a v16. Nothing is rounded to steps
 * here, so that products may be added as each processor does it quickest. */

#define DN_ONE_ROW(DO) DO(0)
#define DN_FOUR_ROWS(DO) DO(0) DO(1) DO(2) DO(3)
#define DN_EIGHT_ROWS(DO) DN_FOUR_ROWS(DO) DO(4) DO(5) DO(6) DO(7)

#define DN_V v8
#define DN_VECTOR 8
#define DN_OF(op) v8_##op
#define DN_TILED(part) v8_1_##part
#define DN_EACH_ROW DN_ONE_ROW
#include "kernels/body_tile.h"
#undef DN_TILED
#undef DN_EACH_ROW
#define DN_TILED(part) v8_4_##part
#define DN_EACH_ROW DN_FOUR_ROWS
#include "kernels/body_tile.h"
#undef DN_TILED
#undef DN_EACH_ROW
#define DN_TILED(part) v8_8_##part
#define DN_EACH_ROW DN_EIGHT_ROWS
#include "kernels/body_tile.h"
#undef DN_TILED
#undef DN_EACH_ROW
#undef DN_OF
#undef DN_VECTOR
#undef DN_V

#ifdef DN_WIDE
#define DN_V v16
#define DN_VECTOR 16
#define DN_OF(op) v16_##op
#define DN_TILED(part) v16_8_##part
#define DN_EACH_ROW DN_EIGHT_ROWS
#include "kernels/body_tile.h"
#undef DN_TILED
#undef DN_EACH_ROW
#undef DN_OF
#undef DN_VECTOR
#undef DN_V
#endif

static void map_rows(const dn_rows *m) {
    int column = 0;
#ifdef DN_WIDE
    int eights = m->rows - m->rows % 8;
    for (; eights && column + 16 <= m->columns;) {
        int two = column + 32 <= m->columns;
        for (int row = 0; row < eights; row += 8) {
            if (two) {
                v16_8_two(m, row, column);
            } else {
                v16_8_one(m, row, column);
            }
        }
        for (int row = eights; row < m->rows; row++) {
            for (int part = 0; part < (two ? 32 : 16); part += 16) v8_1_two(m, row, column + part);
        }
        column += two ? 32 : 16;
    }
#endif
    int fours = m->rows - m->rows % 4;
    for (; column < m->columns;) {
        int two = column + 16 <= m->columns, row = 0;
        for (; !two && row + 8 <= m->rows; row += 8) v8_8_one(m, row, column); /* as many sums as four rows of two */
        for (; row < fours; row += 4) {
            if (two) {
                v8_4_two(m, row, column);
            } else {
                v8_4_one(m, row, column);
            }
        }
        for (row = fours; row < m->rows; row++) {
            if (two) {
                v8_1_two(m, row, column);
            } else {
                v8_1_one(m, row, column);
            }
        }
        column += two ? 16 : 8;
    }
}

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
