// SPDX-License-Identifier: GPL-2.0
/*
 * How chunks follow each other in a replay, and serial replay, the oracle: chunks, sections
 * and DMA are done one at a time in commit order, directly on shared memory; each vCPU's
 * thread does its own and waits for its turn in between.
 *
 * An end the guest caused itself needs no search: the same exit comes again.
 * Any other end is a position, see land.c.
 */
#include "arch.h"
#include "counter.h"
#include "debug.h"
#include "ept.h"
#include "input.h"
#include "land.h"
#include "log.h"
#include "map.h"
#include "mode.h"
#include "remap.h"
#include "replay_order.h"
#include "ring.h"
#include "samsara.h"
#include "section.h"
#include "sets.h"
#include "state.h"
#include "vm.h"

/* What samsara_pre_enter() does not return. */
#define NEXT_STEP	3

static int replay_init(struct samsara_vcpu *sv)
{
	samsara_ept_use(sv, &sv->direct);
	sv->length.limit = SAMSARA_PERIOD_NEVER;
	return samsara_ept_map_all(sv->ept, sv->vm);
}

/*
 * Take the vCPU's next record, if it is not there yet.  Returns 1, -ENODATA at the end, -EINTR,
 * or -ESHUTDOWN.
 */
static int fetch_record(struct samsara_vcpu *sv)
{
	int r;

	while (!sv->replay.have_rec) {
		sv->replay.before.pos = sv->ring.pos;
		sv->replay.before.stream = sv->progress.stream;
		r = samsara_ring_get(&sv->ring, &sv->progress.stream, sv->scratch, &sv->rec);
		if (r == 1) {
			sv->replay.have_rec = true;
			break;
		}
		if (r == -ENODATA)
			return r;
		if (r < 0) {
			samsara_diverged(sv, KVM_SAMSARA_DIV_LOG, 0, -r);
			return -ESHUTDOWN;
		}
		samsara_signal_user(sv->vm);
		if (samsara_replay_interrupted(sv, samsara_ring_has_news(&sv->ring)))
			return -EINTR;
		cond_resched();
		if (!samsara_alive(sv->vm))
			return -ESHUTDOWN;
	}
	if (sv->rec.type == SMR_VCPU_END || samsara_past_stop(sv->vm, sv->rec.commit_seq))
		return -ENODATA;
	return 1;
}

/* What the log says must be something that KVM could have produced. */
static bool record_is_sound(struct samsara_vcpu *sv)
{
	const struct smr_record *rec = &sv->rec;

	if ((rec->flags & SMR_F_EVENT) && !smr_event_ok(&rec->event))
		samsara_diverged(sv, KVM_SAMSARA_DIV_LOG, 0, rec->event.intr_info);
	else if (!smr_position_ok(&rec->pos))
		samsara_diverged(sv, KVM_SAMSARA_DIV_LOG, 0, rec->pos.branches);
	else
		return true;
	return false;
}

static void take_items(struct samsara_vcpu *sv)
{
	sv->replay.items.p = sv->rec.data;
	sv->replay.items.end = sv->rec.data + sv->rec.data_len;
	sv->replay.items.bad = false;
}

/* What the guest has asked for and come to, or what it was set to. */
static void chain_commit(struct samsara_vcpu *sv)
{
	struct smr_item item;

	if (sv->rec.type == SMR_STATE) {
		samsara_chain_inputs(sv, sv->rec.data, sv->rec.data_len);
		return;
	}
	if (smr_next_item(&sv->replay.items, &sv->progress.last_tsc, &item))
		samsara_diverged(sv, KVM_SAMSARA_DIV_INPUT, item.kind, 0);
	samsara_chain_state(sv, sv->rec.data, sv->rec.data_len);
}

/* What is in sv->rec has been done: has the vCPU come to what it had come to? */
static void compare_vcpu(struct samsara_vcpu *sv)
{
	chain_commit(sv);
	if ((u32)sv->progress.chain != sv->rec.digest)
		samsara_diverged(sv, KVM_SAMSARA_DIV_REGS, sv->rec.digest, (u32)sv->progress.chain);
}

/* And is in memory: let the next one go. */
static void commit_done(struct samsara_vcpu *sv)
{
	samsara_replay_done(sv);
	sv->replay.have_rec = false;
	if (samsara_ring_runs_low(&sv->ring))
		samsara_signal_user(sv->vm);
}

