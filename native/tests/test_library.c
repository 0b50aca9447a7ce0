/* The library's own interface: streams at other rates, chunks of any size, changes, refusals. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "library/denoise_wrapper/denoise.h"
#include "rnn_data.h"

enum { FRAMES = 9000, RATE = 44100, CHANNELS = 2 };

static float noise[FRAMES * CHANNELS];

static void make_noise(void) {
    for (int i = 0; i < FRAMES * CHANNELS; i++) noise[i] = 0.2f * random_float();
}

static denoiser *open_model(void) {
    denoiser *model = NULL;
    CHECK(denoiser_open(NULL, &model, NULL) == DENOISE_OK);
    return model;
}

/* The whole signal, in chunks that grow, and the tail. */
static void run(denoise_stream *stream, size_t first, float *out) {
    size_t at = 0;
    for (size_t n = first; at < FRAMES; at += n, n = n + 7) {
        n = n < FRAMES - at ? n : FRAMES - at;
        CHECK(denoise_stream_process(stream, DENOISE_FLOAT, noise + at * CHANNELS, out + at * CHANNELS, n) ==
              DENOISE_OK);
    }
    CHECK(denoise_stream_flush(stream, DENOISE_FLOAT, out + FRAMES * CHANNELS) == DENOISE_OK);
}

static void test_chunks(const denoiser *model) {
    static float once[(FRAMES + 10000) * CHANNELS], other[(FRAMES + 10000) * CHANNELS];
    denoise_settings settings = DENOISE_SETTINGS;
    denoise_stream *stream;
    settings.block = 3000;
    settings.atten_lim_db = 20;
    settings.mix = 0.75;
    settings.vad_threshold = 0.1;
    CHECK(denoise_stream_open(model, RATE, CHANNELS, &settings, &stream, NULL) == DENOISE_OK);
    const size_t size = sizeof(float) * (size_t)(FRAMES + denoise_stream_latency(stream)) * CHANNELS;
    CHECK(denoise_stream_latency(stream) < 10000);
    run(stream, FRAMES, once);
    for (size_t first = 1; first < 2000; first = 3 * first + 1) {
        memset(other, 0, sizeof(other));
        run(stream, first, other); /* which a flush has made as fresh */
        CHECK(memcmp(once, other, size) == 0);
    }
    denoise_stream_close(stream);
}

static void test_rows(const denoiser *model) {
    static float woven[FRAMES * CHANNELS], left[FRAMES], right[FRAMES];
    denoise_stream *stream;
    CHECK(denoise_stream_open(model, RATE, CHANNELS, NULL, &stream, NULL) == DENOISE_OK);
    CHECK(denoise_stream_process(stream, DENOISE_FLOAT, noise, woven, FRAMES) == DENOISE_OK);
    CHECK(denoise_stream_reset(stream) == DENOISE_OK);
    for (int i = 0; i < FRAMES; i++) {
        left[i] = noise[2 * i];
        right[i] = noise[2 * i + 1];
    }
    float *rows[] = {left, right};
    CHECK(denoise_stream_process_rows(stream, (const float *const *)rows, rows, FRAMES) == DENOISE_OK);
    for (int i = 0; i < FRAMES; i++) CHECK(woven[2 * i] == left[i] && woven[2 * i + 1] == right[i]);
    denoise_stream_close(stream);
}

static void test_bad_samples(const denoiser *model) {
    static float bad[5000], out[5000];
    denoise_settings settings = DENOISE_SETTINGS;
    denoise_stream *stream;
    for (int zero = 0; zero <= 1; zero++) {
        settings.zero_bad = zero;
        CHECK(denoise_stream_open(model, 48000, 1, &settings, &stream, NULL) == DENOISE_OK);
        for (size_t n = 500; n <= 5000; n += 4500) {
            memcpy(bad, noise, sizeof(bad));
            bad[n - 1] = NAN;
            bad[n - 2] = 2e5f;
            float *row = bad, *made = out;
            const denoise_status wanted = zero ? DENOISE_OK : DENOISE_NOT_FINITE;
            CHECK(denoise_stream_process(stream, DENOISE_FLOAT, bad, out, n) == wanted);
            CHECK(denoise_stream_process_rows(stream, (const float *const *)&row, &made, n) == wanted);
        }
        for (int i = 0; i < 5000; i++) CHECK(isfinite(out[i]));
        denoise_stream_close(stream);
    }
}

static void test_changes(const denoiser *model) {
    static float out[FRAMES];
    denoise_settings settings = DENOISE_SETTINGS;
    denoise_stream *stream;
    CHECK(denoise_stream_open(model, 48000, 1, &settings, &stream, NULL) == DENOISE_OK);
    const int latency = denoise_stream_latency(stream);
    settings.mix = 0;
    CHECK(denoise_stream_change(stream, &settings) == DENOISE_OK);
    CHECK(denoise_stream_process(stream, DENOISE_FLOAT, noise, out, FRAMES) == DENOISE_OK);
    for (int i = 2000; i < FRAMES; i++) CHECK(out[i] == noise[i - latency]); /* the glide is over */
    settings.mix = 2;
    CHECK(denoise_stream_change(stream, &settings) == DENOISE_BAD_RANGE);
    settings.mix = 1;
    settings.size = 8;
    CHECK(denoise_stream_change(stream, &settings) == DENOISE_BAD_RANGE);
    denoise_stream_close(stream);
}

