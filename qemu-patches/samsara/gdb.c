/*
 * Record and replay of multiprocessor KVM guests: debuggers
 *
 * A debugger may look at a guest that is recorded or replayed, but not change
 * what it does: breakpoints, single steps and writes are refused.
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

/* Requests of gdb's remote protocol that are refused, whatever follows */
static const char * const refused[] = {
    "Z",                        /* breakpoints and watchpoints */
    "s",                        /* single step */
    "M", "X",                   /* memory */
    "G", "P",                   /* registers */
};

/* vCont;ACTION[:THREAD][;ACTION[:THREAD]]... */
static bool steps(const char *packet)
{
    return strstart(packet, "vCont;", NULL) &&
           (strstr(packet, ";s") || strstr(packet, ";S"));
}

static bool changes_guest(const char *packet)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(refused); i++) {
        if (strstart(packet, refused[i], NULL)) {
            return true;
        }
    }
    /* "c" goes on, "cADDR" goes on elsewhere */
    return steps(packet) || (packet[0] == 'c' && packet[1]);
}

bool samsara_do_refuse_gdb(const char *packet)
{
    static bool told;

    /* QEMU's status would be 0, which says that the replay was exact */
    if (samsara_opts.replay &&
        (packet[0] == 'k' || strstart(packet, "vKill", NULL))) {
        samsara_replay_interrupted();
    }
    if (!changes_guest(packet)) {
        return false;
    }
    if (!told) {
        error_report("samsara: gdb: breakpoints, watchpoints, single steps and "
                     "writes don't work while a guest is %s; registers and "
                     "memory can be read",
                     samsara_recordable ? "recorded" : "replayed");
        told = true;
    }
    return true;
}
