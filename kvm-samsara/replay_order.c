// SPDX-License-Identifier: GPL-2.0
/*
 * The order of commits in a replay: whose commit is next, which chunks may begin before
 * theirs is, what the VM's own stream adds to it, and where it ends.
 *
 * A vCPU that has taken a record waits for one of two things.  Its *turn*: all commits before
 * the record's are done, and nobody else does that one.  Or, in parallel replay, only the
 * *start* of a chunk: those up to start_seq are done, which is all that the chunk has seen in
 * the recording.  Either is said in `bound` meanwhile: before commit `bound` is done the vCPU
 * executes nothing.
 */
#include "debug.h"
#include "dma.h"
#include "log.h"
#include "memory.h"
#include "remap.h"
#include "replay_order.h"
#include "ring.h"
#include "samsara.h"
#include "trace.h"
#include "vm.h"

/* So many in a row that had seen the commit before their own are no chance. */
#define SERIAL_CHUNKS	16
/* What falling asleep and waking up cost, and some more */
#define SPIN_CYCLES	20000

/* The replay ends before commit @n. */
bool samsara_past_stop(struct samsara_vm *vm, u64 n)
{
	return vm->config.stop_at && n > vm->config.stop_at;
}

/* User space wants to look at the guest before commit @n begins. */
static bool held(struct samsara_vm *vm, u64 n)
{
	u64 at = READ_ONCE(vm->replay.pause_at);

	return READ_ONCE(vm->replay.frozen) || (at && n > at);
}

/*
 * After the record's commit, before the next one.  What was written is noted, by
 * samsara_ept_note_replayed().
 */
static bool memdigest_differs(struct samsara_vm *vm, const struct smr_record *rec, u32 vcpu)
{
	if (!(rec->flags & SMR_F_MEMDIGEST))
		return false;
	samsara_digest_changes(vm, vcpu);
	return rec->mem_digest != vm->memory.digest;
}

/*
 * A commit is done: wake the vCPUs that waited for it, if any, or whoever has asked for a
 * pause.  Waking all vCPUs costs more than the commits of a guest that does much I/O.
 */
static void wake_next(struct samsara_vm *vm)
{
	struct samsara_vcpu *sv;
	u32 i;

	lockdep_assert_held(&vm->commit_lock);
	if (held(vm, vm->replay.done + 1)) {
		samsara_signal_user(vm);
		return;
	}
	for (i = 0; i < vm->nr_vcpus; i++) {
		sv = vm->vcpus[i];
		if (sv->replay.waiter && sv->replay.bound <= vm->replay.done)
			wake_up_process(sv->replay.waiter);
	}
}

/*
 * The VM's own stream, by whichever vCPU gets to it.  Returns false if user
 * space has to add data first.
 */
static bool advance_vm_stream(struct samsara_vm *vm)
{
	struct smr_record *rec = &vm->replay.rec;
	int r;

	lockdep_assert_held(&vm->commit_lock);
	for (;;) {
		if (!vm->replay.have_rec) {
			vm->replay.before.pos = vm->vm_ring.pos;
			vm->replay.before.stream = vm->vm_stream;
			r = samsara_ring_get(&vm->vm_ring, &vm->vm_stream, vm->scratch, rec);
			if (!r)
				return false;
			if (r == -ENODATA)
				return true;
			if (r < 0) {
				samsara_vm_diverged(vm, KVM_SAMSARA_DIV_LOG, 0, -r);
				return true;
			}
			vm->replay.have_rec = true;
		}
		switch (rec->type) {
		case SMR_VM_START:
			if (rec->mem_digest != vm->memory.digest)
				samsara_vm_diverged(vm, KVM_SAMSARA_DIV_MEMORY, rec->mem_digest,
						    vm->memory.digest);
			break;
		case SMR_DMA:
			if (rec->commit_seq != vm->replay.done + 1 ||
			    samsara_past_stop(vm, rec->commit_seq) || held(vm, rec->commit_seq))
				return true;
			/* A vCPU does this commit: two streams have the same number. */
			if (vm->replay.runner) {
				samsara_vm_diverged(vm, KVM_SAMSARA_DIV_LOG, rec->commit_seq,
						    rec->commit_seq);
				return true;
			}
			if (samsara_dma_write(vm, rec->gpa, rec->data, rec->data_len,
					      rec->commit_seq))
				samsara_vm_diverged(vm, KVM_SAMSARA_DIV_LOG, rec->gpa, 0);
			if (rec->flags & SMR_F_MEMDIGEST)
				samsara_ept_note_replayed(vm, rec->commit_seq);
			if (memdigest_differs(vm, rec, samsara_dma_agent(vm)))
				samsara_vm_diverged(vm, KVM_SAMSARA_DIV_MEMORY, rec->mem_digest,
						    vm->memory.digest);
			WRITE_ONCE(vm->replay.done, rec->commit_seq);
			wake_next(vm);
			vm->dma_commits++;
			break;
		case SMR_DMA_REF:	/* User space has to fill it in. */
			samsara_vm_diverged(vm, KVM_SAMSARA_DIV_LOG, SMR_DMA, rec->type);
			return true;
		default:	/* MAP: claim_map(); VM_END: looked at when all vCPUs have ended */
			return true;
		}
		vm->replay.have_rec = false;
	}
}

