// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's private EPTs.
 *
 * Only the vCPU's own thread changes or walks its EPT, and never while the
 * vCPU runs guest code.  The processor's own updates of accessed and dirty
 * flags therefore never race with ours, and plain stores do (RULE 5).  Another
 * CPU may still hold translations from when the vCPU ran there; they are
 * flushed when it comes back (samsara_before_entry()).
 *
 * Parallel recording and replay: a page is mapped read-only to the original on the first
 * read and to a private copy on the first write.  Serial replay and recording: all pages
 * are mapped to the originals from the start, since one chunk runs at a time; so
 * no EPT violation comes in the middle of an instruction.  A VM that changes from
 * one to the other has an EPT for each (phase.c, mode_replay_parallel.c).  Recording with page ownership maps
 * what a vCPU has rights to (mode_own.c).
 */
#include <linux/mm.h>

#include "ept.h"
#include "map.h"
#include "memory.h"
#include "samsara.h"

#define EPT_ENTRIES	512
#define EPT_LEVELS	4
/* Entries in a cache line of a table, and lines in a table. */
#define LINE_ENTRIES	8
#define TABLE_LINES	(EPT_ENTRIES / LINE_ENTRIES)

/* EPT pointer: write-back, 4-level walk, accessed and dirty flags. */
#define EPTP_AD		BIT_ULL(6)
#define EPTP_FLAGS	(6ull | (3ull << 3) | EPTP_AD)

/*
 * A table of the EPT, with a bit for each cache line of entries.  Walks look at the
 * lines in `used` only: all others are empty.
 */
struct ept_table {
	struct list_head list;
	u64 *entries;
	u64 used;
	u64 recent;	/* lines accessed since samsara_ept_forget_cold() */
};
static_assert(BITS_PER_TYPE(u64) == TABLE_LINES);

static struct ept_table *table_of(u64 *entries)
{
	return (void *)page_private(virt_to_page(entries));
}

static u64 *alloc_table(struct samsara_ept *ept)
{
	struct ept_table *table = kzalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);

	if (!table)
		return NULL;
	table->entries = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!table->entries) {
		kfree(table);
		return NULL;
	}
	set_page_private(virt_to_page(table->entries), (unsigned long)table);
	list_add(&table->list, &ept->tables);
	return table->entries;
}

static void mark_used(u64 *entry)
{
	u64 *entries = (u64 *)((unsigned long)entry & PAGE_MASK);
	struct ept_table *table = table_of(entries);
	u64 line = BIT_ULL((entry - entries) / LINE_ENTRIES);

	table->used |= line;
	table->recent |= line;
}

/* The leaf entry of a page; builds the tables above it.  NULL: out of memory. */
u64 *samsara_ept_leaf(struct samsara_ept *ept, gfn_t gfn)
{
	u64 *table = ept->root;
	u64 *entry, *next;
	int level;

	for (level = EPT_LEVELS; level > 1; level--) {
		entry = &table[(gfn >> (9 * (level - 1))) & (EPT_ENTRIES - 1)];
		if (!(*entry & EPT_R)) {
			next = alloc_table(ept);
			if (!next)
				return NULL;
			*entry = __pa(next) | EPT_TABLE;
			mark_used(entry);
		}
		table = __va(*entry & EPT_ADDR);
	}
	entry = &table[gfn & (EPT_ENTRIES - 1)];
	mark_used(entry);
	return entry;
}

/* The leaf entry of a page if there is one. */
u64 *samsara_ept_find(struct samsara_ept *ept, gfn_t gfn)
{
	u64 *table = ept->root;
	int level;
	u64 entry;

	for (level = EPT_LEVELS; level > 1; level--) {
		entry = table[(gfn >> (9 * (level - 1))) & (EPT_ENTRIES - 1)];
		if (!(entry & EPT_R))
			return NULL;
		table = __va(entry & EPT_ADDR);
	}
	return &table[gfn & (EPT_ENTRIES - 1)];
}

/* A page as the vCPU sees it: its private copy if it has one.  NULL: no RAM. */
const void *samsara_ept_view(struct samsara_vcpu *sv, gfn_t gfn)
{
	struct samsara_page *sp = samsara_gfn_to_page(sv->vm, gfn, NULL);
	u64 *sptep;

	if (!sp)
		return NULL;
	sptep = samsara_ept_find(sv->ept, gfn);
	if (sptep && (*sptep & (EPT_W | EPT_WAS_W)))
		return page_address(samsara_ept_page(*sptep));
	return page_address(sp->page);
}

int samsara_ept_init(struct samsara_ept *ept)
{
	if (!ept->root) {
		INIT_LIST_HEAD(&ept->tables);
		ept->root = alloc_table(ept);
	}
	return ept->root ? 0 : -ENOMEM;
}

/*
 * The EPT for running on guest memory itself: all pages are mapped at once, and may
 * be written.  Does nothing if it is there.
 */
