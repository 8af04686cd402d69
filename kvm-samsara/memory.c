// SPDX-License-Identifier: GPL-2.0
/*
 * Guest RAM of a recording VM: pinned, with a version and a digest per page.
 *
 * RULE 5: the pages are pinned for as long as the VM exists
 * (FOLL_LONGTERM), so no reclaim, migration, KSM or NUMA balancing can move
 * them under a private EPT, which MMU notifiers don't reach.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <asm/fpu/api.h>

#include "samsara.h"
#include "trace.h"

static int pin_slot(struct samsara_vm *vm, const struct kvm_memory_slot *memslot)
{
	unsigned int flags = FOLL_LONGTERM | FOLL_WRITE;
	struct samsara_slot *slot;
	struct page **pages;
	u64 i;
	int n;

	if (vm->nr_slots == SAMSARA_MAX_SLOTS)
		return -E2BIG;
	if (memslot->flags & KVM_MEM_LOG_DIRTY_PAGES)
		return -EBUSY;

	slot = &vm->slots[vm->nr_slots];
	slot->base = memslot->base_gfn;
	slot->npages = memslot->npages;
	slot->readonly = memslot->flags & KVM_MEM_READONLY;
	slot->pages = vcalloc(slot->npages, sizeof(*slot->pages));
	pages = vcalloc(slot->npages, sizeof(*pages));
	if (!slot->pages || !pages) {
		vfree(slot->pages);
		vfree(pages);
		return -ENOMEM;
	}
	vm->nr_slots++;

	/* Even a read-only slot is pinned for writing: it must not be a copy-on-write page. */
	for (i = 0; i < slot->npages; i += n) {
		n = pin_user_pages_fast(memslot->userspace_addr + i * PAGE_SIZE,
					min_t(u64, slot->npages - i, 1024),
					flags, pages + i);
		if (n <= 0) {
			vfree(pages);
			return n ?: -EFAULT;
		}
		for (int k = 0; k < n; k++) {
			slot->pages[i + k].page = pages[i + k];
			slot->pages[i + k].gfn = slot->base + i + k;
		}
		cond_resched();
	}
	vfree(pages);
	vm->nr_pages += slot->npages;
	return 0;
}

/* Pin all memory slots of the VM.  Called with no vCPU in KVM_RUN. */
int samsara_memory_init(struct samsara_vm *vm)
{
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
	vm->changed = vmalloc_array(vm->nr_pages, sizeof(*vm->changed));
	return vm->changed ? 0 : -ENOMEM;
}

void samsara_memory_free(struct samsara_vm *vm)
{
	struct samsara_slot *slot;
	u64 i;

	while (vm->nr_slots) {
		slot = &vm->slots[--vm->nr_slots];
		for (i = 0; i < slot->npages; i++)
			if (slot->pages[i].page)
				unpin_user_pages_dirty_lock(&slot->pages[i].page, 1,
							    true);
		vfree(slot->pages);
	}
	vm->nr_pages = 0;
	vfree(vm->changed);
	vm->changed = NULL;
}

/* NULL: no RAM there, so an access is MMIO. */
struct samsara_page *samsara_gfn_to_page(struct samsara_vm *vm, gfn_t gfn, bool *readonly)
{
	struct samsara_slot *slot;
	u32 i;

	for (i = 0; i < vm->nr_slots; i++) {
		slot = &vm->slots[i];
		if (gfn - slot->base < slot->npages) {
			if (readonly)
				*readonly = slot->readonly;
			return &slot->pages[gfn - slot->base];
		}
	}
	return NULL;
}

static void digest_page(struct samsara_page *sp)
{
	const void *p = page_address(sp->page);
	u64 sum;

	if (static_cpu_has(X86_FEATURE_AVX2)) {
		kernel_fpu_begin();
		sum = smr_page_sum_avx2(p);
		kernel_fpu_end();
	} else {
		sum = smr_page_sum(p);
	}
	sp->meta.digest = smr_page_digest(sum, gfn_to_gpa(sp->gfn));
}

/* Digest of all RAM from its content; also (re)sets the digest of each page. */
u64 samsara_memory_digest(struct samsara_vm *vm)
{
	struct samsara_slot *slot;
	u64 sum = 0;
	u64 i;
	u32 s;

	for (s = 0; s < vm->nr_slots; s++) {
		slot = &vm->slots[s];
		for (i = 0; i < slot->npages; i++) {
			digest_page(&slot->pages[i]);
			sum += slot->pages[i].meta.digest;
			cond_resched();
		}
	}
	return sum;
}

/*
 * The page's content has changed, or may have.  Pages are digested when a digest
 * is wanted and not at each commit: most are written again before that.  By
 * whoever is at its commit: under commit_lock, or in replay with the turn.
 */
void samsara_page_changed(struct samsara_vm *vm, struct samsara_page *sp)
{
	if (sp->changed)
		return;
	sp->changed = true;
	vm->changed[vm->nr_changed++] = sp;
}

/*
 * Bring vm->mem_digest up to date.  As samsara_page_changed(), and every commit
 * so far is in memory.
 */
void samsara_digest_changes(struct samsara_vm *vm, u32 vcpu)
{
	struct samsara_page *sp;
	u64 i, old;

	for (i = 0; i < vm->nr_changed; i++) {
		sp = vm->changed[i];
		sp->changed = false;
		old = sp->meta.digest;
		digest_page(sp);
		if (sp->meta.digest == old)
			continue;
		vm->mem_digest += sp->meta.digest - old;
		trace_kvm_samsara_page(vcpu, sp->gfn, sp->meta.digest);
	}
	vm->nr_changed = 0;
}
