/*
 * Record and replay of multiprocessor KVM guests: properties of the KVM
 * accelerator, and what happens when it is initialised
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "cpu.h"
#include "hw/i386/x86.h"
#include "migration/blocker.h"
#include "sysemu/reset.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"
#include "samsara.h"
#include "samsara-int.h"

/* Properties */

static const struct {
    const char *name;
    size_t offset;
    bool is_string;
    const char *description;
} props[] = {
    { "record", offsetof(SamsaraOpts, record), true,
      "Record the guest's execution in this file" },
    { "record-mode", offsetof(SamsaraOpts, mode), true,
      "parallel (default), serial: one vCPU at a time, or crew" },
    { "record-on-error", offsetof(SamsaraOpts, on_error), true,
      "continue (default): the guest goes on when the recording ends early; "
      "stop: it is paused" },
    { "record-max-size", offsetof(SamsaraOpts, max_size), false,
      "The recording ends before the file gets larger" },
#define TUNABLE(opt_name, index, min, max, what) \
    { "record-" opt_name, \
      offsetof(SamsaraOpts, tunable[KVM_SAMSARA_TUNABLE_##index]), false, \
      what },
    SAMSARA_RECORD_TUNABLES(TUNABLE)
#undef TUNABLE
    { "record-compress", offsetof(SamsaraOpts, compress), false,
      "Compression level of the recording, 0 to 9" },
    { "record-ring", offsetof(SamsaraOpts, ring), false,
      "Size of each vCPU's log buffer, a power of two" },
    { "record-debug-fault-commit", offsetof(SamsaraOpts, debug_fault_commit),
      false, "Test aid: falsify one logged value at or after this commit" },
    { "replay", offsetof(SamsaraOpts, replay), true,
      "Replay the execution recorded in this file" },
    { "replay-stop-at", offsetof(SamsaraOpts, stop_at), false,
      "End the replay after this commit" },
    { "replay-max-memory", offsetof(SamsaraOpts, max_memory), false,
      "Most memory a replayed guest may have" },
};

static void get_prop(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    size_t i = (size_t)opaque;
    void *p = (char *)&samsara_opts + props[i].offset;

    if (props[i].is_string) {
        char *value = *(char **)p ?: (char *)"";

        visit_type_str(v, name, &value, errp);
    } else {
        visit_type_uint64(v, name, p, errp);
    }
}

/* The -record option that a property stands for. */
static const char *option_name(const char *prop)
{
    const char *name = prop;

    return strstart(prop, "record-", &name) ? name : prop;
}

static void set_prop(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    size_t i = (size_t)opaque;
    void *p = (char *)&samsara_opts + props[i].offset;

    if (KVM_STATE(obj)->fd != -1) {
        error_setg(errp, "Cannot set properties after the accelerator has "
                   "been initialized");
        return;
    }
    if (props[i].is_string) {
        char *value;

        if (!visit_type_str(v, name, &value, errp)) {
            return;
        }
        if (!samsara_check_word(option_name(name), value, errp)) {
            g_free(value);
            return;
        }
        g_free(*(char **)p);
        *(char **)p = value;
    } else {
        uint64_t value;

        if (visit_type_size(v, name, &value, errp) &&
            samsara_check_number(option_name(name), value, errp)) {
            *(uint64_t *)p = value;
        }
    }
}

void samsara_accel_class_init(ObjectClass *oc)
{
    size_t i;

    for (i = 0; i < SAMSARA_NR_TUNABLES; i++) {
        samsara_opts.tunable[i] = SAMSARA_UNSET;
    }
    samsara_opts.compress = SAMSARA_COMPRESS_DEFAULT;
    samsara_opts.ring = SAMSARA_RING_DEFAULT;
    for (i = 0; i < ARRAY_SIZE(props); i++) {
        object_class_property_add(oc, props[i].name,
                                  props[i].is_string ? "string" : "uint64",
                                  get_prop, set_prop, NULL, (void *)i);
        object_class_property_set_description(oc, props[i].name,
                                              props[i].description);
    }
}

/* Initialisation */

static void vm_state_change(void *opaque, bool running, RunState state)
{
    static bool started;

    if (running && !started) {
        started = true;
        if (samsara_opts.record) {
            samsara_record_start();
        } else {
            samsara_replay_start();
        }
    } else if (!running && state == RUN_STATE_SHUTDOWN) {
        samsara_record_stop();
    }
}

/* Registered before all others, so that guest memory is still untouched. */
static void reset(void *opaque)
{
    if (qatomic_read(&samsara_running) && samsara_opts.replay) {
        error_report("samsara: a guest that is being replayed can't be reset");
        exit(SAMSARA_EXIT_SETUP);
    }
    samsara_record_end(SAMSARA_END_REASON_RESET, "guest reset");
    samsara_memory_forget();
}

static void machine_done(Notifier *n, void *unused)
{
    if (samsara_opts.record) {
        samsara_check_devices(&error_fatal);
    }
}

static void at_exit(Notifier *n, void *unused)
{
    samsara_record_stop();
}

static void interrupted(Notifier *n, void *unused)
{
    samsara_replay_interrupted();
}

/* savevm and migration would stop the guest in a state not in the log. */
static void block_migration(void)
{
    static Error *blocker;

    error_setg(&blocker, "The guest is being %s",
               samsara_opts.record ? "recorded" : "replayed");
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

    if (!samsara_opts.record && !samsara_opts.replay) {
        return;
    }
    samsara_check_machine(ms, s, &error_fatal);
    check_cpu();
    samsara_device_create(s, &error_fatal);
    samsara_device_used = true;
    qatomic_set(&samsara_frozen, true);

    /* An address space of its own for SMM would be one more memory map. */
    X86_MACHINE(ms)->smm = ON_OFF_AUTO_OFF;
    /* The interrupt controllers must be where the log is made. */
    s->kernel_irqchip_split = ON_OFF_AUTO_OFF;

    qemu_register_reset(reset, NULL);
    /* after all devices: a high priority means late when starting */
    qemu_add_vm_change_state_handler_prio(vm_state_change, NULL, INT_MAX);
    qemu_add_machine_init_done_notifier(&machine_done_notifier);
    if (samsara_opts.record) {
        qemu_add_exit_notifier(&exit_notifier);
    } else {
        qemu_register_shutdown_notifier(&shutdown_notifier);
        samsara_refuse_commands();
    }
    block_migration();
}

bool samsara_do_exit(CPUState *cpu, struct kvm_run *run, int *ret)
{
    if (samsara_opts.record) {
        return samsara_record_exit(cpu, run, ret);
    }
    return qatomic_read(&samsara_running) && samsara_replay_exit(cpu, run, ret);
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
    samsara_record_end(SAMSARA_END_REASON_REGISTERS,
                       "registers of a vCPU set from outside");
    return false;
}

void samsara_do_memory_change(hwaddr gpa, hwaddr size)
{
    if (samsara_opts.replay) {
        error_report("samsara: memory map changed while replaying");
        exit(SAMSARA_EXIT_SETUP);
    }
    samsara_record_end(SAMSARA_END_REASON_MEMORY_MAP,
                       "memory map changed at 0x%" HWADDR_PRIx
                       " (0x%" HWADDR_PRIx " bytes)", gpa, size);
}
