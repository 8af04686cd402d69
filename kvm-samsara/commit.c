// SPDX-License-Identifier: GPL-2.0
/*
 * The three-phase commit.
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
#include "copies.h"
#include "ept.h"
#include "log.h"
#include "order.h"
#include "position.h"
#include "samsara.h"
#include "trace.h"

/*
 * The guest spins, waiting for another processor.  It waits in vain if the chunk
 * has seen a page that has changed since, has written something that the other
 * may be waiting for, or keeps everyone from committing.
 */
bool samsara_spins_in_vain(struct samsara_vcpu *sv)
{
	if (READ_ONCE(sv->vm->exclusive) == sv)
		return true;
	samsara_harvest(sv, false);
	return samsara_conflicts(sv) || samsara_has_written(sv);
}

static void rollback(struct samsara_vcpu *sv)
{
	trace_kvm_samsara_chunk_end(sv->id, 0, sv->rec.end, sv->nr_access, sv->nr_dirty,
				    kvm_rip_read(sv->vcpu));
	samsara_refresh_dirty(sv);
	samsara_regs_restore(sv);
	samsara_forget_inputs(sv);
	sv->chunk_open = false;
	/* The injection the chunk began with has to be done again. */
	kvm_make_request(KVM_REQ_EVENT, sv->vcpu);
}

/*
 * Did the chunk end before its first instruction?  Then there is nothing to
 * commit.  There may be something to see, though: the first VM-exit of a vCPU
 * stores its segments in the processor's own form, and replay has no such exit.
 */
static bool is_empty(struct samsara_vcpu *sv)
{
	return sv->rec.end == SMR_END_ASYNC && !(sv->rec.flags & SMR_F_EVENT) &&
	       samsara_at_start(sv, &sv->rec.pos);
}

/* Has the vCPU executed something in the chunk that ends? */
static bool made_progress(struct samsara_vcpu *sv)
{
	struct smr_position now;

	if (sv->rec.end != SMR_END_ASYNC && sv->rec.end != SMR_END_TOUCH)
		return true;
	samsara_position(sv, &now);
	return !samsara_at_start(sv, &now);
}

/*
 * At a boundary: a chunk with copies is about to begin.  Not with interrupts off, since
 * the work grows with the guest's memory.  If more commits come before the chunk begins,
 * it can fail for pages of theirs, as if they had come a little later.
 */
void samsara_look_at_memory(struct samsara_vcpu *sv)
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
	samsara_drop_stale(sv);
}

/* The chunk has number @n and is in memory. */
static void finish_commit(struct samsara_vcpu *sv, u64 n)
{
	trace_kvm_samsara_chunk_end(sv->id, n, sv->rec.end, sv->nr_access, sv->nr_dirty,
				    kvm_rip_read(sv->vcpu));
	samsara_chain_state(sv, sv->inputs.p, sv->inputs.len);
	samsara_log_commit(sv);
	samsara_stat(sv)->samsara_chunks++;
	if (sv->rec.end == SMR_END_ASYNC)
		samsara_stat(sv)->samsara_async_ends++;
	else if (sv->rec.end == SMR_END_TOUCH)
		samsara_stat(sv)->samsara_touch_ends++;
	sv->rollbacks_in_a_row = 0;
	sv->returns = 0;
	/* Release: who sees it may use what the chunk wrote (crew.c). */
	smp_store_release(&sv->chunk_open, false);
	memset(&sv->rec, 0, sizeof(sv->rec));
}

/* Where the chunk has ended is not known if its branches have not all been counted. */
#define COUNTER_LOST	"perf took the branch counter away"

/* The chunk has run on memory itself, alone (serial.c) or on pages of its own (crew.c). */
static void commit_direct(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	u64 n;

	mutex_lock(&vm->commit_lock);
	n = smr_order_commit(vm->order, sv->id);
	sv->rec.commit_seq = n;
	/* It has been done, and can't be logged. */
	if (!samsara_counter_complete(sv))
		samsara_fail_from(vm, n, -EBUSY, COUNTER_LOST);
	samsara_ept_note_dirty(sv);
	samsara_maybe_add_memdigest(vm, &sv->rec, sv->id);
	smr_order_published(vm->order, sv->id);
	mutex_unlock(&vm->commit_lock);
	finish_commit(sv, n);
}

static int end_direct(struct samsara_vcpu *sv)
{
	bool progress = made_progress(sv);
	bool empty = is_empty(sv);

	if (empty)
		rollback(sv);
	else
		commit_direct(sv);
	if (samsara_crew(sv->vm))
		samsara_crew_chunk_closed(sv, progress);
	return empty ? -EAGAIN : 0;
}

