/* The loops of a DTLN: matrices in panels of 16 columns, by which a weight that is read serves all rows, in floats and
 * in integers; LSTMs, norms and logarithms. Included by body.h after body_rows.h. DN_WIDE: the vec_*.h has a v16, and
 * dots16. */

#define DN_TWO_ROWS(DO) DO(0) DO(1)
#define DN_ONE_VECTOR(DO, r) DO(r, 0)
#define DN_TWO_VECTORS(DO, r) DO(r, 0) DO(r, 1)
#define DN_FOUR_VECTORS(DO, r) DN_TWO_VECTORS(DO, r) DO(r, 2) DO(r, 3)
#define DN_EIGHT_VECTORS(DO, r) DN_FOUR_VECTORS(DO, r) DO(r, 4) DO(r, 5) DO(r, 6) DO(r, 7)

#define DN_WEIGHT float
#define DN_LOAD_8 v8_load
#define DN_LOAD_16 v16_load
#define DN_NAMED(name) name
#include "kernels/body_panel_map.h"
#undef DN_WEIGHT
#undef DN_LOAD_8
#undef DN_LOAD_16
#undef DN_NAMED

#define DN_WEIGHT uint16_t
#define DN_LOAD_8 v8_from_halves
#define DN_LOAD_16 v16_from_halves
#define DN_NAMED(name) name##_halves
#include "kernels/body_panel_map.h"
#undef DN_WEIGHT
#undef DN_LOAD_8
#undef DN_LOAD_16
#undef DN_NAMED

#ifndef DN_WIDE
/* Sixteen sums of products of integers in the making, one a column of a panel. */
typedef struct {
    dots8 low, high;
} dots16;

typedef steps4 steps16; /* four steps, for all of them */
#define steps16_load steps4_load

static inline dots16 dots16_zero(void) {
    return (dots16){dots8_zero(), dots8_zero()};
}

/* sums[o] + the sum over j < 4 of q[o][j] * steps[j] */
static inline dots16 dots16_add(dots16 sums, const int8_t *q, steps16 steps) {
    return (dots16){dots8_add_steps(sums.low, q, steps), dots8_add_steps(sums.high, q + 32, steps)};
}
#endif

static inline v8 scaled_sums(const dn_steps *m, int column, float size, const float *y, v8 sums) {
    v8 before = m->add ? v8_load(y) : m->bias ? v8_load(m->bias + column) : v8_set(0);
    return v8_fma(v8_mul(v8_load(m->scale + column), v8_set(size)), sums, before);
}

/* Puts the sums of a panel that begins at column where they belong, y. size: of a step of the input. */
static inline void dots16_store(dots16 sums, const dn_steps *m, int column, float size, float *y) {
#ifdef DN_WIDE
    __m512i exact = _mm512_sub_epi32(sums, _mm512_loadu_si512(m->sums + column)); /* of what dots16_add has too much */
    v16 all = _mm512_cvtepi32_ps(exact);
    v8 low = v16_low(all), high = v16_high(all);
#else
    v8 low = v8_from_dots8(sums.low), high = v8_from_dots8(sums.high);
#endif
    low = scaled_sums(m, column, size, y, low);
    high = scaled_sums(m, column + 8, size, y + 8, high);
    v8_store(y, low);
    v8_store(y + 8, high);
}

#ifdef DN_WIDE
#define DN_TILED steps_8_2
#define DN_EACH_ROW DN_EIGHT_ROWS
#define DN_EACH_PANEL DN_TWO_VECTORS
#include "kernels/body_panel_steps.h"
#endif
#define DN_TILED steps_4_1
#define DN_EACH_ROW DN_FOUR_ROWS
#define DN_EACH_PANEL DN_ONE_VECTOR
#include "kernels/body_panel_steps.h"
#define DN_TILED steps_1_8
#define DN_EACH_ROW DN_ONE_ROW
#ifdef DN_WIDE
#define DN_EACH_PANEL DN_EIGHT_VECTORS
#else
#define DN_EACH_PANEL DN_TWO_VECTORS
#endif
#include "kernels/body_panel_steps.h"
#define DN_TILED steps_1_1
#define DN_EACH_ROW DN_ONE_ROW
#define DN_EACH_PANEL DN_ONE_VECTOR
#include "kernels/body_panel_steps.h"

