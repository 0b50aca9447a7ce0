/* From samples to an analysed frame: high-pass, spectrum, pitch, bands. Audio inside the engine has the
 * scale of int16, which the published weights expect. */
#ifndef DN_FRONTEND_H
#define DN_FRONTEND_H

#include "bands.h"
#include "pitch.h"

enum { DN_CEPSTRA = 8 };

/* One channel's memory; all zero is silence. */
typedef struct {
    double highpass[2];
    float samples[8 + DN_HISTORY];          /* high-passed, newest last: 8 older ones, then the history */
    float cepstra[DN_CEPSTRA][24];          /* ring of the last frames that were not silent; classic features only */
    float distance[DN_CEPSTRA][DN_CEPSTRA]; /* squared, between entries of the ring */
    int32_t newest;                         /* entry of the ring */
    dn_pitch pitch;
} dn_frontend;

/* One frame, analysed: all that gains need to act on it. */
typedef struct {
    dn_spectrum X;                    /* of the window's 20 ms, normalised by 1/960 */
    dn_spectrum P;                    /* of the 20 ms one pitch period earlier */
    float energy[DN_MAX_BANDS];       /* of X */
    float pitch_energy[DN_MAX_BANDS]; /* of P */
    float coherence[DN_MAX_BANDS];    /* correlation of X and P over the root of their energies */
} dn_frame;

/* Says whether all of x[n] is finite and within +-limit. */
int dn_usable(const float *x, size_t n, float limit);

/* Pushes in[DN_FRAME], full scale +-1, into the memory. removed: DN_FRAME samples that the high-pass took away, full
 * scale +-1; or NULL. */
void dn_frontend_push(dn_frontend *front, const dn_kernels *k, const float *in, float *removed);

/* Makes X and energy[DN_MAX_BANDS] of the newest window. */
void dn_frontend_spectrum(const dn_frontend *front, const dn_kernels *k, const dn_tables *tables, dn_spectrum *X,
                          float *energy);

/* Makes all of frame. Call once after each push. Returns 0 for a frame too quiet to be worth a run of the network. */
int dn_frontend_analyse(dn_frontend *front, const dn_kernels *k, const dn_tables *tables, dn_frame *frame);

#endif
