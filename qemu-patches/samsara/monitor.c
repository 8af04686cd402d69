/*
 * Record and replay of multiprocessor KVM guests: monitor commands
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-samsara-target.h"
#include "cpu.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "qapi/qmp/qdict.h"
#include "qemu/timer.h"
#include "sysemu/runstate.h"
#include "samsara.h"
#include "samsara-int.h"

/* Where a replay is, and how far that is */
static void tell_position(SamsaraInfo *info)
{
    info->has_last_commit = true;
    info->last_commit = samsara_replay_limit();
    info->has_share = true;
    info->share = info->last_commit
                  ? (double)info->commits / info->last_commit : 0;
    info->has_time = true;
    info->time = samsara_position_time(info->commits);
    info->has_last_time = true;
    info->last_time = samsara_position_time(info->last_commit);
    info->has_console_lines = true;
    info->console_lines = samsara_console_lines(info->commits);
}

SamsaraInfo *qmp_query_samsara(Error **errp)
{
    static const SamsaraState states[] = {
        [KVM_SAMSARA_STATE_IDLE] = SAMSARA_STATE_IDLE,
        [KVM_SAMSARA_STATE_RECORDING] = SAMSARA_STATE_RECORDING,
        [KVM_SAMSARA_STATE_REPLAYING] = SAMSARA_STATE_REPLAYING,
        [KVM_SAMSARA_STATE_STOPPED] = SAMSARA_STATE_STOPPED,
        [KVM_SAMSARA_STATE_DIVERGED] = SAMSARA_STATE_DIVERGED,
        [KVM_SAMSARA_STATE_FAILED] = SAMSARA_STATE_FAILED,
    };
    struct kvm_samsara_status st;
    SamsaraInfo *info;
    int ret;

    if (samsara_device.fd < 0) {
        error_setg(errp, "The guest is neither recorded nor replayed");
        return NULL;
    }
    ret = samsara_device_status(&st);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "samsara: no status");
        return NULL;
    }
    info = g_new0(SamsaraInfo, 1);
    info->state = st.state < ARRAY_SIZE(states) ? states[st.state]
                                                : SAMSARA_STATE_FAILED;
    info->file = g_strdup(samsara_opts.record ?: samsara_opts.replay ?: "");
    info->commits = st.commits;
    info->chunks = st.chunks;
    info->rollbacks = st.rollbacks;
    info->sections = st.sections;
    info->dma_commits = st.dma_commits;
    info->copies = st.copies;
    info->exclusive = st.exclusive;
    info->serial_phases = st.serial_phases;
    info->log_bytes = st.log_bytes;
    if (samsara_opts.replay) {
        tell_position(info);
    }
    return info;
}

static bool may_start(Error **errp)
{
    if (!samsara_recordable) {
        error_setg(errp, "This guest can't be recorded: start QEMU with "
                   "-record start=off");
        return false;
    }
    if (qatomic_read(&samsara_recording)) {
        error_setg(errp, "The guest is being recorded to %s already",
                   samsara_opts.record);
        return false;
    }
    return true;
}

SamsaraRecordStarted *
qmp_samsara_record_start(const char *file, bool has_mode,
                         SamsaraRecordMode mode, bool has_on_error,
                         SamsaraEndAction on_error, bool has_max_size,
                         uint64_t max_size, Error **errp)
{
    bool running = runstate_is_running();
    SamsaraRecordStarted *started;
    int64_t stopped;
    bool ok;

    if (!may_start(errp)) {
        return NULL;
    }
    stopped = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    if (running) {
        vm_stop(RUN_STATE_PAUSED);
    }
    ok = samsara_record_again(file,
                              has_mode ? SamsaraRecordMode_str(mode) : NULL,
                              has_on_error ? SamsaraEndAction_str(on_error)
                                           : NULL,
                              has_max_size ? max_size : 0, errp);
    if (running) {
        vm_start();
    }
    if (!ok) {
        return NULL;
    }
    started = g_new0(SamsaraRecordStarted, 1);
    if (running) {
        started->downtime = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - stopped;
    }
    return started;
}

SamsaraInfo *qmp_samsara_record_stop(Error **errp)
{
    if (!qatomic_read(&samsara_recording)) {
        error_setg(errp, "The guest is not being recorded");
        return NULL;
    }
    samsara_record_stop();
    return qmp_query_samsara(errp);
}

