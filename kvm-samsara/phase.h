/* SPDX-License-Identifier: GPL-2.0 */
/* Phases of a parallel recording, see phase.c. */
#ifndef __KVM_X86_SAMSARA_PHASE_H
#define __KVM_X86_SAMSARA_PHASE_H

#include <linux/types.h>

struct samsara_vcpu;
struct samsara_vm;

/* All vCPUs' totals, see phase.c. */
struct samsara_sums {
	u64 elapsed;		/* host cycles in which any vCPU ran; as all but ... */
	u64 attempts;		/* ... chunks, committed or not */
	u64 inherent;		/* ... chunks that serial recording would end, too */
	u64 useful, overhead, busy;
};

/* What the decision between parallel and serial looks at, see phase.c. */
struct samsara_window {
	struct samsara_sums start;
	s64 credit;		/* cycles that parallel recording may lose yet */
	u64 serial_until;
	u64 serial_cycles;	/* how long the next serial phase is */
	bool lone;		/* there was work for one vCPU in the last window */
	u64 overlap;		/* ... and for more in the serial phase since */
	u64 most_overlap;	/* ... before it ends */
	u64 next_overlap;	/* ... the next one */
	u32 nr_running;
	u64 idle_tsc;		/* since when there are none */
	u64 idle_cycles;
};

void samsara_phase_init(struct samsara_vm *vm);
void samsara_choose_phase(struct samsara_vcpu *sv);
void samsara_note_running(struct samsara_vcpu *sv, bool running);

#endif /* __KVM_X86_SAMSARA_PHASE_H */
