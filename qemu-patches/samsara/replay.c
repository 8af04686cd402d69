/*
 * Record and replay of multiprocessor KVM guests: replay
 *
 * A thread fills the kernel's rings from the file.  The vCPUs run without any
 * device: what they read comes from the log, what they write to consoles is
 * shown, everything else is dropped.
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
#include "qemu/timer.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/boards.h"
#include "sysemu/runstate.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

#define UNSETTLED   -1
#define FEED_MS     50
/* vCPUs may be showing output when the kernel has done the last commit */
#define PARK_MS     5000

static struct {
    QemuThread thread;
    struct smr_log **logs;      /* per ring; NULL: all of it is fed */
    uint64_t limit;             /* last commit that will be replayed */
    unsigned parked;            /* vCPUs that have nothing left to do */
    uint64_t pause_at;          /* commit; 0: none */
    int64_t ended_ms;           /* when the kernel was seen to have ended */
    bool finished;
    int code;                   /* exit status, as soon as it is known */
} rep = {
    .code = UNSETTLED,
};

/* The end */

static void exit_bh(void *opaque)
{
    exit(rep.code);
}

/* May be called by any thread.  The first call decides, and gets true. */
static bool settle(int code)
{
    if (qatomic_cmpxchg(&rep.code, UNSETTLED, code) != UNSETTLED) {
        return false;
    }
    qatomic_store_release(&rep.finished, true);
    return true;
}

static void finish_replay(int code)
{
    if (settle(code)) {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), exit_bh, NULL);
    }
}

static void pause_bh(void *opaque)
{
    vm_stop(RUN_STATE_PAUSED);
}

/* The guest stays where it is, for whoever wants to look at it. */
static void hold(void)
{
    if (settle(SAMSARA_EXIT_EXACT)) {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), pause_bh, NULL);
    }
}

static void report_exact(const struct kvm_samsara_status *st)
{
    fprintf(stderr, "samsara: replay exact: %" PRIu64 " commits, %" PRIu64
            " chunks, mem_digest=%016" PRIx64 "\n", (uint64_t)st->commits,
            (uint64_t)st->chunks, (uint64_t)st->mem_digest);
}

static void report_divergence(const struct kvm_samsara_status *st)
{
    g_autofree char *where = st->div_vcpu < 0
        ? g_strdup("VM")
        : g_strdup_printf("vCPU %d", (int)st->div_vcpu);

    error_report("samsara: DIVERGED at commit %" PRIu64 ", %s: field %s: "
                 "recorded 0x%" PRIx64 ", replayed 0x%" PRIx64,
                 (uint64_t)st->div_commit, where, smr_div_name(st->div_field),
                 (uint64_t)st->div_expected, (uint64_t)st->div_got);
}

/* The guest is where it was after @commit. */
static bool export(uint64_t commit)
{
    Error *err = NULL;
    uint64_t next = samsara_export_visit(commit, &err);
    int ret = 0;

    if (err) {
        error_reportf_err(err, "%s: ", samsara_opts.replay);
        finish_replay(SAMSARA_EXIT_FILE);
        return false;
    }
    if (next != rep.pause_at) {
        ret = samsara_device_pause(next);
    }
    if (ret < 0) {
        error_report("samsara: the kernel can't pause a replay: %s",
                     strerror(-ret));
        finish_replay(SAMSARA_EXIT_KERNEL);
        return false;
    }
    rep.pause_at = next;
    return true;
}

static void finish_exact(const struct kvm_samsara_status *st)
{
    if (st->commits < rep.limit) {
        error_report("samsara: the kernel has ended the replay at commit %"
                     PRIu64 " of %" PRIu64, (uint64_t)st->commits, rep.limit);
        finish_replay(SAMSARA_EXIT_KERNEL);
        return;
    }
    if (!export(st->commits)) {
        return;
    }
    samsara_export_close();
    report_exact(st);
    if (samsara_opts.at_end && !strcmp(samsara_opts.at_end, "pause")) {
        hold();
    } else {
        finish_replay(SAMSARA_EXIT_EXACT);
    }
}

