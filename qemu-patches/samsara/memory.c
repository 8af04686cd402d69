/*
 * Record and replay of multiprocessor KVM guests: guest memory
 *
 * Recording: the memory map is KVM's list of slots.  It is taken once, when
 * the recording starts, and ends it when it changes.  Device models' writes
 * to it become commits of the kernel's.
 * Replay: RAM is made as the recording's memory map says, without any device.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
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
static void populate_slots(void)
{
    unsigned i;

    for (i = 0; i < samsara_nr_slots; i++) {
        qemu_madvise(samsara_slots[i].host, samsara_slots[i].size,
                     QEMU_MADV_POPULATE_WRITE);
    }
}

static MemoryRegion *create_ram(const char *name, hwaddr size, Error **errp)
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
    MemoryRegion *mr = create_ram("samsara.shadow", slot->size, errp);

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
    populate_slots();
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

/* Writes of device models, while recording */

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

bool samsara_do_dma_write(void *host, const void *buf, hwaddr len)
{
    uint8_t *to = host;
    const uint8_t *from = buf;

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

    if (slot_of_host(host + offset) || slot_of_host(host + offset + len - 1)) {
        samsara_record_end(SAMSARA_END_REASON_MEMORY_WRITE,
                           "guest memory (%s + 0x%" HWADDR_PRIx ") written "
                           "from outside", memory_region_name(mr), offset);
    }
}

/* Replay */

static bool parse_slot(SamsaraSlot *slot, char *line, Error **errp)
{
    g_auto(GStrv) word = g_strsplit(line, " ", 4);

    if (g_strv_length(word) < 3 ||
        qemu_strtou64(word[0], NULL, 0, &slot->gpa) < 0 ||
        qemu_strtou64(word[1], NULL, 0, &slot->size) < 0 ||
        (strcmp(word[2], "ro") && strcmp(word[2], "rw"))) {
        error_setg(errp, "bad line in the memory map");
        return false;
    }
    slot->readonly = !strcmp(word[2], "ro");
    if (!slot->size || (slot->gpa | slot->size) % TARGET_PAGE_SIZE ||
        slot->gpa + slot->size < slot->gpa ||
        slot->gpa + slot->size > 1ull << samsara_opts.machine.phys_bits) {
        error_setg(errp, "memory map: bad range 0x%" PRIx64 " + 0x%" PRIx64,
                   slot->gpa, slot->size);
        return false;
    }
    return true;
}

static bool add_slot(char *line, Error **errp)
{
    SamsaraSlot *s = &samsara_slots[samsara_nr_slots];
    hwaddr end = 0;

    if (samsara_nr_slots == KVM_SAMSARA_MAX_SLOTS) {
        error_setg(errp, "memory map: more than %u slots",
                   KVM_SAMSARA_MAX_SLOTS);
        return false;
    }
    if (!parse_slot(s, line, errp)) {
        return false;
    }
    if (samsara_nr_slots) {
        end = s[-1].gpa + s[-1].size;
    }
    if (s->gpa < end) {
        error_setg(errp, "memory map: slots overlap or are out of order");
        return false;
    }
    samsara_nr_slots++;
    return true;
}

static bool parse_map(const char *text, Error **errp)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", KVM_SAMSARA_MAX_SLOTS + 2);
    unsigned i;

    samsara_slots = g_new0(SamsaraSlot, KVM_SAMSARA_MAX_SLOTS);
    for (i = 0; lines[i] && *lines[i]; i++) {
        if (!add_slot(lines[i], errp)) {
            return false;
        }
    }
    if (!samsara_nr_slots) {
        error_setg(errp, "memory map: no slots");
        return false;
    }
    return true;
}

bool samsara_memory_parse(Error **errp)
{
    ERRP_GUARD();
    g_autofree char *text = samsara_read_text("memory", errp);

    if (!text) {
        return false;
    }
    if (!parse_map(text, errp)) {
        error_prepend(errp, "%s: ", samsara_opts.replay);
        return false;
    }
    return true;
}

/* Bytes the host can give without swapping; 0: not known */
static uint64_t host_memory(void)
{
    g_autofree char *info = NULL;
    const char *line;
    uint64_t kib;

    if (!g_file_get_contents("/proc/meminfo", &info, NULL, NULL)) {
        return 0;
    }
    line = strstr(info, "MemAvailable:");
    return line && sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1
           ? kib * KiB : 0;
}

/* All of it will be pinned: a file may not take the host down. */
static bool check_host_memory(Error **errp)
{
    uint64_t max = samsara_opts.max_memory ?: host_memory();
    g_autofree char *has = size_to_str(max);
    g_autofree char *needs = NULL;
    uint64_t total = 0;
    unsigned i;

    for (i = 0; i < samsara_nr_slots; i++) {
        /* slots do not overlap and end below 2^52 */
        total += samsara_slots[i].size;
    }
    if (!max || total <= max) {
        return true;
    }
    needs = size_to_str(total);
    if (samsara_opts.max_memory) {
        error_setg(errp, "%s: the guest has %s of memory, more than -replay "
                   "max-memory=%s", samsara_opts.replay, needs, has);
    } else {
        error_setg(errp, "%s: the guest has %s of memory, but the host has %s "
                   "left: -replay max-memory=SIZE allows more",
                   samsara_opts.replay, needs, has);
    }
    return false;
}

/* Makes the RAM regions of the replaying machine. */
bool samsara_memory_create(Error **errp)
{
    unsigned i;

    if (!check_host_memory(errp)) {
        return false;
    }
    for (i = 0; i < samsara_nr_slots; i++) {
        SamsaraSlot *s = &samsara_slots[i];
        g_autofree char *name = g_strdup_printf("samsara.ram%u", i);
        MemoryRegion *mr = create_ram(name, s->size, errp);

        if (!mr) {
            return false;
        }
        memory_region_set_readonly(mr, s->readonly);
        memory_region_add_subregion(get_system_memory(), s->gpa, mr);
        s->host = memory_region_get_ram_ptr(mr);
    }
    return true;
}

static SamsaraSlot *slot_of_gpa(hwaddr gpa)
{
    unsigned i;

    for (i = 0; i < samsara_nr_slots; i++) {
        SamsaraSlot *s = &samsara_slots[i];

        if (gpa >= s->gpa && gpa - s->gpa < s->size) {
            return s;
        }
    }
    return NULL;
}

static int load_run(void *opaque, u64 gpa, const void *data, u32 len)
{
    const uint8_t *from = data;

    while (len) {
        SamsaraSlot *s = slot_of_gpa(gpa);
        u32 n;

        if (!s) {
            *(u64 *)opaque = gpa;
            return 1;
        }
        n = MIN(len, s->size - (gpa - s->gpa));
        memcpy(s->host + (gpa - s->gpa), from, n);
        gpa += n;
        from += n;
        len -= n;
    }
    return 0;
}

bool samsara_memory_load(Error **errp)
{
    struct smr_err err = { };
    u64 gpa;
    int ret;

    populate_slots();
    ret = smr_reader_ram(samsara_opts.reader, load_run, &gpa, &err);

    if (ret < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    if (ret) {
        error_setg(errp, "%s: RAM at 0x%" PRIx64 " is outside the memory map",
                   samsara_opts.replay, (uint64_t)gpa);
        return false;
    }
    return true;
}
