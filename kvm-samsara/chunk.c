// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a chunk: where it begins, which exits stay inside it, where it
 * ends.
 *
 *	pre_enter	at a boundary: wait for log space; inside a chunk: end it
 *			if something waits that only takes effect between chunks
 *	(KVM injects events, at a boundary only)
 *	before_entry	opens the chunk: start_seq, checkpoint, TLB flush
 *	handle_exit	EPT violation on RAM, host interrupt, RDTSC, CPUID: stay
 *			inside; anything else: commit, and leave the exit pending
 *	pre_enter	handles the pending exit, as a section of its own
 *
 * RULE 1: handle_exit() never lets KVM act on an exit before the chunk that
 * caused it has committed.  RULE 2: samsara_owns_events() keeps KVM from
 * injecting while a chunk is open.
 */
#include <linux/entry-kvm.h>

#include "copies.h"
#include "ept.h"
#include "land.h"
#include "log.h"
#include "order.h"
#include "position.h"
#include "samsara.h"
#include "section.h"
#include "trace.h"

static_assert(SMR_END_ASYNC == EXIT_REASON_EXTERNAL_INTERRUPT);

/* The event KVM has put into the VM-entry fields, if any, begins the chunk. */
static void note_event(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;
	struct smr_event *event = &sv->rec.event;
	u32 info = vmcs_read32(VM_ENTRY_INTR_INFO_FIELD);

	memset(event, 0, sizeof(*event));
	if (!(info & INTR_INFO_VALID_MASK))
		return;
	samsara_set_event_flags(vcpu, info);
	sv->rec.flags |= SMR_F_EVENT;
	event->intr_info = info;
	if (info & INTR_INFO_DELIVER_CODE_MASK)
		event->error_code = vmcs_read32(VM_ENTRY_EXCEPTION_ERROR_CODE);
	event->insn_len = vmcs_read32(VM_ENTRY_INSTRUCTION_LEN);
	if (is_page_fault(info))
		event->aux = vcpu->arch.cr2;
	else if (is_debug(info))
		event->aux = vcpu->arch.dr6;
}

/* IRQs are off, VM-entry is next: from here on the guest's work is speculative. */
static void begin_chunk(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	/* Chunks with copies have looked at memory before, see samsara_look_at_memory(). */
	if (sv->direct)
		sv->start_seq = smr_order_prefix(vm->order);
	sv->nr_begun++;
	/* INIT and start-up IPI have been noted already; a retry may begin with another event. */
	sv->rec.flags &= SMR_F_INIT | SMR_F_SIPI;
	sv->rec.type = SMR_CHUNK;
	sv->rec.start_seq = sv->start_seq;
	note_event(sv);
	samsara_regs_save(sv);
	if (!sv->direct)
		samsara_withhold_contended(sv);
	samsara_counter_begin(sv);
	WRITE_ONCE(sv->limit_hit, false);
	sv->spinning = false;
	sv->paused_before = sv->paused;
	sv->paused = false;
	sv->chunk_tsc = rdtsc();
	sv->chunk_fault_cycles = 0;
	if (sv->end_tsc)
		sv->between_cycles += sv->chunk_tsc - sv->end_tsc;
	sv->end_tsc = 0;
	sv->fault_seen = false;
	/* RULE 6: the flags were cleared; cached translations would keep them so. */
	sv->flush = true;
	if (samsara_crew(vm))
		samsara_crew_open_chunk(sv);
	else
		WRITE_ONCE(sv->chunk_open, true);
	trace_kvm_samsara_chunk_begin(sv->id, sv->start_seq, kvm_rip_read(sv->vcpu),
				      sv->rec.event.intr_info);
}

