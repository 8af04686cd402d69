/*
 * Record and replay of multiprocessor KVM guests: what devices have got
 *
 * While a recording is replayed, its notes say when guest memory holds what
 * went to disks, networks and consoles.  The replay stops there, and it is
 * copied to files: diskN.img, netN.pcap, consoleN.txt.  A disk's file may be
 * there before, as a copy of the image that the guest began with; it gets what
 * the guest has written to it.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"
#include "smr_note.h"
#include "trace.h"

/* Notes of one recording: 16 bytes of memory each */
#define MAX_NOTES       (16 * 1024 * 1024)

/* libpcap's file format, version 2.4: microseconds, Ethernet */
#define PCAP_MAGIC      0xa1b2c3d4
#define PCAP_SNAPLEN    262144
#define PCAP_ETHERNET   1

typedef enum { DISK, NET, CONSOLE, SCREEN, NR_KINDS } OutputKind;

static const struct {
    const char *word;           /* in the recording */
    const char *extension;
    const char *unit;
} kinds[NR_KINDS] = {
    [DISK] = { "disk", "img", "bytes written" },
    [NET] = { "net", "pcap", "packets" },
    [CONSOLE] = { "console", "txt", "bytes" },
    [SCREEN] = { "screen" },    /* see screen.c */
};

typedef struct Output {
    OutputKind kind;
    char *what;                 /* the rest of its line */
    char *path;
    int fd;
    uint64_t size;              /* DISK */
    uint64_t count;             /* in units */
    uint64_t differing;         /* notes whose bytes have another checksum */
    uint64_t outside;           /* notes of what is behind the end of a disk */
} Output;

typedef struct Place {
    uint64_t commit;
    struct smr_note_place place;
} Place;

static struct {
    struct smr_notes *notes;
    GArray *places;             /* by commit */
    guint next;
    Output output[SAMSARA_MAX_OUTPUTS];
    unsigned nr_outputs;
    uint64_t created;           /* seconds since 1970 */
    bool lost;
} export;

static bool write_at(Output *o, const void *data, size_t len, off_t offset,
                     Error **errp)
{
    const uint8_t *p = data;

    while (len) {
        ssize_t n = offset < 0 ? write(o->fd, p, len)
                               : pwrite(o->fd, p, len, offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            error_setg_errno(errp, n ? errno : ENOSPC, "can't write to %s",
                             o->path);
            return false;
        }
        p += n;
        len -= n;
        offset += offset < 0 ? 0 : n;
    }
    return true;
}

static bool append(Output *o, const void *data, size_t len, Error **errp)
{
    return write_at(o, data, len, -1, errp);
}

static bool begin_pcap(Output *o, Error **errp)
{
    struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, snaplen, network;
    } head = {
        .magic = PCAP_MAGIC,
        .major = 2,
        .minor = 4,
        .snaplen = PCAP_SNAPLEN,
        .network = PCAP_ETHERNET,
    };

    return append(o, &head, sizeof(head), errp);
}

static bool append_packet(Output *o, const struct smr_note *note,
                          const void *data, Error **errp)
{
    uint64_t us = export.created * 1000000 + note->time_us;
    uint32_t head[] = { us / 1000000, us % 1000000, note->size, note->size };

    return append(o, head, sizeof(head), errp) &&
           append(o, data, note->size, errp);
}

/* A disk keeps what it has; nothing else does. */
static bool open_output(Output *o, Error **errp)
{
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
                (o->kind == DISK ? 0 : O_TRUNC);
    struct stat st;

    o->fd = open(o->path, flags, 0600);
    if (o->fd < 0 || fstat(o->fd, &st) < 0) {
        error_setg_errno(errp, errno, "can't open %s", o->path);
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        error_setg(errp, "%s is not a file", o->path);
        return false;
    }
    if (o->kind == DISK && st.st_size != o->size &&
        ftruncate(o->fd, o->size) < 0) {
        error_setg_errno(errp, errno, "can't make %s as large as the disk",
                         o->path);
        return false;
    }
    return o->kind != NET || begin_pcap(o, errp);
}

