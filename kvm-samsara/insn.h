/* SPDX-License-Identifier: GPL-2.0 */
/* The instruction a vCPU is at, see insn.c. */
#ifndef __KVM_X86_SAMSARA_INSN_H
#define __KVM_X86_SAMSARA_INSN_H

#include "samsara.h"

bool samsara_at_rep(struct samsara_vcpu *sv);
u64 samsara_behind_rep(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_INSN_H */
