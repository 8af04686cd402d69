/* SPDX-License-Identifier: GPL-2.0 */
/* How replay finds the position at which a chunk ended, see land.c. */
#ifndef __KVM_X86_SAMSARA_LAND_H
#define __KVM_X86_SAMSARA_LAND_H

#include <linux/types.h>

struct samsara_vcpu;

struct samsara_landing {
	bool armed;		/* a counter will overflow before the end */
	bool breakpoint;	/* an instruction breakpoint, at the landing point or before */
	u64 at;			/* its linear address */
	bool loaded;		/* it is in the VMCS */
	bool hit;		/* the last exit was its #DB */
	unsigned long guest_dr7;	/* meanwhile */
};

int samsara_land(struct samsara_vcpu *sv);
bool samsara_land_step(struct samsara_vcpu *sv);
void samsara_land_load(struct samsara_vcpu *sv);
void samsara_land_unload(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_LAND_H */
