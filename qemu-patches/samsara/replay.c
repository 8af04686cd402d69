/*
 * Record and replay of multiprocessor KVM guests: replay
 *
 * A thread fills the kernel's rings from the file (feed.c).  The vCPUs run
 * without any device: what they read comes from the log, what they write to
 * consoles is shown, everything else is dropped.
 *
 * Whoever wants to be at a commit has the kernel pause there, and the VM is
 * stopped.  A commit that is behind is reached from the beginning: the kernel
 * forgets the replay, memory and vCPUs get the recording's initial state again.
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
#include "sysemu/cpus.h"
#include "sysemu/runstate.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

#define UNSETTLED   -1
#define FEED_MS     50
/* vCPUs may be showing output when the kernel has done the last commit */
#define PARK_MS     5000
/* How long the VM may go on to commit its chunks, when it is to stop */
#define SETTLE_MS   10000
/* Checkpoints: from one to the next, and commits that may pass meanwhile */
#define CHECKPOINT_MS   500
#define CHECKPOINT_LEAD 32

static struct {
    QemuThread thread;
    bool leave;                 /* the thread is to end */
    uint64_t limit;             /* last commit that will be replayed */
    uint64_t stop_at;           /* the kernel is to end there; 0: by itself */
    uint64_t line;              /* of the console, looked for; 0: none */
    bool ends_there;            /* ... -replay stop-at= */
    unsigned parked;            /* vCPUs that have nothing left to do */
    QemuMutex pause_lock;       /* who tells the kernel where to pause */
    uint64_t pause_at;          /* commit where the kernel pauses; 0: none */
    uint64_t settle_at;         /* the same, for the VM's stop */
    bool one_by_one;            /* no chunk runs beside another */
    uint64_t target;            /* commit that was asked for; 0: none */
    QEMUBHFunc *arrived;        /* what comes there */
    bool held;                  /* it pauses, until the VM is continued */
    bool stays;                 /* whatever at-end= says */
    bool goes_back;             /* somebody has: checkpoints are worth while */
    uint64_t checkpoint_at;     /* commit where there is to be one; 0: none */
    int64_t checkpoint_ms;      /* when the last one was made */
    bool checkpointing;         /* the main thread is about to make it */
    bool vcpu_waits;            /* for the main thread */
    int64_t ended_ms;           /* when the kernel was seen to have ended */
    bool finished;
    int code;                   /* exit status, as soon as it is known */
} rep = {
    .code = UNSETTLED,
};

/* The end */

static void exit_bh(void *opaque)
{
    if (rep.code == SAMSARA_EXIT_DIVERGED) {
        /* it needs the vCPUs' threads, for which only this one may wait */
        samsara_divergence_code();
    }
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

static void look_for_line(void *opaque);

/* The guest stays where it is, for whoever wants to look at it. */
static void hold(void)
{
    QEMUBHFunc *next = qatomic_read(&rep.line) ? look_for_line :
                       qatomic_read(&rep.target) ? rep.arrived : pause_bh;

    if (settle(SAMSARA_EXIT_EXACT)) {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), next, NULL);
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
    samsara_divergence_report(st);
}

/* The kernel pauses where somebody wants to look at the guest next. */
static int set_pause(void)
{
    uint64_t at;

    QEMU_LOCK_GUARD(&rep.pause_lock);
    at = MIN_NON_ZERO(qatomic_read(&rep.pause_at),
                      qatomic_read(&rep.checkpoint_at));
    return samsara_device_pause(MIN_NON_ZERO(at,
                                             qatomic_read(&rep.settle_at)));
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
        rep.pause_at = next;
        ret = set_pause();
    }
    if (ret < 0) {
        error_report("samsara: the kernel can't pause a replay: %s",
                     strerror(-ret));
        finish_replay(SAMSARA_EXIT_KERNEL);
        return false;
    }
    return true;
}

/* The kernel has paused. */
static void arrived(uint64_t commit)
{
    uint64_t target = qatomic_read(&rep.target);

    if (qatomic_read(&rep.held) || (target && commit < target)) {
        return;
    }
    if (!target) {
        export(commit);
        return;
    }
    qatomic_set(&rep.held, true);
    qatomic_set(&rep.target, 0);
    aio_bh_schedule_oneshot(qemu_get_aio_context(), rep.arrived, NULL);
}

