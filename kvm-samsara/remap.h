/* SPDX-License-Identifier: GPL-2.0 */
/* Changes of the memory map, see remap.c. */
#ifndef __KVM_X86_SAMSARA_REMAP_H
#define __KVM_X86_SAMSARA_REMAP_H

#include <linux/mutex.h>
#include <linux/types.h>

#include "core/smr_codec.h"

struct kvm;
struct samsara_ring;
struct samsara_vcpu;
struct samsara_vm;
struct smr_record;
struct task_struct;

struct samsara_remap {
	bool changing;		/* no chunk and no section may begin; written under commit_lock */
	struct task_struct *changer;	/* may change KVM's slots, and vCPUs; never followed */
	u32 version;		/* of the memory map */
	struct mutex ept_lock;
	u8 bytes[SMR_MAX_SLOTS * SMR_SLOT_BYTES];	/* of a record, under commit_lock */
};

int samsara_lock_for_change(struct samsara_vm *vm, struct samsara_ring *ring, u32 bytes);
int samsara_remap_begin(struct samsara_vm *vm);
int samsara_remap_end(struct samsara_vm *vm);
int samsara_remap_replay(struct samsara_vm *vm, const struct smr_record *rec);
bool samsara_slots_frozen(struct kvm *kvm);

int samsara_wait_for_map(struct samsara_vcpu *sv);
int samsara_wait_for_map_killable(struct samsara_vcpu *sv);
int samsara_follow_map(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_REMAP_H */
