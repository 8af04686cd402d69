// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's private copies of pages: made when a chunk first writes a page, kept as long
 * as nobody else commits it, compared with the originals and published by a commit.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <asm/fpu/api.h>

#include "copies.h"
#include "ept.h"
#include "map.h"
#include "memory.h"
#include "mode.h"
#include "samsara.h"
#include "trace.h"

/*
 * Chunks between two looks for lines of the EPT that have not been accessed.  A walk that
 * looks at such a line so many times takes longer than the EPT violation that brings an
 * entry back.
 */
#define COLD_CHUNKS	256

#define BLOCK_BYTES	256
#define PAGE_BLOCKS	(PAGE_SIZE / BLOCK_BYTES)

/* Those without a page come first in the list, and are taken last. */
static void put_free(struct samsara_copies *copies, struct samsara_copy *copy)
{
	copies->free[copies->nr_free] = copy;
	if (!copy->page) {
		swap(copies->free[copies->nr_free], copies->free[copies->nr_empty]);
		copies->nr_empty++;
	}
	copies->nr_free++;
}

/* @max_access: pages that one chunk may have accessed. */
int samsara_copies_init(struct samsara_copies *copies, u64 max_access)
{
	u32 i;

	copies->access = __vmalloc_array(max_access, sizeof(*copies->access), SAMSARA_GFP_LARGE);
	copies->all = __vcalloc(SAMSARA_MAX_COPIES, sizeof(*copies->all), GFP_KERNEL_ACCOUNT);
	copies->dirty = __vmalloc_array(SAMSARA_MAX_COPIES, sizeof(*copies->dirty),
					GFP_KERNEL_ACCOUNT);
	copies->free = __vmalloc_array(SAMSARA_MAX_COPIES, sizeof(*copies->free),
				       GFP_KERNEL_ACCOUNT);
	if (!copies->access || !copies->all || !copies->dirty || !copies->free)
		return -ENOMEM;
	for (i = SAMSARA_MAX_COPIES; i--; )
		put_free(copies, &copies->all[i]);
	return 0;
}

void samsara_copies_free(struct samsara_copies *copies)
{
	u32 i;

	for (i = 0; copies->all && i < SAMSARA_MAX_COPIES; i++)
		if (copies->all[i].page)
			__free_page(copies->all[i].page);
	vfree(copies->all);
	vfree(copies->dirty);
	vfree(copies->free);
	vfree(copies->access);
}

/* One that can be filled; NULL: no memory. */
static struct samsara_copy *get_free(struct samsara_copies *copies)
{
	struct samsara_copy *copy = copies->free[copies->nr_free - 1];

	if (!copy->page) {
		copy->page = alloc_page(GFP_KERNEL_ACCOUNT);
		if (!copy->page)
			return NULL;
		set_page_private(copy->page, (unsigned long)copy);
		copies->nr_empty--;
	}
	copies->nr_free--;
	return copy;
}

/*
 * Without @free_page its page stays with the descriptor, and the next copy needs no
 * allocation.  Another CPU may have translations to it; nothing uses them before they
 * are flushed (samsara_before_entry()).
 */
static void drop_copy(struct samsara_copies *copies, struct samsara_copy *copy, bool free_page)
{
	*copy->sptep = samsara_ept_entry(copy->orig->page, EPT_LEAF_RO);
	copy->sptep = NULL;
	copies->nr--;
	if (free_page) {
		__free_page(copy->page);
		copy->page = NULL;
	}
	put_free(copies, copy);
}

/* Returns 0; -ENOSPC: none left, the chunk has to end first; -ENOMEM. */
static int make_copy(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep)
{
	struct samsara_copies *copies = &sv->copies;
	struct samsara_copy *copy;

	if (!copies->nr_free)
		return -ENOSPC;
	copy = get_free(copies);
	if (!copy)
		return -ENOMEM;
	copies->nr++;
	samsara_stat(sv)->samsara_copies++;
	trace_kvm_samsara_copy(sv->id, sp->ram);

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
	*sptep = samsara_ept_entry(copy->page, EPT_LEAF_RW | (*sptep & EPT_A));
	return 0;
}

/*
 * An EPT violation on a page that is not withheld, or not any more.  As samsara_mode.fault.
 * Without copies left the guest can't go on, in the middle of an instruction:
 * chunk.out_of_copies.
 */
int samsara_copies_fault(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep,
			 bool write)
{
	int r;

	if (!write) {
		if (!(*sptep & EPT_R))
			*sptep = samsara_ept_entry(sp->page, EPT_LEAF_RO);
		return SAMSARA_FAULT_MAPPED;
	}
	if (*sptep & EPT_W)	/* withheld, or a translation from before the copy was made */
		return SAMSARA_FAULT_MAPPED;
	r = make_copy(sv, sp, sptep);
	sv->chunk.out_of_copies = r == -ENOSPC;
	return r && !sv->chunk.out_of_copies ? r : SAMSARA_FAULT_MAPPED;
}

static void note_leaf(struct samsara_vcpu *sv, u64 *sptep, gfn_t gfn)
{
	struct samsara_copies *copies = &sv->copies;
	u64 e = *sptep;
	struct samsara_page *sp;
	struct page *page;

	page = samsara_ept_page(e);
	if (e & (EPT_W | EPT_WAS_W)) {
		struct samsara_copy *copy = (void *)page_private(page);

		copies->access[copies->nr_access++] = copy->orig;
		copy->used = sv->nr_begun;
		if (e & EPT_D)
			copies->dirty[copies->nr_dirty++] = copy;
		return;
	}
	sp = samsara_gfn_to_page(sv->vm, gfn, NULL);
	/* The EPT is for the map as it is: samsara_follow_map(). */
	if (!KVM_BUG_ON(!sp, sv->vm->kvm))
		copies->access[copies->nr_access++] = sp;
}

