/*
 * Record and replay of multiprocessor KVM guests: the memory map
 *
 * What RAM the guest may ever see are QEMU's RAM blocks, whose offsets are its
 * RAM addresses; where it is at the moment is KVM's list of slots.  Both are
 * taken when the recording starts.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/madvise.h"
#include "qapi/error.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "exec/ramlist.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

/* Above all the machine's own regions. */
#define OVERLAY_PRIORITY 10000
/* How much is written to the file before a look at its size */
#define SAVE_PIECE (16 * MiB)

SamsaraSlot *samsara_slots;
unsigned samsara_nr_slots;
SamsaraBlock *samsara_blocks;
unsigned samsara_nr_blocks;

typedef struct Overlay {
    MemoryRegion *mr;
    uint8_t *copy;
    const uint8_t *original;
    hwaddr size;
} Overlay;

static GArray *overlays;

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
            slot.ram = qemu_ram_addr_from_host(s->ram);
            g_array_append_val(a, slot);
        }
    }
    g_array_sort(a, compare_slots);
    g_free(samsara_slots);
    samsara_nr_slots = a->len;
    samsara_slots = (SamsaraSlot *)g_array_free(a, false);
}

static bool share_memory(const SamsaraSlot *a, const SamsaraSlot *b)
{
    return a->host < b->host + b->size && b->host < a->host + a->size;
}

