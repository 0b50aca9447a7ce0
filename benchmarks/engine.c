/* Time of the engine alone: microseconds of the processor for each frame of 10 ms, the best of several rounds.
 *     engine ISA MODEL CLIP ROUNDS          ISA "scalar", "avx2" ...; MODEL a file; CLIP samples at 48 kHz, raw floats
 * Prints one number, or fails if this processor lacks the set. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "timed.h"

int main(int argc, char **argv) {
    static float in[MAX_FRAMES * DN_FRAME], out[MAX_FRAMES * DN_FRAME];
    if (argc != 5) return 2;
    dn_model *model = NULL;
    dn_state *state = open_state(argv[2], argv[1], &model);
    size_t frames = read_clip(argv[3], in);
    if (!state || frames == 0) return 1;
    double best = 1e9;
    for (long round = strtol(argv[4], NULL, 10); round > 0; round--) {
        clock_t start = clock();
        if (dn_process(&state, 1, in, out, NULL, frames, 0) != DN_OK) return 1;
        double elapsed = 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)frames;
        if (elapsed < best) best = elapsed;
    }
    printf("%.2f\n", best);
    dn_state_destroy(state);
    dn_model_destroy(model);
    return 0;
}
