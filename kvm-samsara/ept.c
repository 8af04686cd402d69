// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's private EPTs and its private copies of pages.
 *
 * Only the vCPU's own thread changes or walks its EPT, and never while the
 * vCPU runs guest code.  The processor's own updates of accessed and dirty
 * flags therefore never race with ours, and plain stores do (RULE 5).  Another
 * CPU may still hold translations from when the vCPU ran there; they are
 * flushed when it comes back (samsara_before_entry()).
 *
 * Parallel recording: a page is mapped read-only to the original on the first read
 * and to a private copy on the first write.  Replay and serial recording: all pages
 * are mapped to the originals from the start, since one chunk runs at a time; so
 * no EPT violation comes in the middle of an instruction.  A VM that changes from
 * one to the other has an EPT for each (phase.c).  Recording with page ownership maps
 * what a vCPU has rights to (crew.c).
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "samsara.h"
#include "trace.h"

#define EPT_R		BIT_ULL(0)
#define EPT_W		BIT_ULL(1)
#define EPT_X		BIT_ULL(2)
#define EPT_WB		(6ull << 3)
#define EPT_IPAT	BIT_ULL(6)
#define EPT_A		BIT_ULL(8)
#define EPT_D		BIT_ULL(9)
#define EPT_ADDR	GENMASK_ULL(51, 12)
/* Ours; the processor ignores them, and all of an entry without R, W and X. */
#define EPT_WITHHELD	BIT_ULL(52)	/* see contended.c */
#define EPT_WAS_W	BIT_ULL(53)
#define EPT_TABLE	(EPT_R | EPT_W | EPT_X)
#define EPT_LEAF_RO	(EPT_R | EPT_X | EPT_WB | EPT_IPAT)
#define EPT_LEAF_RW	(EPT_LEAF_RO | EPT_W)
#define EPT_ENTRIES	512
#define EPT_LEVELS	4
/* Entries in a cache line of a table, and lines in a table. */
#define LINE_ENTRIES	8
#define TABLE_LINES	(EPT_ENTRIES / LINE_ENTRIES)
/* Chunks between two looks for lines that have not been accessed. */
#define COLD_CHUNKS	256

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
	u64 recent;	/* lines accessed since forget_cold() */
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
static u64 *find_leaf(struct samsara_ept *ept, gfn_t gfn)
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
	sptep = sv->direct ? NULL : find_leaf(sv->ept, gfn);
	if (sptep && (*sptep & (EPT_W | EPT_WAS_W)))
		return page_address(pfn_to_page((*sptep & EPT_ADDR) >> PAGE_SHIFT));
	return page_address(sp->page);
}

static u64 leaf_to(struct page *page, u64 flags)
{
	return page_to_phys(page) | flags;
}

static int alloc_root(struct samsara_ept *ept)
{
	if (!ept->root)
		ept->root = alloc_table(ept);
	return ept->root ? 0 : -ENOMEM;
}

/*
 * The EPT for running on guest memory itself: all pages are mapped at once, and may
 * be written.  Does nothing if it is there.
 */
int samsara_ept_map_all(struct samsara_vcpu *sv)
{
	struct samsara_ept *ept = &sv->direct_ept;
	struct samsara_slot *slot;
	u64 *sptep = NULL;
	u64 i;
	u32 s;

	if (ept->complete)
		return 0;
	if (alloc_root(ept))
		return -ENOMEM;
	for (s = 0; s < sv->vm->nr_slots; s++) {
		slot = &sv->vm->slots[s];
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
			*sptep = leaf_to(slot->pages[i].page,
					 slot->readonly ? EPT_LEAF_RO : EPT_LEAF_RW);
		}
	}
	ept->complete = true;
	return 0;
}

/* Which of its EPTs the vCPU runs on from the next chunk on. */
void samsara_use_ept(struct samsara_vcpu *sv, bool direct)
{
	sv->direct = direct;
	sv->ept = direct ? &sv->direct_ept : &sv->copies_ept;
	sv->nr_access = 0;
	sv->nr_dirty = 0;
}

/* Those without a page come first in the list, and are taken last. */
static void put_free(struct samsara_vcpu *sv, struct samsara_copy *copy)
{
	sv->free_copies[sv->nr_free_copies] = copy;
	if (!copy->page) {
		swap(sv->free_copies[sv->nr_free_copies], sv->free_copies[sv->nr_empty]);
		sv->nr_empty++;
	}
	sv->nr_free_copies++;
}

