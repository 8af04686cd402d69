// SPDX-License-Identifier: GPL-2.0
/*
 * Landing: the guest is brought to the position at which its chunk ended, or before that to
 * one that a debugger wants to look at.
 *
 * A position is (branches, jumps, RIP, and RCX in a REP).  The branch counter is set to
 * overflow a little early, and the rest is done with instruction breakpoints and
 * single steps of the monitor trap flag, see choose_step().  The guest sees neither.
 */
#include <linux/percpu.h>
#include <asm/debugreg.h>

#include "arch.h"
#include "counter.h"
#include "debug.h"
#include "insn.h"
#include "land.h"
#include "log.h"
#include "position.h"
#include "samsara.h"

/*
 * The counter is set to overflow this many events early.  Linux 6.1
 * raises periods below 32 on Haswell silently, and interrupts come late by a
 * few tens of instructions.
 */
#define LANDING_MARGIN		128
/* Shortest distance that is worth, and safe for, an overflow. */
#define MIN_PERIOD		64

/*
 * Of a #DB exit's qualification.  Without the bits of the other breakpoints, which are off: a
 * processor may set them all the same.
 */
#define DB_REASONS		(DR_TRAP0 | DR6_BD | DR_STEP)

/* What a string instruction can raise, and KVM does not intercept. */
#define REP_FAULTS		(BIT(PF_VECTOR) | BIT(GP_VECTOR) | BIT(SS_VECTOR))

/* The guest is to do the iterations of its REP that lead to the landing point. */
static void enter_rep(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;

	sv->landing.exceptions = vmcs_read32(EXCEPTION_BITMAP);
	vmcs_write32(EXCEPTION_BITMAP, sv->landing.exceptions | REP_FAULTS);
	kvm_rcx_write(vcpu, kvm_rcx_read(vcpu) - sv->landing.rest);
}

/*
 * What nobody but the processor has seen: a REP that was over too early is not over, and
 * has the iterations again that it was not to do.
 */
static void leave_rep(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;

	vmcs_write32(EXCEPTION_BITMAP, sv->landing.exceptions);
	if (!sv->landing.rest)
		return;
	if (!(kvm_rcx_read(vcpu) & sv->landing.mask))
		kvm_rip_write(vcpu, sv->landing.end.rip);
	kvm_rcx_write(vcpu, kvm_rcx_read(vcpu) + sv->landing.rest);
}

/* Before VM-entry, IRQs off.  Returns the bits of DR7 for the breakpoint, if there is one. */
unsigned long samsara_land_load(struct samsara_vcpu *sv)
{
	if (!sv->landing.breakpoint)
		return 0;
	set_debugreg(sv->landing.at, 0);
	if (sv->landing.in_rep)
		enter_rep(sv);
	sv->landing.loaded = true;
	return DR_GLOBAL_ENABLE;
}

