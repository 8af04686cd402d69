/* SPDX-License-Identifier: GPL-2.0 */
/* Records and their inputs, see log.c. */
#ifndef __KVM_X86_SAMSARA_LOG_H
#define __KVM_X86_SAMSARA_LOG_H

#include "samsara.h"

int samsara_log_record(struct samsara_vcpu *sv, struct smr_record *rec);
int samsara_log_vm_record(struct samsara_vm *vm, struct smr_record *rec);
void samsara_log_commit(struct samsara_vcpu *sv);
void samsara_forget_inputs(struct samsara_vcpu *sv);
bool samsara_ring_has_room(struct samsara_vm *vm, struct samsara_ring *ring, u32 bytes);
int samsara_wait_space(struct samsara_vm *vm, struct samsara_ring *ring, u32 bytes);
void samsara_diverged(struct samsara_vcpu *sv, u32 field, u64 expected, u64 got);
void samsara_vm_diverged(struct samsara_vm *vm, u32 field, u64 expected, u64 got);
bool samsara_replay_item(struct samsara_vcpu *sv, u8 kind, struct smr_item *item);

#endif /* __KVM_X86_SAMSARA_LOG_H */
