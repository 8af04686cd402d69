/* SPDX-License-Identifier: GPL-2.0 */
/* Where guest memory is in the guest's physical address space, see map.c. */
#ifndef __KVM_X86_SAMSARA_MAP_H
#define __KVM_X86_SAMSARA_MAP_H

#include <linux/kvm_host.h>
#include <linux/kvm_samsara.h>

struct samsara_page;
struct samsara_vm;
struct smr_buf;
struct smr_record;

struct samsara_slot {
	gfn_t base;
	u64 npages;
	unsigned long uaddr;
	bool readonly;
	struct samsara_page *pages;
};

/* Never changes: another one takes its place. */
struct samsara_map {
	u32 nr_slots;
	struct samsara_slot slots[KVM_SAMSARA_MAX_SLOTS];
};

/* Pages of slots that others have as well, at most. */
#define SAMSARA_MAX_ALIAS_PAGES		8192

struct samsara_map *samsara_map_from_kvm(struct samsara_vm *vm);
struct samsara_map *samsara_map_from_log(struct samsara_vm *vm, const struct smr_record *rec);
int samsara_map_to_kvm(struct samsara_vm *vm, const struct samsara_map *map);
void samsara_map_put(const struct samsara_map *map, struct smr_buf *b);
u64 samsara_max_mapped(struct samsara_vm *vm);

const struct samsara_map *samsara_map(struct samsara_vm *vm);
struct samsara_page *samsara_gfn_to_page(struct samsara_vm *vm, gfn_t gfn, bool *readonly);
bool samsara_page_to_gfn(struct samsara_vm *vm, const struct samsara_page *sp, gfn_t *gfn);

#endif /* __KVM_X86_SAMSARA_MAP_H */
