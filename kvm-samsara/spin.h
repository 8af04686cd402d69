/* SPDX-License-Identifier: GPL-2.0 */
/* Guests that wait in a loop for another processor, see spin.c. */
#ifndef __KVM_X86_SAMSARA_SPIN_H
#define __KVM_X86_SAMSARA_SPIN_H

#include <linux/types.h>

#include "core/smr_spin.h"

struct samsara_vcpu;

/* Of a vCPU */
struct samsara_spin {
	struct smr_spin looks;
	struct smr_rounds rounds;
	u64 next;		/* host cycle of the next look */
	bool found;		/* the last one has found that the guest spins */
	bool timer_armed;
};

void samsara_spin_init(struct samsara_vcpu *sv);
void samsara_spin_begin(struct samsara_vcpu *sv);
void samsara_arm_timer(struct samsara_vcpu *sv);
void samsara_disarm_timer(struct samsara_vcpu *sv);
void samsara_spin_look(struct samsara_vcpu *sv);
bool samsara_spin_read_tsc(struct samsara_vcpu *sv, u64 rip, u64 rsp);
void samsara_note_spin(struct samsara_vcpu *sv);
u64 samsara_spin_time(const struct samsara_vcpu *sv, u64 now);

#endif /* __KVM_X86_SAMSARA_SPIN_H */
