#include "network.h"

#include <math.h>
#include <string.h>

/* ReLU is cut off far above what any trained network reaches, so that no weights can drive a GRU to infinity. */
static const float relu_limit = 1e4f;

static void activate(const dn_kernels *k, dn_activation activation, float *v, int n) {
    if (activation == DN_TANH) {
        k->tanh(v, n);
    } else if (activation == DN_SIGMOID) {
        k->sigmoid(v, n);
    } else {
        for (int i = 0; i < n; i++) v[i] = fminf(fmaxf(v[i], 0), relu_limit);
    }
}

/* y[padded] = activation(W x + b) */
static void dense(const dn_weights *l, const dn_kernels *k, const float *x, float *y) {
    memcpy(y, l->b, (size_t)l->padded * sizeof(*y));
    k->matvec_add(y, l->w, x, l->inputs, l->padded);
    activate(k, l->activation, y, l->padded);
}

/* One step; the reset gate acts before U, as in the GRU of Cho et al. (2014), not in cuDNN's and torch's form.
 *     z = sigmoid(Wz x + Uz h + bz)      r = sigmoid(Wr x + Ur h + br)
 *     c = act(Wc x + Uc (r * h) + bc)    h' = z * h + (1 - z) * c
 * h[padded] is updated in place. */
static void gru(const dn_weights *l, const dn_kernels *k, const float *x, float *h) {
    int n = l->padded;
    float gate[3 * DN_MAX_UNITS], kept[DN_MAX_UNITS];
    float *z = gate, *r = gate + n, *c = gate + 2 * n;
    memcpy(gate, l->b, (size_t)(3 * n) * sizeof(*gate));
    k->matvec_add(gate, l->w, x, l->inputs, 3 * n);
    k->matvec_add(gate, l->u, h, l->units, 2 * n);
    k->sigmoid(gate, 2 * n);
    for (int i = 0; i < n; i++) kept[i] = r[i] * h[i];
    k->matvec_add(c, l->u + 2 * n * l->units, kept, l->units, n);
    activate(k, l->activation, c, n);
    for (int i = 0; i < n; i++) h[i] = z[i] * h[i] + (1 - z[i]) * c[i];
}

int dn_network_memory(const dn_network *net) {
    return net->layer[DN_VAD_GRU].padded + net->layer[DN_NOISE_GRU].padded + net->layer[DN_DENOISE_GRU].padded;
}

/* Puts n floats at the end of a layer's input. */
static void append(float **end, const float *x, int n) {
    memcpy(*end, x, (size_t)n * sizeof(*x));
    *end += n;
}

float dn_network_run(const dn_network *net, const dn_kernels *k, const float *features, float *memory, float *gains) {
    const dn_weights *l = net->layer;
    float *vad_h = memory, *noise_h = vad_h + l[DN_VAD_GRU].padded, *denoise_h = noise_h + l[DN_NOISE_GRU].padded;
    float first[DN_MAX_UNITS], input[DN_MAX_UNITS], voice[8], *end = input;

    dense(&l[DN_INPUT_DENSE], k, features, first);
    gru(&l[DN_VAD_GRU], k, first, vad_h);
    dense(&l[DN_VAD_OUTPUT], k, vad_h, voice);

    append(&end, first, l[DN_INPUT_DENSE].units);
    append(&end, vad_h, l[DN_VAD_GRU].units);
    append(&end, features, DN_FEATURES);
    gru(&l[DN_NOISE_GRU], k, input, noise_h);

    end = input;
    append(&end, vad_h, l[DN_VAD_GRU].units);
    append(&end, noise_h, l[DN_NOISE_GRU].units);
    append(&end, features, DN_FEATURES);
    gru(&l[DN_DENOISE_GRU], k, input, denoise_h);
    dense(&l[DN_DENOISE_OUTPUT], k, denoise_h, gains);
    return voice[0];
}