/* Checkpoints */

/* Where there is to be one, if the guest comes there. */
static void plan_checkpoint(uint64_t commit)
{
    qatomic_set(&rep.checkpoint_at, commit);
    set_pause();
}

/* A vCPU may be in the middle of an exit there: then a little later. */
static void make_checkpoint(void *opaque)
{
    struct kvm_samsara_status st;
    uint64_t next = 0;

    if (runstate_is_running() && !rep.vcpu_waits) {
        pause_all_vcpus();
        samsara_device_status(&st);
        if (st.state == KVM_SAMSARA_STATE_REPLAYING &&
            (st.commits > rep.checkpoint_at ||
             samsara_checkpoint_take(st.commits) == -EBUSY)) {
            next = st.commits + 1;
        }
        rep.checkpoint_ms = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
        plan_checkpoint(next);
        resume_all_vcpus();
    }
    qatomic_set(&rep.checkpointing, false);
}

static bool wants_checkpoint(uint64_t commits, int64_t now)
{
    uint64_t since = samsara_checkpoint_last();

    if (commits < since) {
        return false;
    }
    return samsara_opts.checkpoints
           ? commits + CHECKPOINT_LEAD >= since + samsara_opts.checkpoints
           : qatomic_read(&rep.goes_back) &&
             now - rep.checkpoint_ms >= CHECKPOINT_MS;
}

/* By the feeder, now and then, while the guest runs. */
static void look_after_checkpoints(const struct kvm_samsara_status *st,
                                   int64_t now)
{
    uint64_t at = qatomic_read(&rep.checkpoint_at);
    uint64_t commits = st->commits;

    if (qatomic_read(&rep.checkpointing)) {
        return;
    }
    if (!at && wants_checkpoint(commits, now)) {
        plan_checkpoint(MAX(commits, st->begun) + CHECKPOINT_LEAD);
    } else if (at && commits >= at) {
        qatomic_set(&rep.checkpointing, true);
        aio_bh_schedule_oneshot(qemu_get_aio_context(), make_checkpoint, NULL);
    }
}

void samsara_replay_vcpu_waits(bool waits)
{
    rep.vcpu_waits = waits;
}

