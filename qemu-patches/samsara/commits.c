/*
 * Record and replay of multiprocessor KVM guests: the log in words
 *
 * The streams are read from their beginning, since records are coded as
 * differences.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"

/* The last records of a stream; what they point to is not there any more. */
typedef struct Recent {
    struct smr_record rec[SAMSARA_COMMITS_MAX];
    unsigned nr;                /* of all; the last ones are there */
} Recent;

static void add_end(GString *text, const struct smr_record *rec)
{
    if (rec->end == SMR_END_ASYNC) {
        g_string_append_printf(text, ", ended at 0x%" PRIx64 ", after %" PRIu64
                               " conditional branches", rec->pos.rip,
                               rec->pos.branches);
    } else if (rec->end == SMR_END_TOUCH) {
        g_string_append_printf(text, ", ended before page 0x%" PRIx64,
                               rec->gpa);
    } else {
        g_string_append_printf(text, ", ended by %s", smr_end_name(rec->end));
    }
}

static void add_commit(GString *text, const struct smr_record *rec)
{
    g_string_append_printf(text, "  %10" PRIu64 "  %s", rec->commit_seq,
                           smr_type_name(rec->type));
    if (rec->flags & SMR_F_EVENT) {
        g_string_append_printf(text, ", begins with event %" PRIu32,
                               rec->event.intr_info & 0xff);
    }
    if (rec->type == SMR_CHUNK) {
        add_end(text, rec);
    } else if (rec->type == SMR_DMA || rec->type == SMR_DMA_REF) {
        g_string_append_printf(text, ", %" PRIu32 " bytes at 0x%" PRIx64,
                               rec->dma_len, rec->gpa);
    }
    g_string_append_c(text, '\n');
}

/* @next: type 0 if there is none behind @commit */
static bool read_stream(unsigned stream, uint64_t commit, Recent *recent,
                        struct smr_record *next, Error **errp)
{
    struct smr_err err = { };
    struct smr_record rec;
    struct smr_log *log;
    int ret;

    *next = (struct smr_record) { };
    ret = smr_log_open(&log, samsara_opts.reader, stream,
                       samsara_opts.extent.replayable, &err);
    if (ret < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    while (!next->type &&
           (ret = smr_log_next(log, &rec, NULL, NULL, &err)) > 0) {
        if (!smr_is_commit(rec.type)) {
            continue;
        }
        if (rec.commit_seq > commit) {
            *next = rec;
        } else {
            recent->rec[recent->nr++ % SAMSARA_COMMITS_MAX] = rec;
        }
    }
    smr_log_close(log);
    if (ret < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
    }
    return ret >= 0;
}

static void add_stream(GString *text, const Recent *recent, unsigned n,
                       const struct smr_record *next)
{
    unsigned i = recent->nr - MIN(recent->nr, n);

    if (!recent->nr) {
        g_string_append(text, "           -  nothing yet\n");
    }
    for (; i < recent->nr; i++) {
        add_commit(text, &recent->rec[i % SAMSARA_COMMITS_MAX]);
    }
    g_string_append(text, "  next:\n");
    if (next->type) {
        add_commit(text, next);
    } else {
        g_string_append(text, "           -  nothing any more\n");
    }
}

static unsigned nr_vcpus(void)
{
    return smr_reader_info(samsara_opts.reader)->nr_vcpus;
}

char *samsara_commits_text(uint64_t commit, unsigned n, Error **errp)
{
    g_autofree Recent *recent = g_new(Recent, 1);
    GString *text = g_string_new(NULL);
    struct smr_record next;
    unsigned stream;

    for (stream = 0; stream <= nr_vcpus(); stream++) {
        recent->nr = 0;
        if (!read_stream(stream, commit, recent, &next, errp)) {
            g_string_free(text, true);
            return NULL;
        }
        if (stream < nr_vcpus()) {
            g_string_append_printf(text, "vCPU %u:\n", stream);
        } else {
            g_string_append(text, "devices:\n");
        }
        add_stream(text, recent, MIN(n, SAMSARA_COMMITS_MAX), &next);
    }
    return g_string_free(text, false);
}
