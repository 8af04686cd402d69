// SPDX-License-Identifier: GPL-2.0
/*
 * Start of a recording or replay.
 *
 * Nothing of the VM may change meanwhile, or what is checked would not be what is
 * recorded.  kvm->lock is held to see that all vCPUs are there; from then on none can
 * be added (samsara_refuses_vcpus()).  Each vCPU's mutex is held to the end, so none is
 * in KVM_RUN or another ioctl.  Memory slots are frozen before they are looked at, and
 * changed under slots_lock, which take_memory() takes.
 */
#define pr_fmt(fmt) "samsara: " fmt

#include <linux/sched/signal.h>
#include <linux/vmalloc.h>

#include "check.h"
#include "checkpoint.h"
#include "copies.h"
#include "counter.h"
#include "ept.h"
#include "length.h"
#include "log.h"
#include "map.h"
#include "memory.h"
#include "ring.h"
#include "samsara.h"
#include "start.h"
#include "state.h"
#include "vm.h"

/* Exactly those that the configuration announces, with ids from 0 on? */
static bool has_its_vcpus(struct samsara_vm *vm)
{
	struct kvm *kvm = vm->kvm;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	lockdep_assert_held(&kvm->lock);
	/* One that is being made counts, too. */
	if (kvm->created_vcpus != vm->nr_vcpus ||
	    atomic_read(&kvm->online_vcpus) != vm->nr_vcpus)
		return false;
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->vcpu_id >= vm->nr_vcpus)
			return false;
	return true;
}

/*
 * Has KVM handled what the guest has last asked for, and user space done its part?  With
 * vcpu->mutex, of which lockdep may not know.
 */
static bool at_rest(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	return !vcpu->arch.complete_userspace_io && !(sv && sv->state == SAMSARA_AT_EXIT);
}

/* The same for all vCPUs, or -EBUSY and none.  The state of one at rest is in its registers. */
static int lock_vcpus_at_rest(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r;

	r = samsara_lock_vcpus(kvm);
	if (r)
		return r;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (at_rest(vcpu))
			continue;
		samsara_unlock_vcpus(kvm);
		return -EBUSY;
	}
	return 0;
}

static int freeze(struct samsara_vm *vm)
{
	struct kvm *kvm = vm->kvm;
	int r;

	mutex_lock(&kvm->lock);
	r = has_its_vcpus(vm) ? lock_vcpus_at_rest(kvm) : -EINVAL;
	if (!r) {
		vm->started = true;
		WRITE_ONCE(vm->starting, true);
	}
	mutex_unlock(&kvm->lock);
	return r;
}

/* A VM that has not started may get other vCPUs and slots, and be tried again. */
static void thaw(struct samsara_vm *vm, bool started)
{
	struct kvm *kvm = vm->kvm;

	WRITE_ONCE(vm->starting, false);
	samsara_unlock_vcpus(kvm);
	mutex_lock(&kvm->lock);
	vm->started = started;
	mutex_unlock(&kvm->lock);
}

static void free_vcpu(struct samsara_vcpu *sv)
{
	samsara_counter_free(&sv->counter);
	samsara_copies_free(&sv->copies);
	samsara_ept_free(&sv->copies.ept);
	samsara_ept_free(&sv->direct);
	samsara_hot_free(sv);
	kvfree(sv->inputs.p);
	vfree(sv->scratch);
	kfree(sv);
}

