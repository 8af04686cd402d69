/*
 * Record and replay of multiprocessor KVM guests: what can't be recorded
 *
 * A device can be recorded if all it does to the guest goes through reads
 * of its registers, interrupts of in-kernel controllers and writes by the
 * functions of softmmu/physmem.c.  Those known to be so are listed; everything
 * else is refused, with the option that removes it.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "block/block_int.h"
#include "exec/cpu-common.h"
#include "exec/ramblock.h"
#include "exec/ramlist.h"
#include "hw/i386/microvm.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"
#include "hw/qdev-core.h"
#include "net/net.h"
#include "net/vhost_net.h"
#include "sysemu/runstate.h"
#include "samsara.h"
#include "samsara-int.h"

/* Patterns, as g_pattern_match_simple() understands them */
static const char * const devices[] = {
    "acpi-ged-x86",
    "base-xhci",
    "bochs-display",
    "cfi.pflash01",
    "e1000",
    "e1000-8*",
    "e1000e",
    "floppy",
    "fw_cfg_io",
    "gpex-pcihost",
    "gpex-root",
    "hpet",
    "i440FX",
    "i440FX-pcihost",
    "i8042",
    "i8257",
    "ich9-ahci",
    "ICH9-LPC",
    "ICH9-SMB",
    "ich9-usb-ehci?",
    "ich9-usb-uhci?",
    "ide-cd",
    "ide-hd",
    "ioapic",           /* the second one: it sends messages to the first's */
    "isa-debug-exit",
    "isa-debugcon",
    "isa-fdc",
    "isa-i8259",        /* microvm's; KVM's own is what the guest sees */
    "isa-parallel",
    "isa-pcspk",
    "isa-pit",
    "isa-serial",
    "isabus-bridge",
    "kvm-apic",
    "kvm-i8259",
    "kvm-ioapic",
    "kvm-pit",
    "kvmclock",         /* its MSRs are hidden from the guest */
    "mc146818rtc",
    "mch",
    "nec-usb-xhci",
    "nvme",
    "nvme-ns",
    "PIIX3",
    "piix3-ide",
    "piix3-usb-uhci",
    "PIIX4_PM",
    "port92",
    "ps2-kbd",
    "ps2-mouse",
    "q35-pcihost",
    "qemu-xhci",
    "rtl8139",
    "scsi-cd",
    "scsi-hd",
    "serial",
    "smbus-eeprom",
    "sysbus-xhci",
    "usb-ehci",
    "usb-hub",
    "usb-kbd",
    "usb-mouse",
    "usb-storage",
    "usb-tablet",
    "VGA",
    "virtconsole",
    "virtio-blk-device",
    "virtio-blk-pci*",
    "virtio-mmio",
    "virtio-net-device",
    "virtio-net-pci*",
    "virtio-rng-device",
    "virtio-rng-pci*",
    "virtio-scsi-device",
    "virtio-scsi-pci*",
    "virtio-serial-device",
    "virtio-serial-pci*",
    "virtserialport",
};

static const struct {
    const char *prefix;
    const char *option;
} hints[] = {
    { "scsi-", "its -drive and -device options" },
    { "cirrus-vga", "it with -vga std" },
    { "vmware-svga", "it with -vga std" },
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
    if (!samsara_machine_is_known(name)) {
        error_setg(errp, "machine type %s can't be recorded: use -M "
                   "%s", name, samsara_known_machines());
        return false;
    }
    if (object_dynamic_cast(OBJECT(ms), TYPE_PC_MACHINE) &&
        PC_MACHINE(ms)->vmport == ON_OFF_AUTO_ON) {
        error_setg(errp, "VMware's port, which sets registers of a vCPU, can't "
                   "be recorded: use vmport=off");
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

/* Memory of the host as a BAR is one more kind of guest memory. */
static bool check_memory_of(DeviceState *dev, Error **errp)
{
    if (object_property_find(OBJECT(dev), "pmrdev") &&
        object_property_get_link(OBJECT(dev), "pmrdev", NULL)) {
        error_setg(errp, "persistent memory of device %s can't be recorded: "
                   "remove pmrdev=", object_get_typename(OBJECT(dev)));
        return false;
    }
    return true;
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
        if (g_pattern_match_simple(devices[i], type)) {
            return check_memory_of(dev, errp) ? 0 : 1;
        }
    }
    error_setg(errp, "device %s%s%s%s can't be recorded yet: remove %s", type,
               dev->id ? " (id " : "", dev->id ?: "", dev->id ? ")" : "",
               hint_for(type));
    return 1;
}

/* Block drivers that have devices of the host read into guest memory */
static const char * const direct_drivers[] = {
    "io_uring", "nvme", "nvme-io_uring", "virtio-blk-vfio-pci",
    "virtio-blk-vhost-user", "virtio-blk-vhost-vdpa",
};

static bool check_disks(Error **errp)
{
    BlockDriverState *bs;
    int i;

    for (bs = bdrv_next_all_states(NULL); bs; bs = bdrv_next_all_states(bs)) {
        for (i = 0; i < ARRAY_SIZE(direct_drivers); i++) {
            if (bs->drv && !strcmp(bs->drv->format_name, direct_drivers[i])) {
                error_setg(errp, "block driver %s writes to guest memory by "
                           "itself and can't be recorded: use another one",
                           direct_drivers[i]);
                return false;
            }
        }
    }
    return true;
}

static bool is_vhost(NetClientState *nc)
{
    return nc->info->type == NET_CLIENT_DRIVER_VHOST_USER ||
           nc->info->type == NET_CLIENT_DRIVER_VHOST_VDPA || get_vhost_net(nc);
}

static bool check_networks(Error **errp)
{
    NetClientState *nc[MAX_NICS * MAX_QUEUE_NUM];
    int i, n;

    n = qemu_find_net_clients_except(NULL, nc, NET_CLIENT_DRIVER_NIC,
                                     ARRAY_SIZE(nc));
    for (i = 0; i < MIN(n, ARRAY_SIZE(nc)); i++) {
        if (is_vhost(nc[i])) {
            error_setg(errp, "network %s is a vhost one, which writes to guest "
                       "memory by itself and can't be recorded: use vhost=off "
                       "or another kind", nc[i]->name);
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
    return check_disks(errp) && check_networks(errp);
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
