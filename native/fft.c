#include "fft.h"

#include <math.h>

void dn_fft_init(dn_fft *fft) {
    const double tau = 6.283185307179586;
    for (int a = 0; a < 3; a++) {
        for (int b = 0; b < 4; b++) {
            for (int c = 0; c < 5; c++) {
                int position = (a * 4 + b) * 5 + c;
                fft->input[position] = (int16_t)((20 * a + 15 * b + 12 * c) % 60);
                /* the bin that leaves a, b, c when divided by 3, 4, 5 */
                fft->output[position] = (int16_t)((40 * a + 45 * b + 36 * c) % 60);
            }
        }
    }
    for (int k = 0; k < 60; k++) {
        for (int lane = 0; lane < 8; lane++) {
            fft->lane_re[k][lane] = (float)cos(tau * k * lane / 480);
            fft->lane_im[k][lane] = (float)-sin(tau * k * lane / 480);
        }
    }
    for (int k = 0; k < 248; k++) {
        fft->turn_re[k] = (float)cos(tau * k / DN_WINDOW);
        fft->turn_im[k] = (float)-sin(tau * k / DN_WINDOW);
    }
}

void dn_fft512_init(dn_fft512 *fft) {
    const double tau = 6.283185307179586;
    for (int b = 0; b < 8; b++) {
        for (int c = 0; c < 4; c++) {
            fft->inner_re[b][c] = (float)cos(tau * b * c / 32);
            fft->inner_im[b][c] = (float)-sin(tau * b * c / 32);
        }
    }
    for (int k = 0; k < 32; k++) {
        for (int lane = 0; lane < 8; lane++) {
            fft->lane_re[k][lane] = (float)cos(tau * k * lane / 256);
            fft->lane_im[k][lane] = (float)-sin(tau * k * lane / 256);
        }
    }
    for (int k = 0; k < 136; k++) {
        fft->turn_re[k] = (float)cos(tau * k / 512);
        fft->turn_im[k] = (float)-sin(tau * k / 512);
    }
}
