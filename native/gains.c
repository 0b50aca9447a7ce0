#include "gains.h"

#include <math.h>
#include <string.h>

#include "larger.h"

/* Adds the spectrum of one pitch period ago, the more the more of a band is voice that its gain would not bring out,
 * then brings each band back to the energy that it had. keep: 0 to 1, the share of all this that is done. */
static void pitch_filter(const dn_kernels *k, const dn_bands *bands, dn_frame *frame, const float *gain, float keep) {
    float values[DN_MAX_BANDS], bins[DN_BAND_BINS];
    for (int b = 0; b < bands->count; b++) {
        float coherence = frame->coherence[b], c2 = coherence * coherence, g2 = gain[b] * gain[b], strength = 1;
        if (coherence <= gain[b]) {
            strength = sqrtf(dn_within(c2 * (1 - g2) / (0.001f + g2 * (1 - c2)), 0, 1));
        }
        values[b] = keep * strength * sqrtf(frame->energy[b] / (1e-8f + frame->pitch_energy[b]));
    }
    dn_band_interpolate(k, bands, values, bins);
    k->add_scaled(&frame->X, bins, &frame->P, DN_BAND_BINS);

    float energy[DN_MAX_BANDS];
    dn_band_correlation(k, bands, &frame->X, &frame->X, energy);
    for (int b = 0; b < bands->count; b++) values[b] = sqrtf(frame->energy[b] / (1e-8f + energy[b]));
    dn_band_interpolate(k, bands, values, bins);
    k->scale(&frame->X, bins, DN_BAND_BINS);
}

void dn_apply_gains(const dn_kernels *k, const dn_bands *bands, dn_frame *frame, const float *network_gain,
                    float *last_gain, float min_gain) {
    float gain[DN_MAX_BANDS], bins[DN_BAND_BINS];
    for (int b = 0; b < bands->count; b++) gain[b] = dn_within(network_gain[b], 0, 1);
    if (min_gain < 1) pitch_filter(k, bands, frame, gain, 1 - min_gain);
    for (int b = 0; b < bands->count; b++) {
        last_gain[b] = dn_larger(gain[b], 0.6f * last_gain[b]); /* no faster than 44 dB in 100 ms */
        gain[b] = dn_larger(last_gain[b], min_gain);
    }
    dn_band_interpolate(k, bands, gain, bins);
    k->scale(&frame->X, bins, DN_BAND_BINS);
    for (int i = DN_BAND_BINS; i < DN_BINS; i++) { /* above 20 kHz */
        frame->X.re[i] *= min_gain;
        frame->X.im[i] *= min_gain;
    }
}

void dn_let_fall(const dn_bands *bands, const float *energy, const float *next_energy, float *last_gain) {
    for (int b = 0; b < bands->count; b++) {
        float fall = (energy[b] + 1e-3f) / (next_energy[b] + 1e-3f);
        last_gain[b] = dn_smaller(last_gain[b] * fall, 1);
    }
}

void dn_synthesise(const dn_kernels *k, const dn_tables *tables, const dn_spectrum *X, float *overlap, float *out) {
    float window[DN_WINDOW];
    k->ifft(&tables->fft, tables->synthesis, X, window);
    for (int i = 0; i < DN_FRAME; i++) out[i] = overlap[i] + window[i];
    memcpy(overlap, window + DN_FRAME, DN_FRAME * sizeof(*overlap));
}

void dn_restore_rumble(const float *removed, float min_gain, float *out) {
    for (int i = 0; i < DN_FRAME; i++) out[i] += min_gain * removed[i];
}
