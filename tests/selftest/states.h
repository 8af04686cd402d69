/* SPDX-License-Identifier: GPL-2.0 */
/* The ioctls that read and set a vCPU's state, in pairs. */
#ifndef STATES_H
#define STATES_H

#include <linux/kvm.h>
#include <stddef.h>

#define MAX_CPUID_LEAVES	100

union vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_sregs2 sregs2;
	struct kvm_fpu fpu;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debugregs;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs;
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 leaves[MAX_CPUID_LEAVES];
	} cpuid;
};

extern const struct vcpu_state_ioctls {
	const char *name;
	unsigned long get, set;
} vcpu_states[];
extern const size_t nr_vcpu_states;

/* Before vcpu_states[i].get. */
void vcpu_state_prepare(union vcpu_state *state, size_t i);

#endif
