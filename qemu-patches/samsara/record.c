/*
 * Record and replay of multiprocessor KVM guests: recording
 *
 * The kernel fills one ring per vCPU and one for the VM; a thread moves them
 * to the file.  The recording starts when the VM is started first and ends
 * when QEMU ends, or earlier when something happens that can't be recorded:
 * the guest goes on then, and the file is a recording up to that moment.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include <sys/utsname.h>
#include "block/aio.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qemu-version.h"
#include "cpu.h"
#include "hw/boards.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

/* What a killed QEMU loses at most */
#define FLUSH_MS    100
#define FLUSH_BYTES (256 * KiB)

static struct {
    QemuMutex lock;             /* one stop at a time */
    QemuThread thread;
    struct smr_writer *writer;
    bool quit;                  /* the kernel has stopped: drain and end */
    bool failed;                /* the file is: drain and throw away */
    uint64_t unflushed;
    int64_t last_flush;
} rec;

/* The writer thread */

static void stop_bh(void *opaque)
{
    samsara_record_stop(NULL);
}

/* The thread can't end itself: the rings must be drained until the end. */
static void request_stop(void)
{
    aio_bh_schedule_oneshot(qemu_get_aio_context(), stop_bh, NULL);
}

static void file_failed(const struct smr_err *err)
{
    rec.failed = true;
    error_report("samsara: recording ended, the guest goes on: %s",
                 smr_file_errstr(err));
    request_stop();
}

static void append(unsigned stream, const void *data, size_t len)
{
    struct smr_err err = { };

    if (!rec.failed &&
        smr_writer_append(rec.writer, stream, data, len, &err) < 0) {
        file_failed(&err);
    }
}

static size_t drain_ring(unsigned i)
{
    SamsaraRing *r = &samsara_device.rings[i];
    uint64_t head = smr_load_acquire(&r->hdr->head);
    size_t len = MIN(head - r->pos, r->size);
    size_t offset = r->pos & (r->size - 1);
    size_t first = MIN(len, r->size - offset);

    if (!len) {
        return 0;
    }
    trace_samsara_drain(i, r->pos, len);
    append(i, r->data + offset, first);
    append(i, r->data, len - first);
    r->pos += len;
    smr_store_release(&r->hdr->tail, r->pos);
    return len;
}

static size_t drain(void)
{
    size_t n = 0;
    unsigned i;

    for (i = 0; i < samsara_device.nr_rings; i++) {
        n += drain_ring(i);
    }
    if (n) {
        samsara_device_ctrl(KVM_SAMSARA_CTRL_WAKE);
    }
    rec.unflushed += n;
    return n;
}

static void check_kernel(void)
{
    static bool reported;
    struct kvm_samsara_status st;

    if (!reported && !samsara_device_status(&st) &&
        st.state == KVM_SAMSARA_STATE_FAILED) {
        reported = true;
        request_stop();
    }
}

static void flush(void)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    struct smr_err err = { };

    if (now - rec.last_flush < FLUSH_MS && rec.unflushed < FLUSH_BYTES) {
        return;
    }
    rec.last_flush = now;
    if (rec.unflushed && !rec.failed &&
        smr_writer_flush(rec.writer, false, &err) < 0) {
        file_failed(&err);
    }
    rec.unflushed = 0;
    check_kernel();
}

static void *writer_thread(void *unused)
{
    for (;;) {
        /* read before draining: nothing comes after it is set */
        bool quit = qatomic_load_acquire(&rec.quit);
        size_t n = drain();

        flush();
        if (quit && !n) {
            return NULL;
        }
        if (!n) {
            samsara_device_wait(FLUSH_MS / 2);
        }
    }
}