static struct samsara_vcpu *alloc_vcpu(struct samsara_vm *vm, struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = kzalloc(sizeof(*sv), GFP_KERNEL_ACCOUNT);

	if (!sv)
		return NULL;
	sv->vcpu = vcpu;
	sv->vm = vm;
	sv->id = vcpu->vcpu_id;
	sv->mode = vm->mode;
	sv->last_cpu = -1;
	sv->turn.sv = sv;
	sv->next_start.type = SMR_CHUNK;
	INIT_LIST_HEAD(&sv->turn.link);
	samsara_length_init(sv);
	samsara_spin_init(sv);
	prandom_seed_state(&sv->random, vm->tune.seed + 1 + sv->id);
	sv->inputs.size = SAMSARA_INPUT_BYTES;
	sv->inputs.p = kvmalloc(SAMSARA_INPUT_BYTES, GFP_KERNEL_ACCOUNT);
	sv->scratch = __vmalloc(SMR_RECORD_MAX, GFP_KERNEL_ACCOUNT);
	if (!sv->inputs.p || !sv->scratch || sv->mode->init_vcpu(sv)) {
		free_vcpu(sv);
		return NULL;
	}
	samsara_resume_vcpu(sv);
	samsara_ring_init(&sv->ring, vm->rings_area + sv->id * vm->ring_stride,
			  vm->config.ring_bytes);
	return sv;
}

static void free_vcpus(struct samsara_vm *vm, struct samsara_vcpu **vcpus)
{
	u32 i;

	for (i = 0; i < vm->nr_vcpus; i++)
		if (vcpus[i])
			free_vcpu(vcpus[i]);
}

/* What START has made, or a part of it. */
void samsara_free_started(struct samsara_vm *vm, struct samsara_vcpu **vcpus)
{
	free_vcpus(vm, vcpus);
	samsara_memory_free(vm);
	kfree(vm->memory.map);
	vm->memory.map = NULL;
}

static int alloc_vcpus(struct samsara_vm *vm, struct samsara_vcpu **vcpus)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, vm->kvm) {
		if (fatal_signal_pending(current))
			return -EINTR;
		vcpus[vcpu->vcpu_id] = alloc_vcpu(vm, vcpu);
		if (!vcpus[vcpu->vcpu_id])
			return -ENOMEM;
	}
	return 0;
}

/* All RAM, and where it is. */
static int take_memory(struct samsara_vm *vm)
{
	struct samsara_map *map;
	int r;

	mutex_lock(&vm->kvm->slots_lock);
	r = samsara_memory_init(vm);
	r = r ?: samsara_resume_slots(vm);
	if (!r) {
		map = samsara_map_from_kvm(vm);
		if (IS_ERR(map))
			r = PTR_ERR(map);
		else
			vm->memory.map = map;
	}
	mutex_unlock(&vm->kvm->slots_lock);
	return r;
}

static int start_stream(struct samsara_vm *vm)
{
	struct smr_record rec = {
		.type = SMR_VM_START,
		.mem_digest = vm->memory.digest,
	};
	int r;

	if (vm->mode->from_log)
		return 0;
	mutex_lock(&vm->commit_lock);
	r = samsara_log_vm_record(vm, &rec);
	mutex_unlock(&vm->commit_lock);
	return r;
}

/* All that can fail.  Returns 0, or an error, and then everything is given back. */
static int prepare(struct samsara_vm *vm, struct samsara_vcpu **vcpus)
{
	int r;

	r = samsara_check_host();
	r = r ?: samsara_check_vm(vm);
	r = r ?: samsara_counter_selftest();
	if (r)
		return r;
	smr_order_init(vm->order, vm->nr_vcpus + 1);
	samsara_turns_seed(vm);
	if (vm->mode->init_vm)
		vm->mode->init_vm(vm);
	r = take_memory(vm);
	r = r ?: samsara_memory_digest(vm, &vm->memory.digest);
	r = r ?: alloc_vcpus(vm, vcpus);
	samsara_resume_vm(vm);
	r = r ?: start_stream(vm);
	if (r)
		samsara_free_started(vm, vcpus);
	return r;
}

/* What was counted for the last recording or replay. */
static void clear_stat(struct kvm_vcpu_stat *stat)
{
#define CLEAR(name, unit) memset(&stat->name, 0, sizeof(stat->name));
	KVM_SAMSARA_VCPU_COUNTERS(CLEAR)
	KVM_SAMSARA_VCPU_HISTS(CLEAR)
#undef CLEAR
}

