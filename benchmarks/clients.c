/* Clients of a live server, in real time: each sends 10 ms of noise every 10 ms by the clock, answered or not.
 *
 *     clients SECONDS FD...
 *
 * Each FD is a WebSocket that is connected, and whose stream of 48 kHz, one channel and int16 has begun. Writes to
 * standard output, as floats, the milliseconds from when each chunk was due to its answer, but for the first second.
 * Fails where an answer is not as long as its chunk. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { CHUNK = 960, ANSWER = 4 + CHUNK, SENT = 8 + CHUNK, EVENTS = 64 }; /* bytes, with their heads; at a time */
static const double EVERY_S = 0.01, SETTLED_S = 1.0, PATIENCE_S = 0.5;

typedef struct {
    int fd, stuck;  /* stuck: the server did not take a chunk, so that no more are sent */
    double first_s; /* when the first chunk is due, of the clock */
    long received;  /* bytes */
} client;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int earlier(const void *a, const void *b) {
    double x = ((const client *)a)->first_s, y = ((const client *)b)->first_s;
    return (x > y) - (x < y);
}

/* Count what has come; write how late each answer is that has come to its end. Returns 0 for what is no answer. */
static int take(client *each, double begin_s, double end_s) {
    static unsigned char data[1 << 16];
    ssize_t got;
    while ((got = recv(each->fd, data, sizeof(data), MSG_DONTWAIT)) > 0) {
        double at = now_s();
        long before = each->received, first = (ANSWER - before % ANSWER) % ANSWER; /* where an answer begins */
        for (long i = first; i < got; i += ANSWER)
            if (data[i] != 0x82) return 0;
        each->received += got;
        for (long n = before / ANSWER; n < each->received / ANSWER; n++) {
            double due = each->first_s + EVERY_S * (double)n;
            float late_ms = (float)(1e3 * (at - due));
            if (due >= begin_s + SETTLED_S && due < end_s) fwrite(&late_ms, sizeof(late_ms), 1, stdout);
        }
    }
    return got < 0 && errno == EAGAIN;
}

int main(int argc, char **argv) {
    int count = argc - 2, left = epoll_create1(0);
    client *clients = calloc((size_t)(count > 0 ? count : 1), sizeof(*clients));
    if (count < 1 || left < 0 || !clients) return 2;
    double begin_s = now_s() + 0.2, end_s = begin_s + atof(argv[1]);
    for (int i = 0; i < count; i++)
        clients[i] = (client){.fd = atoi(argv[2 + i]), .first_s = begin_s + EVERY_S * rand() / ((double)RAND_MAX + 1)};
    qsort(clients, (size_t)count, sizeof(*clients), earlier);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        if (epoll_ctl(left, EPOLL_CTL_ADD, clients[i].fd, &event)) return 2;
    }
    unsigned char chunk[SENT] = {0x82, 0xFE, CHUNK >> 8, CHUNK & 0xFF}; /* and a mask of zeros */
    for (int i = 8; i < SENT; i += 2) {
        int value = rand() % 4001 - 2000;
        chunk[i] = (unsigned char)(value & 0xFF), chunk[i + 1] = (unsigned char)(value >> 8 & 0xFF);
    }
    for (long next = 0;;) { /* chunk next / count of client next % count */
        client *each = &clients[next % count];
        double due = each->first_s + EVERY_S * (double)(next / count), now = now_s();
        if (due <= now && due < end_s) {
            each->stuck = each->stuck || send(each->fd, chunk, SENT, MSG_DONTWAIT | MSG_NOSIGNAL) != SENT;
            next++;
            continue;
        }
        if (now > end_s + PATIENCE_S) break;
        double wait = (due < end_s ? due : end_s + PATIENCE_S) - now;
        if (wait < 0) wait = 0;
        struct timespec limit = {(time_t)wait, (long)(1e9 * (wait - (double)(time_t)wait))};
        struct epoll_event events[EVENTS];
        int ready = epoll_pwait2(left, events, EVENTS, &limit, NULL);
        for (int i = 0; i < ready; i++)
            if (!take(events[i].data.ptr, begin_s, end_s)) return 1;
    }
    return 0;
}
