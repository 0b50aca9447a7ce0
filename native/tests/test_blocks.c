/* Spectra must be what the definition says, and blocks that nothing changed must add up to the signal. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "denoise.h"

enum { MOST = 2048, HOPS = 7 };

static float in[2 * HOPS * MOST], line[4 * HOPS * MOST], spectra[4 * HOPS * MOST * 4], frames[4 * HOPS * MOST * 4];
static float magnitudes[4 * HOPS * MOST], gains[4 * HOPS * MOST], out[2 * HOPS * MOST], single[2 * HOPS * MOST];
static float past[2][2 * MOST], pending[2][2 * MOST];

static void fill(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = random_float();
}

/* Bins of the first block against the sum that defines them. */
static void test_spectrum(int32_t block) {
    dn_blocks *blocks;
    CHECK(dn_blocks_create(block, block, &blocks) == DN_OK);
    fill(in, (size_t)block);
    dn_blocks_analyse(blocks, 1, 1, past[0], in, line, spectra, magnitudes, past[1]);
    double worst = 0;
    for (int32_t k = 0; k <= block / 2; k++) {
        double re = 0, im = 0;
        for (int32_t i = 0; i < block; i++) {
            double angle = 6.283185307179586 * (double)k * i / block;
            re += in[i] * cos(angle);
            im -= in[i] * sin(angle);
        }
        worst = fmax(worst, fabs(re - spectra[2 * k]) + fabs(im - spectra[2 * k + 1]));
        worst = fmax(worst, fabs(sqrt(re * re + im * im) - magnitudes[k]));
    }
    CHECK(worst < 1e-6 * block);
    for (int32_t k = 0; k <= block / 2; k++) gains[k] = 1;
    dn_blocks_synthesise(blocks, 1, spectra, gains, frames);
    for (int32_t i = 0; i < block; i++) CHECK(fabsf(frames[i] - in[i]) < 2e-6f);
    dn_blocks_destroy(blocks);
}

/* Two channels, all hops at once and one by one: block / hop times the signal, late, and the same bits both ways. */
static void test_overlap(int32_t block, int32_t hop) {
    dn_blocks *blocks;
    CHECK(dn_blocks_create(block, hop, &blocks) == DN_OK);
    size_t late = (size_t)(block - hop), n = HOPS * (size_t)hop, bins = (size_t)block / 2 + 1;
    fill(in, 2 * n);
    memset(past, 0, sizeof past);
    memset(pending, 0, sizeof pending);
    for (size_t i = 0; i < 2 * HOPS * bins; i++) gains[i] = 1;
    dn_blocks_analyse(blocks, 2, HOPS, past[0], in, line, spectra, magnitudes, past[1]);
    dn_blocks_synthesise(blocks, 2 * HOPS, spectra, gains, frames);
    dn_blocks_add(blocks, 2, HOPS, frames, pending[0], out, pending[1]);
    for (size_t c = 0; c < 2; c++) {
        for (size_t i = 0; i < n; i++) {
            float wanted = i < late ? 0 : (float)(block / hop) * in[c * n + i - late];
            CHECK(fabsf(out[c * n + i] - wanted) < 1e-5f);
        }
    }
    memset(past, 0, sizeof past);
    memset(pending, 0, sizeof pending);
    for (size_t h = 0; h < HOPS; h++) {
        const size_t now = h % 2, next = 1 - now;
        dn_blocks_analyse(blocks, 1, 1, past[now], in + h * (size_t)hop, line, spectra, magnitudes, past[next]);
        dn_blocks_synthesise(blocks, 1, spectra, gains, frames);
        dn_blocks_add(blocks, 1, 1, frames, pending[now], single + h * (size_t)hop, pending[next]);
    }
    CHECK(memcmp(single, out, n * sizeof(*out)) == 0);
    dn_blocks_destroy(blocks);
}

int main(void) {
    for (int32_t block = 16; block <= MOST; block *= 2) {
        test_spectrum(block);
        for (int32_t hop = block; hop >= block / 8; hop /= 2) test_overlap(block, hop);
    }
    dn_blocks *blocks;
    const int32_t bad[][2] = {{8, 2}, {4096, 1024}, {500, 125}, {512, 0}, {512, -1}, {512, 1024}, {512, 100}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(dn_blocks_create(bad[i][0], bad[i][1], &blocks) == DN_BAD_RANGE && blocks == NULL);
    }
    dn_blocks_destroy(NULL);
    return done("blocks");
}