/* Finds a slot whose memory is also in a later one, and can be written. */
static SamsaraSlot *find_alias(void)
{
    unsigned i, j;

    for (i = 0; i < samsara_nr_slots; i++) {
        SamsaraSlot *a = &samsara_slots[i];

        for (j = i + 1; j < samsara_nr_slots; j++) {
            SamsaraSlot *b = &samsara_slots[j];

            if (share_memory(a, b) && !(a->readonly && b->readonly)) {
                return a;
            }
        }
    }
    return NULL;
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
 * A page that can be written may not be at two addresses, as microvm's firmware
 * is, below 1 MiB and below 4 GiB.  Give the lower one memory of its own, as
 * shadow RAM would be.
 */
static bool separate(const SamsaraSlot *slot, Error **errp)
{
    MemoryRegion *mr = samsara_memory_region("samsara.shadow", slot->size,
                                             errp);
    Overlay overlay = {
        .mr = mr,
        .original = slot->host,
        .size = slot->size,
    };

    if (!mr) {
        return false;
    }
    overlay.copy = memory_region_get_ram_ptr(mr);
    memcpy(overlay.copy, overlay.original, overlay.size);
    memory_region_set_readonly(mr, slot->readonly);
    memory_region_add_subregion_overlap(get_system_memory(), slot->gpa, mr,
                                        OVERLAY_PRIORITY);
    if (!overlays) {
        overlays = g_array_new(false, false, sizeof(Overlay));
    }
    g_array_append_val(overlays, overlay);
    return true;
}

static bool separate_aliases(Error **errp)
{
    SamsaraSlot *alias;

    while ((alias = find_alias())) {
        if (!separate(alias, errp)) {
            return false;
        }
        read_slots();
    }
    return true;
}

/* The firmware was loaded again, so it is in its copies, too. */
void samsara_memory_reset(void)
{
    unsigned i;

    for (i = 0; overlays && i < overlays->len; i++) {
        Overlay *o = &g_array_index(overlays, Overlay, i);

        samsara_device_write(o->copy, o->original, o->size);
    }
}

/* Gives the machine its own memory map back. */
void samsara_memory_forget(void)
{
    unsigned i;

    for (i = 0; overlays && i < overlays->len; i++) {
        memory_region_del_subregion(get_system_memory(),
                                    g_array_index(overlays, Overlay, i).mr);
    }
    /* the regions themselves stay: others may still hold references */
    g_clear_pointer(&overlays, g_array_unref);
}

/*
 * The kernel will pin all of it: one pass now, with huge pages where there are
 * some, instead of two page faults for each page.  Only a hint.
 */
void samsara_memory_populate(void)
{
    unsigned i;

    for (i = 0; i < samsara_nr_blocks; i++) {
        qemu_madvise(samsara_blocks[i].host, samsara_blocks[i].size,
                     QEMU_MADV_POPULATE_WRITE);
    }
}

static bool is_mapped(const RAMBlock *rb)
{
    unsigned i;

    for (i = 0; i < samsara_nr_slots; i++) {
        if (samsara_slots[i].host >= rb->host &&
            samsara_slots[i].host - rb->host < rb->used_length) {
            return true;
        }
    }
    return false;
}

/*
 * What can grow holds files for firmware, in QEMU's own memory: the guest gets
 * copies of it.
 */
static bool is_guest_ram(const RAMBlock *rb)
{
    return is_mapped(rb) || !(rb->flags & RAM_RESIZEABLE);
}

/* Names of regions come from QEMU itself, but a line is a line. */
static char *block_name(RAMBlock *rb)
{
    const char *name = qemu_ram_get_idstr(rb);

    return g_strdup(*name && !strpbrk(name, "\n ") ? name : "ram");
}

static void free_blocks(void)
{
    unsigned i;

    for (i = 0; i < samsara_nr_blocks; i++) {
        g_free(samsara_blocks[i].name);
    }
    g_free(samsara_blocks);
}

static void read_blocks(void)
{
    GArray *a = g_array_new(false, false, sizeof(SamsaraBlock));
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH(rb) {
        SamsaraBlock block = {
            .ram = rb->offset,
            .size = rb->used_length,
            .host = rb->host,
        };

        if (is_guest_ram(rb)) {
            block.name = block_name(rb);
            g_array_append_val(a, block);
        }
    }
    free_blocks();
    samsara_nr_blocks = a->len;
    samsara_blocks = (SamsaraBlock *)g_array_free(a, false);
}

bool samsara_memory_collect(Error **errp)
{
    unsigned i;

    read_slots();
    if (!separate_aliases(errp)) {
        return false;
    }
    read_blocks();
    if (samsara_nr_slots > KVM_SAMSARA_MAX_SLOTS) {
        error_setg(errp, "samsara: %u memory slots, only %u can be recorded",
                   samsara_nr_slots, KVM_SAMSARA_MAX_SLOTS);
        return false;
    }
    if (samsara_nr_blocks > KVM_SAMSARA_MAX_RAM) {
        error_setg(errp, "samsara: %u pieces of memory, only %u can be "
                   "recorded: remove devices", samsara_nr_blocks,
                   KVM_SAMSARA_MAX_RAM);
        return false;
    }
    for (i = 0; i < samsara_nr_blocks; i++) {
        trace_samsara_block(samsara_blocks[i].ram, samsara_blocks[i].size,
                            samsara_blocks[i].name);
    }
    for (i = 0; i < samsara_nr_slots; i++) {
        trace_samsara_slot(samsara_slots[i].gpa, samsara_slots[i].size,
                           samsara_slots[i].readonly);
    }
    samsara_memory_populate();
    return true;
}

SamsaraBlock *samsara_block_of_host(const uint8_t *host)
{
    unsigned i;

    for (i = 0; i < samsara_nr_blocks; i++) {
        SamsaraBlock *b = &samsara_blocks[i];

        if (host >= b->host && host - b->host < b->size) {
            return b;
        }
    }
    return NULL;
}

static bool save_block(struct smr_writer *w, const SamsaraBlock *b,
                       bool (*go_on)(Error **errp), Error **errp)
{
    struct smr_err err = { };
    hwaddr done, n;

    for (done = 0; done < b->size; done += n) {
        n = MIN(b->size - done, SAVE_PIECE);
        if (smr_writer_ram(w, b->ram + done, b->host + done, n, &err) < 0) {
            error_setg(errp, "%s", smr_file_errstr(&err));
            return false;
        }
        if (!go_on(errp)) {
            return false;
        }
    }
    return true;
}

static bool save_text(struct smr_writer *w, const char *name, GString *text,
                      Error **errp)
{
    struct smr_err err = { };

    if (smr_writer_blob(w, name, text->str, text->len, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    return true;
}

bool samsara_memory_save(struct smr_writer *w, bool (*go_on)(Error **errp),
                         Error **errp)
{
    g_autoptr(GString) map = g_string_new(NULL);
    g_autoptr(GString) ram = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < samsara_nr_slots; i++) {
        SamsaraSlot *s = &samsara_slots[i];

        g_string_append_printf(map, "0x%" PRIx64 " 0x%" PRIx64 " %s 0x%"
                               PRIx64 "\n", s->gpa, s->size,
                               s->readonly ? "ro" : "rw", s->ram);
    }
    for (i = 0; i < samsara_nr_blocks; i++) {
        SamsaraBlock *b = &samsara_blocks[i];

        g_string_append_printf(ram, "0x%" PRIx64 " 0x%" PRIx64 " %s\n",
                               b->ram, b->size, b->name);
    }
    if (!save_text(w, "memory", map, errp) || !save_text(w, "ram", ram, errp)) {
        return false;
    }
    for (i = 0; i < samsara_nr_blocks; i++) {
        if (!save_block(w, &samsara_blocks[i], go_on, errp)) {
            return false;
        }
    }
    return true;
}
