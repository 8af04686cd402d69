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
#include <linux/uaccess.h>
#include <asm/fpu/api.h>

#include "log.h"
#include "order.h"
#include "position.h"
#include "samsara.h"
#include "trace.h"

#define BLOCK_BYTES	256
#define PAGE_BLOCKS	(PAGE_SIZE / BLOCK_BYTES)

/* Inside kernel_fpu_begin(). */
static bool same_block(const u64 *a, const u64 *b)
{
	u64 diff = 0;
	u32 i;

	if (static_cpu_has(X86_FEATURE_AVX2))
		return smr_same_block_avx2(a, b);
	for (i = 0; i < BLOCK_BYTES / sizeof(u64); i++)
		diff |= a[i] ^ b[i];
	return !diff;
}

/*
 * Does the copy differ from the original?  RULE 8: the processor's page walks set
 * the dirty flag of page tables they did not change.  The search begins where it
 * found a change the last time: most pages are changed there again, or, if they are
 * being filled, a little further on.
 *
 * The original may change under us only through a commit above our start_seq;
 * then the check fails and the result is not used.
 */
static bool compare_copy(struct samsara_copy *copy)
{
	const void *old = page_address(copy->orig->page);
	const void *new = page_address(copy->page);
	u32 block = copy->changed_block;
	u32 i;

	copy->changed = false;
	for (i = 0; i < PAGE_BLOCKS; i++) {
		if (!same_block(old + block * BLOCK_BYTES, new + block * BLOCK_BYTES)) {
			copy->changed = true;
			copy->changed_block = block;
			break;
		}
		block = (block + 1) % PAGE_BLOCKS;
	}
	return copy->changed;
}

/*
 * The whole page: nobody else has changed it since it was copied, or the check
 * would have failed, and nobody does until we have published.
 */
static void publish_copy(struct samsara_copy *copy)
{
	if (copy->changed)
		copy_page(page_address(copy->orig->page), page_address(copy->page));
}

/* Final under commit_lock.  Without it: true stays true, false may change. */
static bool conflicts(struct samsara_vcpu *sv)
{
	u32 i;

	for (i = 0; i < sv->nr_access; i++)
		if (!smr_page_valid(&sv->access[i]->meta, sv->start_seq))
			return true;
	return false;
}

/* Which of the copies harvested have changed; all of them, if they are not compared. */
static void compare_dirty(struct samsara_vcpu *sv)
{
	u32 i;

	if (!sv->vm->tune.compare) {
		for (i = 0; i < sv->nr_dirty; i++)
			sv->dirty[i]->changed = true;
		return;
	}
	kernel_fpu_begin();
	for (i = 0; i < sv->nr_dirty; i++)
		compare_copy(sv->dirty[i]);
	kernel_fpu_end();
}

/* After samsara_ept_harvest(). */
static bool has_written(struct samsara_vcpu *sv)
{
	bool written = false;
	u32 i;

	kernel_fpu_begin();
	for (i = 0; i < sv->nr_dirty && !written; i++)
		written = compare_copy(sv->dirty[i]);
	kernel_fpu_end();
	return written;
}

/* Has the open chunk changed anything so far? */
bool samsara_chunk_has_written(struct samsara_vcpu *sv)
{
	samsara_ept_harvest(sv, false);
	return has_written(sv);
}

/*
 * The guest spins, waiting for another processor.  It waits in vain if the chunk
 * has seen a page that has changed since, has written something that the other
 * may be waiting for, or keeps everyone from committing.
 */
