// SPDX-License-Identifier: GPL-2.0
/*
 * The memory map: which page of RAM is where in the guest's physical address space.
 *
 * Pages are named by their RAM address, since the map may change: a firmware copies itself
 * to RAM that lies under its ROM and uncovers it, a PCI device's memory moves.  A page that
 * no slot has is a page all the same, which a device may write.  A page that two slots have
 * must not be written through either: a vCPU's private copy of it would be at one
 * of its addresses only.
 *
 * Everybody may look at the map without a lock: in KVM_RUN, which holds kvm->srcu, or with
 * commit_lock.  remap.c says when another one takes its place.
 */
#include "map.h"
#include "memory.h"
#include "samsara.h"

static_assert(KVM_SAMSARA_MAX_SLOTS == SMR_MAX_SLOTS);

/* What slots may have in all: bounds what a chunk can have accessed. */
u64 samsara_max_mapped(struct samsara_vm *vm)
{
	return vm->memory.nr_pages + SAMSARA_MAX_ALIAS_PAGES;
}

static bool share_pages(const struct samsara_slot *a, const struct samsara_slot *b)
{
	return a->pages < b->pages + b->npages && b->pages < a->pages + a->npages;
}

static int check_map(struct samsara_vm *vm, const struct samsara_map *map)
{
	const struct samsara_slot *a, *b;
	u64 npages = 0;
	u32 i, k;

	for (i = 0; i < map->nr_slots; i++) {
		a = &map->slots[i];
		npages += a->npages;
		for (k = 0; k < i; k++) {
			b = &map->slots[k];
			if (share_pages(a, b) && !(a->readonly && b->readonly)) {
				pr_warn_ratelimited("samsara: memory that is in two slots, and can be written, can't be recorded\n");
				return -EOPNOTSUPP;
			}
		}
	}
	return npages <= samsara_max_mapped(vm) ? 0 : -E2BIG;
}

static int add_slot(struct samsara_vm *vm, struct samsara_map *map, gfn_t base, u64 npages,
		    unsigned long uaddr, bool readonly)
{
	struct samsara_block *block;

	if (map->nr_slots == KVM_SAMSARA_MAX_SLOTS)
		return -E2BIG;
	if (base + npages > SAMSARA_MAX_GFNS) {
		pr_warn_ratelimited("samsara: memory above 2^48 can't be recorded\n");
		return -EOPNOTSUPP;
	}
	block = samsara_block_of(vm, uaddr, npages);
	if (!block) {
		pr_warn_ratelimited("samsara: a memory slot has memory that was not there at the start\n");
		return -EFAULT;
	}
	map->slots[map->nr_slots++] = (struct samsara_slot) {
		.base = base,
		.npages = npages,
		.uaddr = uaddr,
		.readonly = readonly,
		.pages = &block->pages[(uaddr - block->uaddr) >> PAGE_SHIFT],
	};
	return 0;
}

static int add_memslot(struct samsara_vm *vm, struct samsara_map *map,
		       const struct kvm_memory_slot *memslot)
{
	if (memslot->flags & KVM_MEM_LOG_DIRTY_PAGES)
		return -EBUSY;
	return add_slot(vm, map, memslot->base_gfn, memslot->npages, memslot->userspace_addr,
			memslot->flags & KVM_MEM_READONLY);
}

/* What KVM's slots say.  Or an ERR_PTR. */
struct samsara_map *samsara_map_from_kvm(struct samsara_vm *vm)
{
	struct kvm_memory_slot *memslot;
	struct samsara_map *map;
	int bkt, r = 0;

	lockdep_assert_held(&vm->kvm->slots_lock);
	map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);
	kvm_for_each_memslot(memslot, bkt, kvm_memslots(vm->kvm)) {
		if (memslot->id >= KVM_USER_MEM_SLOTS)
			continue;
		r = add_memslot(vm, map, memslot);
		if (r)
			break;
	}
	r = r ?: check_map(vm, map);
	if (r) {
		kfree(map);
		return ERR_PTR(r);
	}
	return map;
}

static int add_logged_slot(struct samsara_vm *vm, struct samsara_map *map,
			   const struct smr_slot *slot)
{
	u64 ram = slot->ram >> PAGE_SHIFT;
	struct samsara_block *block = samsara_block_of_ram(vm, ram);

	if (!block)
		return -EFAULT;
	return add_slot(vm, map, gpa_to_gfn(slot->gpa), slot->size >> PAGE_SHIFT,
			block->uaddr + ((ram - block->ram) << PAGE_SHIFT), slot->readonly);
}

/* What the record says.  Or an ERR_PTR. */
struct samsara_map *samsara_map_from_log(struct samsara_vm *vm, const struct smr_record *rec)
{
	struct smr_cursor c = { .p = rec->data, .end = rec->data + rec->data_len };
	struct samsara_map *map;
	struct smr_slot slot;
	u64 last_tsc = 0;
	int r = 0;

