/* denoise_wrapper from C: takes the noise out of speech, live, at any rate and in chunks of any size.
 *
 *     char why[DENOISE_MESSAGE];
 *     denoiser *model;
 *     denoise_stream *stream;
 *     if (denoiser_open("rnnoise", &model, why) || denoise_stream_open(model, 44100, 2, NULL, &stream, why)) return 1;
 *     while (more) denoise_stream_process(stream, DENOISE_INT16, chunk, chunk, frames);
 *     denoise_stream_flush(stream, DENOISE_INT16, rest);          denoise_stream_latency(stream) frames
 *     denoise_stream_close(stream);
 *     denoiser_close(model);
 *
 * As many frames come out as went in, late by a constant; what comes out does not depend on how the signal is cut into
 * chunks, bit for bit, and is what the Python package makes of it. Floats have full scale +-1, integers theirs.
 *
 * Only the functions that open something ask for memory; none prints, exits, locks, or keeps data that it writes to
 * between calls elsewhere than in the handle that it was given. Threads may share a denoiser. A stream is for one
 * thread at a time.
 *
 * DENOISE_ABI is the number in the library's name, libdenoise_wrapper.so.1. While it stays, functions, values of enums
 * and, at its end, members of denoise_settings are added, and none of those below changes. */
#ifndef DENOISE_WRAPPER_DENOISE_H
#define DENOISE_WRAPPER_DENOISE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) && !defined(_WIN32)
#define DENOISE_API __attribute__((visibility("default")))
#else
#define DENOISE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define DENOISE_ABI 1

enum {
    DENOISE_MESSAGE = 400, /* bytes that hold any message, its NUL included */
    DENOISE_MIN_RATE = 1000,
    DENOISE_MAX_RATE = 768000, /* Hz */
    DENOISE_MAX_CHANNELS = 256,
};

typedef struct denoiser denoiser;             /* a model: read-only once opened */
typedef struct denoise_stream denoise_stream; /* one live signal of one or more channels */

typedef enum {
    DENOISE_OK,
    DENOISE_NO_MEMORY,
    DENOISE_BAD_MODEL,  /* a model file is damaged, or is none; the message says where */
    DENOISE_NO_MODEL,   /* no model of that name is compiled in */
    DENOISE_NO_FILE,    /* a file cannot be read */
    DENOISE_BAD_RANGE,  /* an argument or a setting is out of range; nothing has changed */
    DENOISE_NOT_FINITE, /* a sample is NaN, or beyond +-100,000; the chunk has not come */
    DENOISE_BUSY,       /* another thread is using the stream; the chunk has not come */
    DENOISE_NO_SUCH_ISA /* the instruction set that DENOISE_WRAPPER_ISA names cannot be used here */
} denoise_status;

/* ---- about the library ---- */

/* Returns the version of the package, as "1.2.3". */
DENOISE_API const char *denoise_version(void);

/* Returns what a status means, in a few words that live for ever. */
DENOISE_API const char *denoise_status_text(denoise_status status);

/* Returns the name of each model that is compiled in, from index 0 on, "rnnoise" first; NULL behind the last. */
DENOISE_API const char *denoise_model_name(int32_t index);

/* ---- models ---- */

/* Opens a model that is compiled in; NULL is "rnnoise". On failure *out is NULL, and message, DENOISE_MESSAGE bytes or
 * NULL, says why, here and in what follows. */
DENOISE_API denoise_status denoiser_open(const char *name, denoiser **out, char *message);

/* Opens a model file of one's own: .dnnw, .rnnn, .rnn, or a weights blob of RNNoise 0.2; the content tells which. */
DENOISE_API denoise_status denoiser_open_file(const char *path, denoiser **out, char *message);

/* Forms in which the weights of a DTLN are kept: as its files have them; or in 8 bits, half the memory and time. */
typedef enum { DENOISE_AS_STORED, DENOISE_INT8 } denoise_precision;

/* Opens the two ONNX files of a DTLN, in either order. Its blocks being of 32 ms, their length tells the rate. */
DENOISE_API denoise_status denoiser_open_pair(const char *first, const char *second, denoise_precision precision,
                                              denoiser **out, char *message);

