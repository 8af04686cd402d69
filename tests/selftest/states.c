// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "states.h"

#define MSR_STAR	0xc0000081

const struct vcpu_state_ioctls vcpu_states[] = {
	{ "REGS", KVM_GET_REGS, KVM_SET_REGS },
	{ "SREGS", KVM_GET_SREGS, KVM_SET_SREGS },
	{ "SREGS2", KVM_GET_SREGS2, KVM_SET_SREGS2 },
	{ "FPU", KVM_GET_FPU, KVM_SET_FPU },
	{ "XSAVE", KVM_GET_XSAVE, KVM_SET_XSAVE },
	{ "XCRS", KVM_GET_XCRS, KVM_SET_XCRS },
	{ "LAPIC", KVM_GET_LAPIC, KVM_SET_LAPIC },
	{ "MP_STATE", KVM_GET_MP_STATE, KVM_SET_MP_STATE },
	{ "VCPU_EVENTS", KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS },
	{ "DEBUGREGS", KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS },
	{ "MSRS", KVM_GET_MSRS, KVM_SET_MSRS },
	{ "CPUID2", KVM_GET_CPUID2, KVM_SET_CPUID2 },
};

const size_t nr_vcpu_states = sizeof(vcpu_states) / sizeof(vcpu_states[0]);

void vcpu_state_prepare(union vcpu_state *state, size_t i)
{
	memset(state, 0, sizeof(*state));
	if (vcpu_states[i].get == KVM_GET_MSRS) {
		state->msrs.head.nmsrs = 1;
		state->msrs.entry.index = MSR_STAR;
	} else if (vcpu_states[i].get == KVM_GET_CPUID2) {
		state->cpuid.head.nent = MAX_CPUID_LEAVES;
	}
}