static bool parse_output(const char *line, unsigned number[NR_KINDS],
                         Error **errp)
{
    Output *o = &export.output[export.nr_outputs];
    const char *what = NULL;
    int kind;

    for (kind = 0; kind < NR_KINDS; kind++) {
        if (g_str_has_prefix(line, kinds[kind].word) &&
            line[strlen(kinds[kind].word)] == ' ') {
            what = line + strlen(kinds[kind].word) + 1;
            break;
        }
    }
    if (!what || export.nr_outputs == SAMSARA_MAX_OUTPUTS ||
        (kind == DISK && (qemu_strtou64(what, &what, 10, &o->size) < 0 ||
                          o->size > INT64_MAX || *what++ != ' '))) {
        error_setg(errp, "bad line in the list of outputs");
        return false;
    }
    o->kind = kind;
    if (kind == SCREEN) {
        export.nr_outputs++;
        return true;
    }
    o->what = g_strdup(what);
    o->path = g_strdup_printf("%s/%s%u.%s", samsara_opts.export,
                              kinds[kind].word, number[kind]++,
                              kinds[kind].extension);
    export.nr_outputs++;
    return open_output(o, errp);
}

static bool open_outputs(Error **errp)
{
    g_autofree char *text = samsara_read_text("outputs", errp);
    g_auto(GStrv) lines = NULL;
    unsigned number[NR_KINDS] = { };
    unsigned i;

    if (!text) {
        return false;
    }
    if (mkdir(samsara_opts.export, 0700) < 0 && errno != EEXIST) {
        error_setg_errno(errp, errno, "can't make the directory %s",
                         samsara_opts.export);
        return false;
    }
    lines = g_strsplit(text, "\n", SAMSARA_MAX_OUTPUTS + 2);
    for (i = 0; lines[i] && *lines[i]; i++) {
        if (!parse_output(lines[i], number, errp)) {
            return false;
        }
    }
    return true;
}

/* For equal commits: in the order in which they were written */
static int compare_places(const void *a, const void *b)
{
    const Place *x = a, *y = b;

    if (x->commit != y->commit) {
        return x->commit < y->commit ? -1 : 1;
    }
    if (x->place.segment != y->place.segment) {
        return x->place.segment < y->place.segment ? -1 : 1;
    }
    return x->place.offset < y->place.offset ? -1 :
           x->place.offset > y->place.offset;
}

static bool find_notes(uint64_t limit, Error **errp)
{
    struct smr_err err = { };
    struct smr_note note;
    Place place;
    int ret;

    export.places = g_array_new(false, false, sizeof(Place));
    while ((ret = smr_notes_next(export.notes, &note, &place.place,
                                 &err)) > 0) {
        if (export.places->len == MAX_NOTES) {
            error_setg(errp, "more than %u notes", MAX_NOTES);
            return false;
        }
        place.commit = note.commit;
        if (place.commit <= limit && note.kind != SMR_NOTE_REGISTER &&
            note.kind != SMR_NOTE_HOT) {
            g_array_append_val(export.places, place);
        }
    }
    if (ret < 0) {
        warn_report("%s: only what comes before is exported",
                    smr_file_errstr(&err));
    }
    g_array_sort(export.places, compare_places);
    return true;
}

