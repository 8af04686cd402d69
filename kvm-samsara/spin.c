// SPDX-License-Identifier: GPL-2.0
/*
 * Guests that wait in a loop for another processor.  Pause-loop exiting sees some loops in
 * kernel mode; this sees the others, in any mode and without a PAUSE.  While a chunk is
 * open the VMX preemption timer interrupts the guest now and then, for a look at its
 * registers (core/smr_spin.h).
 *
 * It decides nothing about correctness: what comes of it is that a chunk ends earlier, at a
 * position, as it may anywhere.  A false answer costs time, by chunks and turns that are too
 * short, and a spin that is not seen lasts until the chunk or the turn is over.
 */
#include "arch.h"
#include "counter.h"
#include "samsara.h"
#include "spin.h"
#include "trace.h"
#include "turns.h"

void samsara_spin_init(struct samsara_vcpu *sv)
{
	smr_spin_init(&sv->spin.looks);
	smr_rounds_init(&sv->spin.rounds);
}

/* Right before VM-entry, IRQs off; a chunk begins. */
void samsara_spin_begin(struct samsara_vcpu *sv)
{
	sv->spin.found = false;
	/* Chunks that begin alike, as with the same event, are no loop. */
	smr_spin_forget(&sv->spin.looks);
	/* Not before the guest has done something. */
	sv->spin.next = max(sv->spin.next, sv->chunk.tsc + SMR_SPIN_CLOSE);
}

static bool looks(const struct samsara_vcpu *sv)
{
	return !sv->mode->from_log && sv->vm->tune.find_spins;
}

/* Right before VM-entry and right after VM-exit, IRQs off; nothing looks in between. */
void samsara_arm_timer(struct samsara_vcpu *sv)
{
	u64 deadline = samsara_turn_deadline(sv);

	if (looks(sv) && !sv->stepping)
		deadline = min(deadline, sv->spin.next);
	if (deadline == U64_MAX)
		return;
	/* Nobody else uses the timer, see kvm_can_use_hv_timer(). */
	to_vmx(sv->vcpu)->hv_deadline_tsc = deadline;
	sv->spin.timer_armed = true;
}

void samsara_disarm_timer(struct samsara_vcpu *sv)
{
	to_vmx(sv->vcpu)->hv_deadline_tsc = -1;
	sv->spin.timer_armed = false;
}

/*
 * In kernel mode looks that are close to each other leave pause-loop exiting the time that it
 * needs.  It stops the guest at a PAUSE, and there are loops in which that is where a
 * lock is free: those that give it away to take it back.
 */
static u64 to_next(struct samsara_vcpu *sv, u64 cycles)
{
	u64 window = to_vmx(sv->vcpu)->ple_window;

	if (!sv->spin.looks.close || vmx_get_cpl(sv->vcpu))
		return cycles;
	return max(cycles, 2 * window);
}

static void look(struct samsara_vcpu *sv, u64 now)
{
	struct smr_seen seen = { .rip = kvm_rip_read(sv->vcpu) };
	u64 cycles;
	u32 i;

	for (i = 0; i < SMR_SPIN_REGS; i++)
		seen.regs[i] = sv->vcpu->arch.regs[i];
	seen.regs[VCPU_REGS_RSP] = kvm_rsp_read(sv->vcpu);
	cycles = smr_spin_look(&sv->spin.looks, &seen, &sv->spin.found);
	sv->spin.next = now + to_next(sv, cycles);
	trace_kvm_samsara_spin(sv->id, seen.rip, sv->spin.looks.interval, sv->spin.found);
}

/* Has it gone on since it was last found to spin? */
static void end_wait(struct samsara_vcpu *sv, u64 now)
{
	if (sv->chunk.spin_tsc)
		sv->chunk.spin_cycles += now - sv->chunk.spin_tsc;
	sv->chunk.spin_tsc = 0;
}

/*
 * An exit by the preemption timer, in an open chunk, IRQs off: a look, if it is time for
 * one.  It must not be put off, since the timer would expire again at once.
 */
void samsara_spin_look(struct samsara_vcpu *sv)
{
	u64 now = rdtsc();

	if (!looks(sv) || now + SAMSARA_TIMER_STEP < sv->spin.next)
		return;
	look(sv, now);
	if (!sv->spin.found && !sv->spin.looks.close)
		end_wait(sv, now);
}

/* The guest reads the time, in an open chunk, IRQs off: that is a look, too.  Does it spin? */
bool samsara_spin_read_tsc(struct samsara_vcpu *sv, u64 rip, u64 rsp)
{
	struct samsara_counts counts;

	if (!looks(sv))
		return false;
	samsara_counter_read(&sv->counter, &counts);
	if (smr_rounds_read(&sv->spin.rounds, rip, rsp, counts.branches))
		sv->spin.found = true;
	return sv->spin.found;
}

/* The guest spins, in an open chunk, or has executed many PAUSEs: what is to be done? */
void samsara_note_spin(struct samsara_vcpu *sv)
{
	sv->spin.found = false;
	/* Others look at it (mode_own.c). */
	WRITE_ONCE(sv->chunk.paused, true);
	if (!sv->chunk.spin_tsc)
		sv->chunk.spin_tsc = rdtsc();
	sv->chunk.spinning = sv->mode->spins && sv->mode->spins(sv);
}

/* Host cycles for which the chunk that ends @now has waited. */
u64 samsara_spin_time(const struct samsara_vcpu *sv, u64 now)
{
	return sv->chunk.spin_cycles + (sv->chunk.spin_tsc ? now - sv->chunk.spin_tsc : 0);
}
