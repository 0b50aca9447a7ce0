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
    dn_band_correlation(k, tables, X, X, energy);
}

/* log10 of the band energies, kept from falling more than 7 below the loudest so far or 1.5 a band. */
static void follow_energy(const float *energy, float *level) {
    float loudest = -2, follow = -2;
    for (int b = 0; b < DN_BANDS; b++) {
        level[b] = fmaxf(fmaxf(loudest - 7, follow - 1.5f), log10f(0.01f + energy[b]));
        loudest = fmaxf(loudest, level[b]);
        follow = fmaxf(follow - 1.5f, level[b]);
    }
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

static void make_features(dn_frontend *front, const dn_kernels *k, const dn_tables *tables, dn_frame *frame) {
    float level[DN_BANDS], pitch_cepstrum[24], *f = frame->features;
    follow_energy(frame->energy, level);

    front->newest = (front->newest + 1) % DN_CEPSTRA;
    float *now = front->cepstra[front->newest];
    const float *last = front->cepstra[(front->newest + DN_CEPSTRA - 1) % DN_CEPSTRA];
    const float *before_last = front->cepstra[(front->newest + DN_CEPSTRA - 2) % DN_CEPSTRA];
    dn_band_dct(k, tables, level, now);
    now[0] -= 12;
    now[1] -= 4;
    memcpy(f, now, DN_BANDS * sizeof(*f));
    for (int i = 0; i < 6; i++) {
        f[i] = now[i] + last[i] + before_last[i];
        f[22 + i] = now[i] - before_last[i];
        f[28 + i] = now[i] - 2 * last[i] + before_last[i];
    }
    dn_band_dct(k, tables, frame->coherence, pitch_cepstrum);
    memcpy(f + 34, pitch_cepstrum, 6 * sizeof(*f));
    f[34] -= 1.3f;
    f[35] -= 0.9f;
    f[40] = 0.01f * (float)(front->pitch.period - 300);
    f[41] = variability(front, k) - 2.1f;
}

void dn_frontend_analyse(dn_frontend *front, const dn_kernels *k, const dn_tables *tables, dn_frame *frame) {
    dn_frontend_spectrum(front, k, tables, &frame->X, frame->energy);
    const float *history = front->samples + 8;
    dn_pitch_search(k, history, &front->pitch);
    const float *earlier = history + DN_HISTORY - DN_WINDOW - front->pitch.period;
    k->fft(&tables->fft, tables->analysis, earlier, &frame->P);
    dn_band_correlation(k, tables, &frame->P, &frame->P, frame->pitch_energy);
    dn_band_correlation(k, tables, &frame->X, &frame->P, frame->coherence);
    float sum = 0;
    for (int b = 0; b < DN_BANDS; b++) {
        frame->coherence[b] /= sqrtf(0.001f + frame->energy[b] * frame->pitch_energy[b]);
        sum += frame->energy[b];
    }
    frame->silent = sum < 0.04f;
    if (frame->silent) {
        memset(frame->features, 0, sizeof(frame->features));
    } else {
        make_features(front, k, tables, frame);
    }
}