static bool is_rep_fault(const struct samsara_vcpu *sv, u32 info)
{
	u32 faults = REP_FAULTS & ~sv->landing.exceptions;

	return sv->landing.in_rep &&
	       (info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_HARD_EXCEPTION &&
	       (faults & BIT(info & INTR_INFO_VECTOR_MASK & 31));
}

/* After VM-exit, IRQs off; @hits: what it was about, as bits of DR6. */
void samsara_land_unload(struct samsara_vcpu *sv, u32 hits)
{
	sv->landing.hit = false;
	sv->landing.faulted = false;
	if (!sv->landing.loaded)
		return;
	sv->landing.loaded = false;
	if (sv->landing.in_rep)
		leave_rep(sv);
	if (samsara_exit_reason(sv->vcpu) == EXIT_REASON_EXCEPTION_NMI)
		sv->landing.faulted = is_rep_fault(sv, vmx_get_intr_info(sv->vcpu));
	sv->landing.hit = sv->landing.faulted || (hits & DR_TRAP0);
}

static bool can_break(struct samsara_vcpu *sv)
{
	return sv->vm->tune.landing_breakpoint && !samsara_guest_breaks(sv->vcpu);
}

/* At the linear address RIP: not if a code segment's base may come in between. */
static bool can_break_at_end(struct samsara_vcpu *sv)
{
	return can_break(sv) && !sv->landing.has_rcx &&
	       (sv->vcpu->arch.efer & EFER_LMA) && !vmcs_readl(GUEST_CS_BASE);
}

/* An event still has to be delivered before the instruction that the vCPU is at. */
static bool event_comes_first(const struct samsara_vcpu *sv)
{
	return sv->state == SAMSARA_AT_START && (sv->rec.flags & SMR_F_EVENT);
}

/*
 * The guest is at a REP, of a million iterations perhaps: a breakpoint behind it instead
 * of a step for each.  If the landing point is in it, with @rest iterations to go, RCX is
 * lowered by that many while the guest runs: the REP is over there.
 *
 * A REP has no branches, so that the landing point is behind it if it is not in it; but a
 * fault may take the guest elsewhere, to where the landing point is.  So faults are
 * intercepted meanwhile, and raised again in a step.
 */
static bool run_through_rep(struct samsara_vcpu *sv, const struct smr_position *now, u64 rest)
{
	struct samsara_rep rep;

	if (!can_break(sv) || sv->landing.faulted || event_comes_first(sv) ||
	    (vmcs_read32(EXCEPTION_BITMAP) & BIT(PF_VECTOR)) || !samsara_find_rep(sv, &rep))
		return false;
	rest &= rep.mask;
	if ((now->rcx & rep.mask) <= rest)
		return false;
	sv->landing.at = rep.behind;
	sv->landing.rest = rest;
	sv->landing.mask = rep.mask;
	sv->landing.in_rep = true;
	return true;
}

/*
 * The last stretch: run into a breakpoint at the landing point's RIP.  If the
 * guest is at that RIP in an earlier iteration, RFLAGS.RF takes it over the
 * breakpoint; the processor clears RF after the instruction, and never shows it
 * to the guest but in the frame of a fault, where it is set in any case.  Not
 * so in the last iteration, which may be one of a REP: RF would hold for all of
 * them.
 *
 * Where there can be no breakpoint at the landing point, one step after the other, but
 * for REPs.
 */
static void choose_step(struct samsara_vcpu *sv, const struct smr_position *now)
{
	const struct smr_position *end = &sv->landing.end;
	bool at_rip = now->rip == end->rip;
	bool last = now->branches == end->branches && now->jumps == end->jumps;

	sv->landing.in_rep = false;
	if (sv->landing.on_steps) {
		sv->landing.breakpoint = false;
	} else if (at_rip && last) {
		sv->landing.breakpoint = run_through_rep(sv, now, end->rcx);
	} else if (can_break_at_end(sv)) {
		sv->landing.breakpoint = true;
		sv->landing.at = end->rip;
		if (at_rip)
			vmx_set_rflags(sv->vcpu, vmx_get_rflags(sv->vcpu) | X86_EFLAGS_RF);
	} else {
		sv->landing.breakpoint = run_through_rep(sv, now, 0);
	}
	samsara_set_stepping(sv, !sv->landing.breakpoint);
	samsara_stat(sv)->samsara_landing_steps++;
}

/* So far that a counter has to bring the guest closer. */
static bool is_far(u64 now, u64 end)
{
	return end > now && end - now > LANDING_MARGIN + MIN_PERIOD;
}

static bool is_past(const struct smr_position *now, const struct smr_position *end)
{
	return now->branches > end->branches || now->jumps > end->jumps;
}

/*
 * Without RCX the end is where the guest first comes to the instruction.  Jumps have to
 * be the same, too: in a loop without a conditional branch the vCPU's registers may be
 * those of the end some iterations earlier, flags included, while memory is not.
 */
static bool at_end(const struct samsara_vcpu *sv, const struct smr_position *now)
{
	const struct smr_position *end = &sv->rec.pos;

	return samsara_same_place(now, end) && now->jumps == end->jumps &&
	       (!(sv->rec.flags & SMR_F_RCX) || now->rcx == end->rcx);
}

/* There is nothing to look for by counter or breakpoint: the guest ends the chunk itself. */
static bool ends_by_itself(const struct samsara_vcpu *sv)
{
	return sv->rec.end != SMR_END_ASYNC;
}

/*
 * A place that the debugger wants to look at comes first, if it is in the chunk at all.  In
 * the last stretch it may be before the end or behind it.
 */
static void choose_end(struct samsara_vcpu *sv, bool elsewhere)
{
	const struct kvm_samsara_position *pos = &sv->vm->debug.pos;
	const struct smr_position *end = &sv->rec.pos;

	sv->landing.on_steps = elsewhere;
	if (elsewhere && (ends_by_itself(sv) ||
			  (pos->branches <= end->branches && pos->jumps <= end->jumps))) {
		samsara_position_get(&sv->landing.end, pos);
		sv->landing.has_rcx = true;
	} else {
		sv->landing.end = *end;
		sv->landing.has_rcx = sv->rec.flags & SMR_F_RCX;
	}
}

/* After a single step or a breakpoint, IRQs off.  True: short of the end, go on. */
bool samsara_land_step(struct samsara_vcpu *sv)
{
	struct smr_position now;

	/* It may only be the debugger who steps. */
	if (sv->landing.armed || (ends_by_itself(sv) && !sv->landing.on_steps))
		return false;
	samsara_position(sv, &now);
	if (is_far(now.jumps, sv->landing.end.jumps))
		return false;
	if (sv->landing.on_steps && samsara_debug_is_there(sv, &now))
		return false;
	if (!ends_by_itself(sv) && (is_past(&now, &sv->rec.pos) || at_end(sv, &now)))
		return false;
	choose_step(sv, &now);
	return true;
}

/*
 * In samsara_resume_at_once(), after a #DB exit with the breakpoint of a landing loaded: a loop
 * has come to its RIP, and will do so again up to 128 times.  As long as more iterations are
 * to come, all there is to do is to take the guest over it.  False: KVM goes the whole way, and
 * samsara_land_step() has a look.
 */
bool samsara_land_at_once(struct samsara_vcpu *sv)
{
	const struct smr_position *end = &sv->landing.end;
	u32 info = vmcs_read32(VM_EXIT_INTR_INFO);
	struct smr_position now;

	if (sv->landing.in_rep || !is_debug(info) || (info & INTR_INFO_UNBLOCK_NMI) ||
	    (vmcs_readl(EXIT_QUALIFICATION) & DB_REASONS) != DR_TRAP0 ||
	    (vmcs_read32(IDT_VECTORING_INFO_FIELD) & VECTORING_INFO_VALID_MASK) ||
	    vmcs_readl(GUEST_RIP) != end->rip)
		return false;
	samsara_counts(sv, &now);
	if (is_past(&now, end) || is_far(now.jumps, end->jumps) ||
	    (now.branches == end->branches && now.jumps == end->jumps))
		return false;
	vmcs_writel(GUEST_RFLAGS, vmcs_readl(GUEST_RFLAGS) | X86_EFLAGS_RF);
	samsara_stat(sv)->samsara_landing_steps++;
	return true;
}

/* The counter of one kind is to overflow after so many more, 0: not that one. */
static int set_alarm(struct samsara_vcpu *sv, const struct smr_position *now, u64 branches,
		     u64 jumps)
{
	sv->landing.armed = true;
	sv->landing.alarm = (struct samsara_counts) {
		.branches = branches ? now->branches + branches : 0,
		.jumps = jumps ? now->jumps + jumps : 0,
	};
	return samsara_counter_arm(&sv->counter, branches, jumps);
}

/*
 * Has a counter brought the guest as close as it was to?  That there was no overflow does
 * not mean it has not.  perf sets a counter anew each time the vCPU's thread comes back to
 * a processor.  With only a few left it takes more, 32 on Haswell (hsw_limit_period()); and
 * if the thread comes back once more when those few are over, and the 32 are not, perf
 * counts from there a whole period again.  Between two such times the vCPU comes here.
 */
static bool alarm_is_over(const struct samsara_vcpu *sv, const struct smr_position *now)
{
	const struct samsara_counts *alarm = &sv->landing.alarm;

	return READ_ONCE(sv->counter.overflowed) ||
	       (now->branches >= alarm->branches && now->jumps >= alarm->jumps);
}

/* Come closer to the end: by counter if far away, by breakpoint and steps if near. */
static int approach(struct samsara_vcpu *sv, const struct smr_position *now)
{
	const struct smr_position *end = &sv->landing.end;
	bool near = sv->stepping || sv->landing.breakpoint;

	if (sv->landing.armed && !alarm_is_over(sv, now)) {
		samsara_set_stepping(sv, false);
		return 0;
	}
	sv->landing.armed = false;
	if (is_far(now->branches, end->branches))
		return set_alarm(sv, now, end->branches - now->branches - LANDING_MARGIN, 0);
	if (is_far(now->jumps, end->jumps)) {
		samsara_set_stepping(sv, false);
		sv->landing.breakpoint = false;
		return set_alarm(sv, now, 0, end->jumps - now->jumps - LANDING_MARGIN);
	}
	choose_step(sv, now);
	return near ? 0 : samsara_counter_arm(&sv->counter, 0, 0);
}

/* Is the guest at the end of its chunk?  enum samsara_landed, or an error. */
int samsara_land(struct samsara_vcpu *sv)
{
	const struct smr_position *end = &sv->rec.pos;
	bool elsewhere = samsara_debug_goes(sv);
	struct smr_position now = {};

	if (ends_by_itself(sv) && !elsewhere) {
		samsara_set_stepping(sv, false);
		sv->landing.on_steps = false;
		return SAMSARA_ON_THE_WAY;
	}
	if (sv->state == SAMSARA_IN_CHUNK) {
		samsara_position(sv, &now);
	} else {
		now.rip = kvm_rip_read(sv->vcpu);
		now.rcx = kvm_rcx_read(sv->vcpu);
	}
	if (elsewhere && samsara_debug_is_there(sv, &now))
		return SAMSARA_AT_PLACE;
	if (event_comes_first(sv))
		now.rip = ~end->rip;
	if (!ends_by_itself(sv) && is_past(&now, end)) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_POSITION, end->branches, now.branches);
		return -ESHUTDOWN;
	}
	if (!ends_by_itself(sv) && at_end(sv, &now))
		return SAMSARA_AT_END_OF_CHUNK;
	choose_end(sv, elsewhere);
	return approach(sv, &now);
}
