/*
 * Record and replay of multiprocessor KVM guests: what devices read from disk
 * images
 *
 * With -record disk=ref the log names it by image and offset.  Only an image
 * that nobody writes to will do: below an overlay, or read-only.
 *
 * A device reads from a disk into the shadow of guest memory, from where it is
 * handed over to the kernel with a hint where it came from (shadow.c).  The
 * thread that writes the log reads from the image what the hint says, as a
 * replay will, and names it if these are the bytes.  So a hint that is out of
 * date, or for a cluster that the guest has written to since, does no harm.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qapi/error.h"
#include "block/block_int.h"
#include "cpu.h"
#include "sysemu/block-backend.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

/* Less is not worth a reference. */
#define MIN_BYTES   512
/* More than the log's rings hold, but for what was lost with an error */
#define MAX_HINTS   4096

typedef struct Image {
    BlockBackend *blk;
    char *path;
    int fd;
    uint64_t size;
} Image;

typedef struct Hint {
    uint64_t ram, offset, len;
    uint32_t image;
    QSIMPLEQ_ENTRY(Hint) next;
} Hint;

static struct {
    Image image[SMR_MAX_IMAGES];
    unsigned nr;
    QemuMutex lock;             /* of the hints */
    QSIMPLEQ_HEAD(, Hint) hints;
    unsigned nr_hints;
    struct smr_stream coding;   /* of the VM's stream */
    uint8_t *record;            /* SMR_RECORD_MAX bytes */
} images = {
    .hints = QSIMPLEQ_HEAD_INITIALIZER(images.hints),
};

bool samsara_images_wanted(void)
{
    return samsara_opts.disk && !strcmp(samsara_opts.disk, "ref");
}

/* The image that nobody writes to and @blk reads from, if it is a plain file */
static BlockDriverState *immutable(BlockBackend *blk)
{
    BlockDriverState *bs = bdrv_skip_filters(blk_bs(blk));
    BlockDriverState *below;
    bool is_below = false;

    while (bs && (below = bdrv_backing_chain_next(bs))) {
        bs = below;
        is_below = true;
    }
    if (!bs || !bs->drv || strcmp(bs->drv->format_name, "raw") ||
        !(is_below || bdrv_is_read_only(bs)) ||
        !bs->file || !bs->file->bs->drv ||
        strcmp(bs->file->bs->drv->format_name, "file")) {
        return NULL;
    }
    return bs->file->bs;
}

static void add_image(BlockBackend *blk)
{
    BlockDriverState *bs = immutable(blk);
    Image *image = &images.image[images.nr];
    g_autofree char *path = NULL;
    struct stat st;

    if (!bs || images.nr == SMR_MAX_IMAGES) {
        return;
    }
    path = realpath(bs->filename, NULL);
    if (!path || !smr_is_printable(path)) {
        return;
    }
    image->fd = qemu_open_old(path, O_RDONLY);
    if (image->fd < 0) {
        return;
    }
    /* raw may begin and end inside the file: that would be other offsets */
    if (fstat(image->fd, &st) || !S_ISREG(st.st_mode) ||
        st.st_size != blk_getlength(blk)) {
        close(image->fd);
        return;
    }
    image->blk = blk;
    image->path = g_steal_pointer(&path);
    image->size = st.st_size;
    trace_samsara_image(images.nr, image->path, image->size);
    images.nr++;
}

static void forget(void)
{
    while (images.nr) {
        Image *image = &images.image[--images.nr];

        close(image->fd);
        free(image->path);
    }
}

char *samsara_images_start(void)
{
    GString *text = g_string_new(NULL);
    BlockBackend *blk = NULL;
    unsigned i;

    if (!images.record) {
        qemu_mutex_init(&images.lock);
        images.record = g_malloc(SMR_RECORD_MAX);
    }
    memset(&images.coding, 0, sizeof(images.coding));
    forget();
    while ((blk = blk_all_next(blk))) {
        add_image(blk);
    }
    for (i = 0; i < images.nr; i++) {
        g_string_append_printf(text, "%" PRIu64 " %s\n", images.image[i].size,
                               images.image[i].path);
    }
    return g_string_free(text, false);
}

int samsara_images_index(BlockBackend *blk)
{
    unsigned i;

    for (i = 0; i < images.nr; i++) {
        if (images.image[i].blk == blk) {
            return i;
        }
    }
    return -1;
}

/* With the lock */
static void drop_hint(Hint *hint)
{
    QSIMPLEQ_REMOVE(&images.hints, hint, Hint, next);
    images.nr_hints--;
    g_free(hint);
}

void samsara_images_hint(int image, uint64_t offset, uint64_t ram, uint64_t len)
{
    Hint *hint;

    if (len < MIN_BYTES) {
        return;
    }
    hint = g_new(Hint, 1);
    *hint = (Hint) {
        .ram = ram,
        .len = len,
        .image = image,
        .offset = offset,
    };
    QEMU_LOCK_GUARD(&images.lock);
    QSIMPLEQ_INSERT_TAIL(&images.hints, hint, next);
    if (++images.nr_hints > MAX_HINTS) {
        drop_hint(QSIMPLEQ_FIRST(&images.hints));
    }
}

/*
 * The first one for these bytes: threads overtake each other, but not far.  A
 * long one is for several records, and goes with the last.
 */
static bool find_hint(const struct smr_record *rec, Hint *found)
{
    Hint *hint;
    uint64_t skip;

    QEMU_LOCK_GUARD(&images.lock);
    QSIMPLEQ_FOREACH(hint, &images.hints, next) {
        skip = rec->gpa - hint->ram;
        if (skip < hint->len && rec->data_len <= hint->len - skip) {
            *found = *hint;
            found->offset += skip;
            if (skip + rec->data_len == hint->len) {
                drop_hint(hint);
            }
            return true;
        }
    }
    return false;
}

/* Would a replay find them there? */
static bool is_in_image(const Hint *hint, const uint8_t *data, uint32_t len)
{
    const Image *image = &images.image[hint->image];
    g_autofree uint8_t *there = NULL;

    if (hint->image >= images.nr || hint->offset >= image->size ||
        len > image->size - hint->offset) {
        return false;
    }
    there = g_malloc(len);
    return pread(image->fd, there, len, hint->offset) == len &&
           !memcmp(there, data, len);
}

static bool refer(const struct smr_record *rec, struct smr_record *ref)
{
    Hint hint;

    if (!find_hint(rec, &hint) ||
        !is_in_image(&hint, rec->data, rec->data_len)) {
        return false;
    }
    *ref = (struct smr_record) {
        .type = SMR_DMA_REF,
        .flags = rec->flags,
        .commit_seq = rec->commit_seq,
        .gpa = rec->gpa,
        .dma_len = rec->data_len,
        .image = hint.image,
        .image_offset = hint.offset,
        .digest = smr_crc32c(0, rec->data, rec->data_len),
        .mem_digest = rec->mem_digest,
    };
    return true;
}

const uint8_t *samsara_images_name(const uint8_t *bytes, uint32_t *len)
{
    struct smr_buf b = { .p = images.record, .size = SMR_RECORD_MAX };
    struct smr_stream before = images.coding;
    struct smr_record rec, ref;

    if (smr_decode(&images.coding, bytes, *len, &rec) ||
        rec.type != SMR_DMA || !refer(&rec, &ref) ||
        smr_encode(&before, &ref, &b)) {
        return bytes;
    }
    *len = b.len;
    return images.record;
}
