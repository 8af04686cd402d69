/* SPDX-License-Identifier: GPL-2.0 */
/* What KVM does for a vCPU between its chunks, see section.c. */
#ifndef __KVM_X86_SAMSARA_SECTION_H
#define __KVM_X86_SAMSARA_SECTION_H

#include <linux/kvm_types.h>

struct kvm;
struct samsara_vcpu;

#define SAMSARA_SECTION_PAGES		64

/* What KVM does for a vCPU. */
struct samsara_section {
	u64 tsc;		/* since when */
	bool no_memory;		/* guest memory is not touched, see mode_own.c */
	u32 nr_gfns;		/* pages written */
	gfn_t gfns[SAMSARA_SECTION_PAGES];
};

int samsara_section_begin(struct samsara_vcpu *sv);
void samsara_section_changed(struct samsara_vcpu *sv);
void samsara_section_end(struct samsara_vcpu *sv);
void samsara_page_dirty(struct kvm *kvm, gfn_t gfn);

#endif /* __KVM_X86_SAMSARA_SECTION_H */