/* A vCPU other than @sv that is in a chunk, or has one to commit; NULL: there is none. */
static struct samsara_vcpu *find_begun(struct samsara_vm *vm, const struct samsara_vcpu *sv)
{
	u32 i;

	lockdep_assert_held(&vm->commit_lock);
	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i] != sv && vm->vcpus[i]->replay.begun)
			return vm->vcpus[i];
	return NULL;
}

/*
 * Is a change of the memory map the next commit, which nobody does yet?  Then @sv does it,
 * by do_maps(), as soon as it has given commit_lock up.
 */
static bool claim_map(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	const struct smr_record *rec = &vm->replay.rec;
	struct samsara_vcpu *begun;

	lockdep_assert_held(&vm->commit_lock);
	if (!samsara_alive(vm) || !vm->replay.have_rec || rec->type != SMR_MAP ||
	    rec->commit_seq != vm->replay.done + 1 || samsara_past_stop(vm, rec->commit_seq) ||
	    held(vm, rec->commit_seq) || vm->replay.runner)
		return false;
	/* No chunk is open when the map changes: not in what was recorded. */
	begun = find_begun(vm, NULL);
	if (begun) {
		samsara_vm_diverged(vm, KVM_SAMSARA_DIV_LOG, rec->commit_seq,
				    begun->rec.commit_seq);
		return false;
	}
	vm->replay.runner = sv;
	return true;
}

static void report_map(struct samsara_vm *vm, int error)
{
	switch (error) {
	case -EBADMSG:
	case -EFAULT:
	case -EOPNOTSUPP:
	case -E2BIG:
		samsara_vm_diverged(vm, KVM_SAMSARA_DIV_LOG, 0, -error);
		break;
	default:
		samsara_fail(vm, error, "the memory map can't be changed");
	}
}

/* The changes of the memory map that come next, the first of which @sv has claimed. */
static void do_maps(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	bool again;
	int r;

	/* KVM waits until nobody looks at the old slots. */
	kvm_vcpu_srcu_read_unlock(sv->vcpu);
	do {
		/* The EPTs go with the map that they are for. */
		samsara_ept_note_at_turn(vm, vm->replay.done);
		/* The record stays as it is until have_rec is cleared. */
		r = samsara_remap_replay(vm, &vm->replay.rec);
		mutex_lock(&vm->commit_lock);
		if (r)
			report_map(vm, r);
		else if (memdigest_differs(vm, &vm->replay.rec, samsara_dma_agent(vm)))
			samsara_vm_diverged(vm, KVM_SAMSARA_DIV_MEMORY, vm->replay.rec.mem_digest,
					    vm->memory.digest);
		vm->replay.runner = NULL;
		vm->replay.have_rec = false;
		if (samsara_alive(vm)) {
			WRITE_ONCE(vm->replay.done, vm->replay.rec.commit_seq);
			wake_next(vm);
			advance_vm_stream(vm);
		}
		again = claim_map(sv);
		mutex_unlock(&vm->commit_lock);
	} while (again);
	kvm_vcpu_srcu_read_lock(sv->vcpu);
}

enum awaited {
	TURN,
	START,
};

static bool may_go(struct samsara_vcpu *sv, enum awaited what)
{
	struct samsara_vm *vm = sv->vm;

	return READ_ONCE(vm->replay.done) >= sv->replay.bound && !held(vm, sv->rec.commit_seq) &&
	       (what == TURN || !READ_ONCE(vm->replay.alone));
}

/*
 * Does every other vCPU wait for the commit of @sv's chunk, or for a later one?  Then that is as
 * in serial replay.
 */