int samsara_ept_init(struct samsara_vcpu *sv)
{
	u64 n = sv->vm->nr_pages;
	u32 i;

	INIT_LIST_HEAD(&sv->copies_ept.tables);
	INIT_LIST_HEAD(&sv->direct_ept.tables);
	sv->last_cpu = -1;
	samsara_use_ept(sv, !samsara_for_parallel(sv->vm));
	if (samsara_crew(sv->vm)) {
		sv->no_flags = true;
		return alloc_root(sv->ept);
	}
	if (sv->direct)
		return samsara_ept_map_all(sv);

	if (alloc_root(&sv->copies_ept))
		return -ENOMEM;
	sv->access = __vmalloc_array(n, sizeof(*sv->access), SAMSARA_GFP_LARGE);
	sv->copies = __vcalloc(SAMSARA_MAX_COPIES, sizeof(*sv->copies), GFP_KERNEL_ACCOUNT);
	sv->dirty = __vmalloc_array(SAMSARA_MAX_COPIES, sizeof(*sv->dirty), GFP_KERNEL_ACCOUNT);
	sv->free_copies = __vmalloc_array(SAMSARA_MAX_COPIES, sizeof(*sv->free_copies),
					  GFP_KERNEL_ACCOUNT);
	if (!sv->access || !sv->copies || !sv->dirty || !sv->free_copies)
		return -ENOMEM;
	for (i = SAMSARA_MAX_COPIES; i--; )
		put_free(sv, &sv->copies[i]);
	return 0;
}

static void free_tables(struct samsara_ept *ept)
{
	struct ept_table *table, *next;

	if (!ept->root)
		return;
	list_for_each_entry_safe(table, next, &ept->tables, list) {
		free_page((unsigned long)table->entries);
		kfree(table);
	}
}

void samsara_ept_free(struct samsara_vcpu *sv)
{
	u32 i;

	for (i = 0; sv->copies && i < SAMSARA_MAX_COPIES; i++)
		if (sv->copies[i].page)
			__free_page(sv->copies[i].page);
	free_tables(&sv->copies_ept);
	free_tables(&sv->direct_ept);
	vfree(sv->copies);
	vfree(sv->dirty);
	vfree(sv->free_copies);
	vfree(sv->access);
}

u64 samsara_eptp(struct samsara_vcpu *sv)
{
	u64 eptp = __pa(sv->ept->root) | EPTP_FLAGS;

	return sv->no_flags ? eptp & ~EPTP_AD : eptp;
}

void samsara_flush(struct samsara_vcpu *sv)
{
	lockdep_assert_preemption_disabled();
	ept_sync_context(samsara_eptp(sv));
	vpid_sync_context(to_vmx(sv->vcpu)->vpid);
}

/* Page ownership.  The vCPU has touched the page, or is about to: the leaf is there. */
void samsara_ept_set_rights(struct samsara_vcpu *sv, struct samsara_page *sp, bool read,
			    bool write)
{
	u64 *sptep = samsara_ept_leaf(sv->ept, sp->gfn);

	*sptep = read ? leaf_to(sp->page, write ? EPT_LEAF_RW : EPT_LEAF_RO) : 0;
}

/* The next touch of the page is a violation.  Only where a flush follows. */
void samsara_ept_withhold(u64 *sptep)
{
	u64 e = *sptep;

	*sptep = (e & ~(EPT_R | EPT_W | EPT_X)) | EPT_WITHHELD | (e & EPT_W ? EPT_WAS_W : 0);
}

/* ... the next write.  Page walks count as writes if EPT accessed flags are on. */
void samsara_ept_withhold_write(u64 *sptep)
{
	if (*sptep & EPT_W)
		*sptep = (*sptep & ~EPT_W) | EPT_WITHHELD | EPT_WAS_W;
}

/* All that was withheld; the page has an entry. */
void samsara_ept_give_back(u64 *sptep)
{
	u64 e = *sptep;

	if (e & EPT_WITHHELD)
		*sptep = (e & ~(EPT_WITHHELD | EPT_WAS_W)) | EPT_R | EPT_X |
			 (e & EPT_WAS_W ? EPT_W : 0);
}