static void refuse(const denoiser *model, int32_t rate, int32_t channels, denoise_settings settings, const char *word) {
    char why[DENOISE_MESSAGE];
    denoise_stream *stream = (denoise_stream *)&settings;
    CHECK(denoise_stream_open(model, rate, channels, &settings, &stream, why) == DENOISE_BAD_RANGE);
    CHECK(stream == NULL);
    CHECK(strstr(why, word) != NULL);
}

static void test_refusals(const denoiser *model) {
    char why[DENOISE_MESSAGE];
    denoiser *none;
    denoise_settings s = DENOISE_SETTINGS;
    refuse(model, 999, 1, s, "rate is 1000 to 768000 Hz, not 999");
    refuse(model, 48000, 0, s, "channels are 1 to 256, not 0");
    s.latency = 5;
    refuse(model, 48000, 1, s, "latency is");
    s = (denoise_settings)DENOISE_SETTINGS;
    s.mix = NAN;
    refuse(model, 48000, 1, s, "mix is");
    s = (denoise_settings)DENOISE_SETTINGS;
    s.step = 0;
    refuse(model, 48000, 1, s, "step is");
    s = (denoise_settings)DENOISE_SETTINGS;
    s.size = 4;
    refuse(model, 48000, 1, s, "DENOISE_SETTINGS");
    CHECK(denoiser_open("nothing", &none, why) == DENOISE_NO_MODEL && !none && strstr(why, "rnnoise"));
    CHECK(denoiser_open_file("/nowhere/at/all", &none, why) == DENOISE_NO_FILE && strstr(why, "/nowhere"));
    CHECK(denoiser_open_memory("abc", 3, NULL, 0, DENOISE_AS_STORED, &none, why) == DENOISE_BAD_MODEL && *why);
    CHECK(denoiser_open_memory(NULL, 0, "", 0, DENOISE_INT8, &none, NULL) == DENOISE_BAD_MODEL && !none);
    for (int status = DENOISE_OK; status <= DENOISE_NO_SUCH_ISA + 1; status++) {
        CHECK(strlen(denoise_status_text((denoise_status)status)) > 5);
    }
}

static void test_steps(const denoiser *model) {
    static float out[960];
    denoise_settings s = DENOISE_SETTINGS;
    denoise_stream *stream;
    s.step = denoiser_hop(model);
    CHECK(denoise_stream_open(model, denoiser_rate(model), 1, &s, &stream, NULL) == DENOISE_OK);
    CHECK(denoise_stream_latency(stream) == denoiser_delay(model));
    CHECK(denoise_stream_process(stream, DENOISE_FLOAT, noise, out, 960) == DENOISE_OK);
    CHECK(denoise_stream_process(stream, DENOISE_FLOAT, noise, out, 961) == DENOISE_BAD_RANGE);
    CHECK(denoise_stream_process(stream, (denoise_type)9, noise, out, 960) == DENOISE_BAD_RANGE);
    denoise_stream_close(stream);
}

static denoise_stream *crossed;
static int busy;

/* Uses the stream until a thread was refused, or for long enough. */
static void *cross(void *out) {
    for (int i = 0; i < 100000 && !__atomic_load_n(&busy, __ATOMIC_RELAXED); i++) {
        denoise_status status = denoise_stream_process(crossed, DENOISE_FLOAT, noise, out, FRAMES);
        if (status == DENOISE_BUSY) __atomic_store_n(&busy, 1, __ATOMIC_RELAXED);
        if (status != DENOISE_BUSY && status != DENOISE_OK) return NULL;
    }
    return out;
}

static void test_second_thread(const denoiser *model) {
    static float out[2][FRAMES * CHANNELS];
    pthread_t thread;
    void *good = NULL;
    CHECK(denoise_stream_open(model, RATE, CHANNELS, NULL, &crossed, NULL) == DENOISE_OK);
    CHECK(pthread_create(&thread, NULL, cross, out[0]) == 0);
    CHECK(cross(out[1]) == out[1]);
    CHECK(pthread_join(thread, &good) == 0 && good == out[0]);
    CHECK(busy);
    CHECK(denoise_stream_process(crossed, DENOISE_FLOAT, noise, out[0], FRAMES) == DENOISE_OK);
    denoise_stream_close(crossed);
}

int main(void) {
    make_noise();
    denoiser *model = open_model(), *same = NULL;
    CHECK(denoiser_open_memory(dn_builtin_data, dn_builtin_size, NULL, 0, DENOISE_AS_STORED, &same, NULL) ==
          DENOISE_OK);
    CHECK(denoiser_hop(same) == denoiser_hop(model) && denoiser_rate(same) == 48000);
    denoiser_close(same);
    test_chunks(model);
    test_rows(model);
    test_bad_samples(model);
    test_changes(model);
    test_refusals(model);
    test_steps(model);
    test_second_thread(model);
    denoise_stream_close(NULL);
    denoiser_close(model);
    denoiser_close(NULL);
    return done("library");
}
