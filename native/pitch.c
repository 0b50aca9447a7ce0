/* Open-loop pitch search on the whitened signal at half rate, coarse to fine, then a check for octave errors. The
 * method is that of RNNoise 0.1, which has it from the CELT layer of Opus. */
#include "pitch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "larger.h"

enum {
    HALF = DN_HISTORY / 2,  /* 864 samples of 24 kHz */
    TARGET = DN_WINDOW / 2, /* the newest 480 of them are matched with the past */
    MAX_LAG = DN_MAX_PERIOD / 2,
    MIN_LAG = DN_MIN_PERIOD / 2,
    LAGS = 294,             /* candidates at 24 kHz: periods from 768 down to 180 */
    COARSE_LAGS = LAGS / 2, /* and at 12 kHz */
    COARSE_TARGET = TARGET / 2,
    ORDER = 4,
    PAD = 8, /* floats before and after an array, for whole vectors */
};

/* Levinson-Durbin: prediction error filter 1 + sum of a[i] z^-(i+1) from the autocorrelation r[0..ORDER]. */
static void predict(const float *r, float *a) {
    memset(a, 0, ORDER * sizeof(*a));
    float error = r[0];
    if (error <= 0) return;
    for (int i = 0; i < ORDER; i++) {
        float sum = r[i + 1];
        for (int j = 0; j < i; j++) sum += a[j] * r[i - j];
        float reflection = -sum / error;
        a[i] = reflection;
        for (int j = 0; j < (i + 1) / 2; j++) {
            float low = a[j], high = a[i - 1 - j];
            a[j] = low + reflection * high;
            a[i - 1 - j] = high + reflection * low;
        }
        error -= reflection * reflection * error;
        if (error <= 0.001f * r[0]) return; /* equal where both are zero, of a signal too faint for its squares */
    }
}

/* y[HALF]: history at half rate with its spectrum flattened. */
static void whiten(const dn_kernels *k, const float *history, float *y) {
    float raw[PAD + HALF] = {0};
    float *x = raw + PAD;
    k->halve(x, history, HALF);
    x[0] = 0.25f * history[1] + 0.5f * history[0];

    float r[ORDER + 1], a[ORDER];
    for (int lag = 0; lag <= ORDER; lag++) {
        float window = 0.008f * (float)lag;
        r[lag] = k->dot(x, x + lag, HALF - lag) * (lag == 0 ? 1.0001f : 1 - window * window);
    }
    predict(r, a);
    float narrower = 0.9f; /* bandwidth expansion */
    for (int i = 0; i < ORDER; i++, narrower *= 0.9f) a[i] *= narrower;
    const float zero = 0.8f; /* times 1 + 0.8 z^-1 */
    const float taps[5] = {a[0] + zero, a[1] + zero * a[0], a[2] + zero * a[1], a[3] + zero * a[2], zero * a[3]};
    k->fir5(y, x, taps, HALF);
}

/* The best and second best candidate seen so far, by correlation squared over energy. */
typedef struct {
    float score[2];
    int lag[2];
} dn_best;

static const dn_best no_best = {{-1, -1}, {0, 1}};

/* Correlation squared over energy; -1 for what does not correlate. */
static float score(float correlation, float energy) {
    float small = correlation * 1e-12f, value = small * small / energy; /* the square of a loud signal stays in range */
    return correlation > 0 ? value : -1;
}

/* Keeps a candidate that is better than one of the two. */
static void offer(dn_best *best, float value, int lag) {
    if (value <= best->score[1]) return;
    int place = value > best->score[0] ? 0 : 1;
    if (place == 0) {
        best->score[1] = best->score[0];
        best->lag[1] = best->lag[0];
    }
    best->score[place] = value;
    best->lag[place] = lag;
}

/* Energy of n samples that begin one later than those of energy, which begin at y. */
static float next_energy(float energy, const float *y, int n) {
    return dn_larger(energy + (y[n] * y[n] - y[0] * y[0]), 1);
}

static void coarse_search(const dn_kernels *k, const float *y, int lag[2]) {
    enum { PADDED = (COARSE_LAGS + PAD - 1) / PAD * PAD };
    float every2nd[HALF / 2 + 2 * PAD], correlation[PADDED], energy[PADDED];
    for (int i = 0; i < HALF / 2; i++) every2nd[i] = y[2 * i];
    memset(every2nd + HALF / 2, 0, 2 * PAD * sizeof(*every2nd));
    const float *target = every2nd + MAX_LAG / 2;
    k->correlate(correlation, target, every2nd, COARSE_TARGET, PADDED);
    energy[0] = 1 + k->dot(every2nd, every2nd, COARSE_TARGET);
    for (int i = 1; i < COARSE_LAGS; i++) energy[i] = next_energy(energy[i - 1], every2nd + i - 1, COARSE_TARGET);
    for (int i = 0; i < COARSE_LAGS; i++) correlation[i] = score(correlation[i], energy[i]);
    dn_best best = no_best;
    for (int i = 0; i < COARSE_LAGS; i++) offer(&best, correlation[i], i);
    lag[0] = best.lag[0];
    lag[1] = best.lag[1];
}

