/* SPDX-License-Identifier: GPL-2.0 */
/* What vmx.c calls.  Only for vCPUs with vcpu->arch.samsara, but for samsara_handle_exit(). */
#ifndef __KVM_X86_SAMSARA_VMX_HOOKS_H
#define __KVM_X86_SAMSARA_VMX_HOOKS_H

#include "hooks.h"

#ifdef CONFIG_KVM_SAMSARA

int samsara_init(void);
void samsara_exit(void);

/* Last thing before VM-entry, IRQs off: opens a chunk or goes on with it. */
void samsara_before_entry(struct kvm_vcpu *vcpu);
/* Right after VM-exit, IRQs off, before KVM has looked at it: is the guest to be entered again? */
bool samsara_resume_at_once(struct kvm_vcpu *vcpu);
/* When it has. */
fastpath_t samsara_fastpath(struct kvm_vcpu *vcpu);
/* In place of __vmx_handle_exit(), same return value; for all vCPUs that can be recorded. */
int samsara_handle_exit(struct kvm_vcpu *vcpu, fastpath_t exit_fastpath);

/* In vmx.c: KVM's own handling of the last exit. */
int __vmx_handle_exit(struct kvm_vcpu *vcpu, fastpath_t exit_fastpath);

#else

static inline int samsara_init(void) { return 0; }
static inline void samsara_exit(void) {}
static inline void samsara_before_entry(struct kvm_vcpu *vcpu) {}
static inline bool samsara_resume_at_once(struct kvm_vcpu *vcpu)
{
	return false;
}
static inline fastpath_t samsara_fastpath(struct kvm_vcpu *vcpu)
{
	return EXIT_FASTPATH_NONE;
}
static inline int samsara_handle_exit(struct kvm_vcpu *vcpu, fastpath_t exit_fastpath)
{
	return 0;
}

int __vmx_handle_exit(struct kvm_vcpu *vcpu, fastpath_t exit_fastpath);

#endif

#endif /* __KVM_X86_SAMSARA_VMX_HOOKS_H */
