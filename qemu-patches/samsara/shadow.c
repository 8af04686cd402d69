/*
 * Record and replay of multiprocessor KVM guests: memory that device models
 * write to through pointers
 *
 * address_space_map() gives a device model a pointer through which it writes
 * to guest memory whenever it likes.  A recorded guest may see nothing of that
 * before it is a commit.  So the pointer leads to a shadow of the RAM block,
 * and what was written there is handed over when the pointer is given back.
 *
 * A shadow has the layout of its RAM block: several maps of the same bytes are
 * the same memory, as without a recording (virtio-scsi maps its buffers twice),
 * maps are as long as they were asked for, and there are always enough.  A page
 * of it is a copy of guest memory when the first map that has it is made, so
 * what a device model leaves out stays as it was.  What is written by address
 * while the page is mapped goes to both.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "cpu.h"
#include "exec/ramlist.h"
#include "sysemu/block-backend.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

/* What all shadows may hold on to when no map is left */
#define MAX_IDLE_PAGES (16 * MiB / TARGET_PAGE_SIZE)
#define IN_MEMORY       0x80000000u

typedef struct Shadow {
    uint8_t *host;              /* the RAM block */
    uint8_t *copy;
    uint32_t *maps;             /* of each page; IN_MEMORY: there is a copy */
    uint64_t *notes;            /* where each page was read from, 0: nowhere */
    size_t size;
    QLIST_ENTRY(Shadow) next;
} Shadow;

static struct {
    QemuMutex lock;
    QLIST_HEAD(, Shadow) all;
    uint64_t maps;              /* not given back yet */
    uint64_t pages;             /* in memory */
} shadows;

static void *reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        error_report("samsara: no %zu MiB of address space for a shadow of "
                     "guest memory: %s", size / (size_t)MiB, strerror(errno));
        exit(SAMSARA_EXIT_SETUP);
    }
    return p;
}

static size_t nr_pages(size_t size)
{
    return DIV_ROUND_UP(size, TARGET_PAGE_SIZE);
}

static void block_added(RAMBlockNotifier *n, void *host, size_t size,
                        size_t max_size)
{
    Shadow *s = g_new0(Shadow, 1);

    s->host = host;
    s->size = max_size;
    s->copy = reserve(nr_pages(max_size) * TARGET_PAGE_SIZE);
    s->maps = reserve(nr_pages(max_size) * sizeof(*s->maps));
    s->notes = reserve(nr_pages(max_size) * sizeof(*s->notes));
    QEMU_LOCK_GUARD(&shadows.lock);
    QLIST_INSERT_HEAD(&shadows.all, s, next);
}

static void block_removed(RAMBlockNotifier *n, void *host, size_t size,
                          size_t max_size)
{
    Shadow *s;

    QEMU_LOCK_GUARD(&shadows.lock);
    QLIST_FOREACH(s, &shadows.all, next) {
        if (s->host == host) {
            QLIST_REMOVE(s, next);
            munmap(s->copy, nr_pages(s->size) * TARGET_PAGE_SIZE);
            munmap(s->maps, nr_pages(s->size) * sizeof(*s->maps));
            munmap(s->notes, nr_pages(s->size) * sizeof(*s->notes));
            g_free(s);
            return;
        }
    }
}

void samsara_shadow_init(void)
{
    static RAMBlockNotifier notifier = {
        .ram_block_added = block_added,
        .ram_block_removed = block_removed,
    };

    samsara_write = samsara_do_dma_write;
    qemu_mutex_init(&shadows.lock);
    ram_block_notifier_add(&notifier);
}

static Shadow *shadow_of_host(const uint8_t *host)
{
    Shadow *s;

    QLIST_FOREACH(s, &shadows.all, next) {
        if (host >= s->host && host - s->host < s->size) {
            return s;
        }
    }
    return NULL;
}

static Shadow *shadow_of_copy(const uint8_t *copy)
{
    Shadow *s;

    QLIST_FOREACH(s, &shadows.all, next) {
        if (copy >= s->copy && copy - s->copy < s->size) {
            return s;
        }
    }
    return NULL;
}

static bool is_mapped(Shadow *s, size_t page)
{
    return s->maps[page] & ~IN_MEMORY;
}

