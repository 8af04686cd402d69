/*
 * Record and replay of multiprocessor KVM guests: the replaying machine
 *
 * vCPUs with their local APICs, RAM, and nothing else.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/boards.h"
#include "hw/hotplug.h"
#include "hw/i386/x86.h"
#include "kvm/kvm_i386.h"
#include "samsara.h"
#include "samsara-int.h"

#define TYPE_SAMSARA_REPLAY_MACHINE MACHINE_TYPE_NAME("samsara-replay")

/* x86_cpus_init(), with a status of its own for a CPU that can't be made. */
static bool create_vcpus(MachineState *machine, Error **errp)
{
    ERRP_GUARD();
    X86MachineState *x86ms = X86_MACHINE(machine);
    const CPUArchIdList *ids;
    int i;

    /* as the machine that was recorded */
    x86_cpu_set_default_version(strcmp(samsara_opts.machine.type, "microvm")
                                ? 1 : CPU_VERSION_LATEST);
    x86ms->apic_id_limit =
        x86_cpu_apic_id_from_index(x86ms, machine->smp.max_cpus - 1) + 1;
    kvm_set_max_apic_id(x86ms->apic_id_limit);
    ids = MACHINE_GET_CLASS(machine)->possible_cpu_arch_ids(machine);
    for (i = 0; i < machine->smp.cpus; i++) {
        x86_cpu_new(x86ms, ids->cpus[i].arch_id, errp);
        if (*errp) {
            error_prepend(errp, "%s: ", samsara_opts.replay);
            return false;
        }
    }
    return true;
}

static void replay_machine_init(MachineState *machine)
{
    Error *err = NULL;

    if (!samsara_opts.reader) {
        error_report("machine type samsara-replay is for -replay only");
        exit(SAMSARA_EXIT_SETUP);
    }
    if (!samsara_ram_parse(&err)) {
        error_report_err(err);
        exit(SAMSARA_EXIT_FILE);
    }
    samsara_ram_create(&error_fatal);
    if (!samsara_screen_create(&err)) {
        error_report_err(err);
        exit(SAMSARA_EXIT_FILE);
    }
    if (!create_vcpus(machine, &err)) {
        error_report_err(err);
        exit(SAMSARA_EXIT_FILE);
    }
}

static HotplugHandler *get_hotplug_handler(MachineState *machine,
                                           DeviceState *dev)
{
    return object_dynamic_cast(OBJECT(dev), TYPE_CPU)
           ? HOTPLUG_HANDLER(machine) : NULL;
}

static void replay_machine_class_init(ObjectClass *oc, void *data)
{
    MachineClass *mc = MACHINE_CLASS(oc);
    HotplugHandlerClass *hc = HOTPLUG_HANDLER_CLASS(oc);

    mc->desc = "machine of a recording (used by -replay)";
    mc->init = replay_machine_init;
    mc->max_cpus = SMR_FILE_MAX_VCPUS;
    mc->default_cpu_type = TARGET_DEFAULT_CPU_TYPE;
    mc->smp_props.dies_supported = true;
    mc->no_serial = 1;
    mc->no_parallel = 1;
    mc->no_floppy = 1;
    mc->no_cdrom = 1;
    mc->no_sdcard = 1;
    mc->get_hotplug_handler = get_hotplug_handler;
    hc->pre_plug = x86_cpu_pre_plug;
    hc->plug = x86_cpu_plug;
}

static const TypeInfo replay_machine_info = {
    .name = TYPE_SAMSARA_REPLAY_MACHINE,
    .parent = TYPE_X86_MACHINE,
    .class_init = replay_machine_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_HOTPLUG_HANDLER },
        { }
    },
};

static void register_types(void)
{
    type_register_static(&replay_machine_info);
}
type_init(register_types)