bool samsara_export_open(struct smr_reader *r, uint64_t limit, Error **errp)
{
    struct smr_err err = { };

    export.created = smr_reader_info(r)->created;
    if (smr_notes_open(&export.notes, r, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return open_outputs(errp) && find_notes(limit, errp);
}

/* The bytes of a piece as they are now; false: no such guest memory */
static bool fetch(uint8_t *to, const struct smr_piece *piece)
{
    uint64_t ram = piece->ram;
    uint32_t len = piece->len, n;

    if (piece->data) {
        memcpy(to, piece->data, len);
        return true;
    }
    for (; len; ram += n, to += n, len -= n) {
        SamsaraBlock *b = samsara_ram_at(ram);

        if (!b) {
            return false;
        }
        n = MIN(len, b->size - (ram - b->ram));
        memcpy(to, b->host + (ram - b->ram), n);
    }
    return true;
}

/* smr_note_decode() has seen that the pieces have as many bytes as @note. */
static bool fetch_all(uint8_t *to, const struct smr_note *note)
{
    struct smr_cursor c = {
        note->pieces, note->pieces + note->pieces_len, false,
    };
    struct smr_piece piece;

    while (smr_note_piece(&c, &piece) > 0) {
        if (!fetch(to, &piece)) {
            return false;
        }
        to += piece.len;
    }
    return true;
}

static bool zero(Output *o, const struct smr_note *note, Error **errp)
{
    static const uint8_t zeroes[64 * KiB];
    uint64_t done, n;

    if (!fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                   note->position, note->size)) {
        return true;
    }
    for (done = 0; done < note->size; done += n) {
        n = MIN(note->size - done, sizeof(zeroes));
        if (!write_at(o, zeroes, n, note->position + done, errp)) {
            return false;
        }
    }
    return true;
}

/* Another medium may be larger than the one that was there first. */
static bool is_outside(const Output *o, const struct smr_note *note)
{
    return o->kind == DISK && (note->position > o->size ||
                               note->size > o->size - note->position);
}

static bool fits(const Output *o, const struct smr_note *note)
{
    switch (note->kind) {
    case SMR_NOTE_WRITE:
    case SMR_NOTE_ZERO:
        return o->kind == DISK;
    case SMR_NOTE_SENT:
    case SMR_NOTE_RECEIVED:
        return o->kind == NET;
    default:
        return o->kind == CONSOLE;
    }
}

static bool put(Output *o, const struct smr_note *note, Error **errp)
{
    g_autofree uint8_t *data = NULL;

    if (is_outside(o, note)) {
        o->outside++;
        return true;
    }
    if (note->kind == SMR_NOTE_ZERO) {
        o->count += note->size;
        return !note->size || zero(o, note, errp);
    }
    data = g_malloc(note->size + 1);
    if (!fetch_all(data, note)) {
        error_setg(errp, "a note at commit %" PRIu64 " is about memory that "
                   "the guest has not", note->commit);
        return false;
    }
    o->differing += smr_crc32c(0, data, note->size) != note->crc;
    o->count += o->kind == NET ? 1 : note->size;
    switch (o->kind) {
    case DISK:
        return write_at(o, data, note->size, note->position, errp);
    case NET:
        return append_packet(o, note, data, errp);
    default:
        return append(o, data, note->size, errp);
    }
}

static bool visit(const Place *place, Error **errp)
{
    struct smr_err err = { };
    struct smr_note note;

    if (smr_notes_at(export.notes, &place->place, &note, &err) <= 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    trace_samsara_export(note.kind, note.device, note.commit, note.size);
    if (note.kind == SMR_NOTE_LOST) {
        export.lost = true;
        return true;
    }
    if (note.device >= export.nr_outputs ||
        !fits(&export.output[note.device], &note)) {
        error_setg(errp, "a note at commit %" PRIu64 " is about a device that "
                   "the guest has not", note.commit);
        return false;
    }
    return put(&export.output[note.device], &note, errp);
}

uint64_t samsara_export_visit(uint64_t commit, Error **errp)
{
    const Place *place;

    while (export.places && export.next < export.places->len) {
        place = &g_array_index(export.places, Place, export.next);
        if (place->commit > commit) {
            return place->commit;
        }
        export.next++;
        if (!visit(place, errp)) {
            return 0;
        }
    }
    return 0;
}

void samsara_export_close(void)
{
    uint64_t differing = 0, outside = 0;
    unsigned i;

    if (!export.places) {
        return;
    }
    for (i = 0; i < export.nr_outputs; i++) {
        Output *o = &export.output[i];

        if (o->kind == SCREEN) {
            continue;
        }
        fprintf(stderr, "samsara: %s: %" PRIu64 " %s (%s)\n", o->path,
                o->count, kinds[o->kind].unit, o->what);
        differing += o->differing;
        outside += o->outside;
        close(o->fd);
    }
    if (differing) {
        warn_report("samsara: %" PRIu64 " times a device has not seen exactly "
                    "what is exported: the guest changed it meanwhile, or its "
                    "commit is not known", differing);
    }
    if (outside) {
        warn_report("samsara: %" PRIu64 " times a disk was written behind its "
                    "end: its medium was changed, and the file is of all of "
                    "them", outside);
    }
    if (export.lost) {
        warn_report("samsara: the recorder could not note everything: what is "
                    "exported is incomplete");
    }
}