static void use_page(Shadow *s, size_t page)
{
    size_t offset = page * TARGET_PAGE_SIZE;

    if (!is_mapped(s, page)) {
        memcpy(s->copy + offset, s->host + offset,
               MIN(TARGET_PAGE_SIZE, s->size - offset));
    }
    if (!(s->maps[page] & IN_MEMORY)) {
        s->maps[page] |= IN_MEMORY;
        shadows.pages++;
    }
    s->maps[page]++;
}

static void drop_page(Shadow *s, size_t page)
{
    s->maps[page]--;
}

static void for_pages(Shadow *s, size_t offset, size_t len,
                      void (*f)(Shadow *s, size_t page))
{
    size_t page = offset / TARGET_PAGE_SIZE;

    for (; len && page < nr_pages(offset + len); page++) {
        f(s, page);
    }
}

void *samsara_do_map(void *host, hwaddr len)
{
    size_t offset;
    Shadow *s;

    QEMU_LOCK_GUARD(&shadows.lock);
    s = shadow_of_host(host);
    if (!s) {
        return host;
    }
    offset = (uint8_t *)host - s->host;
    for_pages(s, offset, len, use_page);
    shadows.maps++;
    trace_samsara_map(host, len);
    return s->copy + offset;
}

/* Is there anything to hand over of what is up to the end of its page? */
static bool differs(Shadow *s, size_t offset, size_t len)
{
    return memcmp(s->copy + offset, s->host + offset, len) != 0;
}

static size_t rest_of_page(size_t offset, size_t len)
{
    return MIN(len, TARGET_PAGE_SIZE - offset % TARGET_PAGE_SIZE);
}

/*
 * A note is the number of an image plus one, and where in it the page begins:
 * that may be before the image does.
 */
#define NOTE_SHIFT      56
#define NOTE_BIAS       TARGET_PAGE_SIZE

static void note(Shadow *s, size_t offset, int image, uint64_t from, size_t len)
{
    size_t page = offset / TARGET_PAGE_SIZE;
    uint64_t start = from - offset % TARGET_PAGE_SIZE + NOTE_BIAS;

    for (; len && page < nr_pages(offset + len); page++) {
        qatomic_set(&s->notes[page],
                    start | (uint64_t)(image + 1) << NOTE_SHIFT);
        start += TARGET_PAGE_SIZE;
    }
}

/* A device model has read from a disk, into shadows or elsewhere. */
static void read_done(BlockBackend *blk, int64_t from, int64_t bytes,
                      QEMUIOVector *qiov, size_t skip)
{
    int image = samsara_images_index(blk);
    uint8_t *to;
    size_t n;
    Shadow *s;
    int i;

    if (image < 0 || !qiov) {
        return;
    }
    for (i = 0; i < qiov->niov && bytes; i++) {
        if (skip >= qiov->iov[i].iov_len) {
            skip -= qiov->iov[i].iov_len;
            continue;
        }
        to = (uint8_t *)qiov->iov[i].iov_base + skip;
        n = MIN(qiov->iov[i].iov_len - skip, bytes);
        WITH_QEMU_LOCK_GUARD(&shadows.lock) {
            s = shadow_of_copy(to);
            if (s) {
                note(s, to - s->copy, image, from, n);
            }
        }
        skip = 0;
        from += n;
        bytes -= n;
    }
}

void samsara_shadow_watch_reads(void)
{
    blk_read_done = read_done;
}

/* A note becomes a hint once. */
static void hint(Shadow *s, size_t offset, size_t len)
{
    SamsaraBlock *b = samsara_block_of_host(s->host + offset);
    uint64_t value = qatomic_xchg(&s->notes[offset / TARGET_PAGE_SIZE], 0);

    if (value && b) {
        samsara_images_hint((value >> NOTE_SHIFT) - 1,
                            (value & MAKE_64BIT_MASK(0, NOTE_SHIFT)) -
                            NOTE_BIAS + offset % TARGET_PAGE_SIZE,
                            b->ram + (s->host + offset - b->host), len);
    }
}

/*
 * Pages that guest memory equals already are left out: that is a write of the
 * device as well, at the moment of the comparison.
 */