static bool all_wait_for(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	u32 i;

	lockdep_assert_held(&vm->commit_lock);
	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i] != sv && vm->vcpus[i]->replay.bound < sv->rec.commit_seq)
			return false;
	return true;
}

static bool others_run(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	u32 i;

	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i] != sv && READ_ONCE(vm->vcpus[i]->replay.runs))
			return true;
	return false;
}

/*
 * In a serial phase of the recording, most likely: all that a chunk had seen was the commit before.
 * Then nobody could begin beside @sv's chunk, and it is no loss if nobody may.  A chunk that
 * could have begun can't be checked afterwards, for the reason that may_be_alone() has.
 */
static bool in_serial_phase(struct samsara_vcpu *sv)
{
	lockdep_assert_held(&sv->vm->commit_lock);
	return sv->vm->replay.serial_chunks >= SERIAL_CHUNKS && !others_run(sv) &&
	       !sv->vm->tune.replay_check;
}

/*
 * Could @sv, whose turn is still to come, have the turn, and nobody run beside it?  Others may have
 * run; but they could not be checked, since a chunk on memory itself also stamps page tables that
 * it has only walked.
 */
static bool may_be_alone(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	return vm->replay.done + 1 == sv->rec.commit_seq && !held(vm, sv->rec.commit_seq) &&
	       !vm->replay.runner && (all_wait_for(sv) || in_serial_phase(sv)) &&
	       !(vm->tune.replay_check && find_begun(vm, sv));
}

static void be_alone(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	lockdep_assert_held(&vm->commit_lock);
	vm->replay.runner = sv;
	if (!all_wait_for(sv))
		WRITE_ONCE(vm->replay.alone, true);
}

/* What the vCPU has waited for is there. */
static void go(struct samsara_vcpu *sv, enum awaited what, bool starved)
{
	struct samsara_vm *vm = sv->vm;

	lockdep_assert_held(&vm->commit_lock);
	if (what == TURN) {
		vm->replay.runner = sv;
	} else if (!starved && may_be_alone(sv)) {
		be_alone(sv);
	} else {
		sv->replay.begun = true;
		WRITE_ONCE(sv->replay.runs, true);
	}
	/* It has copies of pages, and must see which of them are old. */
	if (sv->replay.begun)
		samsara_ept_note_replayed(vm, vm->replay.done);
	sv->replay.bound = 0;
	WRITE_ONCE(vm->replay.begun, max(vm->replay.begun, sv->rec.commit_seq));
}

/* The vCPU executes nothing from here on. */
static void stand_still(struct samsara_vcpu *sv)
{
	lockdep_assert_held(&sv->vm->commit_lock);
	if (!sv->replay.runs)
		return;
	WRITE_ONCE(sv->replay.runs, false);
	if (sv->vm->replay.alone)
		wake_up_all(&sv->vm->wq);
}

/*
 * Somebody does the commit that the vCPU waits for: look for it for a while.  Falling asleep and
 * waking up take longer than most commits.
 */
static void spin_for_commit(struct samsara_vcpu *sv, enum awaited what)
{
	struct samsara_vm *vm = sv->vm;
	u64 start = rdtsc();

	while (READ_ONCE(vm->replay.done) + 1 == sv->replay.bound && !may_go(sv, what) &&
	       !held(vm, sv->replay.bound) && rdtsc() - start < SPIN_CYCLES &&
	       samsara_alive(vm) && !need_resched() && !signal_pending(current))
		cpu_relax();
}

/* Sleep until it is worth another look.  Returns 0 or -EINTR. */
static int wait_for_news(struct samsara_vcpu *sv, enum awaited what, bool starved, u32 pauses)
{
	struct samsara_vm *vm = sv->vm;
	bool r;

	/* After a pause somebody has to look at the VM's stream. */
	if (!starved) {
		spin_for_commit(sv, what);
		r = samsara_replay_interrupted(sv, may_go(sv, what) ||
					       READ_ONCE(vm->replay.pauses) != pauses);
	} else {
		samsara_signal_user(vm);
		r = samsara_replay_interrupted(sv, samsara_ring_has_news(&vm->vm_ring) ||
					       (what == START && may_go(sv, what)));
	}
	return r ? -EINTR : 0;
}

