/* SPDX-License-Identifier: GPL-2.0 */
/* The life of a recorded chunk: the part of samsara_mode that all record modes share. */
#ifndef __KVM_X86_SAMSARA_CHUNK_H
#define __KVM_X86_SAMSARA_CHUNK_H

#include "samsara.h"

int samsara_record_pre_enter(struct samsara_vcpu *sv);
int samsara_record_complete_io(struct samsara_vcpu *sv, kvm_samsara_cui_t cui);
void samsara_record_leave(struct samsara_vcpu *sv);
void samsara_record_enter(struct samsara_vcpu *sv);
void samsara_record_exit(struct samsara_vcpu *sv, u16 end);

#endif /* __KVM_X86_SAMSARA_CHUNK_H */
