/* SPDX-License-Identifier: GPL-2.0 */
/* The processor's debug registers while a replayed guest runs, see breakpoints.c. */
#ifndef __KVM_X86_SAMSARA_BREAKPOINTS_H
#define __KVM_X86_SAMSARA_BREAKPOINTS_H

#include <linux/types.h>

struct samsara_vcpu;

void samsara_breakpoints_load(struct samsara_vcpu *sv);
u32 samsara_breakpoints_unload(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_BREAKPOINTS_H */
