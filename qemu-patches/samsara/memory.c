/*
 * Record and replay of multiprocessor KVM guests: the memory map
 *
 * When recording, it is KVM's list of slots.  It is taken once, when the
 * recording starts, and ends it when it changes.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/madvise.h"
#include "qapi/error.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

/* Above all the machine's own regions. */
#define OVERLAY_PRIORITY 10000
/* How much is written to the file before a look at its size */
#define SAVE_PIECE (16 * MiB)

SamsaraSlot *samsara_slots;
unsigned samsara_nr_slots;

static GPtrArray *overlays;

static gint compare_slots(gconstpointer a, gconstpointer b)
{
    const SamsaraSlot *sa = a, *sb = b;

    return sa->gpa < sb->gpa ? -1 : sa->gpa > sb->gpa;
}

/* KVM's slots in order of their addresses */
static void read_slots(void)
{
    KVMMemoryListener *kml = &kvm_state->memory_listener;
    GArray *a = g_array_new(false, false, sizeof(SamsaraSlot));
    unsigned i;

    for (i = 0; i < kml->nr_slots_allocated; i++) {
        KVMSlot *s = &kml->slots[i];
        SamsaraSlot slot = {
            .gpa = s->start_addr,
            .size = s->memory_size,
            .host = s->ram,
            .readonly = s->flags & KVM_MEM_READONLY,
        };

        if (s->memory_size) {
            g_array_append_val(a, slot);
        }
    }
    g_array_sort(a, compare_slots);
    g_free(samsara_slots);
    samsara_nr_slots = a->len;
    samsara_slots = (SamsaraSlot *)g_array_free(a, false);
}

/* Finds a slot whose memory is also in a later one. */
static SamsaraSlot *find_alias(void)
{
    unsigned i, j;

    for (i = 0; i < samsara_nr_slots; i++) {
        SamsaraSlot *a = &samsara_slots[i];

        for (j = i + 1; j < samsara_nr_slots; j++) {
            SamsaraSlot *b = &samsara_slots[j];

            if (a->host < b->host + b->size && b->host < a->host + a->size) {
                return a;
            }
        }
    }
    return NULL;
}

/*
 * The kernel will pin all of it: one pass now, with huge pages where there are
 * some, instead of two page faults for each page.  Only a hint.
 */
void samsara_memory_populate(void)
{
    unsigned i;

    for (i = 0; i < samsara_nr_slots; i++) {
        qemu_madvise(samsara_slots[i].host, samsara_slots[i].size,
                     QEMU_MADV_POPULATE_WRITE);
    }
}

MemoryRegion *samsara_memory_region(const char *name, hwaddr size,
                                    Error **errp)
{
    MemoryRegion *mr = g_new0(MemoryRegion, 1);
    Error *local_err = NULL;

    memory_region_init_ram_nomigrate(mr, NULL, name, size, &local_err);
    if (local_err) {
        error_propagate(errp, local_err);
        g_free(mr);
        return NULL;
    }
    return mr;
}

/*
 * The engine keeps its books per guest-physical page, so no host page may be
 * at two addresses (as microvm's firmware is, below 1 MiB and below 4 GiB).
 * Give the lower one memory of its own, as shadow RAM would be.
 */
static bool separate(const SamsaraSlot *slot, Error **errp)
{
    MemoryRegion *mr = samsara_memory_region("samsara.shadow", slot->size,
                                             errp);

    if (!mr) {
        return false;
    }
    memcpy(memory_region_get_ram_ptr(mr), slot->host, slot->size);
    memory_region_set_readonly(mr, slot->readonly);
    memory_region_add_subregion_overlap(get_system_memory(), slot->gpa, mr,
                                        OVERLAY_PRIORITY);
    if (!overlays) {
        overlays = g_ptr_array_new();
    }
    g_ptr_array_add(overlays, mr);
    return true;
}

bool samsara_memory_collect(Error **errp)
{
    SamsaraSlot *alias;
    unsigned i;

    read_slots();
    while ((alias = find_alias())) {
        if (!separate(alias, errp)) {
            return false;
        }
        read_slots();
    }
    if (samsara_nr_slots > KVM_SAMSARA_MAX_SLOTS) {
        error_setg(errp, "samsara: %u memory slots, only %u can be recorded",
                   samsara_nr_slots, KVM_SAMSARA_MAX_SLOTS);
        return false;
    }
    for (i = 0; i < samsara_nr_slots; i++) {
        trace_samsara_slot(samsara_slots[i].gpa, samsara_slots[i].size,
                           samsara_slots[i].readonly);
    }
    samsara_memory_populate();
    return true;
}

/* Gives the machine its own memory map back. */
void samsara_memory_forget(void)
{
    unsigned i;

    for (i = 0; overlays && i < overlays->len; i++) {
        memory_region_del_subregion(get_system_memory(),
                                    g_ptr_array_index(overlays, i));
    }
    /* the regions themselves stay: others may still hold references */
    g_clear_pointer(&overlays, g_ptr_array_unref);
}

/* Names of regions come from QEMU itself, but a line is a line. */
static const char *slot_name(const SamsaraSlot *slot)
{
    ram_addr_t offset;
    MemoryRegion *mr = memory_region_from_host(slot->host, &offset);

    return mr && !strpbrk(memory_region_name(mr), "\n ")
           ? memory_region_name(mr) : "ram";
}

static bool save_slot(struct smr_writer *w, const SamsaraSlot *s,
                      bool (*go_on)(Error **errp), Error **errp)
{
    struct smr_err err = { };
    hwaddr done, n;

    for (done = 0; done < s->size; done += n) {
        n = MIN(s->size - done, SAVE_PIECE);
        if (smr_writer_ram(w, s->gpa + done, s->host + done, n, &err) < 0) {
            error_setg(errp, "%s", smr_file_errstr(&err));
            return false;
        }
        if (!go_on(errp)) {
            return false;
        }
    }
    return true;
}

bool samsara_memory_save(struct smr_writer *w, bool (*go_on)(Error **errp),
                         Error **errp)
{
    g_autoptr(GString) map = g_string_new(NULL);
    struct smr_err err = { };
    unsigned i;

    for (i = 0; i < samsara_nr_slots; i++) {
        SamsaraSlot *s = &samsara_slots[i];

        g_string_append_printf(map, "0x%" PRIx64 " 0x%" PRIx64 " %s %s\n",
                               s->gpa, s->size, s->readonly ? "ro" : "rw",
                               slot_name(s));
    }
    if (smr_writer_blob(w, "memory", map->str, map->len, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    for (i = 0; i < samsara_nr_slots; i++) {
        if (!save_slot(w, &samsara_slots[i], go_on, errp)) {
            return false;
        }
    }
    return true;
}
