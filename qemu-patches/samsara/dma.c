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

bool samsara_log_write(void *host, const void *buf, hwaddr len)
{
    uint8_t *to = host;
    const uint8_t *from = buf;

    if (!qatomic_read(&samsara_recording)) {
        return false;
    }
    if (!samsara_block_of_host(to)) {
        return false;
    }
    while (len) {
        SamsaraBlock *b = samsara_block_of_host(to);
        hwaddr offset = b ? to - b->host : 0;
        hwaddr n = b ? MIN(len, b->size - offset) : len;
        int ret;

        n = MIN(n, KVM_SAMSARA_DMA_MAX);
        ret = b ? samsara_device_dma(b->ram + offset, from, n) : -EFAULT;
        trace_samsara_dma(b ? b->ram + offset : 0, n, ret);
        if (ret < 0) {
            samsara_record_end(SAMSARA_END_REASON_DEVICE_WRITE,
                               "a device model's write could not be recorded:"
                               " %s", strerror(-ret));
            memcpy(to, from, len);
            return true;
        }
        samsara_notes_written(to, n);
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
    if (samsara_block_of_host(host + offset)) {
        samsara_record_end(SAMSARA_END_REASON_MEMORY_WRITE,
                           "guest memory (%s + 0x%" HWADDR_PRIx ") written "
                           "from outside", memory_region_name(mr), offset);
    }
}
