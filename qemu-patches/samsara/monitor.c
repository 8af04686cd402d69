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
    info->file = g_strdup(samsara_opts.record ?: samsara_opts.replay);
    info->commits = st.commits;
    info->chunks = st.chunks;
    info->rollbacks = st.rollbacks;
    info->sections = st.sections;
    info->dma_commits = st.dma_commits;
    info->copies = st.copies;
    info->exclusive = st.exclusive;
    info->serial_phases = st.serial_phases;
    info->log_bytes = st.log_bytes;
    return info;
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