int samsara_ept_map_all(struct samsara_ept *ept, struct samsara_vm *vm)
{
	const struct samsara_map *map = samsara_map(vm);
	const struct samsara_slot *slot;
	u64 *sptep = NULL;
	u64 i;
	u32 s;

	if (ept->complete)
		return 0;
	if (samsara_ept_init(ept))
		return -ENOMEM;
	for (s = 0; s < map->nr_slots; s++) {
		slot = &map->slots[s];
		for (i = 0; i < slot->npages; i++) {
			/* A walk for each line of a table is enough. */
			if (i && (slot->base + i) % LINE_ENTRIES) {
				sptep++;
			} else {
				sptep = samsara_ept_leaf(ept, slot->base + i);
				if (!sptep)
					return -ENOMEM;
				cond_resched();
			}
			*sptep = samsara_ept_entry(slot->pages[i].page,
						   slot->readonly ? EPT_LEAF_RO : EPT_LEAF_RW);
		}
	}
	ept->complete = true;
	return 0;
}

/* Which of its EPTs the vCPU runs on from the next chunk on. */
void samsara_ept_use(struct samsara_vcpu *sv, struct samsara_ept *ept)
{
	sv->ept = ept;
}

void samsara_ept_free(struct samsara_ept *ept)
{
	struct ept_table *table, *next;

	if (!ept->root)
		return;
	list_for_each_entry_safe(table, next, &ept->tables, list) {
		free_page((unsigned long)table->entries);
		kfree(table);
	}
	ept->root = NULL;
	ept->complete = false;
}

u64 samsara_eptp(struct samsara_vcpu *sv)
{
	u64 eptp = __pa(sv->ept->root) | EPTP_FLAGS;

	return sv->ad_off ? eptp & ~EPTP_AD : eptp;
}

void samsara_ept_flush(struct samsara_vcpu *sv)
{
	lockdep_assert_preemption_disabled();
	ept_sync_context(samsara_eptp(sv));
	vpid_sync_context(to_vmx(sv->vcpu)->vpid);
}

/* Page ownership.  The vCPU has touched the page, or is about to: the leaf is there. */
void samsara_ept_set_rights(struct samsara_vcpu *sv, struct samsara_page *sp, bool read,
			    bool write)
{
	u64 *sptep;
	gfn_t gfn;

	if (!samsara_page_to_gfn(sv->vm, sp, &gfn))
		return;
	sptep = samsara_ept_leaf(sv->ept, gfn);
	*sptep = read ? samsara_ept_entry(sp->page, write ? EPT_LEAF_RW : EPT_LEAF_RO) : 0;
}

/* The next touch of the page is a violation.  Only where a flush follows. */
void samsara_ept_withhold(u64 *sptep)
{
	u64 e = *sptep;

	*sptep = (e & ~(EPT_R | EPT_W | EPT_X)) | EPT_WITHHELD | (e & EPT_W ? EPT_WAS_W : 0);
}

/* So is the next write.  Page walks count as writes if EPT accessed flags are on. */
void samsara_ept_withhold_write(u64 *sptep)
{
	if (*sptep & EPT_W)
		*sptep = (*sptep & ~EPT_W) | EPT_WITHHELD | EPT_WAS_W;
}

/* All that was withheld. */
void samsara_ept_give_back(u64 *sptep)
{
	u64 e = *sptep;

	if (e == EPT_WITHHELD)	/* the page had no entry */
		*sptep = 0;
	else if (e & EPT_WITHHELD)
		*sptep = (e & ~(EPT_WITHHELD | EPT_WAS_W)) | EPT_R | EPT_X |
			 (e & EPT_WAS_W ? EPT_W : 0);
}

/* All but the right to write: the first write still is a violation. */
void samsara_ept_give_back_read(u64 *sptep, struct samsara_page *sp)
{
	u64 e = *sptep;

	if (!(e & EPT_ADDR))
		e |= samsara_ept_entry(sp->page, EPT_LEAF_RO);
	*sptep = e | EPT_R | EPT_X;
}

/* The flags that any of the entries in a cache line has. */
static u64 flags_of_line(const u64 *e)
{
	return e[0] | e[1] | e[2] | e[3] | e[4] | e[5] | e[6] | e[7];
}

/*
 * Visit every accessed leaf below @table, and clear the flags if @clear.  An
 * entry whose accessed flag is clear has no accessed entry below it, and lines
 * that have not been accessed for long are not looked at: the cost follows the
 * working set.
 */
