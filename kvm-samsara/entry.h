/* SPDX-License-Identifier: GPL-2.0 */
/* What KVM calls on the way into the guest and out of it, see entry.c. */
#ifndef __KVM_X86_SAMSARA_ENTRY_H
#define __KVM_X86_SAMSARA_ENTRY_H

#include "samsara.h"

int samsara_pre_enter(struct kvm_vcpu *vcpu);
bool samsara_owns_events(struct kvm_vcpu *vcpu);
int samsara_complete_io(struct kvm_vcpu *vcpu, kvm_samsara_cui_t cui);
void samsara_leave(struct kvm_vcpu *vcpu);

#endif /* __KVM_X86_SAMSARA_ENTRY_H */
