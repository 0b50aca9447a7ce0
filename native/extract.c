/* Features and targets for training, by the same code that runs live. */
#include <math.h>
#include <string.h>

#include "frontend.h"
#include "memory.h"

struct dn_extractor {
    const dn_kernels *kernels;
    dn_tables tables;
    dn_frontend noisy, clean;
};

dn_status dn_extractor_create(dn_extractor **out) {
    *out = dn_new(sizeof(**out));
    if (!*out) return DN_NO_MEMORY;
    (*out)->kernels = dn_kernels_find(NULL);
    dn_tables_init(&(*out)->tables, DN_CLASSIC);
    return DN_OK;
}

void dn_extractor_destroy(dn_extractor *extractor) {
    dn_delete(extractor);
}

static void extract_frame(dn_extractor *e, const float *noisy, const float *clean, float *features, float *gains,
                          float *clean_energy) {
    const float unknown = -1, too_quiet = 0.05f, floor = 1e-3f;
    dn_frame frame;
    dn_spectrum clean_X;
    float energy[DN_BANDS], all_features[DN_MAX_FEATURES];
    dn_frontend_push(&e->noisy, e->kernels, noisy, NULL);
    dn_frontend_push(&e->clean, e->kernels, clean, NULL);
    int loud = dn_frontend_analyse(&e->noisy, e->kernels, &e->tables, &frame, all_features);
    dn_frontend_spectrum(&e->clean, e->kernels, &e->tables, &clean_X, energy);
    memcpy(features, all_features, DN_FEATURES * sizeof(*features));
    for (int b = 0; b < DN_BANDS; b++) {
        int quiet = frame.energy[b] < too_quiet && energy[b] < too_quiet;
        float ratio = sqrtf((energy[b] + floor) / (frame.energy[b] + floor));
        gains[b] = !loud || quiet ? unknown : fminf(ratio, 1);
    }
    if (clean_energy) memcpy(clean_energy, energy, sizeof(energy));
}

dn_status dn_extract(dn_extractor *extractor, const float *noisy, const float *clean, size_t frames, float *features,
                     float *gains, float *clean_energy) {
    size_t samples = frames * DN_FRAME;
    if (!dn_usable(noisy, samples) || !dn_usable(clean, samples)) return DN_NOT_FINITE;
    for (size_t f = 0; f < frames; f++) {
        extract_frame(extractor, noisy + f * DN_FRAME, clean + f * DN_FRAME, features + f * DN_FEATURES,
                      gains + f * DN_BANDS, clean_energy ? clean_energy + f * DN_BANDS : NULL);
    }
    return DN_OK;
}
