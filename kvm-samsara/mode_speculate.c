// SPDX-License-Identifier: GPL-2.0
/*
 * Parallel recording: chunks run speculatively, on private copies of the pages they write,
 * and a three-phase commit finds out whether they may.
 *
 * Pre-commit, in parallel: the read-set and write-set come from the EPT's
 * accessed and dirty flags, written pages are compared with their originals.
 * Commit, under commit_lock: check the sets, take the next number, stamp the
 * pages written.  The stamps are the conflict set of every other agent at
 * once: a page conflicts with a chunk if its stamp is above the chunk's
 * start_seq.  Nothing is copied or allocated here.
 * Synchronisation, in parallel: copy the changed pages to the originals, wait
 * for earlier commits.
 *
 * core/smr_order.h holds the proof that a chunk which passes the check has run
 * as if alone at its place in the order.
 */
#include "chunk.h"
#include "commit.h"
#include "contended.h"
#include "copies.h"
#include "counter.h"
#include "ept.h"
#include "length.h"
#include "map.h"
#include "memory.h"
#include "mode.h"
#include "order.h"
#include "phase.h"
#include "position.h"
#include "samsara.h"
#include "spin.h"
#include "turns.h"
#include "vm.h"

static int speculate_init(struct samsara_vcpu *sv)
{
	samsara_ept_use(sv, &sv->copies.ept);
	return samsara_ept_init(sv->ept) ?:
	       samsara_copies_init(&sv->copies, samsara_max_mapped(sv->vm)) ?:
	       samsara_hot_init(sv);
}

/*
 * At a boundary: a chunk is about to begin.  Not with interrupts off, since
 * the work grows with the guest's memory.  If more commits come before the chunk begins,
 * it can fail for pages of theirs, as if they had come a little later.
 */
static void look_at_memory(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	/*
	 * Before start_seq: a vCPU that committed without seeing the token may
	 * cost us one more rollback, none after that can.
	 */
	if (sv->rollbacks_in_a_row >= vm->tune.rollback_limit &&
	    !cmpxchg(&vm->exclusive, NULL, sv))
		samsara_stat(sv)->samsara_exclusive++;
	sv->start_seq = smr_order_prefix(vm->order);
	/* After start_seq: what is committed up to it must not be hidden by an older copy. */
	samsara_copies_drop_stale(&sv->copies, sv->nr_begun, vm->tune.copy_age);
}

static void speculate_prepare(struct samsara_vcpu *sv)
{
	bool some_short = samsara_can_afford_short(sv->vm);

	samsara_ept_use(sv, &sv->copies.ept);
	samsara_note_woken(sv);
	samsara_length_set(sv, samsara_length_next(sv, some_short));
	samsara_reserve_find(sv);
	samsara_reserve_wait(sv);
	look_at_memory(sv);
}

static int speculate_get_ready(struct samsara_vcpu *sv)
{
	int r;

	samsara_choose_phase(sv);
	r = samsara_take_turn(sv);
	/*
	 * Only the vCPU that has the turn ends a serial phase, and one can't begin before this
	 * vCPU has been here again.
	 */
	if (!r && samsara_in_turns(sv->vm))
		sv->mode = &samsara_mode_turns;
	return r;
}

static void speculate_begin(struct samsara_vcpu *sv)
{
	/* start_seq is what look_at_memory() has seen. */
	samsara_reserve_withhold(sv);
	WRITE_ONCE(sv->state, SAMSARA_IN_CHUNK);
}

static int speculate_fault(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep, bool write)
{
	if (*sptep & EPT_WITHHELD) {
		if (samsara_reserve_touch(sv, sp, write, *sptep & EPT_R))
			return SAMSARA_FAULT_TOUCH;
		samsara_ept_give_back_read(sptep, sp);
		if (write)
			samsara_ept_give_back(sptep);
	}
	return samsara_copies_fault(sv, sp, sptep, write);
}

static bool speculate_must_end(struct samsara_vcpu *sv)
{
	return samsara_phase_changes(sv->vm) || READ_ONCE(sv->counter.overflowed) ||
	       READ_ONCE(sv->end_requested) || sv->chunk.spinning ||
	       sv->copies.nr_free < SAMSARA_COPY_RESERVE ||
	       rdtsc() - sv->chunk.tsc > SAMSARA_MAX_CHUNK_TSC;
}

/*
 * The guest spins, waiting for another processor.  It waits in vain if the chunk
 * has seen a page that has changed since, has written something that the other
 * may be waiting for, or keeps everyone from committing.
 */
static bool speculate_spins(struct samsara_vcpu *sv)
{
	if (READ_ONCE(sv->vm->exclusive) == sv)
		return true;
	samsara_copies_harvest(sv, false);
	return samsara_copies_conflict(&sv->copies, sv->start_seq) ||
	       samsara_copies_written(&sv->copies);
}

static void speculate_rollback(struct samsara_vcpu *sv)
{
	samsara_trace_end(sv, 0);
	samsara_copies_refresh(&sv->copies, smr_order_prefix(sv->vm->order));
	samsara_rollback(sv);
}

/* Host time at which the parts of a chunk's end were over. */
struct end_times {
	u64 run;
	u64 compared;
	u64 locked;
	u64 unlocked;
};