/* Fill access[] and dirty[] from the EPT's flags, and clear them if @clear. */
void samsara_copies_harvest(struct samsara_vcpu *sv, bool clear)
{
	struct samsara_copies *copies = &sv->copies;

	copies->nr_access = 0;
	copies->nr_dirty = 0;
	samsara_ept_walk(sv, clear, note_leaf);
}

/* Inside kernel_fpu_begin(). */
static bool same_block(const u64 *a, const u64 *b)
{
	u64 diff = 0;
	u32 i;

	if (static_cpu_has(X86_FEATURE_AVX2))
		return smr_same_block_avx2(a, b);
	for (i = 0; i < BLOCK_BYTES / sizeof(u64); i++)
		diff |= a[i] ^ b[i];
	return !diff;
}

/*
 * Does the copy differ from the original?  RULE 8: the processor's page walks set
 * the dirty flag of page tables they did not change.  The search begins where it
 * found a change the last time: most pages are changed there again, or, if they are
 * being filled, a little further on.
 *
 * The original may change under us only through a commit above our start_seq;
 * then the check fails and the result is not used.
 */
static bool compare_copy(struct samsara_copy *copy)
{
	const void *old = page_address(copy->orig->page);
	const void *new = page_address(copy->page);
	u32 block = copy->changed_block;
	u32 i;

	copy->changed = false;
	for (i = 0; i < PAGE_BLOCKS; i++) {
		if (!same_block(old + block * BLOCK_BYTES, new + block * BLOCK_BYTES)) {
			copy->changed = true;
			copy->changed_block = block;
			break;
		}
		block = (block + 1) % PAGE_BLOCKS;
	}
	return copy->changed;
}

/* Which of the copies harvested have changed; all of them, if they are not compared. */
void samsara_copies_compare(struct samsara_copies *copies, bool compare)
{
	u32 i;

	if (!compare) {
		for (i = 0; i < copies->nr_dirty; i++)
			copies->dirty[i]->changed = true;
		return;
	}
	kernel_fpu_begin();
	for (i = 0; i < copies->nr_dirty; i++)
		compare_copy(copies->dirty[i]);
	kernel_fpu_end();
}

/* Has the chunk changed anything?  After samsara_copies_harvest(). */
bool samsara_copies_written(struct samsara_copies *copies)
{
	bool written = false;
	u32 i;

	kernel_fpu_begin();
	for (i = 0; i < copies->nr_dirty && !written; i++)
		written = compare_copy(copies->dirty[i]);
	kernel_fpu_end();
	return written;
}

/* Final under commit_lock.  Without it: true stays true, false may change. */
bool samsara_copies_conflict(struct samsara_copies *copies, u64 start_seq)
{
	u32 i;

	for (i = 0; i < copies->nr_access; i++)
		if (!smr_page_valid(&copies->access[i]->meta, start_seq))
			return true;
	return false;
}

/*
 * The whole page: nobody else has changed it since it was copied, or the check
 * would have failed, and nobody does until we have published.
 */
static void publish_copy(struct samsara_copy *copy)
{
	if (copy->changed)
		copy_page(page_address(copy->orig->page), page_address(copy->page));
}

void samsara_copies_publish(struct samsara_copies *copies, u64 n)
{
	u32 i;

	for (i = 0; i < copies->nr_dirty; i++) {
		publish_copy(copies->dirty[i]);
		copies->dirty[i]->valid = n;
	}
}

/*
 * Before a chunk, after start_seq was taken: drop the copies that are older than their
 * page, and what has not been used for long.  A commit that comes after we looked is
 * above start_seq: it is found when this chunk commits, if it used the page, and by the
 * next chunk's look if not.  @now: chunks begun; @age: how many a copy is kept without
 * being used, 0: for ever.
 */
void samsara_copies_drop_stale(struct samsara_copies *copies, u64 now, u64 age)
{
	struct samsara_copy *copy;
	u32 i, left = copies->nr;

	for (i = 0; left; i++) {
		copy = &copies->all[i];
		if (!copy->sptep)
			continue;
		left--;
		if (age && now - copy->used > age)
			drop_copy(copies, copy, true);
		else if (smr_page_stale(&copy->orig->meta, copy->valid))
			drop_copy(copies, copy, false);
	}
	if (!(now % COLD_CHUNKS))
		samsara_ept_forget_cold(&copies->ept);
}

/*
 * Rollback: forget what the chunk wrote.  The copies are made anew rather than
 * dropped, since the chunk is about to write the same pages again.  A commit
 * above the prefix may be half copied; its stamp is above `valid`, so the copy
 * is dropped before it is used, or the chunk does not commit.
 */
void samsara_copies_refresh(struct samsara_copies *copies, u64 prefix)
{
	struct samsara_copy *copy;
	u32 i;

	for (i = 0; i < copies->nr_dirty; i++) {
		copy = copies->dirty[i];
		copy->valid = prefix;
		copy_page(page_address(copy->page), page_address(copy->orig->page));
	}
	copies->nr_dirty = 0;
}

void samsara_copies_drop_all(struct samsara_copies *copies)
{
	u32 i;

	for (i = 0; copies->nr; i++)
		if (copies->all[i].sptep)
			drop_copy(copies, &copies->all[i], false);
}