/* Opens a model from the bytes of its file, or of two; second: NULL, but for a DTLN. They are not needed afterwards. */
DENOISE_API denoise_status denoiser_open_memory(const void *first, size_t first_size, const void *second,
                                                size_t second_size, denoise_precision precision, denoiser **out,
                                                char *message);

/* Closes a model, of which no stream is open any more. NULL is fine. */
DENOISE_API void denoiser_close(denoiser *model);

DENOISE_API int32_t denoiser_rate(const denoiser *model);    /* Hz, at which the model works */
DENOISE_API int32_t denoiser_hop(const denoiser *model);     /* samples that it takes at a time, at that rate */
DENOISE_API int32_t denoiser_delay(const denoiser *model);   /* samples by which it is late by itself */
DENOISE_API int denoiser_has_voice(const denoiser *model);   /* 1 if it tells the probability of speech, or else 0 */
DENOISE_API const char *denoiser_isa(const denoiser *model); /* name of the instruction set in use */

/* ---- streams ---- */

typedef enum { DENOISE_INT16, DENOISE_INT32, DENOISE_FLOAT, DENOISE_DOUBLE } denoise_type; /* of samples */

/* Begin with DENOISE_SETTINGS, and change what is to be otherwise. */
typedef struct {
    size_t size;          /* of this struct as the program knows it */
    double atten_lim_db;  /* dB, 0 or more, by which noise is turned down at most; below 0: without a limit */
    double mix;           /* 0 (the original, in time with the result) to 1 (the result) */
    double vad_threshold; /* 0 to 1, the probability of speech below which a gate closes; below 0: no gate */
    double vad_hold;      /* seconds for which the gate stays open after speech, 0 to 3600 */
    int32_t zero_bad;     /* 1: samples that are NaN or beyond +-100,000 become zero; 0: they are refused */
    int32_t latency;      /* frames by which the result is to be late; 0: the least, 60 s at most */
    int32_t step;         /* frames of which every chunk holds a whole number, 1 or more. Whole hops at the model's own
                           * rate make the stream late by the model's delay alone. */
    int32_t block;        /* frames that go through at a time, 1 to 2^20: memory for as many is set aside when the
                           * stream is opened. Larger chunks go through in pieces, a little slower if it is small. */
} denoise_settings;

#define DENOISE_SETTINGS                                                                                               \
    { sizeof(denoise_settings), -1.0, 1.0, -1.0, 0.2, 0, 0, 1, 1024 }

/* Opens a stream of that rate in Hz and so many channels. It borrows model, which must outlive it. settings: NULL for
 * the usual ones. */
DENOISE_API denoise_status denoise_stream_open(const denoiser *model, int32_t rate, int32_t channels,
                                               const denoise_settings *settings, denoise_stream **out, char *message);
DENOISE_API void denoise_stream_close(denoise_stream *stream); /* NULL is fine */

/* Returns the frames by which the result is late; constant. */
DENOISE_API int32_t denoise_stream_latency(const denoise_stream *stream);

/* Cleans a chunk: in, out are interleaved, [frames][channels], and may be the same, with no other overlap. out gets
 * what came latency frames ago, zeros before the beginning; integers rounded and clipped, floats perhaps past full
 * scale. */
DENOISE_API denoise_status denoise_stream_process(denoise_stream *stream, denoise_type type, const void *in, void *out,
                                                  size_t frames);

/* The same of floats with a row a channel: in[channels], out[channels] point to frames samples each. */
DENOISE_API denoise_status denoise_stream_process_rows(denoise_stream *stream, const float *const *in,
                                                       float *const *out, size_t frames);

/* Gives the last frames, [latency][channels], and begins anew. */
DENOISE_API denoise_status denoise_stream_flush(denoise_stream *stream, denoise_type type, void *out);

/* Forgets all that came. */
DENOISE_API denoise_status denoise_stream_reset(denoise_stream *stream);

/* Changes atten_lim_db, mix and vad_threshold while the signal goes on, without a click; what else is in settings
 * counts for nothing. A stream that was opened without a gate may get one, and the other way round. */
DENOISE_API denoise_status denoise_stream_change(denoise_stream *stream, const denoise_settings *settings);

/* Returns the probability of speech in the last hop that was whole, 0 to 1, the highest of the channels; 0 before it,
 * and where the model tells none. */
DENOISE_API float denoise_stream_voice(const denoise_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
