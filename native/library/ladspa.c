/* A LADSPA plugin, mono and stereo. An instance has a stream of every model compiled in, all made when it is, so that
 * run() changes from one to the other without asking for memory: the new one listens for a while and fades in. Models
 * are loaded with the first instance, shared by all, and go with the last. */
#include <ladspa.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "library/denoise_wrapper/denoise.h"
#include "memory.h"

enum {
    MOST_MODELS = 8,
    MOST_CHANNELS = 2,
    BLOCK = 1024,       /* frames that go through at a time */
    NO_LIMIT_DB = 100,  /* of attenuation, from which on there is none */
    HOLD_MS = 200,      /* for which the gate stays open after speech */
    WARM_UP_PARTS = 5,  /* of a second: a new model listens for a fifth before it is heard, beyond its latency */
    FADE_PARTS = 50,    /* it fades in for a fiftieth */
    FIRST_ID = 5190317, /* of mono; stereo is the next */
    NAME = 200,         /* bytes of a plugin's name */
};

typedef enum { BACKEND, LIMIT, MIX, GATE, LATENCY, FIRST_AUDIO } port;
enum { MOST_PORTS = FIRST_AUDIO + 2 * MOST_CHANNELS };

/* ---- models ---- */

static struct {
    pthread_mutex_t lock; /* not in run() */
    int users, count;
    denoiser *models[MOST_MODELS];
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void close_models(void) {
    while (shared.count > 0) denoiser_close(shared.models[--shared.count]);
}

/* Returns 0 if a model cannot be loaded. */
static int acquire_models(void) {
    pthread_mutex_lock(&shared.lock);
    int is_good = 1;
    while (is_good && !shared.users && shared.count < MOST_MODELS && denoise_model_name(shared.count)) {
        is_good = denoiser_open(denoise_model_name(shared.count), &shared.models[shared.count], NULL) == DENOISE_OK;
        shared.count += is_good;
    }
    if (is_good) {
        shared.users++;
    } else {
        close_models();
    }
    pthread_mutex_unlock(&shared.lock);
    return is_good;
}

static void release_models(void) {
    pthread_mutex_lock(&shared.lock);
    if (--shared.users == 0) close_models();
    pthread_mutex_unlock(&shared.lock);
}

/* ---- an instance ---- */

typedef struct {
    int channels, count, is_fresh;
    long rate;
    denoise_stream *streams[MOST_MODELS];
    LADSPA_Data *ports[MOST_PORTS];
    int heard, next; /* models; next is -1, or the one that is to be heard */
    long until;      /* frames until it begins to fade in; below zero, how far that has come */
    denoise_settings settings;
    float scratch[MOST_CHANNELS][BLOCK];
} instance;

static void cleanup(LADSPA_Handle handle) {
    instance *self = handle;
    for (int i = 0; i < self->count; i++) denoise_stream_close(self->streams[i]);
    release_models();
    dn_delete(self);
}

static LADSPA_Descriptor both[MOST_CHANNELS]; /* of as many channels, less one */

static LADSPA_Handle instantiate(const LADSPA_Descriptor *descriptor, unsigned long rate) {
    instance *self = rate >= DENOISE_MIN_RATE && rate <= DENOISE_MAX_RATE ? dn_new(sizeof(*self)) : NULL;
    if (!self) return NULL;
    if (!acquire_models()) {
        dn_delete(self);
        return NULL;
    }
    self->channels = 1 + (int)(descriptor - both);
    self->rate = (long)rate;
    self->next = -1;
    self->is_fresh = 1;
    self->settings = (denoise_settings)DENOISE_SETTINGS;
    self->settings.zero_bad = 1;
    self->settings.block = BLOCK;
    self->settings.vad_hold = HOLD_MS / 1000.0;
    for (; self->count < shared.count; self->count++) {
        denoise_status status = denoise_stream_open(shared.models[self->count], (int32_t)rate, self->channels,
                                                    &self->settings, &self->streams[self->count], NULL);
        if (status == DENOISE_OK) continue;
        cleanup(self);
        return NULL;
    }
    return self;
}

static void connect_port(LADSPA_Handle handle, unsigned long number, LADSPA_Data *data) {
    instance *self = handle;
    if (number < MOST_PORTS) self->ports[number] = data;
}

static void activate(LADSPA_Handle handle) {
    instance *self = handle;
    for (int i = 0; i < self->count; i++) denoise_stream_reset(self->streams[i]);
    self->is_fresh = 1;
    self->next = -1;
}

/* ---- controls ---- */

static double control(const instance *self, port number, double least, double most, double usual) {
    const LADSPA_Data *at = self->ports[number];
    double value = at ? (double)*at : usual;
    if (isnan(value)) return usual;
    return value < least ? least : value > most ? most : value;
}

/* Applies the controls to a stream that is in use. */
static void set_strength(instance *self, int model) {
    denoise_settings *s = &self->settings;
    const double limit = control(self, LIMIT, 0, NO_LIMIT_DB, NO_LIMIT_DB), gate = control(self, GATE, 0, 1, 0);
    s->atten_lim_db = limit < NO_LIMIT_DB ? limit : -1;
    s->mix = control(self, MIX, 0, 1, 1);
    s->vad_threshold = gate > 0 && denoiser_has_voice(shared.models[model]) ? gate : -1;
    denoise_stream_change(self->streams[model], s);
}

static void choose_model(instance *self) {
    const int wanted = (int)lround(control(self, BACKEND, 0, self->count - 1, 0));
    if (self->is_fresh) {
        self->is_fresh = 0;
        self->heard = wanted;
        set_strength(self, wanted);
        denoise_stream_reset(self->streams[wanted]); /* begins with that strength, instead of gliding to it */
        return;
    }
    const int is_fading = self->next >= 0 && self->until <= 0;
    if (is_fading || wanted == (self->next >= 0 ? self->next : self->heard)) return;
    self->next = wanted == self->heard ? -1 : wanted;
    if (self->next < 0) return;
    set_strength(self, wanted);
    denoise_stream_reset(self->streams[wanted]);
    self->until = denoise_stream_latency(self->streams[wanted]) + self->rate / WARM_UP_PARTS;
}

/* ---- samples ---- */

/* Fades what the next model made, in scratch, in over what the heard one did. */
static void fade_over(instance *self, LADSPA_Data *const *out, long frames) {
    const long fade = self->rate / FADE_PARTS + 1;
    for (int c = 0; c < self->channels; c++) {
        for (long i = 0; i < frames; i++) {
            const long at = i + 1 - self->until;
            const float weight = at <= 0 ? 0 : at >= fade ? 1 : (float)at / (float)fade;
            out[c][i] += (self->scratch[c][i] - out[c][i]) * weight;
        }
    }
    self->until -= frames;
    if (self->until > -fade) return;
    self->heard = self->next;
    self->next = -1;
}

static void run_block(instance *self, const LADSPA_Data *const *in, LADSPA_Data *const *out, long frames) {
    if (self->next >= 0) {
        float *rows[MOST_CHANNELS] = {self->scratch[0], self->scratch[1]};
        denoise_stream_process_rows(self->streams[self->next], in, rows, (size_t)frames);
    }
    denoise_stream_process_rows(self->streams[self->heard], in, out, (size_t)frames);
    if (self->next >= 0) fade_over(self, out, frames);
}

static void run(LADSPA_Handle handle, unsigned long count) {
    instance *self = handle;
    choose_model(self);
    set_strength(self, self->heard);
    if (self->next >= 0) set_strength(self, self->next);
    for (unsigned long at = 0; at < count; at += BLOCK) {
        const LADSPA_Data *in[MOST_CHANNELS] = {NULL};
        LADSPA_Data *out[MOST_CHANNELS] = {NULL};
        for (int c = 0; c < self->channels; c++) {
            in[c] = self->ports[FIRST_AUDIO + c] + at;
            out[c] = self->ports[FIRST_AUDIO + self->channels + c] + at;
        }
        run_block(self, in, out, (long)(count - at < BLOCK ? count - at : BLOCK));
    }
    if (self->ports[LATENCY]) *self->ports[LATENCY] = (float)denoise_stream_latency(self->streams[self->heard]);
}

/* ---- descriptors ---- */

#define CONTROL_IN (LADSPA_PORT_INPUT | LADSPA_PORT_CONTROL)
#define CONTROL_OUT (LADSPA_PORT_OUTPUT | LADSPA_PORT_CONTROL)
#define AUDIO_IN (LADSPA_PORT_INPUT | LADSPA_PORT_AUDIO)
#define AUDIO_OUT (LADSPA_PORT_OUTPUT | LADSPA_PORT_AUDIO)
#define BOUNDED (LADSPA_HINT_BOUNDED_BELOW | LADSPA_HINT_BOUNDED_ABOVE)

static const LADSPA_PortDescriptor mono_ports[] = {CONTROL_IN,  CONTROL_IN, CONTROL_IN, CONTROL_IN,
                                                   CONTROL_OUT, AUDIO_IN,   AUDIO_OUT};
static const LADSPA_PortDescriptor stereo_ports[] = {CONTROL_IN, CONTROL_IN, CONTROL_IN, CONTROL_IN, CONTROL_OUT,
                                                     AUDIO_IN,   AUDIO_IN,   AUDIO_OUT,  AUDIO_OUT};

#define CONTROL_NAMES "Backend", "Attenuation limit (dB)", "Mix", "Gate", "latency"

static const char *const mono_names[] = {CONTROL_NAMES, "Input", "Output"};
static const char *const stereo_names[] = {CONTROL_NAMES, "Input left", "Input right", "Output left", "Output right"};

static LADSPA_PortRangeHint hints[MOST_PORTS] = {
    [BACKEND] = {BOUNDED | LADSPA_HINT_INTEGER | LADSPA_HINT_DEFAULT_0, 0, 0},
    [LIMIT] = {BOUNDED | LADSPA_HINT_DEFAULT_MAXIMUM, 0, NO_LIMIT_DB},
    [MIX] = {BOUNDED | LADSPA_HINT_DEFAULT_MAXIMUM, 0, 1},
    [GATE] = {BOUNDED | LADSPA_HINT_DEFAULT_MINIMUM, 0, 1},
};

/* Writes behind a plugin's name which number of a backend is which. Returns how many there are. */
static int32_t name_models(char *name, size_t size) {
    size_t at = strlen(name);
    int32_t i = 0;
    for (; i < MOST_MODELS && denoise_model_name(i); i++) {
        int more = snprintf(name + at, size - at, "%s%d %s", i ? ", " : " (backends: ", (int)i, denoise_model_name(i));
        at = more > 0 && (size_t)more < size - at ? at + (size_t)more : at;
    }
    snprintf(name + at, size - at, ")");
    return i;
}

/* name: of NAME bytes, to which the backends are added. */
static void describe(int channels, const char *label, char *name, const LADSPA_PortDescriptor *ports,
                     const char *const *port_names) {
    hints[BACKEND].UpperBound = (float)(name_models(name, NAME) - 1);
    both[channels - 1] = (LADSPA_Descriptor){
        .UniqueID = FIRST_ID + (unsigned long)channels - 1,
        .Label = label,
        .Properties = LADSPA_PROPERTY_HARD_RT_CAPABLE,
        .Name = name,
        .Maker = "The denoise_wrapper developers",
        .Copyright = "MIT",
        .PortCount = FIRST_AUDIO + 2 * (unsigned long)channels,
        .PortDescriptors = ports,
        .PortNames = port_names,
        .PortRangeHints = hints,
        .instantiate = instantiate,
        .connect_port = connect_port,
        .activate = activate,
        .run = run,
        .cleanup = cleanup,
    };
}

__attribute__((constructor)) static void begin(void) {
    static char mono[NAME] = "Noise removal from speech, mono", stereo[NAME] = "Noise removal from speech, stereo";
    describe(1, "denoise_mono", mono, mono_ports, mono_names);
    describe(2, "denoise_stereo", stereo, stereo_ports, stereo_names);
}

__attribute__((visibility("default"))) const LADSPA_Descriptor *ladspa_descriptor(unsigned long index) {
    return index < MOST_CHANNELS ? &both[index] : NULL;
}
