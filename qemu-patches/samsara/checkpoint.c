/*
 * Record and replay of multiprocessor KVM guests: checkpoints of a replay
 *
 * Places from which a replay can go on without its beginning.  Each has the
 * pages that were changed since the one before, the vCPUs' state, where memory
 * is, and how far the streams of the log were read; together with the
 * recording's own memory that is the whole guest.  If they need more memory
 * than they may have, every second one goes, and its pages become the next
 * one's.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qemu/bitops.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

#define PAGE SAMSARA_PAGE

typedef SamsaraPage Page;
typedef SamsaraSaved Checkpoint;

static GPtrArray *checkpoints;  /* in the order of their commits */
static struct kvm_samsara_slots first_slots;
static uint64_t used;           /* bytes of pages */
static uint64_t base;           /* commit from which the replay went on last */
static bool off;                /* what changes can't be known */

Checkpoint *samsara_checkpoint_new(uint64_t commit)
{
    Checkpoint *c = g_new0(Checkpoint, 1);

    c->commit = commit;
    c->pages = g_ptr_array_new_with_free_func(g_free);
    c->vcpus = g_new0(GByteArray *, current_machine->smp.cpus);
    c->progress = g_new0(struct kvm_samsara_progress, samsara_device.nr_rings);
    return c;
}

void samsara_checkpoint_free(Checkpoint *c)
{
    unsigned i;

    for (i = 0; i < current_machine->smp.cpus; i++) {
        if (c->vcpus[i]) {
            g_byte_array_unref(c->vcpus[i]);
        }
    }
    if (c->consoles) {
        g_byte_array_unref(c->consoles);
    }
    g_free(c->vcpus);
    g_free(c->progress);
    g_ptr_array_unref(c->pages);
    g_free(c);
}

static Checkpoint *last(void)
{
    return checkpoints && checkpoints->len
           ? g_ptr_array_index(checkpoints, checkpoints->len - 1) : NULL;
}

unsigned samsara_checkpoint_count(void)
{
    return checkpoints ? checkpoints->len : 0;
}

const Checkpoint *samsara_checkpoint_at(unsigned i)
{
    return g_ptr_array_index(checkpoints, i);
}

uint64_t samsara_checkpoint_last(void)
{
    return last() ? last()->commit : 0;
}

/* How many there are up to @commit */
static unsigned count_before(uint64_t commit)
{
    unsigned n = checkpoints ? checkpoints->len : 0;

    while (n && ((Checkpoint *)g_ptr_array_index(checkpoints,
                                                 n - 1))->commit > commit) {
        n--;
    }
    return n;
}

uint64_t samsara_checkpoint_before(uint64_t commit)
{
    unsigned n = count_before(commit);

    return n ? ((Checkpoint *)g_ptr_array_index(checkpoints, n - 1))->commit
             : 0;
}

/* Memory */

static int copy_block(Checkpoint *c, const SamsaraBlock *b, uint64_t since)
{
    uint64_t i, npages = b->size / PAGE;
    g_autofree unsigned long *bits = bitmap_new(npages);
    int ret = samsara_device_changed(since, b->ram, npages, bits);

    if (ret < 0) {
        return ret;
    }
    for (i = find_first_bit(bits, npages); i < npages;
         i = find_next_bit(bits, npages, i + 1)) {
        Page *page = g_new(Page, 1);

        page->ram = b->ram + i * PAGE;
        memcpy(page->data, b->host + i * PAGE, PAGE);
        g_ptr_array_add(c->pages, page);
    }
    return 0;
}

static gint by_ram(gconstpointer a, gconstpointer b)
{
    const Page *p = *(const Page **)a, *q = *(const Page **)b;

    return p->ram < q->ram ? -1 : p->ram > q->ram;
}

static int copy_pages(Checkpoint *c)
{
    uint64_t since = samsara_checkpoint_before(c->commit);
    unsigned i;
    int ret = 0;

    for (i = 0; !ret && i < samsara_nr_blocks; i++) {
        ret = copy_block(c, &samsara_blocks[i], since);
    }
    g_ptr_array_sort(c->pages, by_ram);
    return ret;
}

/* @later gets those of @c that it does not have itself. */
static void hand_over(Checkpoint *c, Checkpoint *later)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(g_free);
    unsigned i = 0, k = 0;

    while (i < c->pages->len || k < later->pages->len) {
        Page *a = i < c->pages->len ? g_ptr_array_index(c->pages, i) : NULL;
        Page *b = k < later->pages->len ? g_ptr_array_index(later->pages, k)
                                        : NULL;

        if (b && (!a || b->ram <= a->ram)) {
            if (a && a->ram == b->ram) {
                g_free(a);
                used -= sizeof(Page);
                i++;
            }
            g_ptr_array_add(all, b);
            k++;
        } else {
            g_ptr_array_add(all, a);
            i++;
        }
    }
    g_ptr_array_set_free_func(c->pages, NULL);
    g_ptr_array_set_free_func(later->pages, NULL);
    g_ptr_array_unref(later->pages);
    later->pages = all;
}

