// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM calls on the way into the guest and out of it: which exits stay inside a chunk,
 * and what the vCPU's mode is asked about the others.
 *
 *	handle_exit	EPT violation on RAM, host interrupt, RDTSC, CPUID: stay
 *			inside; anything else ends the chunk
 */
#include <linux/percpu.h>
#include <asm/debugreg.h>

#include "arch.h"
#include "breakpoints.h"
#include "debug.h"
#include "entry.h"
#include "ept.h"
#include "fault.h"
#include "input.h"
#include "land.h"
#include "log.h"
#include "map.h"
#include "memory.h"
#include "mode.h"
#include "position.h"
#include "samsara.h"
#include "spin.h"
#include "turns.h"
#include "vm.h"

/* What ends a chunk, or this. */
#define STAYS_INSIDE	(-1)

int samsara_pre_enter(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	return sv->mode->flow->pre_enter(sv);
}

int samsara_complete_io(struct kvm_vcpu *vcpu, kvm_samsara_cui_t cui)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	return sv->mode->flow->complete_io(sv, cui);
}

void samsara_leave(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	sv->mode->flow->leave(sv);
}

bool samsara_owns_events(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	return sv->state == SAMSARA_IN_CHUNK || sv->mode->from_log;
}

void samsara_before_entry(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	int cpu = smp_processor_id();

	if (!samsara_running(sv->vm))
		return;
	/* samsara_pre_enter() makes them, and START keeps vCPUs out of KVM_RUN. */
	if (WARN_ON_ONCE(!sv->counter.branches))
		return;
	if (sv->state != SAMSARA_IN_CHUNK)
		sv->mode->flow->enter(sv);

	sv->exit_done = false;
	vmcs_write64(EPT_POINTER, samsara_eptp(sv));
	/* Translations of ours from the last time the vCPU ran here. */
	if (sv->last_cpu != cpu) {
		sv->last_cpu = cpu;
		sv->flush = true;
	}
	if (sv->flush) {
		sv->flush = false;
		samsara_ept_flush(sv);
	}
	if (sv->mode->from_log)
		samsara_breakpoints_load(sv);
	samsara_arm_timer(sv);
}

static bool is_write(unsigned long qualification)
{
	return qualification & EPT_VIOLATION_ACC_WRITE;
}

static bool is_soft(u32 type)
{
	return type == INTR_TYPE_SOFT_INTR || type == INTR_TYPE_SOFT_EXCEPTION;
}

/*
 * The delivery of an INT n, INT3 or INTO was cut short.  The guest is still at the
 * instruction: let it run again, instead of injecting its event.  An injected event
 * does not retire an instruction, so one branch less would be counted than in
 * replay, where nothing cuts the delivery short.  Not so if the chunk began with it,
 * or ends here because there is no RAM.
 */
static void run_soft_event_again(struct samsara_vcpu *sv, gpa_t gpa)
{
	u32 info = to_vmx(sv->vcpu)->idt_vectoring_info;

	if (!(info & VECTORING_INFO_VALID_MASK) || !is_soft(info & VECTORING_INFO_TYPE_MASK) ||
	    is_soft(sv->rec.event.intr_info & INTR_INFO_INTR_TYPE_MASK) ||
	    !samsara_gfn_to_page(sv->vm, gpa_to_gfn(gpa), NULL))
		return;
	kvm_clear_interrupt_queue(sv->vcpu);
	kvm_clear_exception_queue(sv->vcpu);
}

static int handle_ept_violation(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;
	unsigned long qualification = vmx_get_exit_qual(vcpu);
	gpa_t gpa = vmcs_read64(GUEST_PHYSICAL_ADDRESS);
	u64 start = rdtsc();
	int r;

	/* An IRET from an NMI handler was cut short: NMIs are still blocked. */
	if (!(to_vmx(vcpu)->idt_vectoring_info & VECTORING_INFO_VALID_MASK) &&
	    (qualification & INTR_INFO_UNBLOCK_NMI))
		vmcs_set_bits(GUEST_INTERRUPTIBILITY_INFO, GUEST_INTR_STATE_NMI);

	run_soft_event_again(sv, gpa);
	r = samsara_ept_fault(sv, gpa, is_write(qualification));
	if (r < 0)
		samsara_fail(sv->vm, r, "no memory for a private page");
	sv->chunk.fault_seen = true;
	samsara_position(sv, &sv->chunk.fault_pos);
	sv->chunk.fault_cycles += rdtsc() - start + SAMSARA_EXIT_COST;
	switch (r) {
	case SAMSARA_FAULT_EXIT:
		return EXIT_REASON_EPT_VIOLATION;
	case SAMSARA_FAULT_TOUCH:
		return SMR_END_TOUCH;
	default:
		return STAYS_INSIDE;
	}
}

