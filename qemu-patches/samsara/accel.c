/*
 * Record and replay of multiprocessor KVM guests: initialisation of the KVM
 * accelerator, and what happens to the VM
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/i386/microvm.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"
#include "migration/blocker.h"
#include "sysemu/kvm.h"
#include "sysemu/reset.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"
#include "samsara.h"
#include "samsara-int.h"

static void vm_state_change(void *opaque, bool running, RunState state)
{
    static bool started;

    if (running && !started) {
        started = true;
        if (samsara_opts.replay) {
            samsara_replay_start();
        } else if (!samsara_opts.on_demand) {
            samsara_record_start();
        }
    } else if (running && samsara_opts.replay) {
        samsara_replay_continued();
    } else if (!running && state == RUN_STATE_SHUTDOWN) {
        samsara_record_stop();
    }
    if (samsara_opts.replay) {
        samsara_debug_state_change(running);
    }
}

/* Registered before all others, so that guest memory is still untouched. */
static void reset_guest(void *opaque)
{
    if (qatomic_read(&samsara_running) && samsara_opts.replay) {
        error_report("samsara: a guest that is being replayed can't be reset");
        exit(SAMSARA_EXIT_SETUP);
    }
    if (!samsara_reset_begin()) {
        samsara_memory_forget();
    }
}

static void machine_done(Notifier *n, void *unused)
{
    if (!samsara_recordable) {
        return;
    }
    samsara_check_devices(&error_fatal);
    /* No slot logs dirty pages: samsara_log_sync(). */
    kvm_state->manual_dirty_log_protect = 0;
    if (object_dynamic_cast(OBJECT(current_machine), TYPE_MICROVM_MACHINE)) {
        /*
         * microvm leaves KVM's own routing of interrupts alone, which is gone
         * when the first of MSI-X is added for an irqfd.
         */
        kvm_pc_setup_irq_routing(true);
    }
}

static void at_exit(Notifier *n, void *unused)
{
    if (samsara_opts.replay) {
        samsara_replay_end();
    } else {
        samsara_record_stop();
    }
}

static void interrupted(Notifier *n, void *unused)
{
    samsara_replay_interrupted();
}

/* What no guest needs */
static void switch_off(MachineState *ms)
{
    /* By it a guest asks for registers of a vCPU to be set. */
    if (object_dynamic_cast(OBJECT(ms), TYPE_PC_MACHINE)) {
        PC_MACHINE(ms)->vmport = ON_OFF_AUTO_OFF;
    }
    /* An address space of its own for SMM would be one more memory map. */
    X86_MACHINE(ms)->smm = ON_OFF_AUTO_OFF;
}

/* savevm and migration would stop the guest in a state not in the log. */
static void block_migration(void)
{
    static Error *blocker;

    error_setg(&blocker, "The guest is being %s",
               samsara_recordable ? "recorded" : "replayed");
    migrate_add_blocker(blocker, &error_fatal);
}

/* Before QEMU parses it. */
static void check_cpu(void)
{
    const char *cpu = samsara_opts.replay ? samsara_opts.machine.cpu
                                          : samsara_opts.cpu;
    Error *err = NULL;

    if (!cpu || samsara_check_cpu(cpu, &err)) {
        return;
    }
    if (!samsara_opts.replay) {
        error_report_err(err);
        exit(SAMSARA_EXIT_SETUP);
    }
    error_reportf_err(err, "%s: ", samsara_opts.replay);
    exit(SAMSARA_EXIT_FILE);
}

void samsara_kvm_init(KVMState *s, MachineState *ms)
{
    static Notifier machine_done_notifier = { .notify = machine_done };
    static Notifier exit_notifier = { .notify = at_exit };
    static Notifier shutdown_notifier = { .notify = interrupted };

    if (!samsara_recordable && !samsara_opts.replay) {
        return;
    }
    samsara_check_machine(ms, s, &error_fatal);
    check_cpu();
    samsara_device_create(s, &error_fatal);
    samsara_device_used = true;
    qatomic_set(&samsara_frozen, !samsara_opts.on_demand);

    switch_off(ms);
    /* The interrupt controllers must be where the log is made. */
    s->kernel_irqchip_split = ON_OFF_AUTO_OFF;

    qemu_register_reset(reset_guest, NULL);
    /* after all devices: a high priority means late when starting */
    qemu_add_vm_change_state_handler_prio(vm_state_change, NULL, INT_MAX);
    qemu_add_machine_init_done_notifier(&machine_done_notifier);
    if (samsara_recordable) {
        samsara_shadow_init();
        samsara_screen_init();
        samsara_reset_init();
        samsara_end_init();
        samsara_record_init();
    } else {
        samsara_replay_init();
        qemu_register_shutdown_notifier(&shutdown_notifier);
        samsara_refuse_commands();
    }
    qemu_add_exit_notifier(&exit_notifier);
    block_migration();
}

bool samsara_do_exit(CPUState *cpu, struct kvm_run *run, int *ret)
{
    if (samsara_recordable) {
        return samsara_record_exit(cpu, run, ret);
    }
    if (!qatomic_read(&samsara_running)) {
        return false;
    }
    if (run->exit_reason == KVM_EXIT_DEBUG) {
        *ret = samsara_debug_exit(cpu, run);
        return true;
    }
    return samsara_replay_exit(cpu, run, ret);
}

bool samsara_do_put_registers(int level)
{
    if (samsara_opts.replay) {
        return true;
    }
    if (level == KVM_PUT_RUNTIME_STATE) {
        /* nobody but the guest changes registers while recording */
        return true;
    }
    if (samsara_reset_sets_registers()) {
        return false;
    }
    samsara_record_end(SAMSARA_END_REASON_REGISTERS,
                       "registers of a vCPU set from outside");
    return false;
}

void samsara_do_memory_change(void)
{
    if (samsara_opts.replay) {
        error_report("samsara: memory map changed while replaying");
        exit(SAMSARA_EXIT_SETUP);
    }
    samsara_map_begin();
}
