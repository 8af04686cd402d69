// SPDX-License-Identifier: GPL-2.0
/*
 * The KVM device: configuration, start, stop, status, ring mapping.
 * Documentation/device.rst describes what user space sees.
 */
#define pr_fmt(fmt) "samsara: " fmt

#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "samsara.h"
#include "trace.h"
#include "../cpuid.h"
#include "../irq.h"

#define RING_BYTES_MIN	(256 * 1024)
#define RING_BYTES_MAX	(16 * 1024 * 1024)
#define MAX_VCPUS	(SMR_ORDER_MAX_AGENTS - 1)

void samsara_signal_user(struct samsara_vm *vm)
{
	if (vm->eventfd)
		eventfd_signal(vm->eventfd, 1);
}

static bool all_at_boundary(struct samsara_vm *vm)
{
	u32 i;

	for (i = 0; i < vm->nr_vcpus; i++)
		if (READ_ONCE(vm->vcpus[i]->chunk_open))
			return false;
	return true;
}

/*
 * Get every vCPU to a boundary.  What keeps it there was set before: a vCPU clears the
 * request before it looks at that, and can't enter the guest while the request is
 * pending.  So once the request was acknowledged, no vCPU opens another chunk.
 */
void samsara_bring_to_boundary(struct samsara_vm *vm)
{
	kvm_make_all_cpus_request(vm->kvm, KVM_REQ_SAMSARA);
	wait_event(vm->wq, all_at_boundary(vm));
}

/* Close the streams.  Under commit_lock, every vCPU at a boundary. */
static void log_ends(struct samsara_vm *vm)
{
	struct smr_record rec = { .type = SMR_VCPU_END };
	u32 i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		rec.chain = vm->vcpus[i]->chain;
		rec.state_digest = vm->vcpus[i]->state_digest;
		samsara_log(vm->vcpus[i], &rec);
	}
	rec = (struct smr_record) {
		.type = SMR_VM_END,
		.commit_seq = vm->order->committed,
		.mem_digest = vm->mem_digest,
	};
	samsara_log_vm(vm, &rec);
}

static void stop_recording(struct samsara_vm *vm)
{
	u64 digest;
	u32 i;

	WRITE_ONCE(vm->stopping, true);
	wake_up_all(&vm->wq);
	samsara_bring_to_boundary(vm);

	mutex_lock(&vm->commit_lock);
	samsara_digest_changes(vm, samsara_dma_agent(vm));
	digest = samsara_memory_digest(vm);
	if (vm->untracked)
		vm->mem_digest = digest;
	if (digest != vm->mem_digest && !vm->error) {
		pr_warn("guest memory was changed outside of the order of commits\n");
		vm->error = -EUCLEAN;
	}
	if (!vm->error)
		log_ends(vm);
	for (i = 0; i < vm->nr_vcpus; i++)
		trace_kvm_samsara_totals(i, samsara_stat(vm->vcpus[i]));
	WRITE_ONCE(vm->exclusive, NULL);
	WRITE_ONCE(vm->state, vm->error ? KVM_SAMSARA_STATE_FAILED :
					  KVM_SAMSARA_STATE_STOPPED);
	mutex_unlock(&vm->commit_lock);

	/* From here on the vCPUs use KVM's own EPT. */
	kvm_make_all_cpus_request(vm->kvm, KVM_REQ_LOAD_MMU_PGD);
	/* After the request: a vCPU that stops waiting must see it. */
	smp_store_release(&vm->stopping, false);
	wake_up_all(&vm->wq);
	samsara_signal_user(vm);
	pr_info("VM %d: recording %s after %llu commits\n", vm->kvm->userspace_pid,
		vm->error ? "failed" : "ended", vm->order->committed);
}

static int samsara_stop(struct samsara_vm *vm)
{
	lockdep_assert_held(&vm->config_lock);
	switch (READ_ONCE(vm->state)) {
	case KVM_SAMSARA_STATE_RECORDING:
		stop_recording(vm);
		return 0;
	case KVM_SAMSARA_STATE_REPLAYING:
		WRITE_ONCE(vm->state, KVM_SAMSARA_STATE_STOPPED);
		wake_up_all(&vm->wq);
		return 0;
	default:
		return 0;
	}
}

static void fail_work(struct work_struct *work)
{
	struct samsara_vm *vm = container_of(work, struct samsara_vm, fail_work);

	mutex_lock(&vm->config_lock);
	samsara_stop(vm);
	mutex_unlock(&vm->config_lock);
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
	pr_warn("VM %d: %s (error %d)\n", vm->kvm->userspace_pid, why, error);
	if (!samsara_for_replay(vm)) {
		WRITE_ONCE(vm->stopping, true);
		schedule_work(&vm->fail_work);
	} else {
		WRITE_ONCE(vm->state, KVM_SAMSARA_STATE_FAILED);
		wake_up_all(&vm->wq);
	}
}

