/* SPDX-License-Identifier: GPL-2.0 */
/* Phases of a parallel recording, see phase.c. */
#ifndef __KVM_X86_SAMSARA_PHASE_H
#define __KVM_X86_SAMSARA_PHASE_H

#include <linux/types.h>

#include "core/smr_policy.h"

struct samsara_vcpu;
struct samsara_vm;

/* What the decision between parallel and serial looks at, see phase.c. */
struct samsara_window {
	struct smr_sums start;
	s64 credit;		/* cycles that parallel recording may lose yet */
	u64 serial_until;
	u64 serial_cycles;	/* how long the next serial phase is */
	bool lone;		/* there was work for one vCPU in the last window */
	u64 overlap;		/* work for more of them in the serial phase since */
	u64 most_overlap;	/* ends a phase for a lone vCPU */
	u64 next_overlap;	/* the same for the next such phase */
	u32 nr_running;
	u64 idle_tsc;		/* since when there are none */
	u64 idle_cycles;
};

/* What a vCPU's thread has spent, host cycles; also see asm/kvm_samsara_stats.h. */
struct samsara_cost {
	bool running;		/* the thread is in KVM_RUN, and not halted */
	u32 attempts;		/* since it has last looked at the window */
	u64 end_tsc;		/* of the last attempt, 0: it has been elsewhere since */
	u64 between_cycles;	/* from attempts to the next ones, but for sections */
	u64 fault_cycles;	/* EPT violations of chunks that are in samsara_chunk_cycles */
};

void samsara_phase_init(struct samsara_vm *vm);
void samsara_choose_phase(struct samsara_vcpu *sv);
bool samsara_can_afford_short(struct samsara_vm *vm);
void samsara_note_running(struct samsara_vcpu *sv, bool running);

#endif /* __KVM_X86_SAMSARA_PHASE_H */
