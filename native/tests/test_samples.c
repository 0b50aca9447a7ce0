/* Samples taken and given back must be what they were, rounded and clipped, and nothing beside them is touched. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "samples.h"

enum { MOST_CHANNELS = 3, MOST_FRAMES = 37, MOST = MOST_CHANNELS * MOST_FRAMES };

static const float limit = 1e5f;

/* To rows that lie apart, and back. */
static void round_trip(dn_type type, size_t size, const void *in, size_t channels, size_t frames) {
    static float rows[MOST_CHANNELS * (MOST_FRAMES + 1)];
    static unsigned char out[MOST * sizeof(double) + 8];
    memset(out, 0xa5, sizeof(out));
    for (size_t c = 0; c < channels; c++) rows[c * (frames + 1) + frames] = 9;
    CHECK(dn_take_samples(type, in, channels, frames, limit, rows, frames + 1) == DN_OK);
    for (size_t c = 0; c < channels; c++) {
        for (size_t i = 0; i < frames; i++) CHECK(fabsf(rows[c * (frames + 1) + i]) <= 1);
        CHECK(rows[c * (frames + 1) + frames] == 9);
    }
    dn_give_samples(type, rows, frames + 1, channels, frames, out);
    CHECK(memcmp(in, out, channels * frames * size) == 0);
    CHECK(out[channels * frames * size] == 0xa5);
}

static void test_round_trips(size_t channels, size_t frames) {
    int16_t shorts[MOST];
    int32_t ints[MOST];
    float floats[MOST];
    double doubles[MOST];
    for (size_t i = 0; i < channels * frames; i++) {
        shorts[i] = (int16_t)(random_bits() & 0xffff);
        ints[i] = (int32_t)(random_bits() >> 9) * 256 - 1073741824; /* what a float can hold */
        floats[i] = random_float();
        doubles[i] = random_float();
    }
    shorts[0] = INT16_MIN;
    ints[0] = INT32_MIN;
    round_trip(DN_INT16, sizeof(int16_t), shorts, channels, frames);
    round_trip(DN_INT32, sizeof(int32_t), ints, channels, frames);
    round_trip(DN_FLOAT, sizeof(float), floats, channels, frames);
    round_trip(DN_DOUBLE, sizeof(double), doubles, channels, frames);
}

static void test_rounding(void) {
    const float in[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 32766.5f, 32767.5f, 40000, -32768.5f, -40000, 1e30f, -1e30f};
    const int16_t wanted[] = {0, 2, 2, 0, -2, 32766, 32767, 32767, -32768, -32768, 32767, -32768};
    enum { COUNT = sizeof(in) / sizeof(in[0]) };
    float fresh[COUNT];
    int16_t out[COUNT];
    for (size_t i = 0; i < COUNT; i++) fresh[i] = in[i] / 32768;
    dn_give_samples(DN_INT16, fresh, COUNT, 1, COUNT, out);
    CHECK(memcmp(out, wanted, sizeof(out)) == 0);
    const float loud[] = {1, -1, 2, -1e30f};
    int32_t wide[4];
    dn_give_samples(DN_INT32, loud, 4, 1, 4, wide);
    CHECK(wide[0] == 2147483520 && wide[1] == INT32_MIN && wide[2] == 2147483520 && wide[3] == INT32_MIN);
}

static void test_bad_samples(void) {
    const float bad[] = {NAN, INFINITY, -INFINITY, 1.1e5f, -1.1e5f};
    float in[MOST] = {0}, out[MOST];
    double wide[MOST] = {0};
    for (size_t i = 0; i < MOST; i++) {
        for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
            in[i] = bad[k];
            wide[i] = (double)bad[k];
            CHECK(dn_take_samples(DN_FLOAT, in, MOST_CHANNELS, MOST_FRAMES, limit, out, MOST_FRAMES) == DN_NOT_FINITE);
            CHECK(dn_take_samples(DN_DOUBLE, wide, MOST_CHANNELS, MOST_FRAMES, limit, out, MOST_FRAMES) ==
                  DN_NOT_FINITE);
        }
        in[i] = 1e5f;
        wide[i] = -1e5;
        CHECK(dn_take_samples(DN_FLOAT, in, MOST_CHANNELS, MOST_FRAMES, limit, out, MOST_FRAMES) == DN_OK);
        CHECK(dn_take_samples(DN_DOUBLE, wide, MOST_CHANNELS, MOST_FRAMES, limit, out, MOST_FRAMES) == DN_OK);
    }
}

/* What dn_round_samples makes of a number of full scale 1, by the C library's rint. */
static int64_t rounded(double v, int depth) {
    const double full = ldexp(1, depth - 1), steps = isnan(v) ? 0 : rint(v * full);
    return (int64_t)fmin(fmax(steps, -full), full - 1) * (1LL << ((depth > 16 ? 32 : 16) - depth));
}

/* All halves near zero and near full scale, what is beside them, and what no integer can hold. */
static void test_rounding_to_a_depth(int depth) {
    enum { STEPS = 50, COUNT = 3 * 2 * 3 * STEPS + 7 };
    static const float odd[7] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 1e-45f, -0.0f};
    static float floats[COUNT];
    static double doubles[COUNT];
    static int32_t ints[COUNT], wide[COUNT + 1];
    static int16_t shorts[COUNT], narrow[COUNT + 1];
    size_t n = 0;
    for (int place = -1; place <= 1; place++) {
        for (int halves = -STEPS; halves < STEPS; halves++) {
            double v = place + ldexp(halves, -depth);
            doubles[n++] = v;
            doubles[n++] = nextafter(v, 2);
            doubles[n++] = nextafter(v, -2);
        }
    }
    for (size_t i = 0; i < n; i++)
        floats[i] = i % 3 ? nextafterf((float)doubles[i], i % 2 ? 2 : -2) : (float)doubles[i];
    for (size_t i = 0; i < 7; i++, n++) doubles[n] = floats[n] = odd[i];
    for (size_t i = 0; i < n; i++) {
        double whole = floats[i] >= -1 && floats[i] <= 1 ? floats[i] : 0;
        ints[i] = (int32_t)fmin(rint(whole * 0x1p31), INT32_MAX);
        shorts[i] = (int16_t)fmin(rint(whole * 0x1p15), INT16_MAX);
    }
    const void *in[] = {[DN_INT16] = shorts, [DN_INT32] = ints, [DN_FLOAT] = floats, [DN_DOUBLE] = doubles};
    for (dn_type type = DN_INT16; type <= DN_DOUBLE; type++) {
        wide[n] = narrow[n] = 12345;
        dn_round_samples(type, in[type], n, depth, depth > 16 ? (void *)wide : (void *)narrow);
        for (size_t i = 0; i < n; i++) {
            double v = type == DN_INT16   ? shorts[i] * 0x1p-15
                       : type == DN_INT32 ? ints[i] * 0x1p-31
                       : type == DN_FLOAT ? (double)floats[i]
                                          : doubles[i];
            CHECK((depth > 16 ? wide[i] : narrow[i]) == rounded(v, depth));
        }
        CHECK(wide[n] == 12345 && narrow[n] == 12345);
    }
}

int main(void) {
    for (size_t channels = 1; channels <= MOST_CHANNELS; channels++)
        for (size_t frames = 1; frames <= MOST_FRAMES; frames += 4) test_round_trips(channels, frames);
    test_rounding();
    test_bad_samples();
    for (int depth = 8; depth <= 32; depth++) test_rounding_to_a_depth(depth);
    return done("samples");
}
