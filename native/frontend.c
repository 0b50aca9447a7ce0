#include "frontend.h"

#include <math.h>
#include <string.h>

int dn_usable(const float *x, size_t n, float limit) {
    int good = 1;
    for (size_t i = 0; i < n; i++) good &= fabsf(x[i]) <= limit; /* false for NaN */
    return good;
}

void dn_frontend_push(dn_frontend *front, const dn_kernels *k, const float *in, float *removed) {
    const float int16_scale = 32768;
    memmove(front->samples, front->samples + DN_FRAME, sizeof(front->samples) - DN_FRAME * sizeof(*in));
    float *newest = front->samples + 8 + DN_HISTORY - DN_FRAME;
    k->highpass(newest, in, front->highpass, int16_scale, DN_FRAME);
    if (!removed) return;
    for (int i = 0; i < DN_FRAME; i++) removed[i] = in[i] - newest[i] / int16_scale;
}

void dn_frontend_spectrum(const dn_frontend *front, const dn_kernels *k, const dn_tables *tables, dn_spectrum *X,
                          float *energy) {
    k->fft(&tables->fft, tables->analysis, front->samples + 8 + DN_HISTORY - DN_WINDOW, X);
    dn_band_correlation(k, &tables->bands, X, X, energy);
}

int dn_frontend_analyse(dn_frontend *front, const dn_kernels *k, const dn_tables *tables, dn_frame *frame) {
    const dn_bands *bands = &tables->bands;
    dn_frontend_spectrum(front, k, tables, &frame->X, frame->energy);
    const float *history = front->samples + 8;
    dn_pitch_search(k, history, &front->pitch);
    const float *earlier = history + DN_HISTORY - DN_WINDOW - front->pitch.period;
    k->fft(&tables->fft, tables->analysis, earlier, &frame->P);
    dn_band_correlation(k, bands, &frame->P, &frame->P, frame->pitch_energy);
    dn_band_correlation(k, bands, &frame->X, &frame->P, frame->coherence);
    float sum = 0;
    for (int b = 0; b < bands->count; b++) {
        frame->coherence[b] /= sqrtf(0.001f + frame->energy[b] * frame->pitch_energy[b]);
        sum += frame->energy[b];
    }
    return sum >= 0.04f;
}
