/* SPDX-License-Identifier: GPL-2.0 */
/* The VM as a whole, see vm.c. */
#ifndef __KVM_X86_SAMSARA_VM_H
#define __KVM_X86_SAMSARA_VM_H

#include "samsara.h"

int samsara_fail_init(void);
void samsara_fail_exit(void);
void samsara_signal_user(struct samsara_vm *vm);
bool samsara_frozen(struct kvm *kvm);
void samsara_fail(struct samsara_vm *vm, int error, const char *why);
void samsara_fail_from(struct samsara_vm *vm, u64 n, int error, const char *why);
bool samsara_holds_guest(struct samsara_vm *vm);
void samsara_request_end(struct samsara_vcpu *sv);
int samsara_bring_to_boundary(struct samsara_vm *vm);
int samsara_stop_world(struct samsara_vm *vm);
void samsara_start_world(struct samsara_vm *vm);
int samsara_lock_vcpus(struct kvm *kvm);
void samsara_unlock_vcpus(struct kvm *kvm);

/*
 * User space wants its thread back and has said so before KVM_RUN, where there was no sleep
 * to interrupt: a completion of an exit comes before KVM looks for that.
 */
static inline bool samsara_unwanted(struct samsara_vcpu *sv)
{
	return READ_ONCE(sv->vcpu->run->immediate_exit);
}

/*
 * A vCPU's thread, in KVM_RUN: sleep until @cond.  True if a signal came; KVM_RUN
 * then returns -EINTR.
 */
#define samsara_wait_interrupted(sv, cond)					\
({										\
	int __r;								\
										\
	kvm_vcpu_srcu_read_unlock((sv)->vcpu);					\
	if (samsara_unwanted(sv))						\
		__r = (cond) ? 0 : -EINTR;					\
	else									\
		__r = wait_event_interruptible((sv)->vm->wq, cond);		\
	kvm_vcpu_srcu_read_lock((sv)->vcpu);					\
	if (__r)								\
		(sv)->vcpu->run->exit_reason = KVM_EXIT_INTR;			\
	__r != 0;								\
})

/* The same, without sleeping: has a signal come? */
static inline bool samsara_interrupted(struct samsara_vcpu *sv)
{
	if (!signal_pending(current) && !samsara_unwanted(sv))
		return false;
	sv->vcpu->run->exit_reason = KVM_EXIT_INTR;
	return true;
}

#endif /* __KVM_X86_SAMSARA_VM_H */
