/* Features and targets for training, by the same code that runs live. */
#include <math.h>
#include <string.h>

#include "family.h"
#include "fpmode.h"
#include "larger.h"
#include "memory.h"

struct dn_extractor {
    const dn_kernels *kernels;
    dn_tables tables;
    dn_frontend noisy, clean;
    const dn_traits *traits;
};

dn_status dn_extractor_create(dn_family family, dn_extractor **out) {
    *out = NULL;
    if (family != DN_CLASSIC && family != DN_V02) return DN_BAD_RANGE;
    *out = dn_new(sizeof(**out));
    if (!*out) return DN_NO_MEMORY;
    (*out)->kernels = dn_kernels_find(NULL);
    (*out)->traits = dn_family_traits(family);
    dn_tables_init(&(*out)->tables, (*out)->traits->bands);
    return DN_OK;
}

void dn_extractor_destroy(dn_extractor *extractor) {
    dn_delete(extractor);
}

/* Copies values[n] of frame f to to[frames][n], unless that is NULL. */
static void put(float *to, size_t f, const float *values, int n) {
    if (to) memcpy(to + f * (size_t)n, values, (size_t)n * sizeof(*to));
}

static void put_spectrum(float *to, size_t f, const dn_spectrum *X) {
    if (!to) return;
    to += f * 2 * DN_BINS;
    for (int i = 0; i < DN_BINS; i++) {
        to[2 * i] = X->re[i];
        to[2 * i + 1] = X->im[i];
    }
}

/* Gains that make noisy energies the clean ones; -1 where nobody can tell. */
static void wanted_gains(const float *energy, const float *clean_energy, int bands, int loud, float *gains) {
    const float unknown = -1, too_quiet = 0.05f, floor = 1e-3f;
    for (int b = 0; b < bands; b++) {
        int quiet = energy[b] < too_quiet && clean_energy[b] < too_quiet;
        float ratio = sqrtf((clean_energy[b] + floor) / (energy[b] + floor));
        gains[b] = !loud || quiet ? unknown : dn_smaller(ratio, 1);
    }
}

static void extract_frame(dn_extractor *e, const float *noisy, const float *clean, size_t f, const dn_extracted *out) {
    int bands = e->tables.bands.count;
    dn_frame frame;
    dn_spectrum clean_X;
    float clean_energy[DN_MAX_BANDS], gains[DN_MAX_BANDS], features[DN_MAX_FEATURES] = {0};
    dn_frontend_push(&e->noisy, e->kernels, noisy, NULL);
    dn_frontend_push(&e->clean, e->kernels, clean, NULL);
    int loud = dn_frontend_analyse(&e->noisy, e->kernels, &e->tables, &frame);
    if (loud) e->traits->make_features(&e->noisy, e->kernels, &e->tables.bands, &frame, features);
    dn_frontend_spectrum(&e->clean, e->kernels, &e->tables, &clean_X, clean_energy);
    wanted_gains(frame.energy, clean_energy, bands, loud, gains);
    put(out->features, f, features, e->traits->features);
    put(out->gains, f, gains, bands);
    put(out->clean_energy, f, clean_energy, bands);
    put(out->energy, f, frame.energy, bands);
    put(out->pitch_energy, f, frame.pitch_energy, bands);
    put(out->coherence, f, frame.coherence, bands);
    put_spectrum(out->spectrum, f, &frame.X);
    put_spectrum(out->pitch_spectrum, f, &frame.P);
    put_spectrum(out->clean_spectrum, f, &clean_X);
}

static dn_status extract(dn_extractor *extractor, const float *noisy, const float *clean, size_t frames,
                         const dn_extracted *out) {
    size_t samples = frames * DN_FRAME;
    if (!dn_usable(noisy, samples, DN_LIMIT) || !dn_usable(clean, samples, DN_LIMIT)) return DN_NOT_FINITE;
    for (size_t f = 0; f < frames; f++) {
        extract_frame(extractor, noisy + f * DN_FRAME, clean + f * DN_FRAME, f, out);
    }
    return DN_OK;
}

dn_status dn_extract(dn_extractor *extractor, const float *noisy, const float *clean, size_t frames,
                     const dn_extracted *out) {
    uint64_t mode = dn_enter();
    dn_status status = extract(extractor, noisy, clean, frames, out);
    dn_leave(mode);
    return status;
}