/* One look.  Returns 1: it is there; 0: look again; or as samsara_replay_wait_turn(). */
static int look(struct samsara_vcpu *sv, enum awaited what)
{
	struct samsara_vm *vm = sv->vm;
	u64 n = sv->rec.commit_seq;
	bool starved, there, past, map;
	u32 pauses;

	mutex_lock(&vm->commit_lock);
	stand_still(sv);
	sv->replay.bound = what == TURN ? n - 1 : sv->rec.start_seq;
	pauses = vm->replay.pauses;
	starved = !advance_vm_stream(vm);
	map = claim_map(sv);
	/* A commit of the VM's stream may come first as long as we can't see its next record. */
	there = may_go(sv, what) && (what == TURN ? !starved : !map);
	/* Every number is in one stream only, and numbers grow. */
	past = n <= vm->replay.done || (what == TURN && there && (map || vm->replay.runner));
	if (past)
		sv->replay.begun = false;
	else if (there)
		go(sv, what, starved);
	sv->replay.waiter = there ? NULL : current;
	mutex_unlock(&vm->commit_lock);
	if (map)
		do_maps(sv);
	if (!samsara_alive(vm))
		return -ESHUTDOWN;
	if (past) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_LOG, n, vm->replay.done + 1);
		return -ESHUTDOWN;
	}
	if (there)
		return 1;
	return map ? 0 : wait_for_news(sv, what, starved, pauses);
}

static int wait_for(struct samsara_vcpu *sv, enum awaited what)
{
	struct samsara_vm *vm = sv->vm;
	int r;

	while (!(r = look(sv, what)))
		cond_resched();
	if (sv->replay.waiter) {
		mutex_lock(&vm->commit_lock);
		sv->replay.waiter = NULL;
		mutex_unlock(&vm->commit_lock);
	}
	return min(r, 0);
}

bool samsara_has_turn(struct samsara_vcpu *sv)
{
	/* Only the vCPU itself takes it, and gives it back. */
	return READ_ONCE(sv->vm->replay.runner) == sv;
}

/*
 * Wait until every commit before the record's is done; that one is the vCPU's then.  Returns 0,
 * -EINTR, and then it is to be called again, or -ESHUTDOWN.
 */
int samsara_replay_wait_turn(struct samsara_vcpu *sv)
{
	return samsara_has_turn(sv) ? 0 : wait_for(sv, TURN);
}

/*
 * Wait until the chunk may begin.  As samsara_replay_wait_turn(); if it is the vCPU's turn then,
 * nobody runs beside the chunk.
 */
int samsara_replay_wait_start(struct samsara_vcpu *sv)
{
	return wait_for(sv, START);
}

/* In a chunk that has begun before its turn: take that if nobody runs beside the chunk then. */
bool samsara_replay_try_alone(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	bool ret;

	mutex_lock(&vm->commit_lock);
	ret = advance_vm_stream(vm) && may_be_alone(sv);
	if (ret) {
		be_alone(sv);
		sv->replay.runs = false;
	}
	mutex_unlock(&vm->commit_lock);
	return ret;
}

/*
 * Wait for the turn, and until nobody runs; none begins then before the commit is done.  A
 * vCPU that is in a chunk, and waits itself, does not run.  As samsara_replay_wait_turn().
 */
int samsara_replay_wait_alone(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	int r;

	r = samsara_replay_wait_turn(sv);
	if (r)
		return r;
	mutex_lock(&vm->commit_lock);
	WRITE_ONCE(vm->replay.alone, true);
	mutex_unlock(&vm->commit_lock);
	if (samsara_replay_interrupted(sv, !others_run(sv)))
		return -EINTR;
	return samsara_alive(vm) ? 0 : -ESHUTDOWN;
}

static void count_serial_chunks(struct samsara_vm *vm, const struct smr_record *rec)
{
	if (rec->type != SMR_CHUNK)
		return;
	if (rec->start_seq + 1 != rec->commit_seq)
		vm->replay.serial_chunks = 0;
	else if (vm->replay.serial_chunks < SERIAL_CHUNKS)
		vm->replay.serial_chunks++;
}

/* The commit in sv->rec has been done: compare memory, and let the next one go. */
void samsara_replay_done(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	bool map;

	if (sv->rec.flags & SMR_F_MEMDIGEST)
		samsara_ept_note_at_turn(vm, sv->rec.commit_seq);
	if (memdigest_differs(vm, &sv->rec, sv->id))
		samsara_diverged(sv, KVM_SAMSARA_DIV_MEMORY, sv->rec.mem_digest, vm->memory.digest);

	trace_kvm_samsara_replayed(sv->id, sv->rec.commit_seq, sv->rec.type, sv->rec.end,
				   samsara_stat(sv)->samsara_landing_steps);
	mutex_lock(&vm->commit_lock);
	vm->replay.runner = NULL;
	samsara_debug_committed(sv);
	WRITE_ONCE(vm->replay.alone, false);
	sv->replay.begun = false;
	count_serial_chunks(vm, &sv->rec);
	if (samsara_alive(vm)) {
		WRITE_ONCE(vm->replay.done, sv->rec.commit_seq);
		wake_next(vm);
		advance_vm_stream(vm);
	}
	map = claim_map(sv);
	mutex_unlock(&vm->commit_lock);
	if (map)
		do_maps(sv);
}

