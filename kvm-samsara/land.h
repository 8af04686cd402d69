/* SPDX-License-Identifier: GPL-2.0 */
/* How replay finds the position at which a chunk ended, see land.c. */
#ifndef __KVM_X86_SAMSARA_LAND_H
#define __KVM_X86_SAMSARA_LAND_H

#include "samsara.h"

int samsara_landed(struct samsara_vcpu *sv);
bool samsara_replay_step(struct samsara_vcpu *sv);
void samsara_load_breakpoint(struct samsara_vcpu *sv);
void samsara_unload_breakpoint(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_LAND_H */
