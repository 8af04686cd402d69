/*
 * Record and replay of multiprocessor KVM guests: notes of what devices did
 *
 * A replay has no devices.  So that it can tell what the guest's disks,
 * networks and consoles would have got from it, a recording says after which
 * commit the bytes were where in guest memory.  Bytes that were elsewhere, as a
 * device model's own copy of a packet, are in the note.
 *
 * A note never decides what the guest does.  It has a checksum, since a guest
 * may change what a device is reading; and the wrong commit, too, if a device
 * that polls has seen what a vCPU has not committed yet, which is possible
 * while vCPUs are recorded one at a time.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "cpu.h"
#include "block/block_int.h"
#include "hw/qdev-core.h"
#include "net/net.h"
#include "sysemu/block-backend.h"
#include "samsara.h"
#include "samsara-int.h"
#include "smr_note.h"
#include "trace.h"

/* What the thread of the log has not got to yet; more is lost. */
#define MAX_QUEUED      (16 * MiB)
/* Pieces of guest memory that one packet may be in */
#define MAX_WRITTEN     64
/* So many bytes of a packet say where it goes on. */
#define PROBE           16

static struct {
    QemuMutex lock;             /* of the queue */
    GByteArray *queue;          /* encoded */
    bool lost;
    int64_t start_us;
    void *output[SAMSARA_MAX_OUTPUTS];
    unsigned nr_outputs;
} notes;

/* What this thread has written to guest memory since a packet has begun */
static __thread struct {
    struct iovec piece[MAX_WRITTEN];
    unsigned nr;                /* of all; the last ones are there */
} written;

/* The outputs: a blob of lines, "KIND ..." */

static void add_output(GString *text, void *output, const char *kind,
                       const char *what)
{
    g_autofree char *line = samsara_text_line(what);

    if (notes.nr_outputs < SAMSARA_MAX_OUTPUTS) {
        notes.output[notes.nr_outputs++] = output;
        g_string_append_printf(text, "%s %s\n", kind, line);
    }
}

/* Is there nothing in an overlay yet? */
static bool is_empty(BlockDriverState *bs, int64_t size)
{
    int64_t at, n;

    for (at = 0; at < size; at += n) {
        if (bdrv_is_allocated(bs, at, size - at, &n) || !n) {
            return false;
        }
    }
    return true;
}

/* "disk SIZE NAME FORMAT PATH", of the image that has all that is on it */
static void add_disk(GString *text, BlockBackend *blk)
{
    g_autofree char *id = blk_get_attached_dev_id(blk);
    g_autofree char *what = NULL;
    g_autofree char *path = NULL;
    BlockDriverState *bs = bdrv_skip_filters(blk_bs(blk)), *below;
    bool empty = true;

    if (!bs || !bs->drv || blk_getlength(blk) < 0) {
        return;
    }
    while ((below = bdrv_backing_chain_next(bs))) {
        empty &= is_empty(bs, blk_getlength(blk));
        bs = below;
    }
    path = empty ? realpath(bs->filename, NULL) : NULL;
    what = g_strdup_printf("%" PRId64 " %s %s %s", blk_getlength(blk),
                           *blk_name(blk) ? blk_name(blk) : *id ? id : "-",
                           bs->drv->format_name, path ?: "-");
    add_output(text, blk, "disk", what);
}

static void add_network(NICState *nic, void *opaque)
{
    NetClientState *nc = qemu_get_queue(nic);
    g_autofree char *what = g_strdup_printf("%s %s", nc->name, nc->model);

    add_output(opaque, nic, "net", what);
}

static int add_console(Object *obj, void *opaque)
{
    DeviceState *dev = (DeviceState *)object_dynamic_cast(obj, TYPE_DEVICE);
    const char *type = object_get_typename(obj);

    if (dev && (!strcmp(type, "virtconsole") ||
                !strcmp(type, "virtserialport"))) {
        add_output(opaque, dev, "console", dev->id ?: type);
    }
    return 0;
}

static void register_written(void *card, uint32_t port, uint32_t value);

static void add_screen(GString *text)
{
    g_autofree char *what = NULL;
    uint64_t ram, size;
    void *card = samsara_screen_watch(register_written, &ram, &size);

    if (card) {
        what = g_strdup_printf("0x%" PRIx64 " %" PRIu64, ram, size);
        add_output(text, card, "screen", what);
    }
}

static int output_index(const void *output)
{
    unsigned i;

    for (i = 0; i < notes.nr_outputs; i++) {
        if (notes.output[i] == output) {
            return i;
        }
    }
    return -1;
}

/* -1: nothing is recorded of it now. */
static int recorded_index(const void *output)
{
    return qatomic_read(&samsara_recording) ? output_index(output) : -1;
}

/* The queue */

