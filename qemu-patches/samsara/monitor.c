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
    info->has_last_commit = samsara_opts.replay;
    info->last_commit = samsara_replay_limit();
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

void qmp_samsara_seek(uint64_t commit, Error **errp)
{
    samsara_replay_seek(commit, errp);
}

void hmp_samsara_seek(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_samsara_seek(qdict_get_int(qdict, "commit"), &err);
    hmp_handle_error(mon, err);
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
    qapi_free_SamsaraInfo(info);
}
