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

/* A multiple of the page size */
static bool parse_number(const char *word, uint64_t *value)
{
    return qemu_strtou64(word, NULL, 0, value) >= 0 &&
           !(*value % TARGET_PAGE_SIZE);
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

static bool parse_block(SamsaraBlock *block, char *line, Error **errp)
{
    g_auto(GStrv) word = g_strsplit(line, " ", 3);

    if (g_strv_length(word) < 2 || !parse_number(word[0], &block->ram) ||
        !parse_number(word[1], &block->size) || !block->size ||
        block->size > 1ull << samsara_opts.machine.phys_bits ||
        block->ram + block->size < block->ram) {
        error_setg(errp, "bad line in the list of RAM");
        return false;
    }
    return true;
}

static bool insert_block(const SamsaraBlock *block, Error **errp)
{
    unsigned i;

    if (samsara_nr_blocks == KVM_SAMSARA_MAX_RAM) {
        error_setg(errp, "more than %u pieces of RAM", KVM_SAMSARA_MAX_RAM);
        return false;
    }
    for (i = 0; i < samsara_nr_blocks; i++) {
        if (overlap(block->ram, block->size, samsara_blocks[i].ram,
                    samsara_blocks[i].size)) {
            error_setg(errp, "pieces of RAM overlap");
            return false;
        }
    }
    samsara_blocks[samsara_nr_blocks++] = *block;
    return true;
}

static bool add_block(char *line, Error **errp)
{
    SamsaraBlock block = { };

    return parse_block(&block, line, errp) && insert_block(&block, errp);
}

/* Recordings without a list of RAM have what is in slots, at their addresses */
static bool block_from_slot(SamsaraSlot *slot, Error **errp)
{
    SamsaraBlock block = { .ram = slot->gpa, .size = slot->size };

    slot->ram = slot->gpa;
    return insert_block(&block, errp);
}

SamsaraBlock *samsara_ram_at(uint64_t ram)
{
    unsigned i;

    for (i = 0; i < samsara_nr_blocks; i++) {
        SamsaraBlock *b = &samsara_blocks[i];

        if (ram >= b->ram && ram - b->ram < b->size) {
            return b;
        }
    }
    return NULL;
}

static bool has_ram_addresses(void)
{
    return smr_reader_info(samsara_opts.reader)->incompat & SMR_FILE_RAM;
}

static bool parse_slot_ram(SamsaraSlot *slot, const char *word, Error **errp)
{
    SamsaraBlock *b;

    if (!has_ram_addresses()) {
        return block_from_slot(slot, errp);
    }
    if (!word || !parse_number(word, &slot->ram)) {
        error_setg(errp, "bad line in the memory map");
        return false;
    }
    b = samsara_ram_at(slot->ram);
    if (!b || slot->size > b->size - (slot->ram - b->ram)) {
        error_setg(errp, "memory map: RAM that the guest has not");
        return false;
    }
    return true;
}

static bool parse_slot(SamsaraSlot *slot, char *line, Error **errp)
{
    g_auto(GStrv) word = g_strsplit(line, " ", 5);

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
    return parse_slot_ram(slot, word[3], errp);
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

static bool parse_lines(const char *blob, bool (*add)(char *line, Error **errp),
                        Error **errp)
{
    g_autofree char *text = samsara_read_text(blob, errp);
    g_auto(GStrv) lines = NULL;
    unsigned i;

    if (!text) {
        return false;
    }
    /* one more than add() takes */
    lines = g_strsplit(text, "\n", KVM_SAMSARA_MAX_RAM + 2);
    for (i = 0; lines[i] && *lines[i]; i++) {
        if (!add(lines[i], errp)) {
            error_prepend(errp, "%s: ", samsara_opts.replay);
            return false;
        }
    }
    return true;
}

bool samsara_ram_parse(Error **errp)
{
    ERRP_GUARD();

    samsara_blocks = g_new0(SamsaraBlock, KVM_SAMSARA_MAX_RAM);
    samsara_slots = g_new0(SamsaraSlot, KVM_SAMSARA_MAX_SLOTS);
    if ((has_ram_addresses() && !parse_lines("ram", add_block, errp)) ||
        !parse_lines("memory", add_slot, errp)) {
        return false;
    }
    if (!samsara_nr_slots) {
        error_setg(errp, "%s: memory map: no slots", samsara_opts.replay);
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

uint64_t samsara_checkpoint_memory(void)
{
    if (!samsara_opts.checkpoint_memory) {
        samsara_opts.checkpoint_memory = host_memory() / 4;
    }
    return samsara_opts.checkpoint_memory;
}

/* All of it will be pinned: a file may not take the host down. */
static bool check_host_memory(Error **errp)
{
    uint64_t max = samsara_opts.max_memory ?: host_memory();
    g_autofree char *has = size_to_str(max);
    g_autofree char *needs = NULL;
    uint64_t total = 0;
    unsigned i;

    for (i = 0; i < samsara_nr_blocks; i++) {
        /* few, and none is larger than 2^52 */
        total += samsara_blocks[i].size;
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

static MemoryRegion *create_block(unsigned i, Error **errp)
{
    g_autofree char *name = g_strdup_printf("samsara.ram%u", i);
    MemoryRegion *mr = samsara_memory_region(name, samsara_blocks[i].size,
                                             errp);

    if (mr) {
        samsara_blocks[i].host = memory_region_get_ram_ptr(mr);
    }
    return mr;
}

static void map_slot(unsigned i, MemoryRegion **regions)
{
    g_autofree char *name = g_strdup_printf("samsara.slot%u", i);
    MemoryRegion *mr = g_new0(MemoryRegion, 1);
    SamsaraSlot *s = &samsara_slots[i];
    SamsaraBlock *b = samsara_ram_at(s->ram);
    uint64_t offset = s->ram - b->ram;

    memory_region_init_alias(mr, NULL, name, regions[b - samsara_blocks],
                             offset, s->size);
    if (s->readonly) {
        /* KVM's slots don't ask the alias; in QEMU, all of a block is */
        memory_region_set_readonly(regions[b - samsara_blocks], true);
    }
    memory_region_add_subregion(get_system_memory(), s->gpa, mr);
    s->host = b->host + offset;
}

/* Makes the RAM of the replaying machine, and puts it where it is at first. */
bool samsara_ram_create(Error **errp)
{
    g_autofree MemoryRegion **regions = NULL;
    unsigned i;

    if (!check_host_memory(errp)) {
        return false;
    }
    regions = g_new0(MemoryRegion *, samsara_nr_blocks);
    for (i = 0; i < samsara_nr_blocks; i++) {
        regions[i] = create_block(i, errp);
        if (!regions[i]) {
            return false;
        }
    }
    for (i = 0; i < samsara_nr_slots; i++) {
        map_slot(i, regions);
    }
    return true;
}

static int load_run(void *opaque, u64 ram, const void *data, u32 len)
{
    const uint8_t *from = data;

    while (len) {
        SamsaraBlock *b = samsara_ram_at(ram);
        u32 n;

        if (!b) {
            *(u64 *)opaque = ram;
            return 1;
        }
        n = MIN(len, b->size - (ram - b->ram));
        memcpy(b->host + (ram - b->ram), from, n);
        ram += n;
        from += n;
        len -= n;
    }
    return 0;
}

void samsara_ram_clear(void)
{
    unsigned i;

    for (i = 0; i < samsara_nr_blocks; i++) {
        memset(samsara_blocks[i].host, 0, samsara_blocks[i].size);
    }
}

bool samsara_ram_load(Error **errp)
{
    struct smr_err err = { };
    u64 ram;
    int ret;

    samsara_memory_populate();
    ret = smr_reader_ram(samsara_opts.reader, load_run, &ram, &err);

    if (ret < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    if (ret) {
        error_setg(errp, "%s: RAM at 0x%" PRIx64 " is outside the guest's "
                   "memory", samsara_opts.replay, (uint64_t)ram);
        return false;
    }
    return true;
}