/* What the record says begins the chunk replaces whatever KVM has queued (RULE 2). */
static void set_event(struct samsara_vcpu *sv)
{
	const struct smr_event *event = &sv->rec.event;
	struct kvm_vcpu *vcpu = sv->vcpu;

	samsara_drop_events(vcpu);
	if (!(sv->rec.flags & SMR_F_EVENT))
		return;
	if (event->intr_info & INTR_INFO_DELIVER_CODE_MASK)
		vmcs_write32(VM_ENTRY_EXCEPTION_ERROR_CODE, event->error_code);
	vmcs_write32(VM_ENTRY_INSTRUCTION_LEN, event->insn_len);
	if (is_page_fault(event->intr_info))
		vcpu->arch.cr2 = event->aux;
	else if (is_debug(event->intr_info))
		vcpu->arch.dr6 = event->aux;
	samsara_set_event_flags(vcpu, event->intr_info);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, event->intr_info);
}

/* The page that the chunk ends before can't be touched in the EPT in use. */
void samsara_replay_withhold(struct samsara_vcpu *sv)
{
	sv->replay.withheld = NULL;
	if (sv->rec.end != SMR_END_TOUCH)
		return;
	if (!samsara_gfn_to_page(sv->vm, gpa_to_gfn(sv->rec.gpa), NULL)) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_LOG, sv->rec.gpa, 0);
		return;
	}
	sv->replay.withheld = samsara_ept_leaf(sv->ept, gpa_to_gfn(sv->rec.gpa));
	if (!sv->replay.withheld) {
		samsara_fail(sv->vm, -ENOMEM, SAMSARA_NO_EPT);
		return;
	}
	if (!(sv->rec.flags & SMR_F_WAS_READABLE)) {
		samsara_ept_withhold(sv->replay.withheld);
		return;
	}
	/* Without the flags, what the chunk changes is not known. */
	sv->ad_off = true;
	WRITE_ONCE(sv->vm->digest_off, true);
	samsara_ept_withhold_write(sv->replay.withheld);
}

void samsara_replay_give_back(struct samsara_vcpu *sv)
{
	if (sv->replay.withheld)
		samsara_ept_give_back(sv->replay.withheld);
	sv->replay.withheld = NULL;
}

static void apply_start(struct samsara_vcpu *sv)
{
	if (samsara_follow_map(sv)) {
		samsara_fail(sv->vm, -ENOMEM, SAMSARA_NO_EPT);
		return;
	}
	sv->replay.suspect.field = KVM_SAMSARA_DIV_NONE;
	sv->mode->prepare(sv);
	samsara_sets_begin(sv);
	if (sv->rec.flags & SMR_F_INIT)
		kvm_vcpu_reset(sv->vcpu, true);
	if (sv->rec.flags & SMR_F_SIPI)
		kvm_vcpu_deliver_sipi_vector(sv->vcpu, sv->rec.sipi_vector);
	set_event(sv);
	/* A window exit comes again if the window is watched again. */
	samsara_set_windows(sv->vcpu, sv->rec.end == EXIT_REASON_INTERRUPT_WINDOW,
			    sv->rec.end == EXIT_REASON_NMI_WINDOW);
	take_items(sv);
	/* Before landing sets it, and before KVM leaves the entry and has the event again. */
	sv->chunk.resume_flag = vmx_get_rflags(sv->vcpu) & X86_EFLAGS_RF;
	sv->landing.armed = false;
	sv->state = SAMSARA_AT_START;
	samsara_replay_withhold(sv);
}

static void replay_enter(struct samsara_vcpu *sv)
{
	samsara_regs_flush(sv->vcpu);
	samsara_counter_begin(&sv->counter, &sv->chunk.start);
	/* RULE 6: the recording flushed here. */
	sv->flush = true;
	sv->state = SAMSARA_IN_CHUNK;
}

/* The guest has come to the end of its chunk, or a divergence was found. */
static void chunk_ran(struct samsara_vcpu *sv)
{
	samsara_set_stepping(sv, false);
	sv->landing.breakpoint = false;
	sv->landing.on_steps = false;
	samsara_debug_ended(sv);
	samsara_replay_give_back(sv);
	sv->state = SAMSARA_AT_END;
	if (!sv->replay.suspect.field)
		compare_vcpu(sv);
}

/* KVM's part of an exit that is no section */
static void finish_exit(struct samsara_vcpu *sv)
{
	/* The interrupt controllers are KVM's: HLT is none of user space's business. */
	KVM_BUG_ON(samsara_run_exit_handler(sv) <= 0, sv->vm->kvm);
	/* Nothing wakes a halted vCPU but its log. */
	sv->vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	if (samsara_exit_reason(sv->vcpu) == EXIT_REASON_HLT)
		samsara_debug_completed(sv);
}

