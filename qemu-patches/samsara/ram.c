/*
 * Record and replay of multiprocessor KVM guests: memory of a replayed guest
 *
 * RAM is made as the recording's memory map says, without any device.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "samsara.h"
#include "samsara-int.h"

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

bool samsara_ram_parse(Error **errp)
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
bool samsara_ram_create(Error **errp)
{
    unsigned i;

    if (!check_host_memory(errp)) {
        return false;
    }
    for (i = 0; i < samsara_nr_slots; i++) {
        SamsaraSlot *s = &samsara_slots[i];
        g_autofree char *name = g_strdup_printf("samsara.ram%u", i);
        MemoryRegion *mr = samsara_memory_region(name, s->size, errp);

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

bool samsara_ram_load(Error **errp)
{
    struct smr_err err = { };
    u64 gpa;
    int ret;

    samsara_memory_populate();
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
