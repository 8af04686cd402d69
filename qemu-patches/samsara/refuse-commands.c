/*
 * Record and replay of multiprocessor KVM guests: monitor commands that a
 * replay refuses
 *
 * A replay has no devices and gets everything from the file: a command that
 * would reset the guest, change it or its devices, or send it an event would
 * ruin the replay, or have no effect.  Those that look, stop and continue work.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "monitor/monitor-internal.h"
#include "qapi/qmp/dispatch.h"
#include "samsara.h"
#include "samsara-int.h"

#define REASON "not while a recording is being replayed"

/* Of the human monitor and of QMP */
static const char * const refused[] = {
    "system_reset", "system_powerdown", "system_wakeup", "nmi", "inject-nmi",
    "mce", "sendkey", "send-key", "input-send-event", "mouse_move",
    "mouse_button", "o", "device_add", "device_del", "netdev_add",
    "netdev_del", "drive_add", "drive_del", "blockdev-add", "blockdev-del",
    "set_link", "balloon", "qom-set", "migrate",
    "migrate-incoming", "migrate_incoming", "savevm", "loadvm", "delvm",
    "snapshot-save", "snapshot-load", "snapshot-delete",
    "rtc-reset-reinjection",
};

static bool refusing;

void samsara_refuse_commands(void)
{
    int i;

    refusing = true;
    for (i = 0; i < ARRAY_SIZE(refused); i++) {
        qmp_disable_command(&qmp_commands, refused[i], REASON);
    }
}

const char *samsara_command_refusal(const char *name)
{
    int i;

    for (i = 0; refusing && i < ARRAY_SIZE(refused); i++) {
        if (!strcmp(name, refused[i])) {
            return REASON;
        }
    }
    return NULL;
}
