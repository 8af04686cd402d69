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

static bool overlap(const struct kvm_memory_slot *a, const struct kvm_memory_slot *b)
{
	return a->userspace_addr < b->userspace_addr + b->npages * PAGE_SIZE &&
	       b->userspace_addr < a->userspace_addr + a->npages * PAGE_SIZE;
}

/* The same memory at two places would be two pages to us, each with its own history. */
static bool is_alias(struct kvm *kvm, const struct kvm_memory_slot *memslot)
{
	struct kvm_memory_slot *other;
	int bkt;

	kvm_for_each_memslot(other, bkt, kvm_memslots(kvm))
		if (other != memslot && other->id < KVM_USER_MEM_SLOTS &&
		    overlap(other, memslot))
			return true;
	return false;
}

static int check_slot(struct samsara_vm *vm, const struct kvm_memory_slot *memslot)
{
	if (vm->memory.nr_slots == KVM_SAMSARA_MAX_SLOTS)
		return -E2BIG;
	if (memslot->flags & KVM_MEM_LOG_DIRTY_PAGES)
		return -EBUSY;
	if (memslot->base_gfn + memslot->npages > SAMSARA_MAX_GFNS) {
		pr_warn_ratelimited("samsara: memory above 2^48 can't be recorded\n");
		return -EOPNOTSUPP;
	}
	if (is_alias(vm->kvm, memslot)) {
		pr_warn_ratelimited("samsara: memory that is in two slots can't be recorded\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

/* Even a read-only slot is pinned for writing: it must not be a copy-on-write page. */
static int pin_pages(struct samsara_slot *slot, unsigned long addr)
{
	struct page *pages[64];
	u64 i;
	int n, k;

	for (i = 0; i < slot->npages; i += n) {
		if (fatal_signal_pending(current))
			return -EINTR;
		n = pin_user_pages_fast(addr + i * PAGE_SIZE,
					min_t(u64, slot->npages - i, ARRAY_SIZE(pages)),
					FOLL_LONGTERM | FOLL_WRITE, pages);
		if (n <= 0)
			return n ?: -EFAULT;
		for (k = 0; k < n; k++)
			slot->pages[i + k].page = pages[k];
		cond_resched();
	}
	return 0;
}

static int pin_slot(struct samsara_vm *vm, const struct kvm_memory_slot *memslot)
{
	struct samsara_slot *slot;
	u64 i;
	int r;

	r = check_slot(vm, memslot);
	if (r)
		return r;
	slot = &vm->memory.slots[vm->memory.nr_slots];
	slot->base = memslot->base_gfn;
	slot->npages = memslot->npages;
	slot->readonly = memslot->flags & KVM_MEM_READONLY;
	r = samsara_charge_locked(vm, slot->npages);
	if (r)
		return r;
	slot->pages = __vcalloc(slot->npages, sizeof(*slot->pages), SAMSARA_GFP_LARGE);
	if (!slot->pages) {
		samsara_uncharge_locked(vm, slot->npages);
		return -ENOMEM;
	}
	for (i = 0; i < slot->npages; i++)
		slot->pages[i].gfn = slot->base + i;
	vm->memory.nr_slots++;
	vm->memory.nr_pages += slot->npages;
	return pin_pages(slot, memslot->userspace_addr);
}

/*
 * Pin all memory slots of the VM.  Called with no vCPU in KVM_RUN, and slots frozen: a
 * change that came earlier is over when we get slots_lock.  After an error the caller
 * calls samsara_memory_free().
 */
int samsara_memory_init(struct samsara_vm *vm)
{
	struct samsara_memory *memory = &vm->memory;
	struct kvm_memory_slot *memslot;
	struct kvm_memslots *slots;
	int bkt, r = 0;

	mutex_lock(&vm->kvm->slots_lock);
	slots = kvm_memslots(vm->kvm);
	kvm_for_each_memslot(memslot, bkt, slots) {
		if (memslot->id >= KVM_USER_MEM_SLOTS)
			continue;
		r = pin_slot(vm, memslot);
		if (r)
			break;
	}
	mutex_unlock(&vm->kvm->slots_lock);
	if (r)
		return r;
	if (!memory->nr_pages)
		return -EINVAL;
	memory->changed = __vmalloc_array(memory->nr_pages, sizeof(*memory->changed),
					  SAMSARA_GFP_LARGE);
	return memory->changed ? 0 : -ENOMEM;
}

void samsara_memory_free(struct samsara_vm *vm)
{
	struct samsara_memory *memory = &vm->memory;
	struct samsara_slot *slot;
	u64 i;

	while (memory->nr_slots) {
		slot = &memory->slots[--memory->nr_slots];
		for (i = 0; i < slot->npages; i++) {
			if (slot->pages[i].page)
				unpin_user_pages_dirty_lock(&slot->pages[i].page, 1,
							    true);
			if (!(i % BATCH))
				cond_resched();
		}
		vfree(slot->pages);
		samsara_uncharge_locked(vm, slot->npages);
	}
	memory->nr_pages = 0;
	memory->nr_changed = 0;
	vfree(memory->changed);
	memory->changed = NULL;
}

/* NULL: no RAM there, so an access is MMIO. */
struct samsara_page *samsara_gfn_to_page(struct samsara_vm *vm, gfn_t gfn, bool *readonly)
{
	struct samsara_memory *memory = &vm->memory;
	struct samsara_slot *slot;
	u32 i;

	for (i = 0; i < memory->nr_slots; i++) {
		slot = &memory->slots[i];
		if (gfn - slot->base < slot->npages) {
			if (readonly)
				*readonly = slot->readonly;
			return &slot->pages[gfn - slot->base];
		}
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
	sp->meta.digest = smr_page_digest(page_sum(page_address(sp->page)), gfn_to_gpa(sp->gfn));
}

/*
 * Digest of all RAM from its content; also (re)sets the digest of each page.  Returns 0,
 * or -EINTR if the caller was killed meanwhile.
 */
int samsara_memory_digest(struct samsara_vm *vm, u64 *digest)
{
	struct samsara_slot *slot;
	u64 i;
	u32 s;

	*digest = 0;
	for (s = 0; s < vm->memory.nr_slots; s++) {
		slot = &vm->memory.slots[s];
		for (i = 0; i < slot->npages; i++) {
			if (fatal_signal_pending(current))
				return -EINTR;
			digest_page(&slot->pages[i]);
			*digest += slot->pages[i].meta.digest;
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
		trace_kvm_samsara_page(vcpu, sp->gfn, sp->meta.digest);
	}
	memory->nr_changed = 0;
}
