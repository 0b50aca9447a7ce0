/* Change of sampling rate by a windowed sinc, one filter for each place between two input samples that an output can
 * fall on. Blocks of outputs by Fourier transform would need fewer operations and hold tens of milliseconds back. */
#include <math.h>
#include <stdlib.h>

#include "denoise.h"
#include "fpmode.h"
#include "kernels/table.h"
#include "memory.h"

enum {
    MOST_FILTERS = 1024 /* with more places than these, neighbouring filters are interpolated (error below -120 dB) */
};

struct dn_ratio {
    const dn_kernels *kernels;
    int64_t in_step, out_step; /* in_rate and out_rate without common factors */
    int32_t reach, taps;
    int32_t filters; /* places between two inputs; one more filter follows, for the next input's place */
    int interpolated;
    float *table; /* [filters + 1][taps] */
};

static int64_t common_factor(int64_t a, int64_t b) {
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Modified Bessel function of order 0, by its power series. */
static double bessel_i0(double x) {
    double sum = 1, term = 1;
    for (int k = 1; term > 1e-17 * sum; k++) {
        term *= x / (2 * k) * (x / (2 * k));
        sum += term;
    }
    return sum;
}

/* How good a filter is: periods of the lower rate that the sinc reaches on each side, its middle in cycles of that
 * rate, and the shape of Kaiser's window (Kaiser 1974). */
typedef struct {
    int32_t reach, multiple; /* multiple: reach is rounded up to one of it */
    double cutoff, beta;
} quality;

static const quality BEST = {64, 1, 0.475, 10.06}; /* 100 dB */
static const quality QUICK = {16, 4, 0.42, 7.86};  /* 80 dB; whole vectors */

/* The low-pass at t input samples from its middle, before its gain is set to 1. cutoff: cycles an input sample. */
static double low_pass(double t, double cutoff, double reach, double beta) {
    const double pi = 3.141592653589793;
    double x = t / reach;
    if (fabs(x) >= 1) return 0;
    double angle = 2 * pi * cutoff * t, sinc = fabs(angle) < 1e-9 ? 1 : sin(angle) / angle;
    return sinc * bessel_i0(beta * sqrt(1 - x * x));
}

static void fill_table(dn_ratio *ratio, double cutoff, double reach, double beta) {
    for (int32_t f = 0; f <= ratio->filters; f++) {
        float *filter = ratio->table + (size_t)f * (size_t)ratio->taps;
        double place = (double)f / (double)ratio->filters, sum = 0;
        for (int32_t j = 0; j < 2 * ratio->reach; j++)
            sum += low_pass(j - ratio->reach + 1 - place, cutoff, reach, beta);
        for (int32_t j = 0; j < 2 * ratio->reach; j++) {
            filter[j] = (float)(low_pass(j - ratio->reach + 1 - place, cutoff, reach, beta) / sum);
        }
    }
}

static dn_status create(int32_t in_rate, int32_t out_rate, quality wanted, dn_ratio **out) {
    const int32_t most = 1000000, most_apart = 1000;
    *out = NULL;
    if (in_rate < 1 || in_rate > most || out_rate < 1 || out_rate > most) return DN_BAD_RANGE;
    if (in_rate / out_rate > most_apart || out_rate / in_rate > most_apart) return DN_BAD_RANGE;
    dn_ratio *ratio = dn_new(sizeof(*ratio));
    if (!ratio) return DN_NO_MEMORY;
    int64_t factor = common_factor(in_rate, out_rate);
    double narrow = in_rate > out_rate ? (double)out_rate / in_rate : 1, reach = wanted.reach / narrow;
    ratio->kernels = dn_kernels_find(NULL);
    ratio->in_step = in_rate / factor;
    ratio->out_step = out_rate / factor;
    ratio->reach = ((int32_t)ceil(reach) + wanted.multiple - 1) / wanted.multiple * wanted.multiple;
    ratio->taps = dn_round_up_8(2 * ratio->reach);
    ratio->interpolated = ratio->out_step > MOST_FILTERS;
    ratio->filters = ratio->interpolated ? MOST_FILTERS : (int32_t)ratio->out_step;
    ratio->table = dn_new(((size_t)ratio->filters + 1) * (size_t)ratio->taps * sizeof(float));
    if (!ratio->table) {
        dn_ratio_destroy(ratio);
        return DN_NO_MEMORY;
    }
    fill_table(ratio, wanted.cutoff * narrow, reach, wanted.beta);
    *out = ratio;
    return DN_OK;
}

dn_status dn_ratio_create(int32_t in_rate, int32_t out_rate, dn_ratio **out) {
    return create(in_rate, out_rate, BEST, out);
}

dn_status dn_ratio_create_quick(int32_t in_rate, int32_t out_rate, dn_ratio **out) {
    return create(in_rate, out_rate, QUICK, out);
}

void dn_ratio_destroy(dn_ratio *ratio) {
    if (ratio) dn_delete(ratio->table);
    dn_delete(ratio);
}

int32_t dn_ratio_reach(const dn_ratio *ratio) {
    return ratio->reach;
}

/* Where output sample m is: the input sample before it, and how many out_steps behind that. */
static int64_t place_of(const dn_ratio *ratio, int64_t m, int64_t *behind) {
    int64_t whole = m / ratio->out_step, rest = m % ratio->out_step; /* m * in_step could overflow */
    *behind = rest * ratio->in_step % ratio->out_step;
    return whole * ratio->in_step + rest * ratio->in_step / ratio->out_step;
}

int64_t dn_ratio_ready(const dn_ratio *ratio, int64_t n) {
    int64_t reached = n - ratio->reach; /* outputs before this place are ready */
    if (reached <= 0) return 0;
    int64_t whole = reached / ratio->in_step, rest = reached % ratio->in_step;
    return whole * ratio->out_step + (rest * ratio->out_step + ratio->in_step - 1) / ratio->in_step;
}

int64_t dn_ratio_first(const dn_ratio *ratio, int64_t m) {
    int64_t behind;
    return place_of(ratio, m, &behind) - ratio->reach + 1;
}

static float one_sample(const dn_ratio *ratio, const float *in, int64_t behind) {
    size_t taps = (size_t)ratio->taps;
    int n = 2 * ratio->reach;
    if (!ratio->interpolated) return ratio->kernels->dot(ratio->table + (size_t)behind * taps, in, n);
    int64_t fine = behind * MOST_FILTERS;
    const float *filter = ratio->table + (size_t)(fine / ratio->out_step) * taps;
    float toward_next = (float)(fine % ratio->out_step) / (float)ratio->out_step;
    float here = ratio->kernels->dot(filter, in, n), next = ratio->kernels->dot(filter + taps, in, n);
    return here + toward_next * (next - here);
}

dn_status dn_resample(const dn_ratio *ratio, const float *in, int64_t start, size_t n, float *out, int64_t first,
                      size_t count) {
    const int64_t far = (int64_t)1 << 52; /* up to here no product in place_of overflows */
    if (count == 0) return DN_OK;
    if (first < 0 || first > far || (uint64_t)count > (uint64_t)(far - first)) return DN_BAD_RANGE;
    int64_t behind, place = place_of(ratio, first, &behind);
    int64_t behind_last, last = place_of(ratio, first + (int64_t)count - 1, &behind_last);
    if (start > place - ratio->reach + 1) return DN_BAD_RANGE;
    /* Unsigned, because start may be so far back that the difference is no int64_t. */
    if ((uint64_t)(last + ratio->reach) - (uint64_t)start >= n) return DN_BAD_RANGE;
    const float *from = in + (place - ratio->reach + 1 - start);
    uint64_t mode = dn_enter();
    int64_t steps = ratio->in_step / ratio->out_step, rest = ratio->in_step % ratio->out_step;
    for (size_t i = 0; i < count; i++) {
        out[i] = one_sample(ratio, from, behind);
        from += steps;
        behind += rest;
        if (behind >= ratio->out_step) {
            behind -= ratio->out_step;
            from++;
        }
    }
    dn_leave(mode);
    return DN_OK;
}
