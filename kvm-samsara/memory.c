// SPDX-License-Identifier: GPL-2.0
/*
 * Guest RAM of a recording VM: pinned, with a version and a digest per page.
 *
 * RULE 5: the pages are pinned for as long as the VM exists
 * (FOLL_LONGTERM), so no reclaim, migration, KSM or NUMA balancing can move
 * them under a private EPT, which MMU notifiers don't reach.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>
#include <asm/fpu/api.h>

#include "memory.h"
#include "samsara.h"
#include "trace.h"

/* Pages pinned, unpinned or digested from one look at the scheduler to the next. */
#define BATCH	512

/*
 * Kernel memory for the VM is charged to its owner's memory cgroup where it is
 * allocated; what is pinned or shared with user space counts as locked, too.
 */
int samsara_charge_locked(struct samsara_vm *vm, u64 pages)
{
	int r = account_locked_vm(vm->kvm->mm, pages, true);

	if (r)
		pr_warn_ratelimited("samsara: %llu KiB more would exceed the limit of locked memory: raise RLIMIT_MEMLOCK (ulimit -l)\n",
				    pages << (PAGE_SHIFT - 10));
	else
		vm->locked_pages += pages;
	return r;
}

void samsara_uncharge_locked(struct samsara_vm *vm, u64 pages)
{
	vm->locked_pages -= pages;
	account_locked_vm(vm->kvm->mm, pages, false);
}

static bool overlap(u64 a, u64 a_size, u64 b, u64 b_size)
{
	return a < b + b_size && b < a + a_size;
}

static bool page_aligned(u64 v)
{
	return !offset_in_page(v);
}

/* In themselves, and beside those before them. */
static bool block_ok(const struct kvm_samsara_ram_block *blocks, u32 i)
{
	const struct kvm_samsara_ram_block *b = &blocks[i];
	u32 k;

	if (!b->size || !page_aligned(b->ram | b->size | b->uaddr) ||
	    b->ram + b->size < b->ram || b->uaddr + b->size < b->uaddr)
		return false;
	for (k = 0; k < i; k++)
		if (overlap(b->ram, b->size, blocks[k].ram, blocks[k].size) ||
		    overlap(b->uaddr, b->size, blocks[k].uaddr, blocks[k].size))
			return false;
	return true;
}

static void set_blocks(struct samsara_memory *memory, const struct kvm_samsara_ram_block *blocks,
		       u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		memory->blocks[i] = (struct samsara_block) {
			.ram = blocks[i].ram >> PAGE_SHIFT,
			.npages = blocks[i].size >> PAGE_SHIFT,
			.uaddr = blocks[i].uaddr,
		};
	memory->nr_blocks = nr;
}

/*
 * Before START: all RAM that the guest may ever see.  Replaces what was registered before.
 * Returns 0 or -EINVAL.
 */
int samsara_memory_register(struct samsara_vm *vm, const struct kvm_samsara_ram_block *blocks,
			    u32 nr)
{
	u32 i;

	if (!nr || nr > KVM_SAMSARA_MAX_RAM)
		return -EINVAL;
	for (i = 0; i < nr; i++)
		if (!block_ok(blocks, i))
			return -EINVAL;
	set_blocks(&vm->memory, blocks, nr);
	vm->memory.registered = true;
	return 0;
}