static void enqueue(const struct smr_note *note)
{
    const struct smr_note lost = {
        .kind = SMR_NOTE_LOST,
        .commit = note->commit,
        .time_us = note->time_us,
    };
    struct smr_buf b = { .size = SMR_NOTE_HEAD_MAX + note->pieces_len };

    QEMU_LOCK_GUARD(&notes.lock);
    if (notes.lost) {
        return;
    }
    if (notes.queue->len > MAX_QUEUED) {
        notes.lost = true;
        note = &lost;
        b.size = SMR_NOTE_HEAD_MAX;
    }
    b.p = g_malloc(b.size);
    if (!smr_note_encode(note, &b)) {
        g_byte_array_append(notes.queue, b.p, b.len);
    }
    g_free(b.p);
}

GByteArray *samsara_notes_take(GByteArray *empty)
{
    GByteArray *full;

    QEMU_LOCK_GUARD(&notes.lock);
    full = notes.queue;
    notes.queue = empty;
    notes.lost = false;
    return full;
}

/* Notes */

static void put_piece(struct smr_buf *b, const uint8_t *p, size_t len)
{
    SamsaraBlock *block;
    struct smr_piece piece;
    size_t n;

    for (; len; p += n, len -= n) {
        block = samsara_block_of_host(p);
        n = block ? MIN(len, block->size - (p - block->host)) : len;
        piece = (struct smr_piece) {
            .len = n,
            .ram = block ? block->ram + (p - block->host) : 0,
            .data = block ? NULL : p,
        };
        smr_note_put_piece(b, &piece);
    }
}

/* What the pieces of @iov may become: each in its own words, or a reference */
static size_t pieces_room(const struct iovec *iov, int n)
{
    return iov_size(iov, n) + 32 * n;
}

static void make_note(struct smr_note *note, const struct iovec *iov, int n)
{
    struct smr_buf b = { .size = pieces_room(iov, n) };
    int i;

    b.p = g_malloc(b.size + 1);
    for (i = 0; i < n; i++) {
        put_piece(&b, iov[i].iov_base, iov[i].iov_len);
        note->crc = smr_crc32c(note->crc, iov[i].iov_base, iov[i].iov_len);
        note->size += iov[i].iov_len;
    }
    note->pieces = b.p;
    note->pieces_len = b.len;
    if (!b.full) {
        enqueue(note);
    }
    g_free(b.p);
}

static uint64_t now_us(void)
{
    return MAX(g_get_monotonic_time() - notes.start_us, 0);
}

static struct smr_note begin_note(enum smr_note_kind kind, int output)
{
    return (struct smr_note) {
        .kind = kind,
        .device = output,
        .commit = samsara_device_committed(),
        .time_us = now_us(),
    };
}

/* A device has written to a disk, which takes a note for each piece of it. */
static void disk_written(BlockBackend *blk, int64_t offset, int64_t bytes,
                         QEMUIOVector *qiov, size_t skip)
{
    g_autofree struct iovec *iov = NULL;
    struct smr_note note;
    int index = recorded_index(blk), niov;
    size_t n;

    if (index < 0) {
        return;
    }
    if (!qiov) {
        note = begin_note(SMR_NOTE_ZERO, index);
        note.position = offset;
        note.size = bytes;
        enqueue(&note);
        return;
    }
    iov = g_new(struct iovec, qiov->niov);
    for (; bytes; offset += n, skip += n, bytes -= n) {
        n = MIN(bytes, SMR_NOTE_DATA_MAX);
        niov = iov_copy(iov, qiov->niov, qiov->iov, qiov->niov, skip, n);
        note = begin_note(SMR_NOTE_WRITE, index);
        note.position = offset;
        make_note(&note, iov, niov);
    }
}

/* This thread has written there, or guest memory had the bytes already. */
void samsara_notes_written(void *host, size_t len)
{
    written.piece[written.nr++ % MAX_WRITTEN] = (struct iovec) { host, len };
}

/*
 * Where in what was written the bytes at @p begin, and how many of them are
 * there: 0 if there are none.
 */
static size_t find_in(const struct iovec *piece, const uint8_t *p, size_t len,
                      size_t *from)
{
    size_t probe = MIN(len, PROBE), n;
    const uint8_t *base = piece->iov_base, *at;

    at = probe ? memmem(base, piece->iov_len, p, probe) : NULL;
    if (!at) {
        return 0;
    }
    *from = at - base;
    len = MIN(len, piece->iov_len - *from);
    n = probe;
    while (n < len && at[n] == p[n]) {
        n++;
    }
    return n;
}

/*
 * A packet for the guest, as pieces of guest memory: what its device model has
 * written just now.  Returns how many, 0 if it is not all there.
 */
static int find_packet(const uint8_t *packet, size_t len, struct iovec *iov)
{
    unsigned i = written.nr - MIN(written.nr, MAX_WRITTEN);
    size_t done = 0, from, n;
    int found = 0;

    for (; i < written.nr && done < len; i++) {
        const struct iovec *piece = &written.piece[i % MAX_WRITTEN];

        n = find_in(piece, packet + done, len - done, &from);
        if (n) {
            iov[found++] = (struct iovec) { piece->iov_base + from, n };
            done += n;
        }
    }
    return done == len ? found : 0;
}

