/*
 * Record and replay of multiprocessor KVM guests: which linear addresses lead
 * to pages of RAM
 *
 * A walk through all of a vCPU's page tables, but for entries that were never
 * used: the processor sets their accessed flags.  The tables are the guest's,
 * and may say anything: the number of those that are looked at is bounded.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "sysemu/hw_accel.h"
#include "samsara.h"
#include "samsara-int.h"

#define MAX_TABLES      65536
#define PAGE            SAMSARA_PAGE

/* Where a page is in the guest's physical memory */
typedef struct Place {
    uint64_t gpa;
    unsigned page;
} Place;

typedef struct Walk {
    SamsaraUsedPage *pages;
    GArray *places;             /* in the order of their addresses */
    unsigned entry_bytes;
    unsigned index_bits;        /* of a linear address, for each level */
    unsigned top;               /* level of the table that CR3 points to */
    unsigned large;             /* highest level whose entries may map pages */
    unsigned tables;            /* that may be looked at yet */
} Walk;

static gint by_gpa(gconstpointer a, gconstpointer b)
{
    const Place *p = a, *q = b;

    return p->gpa < q->gpa ? -1 : p->gpa > q->gpa;
}

static void add_places(GArray *places, const struct kvm_samsara_slot *slot,
                       const SamsaraUsedPage *pages, unsigned nr)
{
    unsigned i;

    for (i = 0; i < nr; i++) {
        if (pages[i].ram >= slot->ram &&
            pages[i].ram - slot->ram < slot->size) {
            Place place = {
                .gpa = slot->gpa + (pages[i].ram - slot->ram),
                .page = i,
            };

            g_array_append_val(places, place);
        }
    }
}

static GArray *find_places(const SamsaraUsedPage *pages, unsigned nr)
{
    GArray *places = g_array_new(false, false, sizeof(Place));
    g_autofree struct kvm_samsara_slots *slots = g_new(struct kvm_samsara_slots,
                                                       1);
    unsigned i;

    if (samsara_device_get_slots(slots) < 0) {
        return places;
    }
    for (i = 0; i < slots->nr; i++) {
        add_places(places, &slots->slot[i], pages, nr);
    }
    g_array_sort(places, by_gpa);
    return places;
}

/* The first place at @gpa or behind it */
static guint first_place(const GArray *places, uint64_t gpa)
{
    guint low = 0, high = places->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(places, Place, middle).gpa < gpa) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void found_table(Walk *w, uint64_t gpa)
{
    guint i = first_place(w->places, gpa);

    if (i < w->places->len && g_array_index(w->places, Place, i).gpa == gpa) {
        w->pages[g_array_index(w->places, Place, i).page].table = true;
    }
}

static void found(Walk *w, uint64_t gpa, uint64_t size, uint64_t linear)
{
    guint i = first_place(w->places, gpa);

    for (; i < w->places->len; i++) {
        Place *place = &g_array_index(w->places, Place, i);
        SamsaraUsedPage *page = &w->pages[place->page];

        if (place->gpa - gpa >= size) {
            return;
        }
        if (page->nr_linear < SAMSARA_LINEAR_MAX) {
            page->linear[page->nr_linear++] = linear + (place->gpa - gpa);
        }
    }
}

/* Bits above those that are translated are all like the last one of these. */
static uint64_t canonical(const Walk *w, uint64_t linear)
{
    unsigned bits = 12 + w->top * w->index_bits;

    return w->top < 4 ? linear : sextract64(linear, 0, bits);
}

/* The four entries of the first table with PAE have no such flag. */
static bool was_used(const Walk *w, unsigned level, uint64_t entry)
{
    return (entry & PG_PRESENT_MASK) &&
           ((entry & PG_ACCESSED_MASK) || (w->top == 3 && level == 3));
}

static void walk(Walk *w, uint64_t table, unsigned level, uint64_t linear)
{
    unsigned i, n = w->top == 3 && level == 3 ? 4 : 1u << w->index_bits;
    unsigned shift = 12 + (level - 1) * w->index_bits;
    g_autofree uint8_t *entries = g_malloc0(PAGE);

    if (!w->tables) {
        return;
    }
    w->tables--;
    found_table(w, table & ~(uint64_t)(PAGE - 1));
    cpu_physical_memory_read(table, entries, n * w->entry_bytes);
    for (i = 0; i < n; i++) {
        uint64_t entry = w->entry_bytes == 4 ? ldl_le_p(entries + i * 4)
                                             : ldq_le_p(entries + i * 8);
        uint64_t to = entry & MAKE_64BIT_MASK(12, 40);
        uint64_t part = linear | (uint64_t)i << shift;

        if (!was_used(w, level, entry)) {
            continue;
        }
        if (level == 1 || (level <= w->large && (entry & PG_PSE_MASK))) {
            found(w, to & ~(BIT_ULL(shift) - 1), BIT_ULL(shift),
                  canonical(w, part));
        } else {
            walk(w, to, level - 1, part);
        }
    }
}

void samsara_linear_find(CPUState *cpu, SamsaraUsedPage *pages, unsigned nr)
{
    CPUX86State *env = &X86_CPU(cpu)->env;
    g_autoptr(GArray) places = find_places(pages, nr);
    Walk w = {
        .pages = pages,
        .places = places,
        .entry_bytes = 8,
        .index_bits = 9,
        .tables = MAX_TABLES,
    };

    cpu_synchronize_state(cpu);
    if (!(env->cr[0] & CR0_PG_MASK)) {
        found(&w, 0, UINT64_MAX, 0);
    } else if (env->efer & MSR_EFER_LMA) {
        w.top = env->cr[4] & CR4_LA57_MASK ? 5 : 4;
        w.large = 3;
        walk(&w, env->cr[3] & MAKE_64BIT_MASK(12, 40), w.top, 0);
    } else if (env->cr[4] & CR4_PAE_MASK) {
        w.top = 3;
        w.large = 2;
        walk(&w, env->cr[3] & 0xffffffe0, w.top, 0);
    } else {
        w.entry_bytes = 4;
        w.index_bits = 10;
        w.top = 2;
        w.large = env->cr[4] & CR4_PSE_MASK ? 2 : 1;
        walk(&w, env->cr[3] & 0xfffff000, w.top, 0);
    }
}