static void walk_accessed(struct samsara_vcpu *sv, u64 *entries, int level, gfn_t base,
			  bool clear, void (*leaf)(struct samsara_vcpu *, u64 *, gfn_t))
{
	struct ept_table *table = table_of(entries);
	u64 lines, recent = 0;
	u64 *entry;
	gfn_t gfn;
	u32 i, k;

	for (lines = table->used; lines; lines &= lines - 1) {
		i = __ffs64(lines) * LINE_ENTRIES;
		if (!(flags_of_line(&entries[i]) & EPT_A))
			continue;
		recent |= lines & -lines;
		for (k = 0; k < LINE_ENTRIES; k++, i++) {
			entry = &entries[i];
			if (!(*entry & EPT_A))
				continue;
			gfn = base + ((gfn_t)i << (9 * (level - 1)));
			if (level == 1)
				leaf(sv, entry, gfn);
			else
				walk_accessed(sv, __va(*entry & EPT_ADDR), level - 1, gfn,
					      clear, leaf);
			if (clear)
				*entry &= ~(EPT_A | EPT_D);
		}
	}
	if (clear)
		table->recent |= recent;
}

/* Empty the line if it maps originals only.  Entries for tables and copies have W. */
static void forget_line(struct ept_table *table, u32 line)
{
	u64 *e = &table->entries[line * LINE_ENTRIES];

	if (flags_of_line(e) & (EPT_W | EPT_A | EPT_WITHHELD))
		return;
	memset(e, 0, LINE_ENTRIES * sizeof(*e));
	table->used &= ~BIT_ULL(line);
}

/*
 * Empty the lines that have not been accessed since the last time: a page's next access
 * is a violation.
 */
void samsara_ept_forget_cold(struct samsara_ept *ept)
{
	struct ept_table *table;
	u64 cold;

	list_for_each_entry(table, &ept->tables, list) {
		for (cold = table->used & ~table->recent; cold; cold &= cold - 1)
			forget_line(table, __ffs64(cold));
		table->recent = 0;
	}
}

static void note_if_dirty(struct samsara_vcpu *sv, u64 *sptep, gfn_t gfn)
{
	struct samsara_page *sp;

	if (!(*sptep & EPT_D))
		return;
	sp = samsara_gfn_to_page(sv->vm, gfn, NULL);
	/* The EPT is for the map as it is: samsara_follow_map(). */
	if (KVM_BUG_ON(!sp, sv->vm->kvm))
		return;
	samsara_page_changed(sv->vm, sp);
	/* Private copies that a vCPU has kept are older than this. */
	smr_page_commit(&sp->meta, sv->vm->noted_as);
}

/*
 * Visit every leaf of @sv's EPT that was accessed since its flags were cleared, and
 * clear them if @clear.
 */
void samsara_ept_walk(struct samsara_vcpu *sv, bool clear,
		      void (*leaf)(struct samsara_vcpu *sv, u64 *sptep, gfn_t gfn))
{
	walk_accessed(sv, sv->ept->root, EPT_LEVELS, 0, clear, leaf);
}

/* What vCPUs have written on memory itself, as if it was of commit @n. */
static void note_direct(struct samsara_vm *vm, u64 n)
{
	struct samsara_vcpu *sv;
	u32 i;

	vm->noted_as = n;
	/* vCPUs make them anew without the turn, see samsara_follow_map(). */
	mutex_lock(&vm->remap.ept_lock);
	for (i = 0; i < vm->nr_vcpus; i++) {
		sv = vm->vcpus[i];
		if (sv->direct.complete)
			walk_accessed(sv, sv->direct.root, EPT_LEVELS, 0, true, note_if_dirty);
	}
	mutex_unlock(&vm->remap.ept_lock);
}

/*
 * vCPUs that take turns run on memory itself, one at a time: what they have written matters
 * when memory is digested, its map changes, or they run in parallel again.  It is noted here
 * then, for all chunks since the last time.  Their pages are stamped with the last commit
 * instead of the chunk's own: copies that vCPUs have kept are older than both, and until the
 * vCPUs run in parallel again there is no chunk that asks.
 *
 * Under commit_lock, with the turn or with every vCPU stopped: all vCPUs are at a boundary or
 * at their commit (RULE 5).  The next chunk flushes the translations that would keep the
 * processor from setting the flags again.
 */
void samsara_ept_note_turns(struct samsara_vm *vm)
{
	lockdep_assert_held(&vm->commit_lock);
	if (!samsara_in_turns(vm))
		return;
	note_direct(vm, vm->order->committed);
}

/*
 * The same in a replay, of chunks that ran on memory itself.  @n: their last commit, or a later
 * one; the one that is being done, if it is one of them.
 *
 * Under commit_lock, and no such chunk is open: nobody has the turn, or the caller has, at a
 * boundary or at its commit.
 */
void samsara_ept_note_replayed(struct samsara_vm *vm, u64 n)
{
	lockdep_assert_held(&vm->commit_lock);
	if (!vm->replay.unnoted)
		return;
	vm->replay.unnoted = false;
	note_direct(vm, n);
}

/* The same, by who does not have the lock. */
void samsara_ept_note_at_turn(struct samsara_vm *vm, u64 n)
{
	mutex_lock(&vm->commit_lock);
	samsara_ept_note_replayed(vm, n);
	mutex_unlock(&vm->commit_lock);
}