static void free_vcpu(struct samsara_vcpu *sv)
{
	samsara_counter_free(sv);
	samsara_ept_free(sv);
	kfree(sv->inputs.p);
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
	sv->turn.sv = sv;
	INIT_LIST_HEAD(&sv->turn.link);
	samsara_length_init(sv);
	sv->inputs.size = SAMSARA_INPUT_BYTES;
	sv->inputs.p = kmalloc(SAMSARA_INPUT_BYTES, GFP_KERNEL_ACCOUNT);
	sv->scratch = vmalloc(SMR_RECORD_MAX);
	if (!sv->inputs.p || !sv->scratch || samsara_ept_init(sv)) {
		free_vcpu(sv);
		return NULL;
	}
	samsara_ring_init(&sv->ring, vm->rings_area + sv->id * vm->ring_stride,
			  vm->config.ring_bytes);
	return sv;
}

static int refuse_feature(struct kvm_vcpu *vcpu, const char *name)
{
	pr_warn("vcpu %d has CPU feature %s, which can't be recorded: use -cpu ...,-%s\n",
		vcpu->vcpu_id, name, name);
	return -EOPNOTSUPP;
}

/* guest_cpuid_has() wants a constant. */
#define REFUSE(vcpu, feature, name)					\
do {									\
	if (guest_cpuid_has(vcpu, X86_FEATURE_##feature))		\
		return refuse_feature(vcpu, name);			\
} while (0)

/* What the guest may not have: its results can't be logged or repeated (RULE 7). */
static int check_cpuid(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *leaf;

	REFUSE(vcpu, RDRAND, "rdrand");
	REFUSE(vcpu, RDSEED, "rdseed");
	REFUSE(vcpu, RTM, "rtm");
	REFUSE(vcpu, HLE, "hle");
	REFUSE(vcpu, WAITPKG, "waitpkg");
	REFUSE(vcpu, MWAIT, "monitor");
	REFUSE(vcpu, XSAVEOPT, "xsaveopt");
	REFUSE(vcpu, XSAVEC, "xsavec");
	REFUSE(vcpu, XSAVES, "xsaves");
	REFUSE(vcpu, AVX512F, "avx512f");
	REFUSE(vcpu, PKU, "pku");
	REFUSE(vcpu, VMX, "vmx");
	REFUSE(vcpu, SGX, "sgx");

	leaf = kvm_find_cpuid_entry(vcpu, 0xa);
	if (leaf && (leaf->eax & 0xff)) {
		pr_warn("vcpu %d has a PMU, which can't be recorded: use -cpu ...,pmu=off\n",
			vcpu->vcpu_id);
		return -EOPNOTSUPP;
	}
	if (vcpu->arch.pv_cpuid.features) {
		pr_warn("vcpu %d has KVM paravirtual features 0x%x, which can't be recorded\n",
			vcpu->vcpu_id, vcpu->arch.pv_cpuid.features);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int check_vm(struct samsara_vm *vm)
{
	struct kvm *kvm = vm->kvm;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r;

	if (!enable_ept || !enable_ept_ad_bits || !enable_unrestricted_guest || !enable_vpid) {
		pr_warn("EPT with accessed/dirty flags, unrestricted guest and VPID are needed (kvm_intel parameters ept, eptad, unrestricted_guest, vpid)\n");
		return -EOPNOTSUPP;
	}
	if (enable_apicv) {
		pr_warn("interrupts injected by hardware can't be recorded: load kvm_intel with enable_apicv=0\n");
		return -EOPNOTSUPP;
	}
	if (!irqchip_in_kernel(kvm) || irqchip_split(kvm)) {
		pr_warn("only the in-kernel interrupt controllers are recorded: use kernel-irqchip=on\n");
		return -EOPNOTSUPP;
	}
	if (atomic_read(&kvm->online_vcpus) != vm->config.nr_vcpus)
		return -EINVAL;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (vcpu->vcpu_id >= vm->config.nr_vcpus)
			return -EINVAL;
		r = check_cpuid(vcpu);
		if (r)
			return r;
	}
	return 0;
}

static int start_stream(struct samsara_vm *vm)
{
	struct smr_record rec = {
		.type = SMR_VM_START,
		.mem_digest = vm->mem_digest,
	};
	int r;

	mutex_lock(&vm->commit_lock);
	r = samsara_log_vm(vm, &rec);
	mutex_unlock(&vm->commit_lock);
	return r;
}

static int samsara_start(struct samsara_vm *vm)
{
	struct kvm *kvm = vm->kvm;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r;

	if (vm->state != KVM_SAMSARA_STATE_IDLE || !vm->rings_area || vm->order)
		return -EBUSY;
	r = check_vm(vm);
	if (r)
		return r;
	r = samsara_counter_selftest();
	if (r)
		return r;

	vm->order = kzalloc(ALIGN(smr_order_size(vm->nr_vcpus + 1), 64), GFP_KERNEL_ACCOUNT);
	if (!vm->order)
		return -ENOMEM;
	smr_order_init(vm->order, vm->nr_vcpus + 1);
	samsara_phase_init(vm);
	r = samsara_memory_init(vm);
	if (r)
		return r;
	vm->mem_digest = samsara_memory_digest(vm);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		vm->vcpus[vcpu->vcpu_id] = alloc_vcpu(vm, vcpu);
		if (!vm->vcpus[vcpu->vcpu_id])
			return -ENOMEM;
	}
	if (!samsara_for_replay(vm)) {
		r = start_stream(vm);
		if (r)
			return r;
		WRITE_ONCE(vm->state, KVM_SAMSARA_STATE_RECORDING);
	} else {
		WRITE_ONCE(vm->state, KVM_SAMSARA_STATE_REPLAYING);
	}
	/* The state before what makes the vCPUs look at it. */
	smp_wmb();
	kvm_for_each_vcpu(i, vcpu, kvm) {
		/* Start-up IPIs come from the log. */
		if (samsara_for_replay(vm))
			vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
		WRITE_ONCE(vcpu->arch.samsara, vm->vcpus[vcpu->vcpu_id]);
	}
	pr_info("VM %d: %s, %u vCPUs, %llu pages\n", kvm->userspace_pid,
		samsara_for_replay(vm) ? "replaying" : "recording",
		vm->nr_vcpus, vm->nr_pages);
	return 0;
}

static int check_config(const struct kvm_samsara_config *config)
{
	int i;

	if (config->version != KVM_SAMSARA_ABI_VERSION || config->flags)
		return -EINVAL;
	if (config->mode < KVM_SAMSARA_MODE_RECORD || config->mode > KVM_SAMSARA_MODE_RECORD_CREW)
		return -EINVAL;
	if (!config->nr_vcpus || config->nr_vcpus > MAX_VCPUS)
		return -EINVAL;
	if (!is_power_of_2(config->ring_bytes) || config->ring_bytes < RING_BYTES_MIN ||
	    config->ring_bytes > RING_BYTES_MAX)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(config->reserved); i++)
		if (config->reserved[i])
			return -EINVAL;
	return 0;
}

static int set_config(struct samsara_vm *vm, const void __user *uaddr)
{
	struct kvm_samsara_config config;
	struct eventfd_ctx *eventfd = NULL;
	int r;

	if (vm->rings_area)
		return -EBUSY;
	if (copy_from_user(&config, uaddr, sizeof(config)))
		return -EFAULT;
	r = check_config(&config);
	if (r)
		return r;
	if (config.eventfd >= 0) {
		eventfd = eventfd_ctx_fdget(config.eventfd);
		if (IS_ERR(eventfd))
			return PTR_ERR(eventfd);
	}

	vm->ring_stride = PAGE_SIZE + config.ring_bytes;
	vm->vcpus = kcalloc(config.nr_vcpus, sizeof(*vm->vcpus), GFP_KERNEL_ACCOUNT);
	vm->scratch = vmalloc(SMR_RECORD_MAX);
	vm->rings_area = vmalloc_user((config.nr_vcpus + 1) * vm->ring_stride);
	if (!vm->vcpus || !vm->scratch || !vm->rings_area) {
		kfree(vm->vcpus);
		vfree(vm->scratch);
		vfree(vm->rings_area);
		vm->vcpus = NULL;
		vm->scratch = NULL;
		vm->rings_area = NULL;
		if (eventfd)
			eventfd_ctx_put(eventfd);
		return -ENOMEM;
	}
	vm->config = config;
	vm->nr_vcpus = config.nr_vcpus;
	vm->untracked = samsara_crew(vm);
	vm->eventfd = eventfd;
	samsara_ring_init(&vm->vm_ring, vm->rings_area + vm->nr_vcpus * vm->ring_stride,
			  config.ring_bytes);
	return 0;
}

static void add_vcpu_totals(struct kvm_samsara_status *st, struct samsara_vcpu *sv)
{
	const struct kvm_vcpu_stat *stat = samsara_stat(sv);

	st->chunks += stat->samsara_chunks;
	st->rollbacks += stat->samsara_rollbacks;
	st->sections += stat->samsara_sections;
	st->copies += stat->samsara_copies;
	st->log_bytes += stat->samsara_log_bytes;
	st->async_ends += stat->samsara_async_ends;
	st->landing_steps += stat->samsara_landing_steps;
	st->exclusive += stat->samsara_exclusive;
}

static int get_status(struct samsara_vm *vm, void __user *uaddr)
{
	struct kvm_samsara_status st = {
		/* Pairs with samsara_diverged(): the div_* fields are there. */
		.state = smp_load_acquire(&vm->state),
		.error = vm->error,
		.mem_digest = READ_ONCE(vm->mem_digest),
		.dma_commits = vm->dma_commits,
		.serial_phases = READ_ONCE(vm->serial_phases),
	};
	u32 i;

	if (vm->order)
		st.commits = samsara_replaying(vm) ? READ_ONCE(vm->replayed) :
						     READ_ONCE(vm->order->committed);
	if (st.state == KVM_SAMSARA_STATE_DIVERGED) {
		st.div_field = vm->div_field;
		st.div_vcpu = vm->div_vcpu;
		st.div_commit = vm->div_commit;
		st.div_expected = vm->div_expected;
		st.div_got = vm->div_got;
	}
	st.log_bytes = vm->vm_ring.pos;
	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i])
			add_vcpu_totals(&st, vm->vcpus[i]);
	return copy_to_user(uaddr, &st, sizeof(st)) ? -EFAULT : 0;
}