static void count_end(struct samsara_vcpu *sv, const struct end_times *t, bool committed)
{
	struct kvm_vcpu_stat *stat = samsara_stat(sv);
	u64 length = t->run - sv->chunk.tsc;
	u64 waited = samsara_spin_time(sv, t->run);

	if (!committed) {
		stat->samsara_lost_cycles += length;
	} else {
		stat->samsara_spin_cycles += waited;
		stat->samsara_chunk_cycles += length - waited;
		sv->cost.fault_cycles += sv->chunk.fault_cycles;
	}
	stat->samsara_precommit_cycles += t->compared - t->run;
	stat->samsara_wait_cycles += t->locked - t->compared;
	stat->samsara_commit_cycles += t->unlocked - t->locked;
	sv->cost.end_tsc = rdtsc();
	stat->samsara_sync_cycles += sv->cost.end_tsc - t->unlocked;
	KVM_STATS_LOG_HIST_UPDATE(stat->samsara_chunk_length, length);
	KVM_STATS_LOG_HIST_UPDATE(stat->samsara_access_set, sv->copies.nr_access);
	KVM_STATS_LOG_HIST_UPDATE(stat->samsara_dirty_set, sv->copies.nr_dirty);
}

static void publish_copies(struct samsara_vcpu *sv, u64 n)
{
	samsara_copies_publish(&sv->copies, n);
	smr_order_published(sv->vm->order, sv->id);
}

/* Returns false if the sets conflict with another commit, or the vCPU's thread is killed. */
static bool speculate_commit(struct samsara_vcpu *sv, struct end_times *t)
{
	struct samsara_vm *vm = sv->vm;
	bool digest;
	u32 i;
	u64 n;

	if (samsara_lock_commit(vm, sv))
		return false;
	t->locked = rdtsc();
	if (samsara_copies_conflict(&sv->copies, sv->start_seq)) {
		n = vm->order->committed;
		mutex_unlock(&vm->commit_lock);
		t->unlocked = rdtsc();
		/* Or the next attempt might start too early, and fail for the same reason. */
		samsara_wait_for_earlier(vm, sv->id, n + 1);
		return false;
	}
	n = smr_order_commit(vm->order, sv->id);
	for (i = 0; i < sv->copies.nr_dirty; i++) {
		if (!sv->copies.dirty[i]->changed)
			continue;
		smr_page_commit(&sv->copies.dirty[i]->orig->meta, n);
		samsara_page_changed(vm, sv->copies.dirty[i]->orig);
	}
	sv->rec.commit_seq = n;
	digest = samsara_wants_memdigest(vm, n);
	if (digest) {
		/* Memory has to be what it is at commit n: nobody else may commit. */
		publish_copies(sv, n);
		samsara_wait_for_earlier(vm, sv->id, n);
		samsara_add_memdigest(vm, &sv->rec, sv->id);
	}
	samsara_release_exclusive(sv);
	mutex_unlock(&vm->commit_lock);
	t->unlocked = rdtsc();

	if (!digest)
		publish_copies(sv, n);
	samsara_finish_commit(sv, n);
	samsara_wait_for_earlier(vm, sv->id, n);
	return true;
}

static int speculate_try_commit(struct samsara_vcpu *sv)
{
	struct end_times t = { .run = rdtsc() };

	if (!samsara_counter_complete(&sv->counter, &sv->chunk.start)) {
		samsara_fail(sv->vm, -EBUSY, SAMSARA_COUNTER_LOST);
		sv->reserve.abandon = true;
	}
	samsara_copies_harvest(sv, true);
	samsara_copies_compare(&sv->copies, sv->vm->tune.compare);
	if (samsara_chunk_is_empty(sv)) {
		speculate_rollback(sv);
		return -EAGAIN;
	}
	t.compared = rdtsc();
	t.locked = t.compared;
	t.unlocked = t.compared;
	if (!sv->reserve.abandon && !samsara_ends_in_the_middle(sv) && speculate_commit(sv, &t)) {
		samsara_length_adapt(sv, true);
		count_end(sv, &t, true);
		return 0;
	}
	samsara_length_adapt(sv, false);
	/*
	 * A vCPU that only waits for another one must not get the token and stop it.  A
	 * chunk that has written something before it began to wait is another
	 * matter: it may be the way into a queue, and has to get through.
	 */
	if (!sv->reserve.abandon && (!sv->chunk.spinning || samsara_copies_written(&sv->copies))) {
		sv->rollbacks_in_a_row++;
		samsara_reserve_note_conflicts(sv);
	}
	samsara_stat(sv)->samsara_rollbacks++;
	speculate_rollback(sv);
	count_end(sv, &t, false);
	return -EAGAIN;
}

static int speculate_end(struct samsara_vcpu *sv)
{
	bool async = sv->rec.end == SMR_END_ASYNC;
	bool out_of_copies = sv->chunk.out_of_copies;
	int r;

	if (out_of_copies)
		sv->reserve.abandon = true;
	else if (async)
		samsara_reserve_abandon(sv);
	r = speculate_try_commit(sv);
	sv->reserve.abandon = false;
	sv->chunk.out_of_copies = false;
	samsara_reserve_release(sv, !r);
	/* Bound the memory the copies take. */
	if (out_of_copies || (async && sv->copies.nr > sv->vm->tune.max_copies))
		samsara_copies_drop_all(&sv->copies);
	return r;
}

/* The vCPU may have got a page that it waited for, and not have begun. */
static void speculate_let_go(struct samsara_vcpu *sv)
{
	samsara_reserve_release(sv, false);
}

const struct samsara_mode samsara_mode_speculate = {
	.flow = &samsara_record_flow,
	.can_roll_back = true,
	.can_remap = true,
	.init_vm = samsara_phase_init,
	.init_vcpu = speculate_init,
	.take_turn = samsara_take_turn,
	.get_ready = speculate_get_ready,
	.prepare = speculate_prepare,
	.begin = speculate_begin,
	.fault = speculate_fault,
	.must_end = speculate_must_end,
	.spins = speculate_spins,
	.end = speculate_end,
	.let_go = speculate_let_go,
	.dma_begin = samsara_borrow_turn,
	.dma_end = samsara_return_turn,
};
