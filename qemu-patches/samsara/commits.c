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

static struct smr_log *open_stream(unsigned stream, struct smr_err *err)
{
    struct smr_log *log;

    return smr_log_open(&log, samsara_opts.reader, stream,
                        samsara_opts.extent.replayable, err) < 0 ? NULL : log;
}

/* 1 and the next commit, 0 at the end of the stream, or an error */
static int next_commit(struct smr_log *log, struct smr_record *rec,
                       struct smr_err *err)
{
    int ret;

    do {
        ret = smr_log_next(log, rec, NULL, NULL, err);
    } while (ret > 0 && !smr_is_commit(rec->type));
    return ret;
}

/* @next: type 0 if there is none behind @commit */
static bool read_stream(unsigned stream, uint64_t commit, Recent *recent,
                        struct smr_record *next, Error **errp)
{
    struct smr_err err = { };
    struct smr_log *log = open_stream(stream, &err);
    struct smr_record rec;
    int ret = log ? 1 : -1;

    *next = (struct smr_record) { };
    while (ret > 0 && !next->type) {
        ret = next_commit(log, &rec, &err);
        if (ret > 0 && rec.commit_seq > commit) {
            *next = rec;
        } else if (ret > 0) {
            recent->rec[recent->nr++ % SAMSARA_COMMITS_MAX] = rec;
        }
    }
    if (log) {
        smr_log_close(log);
    }
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

/* What can't be read counts as not there. */
uint64_t samsara_commits_digested(uint64_t before)
{
    uint64_t last = 0;
    struct smr_record rec;
    struct smr_log *log;
    unsigned stream;

    for (stream = 0; stream <= nr_vcpus(); stream++) {
        log = open_stream(stream, NULL);
        if (!log) {
            continue;
        }
        while (next_commit(log, &rec, NULL) > 0 && rec.commit_seq < before) {
            if (rec.flags & SMR_F_MEMDIGEST) {
                last = MAX(last, rec.commit_seq);
            }
        }
        smr_log_close(log);
    }
    return last;
}