/* ... but for writing, which still is a violation. */
static void give_back_read(u64 *sptep, struct samsara_page *sp)
{
	u64 e = *sptep;

	if (!(e & EPT_ADDR))
		e |= leaf_to(sp->page, EPT_LEAF_RO);
	*sptep = e | EPT_R | EPT_X;
}

/* One that can be filled; NULL: no memory. */
static struct samsara_copy *get_free(struct samsara_vcpu *sv)
{
	struct samsara_copy *copy = sv->free_copies[sv->nr_free_copies - 1];

	if (!copy->page) {
		copy->page = alloc_page(GFP_KERNEL_ACCOUNT);
		if (!copy->page)
			return NULL;
		set_page_private(copy->page, (unsigned long)copy);
		sv->nr_empty--;
	}
	sv->nr_free_copies--;
	return copy;
}

/*
 * Without @free_page its page stays with the descriptor, and the next copy needs no
 * allocation.  Another CPU may have translations to it; nothing uses them before they
 * are flushed (samsara_before_entry()).
 */
static void drop_copy(struct samsara_vcpu *sv, struct samsara_copy *copy, bool free_page)
{
	*copy->sptep = leaf_to(copy->orig->page, EPT_LEAF_RO);
	copy->sptep = NULL;
	sv->nr_copies--;
	if (free_page) {
		__free_page(copy->page);
		copy->page = NULL;
	}
	put_free(sv, copy);
}

static int make_copy(struct samsara_vcpu *sv, struct samsara_page *sp, gfn_t gfn, u64 *sptep)
{
	struct samsara_copy *copy;

	if (!sv->nr_free_copies)
		return -ENOSPC;
	copy = get_free(sv);
	if (!copy)
		return -ENOMEM;
	sv->nr_copies++;
	samsara_stat(sv)->samsara_copies++;
	trace_kvm_samsara_copy(sv->id, gfn);

	/*
	 * The original may be half written by a commit d that is being
	 * published just now.  Then d > start_seq and the page's version is d
	 * already, so this chunk can't commit (smr_order.h).
	 */
	copy_page(page_address(copy->page), page_address(sp->page));
	copy->orig = sp;
	copy->sptep = sptep;
	copy->valid = sv->start_seq;
	copy->used = sv->nr_begun;
	/*
	 * Other linear addresses may have cached a translation to the
	 * original; the violation removed only the one that faulted.
	 */
	if (*sptep & EPT_R)
		sv->flush = true;
	/* Carry over the accessed flag: the page was read before. */
	*sptep = leaf_to(copy->page, EPT_LEAF_RW | (*sptep & EPT_A));
	return 0;
}

/*
 * Handle an EPT violation.  Returns 1: mapped, run on; 0: the exit ends the
 * chunk, because it is not RAM or (sv->touched) withheld; -ENOSPC: no private
 * copy left, the chunk has to end first; -ENOMEM.
 */
int samsara_ept_fault(struct samsara_vcpu *sv, gpa_t gpa, bool write)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	struct samsara_page *sp;
	bool readonly;
	u64 *sptep;
	int r;

	sp = samsara_gfn_to_page(sv->vm, gfn, &readonly);
	if (!sp || (write && readonly))
		return 0;
	/* With page ownership, the chunk ends before this page if there is no memory. */
	sv->fault_gpa = gfn_to_gpa(gfn);
	sv->fault_could_read = false;
	sptep = samsara_ept_leaf(sv->ept, gfn);
	if (!sptep)
		return -ENOMEM;
	if (samsara_crew(sv->vm))
		return samsara_crew_fault(sv, sp, write);
	if (*sptep & EPT_WITHHELD) {
		sv->touched = samsara_touch_ends_chunk(sv, sp, write, *sptep & EPT_R);
		if (sv->touched)
			return 0;
		give_back_read(sptep, sp);
		if (write)
			samsara_ept_give_back(sptep);
	} else if (KVM_BUG_ON(sv->direct, sv->vm->kvm)) {
		return -EIO;
	}
	if (!write) {
		if (!(*sptep & EPT_R))
			*sptep = leaf_to(sp->page, EPT_LEAF_RO);
		return 1;
	}
	if (*sptep & EPT_W)	/* withheld, or a translation from before the copy was made */
		return 1;
	r = make_copy(sv, sp, gfn, sptep);
	return r ?: 1;
}

