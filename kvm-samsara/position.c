// SPDX-License-Identifier: GPL-2.0
/*
 * Where a vCPU is in its chunk: branches, jumps, RIP and RCX (design.rst, "Positions").
 */
#include "arch.h"
#include "counter.h"
#include "insn.h"
#include "position.h"
#include "samsara.h"

/* The part of a position that is counted; not where that is. */
void samsara_counts(struct samsara_vcpu *sv, struct smr_position *pos)
{
	struct samsara_counts now;

	samsara_counter_read(&sv->counter, &now);
	pos->branches = now.branches - sv->chunk.start.counts.branches;
	pos->jumps = now.jumps - sv->chunk.start.counts.jumps;
}

void samsara_position(struct samsara_vcpu *sv, struct smr_position *pos)
{
	samsara_counts(sv, pos);
	pos->rip = kvm_rip_read(sv->vcpu);
	pos->rcx = kvm_rcx_read(sv->vcpu);
}

/*
 * Is the instruction that took the last EPT violation still to be executed?
 * The processor may have done a part of it: set accessed and dirty flags in
 * the guest's page tables for the operands before the one that faulted.  A
 * chunk must not end there, because replay would stop before the instruction.
 */
bool samsara_half_done(struct samsara_vcpu *sv)
{
	struct smr_position now;

	if (!sv->chunk.fault_seen)
		return false;
	samsara_position(sv, &now);
	return samsara_same_position(&now, &sv->chunk.fault_pos);
}

bool samsara_at_start(struct samsara_vcpu *sv, const struct smr_position *pos)
{
	const struct smr_position start = {
		.rip = samsara_regs_rip(&sv->start_regs),
		.rcx = sv->start_regs.regs[VCPU_REGS_RCX],
	};

	/* A loop may have come back to where it began. */
	return samsara_same_position(pos, &start) && !pos->jumps;
}

/*
 * An event whose delivery was cut short, or an instruction, is part of the
 * chunk, not of the next one: only the start is a clean point.
 */
bool samsara_ends_in_the_middle(struct samsara_vcpu *sv)
{
	return sv->rec.end == SMR_END_ASYNC &&
	       (samsara_event_requeued(sv->vcpu) ||
		(sv->chunk.fault_seen &&
		 samsara_same_position(&sv->rec.pos, &sv->chunk.fault_pos)));
}

/*
 * May iterations of a REP have been done?  Then RCX is a part of the position.  A
 * processor that stops between two of them saves RFLAGS.RF set if it is an interrupt,
 * an NMI or an EPT violation that stops it (SDM, "Instruction-Breakpoint Exception
 * Condition" and "Saving RIP, RSP, RFLAGS, and SSP"), and until the REP is over nobody
 * clears it: samsara_reinject() may at the chunk's start, before anything is done.
 * It need not set RF for the preemption timer and for the monitor trap flag, and
 * processors may have errata: so the instruction counts, too.  No other one can be
 * half-way, and replay is faster where RCX need not be compared: it comes to the place
 * by breakpoint.
 */
bool samsara_may_be_in_rep(struct samsara_vcpu *sv)
{
	return (vmx_get_rflags(sv->vcpu) & X86_EFLAGS_RF) || samsara_at_rep(sv) ||
	       (sv->chunk.fault_seen && samsara_same_place(&sv->rec.pos, &sv->chunk.fault_pos));
}
