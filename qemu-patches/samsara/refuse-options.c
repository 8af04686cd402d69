/*
 * Record and replay of multiprocessor KVM guests: options that -replay refuses
 *
 * A replay has the recording's machine, and no devices: an option that
 * describes the machine, or connects a device with something outside, would
 * have no effect.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/config-file.h"
#include "qemu/error-report.h"
#include "qemu/option.h"
#include "qapi/qmp/qdict.h"
#include "samsara.h"
#include "samsara-int.h"

/* Names of options, without the dash. */
static const char * const machine[] = {
    "M", "machine", "cpu", "smp", "m", "numa", "kernel", "initrd", "append",
    "dtb", "bios", "pflash", "option-rom", "smbios", "acpitable", "no-acpi",
    "no-hpet", "fw_cfg", "boot", "mem-path", "mem-prealloc", "incoming",
    "loadvm", "rtc", "icount", "device",
};

static const char * const consoles[] = {
    "serial", "parallel", "debugcon",
};

static const char * const devices[] = {
    "drive", "blockdev", "hda", "hdb", "hdc", "hdd", "fda", "fdb", "cdrom",
    "sd", "mtdblock", "snapshot", "net", "nic", "netdev", "vga", "usb",
    "usbdevice", "audio", "audiodev", "virtfs", "fsdev", "tpmdev",
};

/* The options that were given; NULL if it was a disk image. */
static GPtrArray *given;

void samsara_note_option(const char *name, const char *arg)
{
    /* -vga none, -serial none: right */
    if (name && arg && !strcmp(arg, "none")) {
        return;
    }
    if (!given) {
        given = g_ptr_array_new();
    }
    g_ptr_array_add(given, (void *)name);
}

static bool is_in(const char * const *names, size_t n, const char *name)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (!strcmp(names[i], name)) {
            return true;
        }
    }
    return false;
}
#define IS_IN(names, name) is_in(names, ARRAY_SIZE(names), name)

static const char *reason(const char *name)
{
    if (IS_IN(machine, name)) {
        return "the recording holds the machine";
    }
    if (IS_IN(consoles, name)) {
        return "what the guest writes to its consoles appears on standard "
               "output";
    }
    return IS_IN(devices, name) ? "a replay has no devices" : NULL;
}

/* -machine may be given for what is not the machine. */
static bool only_accel(const QDict *machine_opts)
{
    const QDictEntry *e;

    for (e = qdict_first(machine_opts); e; e = qdict_next(machine_opts, e)) {
        if (strcmp(e->key, "accel") && strcmp(e->key, "graphics")) {
            return false;
        }
    }
    return true;
}

static void refuse(const char *option, const char *why)
{
    error_report("%s cannot be given with -replay: %s", option, why);
    exit(SAMSARA_EXIT_SETUP);
}

/* Groups that a configuration file may have as well. */
static void refuse_config(const QDict *machine_opts)
{
    QemuOpts *memory = QTAILQ_FIRST(&qemu_find_opts("memory")->head);
    const char *group = NULL;

    if (!only_accel(machine_opts)) {
        group = "[machine]";
    } else if (memory && (qemu_opt_get(memory, "size") ||
                          qemu_opt_get(memory, "maxmem"))) {
        group = "[memory]";
    } else if (!QTAILQ_EMPTY(&qemu_find_opts("device")->head)) {
        group = "[device]";
    }
    if (group) {
        refuse(group, "the recording holds the machine");
    }
}

void samsara_refuse_options(const QDict *machine_opts)
{
    unsigned i;

    for (i = 0; given && i < given->len; i++) {
        const char *name = g_ptr_array_index(given, i);
        g_autofree char *option = NULL;

        if (!name) {
            refuse("a disk image", "a replay has no devices");
        }
        if ((!strcmp(name, "M") || !strcmp(name, "machine")) &&
            only_accel(machine_opts)) {
            continue;
        }
        if (reason(name)) {
            option = g_strdup_printf("-%s", name);
            refuse(option, reason(name));
        }
    }
    refuse_config(machine_opts);
}
