/* SPDX-License-Identifier: GPL-2.0 */
/* EPT violations, see fault.c. */
#ifndef __KVM_X86_SAMSARA_FAULT_H
#define __KVM_X86_SAMSARA_FAULT_H

#include "samsara.h"

int samsara_ept_fault(struct samsara_vcpu *sv, gpa_t gpa, bool write);

#endif /* __KVM_X86_SAMSARA_FAULT_H */
