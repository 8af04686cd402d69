// SPDX-License-Identifier: GPL-2.0
/*
 * How a recording or replay ends: as asked, or because something can't be recorded.
 */
#define pr_fmt(fmt) "samsara: " fmt

#include "ept.h"
#include "log.h"
#include "memory.h"
#include "samsara.h"
#include "stop.h"
#include "trace.h"
#include "vm.h"

/* Close the streams.  Under commit_lock, every vCPU at a boundary. */
static void log_ends(struct samsara_vm *vm)
{
	struct smr_record rec = { .type = SMR_VCPU_END };
	u32 i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		rec.chain = vm->vcpus[i]->progress.chain;
		rec.state_digest = vm->vcpus[i]->progress.state_digest;
		samsara_log_record(vm->vcpus[i], &rec);
	}
	rec = (struct smr_record) {
		.type = SMR_VM_END,
		.commit_seq = vm->order->committed,
		.mem_digest = vm->memory.digest,
	};
	samsara_log_vm_record(vm, &rec);
}

/* Under commit_lock, every vCPU at a boundary. */
static int end_log(struct samsara_vm *vm)
{
	u64 digest;
	int r;
	u32 i;

	samsara_ept_note_turns(vm);
	samsara_digest_changes(vm, samsara_dma_agent(vm));
	r = samsara_memory_digest(vm, &digest);
	if (r)
		return r;
	if (vm->digest_off)
		vm->memory.digest = digest;
	if (digest != vm->memory.digest && !vm->error) {
		pr_warn_ratelimited("guest memory was changed outside of the order of commits\n");
		vm->error = -EUCLEAN;
	}
	if (!vm->error)
		log_ends(vm);
	for (i = 0; i < vm->nr_vcpus; i++)
		trace_kvm_samsara_totals(i, samsara_stat(vm->vcpus[i]));
	WRITE_ONCE(vm->exclusive, NULL);
	WRITE_ONCE(vm->state, vm->error ? KVM_SAMSARA_STATE_FAILED :
					  KVM_SAMSARA_STATE_STOPPED);
	return 0;
}

static int stop_recording(struct samsara_vm *vm)
{
	int r;

	WRITE_ONCE(vm->stopping, true);
	wake_up_all(&vm->wq);
	r = samsara_bring_to_boundary(vm);
	if (r)
		return r;

	mutex_lock(&vm->commit_lock);
	r = end_log(vm);
	mutex_unlock(&vm->commit_lock);
	/* Killed: the vCPUs stay where they are, and go with the VM. */
	if (r)
		return r;

	/* From here on the vCPUs use KVM's own EPT. */
	kvm_make_all_cpus_request(vm->kvm, KVM_REQ_LOAD_MMU_PGD);
	/* After the request: a vCPU that stops waiting must see it. */
	smp_store_release(&vm->stopping, false);
	wake_up_all(&vm->wq);
	samsara_signal_user(vm);
	pr_info_ratelimited("VM %d: recording %s after %llu commits\n", vm->kvm->userspace_pid,
			    vm->error ? "failed" : "ended", vm->order->committed);
	return 0;
}

/* Returns 0, or -EINTR if the caller was killed meanwhile. */
int samsara_stop(struct samsara_vm *vm)
{
	lockdep_assert_held(&vm->config_lock);
	switch (READ_ONCE(vm->state)) {
	case KVM_SAMSARA_STATE_RECORDING:
		return stop_recording(vm);
	case KVM_SAMSARA_STATE_REPLAYING:
		WRITE_ONCE(vm->state, KVM_SAMSARA_STATE_STOPPED);
		wake_up_all(&vm->wq);
		return 0;
	default:
		return 0;
	}
}

/* Has a reference to the VM, so that this may be the last one. */
void samsara_fail_work(struct work_struct *work)
{
	struct samsara_vm *vm = container_of(work, struct samsara_vm, fail_work);
	struct kvm *kvm = vm->kvm;

	mutex_lock(&vm->config_lock);
	/* What has failed may have been cleared meanwhile. */
	if (READ_ONCE(vm->error))
		samsara_stop(vm);
	mutex_unlock(&vm->config_lock);
	kvm_put_kvm(kvm);
}
