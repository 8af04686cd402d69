/* SPDX-License-Identifier: GPL-2.0 */
/* How long chunks are, see length.c. */
#ifndef __KVM_X86_SAMSARA_LENGTH_H
#define __KVM_X86_SAMSARA_LENGTH_H

#include <linux/types.h>

struct samsara_vcpu;
struct samsara_vm;

struct samsara_length {
	u64 limit;		/* of chunks, conditional branches */
	u32 calm;		/* chunks as long as that which have committed since it changed */
};

void samsara_length_init(struct samsara_vcpu *sv);
u64 samsara_first_length(const struct samsara_vm *vm);
void samsara_set_length(struct samsara_vcpu *sv, u64 period);
void samsara_adapt_length(struct samsara_vcpu *sv, bool committed);

#endif /* __KVM_X86_SAMSARA_LENGTH_H */
