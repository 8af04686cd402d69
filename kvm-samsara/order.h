/* SPDX-License-Identifier: GPL-2.0 */
/* The order of commits, see order.c. */
#ifndef __KVM_X86_SAMSARA_ORDER_H
#define __KVM_X86_SAMSARA_ORDER_H

#include "samsara.h"

void samsara_wait_for_earlier(struct samsara_vm *vm, u32 agent, u64 n);
int samsara_lock_commit(struct samsara_vm *vm, struct samsara_vcpu *sv);
void samsara_release_exclusive(struct samsara_vcpu *sv);
bool samsara_wants_memdigest(struct samsara_vm *vm, u64 n);
void samsara_add_memdigest(struct samsara_vm *vm, struct smr_record *rec, u32 agent);
void samsara_maybe_add_memdigest(struct samsara_vm *vm, struct smr_record *rec, u32 agent);

#endif /* __KVM_X86_SAMSARA_ORDER_H */
