/*
 * Record and replay of multiprocessor KVM guests: from the file to the kernel's
 * rings
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

static struct smr_log **logs;   /* per ring; NULL: all of it is fed */
static struct smr_images *images;

static uint64_t log_limit(void)
{
    const struct smr_extent *x = &samsara_opts.extent;

    return x->complete ? U64_MAX : x->replayable;
}

/*
 * What the guest has read from them must be there still.  They are read once,
 * however often the logs are opened.
 */
static bool use_images(Error **errp)
{
    struct smr_err err = { };

    if ((!images &&
         (smr_images_open(&images, samsara_opts.reader, samsara_opts.images,
                          &err) < 0 ||
          smr_images_check(images, samsara_opts.reader, log_limit(),
                           &err) < 0)) ||
        smr_log_use_images(logs[samsara_device.nr_rings - 1], images,
                           &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return true;
}

bool samsara_feed_open(Error **errp)
{
    struct smr_err err = { };
    unsigned i;

    logs = g_new0(struct smr_log *, samsara_device.nr_rings);
    for (i = 0; i < samsara_device.nr_rings; i++) {
        if (smr_log_open(&logs[i], samsara_opts.reader, i, log_limit(),
                         &err) < 0) {
            error_setg(errp, "%s", smr_file_errstr(&err));
            return false;
        }
    }
    return use_images(errp);
}

bool samsara_feed_skip(unsigned ring, uint64_t bytes, Error **errp)
{
    g_autofree void *buf = g_malloc(64 * KiB);
    struct smr_err err = { };
    int n;

    while (bytes) {
        n = smr_log_read(logs[ring], buf, MIN(bytes, 64 * KiB), &err);
        if (n < 0) {
            error_setg(errp, "%s", smr_file_errstr(&err));
            return false;
        }
        if (!n) {
            error_setg(errp, "%s: the log has become shorter",
                       samsara_opts.replay);
            return false;
        }
        bytes -= n;
    }
    return true;
}

void samsara_feed_close(void)
{
    unsigned i;

    for (i = 0; i < samsara_device.nr_rings; i++) {
        if (logs[i]) {
            smr_log_close(logs[i]);
        }
    }
    g_clear_pointer(&logs, g_free);
}

static void end_of_log(unsigned i)
{
    SamsaraRing *r = &samsara_device.rings[i];

    smr_write_once(&r->hdr->flags, KVM_SAMSARA_RING_EOF);
    smr_store_release(&r->hdr->head, r->pos);
    smr_log_close(logs[i]);
    logs[i] = NULL;
}

/* Returns the number of bytes, 1 for the end, or -1 */
static int fill_ring(unsigned i)
{
    SamsaraRing *r = &samsara_device.rings[i];
    struct smr_err err = { };
    int total = 0;

    while (logs[i]) {
        uint64_t used = r->pos - smr_load_acquire(&r->hdr->tail);
        size_t offset = r->pos & (r->size - 1);
        size_t room = r->size - MIN(used, r->size);
        int n;

        if (!room) {
            break;
        }
        n = smr_log_read(logs[i], r->data + offset,
                         MIN(room, r->size - offset), &err);
        trace_samsara_fill(i, r->pos, n);
        if (n < 0) {
            error_report("%s", smr_file_errstr(&err));
            end_of_log(i);
            return -1;
        }
        if (n == 0) {
            end_of_log(i);
            return 1;
        }
        r->pos += n;
        smr_store_release(&r->hdr->head, r->pos);
        total += n;
    }
    return total;
}

int samsara_feed(void)
{
    int n = 0, ret;
    unsigned i;

    for (i = 0; i < samsara_device.nr_rings; i++) {
        ret = fill_ring(i);
        if (ret < 0) {
            return ret;
        }
        n += ret;
    }
    if (n) {
        samsara_device_ctrl(KVM_SAMSARA_CTRL_WAKE);
    }
    return n;
}
