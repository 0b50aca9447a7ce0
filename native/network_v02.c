#include "network_v02.h"

#include <string.h>

enum { TAPS = 3, GRUS = 3, LAYERS_SEEN = 1 + GRUS };

/* y[padded] = tanh(W [x two frames ago | one ago | x] + b). before: the two earlier x, each of n; is moved on. */
static void convolve(const dn_linear *l, const dn_kernels *k, const float *x, int n, float *before, float *y) {
    float window[TAPS * DN_V02_MAX_UNITS];
    size_t size = (size_t)n * sizeof(*x);
    memcpy(window, before, 2 * size);
    memcpy(window + 2 * n, x, size);
    memcpy(before, window + n, 2 * size);
    dn_linear_run(l, k, window, y);
    k->tanh(y, l->padded);
}

/* One step; the reset gate acts after U, as in cuDNN and torch, whose order of the gates is r z n, not this.
 *     z = sigmoid(Wz x + Uz h + bz + cz)        r = sigmoid(Wr x + Ur h + br + cr)
 *     n = tanh(Wn x + bn + r * (Un h + cn))     h' = z * h + (1 - z) * n
 * map: the input's and the recurrent one. h[units] is updated in place. */
static void gru(const dn_linear map[2], const dn_kernels *k, int units, const float *x, float *h) {
    float from_x[DN_MAX_OUTPUTS], from_h[DN_MAX_OUTPUTS], gate[2 * DN_V02_MAX_UNITS], next[DN_V02_MAX_UNITS];
    dn_linear_run(&map[0], k, x, from_x);
    dn_linear_run(&map[1], k, h, from_h);
    for (int i = 0; i < 2 * units; i++) gate[i] = from_x[i] + from_h[i];
    memset(gate + 2 * units, 0, (size_t)(dn_round_up_8(2 * units) - 2 * units) * sizeof(*gate));
    k->sigmoid(gate, dn_round_up_8(2 * units));
    const float *z = gate, *r = gate + units, *n_x = from_x + 2 * units, *n_h = from_h + 2 * units;
    for (int i = 0; i < units; i++) next[i] = n_x[i] + r[i] * n_h[i];
    memset(next + units, 0, (size_t)(dn_round_up_8(units) - units) * sizeof(*next));
    k->tanh(next, dn_round_up_8(units));
    for (int i = 0; i < units; i++) h[i] = z[i] * h[i] + (1 - z[i]) * next[i];
}

int dn_v02_memory(const dn_network_v02 *net) {
    return (TAPS - 1) * (DN_V02_FEATURES + net->convolved) + LAYERS_SEEN * net->units;
}

float dn_v02_run(const dn_network_v02 *net, const dn_kernels *k, const float *features, float *memory, float *gains) {
    const dn_linear *map = net->map;
    float *features_before = memory, *first_before = features_before + (TAPS - 1) * DN_V02_FEATURES;
    float *seen = first_before + (TAPS - 1) * net->convolved; /* conv2, gru1, gru2, gru3: what the last layers see */
    float first[DN_V02_MAX_UNITS], second[DN_V02_MAX_UNITS], voice[8];

    convolve(&map[DN_CONV1], k, features, DN_V02_FEATURES, features_before, first);
    convolve(&map[DN_CONV2], k, first, net->convolved, first_before, second);
    memcpy(seen, second, (size_t)net->units * sizeof(*seen));
    for (int g = 0; g < GRUS; g++) {
        float *x = seen + g * net->units;
        gru(&map[DN_GRU1_INPUT + 2 * g], k, net->units, x, x + net->units);
    }
    dn_linear_run(&map[DN_DENSE_OUT], k, seen, gains);
    k->sigmoid(gains, DN_V02_BANDS);
    dn_linear_run(&map[DN_VAD_DENSE], k, seen, voice);
    k->sigmoid(voice, 8);
    return voice[0];
}
