// SPDX-License-Identifier: GPL-2.0
/*
 * The VM as a whole: what state it is in, how it fails, how all its vCPUs are brought
 * to a boundary.
 */
#define pr_fmt(fmt) "samsara: " fmt

#include <linux/eventfd.h>
#include <linux/workqueue.h>

#include "samsara.h"
#include "vm.h"

/*
 * For samsara_fail_work(), which digests all guest memory: not for the system's own
 * queues.  Emptied before the module goes: work that has dropped the last reference to
 * its VM may still be returning.
 */
static struct workqueue_struct *fail_queue;

int samsara_fail_init(void)
{
	fail_queue = alloc_workqueue("kvm-samsara", WQ_UNBOUND, 0);
	return fail_queue ? 0 : -ENOMEM;
}

void samsara_fail_exit(void)
{
	if (fail_queue)
		destroy_workqueue(fail_queue);
	fail_queue = NULL;
}

void samsara_signal_user(struct samsara_vm *vm)
{
	if (vm->eventfd)
		eventfd_signal(vm->eventfd, 1);
}

/* Neither memory slots nor vCPUs may change: from the beginning of START to the end. */
bool samsara_frozen(struct kvm *kvm)
{
	struct samsara_vm *vm;
	bool ret;

	/* The device may just be given up by a KVM_CREATE_DEVICE that failed. */
	rcu_read_lock();
	vm = READ_ONCE(kvm->arch.samsara);
	ret = vm && (READ_ONCE(vm->starting) || samsara_running(vm));
	rcu_read_unlock();
	return ret;
}

/*
 * Something can't be recorded or replayed.  A recording ends; its log stays
 * valid up to here and the guest goes on.  A replay ends.  Any context that
 * may hold commit_lock.
 */
void samsara_fail(struct samsara_vm *vm, int error, const char *why)
{
	if (cmpxchg(&vm->error, 0, error))
		return;
	pr_warn_ratelimited("VM %d: %s (error %d)\n", vm->kvm->userspace_pid, why, error);
	cmpxchg(&vm->state, KVM_SAMSARA_STATE_REPLAYING, KVM_SAMSARA_STATE_FAILED);
	wake_up_all(&vm->wq);
	if (!samsara_recording(vm))
		return;
	WRITE_ONCE(vm->stopping, true);
	/* Without users the VM is going anyway.  Work for an earlier recording will do, too. */
	if (kvm_get_kvm_safe(vm->kvm) && !queue_work(fail_queue, &vm->fail_work))
		kvm_put_kvm(vm->kvm);
}

/* The same, when commit @n, and so what comes after it, can't be logged as it was. */
void samsara_fail_from(struct samsara_vm *vm, u64 n, int error, const char *why)
{
	u64 end = READ_ONCE(vm->log_end), seen;

	while (n < end) {
		seen = cmpxchg(&vm->log_end, end, n);
		if (seen == end)
			break;
		end = seen;
	}
	samsara_fail(vm, error, why);
}

/* Must vCPUs leave KVM_RUN instead of going on unrecorded? */
bool samsara_holds_guest(struct samsara_vm *vm)
{
	return (vm->config.flags & KVM_SAMSARA_FLAG_STOP_ON_ERROR) && READ_ONCE(vm->error) &&
	       !READ_ONCE(vm->released);
}

/* Someone waits for a page the vCPU uses: make it end its chunk.  Under pages_lock. */
void samsara_request_end(struct samsara_vcpu *sv)
{
	lockdep_assert_held(&sv->vm->pages_lock);
	if (sv->end_requested)
		return;
	WRITE_ONCE(sv->end_requested, true);
	kvm_make_request(KVM_REQ_SAMSARA, sv->vcpu);
	kvm_vcpu_kick(sv->vcpu);
}

static bool all_at_boundary(struct samsara_vm *vm)
{
	u32 i;

	for (i = 0; i < vm->nr_vcpus; i++)
		if (READ_ONCE(vm->vcpus[i]->state) == SAMSARA_IN_CHUNK)
			return false;
	return true;
}

/*
 * Get every vCPU to a boundary.  What keeps it there was set before: a vCPU clears the
 * request before it looks at that, and can't enter the guest while the request is
 * pending.  So once the request was acknowledged, no vCPU opens another chunk.
 * Returns 0, or -EINTR if the caller is killed.
 */
int samsara_bring_to_boundary(struct samsara_vm *vm)
{
	kvm_make_all_cpus_request(vm->kvm, KVM_REQ_SAMSARA);
	return wait_event_killable(vm->wq, all_at_boundary(vm)) ? -EINTR : 0;
}

/*
 * No chunk is open when this returns, and none is opened before
 * samsara_start_world().  Or -EINTR if the caller is killed: the world goes on.
 */
int samsara_stop_world(struct samsara_vm *vm)
{
	int r;

	atomic_inc(&vm->world_stopped);
	/* Pairs with pages_lock in chunk_closed() of mode_own.c. */
	smp_mb__after_atomic();
	r = samsara_bring_to_boundary(vm);
	if (r)
		samsara_start_world(vm);
	return r;
}

void samsara_start_world(struct samsara_vm *vm)
{
	if (atomic_dec_and_test(&vm->world_stopped))
		wake_up_all(&vm->wq);
}

/* lockdep can't hold as many locks as there may be vCPUs: it sees that of the first one. */
static void hide_from_lockdep(struct kvm_vcpu *vcpu)
{
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	if (vcpu->vcpu_idx)
		mutex_release(&vcpu->mutex.dep_map, _THIS_IP_);
#endif
}

static void show_to_lockdep(struct kvm_vcpu *vcpu)
{
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	if (vcpu->vcpu_idx)
		mutex_acquire(&vcpu->mutex.dep_map, 0, 1, _THIS_IP_);
#endif
}

/* The first @n of them. */
static void unlock_first_vcpus(struct kvm *kvm, unsigned long n)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (i == n)
			break;
		show_to_lockdep(vcpu);
		mutex_unlock(&vcpu->mutex);
	}
}

/* All vCPUs, or none: -EBUSY if one is in KVM_RUN or another ioctl. */
int samsara_lock_vcpus(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!mutex_trylock(&vcpu->mutex)) {
			unlock_first_vcpus(kvm, i);
			return -EBUSY;
		}
		hide_from_lockdep(vcpu);
	}
	return 0;
}

void samsara_unlock_vcpus(struct kvm *kvm)
{
	unlock_first_vcpus(kvm, atomic_read(&kvm->online_vcpus));
}