void samsara_replay_interrupted(void)
{
    struct kvm_samsara_status st;

    if (qatomic_load_acquire(&rep.finished)) {
        exit(rep.code);
    }
    samsara_device_status(&st);
    error_report("samsara: replay interrupted after commit %" PRIu64,
                 (uint64_t)st.commits);
    exit(SAMSARA_EXIT_SETUP);
}

/* Called by the feeder only, so that there is one report. */
static void check_end(void)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    struct kvm_samsara_status st;

    if (qatomic_read(&rep.finished) || samsara_device_status(&st) < 0) {
        return;
    }
    switch (st.state) {
    case KVM_SAMSARA_STATE_REPLAYING:
        if (rep.pause_at && st.commits >= rep.pause_at) {
            export(st.commits);
        }
        break;
    case KVM_SAMSARA_STATE_STOPPED:
        /* let the vCPUs show their last output */
        rep.ended_ms = rep.ended_ms ?: now;
        if (qatomic_read(&rep.parked) == current_machine->smp.cpus ||
            now - rep.ended_ms > PARK_MS) {
            finish_exact(&st);
        }
        break;
    case KVM_SAMSARA_STATE_DIVERGED:
        report_divergence(&st);
        finish_replay(SAMSARA_EXIT_DIVERGED);
        break;
    case KVM_SAMSARA_STATE_FAILED:
        error_report("samsara: the kernel can't go on after commit %" PRIu64
                     ": %s (see dmesg)", (uint64_t)st.commits,
                     strerror(-st.error));
        finish_replay(SAMSARA_EXIT_KERNEL);
        break;
    }
}

/* The feeder thread */

static void end_of_log(unsigned i)
{
    SamsaraRing *r = &samsara_device.rings[i];

    smr_write_once(&r->hdr->flags, KVM_SAMSARA_RING_EOF);
    smr_store_release(&r->hdr->head, r->pos);
    smr_log_close(rep.logs[i]);
    rep.logs[i] = NULL;
}

static size_t fill_ring(unsigned i)
{
    SamsaraRing *r = &samsara_device.rings[i];
    struct smr_err err = { };
    size_t total = 0;

    while (rep.logs[i]) {
        uint64_t used = r->pos - smr_load_acquire(&r->hdr->tail);
        size_t offset = r->pos & (r->size - 1);
        size_t room = r->size - MIN(used, r->size);
        int n;

        if (!room) {
            break;
        }
        n = smr_log_read(rep.logs[i], r->data + offset,
                         MIN(room, r->size - offset), &err);
        trace_samsara_fill(i, r->pos, n);
        if (n < 0) {
            error_report("%s", smr_file_errstr(&err));
            finish_replay(SAMSARA_EXIT_FILE);
            end_of_log(i);
            return 1;
        }
        if (n == 0) {
            end_of_log(i);
            return 1;
        }
        r->pos += n;
        smr_store_release(&r->hdr->head, r->pos);
        total += n;
    }
    return total;
}

static size_t fill(void)
{
    size_t n = 0;
    unsigned i;

    for (i = 0; i < samsara_device.nr_rings; i++) {
        n += fill_ring(i);
    }
    if (n) {
        samsara_device_ctrl(KVM_SAMSARA_CTRL_WAKE);
    }
    return n;
}

static void *feeder_thread(void *unused)
{
    while (!qatomic_read(&rep.finished)) {
        if (!fill()) {
            samsara_device_wait(rep.ended_ms ? 1 : FEED_MS);
        }
        check_end();
    }
    return NULL;
}

/* Start */

static uint64_t log_limit(void)
{
    const struct smr_extent *x = &samsara_opts.extent;

    return x->complete ? U64_MAX : x->replayable;
}