/* Nothing was registered: the RAM address of a page is its guest-physical address. */
static int blocks_from_slots(struct samsara_vm *vm)
{
	struct kvm_samsara_ram_block blocks[KVM_SAMSARA_MAX_SLOTS];
	struct kvm_memory_slot *memslot;
	u32 nr = 0;
	int bkt;

	static_assert(KVM_SAMSARA_MAX_SLOTS <= KVM_SAMSARA_MAX_RAM);
	lockdep_assert_held(&vm->kvm->slots_lock);
	kvm_for_each_memslot(memslot, bkt, kvm_memslots(vm->kvm)) {
		if (memslot->id >= KVM_USER_MEM_SLOTS)
			continue;
		if (nr == ARRAY_SIZE(blocks))
			return -E2BIG;
		blocks[nr] = (struct kvm_samsara_ram_block) {
			.ram = gfn_to_gpa(memslot->base_gfn),
			.size = memslot->npages << PAGE_SHIFT,
			.uaddr = memslot->userspace_addr,
		};
		if (!block_ok(blocks, nr++)) {
			pr_warn_ratelimited("samsara: memory that is in two slots has to be registered\n");
			return -EOPNOTSUPP;
		}
	}
	set_blocks(&vm->memory, blocks, nr);
	return nr ? 0 : -EINVAL;
}

/* What can only be read is pinned for writing, too: it must not be a copy-on-write page. */
static int pin_pages(struct samsara_block *block)
{
	struct page *pages[64];
	u64 i;
	int n, k;

	for (i = 0; i < block->npages; i += n) {
		if (fatal_signal_pending(current))
			return -EINTR;
		n = pin_user_pages_fast(block->uaddr + i * PAGE_SIZE,
					min_t(u64, block->npages - i, ARRAY_SIZE(pages)),
					FOLL_LONGTERM | FOLL_WRITE, pages);
		if (n <= 0)
			return n ?: -EFAULT;
		for (k = 0; k < n; k++)
			block->pages[i + k].page = pages[k];
		cond_resched();
	}
	return 0;
}

static int pin_block(struct samsara_vm *vm, struct samsara_block *block)
{
	u64 i;
	int r;

	r = samsara_charge_locked(vm, block->npages);
	if (r)
		return r;
	block->pages = __vcalloc(block->npages, sizeof(*block->pages), SAMSARA_GFP_LARGE);
	if (!block->pages) {
		samsara_uncharge_locked(vm, block->npages);
		return -ENOMEM;
	}
	for (i = 0; i < block->npages; i++)
		block->pages[i].ram = block->ram + i;
	vm->memory.nr_pages += block->npages;
	return pin_pages(block);
}

static int pin_blocks(struct samsara_vm *vm)
{
	u32 i;
	int r;

	for (i = 0; i < vm->memory.nr_blocks; i++) {
		r = pin_block(vm, &vm->memory.blocks[i]);
		if (r)
			return r;
	}
	return 0;
}

/*
 * Pin all RAM of the VM.  Called with no vCPU in KVM_RUN, and slots frozen.  After an
 * error the caller calls samsara_memory_free().
 */
int samsara_memory_init(struct samsara_vm *vm)
{
	struct samsara_memory *memory = &vm->memory;
	int r = 0;

	lockdep_assert_held(&vm->kvm->slots_lock);
	if (!memory->registered)
		r = blocks_from_slots(vm);
	r = r ?: pin_blocks(vm);
	if (r)
		return r;
	memory->changed = __vmalloc_array(memory->nr_pages, sizeof(*memory->changed),
					  SAMSARA_GFP_LARGE);
	return memory->changed ? 0 : -ENOMEM;
}

static void unpin_block(struct samsara_vm *vm, struct samsara_block *block)
{
	u64 i;

	if (!block->pages)
		return;
	for (i = 0; i < block->npages; i++) {
		if (block->pages[i].page)
			unpin_user_pages_dirty_lock(&block->pages[i].page, 1, true);
		if (!(i % BATCH))
			cond_resched();
	}
	vfree(block->pages);
	block->pages = NULL;
	samsara_uncharge_locked(vm, block->npages);
}

/* What was registered stays so. */
void samsara_memory_free(struct samsara_vm *vm)
{
	struct samsara_memory *memory = &vm->memory;
	u32 i;

	for (i = 0; i < memory->nr_blocks; i++)
		unpin_block(vm, &memory->blocks[i]);
	memory->nr_pages = 0;
	memory->nr_changed = 0;
	vfree(memory->changed);
	memory->changed = NULL;
}

