/*
 * Record and replay of multiprocessor KVM guests: what can't be recorded
 *
 * A device can be recorded if all it does to the guest goes through reads
 * of its registers, interrupts of in-kernel controllers and writes by
 * address_space_write().  Those known to be so are listed; everything else is
 * refused, with the option that removes it.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/config-file.h"
#include "qemu/error-report.h"
#include "qemu/option.h"
#include "qapi/error.h"
#include "cpu.h"
#include "exec/cpu-common.h"
#include "exec/ramblock.h"
#include "exec/ramlist.h"
#include "hw/i386/microvm.h"
#include "hw/i386/x86.h"
#include "hw/qdev-core.h"
#include "sysemu/block-backend.h"
#include "sysemu/runstate.h"
#include "samsara.h"
#include "samsara-int.h"

static const char * const devices[] = {
    "acpi-ged-x86",
    "fw_cfg_io",
    "ioapic",           /* the second one: it sends messages to the first's */
    "isa-debug-exit",
    "isa-debugcon",
    "isa-i8259",        /* microvm's; KVM's own is what the guest sees */
    "isa-pit",
    "isa-serial",
    "isabus-bridge",
    "kvm-apic",
    "kvm-i8259",
    "kvm-ioapic",
    "kvm-pit",
    "kvmclock",         /* its MSRs are hidden from the guest */
    "mc146818rtc",
    "serial",
    "virtio-mmio",      /* as long as nothing is plugged in */
};

static const struct {
    const char *prefix;
    const char *option;
} hints[] = {
    { "virtio-blk", "its -drive and -device options" },
    { "virtio-scsi", "its -drive and -device options" },
    { "ide-", "its -drive option" },
    { "scsi-", "its -drive and -device options" },
    { "virtio-net", "its -device option and use -nic none" },
    { "e1000", "its -device option and use -nic none" },
    { "vhost", "its -device option" },
    { "vfio", "its -device option" },
    { "VGA", "it with -vga none" },
    { "cfi.pflash", "its -drive if=pflash option" },
    { "gpex", "it with -M microvm,pcie=off" },
    { "sysbus-xhci", "it with -M microvm,usb=off" },
};

bool samsara_check_machine(MachineState *ms, KVMState *s, Error **errp)
{
    const char *name = MACHINE_GET_CLASS(ms)->name;

    if (samsara_opts.replay) {
        if (!samsara_opts.reader ||
            !object_dynamic_cast(OBJECT(ms),
                                 MACHINE_TYPE_NAME("samsara-replay"))) {
            error_setg(errp, "use -replay file=%s", samsara_opts.replay);
            return false;
        }
        return true;
    }
    if (!object_dynamic_cast(OBJECT(ms), TYPE_MICROVM_MACHINE)) {
        error_setg(errp, "machine type %s can't be recorded yet: use "
                   "-M microvm", name);
        return false;
    }
    if (X86_MACHINE(ms)->smm == ON_OFF_AUTO_ON) {
        error_setg(errp, "SMM can't be recorded: use smm=off");
        return false;
    }
    if (!s->kernel_irqchip_allowed ||
        s->kernel_irqchip_split == ON_OFF_AUTO_ON) {
        error_setg(errp, "recording needs kernel-irqchip=on");
        return false;
    }
    if (s->kvm_dirty_ring_size) {
        error_setg(errp, "dirty-ring-size can't be used while recording");
        return false;
    }
    if (ms->maxram_size > ms->ram_size || ms->ram_slots) {
        error_setg(errp, "memory hot plug can't be recorded: remove maxmem "
                   "and slots from -m");
        return false;
    }
    if (ms->smp.cpus != ms->smp.max_cpus) {
        error_setg(errp, "CPU hot plug can't be recorded: remove maxcpus "
                   "from -smp");
        return false;
    }
    if (ms->smp.cpus > SMR_FILE_MAX_VCPUS) {
        error_setg(errp, "at most %u vCPUs can be recorded",
                   SMR_FILE_MAX_VCPUS);
        return false;
    }
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "-incoming can't be used with -record");
        return false;
    }
    return true;
}

static const char *hint_for(const char *type)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(hints); i++) {
        if (g_str_has_prefix(type, hints[i].prefix)) {
            return hints[i].option;
        }
    }
    return "its -device option";
}

static int check_device(Object *obj, void *opaque)
{
    Error **errp = opaque;
    const char *type = object_get_typename(obj);
    DeviceState *dev = (DeviceState *)object_dynamic_cast(obj, TYPE_DEVICE);
    int i;

    if (!dev || object_dynamic_cast(obj, TYPE_CPU)) {
        return 0;
    }
    for (i = 0; i < ARRAY_SIZE(devices); i++) {
        if (!strcmp(type, devices[i])) {
            return 0;
        }
    }
    error_setg(errp, "device %s%s%s%s can't be recorded yet: remove %s", type,
               dev->id ? " (id " : "", dev->id ?: "", dev->id ? ")" : "",
               hint_for(type));
    return 1;
}

static int check_nic(void *opaque, QemuOpts *opts, Error **errp)
{
    const char *type = qemu_opt_get(opts, "type");

    if (type && strcmp(type, "none")) {
        error_setg(errp, "a network can't be recorded yet: remove -%s or use "
                   "-nic none", (const char *)opaque);
        return 1;
    }
    return 0;
}

static bool check_backends(Error **errp)
{
    static const char * const networks[] = { "netdev", "nic" };
    BlockBackend *blk;
    int i;

    for (blk = blk_next(NULL); blk; blk = blk_next(blk)) {
        if (blk_is_inserted(blk)) {
            error_setg(errp, "disks can't be recorded yet: remove -drive%s%s",
                       *blk_name(blk) ? " " : "", blk_name(blk));
            return false;
        }
    }
    for (i = 0; i < ARRAY_SIZE(networks); i++) {
        if (qemu_opts_foreach(qemu_find_opts(networks[i]), check_nic,
                              (void *)networks[i], errp)) {
            return false;
        }
    }
    return true;
}

bool samsara_check_devices(Error **errp)
{
    Error *local_err = NULL;

    object_child_foreach_recursive(object_get_root(), check_device,
                                   &local_err);
    if (local_err) {
        error_propagate(errp, local_err);
        return false;
    }
    return check_backends(errp);
}

bool samsara_check_memory(Error **errp)
{
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH(rb) {
        if (qemu_ram_is_shared(rb)) {
            error_setg(errp, "shared memory (%s) can't be recorded: use "
                       "share=off", qemu_ram_get_idstr(rb));
            return false;
        }
        if (qemu_ram_pagesize(rb) != qemu_real_host_page_size()) {
            error_setg(errp, "huge pages (%s) can't be recorded: remove "
                       "-mem-path or hugetlb=on", qemu_ram_get_idstr(rb));
            return false;
        }
    }
    return true;
}

/* Kernel, log and file know a vCPU by its id, which is that of its APIC. */
bool samsara_check_vcpus(Error **errp)
{
    unsigned n = current_machine->smp.cpus;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (kvm_arch_vcpu_id(cpu) >= n) {
            error_setg(errp, "this -smp topology leaves gaps between APIC ids "
                       "and can't be recorded: use -smp %u,sockets=%u", n, n);
            return false;
        }
    }
    return true;
}