/* As samsara_mode.end. */
static int end_chunk(struct samsara_vcpu *sv)
{
	u16 end = sv->rec.end;
	int r;

	samsara_sets_note(sv);
	r = sv->mode->end(sv);
	if (r)
		return r;
	sv->ad_off = false;
	sv->state = SAMSARA_AT_BOUNDARY;
	samsara_stat(sv)->samsara_chunks++;
	commit_done(sv);
	if (end == SMR_END_ASYNC || end == SMR_END_TOUCH)
		return 0;
	/*
	 * What is no commit is done at once: where the replay is paused, a vCPU that has left
	 * KVM_RUN has done it in any case.
	 */
	if (samsara_exit_needs_section(end))
		sv->state = SAMSARA_AT_EXIT;
	else
		finish_exit(sv);
	return 0;
}

static void replay_exit(struct samsara_vcpu *sv, u16 end)
{
	if (sv->rec.end != end) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_EXIT_REASON, sv->rec.end, end);
		return;
	}
	chunk_ran(sv);
	/* If a signal has come, samsara_pre_enter() does it when KVM_RUN is called again. */
	end_chunk(sv);
}

/*
 * Do KVM's part of an exit, or of its completion if @cui, at its place in the order.
 * *r: what it returned.  Returns 0 or, if it could not be done, -ENODATA, -EINTR or
 * -ESHUTDOWN.
 */
static int replay_section(struct samsara_vcpu *sv, kvm_samsara_cui_t cui, int *r)
{
	int err;

	err = fetch_record(sv);
	if (err == -ENODATA)
		return err;
	if (err == 1 && sv->rec.type == SMR_STATE) {
		samsara_forget_exit(sv);
		*r = 1;
		return 0;
	}
	if (err == 1 && sv->rec.type != SMR_SECTION) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_LOG, SMR_SECTION, sv->rec.type);
		err = -ESHUTDOWN;
	}
	if (err == 1)
		err = samsara_replay_wait_turn(sv);
	if (err < 0)
		return err;

	take_items(sv);
	sv->section.nr_gfns = 0;
	sv->state = SAMSARA_IN_SECTION;
	if (cui) {
		samsara_user_input(sv);
		*r = cui(sv->vcpu);
	} else {
		*r = samsara_run_exit_handler(sv);
	}
	sv->state = SAMSARA_AT_BOUNDARY;
	samsara_section_changed(sv);
	samsara_stat(sv)->samsara_sections++;
	compare_vcpu(sv);
	commit_done(sv);
	/* User space may have its part to do yet. */
	if (!sv->vcpu->arch.complete_userspace_io)
		samsara_debug_completed(sv);
	return 0;
}

/* The exit the last chunk ended with.  As samsara_pre_enter(), or -ENODATA, -ESHUTDOWN. */
static int replay_pending_exit(struct samsara_vcpu *sv)
{
	int r, err;

	err = replay_section(sv, NULL, &r);
	if (err)
		return err;
	/* Nothing wakes a halted vCPU but its log. */
	sv->vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	return r > 0 ? 2 : r;
}

/* User space sets the vCPU's state before it calls KVM_RUN again: end_state(). */
static int begin_state(struct samsara_vcpu *sv)
{
	u64 last_tsc = 0;
	int r;

	if (smr_check_record(&sv->rec, &last_tsc)) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_LOG, SMR_STATE_MAX, sv->rec.data_len);
		return -ESHUTDOWN;
	}
	r = samsara_replay_wait_turn(sv);
	if (!r)
		sv->state = SAMSARA_AT_STATE;
	return r;
}

static void end_state(struct samsara_vcpu *sv)
{
	samsara_forget_exit(sv);
	/* Start-up IPIs come from the log. */
	sv->vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	compare_vcpu(sv);
	commit_done(sv);
	samsara_debug_completed(sv);
}

static int next_chunk(struct samsara_vcpu *sv)
{
	int r = fetch_record(sv);

	if (r != 1)
		return r;
	if (sv->rec.type == SMR_STATE)
		return begin_state(sv);
	if (sv->rec.type != SMR_CHUNK) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_LOG, SMR_CHUNK, sv->rec.type);
		return -ESHUTDOWN;
	}
	if (!record_is_sound(sv))
		return -ESHUTDOWN;
	r = sv->mode->get_ready(sv);
	if (!r)
		apply_start(sv);
	return r;
}

/*
 * The LAPIC, timers and user space may ask for attention; the guest gets
 * nothing from them.
 */
static void drop_requests(struct kvm_vcpu *vcpu)
{
	kvm_clear_request(KVM_REQ_EVENT, vcpu);
	kvm_clear_request(KVM_REQ_NMI, vcpu);
	kvm_clear_request(KVM_REQ_SMI, vcpu);
	kvm_clear_request(KVM_REQ_SAMSARA, vcpu);
}

static int ask_user(struct samsara_vcpu *sv)
{
	sv->vcpu->run->exit_reason = KVM_EXIT_SAMSARA;
	return 0;
}

