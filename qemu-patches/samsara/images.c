/*
 * Record and replay of multiprocessor KVM guests: what devices read from disk
 * images, and firmware from the files of -kernel and -initrd
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
 * Where fw_cfg takes a kernel from nobody says: its files are looked through
 * for what begins like the record.
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
#include "hw/boards.h"
#include "sysemu/block-backend.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

/* Less is not worth a reference. */
#define MIN_BYTES   512
/* More than the log's rings hold, but for what was lost with an error */
#define MAX_HINTS   4096

typedef struct Image {
    BlockBackend *blk;          /* NULL: of -kernel or -initrd */
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
    /* The log's thread: places in files without a device, by what is there */
    GHashTable *places;
    Hint last;                  /* where the last one was found */
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

/* A file of @size bytes, if that is known; raw may begin and end inside it */
static void add_file(const char *filename, BlockBackend *blk, int64_t size)
{
    Image *image = &images.image[images.nr];
    g_autofree char *path = realpath(filename, NULL);
    struct stat st;

    if (images.nr == SMR_MAX_IMAGES || !path || !smr_is_printable(path)) {
        return;
    }
    image->fd = qemu_open_old(path, O_RDONLY);
    if (image->fd < 0) {
        return;
    }
    if (fstat(image->fd, &st) || !S_ISREG(st.st_mode) ||
        (blk && st.st_size != size)) {
        close(image->fd);
        return;
    }
    image->blk = blk;
    image->path = g_steal_pointer(&path);
    image->size = st.st_size;
    trace_samsara_image(images.nr, image->path, image->size);
    images.nr++;
}

/* Others are loaded by QEMU, and a part of the machine that is stored. */
static bool is_bzimage(const char *path)
{
    int fd = qemu_open_old(path, O_RDONLY);
    char magic[4] = "";
    bool is = fd >= 0 && pread(fd, magic, sizeof(magic), 0x202) == 4 &&
              !memcmp(magic, "HdrS", 4);

    if (fd >= 0) {
        close(fd);
    }
    return is;
}

static void add_boot_files(void)
{
    const char *kernel = current_machine->kernel_filename;
    const char *initrd = current_machine->initrd_filename;

    if (kernel && is_bzimage(kernel)) {
        add_file(kernel, NULL, 0);
    }
    if (kernel && initrd) {
        add_file(initrd, NULL, 0);
    }
}

static void forget(void)
{
    while (images.nr) {
        Image *image = &images.image[--images.nr];

        close(image->fd);
        free(image->path);
    }
    g_clear_pointer(&images.places, g_hash_table_unref);
    images.last.len = 0;
}

char *samsara_images_start(void)
{
    GString *text = g_string_new(NULL);
    BlockBackend *blk = NULL;
    BlockDriverState *bs;
    unsigned i;

    if (!images.record) {
        qemu_mutex_init(&images.lock);
        images.record = g_malloc(SMR_RECORD_MAX);
    }
    memset(&images.coding, 0, sizeof(images.coding));
    forget();
    while ((blk = blk_all_next(blk))) {
        bs = immutable(blk);
        if (bs) {
            add_file(bs->filename, blk, blk_getlength(blk));
        }
    }
    add_boot_files();
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

static gpointer place_key(const uint8_t *data)
{
    return GUINT_TO_POINTER(smr_crc32c(0, data, MIN_BYTES));
}

/* Its sectors; of those that are alike, the first one */
static void look_through(unsigned nr)
{
    const Image *image = &images.image[nr];
    uint8_t sector[MIN_BYTES];
    uint64_t offset;
    Hint *place;

    for (offset = 0; pread(image->fd, sector, MIN_BYTES, offset) == MIN_BYTES;
         offset += MIN_BYTES) {
        if (!g_hash_table_contains(images.places, place_key(sector))) {
            place = g_new(Hint, 1);
            *place = (Hint) { .image = nr, .offset = offset };
            g_hash_table_insert(images.places, place_key(sector), place);
        }
    }
}

/* When the first record comes that may be from them */
static void find_places(void)
{
    unsigned i;

    if (images.places) {
        return;
    }
    images.places = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    for (i = 0; i < images.nr; i++) {
        if (!images.image[i].blk) {
            look_through(i);
        }
    }
}

/* Behind the last one that was found, or where the same sector is */
static bool find_in_files(const struct smr_record *rec, Hint *found)
{
    const Hint *place;

    if (rec->data_len < MIN_BYTES) {
        return false;
    }
    find_places();
    *found = images.last;
    found->offset += images.last.len;
    if (images.last.len && is_in_image(found, rec->data, rec->data_len)) {
        return true;
    }
    place = g_hash_table_lookup(images.places, place_key(rec->data));
    if (!place || !is_in_image(place, rec->data, rec->data_len)) {
        return false;
    }
    *found = *place;
    return true;
}

static bool find_bytes(const struct smr_record *rec, Hint *found)
{
    if (find_hint(rec, found)) {
        return is_in_image(found, rec->data, rec->data_len);
    }
    if (!find_in_files(rec, found)) {
        return false;
    }
    images.last = *found;
    images.last.len = rec->data_len;
    return true;
}

static bool refer(const struct smr_record *rec, struct smr_record *ref)
{
    Hint hint;

    if (!find_bytes(rec, &hint)) {
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
