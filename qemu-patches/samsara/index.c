/*
 * Record and replay of multiprocessor KVM guests: checkpoints in a file
 *
 * -replay save-index=file writes the checkpoints that there are when QEMU
 * exits; with index=file another replay of the same recording has them from its
 * beginning.  It is a file like a recording, without a guest's initial state:
 * a blob "index" says what it is, and each checkpoint N has a blob
 * "checkpoint/N", and "pages/N/K" for its pages, of which one blob can't hold
 * any number.  All in the byte order and layout of this machine.
 *
 * The file may come from anywhere.  What is read is checked, or is the kernel's
 * to check; memory and registers that are not the recording's diverge.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "hw/boards.h"
#include "samsara.h"
#include "samsara-int.h"

#define MAGIC               0x7865646e696d7273ULL   /* "srmindex" */
#define VERSION             1
#define MAX_CHECKPOINTS     1024
#define PAGES_PER_BLOB      4096
/* Of a vCPU's state, or of the consoles' */
#define MAX_STATE           (1 * MiB)

typedef struct Head {
    uint64_t magic;
    uint32_t version;
    uint32_t nr_checkpoints;
    uint32_t nr_rings;
    uint32_t nr_vcpus;
    uint8_t uuid[16];           /* of the recording */
    uint64_t lines_len;         /* bytes of the blob "lines"; 0: none */
} Head;

typedef struct CheckpointHead {
    uint64_t commit;
    uint64_t nr_pages;
} CheckpointHead;

static void fill_head(Head *head)
{
    *head = (Head) {
        .magic = MAGIC,
        .version = VERSION,
        .nr_checkpoints = MIN(samsara_checkpoint_count(), MAX_CHECKPOINTS),
        .nr_rings = samsara_device.nr_rings,
        .nr_vcpus = current_machine->smp.cpus,
    };
    memcpy(head->uuid, smr_reader_info(samsara_opts.reader)->uuid,
           sizeof(head->uuid));
}

/* Writing */

static void put_state(GByteArray *out, const GByteArray *state)
{
    uint32_t len = state->len;

    g_byte_array_append(out, (const guint8 *)&len, sizeof(len));
    g_byte_array_append(out, state->data, len);
}

static int write_state(struct smr_writer *w, unsigned n,
                       const SamsaraSaved *c, struct smr_err *err)
{
    g_autofree char *name = g_strdup_printf("checkpoint/%u", n);
    g_autoptr(GByteArray) out = g_byte_array_new();
    CheckpointHead head = { .commit = c->commit, .nr_pages = c->pages->len };
    unsigned i;

    g_byte_array_append(out, (const guint8 *)&head, sizeof(head));
    g_byte_array_append(out, (const guint8 *)c->progress,
                        samsara_device.nr_rings * sizeof(*c->progress));
    g_byte_array_append(out, (const guint8 *)&c->slots, sizeof(c->slots));
    put_state(out, c->consoles);
    for (i = 0; i < current_machine->smp.cpus; i++) {
        put_state(out, c->vcpus[i]);
    }
    return smr_writer_blob(w, name, out->data, out->len, err);
}

static int write_pages(struct smr_writer *w, unsigned n, unsigned first,
                       const SamsaraSaved *c, struct smr_err *err)
{
    g_autofree char *name = g_strdup_printf("pages/%u/%u", n,
                                            first / PAGES_PER_BLOB);
    unsigned i, end = MIN(first + PAGES_PER_BLOB, c->pages->len);
    g_autofree SamsaraPage *pages = g_new(SamsaraPage, end - first);

    for (i = first; i < end; i++) {
        memcpy(&pages[i - first], g_ptr_array_index(c->pages, i),
               sizeof(*pages));
    }
    return smr_writer_blob(w, name, pages, (end - first) * sizeof(*pages), err);
}

