/*
 * Record and replay of multiprocessor KVM guests: the log of a recording
 *
 * The kernel fills one ring per vCPU and one for the VM; a thread moves them
 * to the file.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"
#include "smr_note.h"
#include "trace.h"

/* What a killed QEMU loses at most */
#define FLUSH_MS    100
#define FLUSH_BYTES (256 * KiB)

/* Segment headers and the trailer of an orderly end, for each ring and once */
#define RING_OVERHEAD   (2 * KiB)
#define FILE_OVERHEAD   (4 * KiB)

static struct {
    QemuThread thread;
    struct smr_writer *writer;
    SamsaraRequestEnd *request_end;
    bool quit;                  /* the kernel has stopped: drain and end */
    bool held;                  /* vCPUs' rings are not drained until then */
    char *failed;               /* the file can't be written: throw it away */
    uint64_t unflushed;
    int64_t last_flush;
    bool reported;              /* that the kernel could not go on */
    GByteArray *rest;           /* of a record; NULL: no image is named */
    GByteArray *notes;          /* empty */
} writing;

uint64_t samsara_log_reserve(void)
{
    return samsara_device.nr_rings * (samsara_opts.ring + RING_OVERHEAD) +
           FILE_OVERHEAD;
}

static void file_failed(const struct smr_err *err)
{
    writing.failed = g_strdup(smr_file_errstr(err));
    /* a guest that is to stop there gets no further than its ring allows */
    writing.held = samsara_stop_on_error();
    writing.request_end(SAMSARA_END_REASON_FILE, writing.failed);
}

/* Would the file, closed then, be as small as it was asked to be? */
static bool fits(size_t len)
{
    struct smr_totals totals;

    if (!samsara_opts.max_size || writing.failed) {
        return true;
    }
    smr_writer_totals(writing.writer, &totals);
    return totals.file_bytes + writing.unflushed + len +
           samsara_log_reserve() <= samsara_opts.max_size;
}

static void file_full(void)
{
    g_autofree char *why = g_strdup_printf("max-size=%" PRIu64 " is reached",
                                           samsara_opts.max_size);

    writing.held = true;
    writing.request_end(SAMSARA_END_REASON_MAX_SIZE, why);
}

static void append(unsigned stream, const void *data, size_t len)
{
    struct smr_err err = { };

    writing.unflushed += len;
    if (!writing.failed &&
        smr_writer_append(writing.writer, stream, data, len, &err) < 0) {
        file_failed(&err);
    }
}

/*
 * The VM's stream, record by record, if what was read from disk images is to
 * be named.  The kernel publishes whole records, but the ring cuts them.
 */
static void append_named(unsigned stream, const void *data, size_t len)
{
    GByteArray *rest = writing.rest;
    const uint8_t *bytes;
    size_t done = 0;
    uint32_t out;
    int n;

    g_byte_array_append(rest, data, len);
    while ((n = smr_peek(rest->data + done, rest->len - done)) > 0) {
        out = n;
        bytes = samsara_images_name(rest->data + done, &out);
        append(stream, bytes, out);
        done += n;
    }
    if (n < 0) {
        /* no record: the file's writer says so */
        append(stream, rest->data + done, rest->len - done);
        done = rest->len;
    }
    g_byte_array_remove_range(rest, 0, done);
}

static void append_some(unsigned stream, const void *data, size_t len)
{
    if (writing.rest && stream == samsara_device.nr_rings - 1) {
        append_named(stream, data, len);
    } else {
        append(stream, data, len);
    }
}

/*
 * The VM's ring is always drained: a device model that waits for room in it has
 * the lock that the end of the recording needs.
 */
static bool is_held(unsigned i)
{
    return writing.held && i != samsara_device.nr_rings - 1;
}

static size_t drain_ring(unsigned i, bool all)
{
    SamsaraRing *r = &samsara_device.rings[i];
    uint64_t head = smr_load_acquire(&r->hdr->head);
    size_t len = MIN(head - r->pos, r->size);
    size_t offset = r->pos & (r->size - 1);
    size_t first = MIN(len, r->size - offset);

    if (!all && !writing.held && !fits(len)) {
        file_full();
    }
    if (!len || (!all && is_held(i))) {
        return 0;
    }
    trace_samsara_drain(i, r->pos, len);
    append_some(i, r->data + offset, first);
    append_some(i, r->data, len - first);
    r->pos += len;
    smr_store_release(&r->hdr->tail, r->pos);
    return len;
}

static size_t drain(bool all)
{
    size_t n = 0;
    unsigned i;

    for (i = 0; i < samsara_device.nr_rings; i++) {
        n += drain_ring(i, all);
    }
    if (n) {
        samsara_device_ctrl(KVM_SAMSARA_CTRL_WAKE);
    }
    return n;
}

static void write_notes(void)
{
    struct smr_err err = { };

    writing.notes = samsara_notes_take(writing.notes);
    if (writing.held || !fits(writing.notes->len)) {
        /* a recording without its last notes can be replayed */
        g_byte_array_set_size(writing.notes, 0);
    }
    writing.unflushed += writing.notes->len;
    if (!writing.failed &&
        smr_writer_notes(writing.writer, writing.notes->data,
                         writing.notes->len, &err) < 0) {
        file_failed(&err);
    }
    g_byte_array_set_size(writing.notes, 0);
}

static void check_kernel(void)
{
    struct kvm_samsara_status st;

    if (!writing.reported && !samsara_device_status(&st) &&
        st.state == KVM_SAMSARA_STATE_FAILED) {
        writing.reported = true;
        writing.request_end(SAMSARA_END_REASON_KERNEL,
                            "the kernel could not go on");
    }
}

static void flush(void)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    struct smr_err err = { };

    if (now - writing.last_flush < FLUSH_MS &&
        writing.unflushed < FLUSH_BYTES) {
        return;
    }
    writing.last_flush = now;
    if (writing.unflushed && !writing.failed &&
        smr_writer_flush(writing.writer, false, &err) < 0) {
        file_failed(&err);
    }
    writing.unflushed = 0;
    check_kernel();
}

static void *log_thread(void *unused)
{
    for (;;) {
        /* read before draining: nothing comes after it is set */
        bool quit = qatomic_load_acquire(&writing.quit);
        size_t n = drain(quit);

        write_notes();
        flush();
        if (quit && !n) {
            return NULL;
        }
        if (!n) {
            samsara_device_wait(FLUSH_MS / 2);
        }
    }
}

void samsara_log_start(struct smr_writer *w, SamsaraRequestEnd *request_end)
{
    g_free(writing.failed);
    if (writing.rest) {
        g_byte_array_unref(writing.rest);
    }
    if (writing.notes) {
        g_byte_array_unref(writing.notes);
    }
    memset(&writing, 0, sizeof(writing));
    writing.writer = w;
    writing.request_end = request_end;
    writing.notes = g_byte_array_new();
    writing.rest = samsara_images_wanted() ? g_byte_array_new() : NULL;
    writing.last_flush = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    qemu_thread_create(&writing.thread, "samsara", log_thread, NULL,
                       QEMU_THREAD_JOINABLE);
}

const char *samsara_log_finish(void)
{
    struct smr_err err = { };

    qatomic_store_release(&writing.quit, true);
    samsara_device_kick();
    qemu_thread_join(&writing.thread);
    /* what is left counts, too */
    if (!writing.failed && smr_writer_flush(writing.writer, false, &err) < 0) {
        writing.failed = g_strdup(smr_file_errstr(&err));
    }
    return writing.failed;
}