void qmp_samsara_seek(bool has_commit, uint64_t commit,
                      bool has_branches, uint64_t branches,
                      bool has_jumps, uint64_t jumps,
                      bool has_rip, uint64_t rip,
                      bool has_time, uint64_t time,
                      bool has_console_line, uint64_t console_line,
                      Error **errp)
{
    struct smr_seek where = { .kind = SMR_AT_COMMIT, .n = commit };

    if (has_commit + has_time + has_console_line != 1) {
        error_setg(errp, "One of commit, time and console-line is needed");
        return;
    }
    if ((has_branches && !commit) ||
        ((has_jumps || has_rip) && !has_branches)) {
        error_setg(errp,
                   "branches needs a commit, jumps and rip need branches");
        return;
    }
    if (has_branches) {
        where = (struct smr_seek) {
            .kind = SMR_AT_PLACE, .n = commit, .branches = branches,
            .jumps = has_jumps ? jumps : 0, .rip = has_rip ? rip : 0,
        };
    } else if (has_time) {
        where = (struct smr_seek) { .kind = SMR_AT_TIME, .n = time };
    } else if (has_console_line) {
        where = (struct smr_seek) { .kind = SMR_AT_LINE, .n = console_line };
    }
    samsara_debug_seek(&where, errp);
}

void hmp_samsara_seek(Monitor *mon, const QDict *qdict)
{
    const char *position = qdict_get_str(qdict, "position");
    struct smr_seek where;
    Error *err = NULL;

    if (smr_seek_parse(position, &where)) {
        samsara_debug_seek(&where, &err);
    } else {
        error_setg(&err, "%s: neither a commit nor COMMIT+BRANCHES nor "
                   "time:SECONDS nor line:N", position);
    }
    hmp_handle_error(mon, err);
}

static void print_position(Monitor *mon, const SamsaraInfo *info)
{
    monitor_printf(mon, "position: commit %" PRIu64 " of %" PRIu64
                   " (%.1f %%), %" PRIu64 ".%03u of %" PRIu64 ".%03u s, %"
                   PRIu64 " console lines\n", info->commits,
                   info->last_commit, 100 * info->share, info->time / 1000,
                   (unsigned)(info->time % 1000), info->last_time / 1000,
                   (unsigned)(info->last_time % 1000), info->console_lines);
}

/* Each vCPU's place; they are out of KVM_RUN. */
static void print_places(Monitor *mon)
{
    struct kvm_samsara_place p;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (samsara_device_place(kvm_arch_vcpu_id(cpu), &p) >= 0) {
            g_autofree char *where = samsara_position_text(&p);

            monitor_printf(mon, "%c vCPU %d %s\n",
                           cpu == samsara_debug_cpu() ? '*' : ' ',
                           cpu->cpu_index, where);
        }
    }
}

/* A replay that has begun; NULL and a message */
static SamsaraInfo *replay_info(Monitor *mon)
{
    Error *err = NULL;
    SamsaraInfo *info = NULL;

    if (samsara_opts.replay && qatomic_read(&samsara_running)) {
        info = qmp_query_samsara(&err);
    } else {
        error_setg(&err, "No recording is being replayed");
    }
    hmp_handle_error(mon, err);
    return info;
}

void hmp_samsara_when(Monitor *mon, const QDict *qdict)
{
    SamsaraInfo *info = replay_info(mon);

    if (!info) {
        return;
    }
    print_position(mon, info);
    if (!runstate_is_running()) {
        print_places(mon);
    }
    qapi_free_SamsaraInfo(info);
}

void hmp_samsara_commits(Monitor *mon, const QDict *qdict)
{
    int64_t n = qdict_get_try_int(qdict, "n", 4);
    g_autofree char *text = NULL;
    SamsaraInfo *info = NULL;
    Error *err = NULL;

    if (n < 1 || n > SAMSARA_COMMITS_MAX) {
        error_setg(&err, "1 to %d commits", SAMSARA_COMMITS_MAX);
    } else {
        info = replay_info(mon);
    }
    if (info) {
        text = samsara_commits_text(info->commits, n, &err);
        qapi_free_SamsaraInfo(info);
    }
    if (text) {
        monitor_puts(mon, text);
    }
    hmp_handle_error(mon, err);
}

static SamsaraPageUse *page_info(const SamsaraUsedPage *page)
{
    SamsaraPageUse *info = g_new0(SamsaraPageUse, 1);
    uint64List **tail = &info->linear;
    unsigned i;

    info->ram = page->ram;
    info->written = page->written;
    info->table = page->table;
    for (i = 0; i < page->nr_linear; i++) {
        QAPI_LIST_APPEND(tail, page->linear[i]);
    }
    return info;
}

