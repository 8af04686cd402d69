/*
 * Record and replay of multiprocessor KVM guests: the end of a recording
 *
 * A recording ends with QEMU, or early, when something happens that can't be
 * recorded.  The file is a recording up to that moment.  What the guest does
 * then is up to -record on-error=: it goes on, or it is paused, and then no
 * vCPU enters it again after the recording's last commit.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "block/aio.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qapi/error.h"
#include "qapi/qapi-events-samsara-target.h"
#include "cpu.h"
#include "sysemu/cpus.h"
#include "sysemu/runstate.h"
#include "samsara.h"
#include "samsara-int.h"

typedef struct {
    SamsaraEndReason reason;
    char *text;
} End;

static QemuMutex end_lock;      /* one end at a time */
static struct smr_writer *writer;

void samsara_end_init(void)
{
    qemu_mutex_init(&end_lock);
}

void samsara_end_watch(struct smr_writer *w)
{
    writer = w;
}

/*
 * Before the kernel is told to stop recording: every vCPU has a signal pending
 * and leaves KVM_RUN instead of going on, and waits in user space.  The state
 * of the VM follows when the main loop gets to it.
 */
static void pause_guest(void)
{
    CPUState *cpu;

    if (!runstate_is_running()) {
        return;
    }
    CPU_FOREACH(cpu) {
        cpu->stop = true;
        qemu_cpu_kick(cpu);
    }
    qemu_system_vmstop_request_prepare();
    qemu_system_vmstop_request(RUN_STATE_IO_ERROR);
}

static void print_totals(const struct kvm_samsara_status *st,
                         const struct smr_totals *t)
{
    fprintf(stderr, "samsara: recorded %" PRIu64 " commits, %" PRIu64
            " chunks, %" PRIu64 " rollbacks, %" PRIu64 " serial phases, "
            "%" PRIu64 " log bytes (%" PRIu64 " compressed) -> %s, "
            "mem_digest=%016" PRIx64 "\n",
            (uint64_t)st->commits, (uint64_t)st->chunks,
            (uint64_t)st->rollbacks, (uint64_t)st->serial_phases,
            (uint64_t)st->log_bytes,
            t->stored[SMR_SEG_STREAM], samsara_opts.record,
            (uint64_t)st->mem_digest);
}

static void set_end(End *end, SamsaraEndReason reason, const char *text)
{
    g_free(end->text);
    end->reason = reason;
    end->text = g_strdup(text);
}

/* Ends kernel's and file's part; *@end becomes what was found to be wrong. */
static void finish_recording(End *end, struct kvm_samsara_status *st)
{
    struct smr_totals totals;
    struct smr_err err = { };
    const char *failed;
    bool clean;
    int ret;

    /* while device models wait for room in their ring, the log must go on */
    ret = samsara_device_ctrl(KVM_SAMSARA_CTRL_STOP);
    if (ret < 0) {
        error_report("samsara: the kernel can't stop the recording: %s",
                     strerror(-ret));
    }
    samsara_notes_end();
    failed = samsara_log_finish();
    samsara_device_status(st);
    smr_writer_totals(writer, &totals);
    clean = !failed && st->state == KVM_SAMSARA_STATE_STOPPED;
    ret = smr_writer_close(writer, clean, &err);
    if (ret < 0 && !failed) {
        failed = smr_file_errstr(&err);
    }
    if (st->state == KVM_SAMSARA_STATE_FAILED) {
        g_autofree char *text =
            g_strdup_printf("the kernel could not go on: %s (see dmesg)",
                            strerror(-st->error));

        set_end(end, SAMSARA_END_REASON_KERNEL, text);
    } else if (failed) {
        set_end(end, SAMSARA_END_REASON_FILE, failed);
    }
    if (end->text) {
        error_report("samsara: recording ended: %s; the guest %s", end->text,
                     samsara_stop_on_error() ? "is paused" : "goes on");
    }
    print_totals(st, &totals);
}

/* @end: has no text if the recording ends because QEMU does. */
static void end_recording(End *end)
{
    struct kvm_samsara_status st;

    if (!qatomic_read(&samsara_recording)) {
        return;
    }
    qemu_mutex_lock(&end_lock);
    if (qatomic_read(&samsara_recording)) {
        if (end->text && samsara_stop_on_error()) {
            pause_guest();
        }
        finish_recording(end, &st);
        qatomic_set(&samsara_recording, false);
        samsara_barrier_stop();
        qatomic_set(&samsara_running, false);
        qatomic_set(&samsara_frozen, false);
        if (end->text) {
            qapi_event_send_samsara_recording_ended(end->reason, end->text,
                st.commits, samsara_stop_on_error()
                            ? SAMSARA_END_ACTION_STOP
                            : SAMSARA_END_ACTION_CONTINUE);
        }
    }
    qemu_mutex_unlock(&end_lock);
}

void samsara_record_stop(void)
{
    End end = { };

    end_recording(&end);
    g_free(end.text);
}

void samsara_record_end(SamsaraEndReason reason, const char *why, ...)
{
    End end = { .reason = reason };
    va_list ap;

    va_start(ap, why);
    end.text = g_strdup_vprintf(why, ap);
    va_end(ap);
    end_recording(&end);
    g_free(end.text);
}

static void end_bh(void *opaque)
{
    g_autofree End *end = opaque;

    end_recording(end);
    g_free(end->text);
}

void samsara_record_request_end(SamsaraEndReason reason, const char *why)
{
    End *end = g_new0(End, 1);

    set_end(end, reason, why);
    aio_bh_schedule_oneshot(qemu_get_aio_context(), end_bh, end);
}

/* KVM_SAMSARA_FLAG_STOP_ON_ERROR: the kernel does not let the vCPU go on. */
bool samsara_record_exit(CPUState *cpu, struct kvm_run *run, int *ret)
{
    if (run->exit_reason != KVM_EXIT_SAMSARA) {
        return false;
    }
    qemu_mutex_lock_iothread();
    if (qatomic_read(&samsara_recording)) {
        cpu->stop = true;
        samsara_record_request_end(SAMSARA_END_REASON_KERNEL,
                                   "the kernel could not go on");
    }
    qemu_mutex_unlock_iothread();
    *ret = EXCP_INTERRUPT;
    return true;
}