	if (smr_check_record(rec, &last_tsc))
		return ERR_PTR(-EBADMSG);
	map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);
	while (!r && smr_next_slot(&c, &slot) > 0)
		r = add_logged_slot(vm, map, &slot);
	r = r ?: check_map(vm, map);
	if (r) {
		kfree(map);
		return ERR_PTR(r);
	}
	return map;
}

/* As the data of a record. */
void samsara_map_put(const struct samsara_map *map, struct smr_buf *b)
{
	const struct samsara_slot *slot;
	u32 i;

	for (i = 0; i < map->nr_slots; i++) {
		slot = &map->slots[i];
		smr_put_slot(b, &(struct smr_slot) {
			.gpa = gfn_to_gpa(slot->base),
			.size = slot->npages << PAGE_SHIFT,
			.ram = slot->pages->ram << PAGE_SHIFT,
			.readonly = slot->readonly,
		});
	}
}

static bool same_slot(const struct samsara_slot *slot, const struct kvm_memory_slot *memslot)
{
	return slot->base == memslot->base_gfn && slot->npages == memslot->npages &&
	       slot->uaddr == memslot->userspace_addr &&
	       slot->readonly == !!(memslot->flags & KVM_MEM_READONLY);
}

static bool in_map(const struct samsara_map *map, const struct kvm_memory_slot *memslot)
{
	u32 i;

	for (i = 0; i < map->nr_slots; i++)
		if (same_slot(&map->slots[i], memslot))
			return true;
	return false;
}

static struct kvm_memory_slot *find_surplus(struct kvm *kvm, const struct samsara_map *map)
{
	struct kvm_memory_slot *memslot;
	int bkt;

	kvm_for_each_memslot(memslot, bkt, kvm_memslots(kvm))
		if (memslot->id < KVM_USER_MEM_SLOTS && !in_map(map, memslot))
			return memslot;
	return NULL;
}

static bool in_kvm(struct kvm *kvm, const struct samsara_slot *slot)
{
	struct kvm_memory_slot *memslot;
	int bkt;

	kvm_for_each_memslot(memslot, bkt, kvm_memslots(kvm))
		if (memslot->id < KVM_USER_MEM_SLOTS && same_slot(slot, memslot))
			return true;
	return false;
}

static int create_slot(struct kvm *kvm, const struct samsara_slot *slot)
{
	struct kvm_userspace_memory_region region = {
		.flags = slot->readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gfn_to_gpa(slot->base),
		.memory_size = slot->npages << PAGE_SHIFT,
		.userspace_addr = slot->uaddr,
	};

	while (id_to_memslot(kvm_memslots(kvm), region.slot))
		region.slot++;
	return __kvm_set_memory_region(kvm, &region);
}

/*
 * Make KVM's slots what the map says; what is so already stays.  By a thread of the VM's
 * owner, without kvm->srcu: KVM waits until nobody looks at the old ones.
 */
int samsara_map_to_kvm(struct samsara_vm *vm, const struct samsara_map *map)
{
	struct kvm_userspace_memory_region none = {};
	struct kvm_memory_slot *memslot;
	u32 i;
	int r = 0;

	lockdep_assert_held(&vm->kvm->slots_lock);
	while (!r && (memslot = find_surplus(vm->kvm, map))) {
		none.slot = memslot->id;
		r = __kvm_set_memory_region(vm->kvm, &none);
	}
	for (i = 0; !r && i < map->nr_slots; i++)
		if (!in_kvm(vm->kvm, &map->slots[i]))
			r = create_slot(vm->kvm, &map->slots[i]);
	return r;
}

const struct samsara_map *samsara_map(struct samsara_vm *vm)
{
	/* Pairs with the release in replace_map(): all of it is there. */
	return smp_load_acquire(&vm->memory.map);
}

/* NULL: no RAM there, so an access is MMIO. */
struct samsara_page *samsara_gfn_to_page(struct samsara_vm *vm, gfn_t gfn, bool *readonly)
{
	const struct samsara_map *map = samsara_map(vm);
	const struct samsara_slot *slot;
	u32 i;

	for (i = 0; i < map->nr_slots; i++) {
		slot = &map->slots[i];
		if (gfn - slot->base < slot->npages) {
			if (readonly)
				*readonly = slot->readonly;
			return &slot->pages[gfn - slot->base];
		}
	}
	return NULL;
}

/* Where the guest can write the page, if it can; false: it is nowhere. */
bool samsara_page_to_gfn(struct samsara_vm *vm, const struct samsara_page *sp, gfn_t *gfn)
{
	const struct samsara_map *map = samsara_map(vm);
	const struct samsara_slot *slot;
	u32 i;

	for (i = 0; i < map->nr_slots; i++) {
		slot = &map->slots[i];
		if (sp >= slot->pages && sp < slot->pages + slot->npages) {
			*gfn = slot->base + (sp - slot->pages);
			return true;
		}
	}
	return false;
}