/* What the guest's consoles have told up to the checkpoints, and behind */
static int write_head(struct smr_writer *w, Head *head, struct smr_err *err)
{
    g_autoptr(GByteArray) lines = samsara_console_get_lines();
    int ret;

    head->lines_len = lines->len;
    ret = smr_writer_blob(w, "index", head, sizeof(*head), err);
    if (!ret && lines->len) {
        ret = smr_writer_blob(w, "lines", lines->data, lines->len, err);
    }
    return ret;
}

static int write_checkpoints(struct smr_writer *w, Head *head,
                             struct smr_err *err)
{
    unsigned i, first;
    int ret = write_head(w, head, err);

    for (i = 0; !ret && i < head->nr_checkpoints; i++) {
        const SamsaraSaved *c = samsara_checkpoint_at(i);

        ret = write_state(w, i, c, err);
        for (first = 0; !ret && first < c->pages->len;
             first += PAGES_PER_BLOB) {
            ret = write_pages(w, i, first, c, err);
        }
    }
    return ret ?: smr_writer_end_initial(w, err);
}

/* A recording is not replaced by an index. */
static bool may_replace(const char *path)
{
    struct smr_reader *r;
    struct smr_err err = { };
    void *data = NULL;
    size_t len;
    bool is_index;

    if (smr_reader_open(&r, path, &err) < 0) {
        /* smr_writer_create() knows what else it must not replace */
        return true;
    }
    is_index = smr_reader_blob(r, "index", &data, &len, &err) >= 0;
    free(data);
    smr_reader_close(r);
    return is_index;
}

void samsara_index_save(void)
{
    const char *path = samsara_opts.save_index;
    struct smr_writer_options options = {
        .nr_vcpus = current_machine->smp.cpus,
        .compress = 1,
        .incompat = SMR_FILE_RAM | SMR_FILE_STATE,
        .writer = "QEMU index",
    };
    struct smr_err err = { };
    struct smr_writer *w;
    Head head;
    int ret;

    if (!may_replace(path)) {
        error_report("samsara: %s is a recording, and not replaced", path);
        return;
    }
    fill_head(&head);
    if (smr_writer_create(&w, path, &options, &err) < 0) {
        error_report("samsara: %s", smr_file_errstr(&err));
        return;
    }
    ret = write_checkpoints(w, &head, &err);
    /* the first error is kept */
    if (smr_writer_close(w, !ret, &err) < 0) {
        error_report("samsara: %s", smr_file_errstr(&err));
    }
}

/* Reading */

typedef struct Bytes {
    const uint8_t *at;
    size_t left;
} Bytes;

static bool get(Bytes *b, void *to, size_t len)
{
    if (len > b->left) {
        return false;
    }
    memcpy(to, b->at, len);
    b->at += len;
    b->left -= len;
    return true;
}

static GByteArray *get_state(Bytes *b)
{
    GByteArray *state;
    uint32_t len;

    if (!get(b, &len, sizeof(len)) || len > MAX_STATE || len > b->left) {
        return NULL;
    }
    state = g_byte_array_sized_new(len);
    g_byte_array_set_size(state, len);
    get(b, state->data, len);
    return state;
}

static bool get_checkpoint(Bytes *b, SamsaraSaved *c)
{
    unsigned i;

    if (!get(b, c->progress,
             samsara_device.nr_rings * sizeof(*c->progress)) ||
        !get(b, &c->slots, sizeof(c->slots))) {
        return false;
    }
    c->consoles = get_state(b);
    if (!c->consoles || !samsara_consoles_are_sound(c->consoles)) {
        return false;
    }
    for (i = 0; i < current_machine->smp.cpus; i++) {
        c->vcpus[i] = get_state(b);
        if (!c->vcpus[i]) {
            return false;
        }
    }
    return !b->left;
}

/* In guest memory, and behind the one before? */
static bool page_is_sound(const SamsaraSaved *c, const SamsaraPage *page)
{
    const SamsaraPage *before = c->pages->len
        ? g_ptr_array_index(c->pages, c->pages->len - 1) : NULL;

    return QEMU_IS_ALIGNED(page->ram, SAMSARA_PAGE) &&
           samsara_ram_at(page->ram) && (!before || before->ram < page->ram);
}

