/* SPDX-License-Identifier: GPL-2.0 */
/* What KVM does for a vCPU between its chunks, see section.c. */
#ifndef __KVM_X86_SAMSARA_SECTION_H
#define __KVM_X86_SAMSARA_SECTION_H

#include "samsara.h"

int samsara_section_begin(struct samsara_vcpu *sv);
void samsara_section_changed(struct samsara_vcpu *sv);
void samsara_section_end(struct samsara_vcpu *sv);
void samsara_page_dirty(struct kvm *kvm, gfn_t gfn);

#endif /* __KVM_X86_SAMSARA_SECTION_H */
