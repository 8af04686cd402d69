/*
 * Record and replay of multiprocessor KVM guests: the start of a recording
 *
 * A recording starts when the VM is started first and ends when QEMU ends, or
 * earlier when something happens that can't be recorded (end.c).
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include <sys/utsname.h>
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "qemu-version.h"
#include "cpu.h"
#include "hw/boards.h"
#include "hw/qdev-core.h"
#include "samsara.h"
#include "samsara-int.h"

static struct smr_writer *writer;
static SamsaraOpts given;       /* on the command line */

static void fill_machine(SamsaraMachine *m)
{
    MachineState *ms = current_machine;
    X86CPU *cpu = X86_CPU(first_cpu);
    g_autofree char *cpu_type = g_strdup(ms->cpu_type);
    char *suffix = g_strrstr(cpu_type, "-" TYPE_X86_CPU);

    if (suffix) {
        *suffix = '\0';
    }
    m->type = g_strdup(MACHINE_GET_CLASS(ms)->name);
    m->cpu = g_strdup(samsara_opts.cpu ?: cpu_type);
    m->cmdline = g_strdup(ms->kernel_cmdline);
    m->cpus = ms->smp.cpus;
    m->sockets = ms->smp.sockets;
    m->dies = ms->smp.dies;
    m->cores = ms->smp.cores;
    m->threads = ms->smp.threads;
    m->phys_bits = cpu->phys_bits;
    m->tsc_khz = cpu->env.tsc_khz;
    m->cpuid_tsc_khz = samsara_cpuid_tsc_khz(CPU(cpu));
    m->chaos = samsara_opts.tunable[KVM_SAMSARA_TUNABLE_CHAOS];
    m->seed = samsara_opts.tunable[KVM_SAMSARA_TUNABLE_SEED];
    samsara_host_identity(m);
}