static void packet_received(int index, const uint8_t *packet, size_t len)
{
    struct iovec iov[MAX_WRITTEN];
    struct smr_note note = begin_note(SMR_NOTE_RECEIVED, index);
    int n = find_packet(packet, len, iov);

    if (!n) {
        iov[0] = (struct iovec) { (void *)packet, len };
    }
    make_note(&note, iov, n ?: 1);
}

/* The answer may have come before the packet was delivered. */
static void packet_sent(int index, const SamsaraPacketStart *start,
                        const struct iovec *from, int n, size_t skip,
                        size_t len)
{
    struct smr_note note = {
        .kind = SMR_NOTE_SENT,
        .device = index,
        .commit = start->commit,
        .time_us = start->us,
    };
    g_autofree struct iovec *iov = g_new(struct iovec, n);

    make_note(&note, iov, iov_copy(iov, n, from, n, skip, len));
}

static bool is_nic(const NetClientState *nc)
{
    return nc->info->type == NET_CLIENT_DRIVER_NIC;
}

static void packet_starts(SamsaraPacketStart *start)
{
    start->commit = samsara_device_committed();
    start->us = now_us();
    written.nr = 0;
}

/* A packet has got from a NIC to its backend, or to the NIC. */
static void packet_delivered(const SamsaraPacketStart *start,
                             NetClientState *from, NetClientState *to,
                             const struct iovec *iov, int n, bool has_header)
{
    NetClientState *nic = is_nic(to) ? to : from;
    size_t skip = has_header && nic->peer ? nic->peer->vnet_hdr_len : 0;
    size_t len = iov_size(iov, n);
    g_autofree uint8_t *packet = NULL;
    int index = is_nic(nic) ? recorded_index(qemu_get_nic(nic)) : -1;

    if (index < 0 || len <= skip) {
        return;
    }
    if (nic != to) {
        packet_sent(index, start, iov, n, skip, len - skip);
        return;
    }
    if (!written.nr) {
        /* the card has dropped it */
        return;
    }
    packet = g_malloc(len - skip);
    iov_to_buf(iov, n, skip, packet, len - skip);
    packet_received(index, packet, len - skip);
}

static void text_written(void *port, const void *text, size_t len)
{
    struct iovec iov = { (void *)text, MIN(len, SMR_NOTE_DATA_MAX) };
    int index = recorded_index(port);
    struct smr_note note;

    if (index >= 0) {
        note = begin_note(SMR_NOTE_TEXT, index);
        make_note(&note, &iov, 1);
    }
}

/* Before the start, too: what the registers are */
static void register_written(void *card, uint32_t port, uint32_t value)
{
    int index = output_index(card);
    struct smr_note note = begin_note(SMR_NOTE_REGISTER, index);

    note.position = port;
    note.crc = value;
    if (index >= 0) {
        enqueue(&note);
    }
}

static void hot_note(CPUState *cpu, const struct kvm_samsara_hot_spot *spots,
                     uint32_t nr)
{
    uint8_t bytes[KVM_SAMSARA_HOT_MAX * SMR_HOT_SPOT_MAX];
    struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };
    struct smr_note note = begin_note(SMR_NOTE_HOT, cpu->cpu_index);
    struct iovec iov = { .iov_base = bytes };
    uint32_t i;

    for (i = 0; i < nr; i++) {
        smr_note_put_hot(&b, &spots[i]);
    }
    iov.iov_len = b.len;
    make_note(&note, &iov, 1);
}

void samsara_notes_end(void)
{
    g_autofree struct kvm_samsara_hot_spot *spots =
        g_new(struct kvm_samsara_hot_spot, KVM_SAMSARA_HOT_MAX);
    CPUState *cpu;

    if (!samsara_opts.report) {
        return;
    }
    CPU_FOREACH(cpu) {
        uint32_t nr = KVM_SAMSARA_HOT_MAX;

        if (samsara_device_hot(kvm_arch_vcpu_id(cpu), spots, &nr) >= 0 && nr) {
            hot_note(cpu, spots, nr);
        }
    }
}

char *samsara_notes_start(void)
{
    GString *text = g_string_new(NULL);
    BlockBackend *blk = NULL;

    if (!notes.queue) {
        qemu_mutex_init(&notes.lock);
        notes.queue = g_byte_array_new();
    }
    g_byte_array_set_size(notes.queue, 0);
    notes.lost = false;
    notes.nr_outputs = 0;
    while ((blk = blk_all_next(blk))) {
        add_disk(text, blk);
    }
    qemu_foreach_nic(add_network, text);
    object_child_foreach_recursive(object_get_root(), add_console, text);
    add_screen(text);
    notes.start_us = g_get_monotonic_time();
    samsara_screen_save();
    blk_write_done = disk_written;
    samsara_packet_starts = packet_starts;
    samsara_packet_delivered = packet_delivered;
    samsara_text_written = text_written;
    return g_string_free(text, false);
}
