/* denoise MODEL RATE CHANNELS: int16 samples from standard input, without the noise, to standard output. */
#include <denoise_wrapper/denoise.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    char why[DENOISE_MESSAGE] = "usage: denoise MODEL RATE CHANNELS";
    const int rate = argc == 4 ? atoi(argv[2]) : 0, channels = argc == 4 ? atoi(argv[3]) : 0;
    denoiser *model = NULL;
    denoise_stream *stream = NULL;
    if (argc != 4 || denoiser_open(argv[1], &model, why) ||
        denoise_stream_open(model, rate, channels, NULL, &stream, why)) {
        fprintf(stderr, "%s\n", why);
        return EXIT_FAILURE;
    }
    const size_t frame = sizeof(int16_t) * (size_t)channels, latency = (size_t)denoise_stream_latency(stream);
    int16_t *samples = malloc(frame * (latency + 1000));
    for (size_t n; samples && (n = fread(samples, frame, 1000, stdin)) > 0; fwrite(samples, frame, n, stdout)) {
        denoise_stream_process(stream, DENOISE_INT16, samples, samples, n);
    }
    if (samples && denoise_stream_flush(stream, DENOISE_INT16, samples) == DENOISE_OK) {
        fwrite(samples, frame, latency, stdout); /* all of it is late by as much */
    }
    free(samples);
    denoise_stream_close(stream);
    denoiser_close(model);
    return samples && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