static bool save_machine(Error **errp)
{
    SamsaraMachine m = { };
    struct smr_err err = { };
    g_autofree char *text = NULL;
    g_autofree char *consoles = samsara_consoles_to_text();

    fill_machine(&m);
    if (!samsara_check_smp(&m, errp)) {
        return false;
    }
    text = samsara_machine_to_text(&m);
    g_free(m.type);
    g_free(m.cpu);
    g_free(m.cmdline);
    if (smr_writer_blob(writer, "machine", text, strlen(text), &err) < 0 ||
        smr_writer_blob(writer, "consoles", consoles, strlen(consoles),
                        &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return true;
}

/*
 * Whether the file can become as large as it has to: what is in it, and what
 * the log buffers may hold at the end.
 */
static bool check_max_size(uint64_t file_bytes, Error **errp)
{
    uint64_t least = file_bytes + samsara_log_reserve();

    if (samsara_opts.max_size && samsara_opts.max_size < least) {
        error_setg(errp, "-record max-size=%" PRIu64 " is too small: %s and "
                   "what the log buffers hold need at least %" PRIu64 " bytes",
                   samsara_opts.max_size,
                   file_bytes ? "the guest's initial state" : "a recording",
                   least);
        return false;
    }
    return true;
}

static bool initial_state_fits(Error **errp)
{
    struct smr_totals totals;

    smr_writer_totals(writer, &totals);
    return check_max_size(totals.file_bytes, errp);
}

static bool save_images(Error **errp)
{
    g_autofree char *text = NULL;
    struct smr_err err = { };

    if (!samsara_images_wanted()) {
        return true;
    }
    text = samsara_images_start();
    if (smr_writer_blob(writer, "images", text, strlen(text), &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    samsara_shadow_watch_reads();
    return true;
}

static bool save_outputs(Error **errp)
{
    g_autofree char *text = samsara_notes_start();
    struct smr_err err = { };

    if (smr_writer_blob(writer, "outputs", text, strlen(text), &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return true;
}

static bool create_file(Error **errp)
{
    uint64_t images = samsara_images_wanted() ? SMR_FILE_IMAGES : 0;
    struct utsname host;
    struct smr_err err = { };
    struct smr_writer_options o = {
        .nr_vcpus = current_machine->smp.cpus,
        .compress = samsara_opts.compress,
        .incompat = SMR_FILE_RAM | SMR_FILE_STATE | SMR_FILE_CRC | images,
        .writer = "QEMU " QEMU_FULL_VERSION,
        .host = uname(&host) ? NULL : host.release,
    };

    if (smr_writer_create(&writer, samsara_opts.record, &o, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return true;
}

static bool save_initial_state(Error **errp)
{
    struct smr_err err = { };

    if (!save_machine(errp) || !save_images(errp) || !save_outputs(errp) ||
        !samsara_vcpus_save(writer, errp)) {
        return false;
    }
    if (!samsara_memory_save(writer, initial_state_fits, errp)) {
        return false;
    }
    if (smr_writer_end_initial(writer, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return initial_state_fits(errp);
}

/* The kernel's interface to a recording, but for its start. */
static bool prepare_kernel(Error **errp)
{
    const struct kvm_samsara_order *order;

    if (!samsara_device_config(samsara_record_mode(), 0, errp)) {
        return false;
    }
    order = samsara_device_order(errp);
    if (!order) {
        return false;
    }
    /* else one vCPU at a time writes to memory, or its pages are its own */
    if (samsara_record_mode() == KVM_SAMSARA_MODE_RECORD) {
        samsara_barrier_start(order);
    }
    return true;
}

static bool start_recording(Error **errp)
{
    /* refusals first: they leave an older recording of this name alone */
    if (!samsara_check_vcpus(errp) || !samsara_check_memory(errp) ||
        !samsara_memory_collect(errp) || !prepare_kernel(errp) ||
        !samsara_device_ram(samsara_blocks, samsara_nr_blocks, errp) ||
        !check_max_size(0, errp)) {
        return false;
    }
    if (!create_file(errp)) {
        return false;
    }
    if (!save_initial_state(errp) || !samsara_device_start(errp)) {
        smr_writer_close(writer, false, NULL);
        unlink(samsara_opts.record);
        return false;
    }
    return true;
}

static void device_realized(DeviceListener *listener, DeviceState *dev)
{
    samsara_record_end(SAMSARA_END_REASON_HOTPLUG, "device %s plugged",
                       object_get_typename(OBJECT(dev)));
}

void samsara_record_init(void)
{
    static DeviceListener listener = { .realize = device_realized };

    given = samsara_opts;
    device_listener_register(&listener);
}

static bool begin(Error **errp)
{
    /* not &error_fatal: start_recording() takes back what it has done */
    if (!start_recording(errp)) {
        return false;
    }
    samsara_map_watch();
    samsara_end_watch(writer);
    qatomic_set(&samsara_frozen, true);
    qatomic_set(&samsara_running, true);
    qatomic_set(&samsara_recording, true);
    samsara_log_start(writer, samsara_record_request_end);
    return true;
}

void samsara_record_start(void)
{
    Error *err = NULL;

    if (!begin(&err)) {
        error_report_err(err);
        exit(SAMSARA_EXIT_SETUP);
    }
}

bool samsara_record_again(const char *file, const char *mode,
                          const char *on_error, uint64_t max_size,
                          Error **errp)
{
    if (!samsara_device_release(errp)) {
        return false;
    }
    samsara_opts = given;
    /* these stay: who has asked for the last ones may still use them */
    samsara_opts.record = g_strdup(file);
    samsara_opts.mode = g_strdup(mode ?: given.mode);
    samsara_opts.on_error = g_strdup(on_error ?: given.on_error);
    samsara_opts.max_size = max_size ?: given.max_size;
    if (!begin(errp)) {
        samsara_barrier_stop();
        samsara_device_release(NULL);
        return false;
    }
    return true;
}
