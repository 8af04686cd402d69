/* SPDX-License-Identifier: GPL-2.0 */
/* Start of a recording or replay, see start.c. */
#ifndef __KVM_X86_SAMSARA_START_H
#define __KVM_X86_SAMSARA_START_H

#include "samsara.h"

int samsara_release(struct samsara_vm *vm);
int samsara_start(struct samsara_vm *vm);
void samsara_free_started(struct samsara_vm *vm, struct samsara_vcpu **vcpus);

#endif /* __KVM_X86_SAMSARA_START_H */