/* What the guest has read from them must be there still. */
static bool use_images(Error **errp)
{
    struct smr_images *images;
    struct smr_err err = { };

    if (smr_images_open(&images, samsara_opts.reader, samsara_opts.images,
                        &err) < 0 ||
        smr_images_check(images, samsara_opts.reader, log_limit(), &err) < 0 ||
        smr_log_use_images(rep.logs[samsara_device.nr_rings - 1], images,
                           &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return true;
}

static bool open_logs(Error **errp)
{
    struct smr_err err = { };
    unsigned i;

    rep.logs = g_new0(struct smr_log *, samsara_device.nr_rings);
    for (i = 0; i < samsara_device.nr_rings; i++) {
        if (smr_log_open(&rep.logs[i], samsara_opts.reader, i, log_limit(),
                         &err) < 0) {
            error_setg(errp, "%s", smr_file_errstr(&err));
            return false;
        }
    }
    return use_images(errp);
}

/* The kernel stops by itself where the log of a complete recording ends. */
static uint64_t stop_at(void)
{
    if (samsara_opts.stop_at) {
        return samsara_opts.stop_at;
    }
    return samsara_opts.extent.complete ? 0 : samsara_opts.extent.replayable;
}

void samsara_replay_start(void)
{
    Error *err = NULL;

    if (!samsara_check_vcpus(&err)) {
        error_reportf_err(err, "%s: ", samsara_opts.replay);
        exit(SAMSARA_EXIT_FILE);
    }
    samsara_host_compare();
    samsara_vcpus_load();
    if (!samsara_ram_load(&err) || !samsara_consoles_load(&err)) {
        error_report_err(err);
        exit(SAMSARA_EXIT_FILE);
    }
    samsara_device_config(KVM_SAMSARA_MODE_REPLAY, stop_at(), &error_fatal);
    if (!open_logs(&err)) {
        error_report_err(err);
        exit(SAMSARA_EXIT_FILE);
    }
    samsara_device_ram(samsara_blocks, samsara_nr_blocks, &error_fatal);
    rep.limit = stop_at() ?: samsara_opts.extent.replayable;
    if (samsara_opts.export &&
        !samsara_export_open(samsara_opts.reader, rep.limit, &err)) {
        error_reportf_err(err, "%s: ", samsara_opts.replay);
        exit(SAMSARA_EXIT_SETUP);
    }
    if (!export(0)) {
        exit(rep.code);
    }
    fill();
    samsara_device_start(&error_fatal);
    qatomic_set(&samsara_running, true);
    qemu_thread_create(&rep.thread, "samsara", feeder_thread, NULL,
                       QEMU_THREAD_JOINABLE);
}

/* Exits from KVM_RUN */

static void park(CPUState *cpu)
{
    trace_samsara_park(cpu->cpu_index);
    qemu_mutex_lock_iothread();
    cpu->stopped = true;
    qemu_mutex_unlock_iothread();
    qatomic_inc(&rep.parked);
    samsara_device_kick();
}

/* The guest was reset here, or the like.  False: there is nothing to set. */
static bool set_state(CPUState *cpu)
{
    g_autofree void *state = g_malloc(KVM_SAMSARA_STATE_MAX);
    Error *err = NULL;
    int len, code;

    len = samsara_device_get_state(kvm_arch_vcpu_id(cpu), state,
                                   KVM_SAMSARA_STATE_MAX);
    if (len < 0) {
        return false;
    }
    code = samsara_vcpu_set_state(cpu, state, len, &err);
    trace_samsara_reset_vcpu(kvm_arch_vcpu_id(cpu), len, code);
    if (code) {
        error_reportf_err(err, "%s: ", samsara_opts.replay);
        finish_replay(code);
    }
    return !code;
}

bool samsara_replay_exit(CPUState *cpu, struct kvm_run *run, int *ret)
{
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        if (run->io.direction == KVM_EXIT_IO_OUT) {
            samsara_console_out(run->io.port, run->io.size, run->io.count,
                                (uint8_t *)run + run->io.data_offset);
        }
        /* what was read is filled in by the kernel */
        *ret = 0;
        break;
    case KVM_EXIT_SAMSARA:
        if (set_state(cpu)) {
            *ret = 0;
            break;
        }
        park(cpu);
        *ret = EXCP_HALTED;
        break;
    case KVM_EXIT_UNKNOWN:
    case KVM_EXIT_FAIL_ENTRY:
    case KVM_EXIT_INTERNAL_ERROR:
        error_report("samsara: vCPU %d can't run: KVM exit reason %" PRIu32,
                     cpu->cpu_index, (uint32_t)run->exit_reason);
        finish_replay(SAMSARA_EXIT_KERNEL);
        park(cpu);
        *ret = EXCP_HALTED;
        break;
    default:
        /* no device is there: MMIO, shutdown, reset are the log's business */
        *ret = 0;
        break;
    }
    return true;
}
