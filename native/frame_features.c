#include "frame_features.h"

#include <math.h>
#include <string.h>

#include "larger.h"

/* level[bands] = log10 of the band energies, kept from falling more than 7 below the loudest so far or 1.5 a band. */
static void follow_energy(const float *energy, float *level, int bands) {
    float loudest = -2, follow = -2;
    for (int b = 0; b < bands; b++) {
        level[b] = dn_larger(dn_larger(loudest - 7, follow - 1.5f), log10f(0.01f + energy[b]));
        loudest = dn_larger(loudest, level[b]);
        follow = dn_larger(follow - 1.5f, level[b]);
    }
}

/* Makes the cepstrum of the energies, centred as the networks expect it, and that of the pitch's coherence. */
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
            if (j != i) nearest = dn_smaller(nearest, front->distance[i][j]);
        }
        sum += nearest;
    }
    return sum / DN_CEPSTRA;
}

/* The cepstrum, its first and second differences in time, the pitch. */
void dn_classic_features(dn_frontend *front, const dn_kernels *k, const dn_bands *bands, const dn_frame *frame,
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

/* The cepstrum and the pitch, of one frame: its convolutions see time. */
void dn_v02_features(dn_frontend *front, const dn_kernels *k, const dn_bands *bands, const dn_frame *frame, float *f) {
    make_cepstra(frame, k, bands, f, f + bands->count);
    f[2 * bands->count] = 0.01f * (float)(front->pitch.period - 300);
}
