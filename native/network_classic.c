#include "network_classic.h"

#include <math.h>
#include <string.h>

#include "larger.h"

/* ReLU is cut off far above what any trained network reaches, so that no weights can drive a GRU to infinity. */
static const float relu_limit = 1e4f;

/* Applies the activation to v[n], sums of weights that are 256 times what they stand for. */
static void activate(const dn_kernels *k, dn_activation activation, float *v, int n) {
    for (int i = 0; i < n; i++) v[i] *= 1.0f / 256;
    if (activation == DN_TANH) {
        k->tanh(v, n);
    } else if (activation == DN_SIGMOID) {
        k->sigmoid(v, n);
    } else {
        for (int i = 0; i < n; i++) v[i] = dn_within(v[i], 0, relu_limit);
    }
}

/* y[i][padded] = activation(W x[i] + b) */
static void dense(const dn_weights *l, const dn_kernels *k, int count, const float *const *x, float *const *y) {
    for (int i = 0; i < count; i++) memcpy(y[i], l->b, (size_t)l->padded * sizeof(*y[i]));
    k->matvec_add_bytes_batch(y, l->w, x, l->inputs, l->padded, count);
    for (int i = 0; i < count; i++) activate(k, l->activation, y[i], l->padded);
}

/* Makes one step; the reset gate acts before U, as in the GRU of Cho et al. (2014), not in cuDNN's and torch's form.
 *     z = sigmoid(Wz x + Uz h + bz)      r = sigmoid(Wr x + Ur h + br)
 *     c = act(Wc x + Uc (r * h) + bc)    h' = z * h + (1 - z) * c
 * h[i][padded] is updated in place. room[i]: 4 * padded floats. */
static void gru(const dn_weights *l, const dn_kernels *k, int count, const float *const *x, float *const *h,
                float *const *room) {
    int n = l->padded;
    const float *hidden[DN_BATCH] = {NULL}, *kept[DN_BATCH] = {NULL};
    float *candidate[DN_BATCH] = {NULL};
    for (int i = 0; i < count; i++) {
        memcpy(room[i], l->b, (size_t)(3 * n) * sizeof(*room[i])); /* z, r and c one after the other */
        candidate[i] = room[i] + 2 * n;
        kept[i] = room[i] + 3 * n;
        hidden[i] = h[i];
    }
    k->matvec_add_bytes_batch(room, l->w, x, l->inputs, 3 * n, count);
    k->matvec_add_bytes_batch(room, l->u, hidden, l->units, 2 * n, count);
    for (int i = 0; i < count; i++) {
        const float *r = room[i] + n;
        float *reset = room[i] + 3 * n;
        activate(k, DN_SIGMOID, room[i], 2 * n);
        for (int j = 0; j < n; j++) reset[j] = r[j] * h[i][j];
    }
    k->matvec_add_bytes_batch(candidate, l->u + 2 * n * l->units, kept, l->units, n, count);
    for (int i = 0; i < count; i++) {
        const float *z = room[i], *c = candidate[i];
        activate(k, l->activation, candidate[i], n);
        for (int j = 0; j < n; j++) h[i][j] = z[j] * h[i][j] + (1 - z[j]) * c[j];
    }
}

/* Places of a channel's numbers within its room: the first layer's outputs, a layer's input made of several, and the
 * room of a GRU. */
typedef struct {
    int input, gru, end;
} layout;

static layout make_layout(const dn_classic *net) {
    const dn_weights *l = net->layer;
    int inputs = 0, units = 8; /* the 8 are for the probability of speech, padded */
    for (int i = DN_VAD_GRU; i <= DN_DENOISE_GRU; i++) {
        if (l[i].inputs > inputs) inputs = l[i].inputs;
        if (l[i].padded > units) units = l[i].padded;
    }
    int input = l[DN_INPUT_DENSE].padded, gru_room = input + dn_round_up_8(inputs);
    return (layout){input, gru_room, gru_room + 4 * units};
}

_Static_assert(6 * DN_MAX_UNITS <= DN_NETWORK_ROOM, "a channel of the largest network has room");

void dn_classic_measure(dn_classic *net) {
    const dn_weights *l = net->layer;
    net->base.memory = l[DN_VAD_GRU].padded + l[DN_NOISE_GRU].padded + l[DN_DENOISE_GRU].padded;
    net->base.batch = dn_most_together(make_layout(net).end);
}

/* Puts n floats at the end of a layer's input. */
static void append(float **end, const float *x, int n) {
    memcpy(*end, x, (size_t)n * sizeof(*x));
    *end += n;
}

void dn_classic_run(const dn_network *base, const dn_kernels *k, int count, const float *const *features,
                    float *const *memory, float *const *gains, float *voice) {
    const dn_classic *net = (const dn_classic *)base;
    const dn_weights *l = net->layer;
    const int first_units = l[DN_INPUT_DENSE].units, vad_units = l[DN_VAD_GRU].units;
    const layout at = make_layout(net);
    float room[DN_NETWORK_ROOM];
    float *first[DN_BATCH] = {NULL}, *gru_room[DN_BATCH] = {NULL};
    float *vad_h[DN_BATCH] = {NULL}, *noise_h[DN_BATCH] = {NULL}, *denoise_h[DN_BATCH] = {NULL};
    const float *input[DN_BATCH] = {NULL}, *first_out[DN_BATCH] = {NULL};
    const float *vad_out[DN_BATCH] = {NULL}, *denoise_out[DN_BATCH] = {NULL};
    for (int i = 0; i < count; i++) {
        first_out[i] = first[i] = room + i * at.end;
        input[i] = first[i] + at.input;
        gru_room[i] = first[i] + at.gru;
        vad_out[i] = vad_h[i] = memory[i];
        noise_h[i] = vad_h[i] + l[DN_VAD_GRU].padded;
        denoise_out[i] = denoise_h[i] = noise_h[i] + l[DN_NOISE_GRU].padded;
    }
    dense(&l[DN_INPUT_DENSE], k, count, features, first);
    gru(&l[DN_VAD_GRU], k, count, first_out, vad_h, gru_room);
    dense(&l[DN_VAD_OUTPUT], k, count, vad_out, gru_room);
    for (int i = 0; i < count; i++) {
        float *end = first[i] + at.input;
        voice[i] = gru_room[i][0];
        append(&end, first[i], first_units);
        append(&end, vad_h[i], vad_units);
        append(&end, features[i], DN_FEATURES);
    }
    gru(&l[DN_NOISE_GRU], k, count, input, noise_h, gru_room);
    for (int i = 0; i < count; i++) {
        float *end = first[i] + at.input;
        append(&end, vad_h[i], vad_units);
        append(&end, noise_h[i], l[DN_NOISE_GRU].units);
        append(&end, features[i], DN_FEATURES);
    }
    gru(&l[DN_DENOISE_GRU], k, count, input, denoise_h, gru_room);
    dense(&l[DN_DENOISE_OUTPUT], k, count, denoise_out, gains);
}