void samsara_before_entry(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	int cpu = smp_processor_id();

	if (samsara_recording(sv->vm)) {
		/* samsara_pre_enter() makes them, and START keeps vCPUs out of KVM_RUN. */
		if (WARN_ON_ONCE(!sv->branch_event))
			return;
		if (!sv->chunk_open)
			begin_chunk(sv);
	} else if (samsara_replaying(sv->vm)) {
		if (!sv->begun)
			samsara_replay_begin(sv);
	} else {
		return;
	}

	sv->exit_done = false;
	vmcs_write64(EPT_POINTER, samsara_eptp(sv));
	/* Translations of ours from the last time the vCPU ran here. */
	if (sv->last_cpu != cpu) {
		sv->last_cpu = cpu;
		sv->flush = true;
	}
	if (sv->flush) {
		sv->flush = false;
		samsara_flush(sv);
	}
	if (sv->breakpoint)
		samsara_load_breakpoint(sv);
	if (unlikely(sv->cut_turn))
		samsara_arm_cut(sv);
}

/* Serial recording looks at its turn now and then instead. */
static bool is_long(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	if (samsara_crew(vm))
		return READ_ONCE(sv->asked);
	if (sv->direct)
		return samsara_turn_is_over(sv);
	return READ_ONCE(vm->phase) == SAMSARA_CHANGING || READ_ONCE(sv->limit_hit) ||
	       READ_ONCE(sv->asked) || sv->spinning ||
	       rdtsc() - sv->chunk_tsc > SAMSARA_MAX_CHUNK_TSC;
}

/* Does anything wait that takes effect between chunks only? */
static bool must_end(struct samsara_vcpu *sv)
{
	return kvm_request_pending(sv->vcpu) || is_long(sv) ||
	       !samsara_has_input_room(sv) ||
	       (!sv->direct && sv->nr_free_copies < SAMSARA_COPY_RESERVE) ||
	       READ_ONCE(sv->vm->stopping);
}

/* The chunk ends before the guest touches the page. */
static void end_touched(struct samsara_vcpu *sv, gpa_t gpa)
{
	sv->rec.end = SMR_END_TOUCH;
	sv->rec.gpa = gpa & PAGE_MASK;
	if (samsara_crew(sv->vm) && sv->fault_could_read)
		sv->rec.flags |= SMR_F_WRITE;
	samsara_commit_chunk(sv);
}

static void end_async(struct samsara_vcpu *sv)
{
	/* Who can't be rolled back must not stop half-way, see crew.c. */
	if (samsara_crew(sv->vm) && (samsara_event_requeued(sv->vcpu) || samsara_half_done(sv))) {
		samsara_normalise(sv);
		end_touched(sv, sv->fault_gpa);
		return;
	}
	sv->rec.end = SMR_END_ASYNC;
	samsara_position(sv, &sv->rec.pos);
	if (samsara_may_be_in_rep(sv) || !samsara_breakpoint_fires_here(sv))
		sv->rec.flags |= SMR_F_STEP;
	samsara_normalise(sv);
	samsara_set_stepping(sv, false);
	if (!sv->direct)
		samsara_maybe_go_back(sv);
	samsara_commit_chunk(sv);
	/* Bound the memory the copies take. */
	if (sv->nr_copies > sv->vm->tune.max_copies)
		samsara_drop_copies(sv);
}

static int handle_pending_exit(struct samsara_vcpu *sv)
{
	int section = 0;
	int r;

	r = samsara_take_turn(sv);
	if (r)
		return r;
	if (samsara_exit_needs_section(samsara_exit_reason(sv->vcpu))) {
		section = samsara_section_begin(sv);
		if (section < 0)
			return section;
	}
	sv->exit_pending = false;
	r = samsara_run_exit_handler(sv);
	if (section)
		samsara_section_end(sv);
	return r;
}

/* The recording has ended or is about to: run on as an ordinary VM. */
static int pre_enter_stopped(struct samsara_vcpu *sv)
{
	int r;

	if (READ_ONCE(sv->vm->stopping)) {
		samsara_give_turn(sv);
		samsara_release_exclusive(sv);
		wake_up_all(&sv->vm->wq);
		if (samsara_wait_interrupted(sv, !READ_ONCE(sv->vm->stopping)))
			return -EINTR;
	}
	if (samsara_holds_guest(sv->vm)) {
		sv->vcpu->run->exit_reason = KVM_EXIT_SAMSARA;
		return 0;
	}
	if (!sv->exit_pending)
		return 1;
	r = handle_pending_exit(sv);
	return r > 0 ? 2 : r;
}