/* The vCPU's stream is complete: has it come to what the recording had come to? */
static void check_final_state(struct samsara_vcpu *sv)
{
	if (!sv->replay.have_rec || sv->rec.type != SMR_VCPU_END)
		return;
	if (sv->rec.chain != sv->progress.chain)
		samsara_diverged(sv, KVM_SAMSARA_DIV_FINAL, sv->rec.chain, sv->progress.chain);
	if (sv->rec.state_digest != sv->progress.state_digest)
		samsara_diverged(sv, KVM_SAMSARA_DIV_FINAL, sv->rec.state_digest,
				 sv->progress.state_digest);
}

/* All commits are done: compare memory, and report. */
static void end_replay(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	const struct smr_record *rec = &vm->replay.rec;
	u64 digest;
	int r;

	lockdep_assert_held(&vm->commit_lock);
	samsara_ept_note_replayed(vm, vm->replay.done);
	samsara_digest_changes(vm, sv->id);
	r = samsara_memory_digest(vm, &digest);
	if (vm->digest_off)
		vm->memory.digest = digest;
	if (r)
		samsara_fail(vm, r, "killed");
	else if (digest != vm->memory.digest)
		samsara_diverged(sv, KVM_SAMSARA_DIV_MEMORY, vm->memory.digest, digest);
	else if (vm->replay.have_rec && rec->type == SMR_VM_END &&
		 !samsara_past_stop(vm, rec->commit_seq) && rec->mem_digest != digest)
		samsara_diverged(sv, KVM_SAMSARA_DIV_FINAL, rec->mem_digest, digest);
	else
		cmpxchg(&vm->state, KVM_SAMSARA_STATE_REPLAYING, KVM_SAMSARA_STATE_STOPPED);
	wake_up_all(&vm->wq);
}

static bool next_is_held(struct samsara_vm *vm)
{
	return held(vm, READ_ONCE(vm->replay.done) + 1);
}

/* A commit of the VM's own stream may come only when user space lets it. */
static bool vm_stream_held(struct samsara_vm *vm)
{
	return vm->replay.have_rec && smr_is_commit(vm->replay.rec.type) &&
	       !samsara_past_stop(vm, vm->replay.rec.commit_seq) && next_is_held(vm);
}

/*
 * All vCPUs' streams have ended: what is left of the VM's own, and then the end.  Returns
 * 0 or -EINTR, and then it is to be called again.
 */
static int finish_vm_stream(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	bool starved, map, wait;

	while (samsara_alive(vm)) {
		mutex_lock(&vm->commit_lock);
		starved = !advance_vm_stream(vm);
		map = claim_map(sv);
		wait = !starved && !map && vm_stream_held(vm);
		if (!starved && !map && !wait && !vm->replay.runner && samsara_alive(vm))
			end_replay(sv);
		mutex_unlock(&vm->commit_lock);
		if (map) {
			do_maps(sv);
		} else if (wait) {
			if (samsara_replay_interrupted(sv, !next_is_held(vm)))
				return -EINTR;
		} else if (starved) {
			samsara_signal_user(vm);
			if (samsara_replay_interrupted(sv, samsara_ring_has_news(&vm->vm_ring)))
				return -EINTR;
		}
		cond_resched();
	}
	return 0;
}

/* The vCPU's log is over: wait for the others, then report. */
int samsara_replay_ended(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	bool last;

	mutex_lock(&vm->commit_lock);
	if (!sv->replay.ended) {
		sv->replay.ended = true;
		sv->replay.bound = U64_MAX;
		check_final_state(sv);
		vm->replay.nr_ended++;
	}
	last = vm->replay.nr_ended == vm->nr_vcpus;
	mutex_unlock(&vm->commit_lock);
	if (last && finish_vm_stream(sv))
		return -EINTR;
	return samsara_replay_interrupted(sv, false) ? -EINTR : -ESHUTDOWN;
}
