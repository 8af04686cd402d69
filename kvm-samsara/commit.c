// SPDX-License-Identifier: GPL-2.0
/*
 * The end of a recorded chunk, as far as it does not depend on the mode.
 */
#include "arch.h"
#include "commit.h"
#include "counter.h"
#include "log.h"
#include "order.h"
#include "position.h"
#include "samsara.h"
#include "trace.h"
#include "vm.h"

/* @n: the chunk's number, 0: it is rolled back. */
void samsara_trace_end(struct samsara_vcpu *sv, u64 n)
{
	trace_kvm_samsara_chunk_end(sv->id, n, sv->rec.end, sv->copies.nr_access,
				    sv->copies.nr_dirty, kvm_rip_read(sv->vcpu));
}

/* Back to the chunk's start.  The mode has forgotten what the chunk has written. */
void samsara_rollback(struct samsara_vcpu *sv)
{
	samsara_regs_restore(sv);
	samsara_forget_inputs(sv);
	WRITE_ONCE(sv->state, SAMSARA_AT_BOUNDARY);
	/* The injection the chunk began with has to be done again. */
	kvm_make_request(KVM_REQ_EVENT, sv->vcpu);
}

/*
 * Did the chunk end before its first instruction?  Then there is nothing to
 * commit.  There may be something to see, though: the first VM-exit of a vCPU
 * stores its segments in the processor's own form, and replay has no such exit.
 */
bool samsara_chunk_is_empty(struct samsara_vcpu *sv)
{
	return sv->rec.end == SMR_END_ASYNC && !(sv->rec.flags & SMR_F_EVENT) &&
	       samsara_at_start(sv, &sv->rec.pos);
}

/* Has the vCPU executed something in the chunk that ends? */
bool samsara_made_progress(struct samsara_vcpu *sv)
{
	struct smr_position now;

	if (sv->rec.end != SMR_END_ASYNC && sv->rec.end != SMR_END_TOUCH)
		return true;
	samsara_position(sv, &now);
	return !samsara_at_start(sv, &now);
}

/* The chunk has number @n and is in memory. */
void samsara_finish_commit(struct samsara_vcpu *sv, u64 n)
{
	samsara_trace_end(sv, n);
	samsara_chain_state(sv, sv->inputs.p, sv->inputs.len);
	samsara_log_commit(sv);
	samsara_stat(sv)->samsara_chunks++;
	if (sv->rec.end == SMR_END_ASYNC)
		samsara_stat(sv)->samsara_async_ends++;
	else if (sv->rec.end == SMR_END_TOUCH)
		samsara_stat(sv)->samsara_touch_ends++;
	sv->rollbacks_in_a_row = 0;
	sv->reserve.nr_abandoned = 0;
	/* Release: a vCPU that sees it may use what the chunk wrote (mode_own.c). */
	smp_store_release(&sv->state, SAMSARA_AT_BOUNDARY);
	sv->next_start = (struct smr_record) { .type = SMR_CHUNK };
}

static void commit_direct(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	u64 n;

	mutex_lock(&vm->commit_lock);
	n = smr_order_commit(vm->order, sv->id);
	sv->rec.commit_seq = n;
	/* It may have seen whatever is in memory by now. */
	sv->rec.start_seq = n - 1;
	/* It has been done, and can't be logged. */
	if (!samsara_counter_complete(&sv->counter, &sv->chunk.start))
		samsara_fail_from(vm, n, -EBUSY, SAMSARA_COUNTER_LOST);
	samsara_maybe_add_memdigest(vm, &sv->rec, sv->id);
	smr_order_published(vm->order, sv->id);
	mutex_unlock(&vm->commit_lock);
	samsara_finish_commit(sv, n);
}

/*
 * End a chunk that has run on memory itself, alone (mode_turns.c) or on pages of its own
 * (mode_own.c).  As samsara_mode.end.
 */
int samsara_end_direct(struct samsara_vcpu *sv)
{
	if (samsara_chunk_is_empty(sv)) {
		samsara_trace_end(sv, 0);
		samsara_rollback(sv);
		return -EAGAIN;
	}
	commit_direct(sv);
	return 0;
}
