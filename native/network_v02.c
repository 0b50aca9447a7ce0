#include "network_v02.h"

#include <string.h>

enum { TAPS = 3, GRUS = 3, LAYERS_SEEN = 1 + GRUS };

/* Places of a channel's numbers within its room: the outputs of two convolutions, the input of a layer or the outputs
 * of a GRU's maps, and the steps of an int8 map's input. */
typedef struct {
    int second, work, steps, end;
} layout;

static int larger(int a, int b) {
    return a > b ? a : b;
}

static layout make_layout(const dn_v02 *net) {
    int first = dn_round_up_8(net->convolved), second = dn_round_up_8(net->units),
        gates = dn_round_up_8(3 * net->units);
    int window = TAPS * larger(DN_V02_FEATURES, net->convolved);
    int most_inputs = larger(window, LAYERS_SEEN * net->units);
    layout at = {.second = first, .work = first + second};
    at.steps = at.work + dn_round_up_8(larger(window, 2 * gates));
    at.end = at.steps + dn_round_up_8(most_inputs) / (int)sizeof(float);
    return at;
}

/* Room of the largest network. */
_Static_assert(2 * DN_V02_MAX_UNITS + 2 * 3 * DN_V02_MAX_UNITS + LAYERS_SEEN * DN_V02_MAX_UNITS / 4 <= DN_NETWORK_ROOM,
               "a channel of the largest network has room");

/* The channels of one run. */
typedef struct {
    const dn_v02 *net;
    const dn_kernels *k;
    int count;
    float *first[DN_BATCH], *second[DN_BATCH], *work[DN_BATCH];
    int8_t *steps[DN_BATCH];
} batch;

/* y[i][padded] = tanh(W [x two frames ago | one ago | x] + b). x[i][n]; before[i]: the two earlier x; is moved on. */
static void convolve(const batch *b, int map, const float *const *x, int n, float *const *before, float *const *y) {
    const dn_linear *l = &b->net->map[map];
    const float *window[DN_BATCH];
    size_t size = (size_t)n * sizeof(float);
    for (int i = 0; i < b->count; i++) {
        memcpy(b->work[i], before[i], 2 * size);
        memcpy(b->work[i] + 2 * n, x[i], size);
        memcpy(before[i], b->work[i] + n, 2 * size);
        window[i] = b->work[i];
    }
    dn_linear_run(l, b->k, window, y, b->steps, b->count);
    for (int i = 0; i < b->count; i++) b->k->tanh(y[i], l->padded);
}

/* Applies tanh or sigmoid to v[n] in place, n being any number. */
static void activate(void (*function)(float *v, int n), float *v, int n) {
    int whole = n - n % 8;
    float rest[8] = {0};
    function(v, whole);
    if (whole == n) return;
    memcpy(rest, v + whole, (size_t)(n - whole) * sizeof(*v));
    function(rest, 8);
    memcpy(v + whole, rest, (size_t)(n - whole) * sizeof(*v));
}

/* Makes the next h[units] of the maps of x and h, [z | r | n] of units each; from_x is overwritten. */
static void gate(const dn_kernels *k, int units, float *restrict from_x, const float *restrict from_h,
                 float *restrict h) {
    const float *z = from_x, *r = from_x + units, *n_h = from_h + 2 * units;
    float *n = from_x + 2 * units;
    for (int j = 0; j < 2 * units; j++) from_x[j] += from_h[j];
    activate(k->sigmoid, from_x, 2 * units);
    for (int j = 0; j < units; j++) n[j] += r[j] * n_h[j];
    activate(k->tanh, n, units);
    for (int j = 0; j < units; j++) h[j] = z[j] * h[j] + (1 - z[j]) * n[j];
}

/* Makes one step; the reset gate acts after U, as in cuDNN and torch, whose order of the gates is r z n, not this.
 *     z = sigmoid(Wz x + Uz h + bz + cz)        r = sigmoid(Wr x + Ur h + br + cr)
 *     n = tanh(Wn x + bn + r * (Un h + cn))     h' = z * h + (1 - z) * n
 * map: the input's and the recurrent one. x[i][units]; h[units], behind it, is updated in place. */
static void gru(const batch *b, int map, const float *const *x, float *const *h) {
    const dn_linear *l = &b->net->map[map];
    const float *hidden[DN_BATCH];
    float *from_h[DN_BATCH];
    for (int i = 0; i < b->count; i++) {
        from_h[i] = b->work[i] + l->padded;
        hidden[i] = h[i];
    }
    dn_linear_run(&l[0], b->k, x, b->work, b->steps, b->count);
    dn_linear_run(&l[1], b->k, hidden, from_h, b->steps, b->count);
    for (int i = 0; i < b->count; i++) gate(b->k, b->net->units, b->work[i], from_h[i], h[i]);
}

void dn_v02_measure(dn_v02 *net) {
    net->base.memory = (TAPS - 1) * (DN_V02_FEATURES + net->convolved) + LAYERS_SEEN * net->units;
    net->base.batch = dn_most_together(make_layout(net).end);
}

void dn_v02_run(const dn_network *base, const dn_kernels *k, int count, const float *const *features,
                float *const *memory, float *const *gains, float *voice) {
    const dn_v02 *net = (const dn_v02 *)base;
    const layout at = make_layout(net);
    const int units = net->units;
    float room[DN_NETWORK_ROOM];
    batch b = {.net = net, .k = k, .count = count};
    const float *first[DN_BATCH] = {NULL}, *seen[DN_BATCH] = {NULL}, *x[DN_BATCH] = {NULL};
    float *first_before[DN_BATCH] = {NULL}, *h[DN_BATCH] = {NULL};
    for (int i = 0; i < count; i++) {
        first[i] = b.first[i] = room + i * at.end;
        b.second[i] = b.first[i] + at.second;
        b.work[i] = b.first[i] + at.work;
        b.steps[i] = (int8_t *)(b.first[i] + at.steps);
        first_before[i] = memory[i] + (TAPS - 1) * DN_V02_FEATURES;
        h[i] = first_before[i] + (TAPS - 1) * net->convolved; /* conv2, gru1, gru2, gru3: what the last layers see */
        seen[i] = h[i];
    }
    convolve(&b, DN_CONV1, features, DN_V02_FEATURES, memory, b.first);
    convolve(&b, DN_CONV2, first, net->convolved, first_before, b.second);
    for (int i = 0; i < count; i++) memcpy(h[i], b.second[i], (size_t)units * sizeof(*h[i]));
    for (int g = 0; g < GRUS; g++) {
        for (int i = 0; i < count; i++) {
            x[i] = h[i];
            h[i] += units;
        }
        gru(&b, DN_GRU1_INPUT + 2 * g, x, h);
    }
    dn_linear_run(&net->map[DN_DENSE_OUT], k, seen, gains, b.steps, count);
    dn_linear_run(&net->map[DN_VAD_DENSE], k, seen, b.work, b.steps, count);
    for (int i = 0; i < count; i++) {
        k->sigmoid(gains[i], DN_V02_BANDS);
        k->sigmoid(b.work[i], 8);
        voice[i] = b.work[i][0];
    }
}
