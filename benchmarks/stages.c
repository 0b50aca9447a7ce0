/* Time of each stage of a frame, in the order in which the engine goes through them: microseconds a frame.
 *     stages ISA MODEL CLIP ROUNDS          MODEL a file; CLIP samples at 48 kHz as raw floats
 * Prints a line for each stage, its time and its name, and at last that of whole frames through dn_process.
 * The clock is read between the stages, and what reading it takes is taken off. Of each stage of each frame the least
 * of the rounds counts. The frames come out bit for bit as dn_process gives them, or this fails: so what is timed here
 * cannot come apart from the engine. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fpmode.h"
#include "gains.h"
#include "state.h"
#include "timed.h"

enum { HIGHPASS, FFT, PITCH, FEATURES, NETWORK, GAINS, INVERSE, STAGES };

static const char *const names[STAGES] = {"high-pass",
                                          "FFT of the frame and of a pitch period ago",
                                          "pitch search",
                                          "bands and features",
                                          "network",
                                          "pitch filter, gains",
                                          "inverse FFT, overlap"};

static double now_us(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

/* Adds the time since the last mark to the account of a stage. */
static void mark(double *account, int stage, double *last) {
    double now = now_us();
    account[stage] += now - *last;
    *last = now_us(); /* the time that the addition took belongs to nobody */
}

/* Processes a frame as process_frame of state.c does with min_gain 0, and with a mark after each stage. */
static void timed_frame(dn_state *state, const float *in, float *out, double *account) {
    const dn_model *model = state->model;
    const dn_kernels *k = model->kernels;
    const dn_tables *tables = &model->tables;
    const dn_bands *bands = &tables->bands;
    dn_past *m = &state->shell->past;
    dn_frame frame;
    float removed[DN_FRAME], features[DN_MAX_FEATURES], gain[DN_MAX_BANDS], sum = 0;
    double last = now_us();
    dn_frontend_push(&m->front, k, in, removed);
    mark(account, HIGHPASS, &last);

    const float *history = m->front.samples + 8;
    k->fft(&tables->fft, tables->analysis, history + DN_HISTORY - DN_WINDOW, &frame.X);
    mark(account, FFT, &last);
    dn_pitch_search(k, history, &m->front.pitch);
    mark(account, PITCH, &last);
    k->fft(&tables->fft, tables->analysis, history + DN_HISTORY - DN_WINDOW - m->front.pitch.period, &frame.P);
    mark(account, FFT, &last);

    dn_band_correlation(k, bands, &frame.X, &frame.X, frame.energy);
    dn_band_correlation(k, bands, &frame.P, &frame.P, frame.pitch_energy);
    dn_band_correlation(k, bands, &frame.X, &frame.P, frame.coherence);
    for (int b = 0; b < bands->count; b++) {
        frame.coherence[b] /= sqrtf(0.001f + frame.energy[b] * frame.pitch_energy[b]);
        sum += frame.energy[b];
    }
    int loud = sum >= 0.04f;
    if (loud) model->traits->make_features(&m->front, k, bands, &frame, features);
    mark(account, FEATURES, &last);
    const float *const inputs[1] = {features};
    float *const network_memory[1] = {state->tail}, *const gains[1] = {gain};
    float voice[1];
    if (loud) model->traits->run(model->network, k, 1, inputs, network_memory, gains, voice);
    mark(account, NETWORK, &last);

    dn_held_back *held = dn_state_held(state);
    dn_frame *due = held ? &held->frame : &frame;
    if (loud) dn_apply_gains(k, bands, due, gain, m->last_gain, 0);
    if (loud && held) dn_let_fall(bands, due->energy, frame.energy, m->last_gain);
    mark(account, GAINS, &last);
    dn_synthesise(k, tables, &due->X, m->overlap, out);
    dn_restore_rumble(held ? held->removed : m->removed, 0, out);
    if (held) {
        *due = frame;
        memcpy(held->removed, m->removed, sizeof(held->removed));
    }
    memcpy(m->removed, removed, sizeof(removed));
    mark(account, INVERSE, &last);
}

/* Microseconds between two readings of the clock with nothing between. */
static double clock_us(void) {
    double least = 1e9;
    for (int i = 0; i < 10000; i++) {
        double start = now_us(), elapsed = now_us() - start;
        if (elapsed < least) least = elapsed;
    }
    return least;
}

int main(int argc, char **argv) {
    static float in[MAX_FRAMES * DN_FRAME], wanted[MAX_FRAMES * DN_FRAME], got[MAX_FRAMES * DN_FRAME];
    static double least[MAX_FRAMES][STAGES + 1]; /* the last is the whole frame */
    if (argc != 5) return 2;
    dn_model *model = NULL;
    dn_state *state = open_state(argv[2], argv[1], &model);
    size_t frames = read_clip(argv[3], in);
    if (!state || frames == 0) return 1;

    double reading = clock_us();
    for (long round = strtol(argv[4], NULL, 10), first = 1; round > 0; round--, first = 0) {
        dn_state_reset(state);
        for (size_t f = 0; f < frames; f++) {
            double start = now_us();
            if (dn_process(&state, 1, in + f * DN_FRAME, wanted + f * DN_FRAME, NULL, 1, 0) != DN_OK) return 1;
            double elapsed = now_us() - start - reading;
            if (first || elapsed < least[f][STAGES]) least[f][STAGES] = elapsed;
        }
        dn_state_reset(state);
        uint64_t mode = dn_enter(); /* as dn_process does */
        for (size_t f = 0; f < frames; f++) {
            double account[STAGES] = {0};
            timed_frame(state, in + f * DN_FRAME, got + f * DN_FRAME, account);
            for (int s = 0; s < STAGES; s++) {
                account[s] -= (s == FFT ? 2 : 1) * reading;
                if (first || account[s] < least[f][s]) least[f][s] = account[s];
            }
        }
        dn_leave(mode);
    }
    if (memcmp(got, wanted, frames * DN_FRAME * sizeof(*got)) != 0) {
        fprintf(stderr, "the stages here are not those of the engine: what comes out differs\n");
        return 1;
    }
    for (int s = 0; s <= STAGES; s++) {
        double sum = 0;
        for (size_t f = 0; f < frames; f++) sum += least[f][s];
        printf("%.3f %s\n", sum / (double)frames, s < STAGES ? names[s] : "dn_process");
    }
    dn_state_destroy(state);
    dn_model_destroy(model);
    return 0;
}
