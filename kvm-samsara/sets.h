/* SPDX-License-Identifier: GPL-2.0 */
/* The read-set and write-set of a chunk that is replayed, see sets.c. */
#ifndef __KVM_X86_SAMSARA_SETS_H
#define __KVM_X86_SAMSARA_SETS_H

#include <linux/mutex.h>
#include <linux/types.h>

struct kvm_samsara_sets;
struct samsara_vcpu;
struct samsara_vm;

struct samsara_sets {
	u64 wanted;		/* the chunk with this number is to be noted; 0: none */
	struct mutex lock;	/* of the rest; commit may be read without */
	u64 commit;		/* the last chunk that has begun and is noted; 0: none has */
	bool noted;		/* it has come to its end */
	int error;		/* a negative errno: what it has used is not known */
	u32 vcpu;
	u64 *pages;		/* as user space gets them */
	u32 nr;
	u32 room;
};

void samsara_sets_init(struct samsara_vm *vm);
void samsara_sets_free(struct samsara_vm *vm);
void samsara_sets_want(struct samsara_vm *vm, u64 commit);
void samsara_sets_begin(struct samsara_vcpu *sv);
void samsara_sets_note(struct samsara_vcpu *sv);
int samsara_sets_get(struct samsara_vm *vm, struct kvm_samsara_sets __user *uaddr);

#endif /* __KVM_X86_SAMSARA_SETS_H */
