/* The loops of networks that go along the places of a frame as well as along time: convolutions with steps, units that
 * bend by a slope, short GRUs up and down the places, gains that follow the power. Included by body.h. Values are rows
 * of channels, one for each place. */

static inline v8 within(v8 x) {
    return v8_min(v8_max(x, v8_set(-DN_ROWS_MOST)), v8_set(DN_ROWS_MOST));
}

/* Convolves rows whose sums do not wait for each other, in eight channels: one row, or eight by EACH_ROW. */
#define DN_FILTER(name, EACH_ROW)                                                                                      \
    static inline void name(const dn_places *f, int row, int c) {                                                      \
        const v8 bias = v8_load(f->bias + c);                                                                          \
        EACH_ROW(DN_START)                                                                                             \
        for (int t = 0; t < f->times; t++) {                                                                           \
            const float *in = f->x[t] + row * f->x_row + c, *w = f->w + t * f->w_time + c;                             \
            for (int tap = 0; tap < f->taps; tap++, in += f->x_tap, w += f->w_tap) {                                   \
                v8 weight = v8_load(w);                                                                                \
                EACH_ROW(DN_STEP)                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        float *y = f->y + row * f->y_row + c;                                                                          \
        EACH_ROW(DN_STORE)                                                                                             \
    }
#define DN_START(r) v8 sum##r = bias;
#define DN_STEP(r) sum##r = v8_muladd(weight, v8_load(in + (r)*f->x_row), sum##r);
#define DN_STORE(r) v8_store(y + (r)*f->y_row, sum##r);
DN_FILTER(filter_one, DN_ONE_ROW)
DN_FILTER(filter_eight, DN_EIGHT_ROWS)
#undef DN_START
#undef DN_STEP
#undef DN_STORE
#undef DN_FILTER

static void filter_places(const dn_places *f) {
    int eights = f->rows - f->rows % 8;
    for (int c = 0; c < f->channels; c += 8) {
        for (int row = 0; row < eights; row += 8) filter_eight(f, row, c);
        for (int row = eights; row < f->rows; row++) filter_one(f, row, c);
    }
}

static void bend_places(float *x, const float *scale, const float *offset, const float *slope, int rows, int channels) {
    v8 zero = v8_set(0);
    for (int c = 0; c < channels; c += 8) {
        v8 below = v8_load(slope + c);
        for (int at = c, end = c + rows * channels; at < end; at += channels) {
            v8 in = v8_load(x + at);
            v8 out = scale ? v8_muladd(v8_load(scale + at), in, v8_load(offset + at)) : in;
            v8_store(x + at, within(v8_muladd(below, v8_min(in, zero), out)));
        }
    }
}

/* tanh_vector with fewer operations that wait for each other, and up to a rounding beyond +-1. */
static inline v8 tanh_soon(v8 x) {
    v8 s = v8_min(v8_mul(x, x), v8_set(81.0f)), ss = v8_mul(s, s);
    v8 p = v8_muladd(s, v8_set(1.33810242e-01f), v8_set(9.99999979e-01f));
    v8 q = v8_muladd(s, v8_set(4.67143398e-01f), v8_set(1.0f));
    v8 p_high = v8_muladd(s, v8_set(2.06090569e-05f), v8_set(3.49558648e-03f));
    v8 q_high = v8_muladd(s, v8_set(3.28563219e-04f), v8_set(2.58769758e-02f));
    p_high = v8_muladd(ss, v8_set(1.33546296e-08f), p_high);
    q_high = v8_muladd(ss, v8_set(7.77654454e-07f), q_high);
    x = v8_min(v8_max(x, v8_set(-9.0f)), v8_set(9.0f));
    return v8_div(v8_mul(x, v8_muladd(ss, p_high, p)), v8_muladd(ss, q_high, q));
}

/* One gate's sum: what comes of the place, and of the four units of either direction, each of its own. */
static inline v8 gate_of(v8 x, const v8 *w, v8 h0, v8 h1, v8 h2, v8 h3) {
    return v8_add(v8_muladd(h2, w[2], v8_muladd(h0, w[0], x)), v8_muladd(h3, w[3], v8_mul(h1, w[1])));
}

static void gru_places(float *y, const float *from_x, const float *w, const float *bias, int chains, int places) {
    int x_row = 24 * chains, y_row = 8 * chains;
    for (int chain = 0; chain < chains; chain++, y += 8, from_x += 24, w += 96, bias += 8) {
        v8 h = v8_set(0), half = v8_set(0.5f), inner = v8_load(bias), u[12];
        for (int i = 0; i < 12; i++) u[i] = v8_load(w + 8 * i);
        const float *up = from_x, *down = from_x + (places - 1) * x_row;
        float *y_up = y, *y_down = y + (places - 1) * y_row;
        for (int i = 0; i < places; i++, up += x_row, down -= x_row, y_up += y_row, y_down -= y_row) {
            v8 h0 = v8_spread_0(h), h1 = v8_spread_1(h), h2 = v8_spread_2(h), h3 = v8_spread_3(h);
            v8 z = tanh_soon(gate_of(v8_from_fours(up, down + 4), u, h0, h1, h2, h3));
            v8 r = tanh_soon(gate_of(v8_from_fours(up + 8, down + 12), u + 4, h0, h1, h2, h3));
            v8 within_reset = v8_mul(half, gate_of(inner, u + 8, h0, h1, h2, h3));
            v8 n = tanh_soon(v8_muladd(r, within_reset, v8_add(within_reset, v8_from_fours(up + 16, down + 20))));
            h = v8_muladd(v8_fnma(half, z, half), n, v8_mul(v8_muladd(half, z, half), h));
            v8_store_fours(y_up, y_down + 4, h);
        }
    }
}

static inline v8 next_of(v8 h, v8 z, v8 r, v8 inner, v8 x) {
    v8 half = v8_set(0.5f);
    v8 keep = v8_muladd(half, tanh_soon(v8_mul(half, z)), half), within_reset = v8_mul(half, inner);
    v8 n = tanh_soon(v8_muladd(tanh_soon(v8_mul(half, r)), within_reset, v8_add(within_reset, x)));
    return v8_muladd(keep, v8_sub(h, n), n);
}

/* Makes a step up and a step down, which do not wait for each other, eight units at a time. */
static void gru_lines(float *y, const float *from_x, const float *w, const float *bias, int inputs, int units,
                      int places) {
    const float start[DN_LINE_UNITS] = {0}, *before_up = start, *before_down = start;
    const float *x_up = from_x, *x_down = from_x + (6 * places - 3) * units;
    float *up = y, *down = y + (2 * places - 1) * units;
    for (int i = 0; i < places; i++, x_up += 6 * units, x_down -= 6 * units) {
        for (int c = 0; c < units; c += 8) {
            v8 z0 = v8_load(x_up + c), r0 = v8_load(x_up + units + c), n0 = v8_load(bias + c);
            v8 z1 = v8_load(x_down + c), r1 = v8_load(x_down + units + c), n1 = v8_load(bias + units + c);
            const float *w0 = w + c, *w1 = w0 + 3 * inputs * units;
            for (int j = 0; j < inputs; j++, w0 += 3 * units, w1 += 3 * units) {
                v8 in0 = v8_set(before_up[j]), in1 = v8_set(before_down[j]);
                z0 = v8_muladd(in0, v8_load(w0), z0);
                r0 = v8_muladd(in0, v8_load(w0 + units), r0);
                n0 = v8_muladd(in0, v8_load(w0 + 2 * units), n0);
                z1 = v8_muladd(in1, v8_load(w1), z1);
                r1 = v8_muladd(in1, v8_load(w1 + units), r1);
                n1 = v8_muladd(in1, v8_load(w1 + 2 * units), n1);
            }
            v8_store(up + c, next_of(v8_load(before_up + c), z0, r0, n0, v8_load(x_up + 2 * units + c)));
            v8_store(down + c, next_of(v8_load(before_down + c), z1, r1, n1, v8_load(x_down + 2 * units + c)));
        }
        before_up = up;
        before_down = down;
        up += 2 * units;
        down -= 2 * units;
    }
}

/* Powers of eight rows at a time: their sums over channels as the columns of a square that is turned. */
static void power_places(float *of_channels, float *of_rows, const float *x, int rows, int channels) {
    v8 per_channel = v8_set(1 / (float)rows);
    for (int c = 0; c < channels; c += 8) {
        v8 sum[4] = {v8_set(0), v8_set(0), v8_set(0), v8_set(0)};
        for (int row = 0; row < rows; row++) {
            v8 in = v8_load(x + row * channels + c);
            sum[row % 4] = v8_muladd(in, in, sum[row % 4]);
        }
        v8_store(of_channels + c, v8_mul(per_channel, v8_add(v8_add(sum[0], sum[1]), v8_add(sum[2], sum[3]))));
    }
    int eights = rows - rows % 8;
    for (int row = 0; row < eights; row += 8) {
        v8 sum[8];
        for (int i = 0; i < 8; i++) {
            v8 in = v8_load(x + (row + i) * channels);
            sum[i] = v8_mul(in, in);
            for (int c = 8; c < channels; c += 8) {
                in = v8_load(x + (row + i) * channels + c);
                sum[i] = v8_muladd(in, in, sum[i]);
            }
        }
        v8_transpose(sum);
        for (int i = 4; i > 0; i /= 2) {
            for (int j = 0; j < i; j++) sum[j] = v8_add(sum[j], sum[i + j]);
        }
        v8_store(of_rows + row, sum[0]);
    }
    for (int row = eights; row < rows; row++) {
        v8 sum = v8_set(0);
        for (int c = 0; c < channels; c += 8) {
            v8 in = v8_load(x + row * channels + c);
            sum = v8_muladd(in, in, sum);
        }
        of_rows[row] = v8_sum(sum);
    }
}

static void gain_places(float *y, const float *x, const float *of_channels, const float *of_rows, const float *add,
                        int rows, int channels) {
    for (int c = 0; c < channels; c += 8) {
        v8 gain = v8_load(of_channels + c);
        for (int row = 0, at = c; row < rows; row++, at += channels) {
            v8 out = v8_mul(v8_load(x + at), gain);
            if (of_rows) out = v8_mul(out, v8_set(of_rows[row]));
            if (add) out = v8_add(out, v8_load(add + at));
            v8_store(y + at, out);
        }
    }
}

static void add_normal(float *x, const float *y, const float *scale, const float *offset, float least, int n) {
    v8 sum = v8_set(0), square = v8_set(0);
    for (int i = 0; i < n; i += 8) sum = v8_add(sum, v8_load(y + i));
    v8 mean = v8_set(v8_sum(sum) / (float)n);
    for (int i = 0; i < n; i += 8) {
        v8 apart = v8_sub(v8_load(y + i), mean);
        square = v8_muladd(apart, apart, square);
    }
    v8 share = v8_set(1 / sqrtf(v8_sum(square) / (float)n + least));
    for (int i = 0; i < n; i += 8) {
        v8 normal = v8_mul(v8_sub(v8_load(y + i), mean), share);
        v8 sum_up = v8_muladd(normal, v8_load(scale + i), v8_load(offset + i));
        v8_store(x + i, within(v8_add(v8_load(x + i), sum_up)));
    }
}

/* log(x) = n log(2) + 2 atanh(s), s = (m - 1) / (m + 1), x = m 2^n and m within a factor of 1.5 of 1. The bits of x as
 * a number are nearly its logarithm, of which n is the nearest whole. */
static void decades(float *v, float least, int n) {
    const float to_whole = 12582912.0f; /* see exp_vector */
    for (int i = 0; i < n; i += 8) {
        v8 x = v8_max(v8_load(v + i), v8_set(least));
        v8 power = v8_muladd(v8_bits(x), v8_set(1 / 8388608.0f), v8_set(-126.957f));
        v8 whole = v8_sub(v8_add(power, v8_set(to_whole)), v8_set(to_whole));
        v8 m = v8_mul(x, v8_of_bits(v8_mul(v8_sub(v8_set(127), whole), v8_set(8388608.0f))));
        v8 s = v8_div(v8_sub(m, v8_set(1)), v8_add(m, v8_set(1))), ss = v8_mul(s, s);
        v8 p = v8_muladd(ss, v8_set(2.0f / 11), v8_set(2.0f / 9));
        p = v8_muladd(p, ss, v8_set(2.0f / 7));
        p = v8_muladd(p, ss, v8_set(2.0f / 5));
        p = v8_muladd(p, ss, v8_set(2.0f / 3));
        p = v8_muladd(p, ss, v8_set(2.0f));
        v8 part = v8_mul(v8_mul(s, p), v8_set(0.4342944819f));
        v8_store(v + i, v8_muladd(whole, v8_set(0.3010299957f), part));
    }
}