/* Start */

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
    if (smr_writer_blob(rec.writer, "machine", text, strlen(text), &err) < 0 ||
        smr_writer_blob(rec.writer, "consoles", consoles, strlen(consoles),
                        &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return true;
}

static bool create_file(Error **errp)
{
    struct utsname host;
    struct smr_err err = { };
    struct smr_writer_options o = {
        .nr_vcpus = current_machine->smp.cpus,
        .compress = samsara_opts.compress,
        .writer = "QEMU " QEMU_FULL_VERSION,
        .host = uname(&host) ? NULL : host.release,
    };

    if (smr_writer_create(&rec.writer, samsara_opts.record, &o, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return true;
}

static bool save_initial_state(Error **errp)
{
    struct smr_err err = { };

    if (!save_machine(errp) || !samsara_vcpus_save(rec.writer, errp)) {
        return false;
    }
    if (!samsara_memory_save(rec.writer, &err) ||
        smr_writer_end_initial(rec.writer, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return true;
}

static bool start(Error **errp)
{
    /* refusals first: they leave an older recording of this name alone */
    if (!samsara_check_vcpus(errp) || !samsara_check_memory(errp) ||
        !samsara_memory_collect(errp) ||
        !samsara_device_config(samsara_record_mode(), 0, errp)) {
        return false;
    }
    if (!create_file(errp)) {
        return false;
    }
    if (!save_initial_state(errp) || !samsara_device_start(errp)) {
        smr_writer_close(rec.writer, false, NULL);
        unlink(samsara_opts.record);
        return false;
    }
    return true;
}

void samsara_record_start(void)
{
    Error *err = NULL;

    /* not &error_fatal: start() takes back what it has done */
    if (!start(&err)) {
        error_report_err(err);
        exit(SAMSARA_EXIT_SETUP);
    }
    qemu_mutex_init(&rec.lock);
    samsara_watch_hotplug();
    rec.last_flush = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    qatomic_set(&samsara_running, true);
    qatomic_set(&samsara_recording, true);
    qemu_thread_create(&rec.thread, "samsara", writer_thread, NULL,
                       QEMU_THREAD_JOINABLE);
}

/* Stop */

static void report(const struct kvm_samsara_status *st,
                   const struct smr_totals *t)
{
    if (st->state == KVM_SAMSARA_STATE_FAILED) {
        error_report("samsara: the kernel has ended the recording: %s "
                     "(see dmesg)", strerror(-st->error));
    }
    fprintf(stderr, "samsara: recorded %" PRIu64 " commits, %" PRIu64
            " chunks, %" PRIu64 " rollbacks, %" PRIu64 " serial phases, %" PRIu64
            " log bytes (%" PRIu64 " compressed) -> %s, mem_digest=%016" PRIx64
            "\n", (uint64_t)st->commits, (uint64_t)st->chunks,
            (uint64_t)st->rollbacks, (uint64_t)st->serial_phases,
            (uint64_t)st->log_bytes,
            t->stored[SMR_SEG_STREAM], samsara_opts.record,
            (uint64_t)st->mem_digest);
}

static void do_stop(void)
{
    struct kvm_samsara_status st;
    struct smr_totals totals;
    struct smr_err err = { };
    int ret;

    /* while vCPUs wait for room in their rings, the writer must go on */
    ret = samsara_device_ctrl(KVM_SAMSARA_CTRL_STOP);
    if (ret < 0) {
        error_report("samsara: the kernel can't stop the recording: %s",
                     strerror(-ret));
    }
    qatomic_store_release(&rec.quit, true);
    samsara_device_kick();
    qemu_thread_join(&rec.thread);

    samsara_device_status(&st);
    /* what is left counts, too; close returns its error again */
    smr_writer_flush(rec.writer, false, &err);
    smr_writer_totals(rec.writer, &totals);
    ret = smr_writer_close(rec.writer, !rec.failed &&
                           st.state == KVM_SAMSARA_STATE_STOPPED, &err);
    if (ret < 0 && !rec.failed) {
        error_report("samsara: %s", smr_file_errstr(&err));
    }
    report(&st, &totals);
}

void samsara_record_stop(const char *why, ...)
{
    va_list ap;

    if (!qatomic_read(&samsara_recording)) {
        return;
    }
    qemu_mutex_lock(&rec.lock);
    if (qatomic_read(&samsara_recording)) {
        if (why) {
            g_autofree char *text = NULL;

            va_start(ap, why);
            text = g_strdup_vprintf(why, ap);
            va_end(ap);
            error_report("%s: recording ended, the guest goes on", text);
        }
        do_stop();
        qatomic_set(&samsara_recording, false);
        qatomic_set(&samsara_running, false);
    }
    qemu_mutex_unlock(&rec.lock);
}
