/* SPDX-License-Identifier: GPL-2.0 */
/* The end of a recorded chunk, see commit.c. */
#ifndef __KVM_X86_SAMSARA_COMMIT_H
#define __KVM_X86_SAMSARA_COMMIT_H

#include "samsara.h"

void samsara_trace_end(struct samsara_vcpu *sv, u64 n);
void samsara_rollback(struct samsara_vcpu *sv);
bool samsara_chunk_is_empty(struct samsara_vcpu *sv);
bool samsara_made_progress(struct samsara_vcpu *sv);
void samsara_finish_commit(struct samsara_vcpu *sv, u64 n);
int samsara_end_direct(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_COMMIT_H */