/* What ends the chunk: SMR_END_TOUCH or the exit's reason; or STAYS_INSIDE. */
static int handle_inside(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;
	u16 reason = samsara_exit_reason(vcpu);
	int r = 0;

	switch (reason) {
	case EXIT_REASON_EXTERNAL_INTERRUPT:
		++vcpu->stat.irq_exits;
		return STAYS_INSIDE;
	case EXIT_REASON_PREEMPTION_TIMER:
		samsara_turn_expired(sv);
		if (sv->spin.found)
			samsara_note_spin(sv);
		return STAYS_INSIDE;
	case EXIT_REASON_MONITOR_TRAP_FLAG:
		return STAYS_INSIDE;
	case EXIT_REASON_PAUSE_INSTRUCTION:
		samsara_note_spin(sv);
		return STAYS_INSIDE;
	case EXIT_REASON_EXCEPTION_NMI:
		/* The NMI itself was handled with IRQs off. */
		r = is_nmi(vmx_get_intr_info(vcpu)) || sv->landing.hit ||
		    (sv->debug.hits && !(vmx_get_exit_qual(vcpu) & DR_STEP));
		return r ? STAYS_INSIDE : reason;
	case EXIT_REASON_EPT_VIOLATION:
		return handle_ept_violation(sv);
	case EXIT_REASON_RDTSC:
		r = samsara_emulate_rdtsc(sv, false);
		break;
	case EXIT_REASON_RDTSCP:
		r = samsara_emulate_rdtsc(sv, true);
		break;
	case EXIT_REASON_CPUID:
		r = kvm_emulate_cpuid(vcpu);
		break;
	}
	if (r)
		samsara_debug_completed(sv);
	return r ? STAYS_INSIDE : reason;
}

static bool is_rdtsc(u16 reason)
{
	return reason == EXIT_REASON_RDTSC || reason == EXIT_REASON_RDTSCP;
}

/* Does nothing wait but the exit itself? */
static bool is_only_exit(const struct samsara_vcpu *sv)
{
	return !sv->stepping && !READ_ONCE(sv->counter.overflowed) && !READ_ONCE(sv->vm->error);
}

/* Nothing else to do but to hand out the time stamp?  Then there is room for it. */
static bool is_only_rdtsc(struct samsara_vcpu *sv, u32 reason)
{
	return is_rdtsc(reason) && sv->state == SAMSARA_IN_CHUNK && is_only_exit(sv) &&
	       !(vmcs_readl(GUEST_RFLAGS) & X86_EFLAGS_TF) &&
	       samsara_running(sv->vm) && samsara_has_input_room(sv);
}

/* The breakpoint of a landing, which is the only one there is, and nothing else to do? */
static bool is_only_breakpoint(struct samsara_vcpu *sv, u32 reason)
{
	return reason == EXIT_REASON_EXCEPTION_NMI && sv->breakpoints == DR_GLOBAL_ENABLE &&
	       sv->state == SAMSARA_IN_CHUNK && is_only_exit(sv) && samsara_running(sv->vm);
}

/* Is KVM's way past the instruction just a longer RIP? */
static bool is_easily_skipped(unsigned long rip, unsigned long next)
{
	return ((rip ^ next) >> 31) != 3 &&
	       !(vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) &
		 (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS));
}

/*
 * Linux reads the time often, and what KVM does around an exit takes several times as long as
 * that.  So the guest gets it here and is entered again, with what was loaded for it: nothing
 * was done since that changes it, and who wants something of the vCPU interrupts it.
 * What KVM caches is that of the entry: only the VMCS and the general registers are used.
 * Also for a replay, as long as nobody looks for anything but the end of its chunk.
 */
bool samsara_resume_at_once(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long rip, next;
	u32 reason;

	if (unlikely(vmx->fail))
		return false;
	/* With its upper half: whether VM-entry has failed. */
	reason = vmcs_read32(VM_EXIT_REASON);
	if (sv->breakpoints) {
		if (!is_only_breakpoint(sv, reason) || !samsara_land_at_once(sv))
			return false;
		vmx->loaded_vmcs->launched = 1;
		return true;
	}
	if (!is_only_rdtsc(sv, reason))
		return false;
	rip = vmcs_readl(GUEST_RIP);
	next = rip + vmcs_read32(VM_EXIT_INSTRUCTION_LEN);
	if (!is_easily_skipped(rip, next) ||
	    samsara_spin_read_tsc(sv, next, vmcs_readl(GUEST_RSP)) ||
	    !samsara_take_tsc(sv, reason == EXIT_REASON_RDTSCP))
		return false;
	vmcs_writel(GUEST_RIP, next);
	vmx->loaded_vmcs->launched = 1;
	return true;
}

