/* SPDX-License-Identifier: GPL-2.0 */
/* Where a vCPU is in its chunk, see position.c. */
#ifndef __KVM_X86_SAMSARA_POSITION_H
#define __KVM_X86_SAMSARA_POSITION_H

#include "samsara.h"

/*
 * At the same instruction, in the middle of a REP perhaps, or in another iteration of a
 * loop without a conditional branch.
 */
static inline bool samsara_same_place(const struct smr_position *a,
				      const struct smr_position *b)
{
	return a->branches == b->branches && a->rip == b->rip;
}

static inline bool samsara_same_position(const struct smr_position *a,
					 const struct smr_position *b)
{
	return samsara_same_place(a, b) && a->rcx == b->rcx;
}

static inline void samsara_position_put(struct kvm_samsara_position *to,
					const struct smr_position *from)
{
	to->branches = from->branches;
	to->jumps = from->jumps;
	to->rip = from->rip;
	to->rcx = from->rcx;
}

static inline void samsara_position_get(struct smr_position *to,
					const struct kvm_samsara_position *from)
{
	to->branches = from->branches;
	to->jumps = from->jumps;
	to->rip = from->rip;
	to->rcx = from->rcx;
}

void samsara_counts(struct samsara_vcpu *sv, struct smr_position *pos);
void samsara_position(struct samsara_vcpu *sv, struct smr_position *pos);
bool samsara_half_done(struct samsara_vcpu *sv);
bool samsara_at_start(struct samsara_vcpu *sv, const struct smr_position *pos);
bool samsara_ends_in_the_middle(struct samsara_vcpu *sv);
bool samsara_may_be_in_rep(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_POSITION_H */
