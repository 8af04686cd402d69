/*
 * Record and replay of multiprocessor KVM guests: debuggers
 *
 * A debugger may look at a guest that is recorded or replayed, but not change
 * it: writes are refused, and in a recording breakpoints and single steps, too.
 * In a replay these are the kernel's, which keeps them out of the guest
 * (debug.c), and it can be walked backwards.
 *
 * What comes in are requests of gdb's remote protocol ("GDB Remote Serial
 * Protocol" in gdb's manual).
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"

#define OK      "OK"
#define REFUSED "E22"
#define LATER   NULL            /* where the guest stops */
/* Bytes of a watchpoint */
#define MAX_WATCHED 256

static bool waits;              /* the debugger, for the guest to stop */
static bool command_waits;      /* ... a command of the monitor */

static void tell_once(const char *what)
{
    static const char *told;

    if (told != what) {
        error_report("samsara: gdb: %s", what);
        told = what;
    }
}

static const char *refuse_changes(void)
{
    tell_once(samsara_recordable
              ? "breakpoints, watchpoints, single steps and writes don't work "
                "while a guest is recorded; registers and memory can be read"
              : "the guest of a replay does what it did: registers and memory "
                "can't be written");
    return REFUSED;
}

/* THREAD or pPROCESS.THREAD, hexadecimal; a thread is a vCPU, from 1 on */
static CPUState *thread(const char *text)
{
    const char *dot = strchr(text, '.');
    unsigned long id;

    if (*text == 'p' && dot) {
        text = dot + 1;
    }
    if (qemu_strtoul(text, NULL, 16, &id) < 0 || id < 1 || id > INT_MAX) {
        return NULL;
    }
    return qemu_get_cpu(id - 1);
}

/* Breakpoints and watchpoints: TYPE,ADDR,KIND */

static bool parse_point(const char *text, uint32_t *type, uint64_t *addr,
                        unsigned *len)
{
    static const uint32_t types[] = {
        KVM_SAMSARA_POINT_EXECUTE,      /* "software": in memory elsewhere */
        KVM_SAMSARA_POINT_EXECUTE,
        KVM_SAMSARA_POINT_WRITE,
        KVM_SAMSARA_POINT_ACCESS,       /* read: no processor has that */
        KVM_SAMSARA_POINT_ACCESS,
    };
    unsigned i = text[0] - '0';

    if (i >= ARRAY_SIZE(types) || text[1] != ',' ||
        sscanf(text + 2, "%" SCNx64 ",%x", addr, len) != 2) {
        return false;
    }
    *type = types[i];
    if (*type == KVM_SAMSARA_POINT_EXECUTE) {
        *len = 1;
    }
    return *len && *len <= MAX_WATCHED && *addr <= UINT64_MAX - *len;
}

/* The longest piece at @addr that a processor can watch */
static unsigned piece_of(uint64_t addr, unsigned len)
{
    unsigned piece = 8;

    while (piece > len || !QEMU_IS_ALIGNED(addr, piece)) {
        piece /= 2;
    }
    return piece;
}

static bool change_points(bool insert, uint32_t type, uint64_t addr,
                          unsigned len)
{
    while (len) {
        struct kvm_samsara_debug_point point = {
            .type = type,
            .addr = addr,
            .len = piece_of(addr, len),
        };

        if (!insert) {
            samsara_points_remove(&point);
        } else if (!samsara_points_insert(&point)) {
            return false;
        }
        addr += point.len;
        len -= point.len;
    }
    return true;
}

static const char *change_point(bool insert, const char *text)
{
    unsigned len;
    uint32_t type;
    uint64_t addr;

    if (!parse_point(text, &type, &addr, &len)) {
        return REFUSED;
    }
    if (!change_points(insert, type, addr, len)) {
        change_points(false, type, addr, len);
        tell_once("there are too many breakpoints and watchpoints");
        return REFUSED;
    }
    return OK;
}

/* Running */

static const char *run_on(CPUState *step)
{
    waits = true;
    samsara_debug_forward(step ? step->cpu_index : -1);
    return LATER;
}

/* ;ACTION[:THREAD]..., with at most one that steps */
static const char *run_actions(const char *actions)
{
    g_auto(GStrv) action = g_strsplit(actions, ";", -1);
    int i;

    for (i = 0; action[i]; i++) {
        const char *colon = strchr(action[i], ':');

        if (g_ascii_tolower(action[i][0]) == 's') {
            CPUState *cpu = colon ? thread(colon + 1) : NULL;

            return run_on(cpu ?: samsara_debug_cpu());
        }
    }
    return run_on(NULL);
}

static const char *run_back(bool step)
{
    waits = true;
    if (step) {
        samsara_debug_step_back(samsara_debug_cpu());
    } else {
        samsara_debug_continue_back();
    }
    return LATER;
}

/* vCont;ACTION[:THREAD][;ACTION[:THREAD]]... */
static bool steps(const char *packet)
{
    return strstart(packet, "vCont;", NULL) &&
           (strstr(packet, ";s") || strstr(packet, ";S"));
}

/* True: @packet is none of ours, or QEMU is to see it, too. */
static bool handle_in_replay(const char *packet, const char **reply)
{
    const char *rest;

    *reply = LATER;
    if (strstart(packet, "vCont;", &rest)) {
        *reply = run_actions(rest);
    } else if (!strcmp(packet, "c")) {
        *reply = run_on(NULL);
    } else if (!strcmp(packet, "s")) {
        *reply = run_on(samsara_debug_cpu());
    } else if (!strcmp(packet, "bc") || !strcmp(packet, "bs")) {
        *reply = run_back(packet[1] == 's');
    } else if (packet[0] == 'Z' || packet[0] == 'z') {
        *reply = change_point(packet[0] == 'Z', packet + 1);
    } else if (packet[0] && strchr("csMXGP", packet[0])) {
        *reply = refuse_changes();
    } else {
        if (strstart(packet, "Hc", &rest)) {
            samsara_debug_choose(thread(rest));
        } else if (packet[0] == 'D') {
            samsara_points_remove_all();
        } else if (packet[0] == 'k' || strstart(packet, "vKill", NULL)) {
            /* QEMU's status would be 0, which says that it was exact */
            samsara_replay_interrupted();
        }
        return true;
    }
    return false;
}

static bool changes_guest(const char *packet)
{
    /* "c" goes on, "cADDR" goes on elsewhere */
    return steps(packet) || (packet[0] && strchr("ZzsMXGP", packet[0])) ||
           (packet[0] == 'c' && packet[1]);
}

bool samsara_do_gdb(const char *packet, const char **reply)
{
    if (samsara_opts.replay) {
        samsara_replay_stay(packet[0] != 'D');
        return !handle_in_replay(packet, reply);
    }
    *reply = REFUSED;
    return changes_guest(packet) && refuse_changes();
}

const char *samsara_do_gdb_stop(void)
{
    bool waited = waits;

    if (!samsara_opts.replay) {
        return "";
    }
    waits = false;
    return waited ? samsara_debug_history() : NULL;
}

/* gdb goes on when it is answered, and looks where the guest is then. */
bool samsara_do_gdb_command(void)
{
    command_waits = samsara_opts.replay && samsara_replay_seeks();
    return command_waits;
}

bool samsara_do_gdb_command_done(void)
{
    bool waited = command_waits;

    command_waits = false;
    return waited;
}

bool samsara_gdb_reverses(void)
{
    return samsara_opts.replay;
}