/*
 * At a boundary: make sure that whatever comes next can be logged, and wait for
 * the vCPU's turn if it needs one.  Returns 0, or -EINTR for user space.
 */
static int get_ready(struct samsara_vcpu *sv)
{
	if (samsara_ring_space(&sv->ring) < SAMSARA_RING_RESERVE) {
		samsara_release_exclusive(sv);
		samsara_signal_user(sv->vm);
		if (samsara_wait_interrupted(sv, samsara_ring_has_room(sv->vm, &sv->ring,
								       SAMSARA_RING_RESERVE)))
			return -EINTR;
	}
	return samsara_crew(sv->vm) ? samsara_crew_get_ready(sv) : samsara_take_turn(sv);
}

static int prepare_chunk(struct samsara_vcpu *sv)
{
	int r;

	r = samsara_counter_init(sv);
	if (!r && !samsara_counter_ok(sv))
		r = -EBUSY;
	if (r) {
		samsara_fail(sv->vm, r, "the branch counter is not available");
		return 2;
	}
	samsara_choose_phase(sv);
	if (samsara_serial(sv->vm) && samsara_turn_is_over(sv))
		samsara_give_turn(sv);
	r = get_ready(sv);
	if (r)
		return r;
	/*
	 * Only who has the turn ends a serial phase, and one can't begin before this
	 * vCPU has been here again.
	 */
	if (samsara_for_parallel(sv->vm))
		samsara_use_ept(sv, samsara_serial(sv->vm));
	samsara_restore_length(sv);
	if (!sv->direct) {
		samsara_find_contended(sv);
		samsara_wait_for_page(sv);
		samsara_look_at_memory(sv);
	}
	return samsara_recording(sv->vm) && !READ_ONCE(sv->vm->stopping) &&
	       samsara_ring_space(&sv->ring) >= SAMSARA_RING_RESERVE ? 1 : 2;
}

/*
 * KVM wants to look at events: not before the boundary.  must_end() still sees
 * why KVM_REQ_SAMSARA was made.
 */
static void defer_requests(struct samsara_vcpu *sv)
{
	kvm_clear_request(KVM_REQ_SAMSARA, sv->vcpu);
	if (kvm_check_request(KVM_REQ_EVENT, sv->vcpu))
		sv->event_deferred = true;
}

/*
 * An instruction needs more private pages than are left, and a chunk can't end in the
 * middle of one.  From its start, with all of them, it goes further.
 */
static void start_again_without_copies(struct samsara_vcpu *sv)
{
	sv->out_of_copies = false;
	sv->go_back = true;
	end_async(sv);
	samsara_drop_copies(sv);
}

/* Inside a chunk.  False: it has ended. */
static bool go_on(struct samsara_vcpu *sv)
{
	if (samsara_crew(sv->vm) && must_end(sv)) {
		end_async(sv);
		return false;
	}
	/* After an error what was begun can't be finished, where it can be rolled back. */
	if (READ_ONCE(sv->vm->error) && !sv->direct) {
		end_async(sv);
		return false;
	}
	if (sv->out_of_copies) {
		start_again_without_copies(sv);
		return false;
	}
	/* The event's delivery belongs to this chunk: finish it. */
	if (samsara_event_requeued(sv->vcpu)) {
		defer_requests(sv);
		samsara_reinject(sv->vcpu);
		return true;
	}
	if (sv->event_deferred) {
		sv->event_deferred = false;
		kvm_make_request(KVM_REQ_EVENT, sv->vcpu);
	}
	if (!must_end(sv)) {
		samsara_set_stepping(sv, false);
		return true;
	}
	if (samsara_half_done(sv)) {
		defer_requests(sv);
		samsara_set_stepping(sv, true);
		return true;
	}
	end_async(sv);
	return false;
}

int samsara_pre_enter(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	int r;

	if (samsara_replaying(sv->vm))
		return samsara_replay_pre_enter(sv);

	samsara_note_running(sv, true);
	if (sv->chunk_open && go_on(sv))
		return 1;
	/* First the request, then what it is about: samsara_stop() sets them the other way. */
	kvm_check_request(KVM_REQ_SAMSARA, vcpu);
	if (!samsara_recording(sv->vm) || READ_ONCE(sv->vm->stopping))
		return pre_enter_stopped(sv);
	if (sv->exit_pending) {
		r = handle_pending_exit(sv);
		return r > 0 ? 2 : r;
	}
	return prepare_chunk(sv);
}

