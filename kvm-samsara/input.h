/* SPDX-License-Identifier: GPL-2.0 */
/* What comes into the guest from outside, see input.c. */
#ifndef __KVM_X86_SAMSARA_INPUT_H
#define __KVM_X86_SAMSARA_INPUT_H

#include "samsara.h"

/* For one more input of a chunk that records. */
static inline bool samsara_has_input_room(struct samsara_vcpu *sv)
{
	return sv->inputs.len + SAMSARA_INPUT_RESERVE <= SAMSARA_CHUNK_INPUT_BYTES;
}

bool samsara_bus_before(struct kvm_vcpu *vcpu, enum kvm_bus bus, bool in, gpa_t addr, int len,
			void *data, int *r);
void samsara_bus_after(struct kvm_vcpu *vcpu, enum kvm_bus bus, bool in, gpa_t addr, int len,
		       const void *data, int r);
bool samsara_msr_before(struct kvm_vcpu *vcpu, bool in, u32 index, u64 *data, int *r);
void samsara_msr_after(struct kvm_vcpu *vcpu, bool in, u32 index, u64 data, int r);
void samsara_note_init(struct kvm_vcpu *vcpu);
void samsara_note_sipi(struct kvm_vcpu *vcpu, u8 vector);
int samsara_give_tsc(struct kvm_vcpu *vcpu, u64 tsc, bool rdtscp);
bool samsara_take_tsc(struct samsara_vcpu *sv, bool rdtscp);
int samsara_emulate_rdtsc(struct samsara_vcpu *sv, bool rdtscp);
void samsara_user_input(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_INPUT_H */
