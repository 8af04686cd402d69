// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a recorded chunk: where it begins, and where it ends.
 *
 *	pre_enter	at a boundary: handle the exit that ended the last chunk, as a
 *			section of its own; wait for log space and whatever the mode
 *			needs; inside a chunk: end it if something waits that only takes
 *			effect between chunks
 *	(KVM injects events, at a boundary only)
 *	enter		opens the chunk: start_seq, registers, TLB flush
 *	exit		commit, and leave the exit pending
 *
 * RULE 1: KVM never acts on an exit before the chunk that caused it has committed.
 * RULE 2: samsara_owns_events() keeps KVM from injecting while a chunk is open.
 */
#include <linux/entry-kvm.h>

#include "arch.h"
#include "chunk.h"
#include "counter.h"
#include "input.h"
#include "log.h"
#include "order.h"
#include "phase.h"
#include "position.h"
#include "remap.h"
#include "ring.h"
#include "samsara.h"
#include "section.h"
#include "spin.h"
#include "trace.h"
#include "turns.h"
#include "vm.h"

static_assert(SMR_END_ASYNC == EXIT_REASON_EXTERNAL_INTERRUPT);

/* The event KVM has put into the VM-entry fields, if any, begins the chunk. */
static void note_event(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;
	struct smr_event *event = &sv->rec.event;
	u32 info = vmcs_read32(VM_ENTRY_INTR_INFO_FIELD);

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

/* IRQs are off, VM-entry is next: from here on the guest's work belongs to the chunk. */
static void record_enter(struct samsara_vcpu *sv)
{
	sv->nr_begun++;
	/* A chunk that was abandoned is no news. */
	sv->reserve.paused_before = sv->chunk.paused || (sv->reserve.paused_before &&
							 sv->reserve.nr_abandoned);
	sv->chunk = (struct samsara_chunk) {};
	sv->copies.nr_access = 0;
	sv->copies.nr_dirty = 0;
	/* A retry may begin with another event. */
	sv->rec = sv->next_start;
	note_event(sv);
	sv->chunk.resume_flag = vmx_get_rflags(sv->vcpu) & X86_EFLAGS_RF;
	samsara_regs_save(sv);
	samsara_counter_begin(&sv->counter, &sv->chunk.start);
	WRITE_ONCE(sv->counter.overflowed, false);
	sv->chunk.tsc = rdtsc();
	samsara_spin_begin(sv);
	if (sv->cost.end_tsc)
		sv->cost.between_cycles += sv->chunk.tsc - sv->cost.end_tsc;
	sv->cost.end_tsc = 0;
	/* RULE 6: the flags were cleared; cached translations would keep them so. */
	sv->flush = true;
	sv->mode->begin(sv);
	sv->rec.start_seq = sv->start_seq;
	trace_kvm_samsara_chunk_begin(sv->id, sv->start_seq, kvm_rip_read(sv->vcpu),
				      sv->rec.event.intr_info);
}

/* Does anything wait that takes effect between chunks only? */
static bool must_end(struct samsara_vcpu *sv)
{
	return kvm_request_pending(sv->vcpu) || sv->mode->must_end(sv) ||
	       !samsara_has_input_room(sv) || READ_ONCE(sv->vm->stopping) ||
	       samsara_map_changes(sv->vm);
}

/* The chunk ends before the guest touches the page of its last EPT violation. */
static int end_touched(struct samsara_vcpu *sv)
{
	sv->rec.end = SMR_END_TOUCH;
	sv->rec.gpa = sv->chunk.fault_gpa;
	if (sv->chunk.fault_could_read)
		sv->rec.flags |= SMR_F_WAS_READABLE;
	return sv->mode->end(sv);
}

static void end_async(struct samsara_vcpu *sv)
{
	/* A chunk that can't be rolled back must not stop half-way, see mode_own.c. */
	if (!sv->mode->can_roll_back &&
	    (samsara_event_requeued(sv->vcpu) || samsara_half_done(sv))) {
		samsara_normalise(sv);
		end_touched(sv);
		return;
	}
	sv->rec.end = SMR_END_ASYNC;
	samsara_position(sv, &sv->rec.pos);
	if (samsara_may_be_in_rep(sv) || !samsara_breakpoint_fires_here(sv))
		sv->rec.flags |= SMR_F_RCX;
	samsara_normalise(sv);
	samsara_set_stepping(sv, false);
	sv->mode->end(sv);
}

static int handle_pending_exit(struct samsara_vcpu *sv)
{
	int section = 0;
	int r;

	r = sv->mode->take_turn(sv);
	if (r)
		return r;
	if (samsara_exit_needs_section(samsara_exit_reason(sv->vcpu))) {
		section = samsara_section_begin(sv);
		if (section < 0)
			return section;
	}
	if (!section)
		sv->state = SAMSARA_AT_BOUNDARY;
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
	if (sv->state != SAMSARA_AT_EXIT)
		return 1;
	r = handle_pending_exit(sv);
	return r > 0 ? 2 : r;
}

/*
 * At a boundary: make sure that whatever comes next can be logged.  Returns 0, or -EINTR
 * for user space.
 */
static int wait_for_room(struct samsara_vcpu *sv)
{
	if (samsara_ring_space(&sv->ring) >= SAMSARA_RING_RESERVE)
		return 0;
	samsara_release_exclusive(sv);
	samsara_signal_user(sv->vm);
	return samsara_wait_interrupted(sv, samsara_ring_has_room(sv->vm, &sv->ring,
								  SAMSARA_RING_RESERVE)) ?
	       -EINTR : 0;
}

static int prepare_chunk(struct samsara_vcpu *sv)
{
	int r;

	r = samsara_counter_init(&sv->counter, sv->length.limit, false);
	if (!r && !samsara_counter_ok(&sv->counter))
		r = -EBUSY;
	if (r) {
		samsara_fail(sv->vm, r, "the branch counter is not available");
		return 2;
	}
	r = wait_for_room(sv);
	r = r ?: samsara_wait_for_map(sv);
	if (r)
		return r;
	r = samsara_follow_map(sv);
	if (r) {
		samsara_fail(sv->vm, r, SAMSARA_NO_EPT);
		return 2;
	}
	r = sv->mode->get_ready(sv);
	if (r)
		return r;
	sv->mode->prepare(sv);
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

/* Inside a chunk.  False: it has ended. */
static bool go_on(struct samsara_vcpu *sv)
{
	/* After an error what was begun can't be finished, where it can be rolled back. */
	if (sv->mode->can_roll_back ? READ_ONCE(sv->vm->error) || sv->chunk.out_of_copies :
				      must_end(sv)) {
		end_async(sv);
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

static int record_pre_enter(struct samsara_vcpu *sv)
{
	int r;

	samsara_note_running(sv, true);
	if (sv->state == SAMSARA_IN_CHUNK && go_on(sv))
		return 1;
	/* First the request, then what it is about: samsara_stop() sets them the other way. */
	kvm_check_request(KVM_REQ_SAMSARA, sv->vcpu);
	if (!samsara_recording(sv->vm) || READ_ONCE(sv->vm->stopping))
		return pre_enter_stopped(sv);
	if (sv->state == SAMSARA_AT_EXIT) {
		r = handle_pending_exit(sv);
		return r > 0 ? 2 : r;
	}
	return prepare_chunk(sv);
}

/* The guest has ended its chunk. */
static void record_exit(struct samsara_vcpu *sv, u16 end)
{
	int r;

	if (end == SMR_END_TOUCH) {
		end_touched(sv);
		return;
	}
	sv->rec.end = end;
	r = sv->mode->end(sv);
	if (!r)
		sv->state = SAMSARA_AT_EXIT;
}

/* User space has done its part of an exit; the rest writes registers or memory. */
static int record_complete_io(struct samsara_vcpu *sv, kvm_samsara_cui_t cui)
{
	struct kvm_vcpu *vcpu = sv->vcpu;
	int r;

	if (samsara_recording(sv->vm)) {
		r = wait_for_room(sv);
		r = r ?: sv->mode->take_turn(sv);
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
static void record_leave(struct samsara_vcpu *sv)
{
	if (sv->state == SAMSARA_IN_CHUNK)
		end_async(sv);
	sv->cost.end_tsc = 0;
	samsara_note_running(sv, false);
	if (sv->mode->let_go)
		sv->mode->let_go(sv);
	samsara_give_turn(sv);
	sv->turn.halted = sv->vcpu->arch.mp_state == KVM_MP_STATE_HALTED;
	samsara_release_exclusive(sv);
	/*
	 * The vCPU's state before what says that somebody waits for it: they set that
	 * first and look at the state then (samsara_stop(), go_serial(),
	 * samsara_remap_begin()).
	 */
	smp_mb();
	if (READ_ONCE(sv->vm->stopping) || samsara_phase_changes(sv->vm) ||
	    samsara_map_changes(sv->vm))
		wake_up_all(&sv->vm->wq);
}

const struct samsara_flow samsara_record_flow = {
	.pre_enter = record_pre_enter,
	.complete_io = record_complete_io,
	.leave = record_leave,
	.enter = record_enter,
	.exit = record_exit,
};