/* Host time at which the parts of a parallel chunk's end were over. */
struct end_times {
	u64 run;
	u64 compared;
	u64 locked;
	u64 unlocked;
};

static void count_end(struct samsara_vcpu *sv, const struct end_times *t, bool committed)
{
	struct kvm_vcpu_stat *stat = samsara_stat(sv);
	u64 length = t->run - sv->chunk_tsc;

	if (!committed) {
		stat->samsara_lost_cycles += length;
	} else if (sv->paused) {
		stat->samsara_spin_cycles += length;
	} else {
		stat->samsara_chunk_cycles += length;
		sv->fault_cycles += sv->chunk_fault_cycles;
	}
	stat->samsara_precommit_cycles += t->compared - t->run;
	stat->samsara_wait_cycles += t->locked - t->compared;
	stat->samsara_commit_cycles += t->unlocked - t->locked;
	sv->end_tsc = rdtsc();
	stat->samsara_sync_cycles += sv->end_tsc - t->unlocked;
	KVM_STATS_LOG_HIST_UPDATE(stat->samsara_chunk_length, length);
	KVM_STATS_LOG_HIST_UPDATE(stat->samsara_access_set, sv->nr_access);
	KVM_STATS_LOG_HIST_UPDATE(stat->samsara_dirty_set, sv->nr_dirty);
}

/* Returns false if the sets conflict with another commit, or the vCPU's thread is killed. */
static bool commit_parallel(struct samsara_vcpu *sv, struct end_times *t)
{
	struct samsara_vm *vm = sv->vm;
	bool digest;
	u32 i;
	u64 n;

	if (samsara_lock_commit(vm, sv))
		return false;
	t->locked = rdtsc();
	if (samsara_conflicts(sv)) {
		n = vm->order->committed;
		mutex_unlock(&vm->commit_lock);
		t->unlocked = rdtsc();
		/* Or the next attempt might start too early, and fail for the same reason. */
		samsara_wait_for_earlier(vm, sv->id, n + 1);
		return false;
	}
	n = smr_order_commit(vm->order, sv->id);
	for (i = 0; i < sv->nr_dirty; i++) {
		if (!sv->dirty[i]->changed)
			continue;
		smr_page_commit(&sv->dirty[i]->orig->meta, n);
		samsara_page_changed(vm, sv->dirty[i]->orig);
	}
	sv->rec.commit_seq = n;
	digest = samsara_wants_memdigest(vm, n);
	if (digest) {
		/* Memory has to be what it is at commit n: nobody else may commit. */
		samsara_publish(sv, n);
		samsara_wait_for_earlier(vm, sv->id, n);
		samsara_add_memdigest(vm, &sv->rec, sv->id);
	}
	samsara_release_exclusive(sv);
	mutex_unlock(&vm->commit_lock);
	t->unlocked = rdtsc();

	if (!digest)
		samsara_publish(sv, n);
	finish_commit(sv, n);
	samsara_wait_for_earlier(vm, sv->id, n);
	return true;
}

static int end_parallel(struct samsara_vcpu *sv)
{
	struct end_times t = { .run = rdtsc() };

	if (!samsara_counter_complete(sv)) {
		samsara_fail(sv->vm, -EBUSY, COUNTER_LOST);
		sv->go_back = true;
	}
	samsara_harvest(sv, true);
	samsara_compare_dirty(sv);
	if (is_empty(sv)) {
		rollback(sv);
		return -EAGAIN;
	}
	t.compared = t.locked = t.unlocked = rdtsc();
	if (!sv->go_back && !samsara_ends_in_the_middle(sv) && commit_parallel(sv, &t)) {
		samsara_adapt_length(sv, true);
		count_end(sv, &t, true);
		return 0;
	}
	samsara_adapt_length(sv, false);
	/*
	 * Who only waits for another vCPU must not get the token and stop it.  A
	 * chunk that has written something before it began to wait is another
	 * matter: it may be the way into a queue, and has to get through.
	 */
	if (!sv->go_back && (!sv->spinning || samsara_has_written(sv))) {
		sv->rollbacks_in_a_row++;
		samsara_note_conflicts(sv);
	}
	samsara_stat(sv)->samsara_rollbacks++;
	rollback(sv);
	count_end(sv, &t, false);
	return -EAGAIN;
}

/*
 * End the open chunk.  sv->rec holds its start and its end.  Returns 0: it has
 * committed and is in memory, as is everything before it; -EAGAIN: it is back at
 * its start.
 */
int samsara_commit_chunk(struct samsara_vcpu *sv)
{
	int r;

	if (sv->direct)
		return end_direct(sv);
	r = end_parallel(sv);
	sv->go_back = false;
	samsara_release_pages(sv, !r);
	return r;
}
