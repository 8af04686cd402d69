/* SPDX-License-Identifier: GPL-2.0 */
/* The instruction a vCPU is at, see insn.c. */
#ifndef __KVM_X86_SAMSARA_INSN_H
#define __KVM_X86_SAMSARA_INSN_H

#include "samsara.h"

/* A string instruction with a REP prefix that the vCPU is at */
struct samsara_rep {
	u64 behind;		/* linear address of the next instruction */
	u64 mask;		/* the part of RCX that counts its iterations */
};

bool samsara_at_rep(struct samsara_vcpu *sv);
bool samsara_find_rep(struct samsara_vcpu *sv, struct samsara_rep *rep);

#endif /* __KVM_X86_SAMSARA_INSN_H */
