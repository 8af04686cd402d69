/* SPDX-License-Identifier: GPL-2.0 */
/* How long chunks are, see length.c. */
#ifndef __KVM_X86_SAMSARA_LENGTH_H
#define __KVM_X86_SAMSARA_LENGTH_H

#include <linux/types.h>

struct samsara_vcpu;
struct samsara_vm;

/* So many chunks in a row are short, if some are. */
#define SAMSARA_SHORT_CHUNKS	16

void samsara_length_init(struct samsara_vcpu *sv);
u64 samsara_length_first(const struct samsara_vm *vm);
u64 samsara_length_next(struct samsara_vcpu *sv, bool some_short);
void samsara_length_set(struct samsara_vcpu *sv, u64 period);
void samsara_length_adapt(struct samsara_vcpu *sv, bool committed);

#endif /* __KVM_X86_SAMSARA_LENGTH_H */
