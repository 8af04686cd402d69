/* SPDX-License-Identifier: GPL-2.0 */
/* A vCPU's state set by user space, see state.c. */
#ifndef __KVM_X86_SAMSARA_STATE_H
#define __KVM_X86_SAMSARA_STATE_H

#include "samsara.h"

bool samsara_state_changes(struct kvm_vcpu *vcpu);
void samsara_forget_exit(struct samsara_vcpu *sv);
int samsara_state_set(struct samsara_vm *vm, u64 id, const struct kvm_samsara_vcpu_state *state);
int samsara_state_get(struct samsara_vm *vm, u64 id, struct kvm_samsara_vcpu_state __user *uaddr);

#endif /* __KVM_X86_SAMSARA_STATE_H */