static void map_steps(const dn_steps *m) {
    int row = 0, column = 0;
#ifdef DN_WIDE
    enum { PANELS = 8 };
    for (int rows = m->rows - m->rows % 8; column + 32 <= m->columns && rows; column += 32) {
        for (row = 0; row < rows; row += 8) steps_8_2(m, row, column);
    }
    if (row && column < m->columns) {
        for (int r = 0; r < row; r += 4) steps_4_1(m, r, column);
    }
#else
    enum { PANELS = 2 };
#endif
    int fours = m->rows - (m->rows - row) % 4;
    for (column = 0; column < m->columns && row < fours; column += 16) {
        for (int r = row; r < fours; r += 4) steps_4_1(m, r, column);
    }
    for (row = row < fours ? fours : row; row < m->rows; row++) {
        for (column = 0; column + 16 * PANELS <= m->columns; column += 16 * PANELS) steps_1_8(m, row, column);
        for (; column < m->columns; column += 16) steps_1_1(m, row, column);
    }
}

static float step_rows(int8_t *steps, const float *x, int n) {
    const float most = greatest(x, n);
    int i = 0;
    if (most < 1e-30f) {
        memset(steps, 0, (size_t)(n + 3) / 4 * 4);
        return 0;
    }
    const float whole = 127.0f / most;
    for (; i + 8 <= n; i += 8) {
        v8 at = v8_add(v8_mul(v8_load(x + i), v8_set(whole)), v8_set(0.5f));
        v8_store_steps(steps + i, v8_min(at, v8_set(127.0f)));
    }
    if (i < n) {
        float rest[8] = {0};
        int8_t last[8];
        memcpy(rest, x + i, (size_t)(n - i) * sizeof(*x));
        v8 at = v8_add(v8_mul(v8_load(rest), v8_set(whole)), v8_set(0.5f));
        v8_store_steps(last, v8_min(at, v8_set(127.0f)));
        memcpy(steps + i, last, (size_t)(n + 3 - i) / 4 * 4);
    }
    return most / 127.0f;
}

static void lstm(float *h, float *c, const float *gates, int units, int rows) {
    for (int row = 0; row < rows; row++, h += units, c += units, gates += 4 * units) {
        for (int i = 0; i < units; i += 8) {
            v8 enter = sigmoid_vector(v8_load(gates + i)), keep = sigmoid_vector(v8_load(gates + units + i));
            v8 candidate = tanh_vector(v8_load(gates + 2 * units + i));
            v8 cell = v8_fma(keep, v8_load(c + i), v8_mul(enter, candidate));
            v8_store(c + i, cell);
            v8_store(h + i, v8_mul(sigmoid_vector(v8_load(gates + 3 * units + i)), tanh_vector(cell)));
        }
    }
}

static void normalise(float *y, const float *x, const float *weight, const float *bias, float least, int n) {
    v8 sum = v8_set(0), squares = sum;
    float rest = 0;
    int i = 0;
    for (; i + 8 <= n; i += 8) sum = v8_add(sum, v8_load(x + i));
    for (int j = i; j < n; j++) rest += x[j];
    const float mean = (v8_sum(sum) + rest) / (float)n;
    rest = 0;
    for (i = 0; i + 8 <= n; i += 8) {
        v8 apart = v8_sub(v8_load(x + i), v8_set(mean));
        squares = v8_fma(apart, apart, squares);
        v8_store(y + i, apart);
    }
    for (; i < n; i++) {
        y[i] = x[i] - mean;
        rest += y[i] * y[i];
    }
    const float share = 1 / sqrtf((v8_sum(squares) + rest) / (float)n + least);
    for (i = 0; i + 8 <= n; i += 8) {
        v8 white = v8_mul(v8_load(y + i), v8_set(share));
        v8_store(y + i, v8_add(v8_mul(white, v8_load(weight + i)), v8_load(bias + i)));
    }
    for (; i < n; i++) y[i] = y[i] * share * weight[i] + bias[i];
}

/* x = 2^e m, m from the root of a half to that of 2: ln(x) = e ln(2) + 2 artanh((m - 1) / (m + 1)), of whose series the
 * first terms that are left out are below 3e-9 of it. */
static void logarithms(float *v, float least, int n) {
    for (int i = 0; i < n; i++) {
        const float x = v[i] + least;
        uint32_t bits;
        memcpy(&bits, &x, sizeof(bits));
        const int32_t exponent = (int32_t)(bits - 0x3f3504f3u) >> 23; /* the root of a half */
        bits -= (uint32_t)exponent << 23;
        float m;
        memcpy(&m, &bits, sizeof(m));
        const float s = (m - 1) / (m + 1), s2 = s * s, e = (float)exponent;
        const float series = (((1.0f / 9 * s2 + 1.0f / 7) * s2 + 1.0f / 5) * s2 + 1.0f / 3) * s2;
        v[i] = e * 0.693359375f + (2 * s + (2 * s * series + e * -2.12194440e-4f)); /* ln(2) in two parts */
    }
}
