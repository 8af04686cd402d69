/* SPDX-License-Identifier: GPL-2.0 */
/* How replay finds the position at which a chunk ended, see land.c. */
#ifndef __KVM_X86_SAMSARA_LAND_H
#define __KVM_X86_SAMSARA_LAND_H

#include <linux/types.h>

#include "core/smr_codec.h"
#include "counter.h"

struct samsara_vcpu;

struct samsara_landing {
	struct smr_position end;	/* the landing point */
	bool has_rcx;		/* RCX is a part of it */
	bool on_steps;		/* not by breakpoint: the debugger looks at what comes before, too */
	bool armed;		/* a counter will overflow before the end */
	struct samsara_counts alarm;	/* where; 0: not the one of this kind */
	bool breakpoint;	/* an instruction breakpoint, at the landing point or before */
	u64 at;			/* its linear address */
	bool in_rep;		/* it is behind a REP that the guest is at */
	u64 rest;		/* iterations of it that are behind the landing point */
	u64 mask;		/* the part of RCX that counts them */
	bool loaded;		/* what enter_rep() has set */
	bool hit;		/* the last exit was its #DB, or a fault of the REP */
	bool faulted;		/* the latter */
	u32 exceptions;			/* the VMCS's bitmap, meanwhile */
};

enum samsara_landed {
	SAMSARA_ON_THE_WAY,	/* the guest runs on */
	SAMSARA_AT_END_OF_CHUNK,
	SAMSARA_AT_PLACE,	/* that the debugger wants to look at */
};

int samsara_land(struct samsara_vcpu *sv);
bool samsara_land_step(struct samsara_vcpu *sv);
bool samsara_land_at_once(struct samsara_vcpu *sv);
unsigned long samsara_land_load(struct samsara_vcpu *sv);
void samsara_land_unload(struct samsara_vcpu *sv, u32 hits);

#endif /* __KVM_X86_SAMSARA_LAND_H */
