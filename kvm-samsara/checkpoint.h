/* SPDX-License-Identifier: GPL-2.0 */
/* Where a replay may be left, and another one begin, see checkpoint.c. */
#ifndef __KVM_X86_SAMSARA_CHECKPOINT_H
#define __KVM_X86_SAMSARA_CHECKPOINT_H

#include <linux/kvm_samsara.h>
#include <linux/types.h>

#include "core/smr_codec.h"

struct samsara_ring;
struct samsara_vcpu;
struct samsara_vm;

/* How far a stream was read before the record that is at hand. */
struct samsara_reading {
	u64 pos;
	struct smr_stream stream;
};

/* Where the replay is to begin, if not at the beginning. */
struct samsara_resume {
	struct kvm_samsara_progress *progress;	/* of each stream; NULL: the beginning */
	u8 slots[SMR_MAX_SLOTS * SMR_SLOT_BYTES];	/* as in a record, ... */
	u32 slots_len;		/* ... 0: KVM's */
};

int samsara_progress_get(struct samsara_vm *vm, u64 stream,
			 struct kvm_samsara_progress __user *uaddr);
int samsara_progress_set(struct samsara_vm *vm, u64 stream,
			 const struct kvm_samsara_progress __user *uaddr);
int samsara_slots_get(struct samsara_vm *vm, struct kvm_samsara_slots __user *uaddr);
int samsara_slots_set(struct samsara_vm *vm, const struct kvm_samsara_slots __user *uaddr);
int samsara_changed_get(struct samsara_vm *vm, const struct kvm_samsara_changed __user *uaddr);

int samsara_resume_slots(struct samsara_vm *vm);
void samsara_resume_vcpu(struct samsara_vcpu *sv);
void samsara_resume_regs(struct samsara_vcpu *sv);
void samsara_resume_vm(struct samsara_vm *vm);

#endif /* __KVM_X86_SAMSARA_CHECKPOINT_H */