/* From here on nothing fails. */
static void begin(struct samsara_vm *vm, struct samsara_vcpu **vcpus)
{
	bool replay = vm->mode->from_log;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	for (i = 0; i < vm->nr_vcpus; i++)
		/* Pairs with get_status(), which needs no lock. */
		smp_store_release(&vm->vcpus[i], vcpus[i]);
	/* Everything before the state that says it is there: see set_dma(). */
	smp_store_release(&vm->state, replay ? KVM_SAMSARA_STATE_REPLAYING :
					       KVM_SAMSARA_STATE_RECORDING);
	kvm_for_each_vcpu(i, vcpu, vm->kvm) {
		/* Start-up IPIs come from the log. */
		if (replay)
			vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
		clear_stat(&vcpu->stat);
		samsara_regs_settle(vcpu);
		samsara_resume_regs(vm->vcpus[vcpu->vcpu_id]);
		/* Its mutex is held: KVM_RUN sees all of it. */
		WRITE_ONCE(vcpu->arch.samsara, vm->vcpus[vcpu->vcpu_id]);
	}
	pr_info_ratelimited("VM %d: %s, %u vCPUs, %llu pages\n", vm->kvm->userspace_pid,
			    replay ? "replaying" : "recording", vm->nr_vcpus, vm->memory.nr_pages);
}

/*
 * A replay may be left in the middle of a chunk, or of an exit: user space sets the vCPU's
 * state anew.  Under vcpu->mutex.
 */
static void forget_replay(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;

	samsara_forget_exit(sv);
	vcpu_load(vcpu);
	samsara_set_stepping(sv, false);
	samsara_set_windows(vcpu, false, false);
	samsara_drop_events(vcpu);
	kvm_make_request(KVM_REQ_LOAD_MMU_PGD, vcpu);
	vcpu_put(vcpu);
}

/*
 * After its end, when nobody uses the device: the vCPUs are KVM's.  Returns 0, or -EBUSY: one
 * is in KVM_RUN or another ioctl, or a recorded one has an exit to finish.
 */
int samsara_release(struct samsara_vm *vm)
{
	bool replay = vm->mode->from_log;
	struct kvm *kvm = vm->kvm;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r;

	lockdep_assert_held_write(&vm->in_use);
	mutex_lock(&kvm->lock);
	r = replay ? samsara_lock_vcpus(kvm) : lock_vcpus_at_rest(kvm);
	if (!r) {
		kvm_for_each_vcpu(i, vcpu, kvm) {
			if (replay && to_samsara(vcpu))
				forget_replay(to_samsara(vcpu));
			WRITE_ONCE(vcpu->arch.samsara, NULL);
		}
		samsara_unlock_vcpus(kvm);
	}
	mutex_unlock(&kvm->lock);
	return r;
}

/*
 * Returns 0; -EBUSY: started before, not configured, a vCPU is in use or has an exit to
 * finish; -EINVAL: not
 * the vCPUs that were configured; -EOPNOTSUPP, -ENODEV: see dmesg; -ENOMEM; -EINTR: the
 * caller was killed.  After an error it may be tried again.
 */
int samsara_start(struct samsara_vm *vm)
{
	struct samsara_vcpu **vcpus;
	int r;

	lockdep_assert_held(&vm->config_lock);
	if (vm->started || vm->error || !vm->rings_area)
		return -EBUSY;
	vcpus = kcalloc(vm->nr_vcpus, sizeof(*vcpus), GFP_KERNEL_ACCOUNT);
	if (!vcpus)
		return -ENOMEM;
	r = freeze(vm);
	if (!r) {
		r = prepare(vm, vcpus);
		if (!r)
			begin(vm, vcpus);
		thaw(vm, !r);
	}
	kfree(vcpus);
	return r;
}
