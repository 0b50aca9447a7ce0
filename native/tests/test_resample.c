/* A tone must come out as the same tone, in time and at its level; one above the lower Nyquist rate must not come
 * out.*/
#include <math.h>

#include "check.h"
#include "denoise.h"

enum { MOST = 400000 };

static float in[MOST], out[MOST], pieces[MOST];

/* Largest difference from a tone of that frequency and level, over the middle of the signal. */
static double error_of(const float *x, size_t n, double rate, double hz, double level) {
    double worst = 0;
    for (size_t i = n / 4; i < n * 3 / 4; i++) {
        worst = fmax(worst, fabs((double)x[i] - level * sin(6.283185307179586 * hz * (double)i / rate)));
    }
    return worst;
}

static size_t outputs(int32_t reach, size_t n, int32_t in_rate, int32_t out_rate) {
    return (size_t)(((int64_t)n - 2 * reach) * out_rate / in_rate);
}

/* in_rate to out_rate: reach zeros, then half a second. */
static void test_pair(int32_t in_rate, int32_t out_rate) {
    dn_ratio *ratio;
    CHECK(dn_ratio_create(in_rate, out_rate, &ratio) == DN_OK);
    int32_t reach = dn_ratio_reach(ratio), lower = in_rate < out_rate ? in_rate : out_rate;
    const double share[] = {0.01, 0.25, 0.445, 0.505};
    size_t n = (size_t)(in_rate / 2 + 4 * reach), count = outputs(reach, n, in_rate, out_rate);
    CHECK(n <= MOST && count <= MOST);
    for (int t = 0; t < 4; t++) {
        double hz = share[t] * lower;
        if (share[t] > 0.5 && lower == in_rate) continue; /* cannot be in the input */
        for (size_t i = 0; i < n; i++) {
            double at = ((double)i - reach) / in_rate;
            in[i] = i < (size_t)reach ? 0 : (float)sin(6.283185307179586 * hz * at);
        }
        CHECK(dn_resample(ratio, in, -reach, n, out, 0, count) == DN_OK);
        CHECK(error_of(out, count, out_rate, hz, share[t] < 0.5 ? 1 : 0) < 3e-5);
    }
    for (size_t done_count = 0, step = 1; done_count < count; done_count += step, step = step * 3 % 1000 + 1) {
        if (step > count - done_count) step = count - done_count;
        CHECK(dn_resample(ratio, in, -reach, n, pieces + done_count, (int64_t)done_count, step) == DN_OK);
    }
    int same = 1;
    for (size_t i = 0; i < count; i++) same &= pieces[i] == out[i];
    CHECK(same);

    CHECK(dn_resample(ratio, in, -reach, n, out, 0, count + (size_t)(reach * (int64_t)out_rate / in_rate) + 3) ==
          DN_BAD_RANGE);
    CHECK(dn_resample(ratio, in, 1, n, out, 0, 1) == DN_BAD_RANGE);
    CHECK(dn_resample(ratio, in, 0, n, out, -1, 1) == DN_BAD_RANGE);
    CHECK(dn_resample(ratio, in, 0, 0, out, 0, 0) == DN_OK);
    dn_ratio_destroy(ratio);
}

/* After a million hours the places of the outputs are still exact. */
static void test_far_out(void) {
    dn_ratio *ratio;
    CHECK(dn_ratio_create(44100, 48000, &ratio) == DN_OK);
    int64_t far_in = 44100ll * 3600 * 1000000, far_out = 48000ll * 3600 * 1000000;
    for (int i = 0; i < 2000; i++) in[i] = random_float();
    CHECK(dn_resample(ratio, in, 0, 2000, out, 160, 1000) == DN_OK);
    CHECK(dn_resample(ratio, in, far_in, 2000, pieces, far_out + 160, 1000) == DN_OK);
    for (int i = 0; i < 1000; i++) CHECK(out[i] == pieces[i]);
    const int64_t places[] = {INT64_MIN, INT64_MIN + 1, -far_in, far_in, INT64_MAX - 1, INT64_MAX};
    for (int s = 0; s < 6; s++) { /* numbers that no signal has are refused, whatever their sums are */
        for (int f = 0; f < 6; f++) CHECK(dn_resample(ratio, in, places[s], 2000, out, places[f], 1) == DN_BAD_RANGE);
        CHECK(dn_resample(ratio, in, places[s], 2000, out, 160, 1000) == DN_BAD_RANGE);
        CHECK(dn_resample(ratio, in, 0, 2000, out, places[s], SIZE_MAX) == DN_BAD_RANGE);
    }
    dn_ratio_destroy(ratio);
}

int main(void) {
    const int32_t rates[] = {8000, 11025, 16000, 22050, 24000, 32000, 44100, 44101, 96000, 192000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
        test_pair(rates[i], 48000);
        test_pair(48000, rates[i]);
    }
    test_pair(44100, 16000);
    test_far_out();
    dn_ratio *ratio;
    CHECK(dn_ratio_create(0, 48000, &ratio) == DN_BAD_RANGE && ratio == NULL);
    dn_ratio_destroy(NULL);
    return done("test_resample");
}