/* Side of the middle one of three neighbouring correlations on which the true peak lies: -1, 0 or 1. */
static int lean(float before, float here, float after) {
    if (after - before > 0.7f * (here - before)) return 1;
    if (before - after > 0.7f * (here - after)) return -1;
    return 0;
}

/* Correlation of the target with itself lag samples ago, and the energy that it had then. */
static void match(const dn_kernels *k, const float *target, int lag, float *xy, float *yy) {
    float sums[2];
    k->match(target, target - lag, TARGET, sums);
    *xy = sums[0];
    *yy = sums[1];
}

/* Searches coarse to fine for the period; in samples of 48 kHz. */
static int search(const dn_kernels *k, const float *y) {
    int coarse[2];
    coarse_search(k, y, coarse);
    const float *target = y + MAX_LAG;
    float correlation[LAGS] = {0}, energy = 0;
    int first = coarse[0] < coarse[1] ? coarse[0] : coarse[1], second = coarse[0] + coarse[1] - first;
    dn_best best = no_best;
    for (int part = 0, i = 0, last = -2; part < 2; part++) {
        int middle = 2 * (part ? second : first), end = middle + 3 < LAGS ? middle + 3 : LAGS;
        for (i = middle - 2 > i ? middle - 2 : i; i < end; i++) {
            if (last == i - 1) {
                correlation[i] = k->dot(target, y + i, TARGET);
                energy = next_energy(energy, y + last, TARGET);
            } else {
                match(k, target, MAX_LAG - i, &correlation[i], &energy);
                energy += 1;
            }
            last = i;
            correlation[i] = dn_larger(correlation[i], -1);
            offer(&best, score(correlation[i], energy), i);
        }
    }
    int i = best.lag[0], offset = 0;
    if (i > 0 && i < LAGS - 1) offset = lean(correlation[i - 1], correlation[i], correlation[i + 1]);
    return DN_MAX_PERIOD - (2 * i - offset);
}

static float normalised(float xy, float xx, float yy) {
    return xy / sqrtf(1 + xx * yy);
}

/* Tries a half, a third, ... a fifteenth of the period, which may be a multiple of the true one. */
static void remove_multiples(const dn_kernels *k, const float *y, int period, dn_pitch *pitch) {
    static const int second_multiple[16] = {0, 0, 0, 2, 3, 2, 5, 2, 3, 2, 3, 2, 5, 2, 3, 2};
    const float *target = y + MAX_LAG;
    int longest = period / 2 < MAX_LAG ? period / 2 : MAX_LAG - 1, before = pitch->period / 2, lag = longest;
    float xx = k->dot(target, target, TARGET), best_xy, best_yy;
    match(k, target, longest, &best_xy, &best_yy);
    float longest_gain = normalised(best_xy, xx, best_yy), gain = longest_gain;
    for (int n = 2; n <= 15; n++) {
        int shorter = (2 * longest + n) / (2 * n);
        if (shorter < MIN_LAG) break;
        int other = (2 * second_multiple[n] * longest + n) / (2 * n);
        if (n == 2) other = longest + shorter <= MAX_LAG ? longest + shorter : longest;
        float xy, yy, xy_other, yy_other;
        match(k, target, shorter, &xy, &yy);
        match(k, target, other, &xy_other, &yy_other);
        xy = 0.5f * (xy + xy_other);
        yy = 0.5f * (yy + yy_other);
        float shorter_gain = normalised(xy, xx, yy), continuity = 0;
        if (abs(shorter - before) <= 1) {
            continuity = pitch->gain;
        } else if (abs(shorter - before) <= 2 && 5 * n * n < longest) {
            continuity = 0.5f * pitch->gain;
        }
        float threshold = shorter < 3 * MIN_LAG ? dn_larger(0.85f * longest_gain - continuity, 0.4f)
                                                : dn_larger(0.7f * longest_gain - continuity, 0.3f);
        if (shorter_gain > threshold) {
            best_xy = xy;
            best_yy = yy;
            lag = shorter;
            gain = shorter_gain;
        }
    }
    best_xy = dn_larger(best_xy, 0);
    float peak_gain = best_yy <= best_xy ? 1 : best_xy / (best_yy + 1);
    float neighbours[3];
    for (int i = 0; i < 3; i++) neighbours[i] = k->dot(target, target - (lag + i - 1), TARGET);
    int fine = 2 * lag + lean(neighbours[0], neighbours[1], neighbours[2]);
    pitch->period = fine > DN_MIN_PERIOD ? fine : DN_MIN_PERIOD;
    pitch->gain = dn_smaller(peak_gain, gain);
}

void dn_pitch_search(const dn_kernels *k, const float *history, dn_pitch *pitch) {
    float y[HALF + PAD] = {0};
    whiten(k, history, y);
    remove_multiples(k, y, search(k, y), pitch);
}