/* @ram: in pages.  NULL: no such page. */
struct samsara_block *samsara_block_of_ram(struct samsara_vm *vm, u64 ram)
{
	struct samsara_block *block;
	u32 i;

	for (i = 0; i < vm->memory.nr_blocks; i++) {
		block = &vm->memory.blocks[i];
		if (ram - block->ram < block->npages)
			return block;
	}
	return NULL;
}

struct samsara_page *samsara_ram_page(struct samsara_vm *vm, u64 ram)
{
	struct samsara_block *block = samsara_block_of_ram(vm, ram);

	return block ? &block->pages[ram - block->ram] : NULL;
}

/* The block that has all of these pages; NULL: none. */
struct samsara_block *samsara_block_of(struct samsara_vm *vm, unsigned long uaddr, u64 npages)
{
	struct samsara_block *block;
	u64 first;
	u32 i;

	for (i = 0; i < vm->memory.nr_blocks; i++) {
		block = &vm->memory.blocks[i];
		first = (uaddr - block->uaddr) >> PAGE_SHIFT;
		if (uaddr >= block->uaddr && first < block->npages &&
		    npages <= block->npages - first)
			return block;
	}
	return NULL;
}

/* Most of a guest's memory is zero when a recording starts, which is seen five times faster. */
static u64 page_sum(const void *p)
{
	u64 sum;

	if (!static_cpu_has(X86_FEATURE_AVX2))
		return smr_page_sum(p);
	kernel_fpu_begin();
	sum = smr_page_is_zero_avx2(p) ? SMR_EMPTY_PAGE : smr_page_sum_avx2(p);
	kernel_fpu_end();
	return sum;
}

static void digest_page(struct samsara_page *sp)
{
	sp->meta.digest = smr_page_digest(page_sum(page_address(sp->page)), sp->ram << PAGE_SHIFT);
}

/*
 * Digest of all RAM from its content; also (re)sets the digest of each page.  Returns 0,
 * or -EINTR if the caller was killed meanwhile.
 */
int samsara_memory_digest(struct samsara_vm *vm, u64 *digest)
{
	struct samsara_block *block;
	u64 i;
	u32 b;

	*digest = 0;
	for (b = 0; b < vm->memory.nr_blocks; b++) {
		block = &vm->memory.blocks[b];
		for (i = 0; i < block->npages; i++) {
			if (fatal_signal_pending(current))
				return -EINTR;
			digest_page(&block->pages[i]);
			*digest += block->pages[i].meta.digest;
			cond_resched();
		}
	}
	return 0;
}

/*
 * The page's content has changed, or may have.  Pages are digested when a digest
 * is wanted and not at each commit: most are written again before that.  By
 * whoever is at its commit: under commit_lock, or in replay with the turn.
 */
void samsara_page_changed(struct samsara_vm *vm, struct samsara_page *sp)
{
	struct samsara_memory *memory = &vm->memory;

	if (sp->changed || KVM_BUG_ON(memory->nr_changed >= memory->nr_pages, vm->kvm))
		return;
	sp->changed = true;
	memory->changed[memory->nr_changed++] = sp;
}

/*
 * Bring vm->memory.digest up to date.  As samsara_page_changed(), and every commit
 * so far is in memory.
 */
void samsara_digest_changes(struct samsara_vm *vm, u32 vcpu)
{
	struct samsara_memory *memory = &vm->memory;
	struct samsara_page *sp;
	u64 i, old;

	for (i = 0; i < memory->nr_changed; i++) {
		sp = memory->changed[i];
		sp->changed = false;
		if (!(i % BATCH))
			cond_resched();
		old = sp->meta.digest;
		digest_page(sp);
		if (sp->meta.digest == old)
			continue;
		memory->digest += sp->meta.digest - old;
		trace_kvm_samsara_page(vcpu, sp->ram, sp->meta.digest);
	}
	memory->nr_changed = 0;
}
