/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's memory, see memory.c. */
#ifndef __KVM_X86_SAMSARA_MEMORY_H
#define __KVM_X86_SAMSARA_MEMORY_H

#include <linux/kvm_host.h>
#include <linux/kvm_samsara.h>

#include "core/smr_order.h"

struct samsara_map;
struct samsara_vm;

/* One page of guest RAM. */
struct samsara_page {
	struct smr_page meta;
	struct page *page;
	u64 ram;		/* its RAM address, in pages */
	u64 owners;		/* vCPUs with rights to it; under vm->pages_lock */
	bool exclusive;		/* the one owner may write it; under vm->pages_lock */
	bool changed;		/* since its digest was taken; it is in samsara_memory.changed */
};

/* RAM that has one piece in the host's address space, in pages but for uaddr. */
struct samsara_block {
	u64 ram;
	u64 npages;
	unsigned long uaddr;
	struct samsara_page *pages;	/* NULL: not pinned yet */
};

struct samsara_memory {
	struct samsara_block blocks[KVM_SAMSARA_MAX_RAM];
	u32 nr_blocks;
	bool registered;	/* by user space; otherwise blocks are what slots there are at START */
	u64 nr_pages;
	struct samsara_map *map;	/* where they are; see map.c */
	u64 digest;		/* of all pages, but for what has changed since */
	struct samsara_page **changed;
	u64 nr_changed;
};

/* For memory that grows with the guest or its owner's wishes: rather refuse than kill or warn. */
#define SAMSARA_GFP_LARGE	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)
/* An EPT of four levels maps so many pages. */
#define SAMSARA_MAX_GFNS	(1ull << (48 - PAGE_SHIFT))

int samsara_memory_register(struct samsara_vm *vm, const struct kvm_samsara_ram_block *blocks,
			    u32 nr);
int samsara_memory_init(struct samsara_vm *vm);
void samsara_memory_free(struct samsara_vm *vm);
int samsara_charge_locked(struct samsara_vm *vm, u64 pages);
void samsara_uncharge_locked(struct samsara_vm *vm, u64 pages);
struct samsara_block *samsara_block_of_ram(struct samsara_vm *vm, u64 ram);
struct samsara_page *samsara_ram_page(struct samsara_vm *vm, u64 ram);
struct samsara_block *samsara_block_of(struct samsara_vm *vm, unsigned long uaddr, u64 npages);
int samsara_memory_digest(struct samsara_vm *vm, u64 *digest);
void samsara_page_changed(struct samsara_vm *vm, struct samsara_page *sp);
void samsara_digest_changes(struct samsara_vm *vm, u32 vcpu);

#endif /* __KVM_X86_SAMSARA_MEMORY_H */