static bool pauses_at_end(void)
{
    return qatomic_read(&rep.target) || qatomic_read(&rep.held) ||
           qatomic_read(&rep.stays) ||
           (samsara_opts.at_end && !strcmp(samsara_opts.at_end, "pause"));
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
    if (qatomic_read(&rep.line)) {
        hold();
        return;
    }
    report_exact(st);
    if (pauses_at_end()) {
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

/* The kernel has ended: the vCPUs, too, or they take too long. */
static bool all_parked(int64_t now)
{
    rep.ended_ms = rep.ended_ms ?: now;
    return qatomic_read(&rep.parked) == current_machine->smp.cpus ||
           now - rep.ended_ms > PARK_MS;
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
        if (qatomic_read(&rep.pause_at) &&
            st.commits >= qatomic_read(&rep.pause_at)) {
            arrived(st.commits);
        } else {
            look_after_checkpoints(&st, now);
        }
        break;
    case KVM_SAMSARA_STATE_STOPPED:
        /* let the vCPUs show their last output */
        if (all_parked(now)) {
            finish_exact(&st);
        }
        break;
    case KVM_SAMSARA_STATE_DIVERGED:
        if (all_parked(now)) {
            report_divergence(&st);
            finish_replay(SAMSARA_EXIT_DIVERGED);
        }
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

static void *feeder_thread(void *unused)
{
    while (!qatomic_read(&rep.finished) && !qatomic_read(&rep.leave)) {
        int n = samsara_feed();

        if (n < 0) {
            finish_replay(SAMSARA_EXIT_FILE);
        } else if (n == 0) {
            samsara_device_wait(rep.ended_ms ? 1 : FEED_MS);
        }
        check_end();
    }
    return NULL;
}

/* Start */

static void bad_stop_at(const char *why)
{
    error_report("-replay stop-at=%s: %s", samsara_opts.stop_at, why);
    exit(SAMSARA_EXIT_SETUP);
}

/* The kernel stops by itself where the log of a complete recording ends. */
void samsara_replay_init(void)
{
    const struct smr_extent *x = &samsara_opts.extent;
    struct smr_seek where;
    Error *err = NULL;
    uint64_t commit;

    rep.limit = x->replayable;
    rep.stop_at = x->complete ? 0 : x->replayable;
    if (!samsara_opts.stop_at) {
        return;
    }
    if (!smr_seek_parse(samsara_opts.stop_at, &where) ||
        where.kind == SMR_AT_PLACE) {
        bad_stop_at("neither a commit nor time:SECONDS nor line:N");
    }
    if (!samsara_position_commit(&where, x->replayable, &commit, &err)) {
        bad_stop_at(error_get_pretty(err));
    }
    if (!commit) {
        bad_stop_at("that is the beginning");
    }
    if (commit != SAMSARA_UNKNOWN) {
        rep.limit = rep.stop_at = commit;
        return;
    }
    if (samsara_opts.export) {
        bad_stop_at("export= needs a commit or a time");
    }
    rep.line = where.n;
    rep.ends_there = true;
    rep.goes_back = true;
}

/* What the guest was when the recording began */
static bool load(Error **errp)
{
    samsara_vcpus_load();
    return samsara_ram_load(errp) && samsara_consoles_load(errp);
}

/* The logs, from the checkpoint on */
static bool open_logs(uint64_t commit, Error **errp)
{
    unsigned i;

    if (!samsara_feed_open(errp)) {
        return false;
    }
    for (i = 0; i < samsara_device.nr_rings; i++) {
        if (!samsara_feed_skip(i, samsara_checkpoint_offset(commit, i),
                               errp)) {
            return false;
        }
    }
    return true;
}

static bool begin(uint64_t commit, Error **errp)
{
    if (!samsara_device_config(samsara_replay_mode(), rep.stop_at, errp) ||
        !open_logs(commit, errp) ||
        !samsara_device_ram(samsara_blocks, samsara_nr_blocks, errp)) {
        return false;
    }
    if (samsara_feed() < 0) {
        error_setg(errp, "%s: the log can't be read", samsara_opts.replay);
        return false;
    }
    return true;
}

static void run(void)
{
    samsara_device_start(&error_fatal);
    qatomic_set(&samsara_running, true);
    qemu_thread_create(&rep.thread, "samsara", feeder_thread, NULL,
                       QEMU_THREAD_JOINABLE);
}

static bool vcpus_run(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (!cpu->stopped) {
            return true;
        }
    }
    return false;
}

/* No chunk is open, and none begins. */
static bool is_settled(void)
{
    struct kvm_samsara_status st;

    if (samsara_device_status(&st) < 0 ||
        st.state != KVM_SAMSARA_STATE_REPLAYING) {
        return true;
    }
    if (st.begun > rep.settle_at) {
        qatomic_set(&rep.settle_at, st.begun);
        set_pause();
        return false;
    }
    return st.begun <= st.commits;
}

/*
 * Chunks run side by side, each on what the recording's chunk had seen: in the
 * middle of them memory and vCPUs are not what they were at any time in the
 * recording.  So those that have begun are brought to their ends, and the VM
 * stops at a commit.
 */
static void settle_chunks(void)
{
    int64_t until = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + SETTLE_MS;

    if (!runstate_is_running() || rep.one_by_one || !vcpus_run()) {
        return;
    }
    while (!is_settled()) {
        if (qemu_clock_get_ms(QEMU_CLOCK_REALTIME) > until) {
            warn_report("samsara: the VM stops in the middle of chunks");
            break;
        }
        qemu_mutex_unlock_iothread();
        g_usleep(1000);
        qemu_mutex_lock_iothread();
    }
}

void samsara_replay_one_by_one(bool on)
{
    rep.one_by_one = on;
}

/* The VM has stopped: what it stops for later is to be met. */
void samsara_replay_stopped(void)
{
    if (qatomic_read(&rep.settle_at)) {
        qatomic_set(&rep.settle_at, 0);
        set_pause();
    }
}

void samsara_replay_start(void)
{
    Error *err = NULL;

    qemu_mutex_init(&rep.pause_lock);
    if (!samsara_check_vcpus(&err)) {
        error_reportf_err(err, "%s: ", samsara_opts.replay);
        exit(SAMSARA_EXIT_FILE);
    }
    samsara_host_compare();
    if (!load(&err) || !begin(0, &err)) {
        error_report_err(err);
        exit(SAMSARA_EXIT_FILE);
    }
    if (samsara_opts.export &&
        !samsara_export_open(samsara_opts.reader, rep.limit, &err)) {
        error_reportf_err(err, "%s: ", samsara_opts.replay);
        exit(SAMSARA_EXIT_SETUP);
    }
    if (!export(0)) {
        exit(rep.code);
    }
    if (samsara_replay_mode() == KVM_SAMSARA_MODE_REPLAY_PARALLEL) {
        samsara_before_stop = settle_chunks;
    }
    run();
    samsara_checkpoint_init();
    if (samsara_opts.index && !samsara_index_load(rep.limit, &err)) {
        error_report_err(err);
        exit(SAMSARA_EXIT_FILE);
    }
    rep.goes_back = samsara_opts.save_index;
}

void samsara_replay_end(void)
{
    if (samsara_opts.save_index && qatomic_read(&samsara_running)) {
        samsara_index_save();
    }
}

/* Positions */

uint64_t samsara_replay_limit(void)
{
    return rep.limit;
}

/* No vCPU is in the kernel. */
static void forget_replay(void)
{
    qatomic_set(&rep.leave, true);
    samsara_device_kick();
    qemu_thread_join(&rep.thread);
    samsara_feed_close();
    samsara_device_ctrl(KVM_SAMSARA_CTRL_STOP);
    samsara_device_release(&error_fatal);
    rep.leave = false;
    rep.parked = 0;
    rep.pause_at = 0;
    rep.target = 0;
    rep.line = 0;
    rep.held = false;
    rep.checkpoint_at = 0;
    rep.settle_at = 0;
    rep.ended_ms = 0;
    rep.finished = false;
    rep.code = UNSETTLED;
}

uint64_t samsara_replay_rewind(uint64_t commit)
{
    Error *err = NULL;

    forget_replay();
    samsara_ram_clear();
    if (load(&err) && samsara_screen_rewind(&err)) {
        samsara_checkpoint_load(commit);
        if (begin(commit, &err)) {
            samsara_checkpoint_resume(commit, &err);
        }
    }
    if (err) {
        error_report_err(err);
        exit(SAMSARA_EXIT_FILE);
    }
    run();
    return samsara_checkpoint_before(commit);
}

bool samsara_replay_is_ahead(uint64_t commit)
{
    struct kvm_samsara_status st;

    samsara_device_status(&st);
    /* what it has done of later commits can't be seen from here */
    return st.state == KVM_SAMSARA_STATE_REPLAYING &&
           commit >= st.begun &&
           (commit > st.commits ||
            (commit == st.commits && qatomic_read(&rep.held)));
}

void samsara_replay_pause(uint64_t commit, QEMUBHFunc *arrived)
{
    qatomic_set(&rep.pause_at, commit);
    rep.arrived = arrived;
    qatomic_set(&rep.target, commit);
    qatomic_set(&rep.held, false);
    set_pause();
}

void samsara_replay_unpause(void)
{
    if (qatomic_read(&rep.target)) {
        qatomic_set(&rep.target, 0);
        qatomic_set(&rep.pause_at, 0);
        set_pause();
    }
}

void samsara_replay_stay(bool stays)
{
    qatomic_set(&rep.stays, stays);
    qatomic_set(&rep.goes_back, true);
}

bool samsara_replay_ended(void)
{
    return qatomic_load_acquire(&rep.finished);
}

static void go_on(void)
{
    if (runstate_is_running()) {
        resume_all_vcpus();
    } else {
        vm_start();
    }
}

/* The vCPUs are paused. */
static void go_to(uint64_t commit)
{
    if (!samsara_replay_is_ahead(commit)) {
        samsara_replay_rewind(commit);
    }
    qatomic_set(&rep.line, 0);
    if (!commit) {
        vm_stop(RUN_STATE_PAUSED);
        return;
    }
    samsara_replay_pause(commit, pause_bh);
    go_on();
}

/* -replay stop-at=line: once more to there, which is the end now. */
static void end_at(uint64_t commit)
{
    rep.limit = rep.stop_at = commit;
    rep.ends_there = false;
    samsara_replay_rewind(commit - 1);
    go_on();
}

/* The replay has ended before the line was there. */
static void no_such_line(void)
{
    struct kvm_samsara_status st;

    samsara_device_status(&st);
    error_report("samsara: line %" PRIu64 ": the guest prints only %" PRIu64,
                 rep.line, samsara_console_lines(st.commits));
    if (rep.ends_there) {
        exit(SAMSARA_EXIT_SETUP);
    }
    rep.line = 0;
    report_exact(&st);
    vm_stop(RUN_STATE_PAUSED);
}

/*
 * A vCPU has ended the line, or all is over.  With the vCPUs paused, all that
 * they have printed up to there is known, and which line was first.
 */
static void look_for_line(void *opaque)
{
    uint64_t commit;

    if (!rep.line) {
        return;
    }
    pause_all_vcpus();
    commit = samsara_console_commit(rep.line);
    if (commit && rep.ends_there) {
        end_at(commit);
    } else if (commit) {
        go_to(commit);
    } else {
        no_such_line();
    }
}

static void console_out(CPUState *cpu, struct kvm_run *run)
{
    uint64_t line = qatomic_read(&rep.line);

    if (samsara_console_out(cpu, run->io.port, run->io.size, run->io.count,
                            (uint8_t *)run + run->io.data_offset) &&
        line && samsara_console_commit(line)) {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), look_for_line, NULL);
    }
}

