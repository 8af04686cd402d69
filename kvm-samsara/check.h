/* SPDX-License-Identifier: GPL-2.0 */
/* What is refused, see check.c. */
#ifndef __KVM_X86_SAMSARA_CHECK_H
#define __KVM_X86_SAMSARA_CHECK_H

#include "samsara.h"

int samsara_check_host(void);
int samsara_check_vm(struct samsara_vm *vm);
bool samsara_refuses_vcpus(struct kvm *kvm);
bool samsara_refuses_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl);
bool samsara_refuses_vm_ioctl(struct kvm *kvm, unsigned int ioctl);

#endif /* __KVM_X86_SAMSARA_CHECK_H */