bool samsara_owns_events(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	return sv->chunk_open || samsara_replaying(sv->vm);
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

/* Returns 1: handled inside the chunk; 0: ends it. */
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
	sv->touched = false;
	r = samsara_ept_fault(sv, gpa, is_write(qualification));
	sv->out_of_copies = r == -ENOSPC;
	if (r < 0 && r != -ENOSPC) {
		samsara_fail(sv->vm, r, "no memory for a private page");
		WRITE_ONCE(sv->limit_hit, true);
	}
	sv->fault_seen = true;
	samsara_position(sv, &sv->fault_pos);
	sv->chunk_fault_cycles += rdtsc() - start + SAMSARA_EXIT_COST;
	return r ? 1 : 0;
}

/* Returns 1 if the exit belongs inside the chunk and is done with. */
static int handle_inside(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;

	switch (samsara_exit_reason(vcpu)) {
	case EXIT_REASON_EXTERNAL_INTERRUPT:
		++vcpu->stat.irq_exits;
		return 1;
	case EXIT_REASON_PREEMPTION_TIMER:
		if (sv->cut_turn)
			WRITE_ONCE(sv->turn.give_up, true);
		return 1;
	case EXIT_REASON_MONITOR_TRAP_FLAG:
		return 1;
	case EXIT_REASON_PAUSE_INSTRUCTION:
		sv->paused = true;
		sv->spinning = samsara_recording(sv->vm) && !samsara_crew(sv->vm) &&
			       (sv->direct ? samsara_someone_waits(sv) :
					     samsara_spins_in_vain(sv));
		return 1;
	case EXIT_REASON_EXCEPTION_NMI:
		/* The NMI itself was handled with IRQs off. */
		return is_nmi(vmx_get_intr_info(vcpu)) || sv->breakpoint_hit;
	case EXIT_REASON_EPT_VIOLATION:
		return handle_ept_violation(sv);
	case EXIT_REASON_RDTSC:
		return samsara_emulate_rdtsc(sv, false);
	case EXIT_REASON_RDTSCP:
		return samsara_emulate_rdtsc(sv, true);
	case EXIT_REASON_CPUID:
		return kvm_emulate_cpuid(vcpu);
	default:
		return 0;
	}
}

static bool is_rdtsc(u16 reason)
{
	return reason == EXIT_REASON_RDTSC || reason == EXIT_REASON_RDTSCP;
}

/* Nothing else to do but to hand out the time stamp?  Then there is room for it. */
static bool is_only_rdtsc(struct samsara_vcpu *sv)
{
	return is_rdtsc(samsara_exit_reason(sv->vcpu)) && sv->chunk_open && !sv->stepping &&
	       !READ_ONCE(sv->limit_hit) && !READ_ONCE(sv->vm->error) &&
	       !(vmx_get_rflags(sv->vcpu) & X86_EFLAGS_TF) &&
	       (samsara_recording(sv->vm) ? samsara_has_input_room(sv) :
					    samsara_alive(sv->vm));
}

static bool single_stepped(struct samsara_vcpu *sv)
{
	return samsara_replaying(sv->vm) && !samsara_event_requeued(sv->vcpu) &&
	       (sv->breakpoint_hit ||
		(sv->stepping && samsara_exit_reason(sv->vcpu) == EXIT_REASON_MONITOR_TRAP_FLAG));
}

/*
 * Two kinds of exits are frequent and stay inside the chunk: they need not leave the
 * inner loop.  IRQs are off.  All that is done is on the vCPU's registers and the
 * chunk's own inputs, which a rollback takes back (RULE 1).
 */