SamsaraCommitPages *qmp_query_samsara_pages(Error **errp)
{
    g_autoptr(GArray) pages = NULL;
    struct kvm_samsara_status st;
    SamsaraPageUseList **tail;
    SamsaraCommitPages *info;
    int vcpu;
    guint i;

    if (!samsara_opts.replay || !qatomic_read(&samsara_running) ||
        runstate_is_running() || samsara_device_status(&st) < 0) {
        error_setg(errp, "No replay is paused");
        return NULL;
    }
    pages = samsara_sets_get(st.commits, &vcpu, errp);
    if (!pages) {
        return NULL;
    }
    info = g_new0(SamsaraCommitPages, 1);
    info->commit = st.commits;
    info->vcpu = vcpu;
    tail = &info->pages;
    for (i = 0; i < pages->len; i++) {
        QAPI_LIST_APPEND(tail, page_info(&g_array_index(pages, SamsaraUsedPage,
                                                        i)));
    }
    return info;
}

static void print_page(Monitor *mon, const SamsaraPageUse *page)
{
    uint64List *linear;

    monitor_printf(mon, "  %s  RAM 0x%09" PRIx64, page->table ? "walked "
                   : page->written ? "written" : "read   ", page->ram);
    for (linear = page->linear; linear; linear = linear->next) {
        monitor_printf(mon, "  0x%" PRIx64, linear->value);
    }
    monitor_puts(mon, "\n");
}

void hmp_samsara_pages(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    SamsaraCommitPages *info = qmp_query_samsara_pages(&err);
    SamsaraPageUseList *page;

    if (hmp_handle_error(mon, err)) {
        return;
    }
    monitor_printf(mon, "commit %" PRIu64 ", vCPU %" PRId64 ":\n",
                   info->commit, info->vcpu);
    for (page = info->pages; page; page = page->next) {
        print_page(mon, page->value);
    }
    qapi_free_SamsaraCommitPages(info);
}

SamsaraCheckpoint *qmp_samsara_checkpoint(Error **errp)
{
    SamsaraCheckpoint *made;
    Error *err = NULL;
    uint64_t commit = samsara_replay_checkpoint(&err);

    if (err) {
        error_propagate(errp, err);
        return NULL;
    }
    made = g_new0(SamsaraCheckpoint, 1);
    made->has_commit = commit;
    made->commit = commit;
    return made;
}

void hmp_samsara_checkpoint(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    SamsaraCheckpoint *made = qmp_samsara_checkpoint(&err);

    if (hmp_handle_error(mon, err)) {
        return;
    }
    if (made->has_commit) {
        monitor_printf(mon, "at commit %" PRIu64 "\n", made->commit);
    } else {
        monitor_printf(mon, "a vCPU is in the middle of something: when the "
                       "guest goes on\n");
    }
    qapi_free_SamsaraCheckpoint(made);
}

void hmp_samsara_record_start(Monitor *mon, const QDict *qdict)
{
    const char *name = qdict_get_try_str(qdict, "mode");
    Error *err = NULL;
    SamsaraRecordStarted *started = NULL;
    int mode = qapi_enum_parse(&SamsaraRecordMode_lookup, name, 0, &err);

    if (!err) {
        started = qmp_samsara_record_start(qdict_get_str(qdict, "file"), name,
                                           mode, false, 0, false, 0, &err);
    }
    if (hmp_handle_error(mon, err)) {
        return;
    }
    monitor_printf(mon, "recording; the guest was stopped for %" PRIu64
                   " ms\n", started->downtime);
    qapi_free_SamsaraRecordStarted(started);
}

void hmp_samsara_record_stop(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    SamsaraInfo *info = qmp_samsara_record_stop(&err);

    if (!hmp_handle_error(mon, err)) {
        monitor_printf(mon, "%" PRIu64 " commits in %s\n", info->commits,
                       info->file);
        qapi_free_SamsaraInfo(info);
    }
}

void hmp_info_samsara(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    SamsaraInfo *info = qmp_query_samsara(&err);

    if (hmp_handle_error(mon, err)) {
        return;
    }
    monitor_printf(mon, "state: %s\nfile: %s\n",
                   SamsaraState_str(info->state), info->file);
    monitor_printf(mon, "commits: %" PRIu64 "\nchunks: %" PRIu64
                   "\nrollbacks: %" PRIu64 "\nsections: %" PRIu64
                   "\nDMA commits: %" PRIu64 "\ncopies: %" PRIu64
                   "\nexclusive: %" PRIu64 "\nserial phases: %" PRIu64
                   "\nlog bytes: %" PRIu64 "\n",
                   info->commits, info->chunks, info->rollbacks,
                   info->sections, info->dma_commits, info->copies,
                   info->exclusive, info->serial_phases, info->log_bytes);
    if (info->has_last_commit) {
        print_position(mon, info);
    }
    qapi_free_SamsaraInfo(info);
}
