// SPDX-License-Identifier: GPL-2.0
/*
 * The log: records that are put into the rings, items taken from a record, and what
 * does not agree with them.
 */
#define pr_fmt(fmt) "samsara: " fmt

#include "log.h"
#include "ring.h"
#include "samsara.h"
#include "vm.h"

/* A record that can't be put, and all later ones, are missing from the log. */
static int put_record(struct samsara_vm *vm, struct samsara_ring *ring,
		      struct smr_stream *stream, u8 *scratch, struct smr_record *rec)
{
	struct smr_buf buf = { .p = scratch, .size = SMR_RECORD_MAX };
	u32 used;
	int r;

	if (rec->commit_seq >= READ_ONCE(vm->log_end))
		return 0;
	r = smr_encode(stream, rec, &buf);
	if (!r)
		r = samsara_ring_put(ring, scratch, buf.len);
	if (r) {
		samsara_fail_from(vm, rec->commit_seq, r, "a log record could not be written");
		return r;
	}
	used = ring->size - samsara_ring_space(ring);
	if (used > ring->size / 4)
		samsara_signal_user(vm);
	return buf.len;
}

int samsara_log_record(struct samsara_vcpu *sv, struct smr_record *rec)
{
	int r = put_record(sv->vm, &sv->ring, &sv->progress.stream, sv->scratch, rec);

	if (r > 0)
		samsara_stat(sv)->samsara_log_bytes += r;
	return r < 0 ? r : 0;
}

/* Under commit_lock. */
int samsara_log_vm_record(struct samsara_vm *vm, struct smr_record *rec)
{
	int r;

	lockdep_assert_held(&vm->commit_lock);
	r = put_record(vm, &vm->vm_ring, &vm->vm_stream, vm->scratch, rec);
	return r < 0 ? r : 0;
}

/* Test aid: falsify one value that the guest was given, so that replay has a divergence to find. */
static void inject_fault(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	if (likely(!vm->config.debug_fault_commit) ||
	    sv->rec.commit_seq < vm->config.debug_fault_commit)
		return;
	if (smr_falsify(sv->inputs.p, sv->rec.data_len))
		vm->config.debug_fault_commit = 0;
}

void samsara_log_commit(struct samsara_vcpu *sv)
{
	sv->rec.data = sv->inputs.p;
	sv->rec.data_len = sv->inputs.len;
	sv->rec.digest = (u32)sv->progress.chain;
	inject_fault(sv);
	if (sv->inputs.full)
		samsara_fail_from(sv->vm, sv->rec.commit_seq, -E2BIG,
				  "one exit has more inputs than can be logged");
	samsara_log_record(sv, &sv->rec);
	sv->inputs.len = 0;
	sv->inputs.full = false;
	sv->progress.last_tsc = sv->chunk_last_tsc;
}

/* The open chunk does not commit: it has had no inputs. */
void samsara_forget_inputs(struct samsara_vcpu *sv)
{
	sv->inputs.len = 0;
	sv->inputs.full = false;
	sv->chunk_last_tsc = sv->progress.last_tsc;
}

/* Is there room, or no need for any more? */
bool samsara_ring_has_room(struct samsara_vm *vm, struct samsara_ring *ring, u32 bytes)
{
	return samsara_ring_space(ring) >= bytes || !samsara_recording(vm) ||
	       READ_ONCE(vm->stopping);
}

/*
 * Back-pressure: wait until user space made room.  Nothing is dropped.  Must be
 * called outside chunks and sections.  Returns 0 or -EINTR.
 */
int samsara_wait_space(struct samsara_vm *vm, struct samsara_ring *ring, u32 bytes)
{
	int r;

	if (likely(samsara_ring_space(ring) >= bytes))
		return 0;
	samsara_signal_user(vm);
	r = wait_event_interruptible(vm->wq, samsara_ring_has_room(vm, ring, bytes));
	return r ? -EINTR : 0;
}

static void diverged(struct samsara_vm *vm, s32 vcpu, u64 commit, u32 field, u64 expected,
		     u64 got)
{
	if (cmpxchg(&vm->divergence.field, KVM_SAMSARA_DIV_NONE, field) != KVM_SAMSARA_DIV_NONE)
		return;
	vm->divergence.vcpu = vcpu;
	vm->divergence.commit = commit;
	vm->divergence.expected = expected;
	vm->divergence.got = got;
	/* The fields before the state that says they are valid; a replay ends once. */
	cmpxchg_release(&vm->state, KVM_SAMSARA_STATE_REPLAYING, KVM_SAMSARA_STATE_DIVERGED);
	pr_warn_ratelimited("replay diverged: commit %llu vcpu %d %s: recorded %llx, replayed %llx\n",
			    commit, vcpu, smr_div_name(field), expected, got);
	wake_up_all(&vm->wq);
}

/*
 * A chunk that has begun before its turn keeps it to itself until then: what comes before may
 * differ, too, and that is to be reported.
 */
void samsara_diverged(struct samsara_vcpu *sv, u32 field, u64 expected, u64 got)
{
	struct samsara_divergence *suspect = &sv->replay.suspect;

	if (!sv->replay.begun || READ_ONCE(sv->vm->replay.runner) == sv) {
		diverged(sv->vm, sv->id, sv->rec.commit_seq, field, expected, got);
		return;
	}
	if (suspect->field)
		return;
	suspect->field = field;
	suspect->expected = expected;
	suspect->got = got;
	/* Out of the inner loop. */
	kvm_make_request(KVM_REQ_SAMSARA, sv->vcpu);
}

/* In the VM's own stream. */
void samsara_vm_diverged(struct samsara_vm *vm, u32 field, u64 expected, u64 got)
{
	diverged(vm, -1, vm->replay.rec.commit_seq, field, expected, got);
}

/* The next input item of the record being replayed. */
bool samsara_replay_item(struct samsara_vcpu *sv, u8 kind, struct smr_item *item)
{
	int r = smr_next_item(&sv->replay.items, &sv->progress.last_tsc, item);

	if (r == 1 && item->kind == kind)
		return true;
	samsara_diverged(sv, r < 0 ? KVM_SAMSARA_DIV_LOG : KVM_SAMSARA_DIV_INPUT,
			 r == 1 ? item->kind : 0, kind);
	return false;
}