static int set_dma(struct samsara_vm *vm, const void __user *uaddr)
{
	struct kvm_samsara_dma dma;

	if (copy_from_user(&dma, uaddr, sizeof(dma)))
		return -EFAULT;
	if (!samsara_recording(vm))
		return -ESHUTDOWN;
	return samsara_dma(vm, &dma);
}

static int set_ctrl(struct samsara_vm *vm, u64 what)
{
	switch (what) {
	case KVM_SAMSARA_CTRL_START:
		return samsara_start(vm);
	case KVM_SAMSARA_CTRL_STOP:
		return samsara_stop(vm);
	default:
		return -ENXIO;
	}
}

static int set_tunable(struct samsara_vm *vm, u64 index, const u64 __user *uaddr)
{
	u64 value;

	if (vm->order)
		return -EBUSY;
	if (get_user(value, uaddr))
		return -EFAULT;
	return samsara_tunable_set(&vm->tune, index, value);
}

static int get_tunable(struct samsara_vm *vm, u64 index, u64 __user *uaddr)
{
	u64 value;
	int r;

	r = samsara_tunable_get(&vm->tune, index, &value);
	return r ?: put_user(value, uaddr);
}

static int samsara_device_set_attr(struct kvm_device *dev, struct kvm_device_attr *attr)
{
	void __user *uaddr = u64_to_user_ptr(attr->addr);
	struct samsara_vm *vm = dev->private;
	int r = -ENXIO;

	if (attr->flags)
		return -EINVAL;
	/* Without config_lock: a recording that waits for room must not block them. */
	if (attr->group == KVM_SAMSARA_GRP_DMA)
		return attr->attr ? -ENXIO : set_dma(vm, uaddr);
	if (attr->group == KVM_SAMSARA_GRP_CTRL && attr->attr == KVM_SAMSARA_CTRL_WAKE) {
		wake_up_all(&vm->wq);
		return 0;
	}

	mutex_lock(&vm->config_lock);
	if (attr->group == KVM_SAMSARA_GRP_CONFIG && !attr->attr)
		r = set_config(vm, uaddr);
	else if (attr->group == KVM_SAMSARA_GRP_CTRL)
		r = set_ctrl(vm, attr->attr);
	else if (attr->group == KVM_SAMSARA_GRP_TUNABLE)
		r = set_tunable(vm, attr->attr, uaddr);
	mutex_unlock(&vm->config_lock);
	return r;
}

