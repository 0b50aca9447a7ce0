/* A plugin of qemu-user that counts the instructions of a program: at each call of sched_yield, and once more at the
 * end, it writes to stderr how many there have been. What it needs of the plugin interface is declared here, as not
 * every package of QEMU brings the header.
 *
 *     cc -shared -fPIC native/tools/count.c -o count.so
 *     qemu-arm -plugin ./count.so,yield=158 PROGRAM
 *
 * yield: the number of sched_yield there, 158 on 32-bit ARM. PLUGIN_VERSION: of the interface, 1 up to QEMU 8, at least
 * 2 from 9 on. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
typedef struct qemu_plugin_tb block; /* instructions that are run one after the other */
typedef void syscall_call(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                          uint64_t, uint64_t);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*call)(plugin_id, block *));
void qemu_plugin_register_vcpu_tb_exec_cb(block *tb, void (*call)(unsigned, void *), int registers, void *data);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id id, syscall_call *call);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*call)(plugin_id, void *), void *data);
size_t qemu_plugin_tb_n_insns(const block *tb);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

static uint64_t instructions;
static int64_t yield = -1;

static void run(unsigned processor, void *count) {
    (void)processor;
    instructions += (uintptr_t)count;
}

static void translate(plugin_id id, block *tb) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, run, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}

static void end(plugin_id id, void *data) {
    (void)id, (void)data;
    fprintf(stderr, "%llu instructions\n", (unsigned long long)instructions);
}

static void call(plugin_id id, unsigned processor, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                 uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)processor, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number == yield) end(id, NULL);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "yield=", 6) == 0) yield = strtoll(argv[i] + 6, NULL, 10);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_vcpu_syscall_cb(id, call);
    qemu_plugin_register_atexit_cb(id, end, NULL);
    return 0;
}
