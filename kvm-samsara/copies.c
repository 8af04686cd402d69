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
#include "memory.h"
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
static void put_free(struct samsara_vcpu *sv, struct samsara_copy *copy)
{
	sv->free_copies[sv->nr_free_copies] = copy;
	if (!copy->page) {
		swap(sv->free_copies[sv->nr_free_copies], sv->free_copies[sv->nr_empty]);
		sv->nr_empty++;
	}
	sv->nr_free_copies++;
}

int samsara_copies_init(struct samsara_vcpu *sv)
{
	u32 i;

	sv->access = __vmalloc_array(sv->vm->nr_pages, sizeof(*sv->access), SAMSARA_GFP_LARGE);
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

void samsara_copies_free(struct samsara_vcpu *sv)
{
	u32 i;

	for (i = 0; sv->copies && i < SAMSARA_MAX_COPIES; i++)
		if (sv->copies[i].page)
			__free_page(sv->copies[i].page);
	vfree(sv->copies);
	vfree(sv->dirty);
	vfree(sv->free_copies);
	vfree(sv->access);
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
	*copy->sptep = samsara_ept_entry(copy->orig->page, EPT_LEAF_RO);
	copy->sptep = NULL;
	sv->nr_copies--;
	if (free_page) {
		__free_page(copy->page);
		copy->page = NULL;
	}
	put_free(sv, copy);
}

/* Returns 0; -ENOSPC: none left, the chunk has to end first; -ENOMEM. */
int samsara_make_copy(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep)
{
	struct samsara_copy *copy;

	if (!sv->nr_free_copies)
		return -ENOSPC;
	copy = get_free(sv);
	if (!copy)
		return -ENOMEM;
	sv->nr_copies++;
	samsara_stat(sv)->samsara_copies++;
	trace_kvm_samsara_copy(sv->id, sp->gfn);

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

static void note_leaf(struct samsara_vcpu *sv, u64 *sptep, gfn_t gfn)
{
	u64 e = *sptep;
	struct page *page;

	page = samsara_ept_page(e);
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

/* Fill access[] and dirty[] from the EPT's flags, and clear them if @clear. */
void samsara_harvest(struct samsara_vcpu *sv, bool clear)
{
	sv->nr_access = 0;
	sv->nr_dirty = 0;
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
void samsara_compare_dirty(struct samsara_vcpu *sv)
{
	u32 i;

	if (!sv->vm->tune.compare) {
		for (i = 0; i < sv->nr_dirty; i++)
			sv->dirty[i]->changed = true;
		return;
	}
	kernel_fpu_begin();
	for (i = 0; i < sv->nr_dirty; i++)
		compare_copy(sv->dirty[i]);
	kernel_fpu_end();
}

/* Has the chunk changed anything?  After samsara_harvest(). */
bool samsara_has_written(struct samsara_vcpu *sv)
{
	bool written = false;
	u32 i;

	kernel_fpu_begin();
	for (i = 0; i < sv->nr_dirty && !written; i++)
		written = compare_copy(sv->dirty[i]);
	kernel_fpu_end();
	return written;
}

/* Final under commit_lock.  Without it: true stays true, false may change. */
bool samsara_conflicts(struct samsara_vcpu *sv)
{
	u32 i;

	for (i = 0; i < sv->nr_access; i++)
		if (!smr_page_valid(&sv->access[i]->meta, sv->start_seq))
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

void samsara_publish(struct samsara_vcpu *sv, u64 n)
{
	u32 i;

	for (i = 0; i < sv->nr_dirty; i++) {
		publish_copy(sv->dirty[i]);
		sv->dirty[i]->valid = n;
	}
	smr_order_published(sv->vm->order, sv->id);
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
		samsara_ept_forget_cold(&sv->copies_ept);
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

void samsara_drop_copies(struct samsara_vcpu *sv)
{
	u32 i;

	for (i = 0; sv->nr_copies; i++)
		if (sv->copies[i].sptep)
			drop_copy(sv, &sv->copies[i], false);
}