bool samsara_spins_in_vain(struct samsara_vcpu *sv)
{
	if (READ_ONCE(sv->vm->exclusive) == sv)
		return true;
	samsara_ept_harvest(sv, false);
	return conflicts(sv) || has_written(sv);
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

static void publish(struct samsara_vcpu *sv, u64 n)
{
	u32 i;

	for (i = 0; i < sv->nr_dirty; i++) {
		publish_copy(sv->dirty[i]);
		sv->dirty[i]->valid = n;
	}
	smr_order_published(sv->vm->order, sv->id);
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
	if (conflicts(sv)) {
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
		publish(sv, n);
		samsara_wait_for_earlier(vm, sv->id, n);
		samsara_add_memdigest(vm, &sv->rec, sv->id);
	}
	samsara_release_exclusive(sv);
	mutex_unlock(&vm->commit_lock);
	t->unlocked = rdtsc();

	if (!digest)
		publish(sv, n);
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
	samsara_ept_harvest(sv, true);
	compare_dirty(sv);
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
	if (!sv->go_back && (!sv->spinning || has_written(sv))) {
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

/* At a boundary, without the lock: others need it to get to theirs. */
static int stop_world(struct samsara_vcpu *sv)
{
	int r;

	kvm_vcpu_srcu_read_unlock(sv->vcpu);
	r = samsara_stop_world(sv->vm);
	kvm_vcpu_srcu_read_lock(sv->vcpu);
	sv->world_stopped = !r;
	return r;
}

static void start_world(struct samsara_vcpu *sv)
{
	if (sv->world_stopped)
		samsara_start_world(sv->vm);
	sv->world_stopped = false;
}

/*
 * KVM's own work on behalf of a vCPU (RULE 4): between chunks, alone in the
 * commit order, directly on shared memory.  It holds commit_lock throughout,
 * so no commit comes between what it reads and what it writes.  Chunks of
 * other vCPUs run on meanwhile; if they see a page half written, the stamp set
 * in samsara_section_end() makes them roll back.
 *
 * Returns 1; 0: the recording has ended, there is no section to be in; -EINTR: the
 * vCPU's thread is killed.
 */
int samsara_section_begin(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	u64 n, entered = rdtsc();
	int r = 0;

	if (samsara_crew(vm) && samsara_crew_exit_uses_memory(sv))
		r = stop_world(sv);
	while (!r) {
		r = samsara_lock_commit(vm, sv);
		if (r)
			break;
		/* STOP waits for the lock, and then closes the streams. */
		if (!samsara_recording(vm)) {
			mutex_unlock(&vm->commit_lock);
			start_world(sv);
			return 0;
		}
		/* A serial phase may have begun since the vCPU looked. */
		if (samsara_may_touch_memory(vm, &sv->turn))
			break;
		mutex_unlock(&vm->commit_lock);
		r = samsara_wait_turn(sv);
	}
	if (r) {
		start_world(sv);
		sv->vcpu->run->exit_reason = KVM_EXIT_INTR;
		return r;
	}
	sv->section_tsc = rdtsc();
	if (sv->end_tsc)
		sv->end_tsc += sv->section_tsc - entered;
	n = smr_order_commit(vm->order, sv->id);
	samsara_wait_for_earlier(vm, sv->id, n);
	/* Keep INIT and SIPI noted for the next chunk: a section does not take them. */
	sv->rec.type = SMR_SECTION;
	sv->rec.commit_seq = n;
	sv->nr_section_gfns = 0;
	sv->in_section = true;
	return 1;
}

/* Note the pages KVM wrote. */
void samsara_section_changed(struct samsara_vcpu *sv)
{
	struct samsara_page *sp;
	u32 i;

	for (i = 0; i < sv->nr_section_gfns; i++) {
		sp = samsara_gfn_to_page(sv->vm, sv->section_gfns[i], NULL);
		if (sp)
			samsara_page_changed(sv->vm, sp);
	}
}

void samsara_section_end(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	struct smr_record rec = {
		.type = SMR_SECTION,
		.commit_seq = sv->rec.commit_seq,
	};
	struct smr_record next = sv->rec;
	struct samsara_page *sp;
	u64 took;
	u32 i;

	lockdep_assert_held(&vm->commit_lock);
	sv->in_section = false;
	for (i = 0; i < sv->nr_section_gfns; i++) {
		sp = samsara_gfn_to_page(vm, sv->section_gfns[i], NULL);
		if (sp)
			smr_page_commit(&sp->meta, rec.commit_seq);
	}
	samsara_section_changed(sv);
	samsara_maybe_add_memdigest(vm, &rec, sv->id);
	smr_order_published(vm->order, sv->id);

	samsara_chain_state(sv, sv->inputs.p, sv->inputs.len);
	sv->rec = rec;
	samsara_log_commit(sv);
	samsara_stat(sv)->samsara_sections++;
	took = rdtsc() - sv->section_tsc;
	samsara_stat(sv)->samsara_section_cycles += took;
	if (sv->end_tsc)
		sv->end_tsc += took;
	trace_kvm_samsara_section(sv->id, rec.commit_seq,
				  samsara_exit_reason(sv->vcpu), sv->nr_section_gfns);
	/* What was noted for the next chunk meanwhile. */
	next.type = 0;
	next.commit_seq = 0;
	sv->rec = next;
	samsara_release_exclusive(sv);
	mutex_unlock(&vm->commit_lock);
	start_world(sv);
}

/*
 * Every write KVM makes to guest memory passes mark_page_dirty_in_slot(), which
 * calls this after the write.
 */
void samsara_page_dirty(struct kvm *kvm, gfn_t gfn)
{
	struct samsara_vm *vm = kvm->arch.samsara;
	struct kvm_vcpu *vcpu = kvm_get_running_vcpu();
	struct samsara_vcpu *sv = vcpu ? to_samsara(vcpu) : NULL;
	u64 next;
	u32 i;

	if (!samsara_frozen(kvm))
		return;
	if (!sv || vcpu->kvm != kvm || !sv->in_section ||
	    (samsara_crew(vm) && !sv->world_stopped)) {
		/* Who commits from now on may have seen it. */
		next = READ_ONCE(vm->order->committed) + 1;
		samsara_fail_from(vm, next, -EIO,
				  "KVM wrote to guest memory outside of the order");
		return;
	}
	for (i = 0; i < sv->nr_section_gfns; i++)
		if (sv->section_gfns[i] == gfn)
			return;
	if (sv->nr_section_gfns == SAMSARA_SECTION_PAGES) {
		samsara_fail_from(vm, sv->rec.commit_seq, -E2BIG,
				  "one exit wrote to too many pages");
		return;
	}
	sv->section_gfns[sv->nr_section_gfns++] = gfn;
}

/* Copy @len bytes to guest memory and stamp the pages with commit @n. */
int samsara_dma_write(struct samsara_vm *vm, gpa_t gpa, const u8 *from, u32 len, u64 n)
{
	struct samsara_page *sp;
	u32 part, off;

	if (gpa + len < gpa)
		return -EFAULT;
	for (; len; len -= part, gpa += part, from += part) {
		off = offset_in_page(gpa);
		part = min_t(u32, len, PAGE_SIZE - off);
		sp = samsara_gfn_to_page(vm, gpa_to_gfn(gpa), NULL);
		if (!sp)
			return -EFAULT;
		smr_page_commit(&sp->meta, n);
		memcpy(page_address(sp->page) + off, from, part);
		samsara_page_changed(vm, sp);
	}
	return 0;
}

static bool dma_in_ram(struct samsara_vm *vm, gpa_t gpa, u32 len)
{
	gfn_t gfn;

	for (gfn = gpa_to_gfn(gpa); gfn <= gpa_to_gfn(gpa + len - 1); gfn++)
		if (!samsara_gfn_to_page(vm, gfn, NULL))
			return false;
	return true;
}

/* A device model's write: one commit of its own, by the DMA agent. */
int samsara_dma(struct samsara_vm *vm, struct kvm_samsara_dma *dma)
{
	struct smr_record rec = {
		.type = SMR_DMA,
		.gpa = dma->gpa,
		.dma_len = dma->len,
		.data_len = dma->len,
	};
	u32 agent = samsara_dma_agent(vm);
	struct samsara_turn turn;
	void *data;
	int r;

	if (!dma->len || dma->len > KVM_SAMSARA_DMA_MAX || dma->reserved ||
	    dma->gpa + dma->len < dma->gpa || !dma_in_ram(vm, dma->gpa, dma->len))
		return -EINVAL;
	data = vmemdup_user(u64_to_user_ptr(dma->uaddr), dma->len);
	if (IS_ERR(data))
		return PTR_ERR(data);
	rec.data = data;

	for (;;) {
		r = samsara_wait_space(vm, &vm->vm_ring, SMR_RECORD_MAX);
		if (r)
			goto out;
		r = samsara_borrow_turn(vm, &turn);
		if (r)
			goto out;
		r = samsara_lock_commit(vm, NULL);
		if (r) {
			samsara_return_turn(vm, &turn);
			goto out;
		}
		if (!samsara_recording(vm) || vm->stopping ||
		    (samsara_ring_space(&vm->vm_ring) >= SMR_RECORD_MAX &&
		     samsara_may_touch_memory(vm, &turn)))
			break;
		mutex_unlock(&vm->commit_lock);
		samsara_return_turn(vm, &turn);
	}
	if (!samsara_recording(vm) || vm->stopping) {
		r = -ESHUTDOWN;
		goto unlock;
	}
	rec.commit_seq = smr_order_commit(vm->order, agent);
	samsara_wait_for_earlier(vm, agent, rec.commit_seq);
	r = samsara_dma_write(vm, dma->gpa, data, dma->len, rec.commit_seq);
	samsara_maybe_add_memdigest(vm, &rec, agent);
	smr_order_published(vm->order, agent);
	vm->dma_commits++;
	if (!r)
		r = samsara_log_vm(vm, &rec);
unlock:
	mutex_unlock(&vm->commit_lock);
	samsara_return_turn(vm, &turn);
out:
	kvfree(data);
	return r;
}
