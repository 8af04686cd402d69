/*
 * Record and replay of multiprocessor KVM guests: changes of the memory map
 *
 * When KVM's slots change while a guest is recorded, that is a commit of the
 * kernel's.  No vCPU runs from the first change of a transaction to its end.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/ram_addr.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

/* Under the BQL */
static bool changing;           /* the slots, and vCPUs if somebody holds it */
static bool held;

static bool map_ended(const char *what, int ret)
{
    trace_samsara_map_change(what, ret);
    /* -ESHUTDOWN: the recording has ended, or is about to */
    return ret >= 0 || ret == -ESHUTDOWN;
}

/* KVM's memory slots are about to change. */
void samsara_map_begin(void)
{
    int ret;

    if (changing || !qatomic_read(&samsara_recording)) {
        return;
    }
    ret = samsara_device_map(KVM_SAMSARA_MAP_BEGIN);
    changing = ret >= 0;
    if (!map_ended("begin", ret)) {
        samsara_record_end(SAMSARA_END_REASON_MEMORY_MAP,
                           "the memory map changes, which can't be recorded%s: "
                           "%s", ret == -EOPNOTSUPP ? " with mode=crew" : "",
                           strerror(-ret));
    }
}

/* They have changed, all of them that the guest sees change at once. */
static void map_end(MemoryListener *listener)
{
    int ret;

    if (!changing || held) {
        return;
    }
    changing = false;
    ret = samsara_device_map(KVM_SAMSARA_MAP_END);
    if (!map_ended("end", ret)) {
        samsara_record_end(SAMSARA_END_REASON_MEMORY_MAP,
                           "a change of the memory map can't be recorded: %s "
                           "(see dmesg)", strerror(-ret));
    }
}

bool samsara_map_hold(void)
{
    samsara_map_begin();
    held = changing;
    return held;
}

void samsara_map_release(void)
{
    held = false;
    map_end(NULL);
}

void samsara_map_watch(void)
{
    static MemoryListener listener = {
        .name = "samsara",
        .commit = map_end,
        /* after KVM's own */
        .priority = 100,
    };

    if (!listener.address_space) {
        memory_listener_register(&listener, &address_space_memory);
    }
}

/*
 * The engine uses the dirty flags of the EPT itself: KVM logs no dirty pages.
 * A screen is drawn anew as often as somebody looks at it.
 */
void samsara_do_log_sync(const MemoryRegionSection *section)
{
    ram_addr_t addr = memory_region_get_ram_addr(section->mr) +
                      section->offset_within_region;

    cpu_physical_memory_set_dirty_range(addr, int128_get64(section->size),
                                        1 << DIRTY_MEMORY_VGA);
}
