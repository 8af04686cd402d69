/*
 * Record and replay of multiprocessor KVM guests: writes to a recorded guest's
 * memory
 *
 * Those of device models become commits of the kernel's; any other ends the
 * recording.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

static SamsaraSlot *slot_of_host(const uint8_t *host)
{
    unsigned i;

    for (i = 0; i < samsara_nr_slots; i++) {
        SamsaraSlot *s = &samsara_slots[i];

        if (host >= s->host && host - s->host < s->size) {
            return s;
        }
    }
    return NULL;
}

bool samsara_log_write(void *host, const void *buf, hwaddr len)
{
    uint8_t *to = host;
    const uint8_t *from = buf;

    if (!qatomic_read(&samsara_recording)) {
        return false;
    }
    /* all in guest memory, or nothing: regions are not cut at slots' ends */
    if (!slot_of_host(to) || !slot_of_host(to + len - 1)) {
        return false;
    }
    while (len) {
        SamsaraSlot *s = slot_of_host(to);
        hwaddr offset = s ? to - s->host : 0;
        hwaddr n = s ? MIN(len, s->size - offset) : len;
        int ret;

        n = MIN(n, KVM_SAMSARA_DMA_MAX);
        ret = s ? samsara_device_dma(s->gpa + offset, from, n) : -EFAULT;
        trace_samsara_dma(s ? s->gpa + offset : 0, n, ret);
        if (ret < 0) {
            samsara_record_end(SAMSARA_END_REASON_DEVICE_WRITE,
                               "a device model's write could not be recorded:"
                               " %s", strerror(-ret));
            memcpy(to, from, len);
            return true;
        }
        to += n;
        from += n;
        len -= n;
    }
    return true;
}

void samsara_do_check_write(MemoryRegion *mr, hwaddr offset, hwaddr len)
{
    uint8_t *host = memory_region_get_ram_ptr(mr);

    if (!len) {
        return;
    }
    if (slot_of_host(host + offset) || slot_of_host(host + offset + len - 1)) {
        samsara_record_end(SAMSARA_END_REASON_MEMORY_WRITE,
                           "guest memory (%s + 0x%" HWADDR_PRIx ") written "
                           "from outside", memory_region_name(mr), offset);
    }
}
