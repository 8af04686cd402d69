/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What depends on the processor's virtualisation: vmx.c and regs.c.
 */
#ifndef __KVM_X86_SAMSARA_ARCH_H
#define __KVM_X86_SAMSARA_ARCH_H

#include <linux/kvm_host.h>

#include "../vmx/vmx.h"

struct kvm_samsara_progress;
struct samsara_vcpu;

#define SAMSARA_XSAVE_BYTES		832	/* legacy, header, AVX */

/* What a chunk can change in its vCPU without an exit that ends it, see regs.c. */
struct samsara_regs {
	u64 vmcs[64];
	unsigned long regs[NR_VCPU_REGS];
	unsigned long cr2;
	u64 kernel_gs_base;
	u64 spec_ctrl;
	struct kvm_queued_exception exception;
	struct kvm_queued_interrupt interrupt;
	bool nmi_injected;
	u8 xsave[SAMSARA_XSAVE_BYTES] __aligned(64);
};

/* Of the last exit. */
static inline u16 samsara_exit_reason(struct kvm_vcpu *vcpu)
{
	return to_vmx(vcpu)->exit_reason.basic;
}

/* An event whose delivery was interrupted by an exit waits for re-injection. */
static inline bool samsara_event_requeued(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.exception.injected || vcpu->arch.nmi_injected ||
	       vcpu->arch.interrupt.injected;
}

/* vmx.c */
void samsara_normalise(struct samsara_vcpu *sv);
void samsara_reinject(struct kvm_vcpu *vcpu);
void samsara_set_event_flags(struct kvm_vcpu *vcpu, u32 info);
void samsara_drop_events(struct kvm_vcpu *vcpu);
void samsara_set_windows(struct kvm_vcpu *vcpu, bool interrupt, bool nmi);
void samsara_set_stepping(struct samsara_vcpu *sv, bool on);
bool samsara_breakpoint_fires_here(struct samsara_vcpu *sv);
bool samsara_guest_breaks(struct kvm_vcpu *vcpu);
int samsara_run_exit_handler(struct samsara_vcpu *sv);

/* The others neither touch guest memory nor take or give data. */
static inline bool samsara_exit_needs_section(u16 reason)
{
	return reason != EXIT_REASON_INTERRUPT_WINDOW &&
	       reason != EXIT_REASON_NMI_WINDOW && reason != EXIT_REASON_HLT;
}

/* regs.c */
unsigned long samsara_regs_rip(const struct samsara_regs *regs);
void samsara_regs_flush(struct kvm_vcpu *vcpu);
void samsara_regs_save(struct samsara_vcpu *sv);
void samsara_regs_restore(struct samsara_vcpu *sv);
void samsara_regs_settle(struct kvm_vcpu *vcpu);
void samsara_regs_get_hidden(struct kvm_vcpu *vcpu, struct kvm_samsara_progress *progress);
void samsara_regs_set_hidden(struct kvm_vcpu *vcpu, const struct kvm_samsara_progress *progress);
void samsara_chain_inputs(struct samsara_vcpu *sv, const u8 *inputs, u32 len);
void samsara_chain_state(struct samsara_vcpu *sv, const u8 *inputs, u32 len);

#endif /* __KVM_X86_SAMSARA_ARCH_H */