static int samsara_device_get_attr(struct kvm_device *dev, struct kvm_device_attr *attr)
{
	void __user *uaddr = u64_to_user_ptr(attr->addr);

	if (attr->flags)
		return -EINVAL;
	if (attr->group == KVM_SAMSARA_GRP_TUNABLE)
		return get_tunable(dev->private, attr->attr, uaddr);
	if (attr->group != KVM_SAMSARA_GRP_STATUS || attr->attr)
		return -ENXIO;
	return get_status(dev->private, uaddr);
}

static int samsara_device_has_attr(struct kvm_device *dev, struct kvm_device_attr *attr)
{
	struct samsara_vm *vm = dev->private;
	u64 value;

	switch (attr->group) {
	case KVM_SAMSARA_GRP_CONFIG:
	case KVM_SAMSARA_GRP_STATUS:
	case KVM_SAMSARA_GRP_DMA:
		return attr->attr ? -ENXIO : 0;
	case KVM_SAMSARA_GRP_CTRL:
		return attr->attr > KVM_SAMSARA_CTRL_WAKE ? -ENXIO : 0;
	case KVM_SAMSARA_GRP_TUNABLE:
		return samsara_tunable_get(&vm->tune, attr->attr, &value);
	default:
		return -ENXIO;
	}
}