static int leave_replay(struct samsara_vcpu *sv, int r)
{
	if (r == -ENODATA)
		r = samsara_replay_ended(sv);
	return r == -ESHUTDOWN ? ask_user(sv) : r;
}

/*
 * Inside a chunk.  Returns 1: the guest runs on; 0: it has come to its end, or the replay has, or
 * to where the debugger wants to look at it; or -EINTR.
 */
static int go_on(struct samsara_vcpu *sv)
{
	int r;

	if (sv->replay.suspect.field) {
		chunk_ran(sv);
		return 0;
	}
	r = sv->mode->go_on ? sv->mode->go_on(sv) : 0;
	if (r)
		return r == -ESHUTDOWN ? 0 : r;
	if (samsara_event_requeued(sv->vcpu)) {
		samsara_reinject(sv->vcpu);
		return 1;
	}
	if (!samsara_counter_ok(&sv->counter)) {
		samsara_fail(sv->vm, -EBUSY, SAMSARA_COUNTER_LOST);
		return 0;
	}
	r = samsara_land(sv);
	if (r == SAMSARA_ON_THE_WAY)
		return 1;
	if (r == SAMSARA_AT_PLACE) {
		samsara_debug_arrived(sv);
	} else if (r == SAMSARA_AT_END_OF_CHUNK) {
		samsara_normalise(sv);
		chunk_ran(sv);
	} else if (samsara_alive(sv->vm) && !sv->replay.suspect.field) {
		samsara_fail(sv->vm, r, "the branch counter can't be set");
	}
	return 0;
}

/* One step of a vCPU whose replay is not over.  As samsara_pre_enter(), or NEXT_STEP. */
static int replay_step(struct samsara_vcpu *sv)
{
	int r;

	switch (sv->state) {
	case SAMSARA_AT_START:
	case SAMSARA_IN_CHUNK:
		return go_on(sv) ?: NEXT_STEP;
	case SAMSARA_AT_END:
		r = end_chunk(sv);
		return r ? leave_replay(sv, r) : NEXT_STEP;
	case SAMSARA_AT_EXIT:
		r = replay_pending_exit(sv);
		return r == -ENODATA || r == -ESHUTDOWN ? leave_replay(sv, r) : r;
	default:
		r = next_chunk(sv);
		if (r)
			return leave_replay(sv, r);
		return sv->state == SAMSARA_AT_STATE ? ask_user(sv) : NEXT_STEP;
	}
}

static int replay_pre_enter(struct samsara_vcpu *sv)
{
	int r;

	drop_requests(sv->vcpu);
	r = samsara_counter_init(&sv->counter, sv->length.limit,
				 sv->state == SAMSARA_IN_CHUNK);
	if (r) {
		samsara_fail(sv->vm, r, "the branch counter is not available");
		return leave_replay(sv, -ESHUTDOWN);
	}
	if (sv->state == SAMSARA_AT_STATE && samsara_alive(sv->vm))
		end_state(sv);
	while (samsara_alive(sv->vm)) {
		if (samsara_debug_stops(sv))
			return 0;
		r = replay_step(sv);
		if (r != NEXT_STEP)
			return r;
	}
	return leave_replay(sv, -ESHUTDOWN);
}

static int replay_complete_io(struct samsara_vcpu *sv, kvm_samsara_cui_t cui)
{
	int r, err;

	/* It may be about to stop, but is in the middle of an instruction. */
	samsara_debug_goes_on(sv);
	err = replay_section(sv, cui, &r);
	if (!err)
		return r;
	sv->vcpu->arch.complete_userspace_io = cui;
	return leave_replay(sv, err);
}

static void replay_leave(struct samsara_vcpu *sv)
{
	samsara_debug_left(sv);
}

/* All of memory is mapped, but for the page that the chunk ends before. */
static int replay_fault(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep, bool write)
{
	if (*sptep & EPT_WITHHELD)
		return SAMSARA_FAULT_TOUCH;
	KVM_BUG_ON(true, sv->vm->kvm);
	return -EIO;
}

static void replay_prepare(struct samsara_vcpu *sv)
{
}

static int replay_end(struct samsara_vcpu *sv)
{
	sv->vm->replay.unnoted = true;
	return 0;
}

const struct samsara_flow samsara_replay_flow = {
	.pre_enter = replay_pre_enter,
	.complete_io = replay_complete_io,
	.leave = replay_leave,
	.enter = replay_enter,
	.exit = replay_exit,
	.step = samsara_land_step,
};

const struct samsara_mode samsara_mode_replay = {
	.flow = &samsara_replay_flow,
	.from_log = true,
	.init_vcpu = replay_init,
	.get_ready = samsara_replay_wait_turn,
	.prepare = replay_prepare,
	.fault = replay_fault,
	.end = replay_end,
};