static bool may_seek(Error **errp)
{
    if (!samsara_opts.replay) {
        error_setg(errp, "No recording is being replayed");
    } else if (samsara_opts.export) {
        error_setg(errp, "-replay export= takes what comes, in its order");
    } else if (qatomic_read(&rep.code) > SAMSARA_EXIT_EXACT) {
        error_setg(errp, "The replay has failed");
    } else if (rep.ends_there) {
        error_setg(errp, "The end of the replay is still looked for");
    } else {
        return true;
    }
    return false;
}

bool samsara_replay_prepare_seek(const struct smr_seek *where,
                                 uint64_t *commit, Error **errp)
{
    if (!may_seek(errp) ||
        !samsara_position_commit(where, rep.limit, commit, errp)) {
        return false;
    }
    if (!qatomic_read(&samsara_running)) {
        /* -S: it begins now, and its vCPUs soon */
        vm_prepare_start(false);
    }
    /* without an event: that means that it is there */
    pause_all_vcpus();
    qatomic_set(&rep.goes_back, true);
    return true;
}

void samsara_replay_seek(const struct smr_seek *where, Error **errp)
{
    uint64_t commit;

    if (!samsara_replay_prepare_seek(where, &commit, errp)) {
        return;
    }
    if (commit != SAMSARA_UNKNOWN) {
        go_to(commit);
    } else if (samsara_replay_ended()) {
        error_setg(errp, "The guest prints only %" PRIu64 " lines",
                   samsara_console_lines(rep.limit));
    } else {
        qatomic_set(&rep.line, where->n);
        samsara_replay_pause(0, pause_bh);
        go_on();
    }
}

bool samsara_replay_seeks(void)
{
    return runstate_is_running() &&
           (qatomic_read(&rep.target) || qatomic_read(&rep.line));
}

uint64_t samsara_replay_checkpoint(Error **errp)
{
    struct kvm_samsara_status st;
    bool running = runstate_is_running();
    int ret = -EINVAL;

    if (!may_seek(errp)) {
        return 0;
    }
    if (running) {
        pause_all_vcpus();
    }
    samsara_device_status(&st);
    if (st.state == KVM_SAMSARA_STATE_REPLAYING && st.commits) {
        ret = samsara_checkpoint_take(st.commits);
    }
    if (ret == -EBUSY) {
        plan_checkpoint(st.commits + 1);
    } else if (ret < 0 || samsara_checkpoint_before(st.commits) != st.commits) {
        error_setg(errp, "There can't be a checkpoint here");
    }
    if (running) {
        resume_all_vcpus();
    }
    return ret < 0 ? 0 : st.commits;
}

void samsara_replay_continued(void)
{
    if (qatomic_read(&rep.held)) {
        qatomic_set(&rep.pause_at, 0);
        qatomic_set(&rep.held, false);
        set_pause();
    }
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
            console_out(cpu, run);
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