static int samsara_device_mmap(struct kvm_device *dev, struct vm_area_struct *vma)
{
	struct samsara_vm *vm = dev->private;
	unsigned long stride;

	/* Set once, and vm->rings_area lives as long as the device. */
	if (!READ_ONCE(vm->rings_area))
		return -ENXIO;
	stride = vm->ring_stride;
	if (vma->vm_end - vma->vm_start != stride ||
	    (vma->vm_pgoff << PAGE_SHIFT) % stride ||
	    (vma->vm_pgoff << PAGE_SHIFT) / stride > vm->nr_vcpus)
		return -EINVAL;
	return remap_vmalloc_range(vma, vm->rings_area, vma->vm_pgoff);
}

static int samsara_device_create(struct kvm_device *dev, u32 type)
{
	struct kvm *kvm = dev->kvm;
	struct samsara_vm *vm;

	lockdep_assert_held(&kvm->lock);
	/* vCPUs are set up differently in a VM that can be recorded. */
	if (kvm->created_vcpus || kvm->arch.samsara)
		return -EBUSY;
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return -ENOMEM;
	vm->kvm = kvm;
	mutex_init(&vm->config_lock);
	mutex_init(&vm->commit_lock);
	init_waitqueue_head(&vm->wq);
	samsara_turns_init(vm);
	samsara_tunables_default(&vm->tune);
	spin_lock_init(&vm->pages_lock);
	INIT_WORK(&vm->fail_work, fail_work);
	dev->private = vm;
	kvm->arch.samsara = vm;
	static_branch_inc(&kvm_samsara_key);
	return 0;
}

/* With the VM: its vCPUs are gone.  Or KVM could not give out the device. */
static void samsara_device_destroy(struct kvm_device *dev)
{
	struct samsara_vm *vm = dev->private;
	u32 i;

	WRITE_ONCE(dev->kvm->arch.samsara, NULL);
	cancel_work_sync(&vm->fail_work);
	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i])
			free_vcpu(vm->vcpus[i]);
	samsara_memory_free(vm);
	if (vm->eventfd)
		eventfd_ctx_put(vm->eventfd);
	kfree(vm->vcpus);
	kfree(vm->order);
	vfree(vm->scratch);
	vfree(vm->rings_area);
	kfree_rcu(vm, rcu);
	kfree(dev);
	static_branch_dec(&kvm_samsara_key);
}

static const struct kvm_device_ops samsara_device_ops = {
	.name = "kvm-samsara",
	.create = samsara_device_create,
	.destroy = samsara_device_destroy,
	.set_attr = samsara_device_set_attr,
	.get_attr = samsara_device_get_attr,
	.has_attr = samsara_device_has_attr,
	.mmap = samsara_device_mmap,
};

static struct kvm_samsara_ops samsara_ops = {
	.pre_enter = samsara_pre_enter,
	.owns_events = samsara_owns_events,
	.complete_io = samsara_complete_io,
	.leave = samsara_leave,
	.bus_before = samsara_bus_before,
	.bus_after = samsara_bus_after,
	.msr_before = samsara_msr_before,
	.msr_after = samsara_msr_after,
	.note_init = samsara_note_init,
	.note_sipi = samsara_note_sipi,
	.page_dirty = samsara_page_dirty,
	.frozen = samsara_frozen,
	.refuses_ioctl = samsara_refuses_ioctl,
};

int samsara_init(void)
{
	int r;

	r = samsara_sysfs_init();
	if (r)
		return r;
	r = kvm_samsara_register(&samsara_ops, &samsara_device_ops);
	if (r)
		samsara_sysfs_exit();
	return r;
}

void samsara_exit(void)
{
	kvm_samsara_unregister();
	samsara_sysfs_exit();
}