fastpath_t samsara_fastpath(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	samsara_unload_breakpoint(sv);
	if (unlikely(sv->cut_armed))
		samsara_disarm_cut(sv);
	if (is_only_rdtsc(sv)) {
		samsara_emulate_rdtsc(sv, samsara_exit_reason(vcpu) == EXIT_REASON_RDTSCP);
		sv->exit_done = true;
	} else {
		sv->exit_done = single_stepped(sv) && samsara_replay_step(sv);
	}
	return sv->exit_done ? EXIT_FASTPATH_REENTER_GUEST : EXIT_FASTPATH_NONE;
}

/* The guest can't run on: what the chunk has done so far is nobody's business. */
static void abandon_chunk(struct samsara_vcpu *sv)
{
	samsara_forget_inputs(sv);
	WRITE_ONCE(sv->chunk_open, false);
	wake_up_all(&sv->vm->wq);
}

int samsara_handle_exit(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	u16 reason = samsara_exit_reason(vcpu);
	bool touched;

	/* KVM left the inner loop for another reason. */
	if (sv->exit_done)
		return 1;
	if (!sv->chunk_open) {
		/* An ordinary VM by now, but for the intercepts and the fast path it has. */
		if (is_rdtsc(reason))
			return samsara_emulate_rdtsc(sv, reason == EXIT_REASON_RDTSCP);
		/* KVM wanted to look at events at once, and now does. */
		if (reason == EXIT_REASON_PREEMPTION_TIMER)
			return 1;
		return __vmx_handle_exit(vcpu, EXIT_FASTPATH_NONE);
	}
	if (unlikely(to_vmx(vcpu)->fail || to_vmx(vcpu)->exit_reason.failed_vmentry)) {
		samsara_fail(sv->vm, -EIO, "VM-entry failed");
		abandon_chunk(sv);
		return __vmx_handle_exit(vcpu, EXIT_FASTPATH_NONE);
	}
	if (handle_inside(sv))
		return 1;

	samsara_set_stepping(sv, false);
	samsara_normalise(sv);
	touched = reason == EXIT_REASON_EPT_VIOLATION && sv->touched;
	if (samsara_replaying(sv->vm)) {
		samsara_replay_sync_end(sv, touched ? SMR_END_TOUCH : reason);
	} else if (touched) {
		end_touched(sv, vmcs_read64(GUEST_PHYSICAL_ADDRESS));
	} else {
		sv->rec.end = reason;
		if (!samsara_commit_chunk(sv))
			sv->exit_pending = true;
	}
	return 1;
}

/* User space has done its part of an exit; the rest writes registers or memory. */
int samsara_complete_io(struct kvm_vcpu *vcpu, kvm_samsara_cui_t cui)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	int r;

	if (samsara_replaying(sv->vm))
		return samsara_replay_complete_io(sv, cui);
	if (samsara_recording(sv->vm)) {
		r = get_ready(sv);
		if (r) {
			vcpu->arch.complete_userspace_io = cui;
			return r;
		}
	}
	r = samsara_section_begin(sv);
	if (r <= 0)
		samsara_give_turn(sv);
	if (r < 0)
		vcpu->arch.complete_userspace_io = cui;
	if (r <= 0)
		return r ?: cui(vcpu);
	samsara_user_input(sv);
	r = cui(vcpu);
	samsara_section_end(sv);
	/* KVM_RUN may return without samsara_leave(). */
	samsara_give_turn(sv);
	return r;
}

/*
 * KVM_RUN returns, because of a signal if a chunk is open: user space sees a
 * boundary.  Or the vCPU halts, between chunks.
 */
void samsara_leave(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	if (samsara_replaying(sv->vm))
		return;
	if (sv->chunk_open)
		end_async(sv);
	sv->end_tsc = 0;
	samsara_note_running(sv, false);
	/* It may have got a page that it waited for, and not have begun. */
	if (!samsara_crew(sv->vm))
		samsara_release_pages(sv, false);
	samsara_give_turn(sv);
	samsara_release_exclusive(sv);
	/*
	 * chunk_open before what says that somebody waits for it: they set that
	 * first and look at chunk_open then (samsara_stop(), go_serial()).
	 */
	smp_mb();
	if (READ_ONCE(sv->vm->stopping) || READ_ONCE(sv->vm->phase) == SAMSARA_CHANGING)
		wake_up_all(&sv->vm->wq);
}
