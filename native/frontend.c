#include "frontend.h"

#include <math.h>
#include <string.h>

int dn_usable(const float *x, size_t n) {
    int good = 1;
    for (size_t i = 0; i < n; i++) good &= fabsf(x[i]) <= DN_LIMIT; /* false for NaN */
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

/* log10 of the band energies, kept from falling more than 7 below the loudest so far or 1.5 a band. */
static void follow_energy(const float *energy, float *level, int bands) {
    float loudest = -2, follow = -2;
    for (int b = 0; b < bands; b++) {
        level[b] = fmaxf(fmaxf(loudest - 7, follow - 1.5f), log10f(0.01f + energy[b]));
        loudest = fmaxf(loudest, level[b]);
        follow = fmaxf(follow - 1.5f, level[b]);
    }
}

/* The cepstrum of the energies, centred as the networks expect it, and that of the pitch's coherence. */
static void make_cepstra(const dn_frame *frame, const dn_kernels *k, const dn_bands *bands, float *energy,
                         float *coherence) {
    float level[DN_MAX_BANDS];
    follow_energy(frame->energy, level, bands->count);
    dn_band_dct(k, bands, level, energy);
    energy[0] -= 12;
    energy[1] -= 4;
    dn_band_dct(k, bands, frame->coherence, coherence);
}

/* Puts the ring's newest entry into the table of distances and returns the mean, over all entries, of the distance to
 * the nearest other. */
static float variability(dn_frontend *front, const dn_kernels *k) {
    const float *newest = front->cepstra[front->newest];
    for (int i = 0; i < DN_CEPSTRA; i++) {
        float apart[24];
        for (int j = 0; j < 24; j++) apart[j] = newest[j] - front->cepstra[i][j];
        front->distance[front->newest][i] = front->distance[i][front->newest] = k->dot(apart, apart, 24);
    }
    float sum = 0;
    for (int i = 0; i < DN_CEPSTRA; i++) {
        float nearest = 1e15f;
        for (int j = 0; j < DN_CEPSTRA; j++) {
            if (j != i) nearest = fminf(nearest, front->distance[i][j]);
        }
        sum += nearest;
    }
    return sum / DN_CEPSTRA;
}

/* The 42 of the classic network: cepstrum with its first and second differences in time. */
static void classic_features(dn_frontend *front, const dn_kernels *k, const dn_bands *bands, const dn_frame *frame,
                             float *f) {
    float pitch_cepstrum[24];
    front->newest = (front->newest + 1) % DN_CEPSTRA;
    float *now = front->cepstra[front->newest];
    const float *last = front->cepstra[(front->newest + DN_CEPSTRA - 1) % DN_CEPSTRA];
    const float *before_last = front->cepstra[(front->newest + DN_CEPSTRA - 2) % DN_CEPSTRA];
    make_cepstra(frame, k, bands, now, pitch_cepstrum);
    memcpy(f, now, DN_BANDS * sizeof(*f));
    for (int i = 0; i < 6; i++) {
        f[i] = now[i] + last[i] + before_last[i];
        f[22 + i] = now[i] - before_last[i];
        f[28 + i] = now[i] - 2 * last[i] + before_last[i];
    }
    memcpy(f + 34, pitch_cepstrum, 6 * sizeof(*f));
    f[34] -= 1.3f;
    f[35] -= 0.9f;
    f[40] = 0.01f * (float)(front->pitch.period - 300);
    f[41] = variability(front, k) - 2.1f;
}

/* The 65 of the v0.2 network, which sees time by its convolutions. */
static void v02_features(const dn_frontend *front, const dn_kernels *k, const dn_bands *bands, const dn_frame *frame,
                         float *f) {
    make_cepstra(frame, k, bands, f, f + bands->count);
    f[2 * bands->count] = 0.01f * (float)(front->pitch.period - 300);
}

int dn_frontend_analyse(dn_frontend *front, const dn_kernels *k, const dn_tables *tables, dn_frame *frame,
                        float *features) {
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
    memset(features, 0, DN_MAX_FEATURES * sizeof(*features));
    if (sum < 0.04f) return 0;
    if (bands->count == DN_BANDS) {
        classic_features(front, k, bands, frame, features);
    } else {
        v02_features(front, k, bands, frame, features);
    }
    return 1;
}
