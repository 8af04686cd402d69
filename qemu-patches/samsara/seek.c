/*
 * Record and replay of multiprocessor KVM guests: positions in a recording
 *
 * People name a commit, a time, or a line of the guest's console; everything
 * else here knows commits only, but for debug.c, which goes to places in their
 * chunks, too.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"

/* A time behind the end is nowhere. */
static bool commit_at(uint64_t ms, uint64_t limit, uint64_t *commit,
                      Error **errp)
{
    uint64_t end = samsara_position_time(limit);

    *commit = MIN(smr_commit_at(samsara_opts.reader, ms), limit);
    if (ms > end) {
        error_setg(errp, "The replay ends after %" PRIu64 ".%03u s",
                   end / 1000, (unsigned)(end % 1000));
    }
    return ms <= end;
}

/* Lines are known as far as the guest was replayed. */
static bool commit_of_line(uint64_t line, uint64_t limit, uint64_t *commit)
{
    *commit = line ? samsara_console_commit(line) : 0;
    if (line && (!*commit || *commit > limit)) {
        *commit = SAMSARA_UNKNOWN;
    }
    return true;
}

bool samsara_position_commit(const struct smr_seek *where, uint64_t limit,
                             uint64_t *commit, Error **errp)
{
    switch (where->kind) {
    case SMR_AT_TIME:
        return commit_at(where->n, limit, commit, errp);
    case SMR_AT_LINE:
        return commit_of_line(where->n, limit, commit);
    default:
        *commit = where->n;
        if (*commit > limit) {
            error_setg(errp, "The replay ends at its last commit, %" PRIu64,
                       limit);
        }
        return *commit <= limit;
    }
}

char *samsara_position_text(const struct kvm_samsara_place *place)
{
    const struct kvm_samsara_position *pos = &place->pos;

    if (!place->commit) {
        return g_strdup_printf("at 0x%" PRIx64 ", after its commit %" PRIu64,
                               (uint64_t)pos->rip,
                               (uint64_t)place->last_commit);
    }
    return g_strdup_printf("at 0x%" PRIx64 ", in commit %" PRIu64 ": %" PRIu64
                           "+%" PRIu64 "+%" PRIu64 "@0x%" PRIx64,
                           (uint64_t)pos->rip, (uint64_t)place->commit,
                           (uint64_t)place->commit, (uint64_t)pos->branches,
                           (uint64_t)pos->jumps, (uint64_t)pos->rip);
}

uint64_t samsara_position_time(uint64_t commit)
{
    return smr_time_of(samsara_opts.reader, commit);
}