/* Every second one goes, but for the last. */
static void thin_out(void)
{
    unsigned i;

    for (i = 0; i + 1 < checkpoints->len; i++) {
        Checkpoint *c = g_ptr_array_index(checkpoints, i);

        hand_over(c, g_ptr_array_index(checkpoints, i + 1));
        g_ptr_array_remove_index(checkpoints, i);
        samsara_checkpoint_free(c);
    }
}

void samsara_checkpoint_keep(Checkpoint *c)
{
    if (!checkpoints) {
        checkpoints = g_ptr_array_new();
    }
    /* one behind it has all that was changed since the one before, and more */
    g_ptr_array_insert(checkpoints, count_before(c->commit), c);
    used += (uint64_t)c->pages->len * sizeof(Page);
    while (used > samsara_checkpoint_memory() && checkpoints->len > 2) {
        thin_out();
    }
    trace_samsara_checkpoint(c->commit, c->pages->len, used);
}

/* The rest */

static int copy_progress(Checkpoint *c)
{
    unsigned i;
    int ret = 0;

    for (i = 0; !ret && i < samsara_device.nr_rings; i++) {
        ret = samsara_device_get_progress(i, &c->progress[i]);
    }
    return ret;
}

static int copy_vcpus(Checkpoint *c)
{
    Error *err = NULL;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        c->vcpus[cpu->cpu_index] = samsara_vcpu_get_state(cpu, &err);
        if (err) {
            warn_report_err(err);
            return -EIO;
        }
    }
    return 0;
}

/*
 * The guest is where it is after @commit, and paused.  Returns 0; -EBUSY: a
 * vCPU is in the middle of something; or an error, and there won't be any.
 */
int samsara_checkpoint_take(uint64_t commit)
{
    uint64_t before = samsara_checkpoint_before(commit);
    Checkpoint *c;
    int ret;

    /* what was changed before the replay went on is not known */
    if (off || commit == before || before < base) {
        return 0;
    }
    c = samsara_checkpoint_new(commit);
    ret = copy_progress(c);
    ret = ret ?: copy_pages(c);
    ret = ret ?: copy_vcpus(c);
    ret = ret ?: samsara_device_get_slots(&c->slots);
    if (ret < 0) {
        samsara_checkpoint_free(c);
        off = ret != -EBUSY;
        return ret;
    }
    c->consoles = samsara_consoles_get_state();
    samsara_checkpoint_keep(c);
    return 0;
}

/* Going there */

static void set_vcpu(CPUState *cpu, run_on_cpu_data data)
{
    GByteArray *state = data.host_ptr;

    samsara_vcpu_set_state(cpu, state->data, state->len, &error_fatal);
    cpu->vcpu_dirty = false;
}

/*
 * The guest was loaded as at the beginning of the recording: makes it what it
 * was at the last checkpoint up to @commit.
 */
void samsara_checkpoint_load(uint64_t commit)
{
    unsigned i, k, n = count_before(commit);
    Checkpoint *c = NULL;
    CPUState *cpu;

    base = samsara_checkpoint_before(commit);
    for (i = 0; i < n; i++) {
        c = g_ptr_array_index(checkpoints, i);
        for (k = 0; k < c->pages->len; k++) {
            Page *page = g_ptr_array_index(c->pages, k);
            SamsaraBlock *b = samsara_ram_at(page->ram);

            memcpy(b->host + (page->ram - b->ram), page->data, PAGE);
        }
    }
    if (!c) {
        return;
    }
    CPU_FOREACH(cpu) {
        run_on_cpu(cpu, set_vcpu,
                   RUN_ON_CPU_HOST_PTR(c->vcpus[cpu->cpu_index]));
    }
    samsara_consoles_set_state(c->consoles);
}

/* The device is configured, and not started. */
void samsara_checkpoint_resume(uint64_t commit, Error **errp)
{
    unsigned i, n = count_before(commit);
    Checkpoint *c = n ? g_ptr_array_index(checkpoints, n - 1) : NULL;
    int ret = samsara_device_set_slots(c ? &c->slots : &first_slots);

    for (i = 0; c && !ret && i < samsara_device.nr_rings; i++) {
        ret = samsara_device_set_progress(i, &c->progress[i]);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "samsara: the kernel can't begin at "
                         "commit %" PRIu64, c ? c->commit : 0);
    }
}

/* Where the stream goes on */
uint64_t samsara_checkpoint_offset(uint64_t commit, unsigned stream)
{
    unsigned n = count_before(commit);
    Checkpoint *c = n ? g_ptr_array_index(checkpoints, n - 1) : NULL;

    return c ? c->progress[stream].offset : 0;
}

/* The replay has begun for the first time. */
void samsara_checkpoint_init(void)
{
    int ret = samsara_device_get_slots(&first_slots);

    if (ret < 0) {
        error_report("samsara: the kernel can't tell the memory map: %s",
                     strerror(-ret));
        exit(SAMSARA_EXIT_KERNEL);
    }
}
