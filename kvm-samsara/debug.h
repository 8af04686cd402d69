/* SPDX-License-Identifier: GPL-2.0 */
/* A debugger's breakpoints, watchpoints and steps in a replay, see debug.c. */
#ifndef __KVM_X86_SAMSARA_DEBUG_H
#define __KVM_X86_SAMSARA_DEBUG_H

#include <linux/kvm_samsara.h>
#include <linux/types.h>

#include "core/smr_codec.h"

struct samsara_vcpu;
struct samsara_vm;

/* What a vCPU has come to.  Of its own thread, and of who has vcpu->mutex. */
struct samsara_debug {
	u32 hits;		/* points that the last exit was about */
	bool stepped;		/* an instruction is over */
	bool arrived;		/* at the place asked for, or behind it */
	bool been_there;	/* once that has been told */
	bool resume_flag;	/* RFLAGS.RF takes it over the breakpoint ... */
	u64 resume_rip;		/* ... of the instruction here */
	bool stopped;		/* KVM_RUN has returned to the debugger ... */
	struct smr_position stopped_at;	/* ... here */
	struct smr_position at;	/* in the open chunk, when KVM_RUN returned last */
	/* Its last commit */
	u64 last_commit;
	u32 last_type;
	/* Its last chunk */
	u32 last_end;
	u64 last_chunk;
	struct smr_position last_pos;	/* where it ended */
};

bool samsara_debug_is_on(const struct samsara_vm *vm);
unsigned long samsara_debug_load(struct samsara_vcpu *sv);
bool samsara_debug_look(struct samsara_vcpu *sv, u32 hits);
void samsara_debug_completed(struct samsara_vcpu *sv);
void samsara_debug_goes_on(struct samsara_vcpu *sv);
bool samsara_debug_stops(struct samsara_vcpu *sv);
bool samsara_debug_goes(const struct samsara_vcpu *sv);
bool samsara_debug_is_there(const struct samsara_vcpu *sv, const struct smr_position *now);
void samsara_debug_arrived(struct samsara_vcpu *sv);
void samsara_debug_ended(struct samsara_vcpu *sv);
void samsara_debug_left(struct samsara_vcpu *sv);
void samsara_debug_committed(struct samsara_vcpu *sv);
int samsara_debug_set(struct samsara_vm *vm, const struct kvm_samsara_debug __user *uaddr);
int samsara_debug_get(struct samsara_vm *vm, u64 id, struct kvm_samsara_place __user *uaddr);

#endif /* __KVM_X86_SAMSARA_DEBUG_H */
