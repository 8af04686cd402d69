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
	bool in_rep;		/* it is behind a REP that the guest is at */
	u64 rest;		/* iterations of it that are behind the landing point */
	u64 mask;		/* the part of RCX that counts them */
	bool loaded;		/* it is in the VMCS */
	bool hit;		/* the last exit was its #DB, or a fault of the REP */
	bool faulted;		/* the latter */
	unsigned long guest_dr7;	/* meanwhile */
	u32 exceptions;			/* the VMCS's bitmap, meanwhile */
};

int samsara_land(struct samsara_vcpu *sv);
bool samsara_land_step(struct samsara_vcpu *sv);
void samsara_land_load(struct samsara_vcpu *sv);
void samsara_land_unload(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_LAND_H */
