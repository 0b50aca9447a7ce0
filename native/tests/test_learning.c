/* Slopes that the way back gives must be those of the way forward, and two clips must be as each by itself. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "denoise.h"

enum { CLIPS = 2, FRAMES = 5, PARTS = 40 };

static float *room(size_t count, float scale) {
    float *x = malloc(count * sizeof(*x));
    if (!x) abort();
    for (size_t i = 0; i < count; i++) x[i] = scale * random_float();
    return x;
}

typedef struct {
    dn_rows_sizes sizes;
    size_t weights, states, features, hidden, kept; /* numbers: of all weights, and of all clips */
    float *w, *x, *before, *after, *y, *towards, *all_kept;
} network;

static network make(dn_rows_sizes sizes) {
    const size_t bands = CLIPS * FRAMES * (size_t)sizes.bands;
    network n = {.sizes = sizes,
                 .weights = dn_rows_weights(&sizes),
                 .states = CLIPS * (size_t)(sizes.blocks * sizes.rows * sizes.units),
                 .features = bands * (size_t)sizes.features,
                 .hidden = bands * (size_t)sizes.width,
                 .kept = CLIPS * FRAMES * dn_rows_kept(&sizes)};
    n.w = room(n.weights, 0.5f);
    n.x = room(n.features, 1);
    n.before = room(n.states, 0.7f);
    n.after = room(n.states, 0);
    n.y = room(n.hidden, 0);
    n.towards = room(n.hidden, 1);
    n.all_kept = room(n.kept, 0);
    return n;
}

static void drop(network *n) {
    float *all[] = {n->w, n->x, n->before, n->after, n->y, n->towards, n->all_kept};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* The loss: the answers' sum, each times a number of its own. */
static double loss(network *n) {
    double sum = 0;
    memcpy(n->after, n->before, n->states * sizeof(*n->after));
    CHECK(dn_rows_forward(&n->sizes, CLIPS, FRAMES, n->w, n->x, n->after, n->y, n->all_kept) == DN_OK);
    for (size_t i = 0; i < n->hidden; i++) sum += (double)n->y[i] * n->towards[i];
    return sum;
}

/* Moves a part of the weights after another along a line, in both directions. */
static void test_slopes(dn_rows_sizes sizes) {
    network n = make(sizes);
    float *slopes = room(n.weights, 0), *own = room(n.weights, 0), *line = room(n.weights, 1);
    loss(&n);
    CHECK(dn_rows_backward(&sizes, CLIPS, FRAMES, n.w, n.x, n.before, n.all_kept, n.towards, slopes) == DN_OK);
    memcpy(own, n.w, n.weights * sizeof(*own));
    for (size_t part = 0; part < PARTS; part++) {
        const size_t first = n.weights * part / PARTS, end = n.weights * (part + 1) / PARTS;
        double expected = 0, size = 0;
        for (size_t i = first; i < end; i++) {
            expected += (double)slopes[i] * line[i];
            size += fabs((double)slopes[i] * line[i]);
        }
        const float step = 1e-3f;
        for (size_t i = first; i < end; i++) n.w[i] = own[i] + step * line[i];
        double change = loss(&n);
        for (size_t i = first; i < end; i++) n.w[i] = own[i] - step * line[i];
        change = (change - loss(&n)) / (2 * (double)step);
        for (size_t i = first; i < end; i++) n.w[i] = own[i];
        CHECK(size > 0);
        CHECK(fabs(change - expected) < 0.01 * size);
    }
    free(slopes);
    free(own);
    free(line);
    drop(&n);
}

static void test_clips_apart(dn_rows_sizes sizes) {
    network n = make(sizes);
    float *y = room(n.hidden, 0), *kept = room(n.kept, 0), *slopes = room(n.weights, 0), *sum = room(n.weights, 0);
    loss(&n);
    CHECK(dn_rows_backward(&sizes, CLIPS, FRAMES, n.w, n.x, n.before, n.all_kept, n.towards, slopes) == DN_OK);
    for (size_t clip = 0; clip < CLIPS; clip++) {
        const float *x = n.x + clip * n.features / CLIPS, *before = n.before + clip * n.states / CLIPS;
        float *after = room(n.states / CLIPS, 0), *own = y + clip * n.hidden / CLIPS;
        memcpy(after, before, n.states / CLIPS * sizeof(*after));
        CHECK(dn_rows_forward(&sizes, 1, FRAMES, n.w, x, after, own, kept) == DN_OK);
        CHECK(!memcmp(after, n.after + clip * n.states / CLIPS, n.states / CLIPS * sizeof(*after)));
        const float *towards = n.towards + clip * n.hidden / CLIPS;
        CHECK(dn_rows_backward(&sizes, 1, FRAMES, n.w, x, before, kept, towards, sum) == DN_OK);
        free(after);
    }
    CHECK(!memcmp(y, n.y, n.hidden * sizeof(*y)));
    double apart = 0, most = 0;
    for (size_t i = 0; i < n.weights; i++) {
        apart = fmax(apart, fabs((double)slopes[i] - sum[i]));
        most = fmax(most, fabs((double)slopes[i]));
    }
    CHECK(apart < 1e-5 * most);
    free(y);
    free(kept);
    free(slopes);
    free(sum);
    drop(&n);
}

static void test_sizes(void) {
    const dn_rows_sizes good = {3, 128, 24, 16, 2, 24, 2, 32, 4};
    CHECK(dn_rows_weights(&good) == 41864);
    CHECK(dn_rows_kept(&good) > 0);
    dn_rows_sizes bad[] = {good, good, good, good, good, good, good, good, good, good, good};
    bad[0].channels = 20;
    bad[1].units = 36;
    bad[2].heads = 8; /* four channels a head */
    bad[3].rows = 20;
    bad[4].bands = 126;
    bad[5].blocks = 0;
    bad[6].convolutions = 9;
    bad[7].width = 0;
    bad[8].heads = 0;
    bad[9].channels = INT32_MAX / 8 * 8;
    bad[10].units = INT32_MAX / 32 * 32;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(dn_rows_weights(&bad[i]) == 0);
        CHECK(dn_rows_kept(&bad[i]) == 0);
        CHECK(dn_rows_forward(&bad[i], 1, 1, NULL, NULL, NULL, NULL, NULL) == DN_BAD_RANGE);
        CHECK(dn_rows_backward(&bad[i], 1, 1, NULL, NULL, NULL, NULL, NULL, NULL) == DN_BAD_RANGE);
    }
}

int main(void) {
    const dn_rows_sizes small = {3, 32, 8, 3, 2, 8, 2, 16, 2}, flat = {1, 64, 16, 16, 0, 16, 1, 8, 1};
    test_sizes();
    test_slopes(small);
    test_slopes(flat);
    test_clips_apart(small);
    return done("learning");
}