static bool single_stepped(struct samsara_vcpu *sv)
{
	return sv->mode->flow->step && !samsara_event_requeued(sv->vcpu) &&
	       (sv->landing.hit ||
		(sv->stepping &&
		 samsara_exit_reason(sv->vcpu) == EXIT_REASON_MONITOR_TRAP_FLAG));
}

/* The preemption timer has expired.  True: that was for a look which has shown nothing. */
static bool only_looked(struct samsara_vcpu *sv)
{
	if (sv->state != SAMSARA_IN_CHUNK)
		return false;
	samsara_spin_look(sv);
	return !sv->spin.found && !samsara_turn_is_due(sv) && is_only_exit(sv) &&
	       !samsara_event_requeued(sv->vcpu);
}

/*
 * Three kinds of exits are frequent and stay inside the chunk: they need not leave the
 * inner loop.  IRQs are off.  All that is done is on the vCPU's registers and the
 * chunk's own inputs, which a rollback takes back (RULE 1).
 */
fastpath_t samsara_fastpath(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	u32 hits = samsara_breakpoints_unload(sv);
	bool looks = samsara_debug_look(sv, hits);

	if (sv->spin.timer_armed)
		samsara_disarm_timer(sv);
	if (samsara_exit_reason(vcpu) == EXIT_REASON_PREEMPTION_TIMER) {
		sv->exit_done = only_looked(sv);
	} else if (is_only_rdtsc(sv, samsara_exit_reason(vcpu))) {
		/* Not done by samsara_resume_at_once(). */
		samsara_emulate_rdtsc(sv, samsara_exit_reason(vcpu) == EXIT_REASON_RDTSCP);
		sv->exit_done = true;
	} else {
		sv->exit_done = !looks && single_stepped(sv) && sv->mode->flow->step(sv);
	}
	return sv->exit_done && !sv->spin.found ? EXIT_FASTPATH_REENTER_GUEST :
						  EXIT_FASTPATH_NONE;
}

/* The guest can't run on: what the chunk has done so far is nobody's business. */
static void abandon_chunk(struct samsara_vcpu *sv)
{
	samsara_forget_inputs(sv);
	WRITE_ONCE(sv->state, SAMSARA_AT_BOUNDARY);
	wake_up_all(&sv->vm->wq);
}

/* Of a VM that can be recorded, and is not: an ordinary one, but for what it intercepts. */
static int handle_unrecorded(struct kvm_vcpu *vcpu, fastpath_t exit_fastpath)
{
	u16 reason = samsara_exit_reason(vcpu);

	if (is_rdtsc(reason) && exit_fastpath == EXIT_FASTPATH_NONE)
		return samsara_give_tsc(vcpu, kvm_read_l1_tsc(vcpu, rdtsc()),
					reason == EXIT_REASON_RDTSCP);
	return __vmx_handle_exit(vcpu, exit_fastpath);
}

int samsara_handle_exit(struct kvm_vcpu *vcpu, fastpath_t exit_fastpath)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	u16 reason = samsara_exit_reason(vcpu);
	int end;

	if (!sv)
		return handle_unrecorded(vcpu, exit_fastpath);
	/* The rest of a look, or KVM left the inner loop for another reason. */
	if (sv->exit_done) {
		if (sv->spin.found)
			samsara_note_spin(sv);
		return 1;
	}
	if (sv->state != SAMSARA_IN_CHUNK) {
		/* KVM wanted to look at events at once, and now does. */
		if (reason == EXIT_REASON_PREEMPTION_TIMER)
			return 1;
		return handle_unrecorded(vcpu, EXIT_FASTPATH_NONE);
	}
	if (unlikely(to_vmx(vcpu)->fail || to_vmx(vcpu)->exit_reason.failed_vmentry)) {
		samsara_fail(sv->vm, -EIO, "VM-entry failed");
		abandon_chunk(sv);
		return __vmx_handle_exit(vcpu, EXIT_FASTPATH_NONE);
	}
	end = handle_inside(sv);
	if (end == STAYS_INSIDE)
		return 1;
	samsara_set_stepping(sv, false);
	samsara_normalise(sv);
	sv->mode->flow->exit(sv, end);
	return 1;
}