static void hand_over(Shadow *s, size_t offset, size_t len)
{
    size_t n, done;

    for (; len; offset += n, len -= n) {
        n = rest_of_page(offset, len);
        if (!differs(s, offset, n)) {
            continue;
        }
        for (; n < len; n += done) {
            done = rest_of_page(offset + n, len - n);
            if (!differs(s, offset + n, done)) {
                break;
            }
        }
        if (blk_read_done && qatomic_read(&samsara_recording)) {
            hint(s, offset, n);
        }
        if (!samsara_log_write(s->host + offset, s->copy + offset, n)) {
            memcpy(s->host + offset, s->copy + offset, n);
        }
    }
}

/* What is written to guest memory, also to the pages of it that are mapped */
static void write_copy(const uint8_t *host, const uint8_t *buf, size_t len)
{
    size_t offset, n;
    Shadow *s;

    QEMU_LOCK_GUARD(&shadows.lock);
    s = shadows.maps ? shadow_of_host(host) : NULL;
    if (!s) {
        return;
    }
    for (offset = host - s->host; len; offset += n, buf += n, len -= n) {
        n = rest_of_page(offset, len);
        if (is_mapped(s, offset / TARGET_PAGE_SIZE)) {
            memcpy(s->copy + offset, buf, n);
        }
    }
}

bool samsara_do_dma_write(void *host, const void *buf, hwaddr len)
{
    bool written = samsara_log_write(host, buf, len);

    /* then: a map that is made meanwhile copies what is there */
    write_copy(host, buf, len);
    return written;
}

bool samsara_do_store(MemoryRegion *mr, hwaddr offset, uint64_t val,
                      unsigned size, enum device_endian endian)
{
    uint8_t *host = memory_region_get_ram_ptr(mr);
    uint8_t buf[sizeof(val)];

    if (endian == DEVICE_BIG_ENDIAN) {
        stn_be_p(buf, size, val);
    } else {
        stn_le_p(buf, size, val);
    }
    return samsara_do_dma_write(host + offset, buf, size);
}

/* With no map left, nobody needs what is in them. */
static void forget_copies(void)
{
    Shadow *s;

    QLIST_FOREACH(s, &shadows.all, next) {
        madvise(s->copy, nr_pages(s->size) * TARGET_PAGE_SIZE, MADV_DONTNEED);
        madvise(s->maps, nr_pages(s->size) * sizeof(*s->maps), MADV_DONTNEED);
    }
    shadows.pages = 0;
}

/* A map may stay for as long as a keyboard is idle: these go without it. */
static void forget_unused(Shadow *s, size_t offset, size_t len)
{
    size_t page = offset / TARGET_PAGE_SIZE, end = nr_pages(offset + len);
    size_t first;

    while (len && page < end) {
        for (first = page; page < end && s->maps[page] == IN_MEMORY; page++) {
            s->maps[page] = 0;
            shadows.pages--;
        }
        if (page > first) {
            madvise(s->copy + first * TARGET_PAGE_SIZE,
                    (page - first) * TARGET_PAGE_SIZE, MADV_DONTNEED);
        } else {
            page++;
        }
    }
}

void *samsara_do_unmap(void *ptr, hwaddr len, hwaddr *access_len)
{
    size_t offset;
    Shadow *s;

    WITH_QEMU_LOCK_GUARD(&shadows.lock) {
        s = shadow_of_copy(ptr);
    }
    if (!s) {
        return ptr;
    }
    offset = (uint8_t *)ptr - s->copy;
    /* without the lock: a recording may have to wait; the pages stay in use */
    trace_samsara_unmap(s->host + offset, *access_len);
    hand_over(s, offset, *access_len);
    samsara_notes_written(s->host + offset, *access_len);
    if (qatomic_read(&samsara_recording)) {
        *access_len = 0;
    }

    QEMU_LOCK_GUARD(&shadows.lock);
    for_pages(s, offset, len, drop_page);
    shadows.maps--;
    if (shadows.pages > MAX_IDLE_PAGES) {
        if (shadows.maps) {
            forget_unused(s, offset, len);
        } else {
            forget_copies();
        }
    }
    return s->host + offset;
}