static void note_leaf(struct samsara_vcpu *sv, u64 *sptep, gfn_t gfn)
{
	u64 e = *sptep;
	struct page *page;

	page = pfn_to_page((e & EPT_ADDR) >> PAGE_SHIFT);
	if (e & (EPT_W | EPT_WAS_W)) {
		struct samsara_copy *copy = (void *)page_private(page);

		sv->access[sv->nr_access++] = copy->orig;
		copy->used = sv->nr_begun;
		if (e & EPT_D)
			sv->dirty[sv->nr_dirty++] = copy;
		return;
	}
	sv->access[sv->nr_access++] = samsara_gfn_to_page(sv->vm, gfn, NULL);
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
 * Every so many chunks, at the start of one: empty the lines that have not been
 * accessed since the last time.  A walk that looks at such a line so many times
 * takes longer than the EPT violation that brings an entry back.
 */
static void forget_cold(struct samsara_ept *ept)
{
	struct ept_table *table;
	u64 cold;

	list_for_each_entry(table, &ept->tables, list) {
		for (cold = table->used & ~table->recent; cold; cold &= cold - 1)
			forget_line(table, __ffs64(cold));
		table->recent = 0;
	}
}

/* With copies: fill access[] and dirty[] from the flags, and clear them if @clear. */
void samsara_ept_harvest(struct samsara_vcpu *sv, bool clear)
{
	sv->nr_access = 0;
	sv->nr_dirty = 0;
	walk_accessed(sv, sv->ept->root, EPT_LEVELS, 0, clear, note_leaf);
}

static void note_dirty_leaf(struct samsara_vcpu *sv, u64 *sptep, gfn_t gfn)
{
	struct samsara_page *sp;

	if (!(*sptep & EPT_D))
		return;
	sp = samsara_gfn_to_page(sv->vm, gfn, NULL);
	samsara_page_changed(sv->vm, sp);
	/* Private copies that a vCPU has kept are older than this. */
	smr_page_commit(&sp->meta, sv->rec.commit_seq);
}

/* Without copies: note the pages written in the chunk, whose commit is sv->rec's. */
void samsara_ept_note_dirty(struct samsara_vcpu *sv)
{
	walk_accessed(sv, sv->ept->root, EPT_LEVELS, 0, true, note_dirty_leaf);
}

static bool is_aged(struct samsara_vcpu *sv, struct samsara_copy *copy)
{
	u64 age = sv->vm->tune.copy_age;

	return age && sv->nr_begun - copy->used > age;
}

/*
 * Before a chunk, after start_seq was taken: drop the copies that are older than their
 * page, and what has not been used for long.  A commit that comes after we looked is
 * above start_seq: it is found when this chunk commits, if it used the page, and by the
 * next chunk's look if not.
 */
void samsara_drop_stale(struct samsara_vcpu *sv)
{
	struct samsara_copy *copy;
	u32 i, left = sv->nr_copies;

	for (i = 0; left; i++) {
		copy = &sv->copies[i];
		if (!copy->sptep)
			continue;
		left--;
		if (is_aged(sv, copy))
			drop_copy(sv, copy, true);
		else if (smr_page_stale(&copy->orig->meta, copy->valid))
			drop_copy(sv, copy, false);
	}
	if (!(sv->nr_begun % COLD_CHUNKS))
		forget_cold(&sv->copies_ept);
}

/*
 * Rollback: forget what the chunk wrote.  The copies are made anew rather than
 * dropped, since the chunk is about to write the same pages again.  A commit
 * above the prefix may be half copied; its stamp is above `valid`, so the copy
 * is dropped before it is used, or the chunk does not commit.
 */
void samsara_refresh_dirty(struct samsara_vcpu *sv)
{
	u64 valid = smr_order_prefix(sv->vm->order);
	struct samsara_copy *copy;
	u32 i;

	for (i = 0; i < sv->nr_dirty; i++) {
		copy = sv->dirty[i];
		copy->valid = valid;
		copy_page(page_address(copy->page), page_address(copy->orig->page));
	}
	sv->nr_dirty = 0;
}

void samsara_drop_all(struct samsara_vcpu *sv)
{
	u32 i;

	for (i = 0; sv->nr_copies; i++)
		if (sv->copies[i].sptep)
			drop_copy(sv, &sv->copies[i], false);
}
