// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's state set by user space, as by a reset of the machine.
 *
 * User space may set it while it changes the memory map (remap.c): no chunk is open then,
 * and nobody is in KVM_RUN who could open one.  Afterwards it hands over what it has set, as
 * bytes of its own, which become a commit of the vCPU's in its stream.  Replay gives them back at
 * that number: KVM_RUN returns, user space sets the same state, and the commit is done when
 * KVM_RUN is called again.
 *
 * The vCPU may not have finished the exit that its last chunk ended with.  The new state
 * takes the place of what would have come of that, here as in replay, which sees it by the
 * record: it is there instead of the exit's section.
 *
 * What the record's digest covers are the bytes.  The state itself, which user space may have
 * set to something else, is in the digest of the next chunk.
 */
#include <linux/uaccess.h>

#include "arch.h"
#include "log.h"
#include "order.h"
#include "remap.h"
#include "state.h"
#include "trace.h"

static_assert(KVM_SAMSARA_STATE_MAX == SMR_STATE_MAX);

/* Type, lengths, numbers and digests. */
#define RECORD_BYTES	64

/* May user space set the vCPU's state now?  Under vcpu->mutex. */
bool samsara_state_changes(struct kvm_vcpu *vcpu)
{
	/* Its mutex is held, or START holds it: see begin() in start.c. */
	struct samsara_vcpu *sv = to_samsara(vcpu);

	lockdep_assert_held(&vcpu->mutex);
	return sv && (sv->state == SAMSARA_AT_STATE || READ_ONCE(sv->vm->remap.changer));
}

/* The vCPU won't finish the exit it is in the middle of.  Under vcpu->mutex. */
void samsara_forget_exit(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;

	vcpu->arch.complete_userspace_io = NULL;
	vcpu->arch.pio.count = 0;
	vcpu->mmio_needed = false;
	sv->asked_for_msr = false;
	sv->event_deferred = false;
	WRITE_ONCE(sv->state, SAMSARA_AT_BOUNDARY);
}

static int commit_state(struct samsara_vcpu *sv, const u8 *data, u32 len)
{
	struct smr_record rec = { .type = SMR_STATE, .data = data, .data_len = len };
	struct samsara_vm *vm = sv->vm;
	int r;

	lockdep_assert_held(&sv->vcpu->mutex);
	lockdep_assert_held(&vm->commit_lock);
	samsara_forget_exit(sv);
	sv->next_start = (struct smr_record) { .type = SMR_CHUNK };
	rec.commit_seq = smr_order_commit(vm->order, sv->id);
	samsara_wait_for_earlier(vm, sv->id, rec.commit_seq);
	samsara_maybe_add_memdigest(vm, &rec, sv->id);
	smr_order_published(vm->order, sv->id);
	samsara_chain_inputs(sv, data, len);
	rec.digest = (u32)sv->progress.chain;
	r = samsara_log_record(sv, &rec);
	trace_kvm_samsara_state(sv->id, rec.commit_seq, len);
	return r;
}

static int record_state(struct samsara_vcpu *sv, const u8 *data, u32 len)
{
	struct samsara_vm *vm = sv->vm;
	int r;

	r = samsara_lock_for_change(vm, &sv->ring, len + RECORD_BYTES);
	if (r)
		return r;
	/* Not before: its thread may wait for the lock. */
	if (mutex_trylock(&sv->vcpu->mutex)) {
		r = sv->vcpu->arch.apic->vapic_addr ? -EOPNOTSUPP : commit_state(sv, data, len);
		mutex_unlock(&sv->vcpu->mutex);
	} else {
		r = -EBUSY;
	}
	mutex_unlock(&vm->commit_lock);
	return r;
}

/*
 * By the thread that has called samsara_remap_begin().  Returns 0; -EINVAL: it has not, or the
 * length; -ENXIO: no such vCPU; -EBUSY: it is in KVM_RUN or another ioctl; -EOPNOTSUPP: it has
 * a virtual APIC page, to which KVM writes; -EFAULT; -ENOMEM; -ESHUTDOWN: nothing is recorded
 * any more; -EINTR: to be called again.
 */
int samsara_state_set(struct samsara_vm *vm, u64 id, const struct kvm_samsara_vcpu_state *state)
{
	void *data;
	int r;

	if (READ_ONCE(vm->remap.changer) != current)
		return -EINVAL;
	if (id >= vm->nr_vcpus)
		return -ENXIO;
	if (!state->len || state->len > KVM_SAMSARA_STATE_MAX || state->reserved)
		return -EINVAL;
	data = vmemdup_user(u64_to_user_ptr(state->uaddr), state->len);
	if (IS_ERR(data))
		return PTR_ERR(data);
	r = record_state(vm->vcpus[id], data, state->len);
	kvfree(data);
	return r;
}

static int give_state(struct samsara_vcpu *sv, struct kvm_samsara_vcpu_state __user *uaddr)
{
	struct kvm_samsara_vcpu_state state;

	if (sv->state != SAMSARA_AT_STATE)
		return -ENODATA;
	if (copy_from_user(&state, uaddr, sizeof(state)))
		return -EFAULT;
	if (state.reserved)
		return -EINVAL;
	if (put_user(sv->rec.data_len, &uaddr->len))
		return -EFAULT;
	if (state.len < sv->rec.data_len)
		return -E2BIG;
	return copy_to_user(u64_to_user_ptr(state.uaddr), sv->rec.data, sv->rec.data_len) ?
	       -EFAULT : 0;
}

/*
 * The state that the vCPU is to have now.  Returns 0; -ENODATA: any that it has; -ENXIO: no
 * such vCPU; -E2BIG: the length is there, but no room; -EBUSY; -EFAULT; -EINVAL.
 */
int samsara_state_get(struct samsara_vm *vm, u64 id, struct kvm_samsara_vcpu_state __user *uaddr)
{
	struct samsara_vcpu *sv;
	int r;

	if (id >= vm->nr_vcpus)
		return -ENXIO;
	sv = vm->vcpus[id];
	if (!mutex_trylock(&sv->vcpu->mutex))
		return -EBUSY;
	r = give_state(sv, uaddr);
	mutex_unlock(&sv->vcpu->mutex);
	return r;
}