static bool get_pages(Bytes *b, SamsaraSaved *c)
{
    while (b->left) {
        SamsaraPage *page = g_new(SamsaraPage, 1);

        if (!get(b, page, sizeof(*page)) || !page_is_sound(c, page)) {
            g_free(page);
            return false;
        }
        g_ptr_array_add(c->pages, page);
    }
    return true;
}

/* Its bytes, to be freed; @b is at the first one. */
static void *get_blob(struct smr_reader *r, const char *name, Bytes *b,
                      Error **errp)
{
    struct smr_err err = { };
    void *data;

    if (smr_reader_blob(r, name, &data, &b->left, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return NULL;
    }
    b->at = data;
    return data;
}

static bool makes_no_sense(const char *name, Error **errp)
{
    error_setg(errp, "%s: %s makes no sense", samsara_opts.index, name);
    return false;
}

static bool read_pages(struct smr_reader *r, unsigned n, uint64_t nr_pages,
                       SamsaraSaved *c, Error **errp)
{
    unsigned k;

    for (k = 0; c->pages->len < nr_pages; k++) {
        g_autofree char *name = g_strdup_printf("pages/%u/%u", n, k);
        unsigned before = c->pages->len;
        Bytes b;
        void *data = get_blob(r, name, &b, errp);
        bool ok = data && get_pages(&b, c) && c->pages->len > before;

        free(data);
        if (!ok) {
            return data && makes_no_sense(name, errp);
        }
    }
    return true;
}

static bool read_checkpoint(struct smr_reader *r, unsigned n, uint64_t limit,
                            Error **errp)
{
    g_autofree char *name = g_strdup_printf("checkpoint/%u", n);
    SamsaraSaved *c;
    CheckpointHead head;
    Bytes b;
    void *data = get_blob(r, name, &b, errp);
    bool ok;

    if (!data) {
        return false;
    }
    if (!get(&b, &head, sizeof(head)) ||
        head.commit <= samsara_checkpoint_last() ||
        head.commit > limit) {
        free(data);
        return makes_no_sense(name, errp);
    }
    c = samsara_checkpoint_new(head.commit);
    ok = get_checkpoint(&b, c) || makes_no_sense(name, errp);
    free(data);
    if (!ok || !read_pages(r, n, head.nr_pages, c, errp)) {
        samsara_checkpoint_free(c);
        return false;
    }
    samsara_checkpoint_keep(c);
    return true;
}

/* Is it an index of this recording? */
static bool read_head(struct smr_reader *r, Head *head, Error **errp)
{
    Head own;
    Bytes b;
    void *data = get_blob(r, "index", &b, errp);
    bool ok = data && get(&b, head, sizeof(*head));

    free(data);
    if (!data) {
        return false;
    }
    fill_head(&own);
    if (!ok || head->magic != own.magic || head->version != own.version ||
        head->nr_checkpoints > MAX_CHECKPOINTS) {
        return makes_no_sense("index", errp);
    }
    if (head->nr_rings != own.nr_rings || head->nr_vcpus != own.nr_vcpus ||
        memcmp(head->uuid, own.uuid, sizeof(own.uuid))) {
        error_setg(errp, "%s is an index of another recording",
                   samsara_opts.index);
        return false;
    }
    return true;
}

static bool read_lines(struct smr_reader *r, Error **errp)
{
    Bytes b;
    void *data = get_blob(r, "lines", &b, errp);
    bool ok = data && samsara_console_set_lines(b.at, b.left);

    free(data);
    return ok || (data && makes_no_sense("lines", errp));
}

bool samsara_index_load(uint64_t limit, Error **errp)
{
    struct smr_err err = { };
    struct smr_reader *r;
    unsigned i;
    Head head;
    bool ok;

    if (smr_reader_open(&r, samsara_opts.index, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    ok = read_head(r, &head, errp) &&
         (!head.lines_len || read_lines(r, errp));
    for (i = 0; ok && i < head.nr_checkpoints; i++) {
        ok = read_checkpoint(r, i, limit, errp);
    }
    smr_reader_close(r);
    return ok;
}
