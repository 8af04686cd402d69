// SPDX-License-Identifier: GPL-2.0
/*
 * The KVM device: configuration, status, ring mapping.
 * Documentation/device.rst describes what user space sees.
 */
#define pr_fmt(fmt) "samsara: " fmt

#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "check.h"
#include "checkpoint.h"
#include "debug.h"
#include "dma.h"
#include "entry.h"
#include "hot.h"
#include "input.h"
#include "memory.h"
#include "mode.h"
#include "remap.h"
#include "ring.h"
#include "samsara.h"
#include "section.h"
#include "sets.h"
#include "start.h"
#include "state.h"
#include "stop.h"
#include "tunables.h"
#include "turns.h"
#include "vm.h"

#define RING_BYTES_MIN	(256 * 1024)
#define RING_BYTES_MAX	(16 * 1024 * 1024)
#define MAX_VCPUS	(SMR_ORDER_MAX_AGENTS - 1)

static const struct samsara_mode *const modes[] = {
	[KVM_SAMSARA_MODE_RECORD] = &samsara_mode_speculate,
	[KVM_SAMSARA_MODE_RECORD_SERIAL] = &samsara_mode_turns,
	[KVM_SAMSARA_MODE_RECORD_CREW] = &samsara_mode_own,
	[KVM_SAMSARA_MODE_REPLAY] = &samsara_mode_replay,
	[KVM_SAMSARA_MODE_REPLAY_PARALLEL] = &samsara_mode_replay_parallel,
};

/* What user space may map of the order of commits, behind the rings */
static size_t order_bytes(u32 nr_vcpus)
{
	return PAGE_ALIGN(smr_order_size(nr_vcpus + 1));
}

static int check_config(const struct kvm_samsara_config *config)
{
	u32 flags;
	int i;

	if (config->version != KVM_SAMSARA_ABI_VERSION)
		return -EINVAL;
	if (config->mode >= ARRAY_SIZE(modes) || !modes[config->mode])
		return -EINVAL;
	flags = modes[config->mode]->from_log ? 0 : KVM_SAMSARA_FLAG_STOP_ON_ERROR;
	if (config->flags & ~(flags | KVM_SAMSARA_FLAG_CRC))
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

static void free_config(struct samsara_vm *vm)
{
	if (vm->eventfd)
		eventfd_ctx_put(vm->eventfd);
	kfree(vm->vcpus);
	kfree(vm->resume.progress);
	samsara_sets_free(vm);
	vfree(vm->scratch);
	vfree(vm->rings_area);
	vm->eventfd = NULL;
	vm->resume.progress = NULL;
	vm->vcpus = NULL;
	vm->order = NULL;
	vm->scratch = NULL;
}

static int get_eventfd(struct samsara_vm *vm, int fd)
{
	struct eventfd_ctx *eventfd;

	if (fd < 0)
		return 0;
	eventfd = eventfd_ctx_fdget(fd);
	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	vm->eventfd = eventfd;
	return 0;
}

/* @bytes: of what user space may map. */
static void *alloc_config(struct samsara_vm *vm, const struct kvm_samsara_config *config,
			  size_t bytes)
{
	vm->vcpus = kcalloc(config->nr_vcpus, sizeof(*vm->vcpus), GFP_KERNEL_ACCOUNT);
	vm->scratch = __vmalloc(SMR_RECORD_MAX, GFP_KERNEL_ACCOUNT);
	if (!vm->vcpus || !vm->scratch)
		return NULL;
	return __vmalloc(bytes, SAMSARA_GFP_LARGE | __GFP_ZERO);
}

static int set_config(struct samsara_vm *vm, const void __user *uaddr)
{
	struct kvm_samsara_config config;
	size_t rings, bytes;
	void *area = NULL;
	int r;

	if (vm->rings_area)
		return -EBUSY;
	if (copy_from_user(&config, uaddr, sizeof(config)))
		return -EFAULT;
	r = check_config(&config);
	if (r)
		return r;
	vm->ring_stride = PAGE_SIZE + config.ring_bytes;
	rings = (config.nr_vcpus + 1) * vm->ring_stride;
	bytes = rings + order_bytes(config.nr_vcpus);
	r = samsara_charge_locked(vm, bytes >> PAGE_SHIFT);
	if (r)
		return r;
	r = get_eventfd(vm, config.eventfd);
	if (!r) {
		area = alloc_config(vm, &config, bytes);
		if (!area)
			r = -ENOMEM;
	}
	if (r) {
		free_config(vm);
		samsara_uncharge_locked(vm, bytes >> PAGE_SHIFT);
		return r;
	}
	vm->config = config;
	vm->nr_vcpus = config.nr_vcpus;
	vm->order = area + rings;
	vm->mode = modes[config.mode];
	vm->digest_off = vm->mode->digest_off;
	samsara_ring_init(&vm->vm_ring, area + vm->nr_vcpus * vm->ring_stride,
			  config.ring_bytes);
	/* Pairs with samsara_device_mmap(), which needs no lock: all of the above. */
	smp_store_release(&vm->rings_area, area);
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

/* The last commit that is in the log, or will be as soon as its vCPU gets to it. */
static u64 last_commit(struct samsara_vm *vm)
{
	if (vm->mode->from_log)
		return READ_ONCE(vm->replay.done);
	return min(READ_ONCE(vm->order->committed), READ_ONCE(vm->log_end) - 1);
}

/* Without a lock: a recording that stops, or waits for room, must not block it. */
static int get_status(struct samsara_vm *vm, void __user *uaddr)
{
	struct kvm_samsara_status st = {
		/* Pairs with samsara_start() and samsara_diverged(): their fields are there. */
		.state = smp_load_acquire(&vm->state),
		.error = READ_ONCE(vm->error),
		.mem_digest = READ_ONCE(vm->memory.digest),
		.dma_commits = READ_ONCE(vm->dma_commits),
		.serial_phases = READ_ONCE(vm->serial_phases),
	};
	struct samsara_vcpu *sv;
	u32 i;

	/* Pairs with set_config(): order, vcpus[] and nr_vcpus are there, and stay. */
	if (!smp_load_acquire(&vm->rings_area))
		goto out;
	if (st.state != KVM_SAMSARA_STATE_IDLE)
		st.commits = last_commit(vm);
	st.begun = READ_ONCE(vm->replay.begun);
	if (st.state == KVM_SAMSARA_STATE_DIVERGED) {
		st.div_field = vm->divergence.field;
		st.div_vcpu = vm->divergence.vcpu;
		st.div_commit = vm->divergence.commit;
		st.div_expected = vm->divergence.expected;
		st.div_got = vm->divergence.got;
	}
	st.log_bytes = READ_ONCE(vm->vm_ring.pos);
	for (i = 0; i < vm->nr_vcpus; i++) {
		/* Pairs with samsara_start(). */
		sv = smp_load_acquire(&vm->vcpus[i]);
		if (sv)
			add_vcpu_totals(&st, sv);
	}
out:
	return copy_to_user(uaddr, &st, sizeof(st)) ? -EFAULT : 0;
}

static int set_ram(struct samsara_vm *vm, const struct kvm_samsara_ram __user *uaddr)
{
	struct kvm_samsara_ram ram;
	struct kvm_samsara_ram_block *blocks;
	int r;

	if (vm->started)
		return -EBUSY;
	if (copy_from_user(&ram, uaddr, sizeof(ram)))
		return -EFAULT;
	if (ram.nr > KVM_SAMSARA_MAX_RAM || ram.reserved)
		return -EINVAL;
	blocks = memdup_user(uaddr->block, ram.nr * sizeof(*blocks));
	if (IS_ERR(blocks))
		return PTR_ERR(blocks);
	r = samsara_memory_register(vm, blocks, ram.nr);
	kfree(blocks);
	return r;
}

static int set_map(struct samsara_vm *vm, u64 what)
{
	/* Pairs with samsara_start(), as in set_dma(). */
	if (smp_load_acquire(&vm->state) != KVM_SAMSARA_STATE_RECORDING &&
	    what == KVM_SAMSARA_MAP_BEGIN)
		return -ESHUTDOWN;
	switch (what) {
	case KVM_SAMSARA_MAP_BEGIN:
		return samsara_remap_begin(vm);
	case KVM_SAMSARA_MAP_END:
		return samsara_remap_end(vm);
	default:
		return -ENXIO;
	}
}

static int set_state(struct samsara_vm *vm, u64 id, const void __user *uaddr)
{
	struct kvm_samsara_vcpu_state state;

	if (id >= MAX_VCPUS)
		return -ENXIO;
	if (copy_from_user(&state, uaddr, sizeof(state)))
		return -EFAULT;
	/* Pairs with samsara_start(), as in set_dma(). */
	if (smp_load_acquire(&vm->state) != KVM_SAMSARA_STATE_RECORDING)
		return -ESHUTDOWN;
	return samsara_state_set(vm, id, &state);
}

static int get_state(struct samsara_vm *vm, u64 id, void __user *uaddr)
{
	if (id >= MAX_VCPUS)
		return -ENXIO;
	/* Pairs with samsara_start(), as in set_dma(). */
	if (smp_load_acquire(&vm->state) != KVM_SAMSARA_STATE_REPLAYING)
		return -ENODATA;
	return samsara_state_get(vm, id, uaddr);
}

static int set_dma(struct samsara_vm *vm, const void __user *uaddr)
{
	struct kvm_samsara_dma dma;

	if (copy_from_user(&dma, uaddr, sizeof(dma)))
		return -EFAULT;
	/* Pairs with samsara_start(): memory, order and vCPUs are there. */
	if (smp_load_acquire(&vm->state) != KVM_SAMSARA_STATE_RECORDING)
		return -ESHUTDOWN;
	return samsara_dma(vm, &dma);
}

/* As when the device was created. */
static void clear(struct samsara_vm *vm)
{
	memset_startat(vm, 0, mode);
	mutex_init(&vm->remap.ept_lock);
	samsara_sets_init(vm);
	samsara_turns_init(vm);
	samsara_tunables_default(&vm->tune);
	vm->log_end = U64_MAX;
}

static void free_all(struct samsara_vm *vm)
{
	samsara_free_started(vm, vm->vcpus);
	free_config(vm);
	samsara_uncharge_locked(vm, vm->locked_pages);
}

/* With in_use: all who look at what there is without config_lock have left. */
static int give_back(struct samsara_vm *vm)
{
	int r;

	r = samsara_release(vm);
	if (r)
		return r;
	free_all(vm);
	clear(vm);
	return 0;
}

/* Returns 0; -EBUSY: it is recorded or replayed, or samsara_release(); -EINTR: killed. */
static int clear_finished(struct samsara_vm *vm)
{
	int r;

	if (!vm->rings_area)
		return 0;
	if (samsara_frozen(vm->kvm))
		return -EBUSY;
	if (down_write_killable(&vm->in_use))
		return -EINTR;
	r = give_back(vm);
	up_write(&vm->in_use);
	return r;
}

static int set_ctrl(struct samsara_vm *vm, u64 what)
{
	int r;

	switch (what) {
	case KVM_SAMSARA_CTRL_START:
		return samsara_start(vm);
	case KVM_SAMSARA_CTRL_STOP:
		r = samsara_stop(vm);
		if (!r) {
			WRITE_ONCE(vm->released, true);
			wake_up_all(&vm->wq);
		}
		return r;
	case KVM_SAMSARA_CTRL_CLEAR:
		return clear_finished(vm);
	default:
		return -ENXIO;
	}
}

static int set_tunable(struct samsara_vm *vm, u64 index, const u64 __user *uaddr)
{
	u64 value;

	if (vm->started)
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

static int set_pause(struct samsara_vm *vm, const u64 __user *uaddr)
{
	u64 commit;

	if (get_user(commit, uaddr))
		return -EFAULT;
	if (!vm->rings_area || !vm->mode->from_log)
		return -EINVAL;
	samsara_sets_want(vm, commit);
	/* Who finds that the next commit may not begin must not miss the wake-up. */
	mutex_lock(&vm->commit_lock);
	WRITE_ONCE(vm->replay.pause_at, commit);
	WRITE_ONCE(vm->replay.pauses, vm->replay.pauses + 1);
	mutex_unlock(&vm->commit_lock);
	wake_up_all(&vm->wq);
	return 0;
}

static int set_debug(struct samsara_vm *vm, const void __user *uaddr)
{
	if (!vm->mode || !vm->mode->from_log)
		return -EINVAL;
	return samsara_debug_set(vm, uaddr);
}

/* Where a replay begins that has not been started. */
static int set_resume(struct samsara_vm *vm, const struct kvm_device_attr *attr)
{
	void __user *uaddr = u64_to_user_ptr(attr->addr);

	if (!vm->rings_area || !vm->mode->from_log)
		return -EINVAL;
	if (attr->group == KVM_SAMSARA_GRP_PROGRESS)
		return samsara_progress_set(vm, attr->attr, uaddr);
	return attr->attr ? -ENXIO : samsara_slots_set(vm, uaddr);
}

/* What there is of one that has. */
static int get_replayed(struct samsara_vm *vm, const struct kvm_device_attr *attr)
{
	void __user *uaddr = u64_to_user_ptr(attr->addr);

	/* Pairs with samsara_start(), as in set_dma(). */
	if (smp_load_acquire(&vm->state) == KVM_SAMSARA_STATE_IDLE || !vm->mode->from_log)
		return -ENODATA;
	if (attr->group == KVM_SAMSARA_GRP_PROGRESS)
		return samsara_progress_get(vm, attr->attr, uaddr);
	if (attr->group == KVM_SAMSARA_GRP_PLACE)
		return samsara_debug_get(vm, attr->attr, uaddr);
	if (attr->attr)
		return -ENXIO;
	if (attr->group == KVM_SAMSARA_GRP_SLOTS)
		return samsara_slots_get(vm, uaddr);
	return attr->group == KVM_SAMSARA_GRP_SETS ? samsara_sets_get(vm, uaddr) :
						     samsara_changed_get(vm, uaddr);
}

static int get_hot(struct samsara_vm *vm, u64 id, void __user *uaddr)
{
	/* Pairs with samsara_start(), as in set_dma(). */
	if (smp_load_acquire(&vm->state) == KVM_SAMSARA_STATE_IDLE)
		return -ENODATA;
	return samsara_hot_get(vm, id, uaddr);
}

/* Without config_lock: a recording that waits for room must not block them. */
static bool is_ordered(u32 group)
{
	return group == KVM_SAMSARA_GRP_DMA || group == KVM_SAMSARA_GRP_MAP ||
	       group == KVM_SAMSARA_GRP_STATE;
}

/* What becomes a commit. */
static int set_ordered(struct samsara_vm *vm, const struct kvm_device_attr *attr)
{
	void __user *uaddr = u64_to_user_ptr(attr->addr);

	switch (attr->group) {
	case KVM_SAMSARA_GRP_DMA:
		return attr->attr ? -ENXIO : set_dma(vm, uaddr);
	case KVM_SAMSARA_GRP_MAP:
		return set_map(vm, attr->attr);
	default:
		return set_state(vm, attr->attr, uaddr);
	}
}

static int samsara_device_set_attr(struct kvm_device *dev, struct kvm_device_attr *attr)
{
	void __user *uaddr = u64_to_user_ptr(attr->addr);
	struct samsara_vm *vm = dev->private;
	int r = -ENXIO;

	if (attr->flags)
		return -EINVAL;
	if (is_ordered(attr->group)) {
		down_read(&vm->in_use);
		r = set_ordered(vm, attr);
		up_read(&vm->in_use);
		return r;
	}
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
	else if (attr->group == KVM_SAMSARA_GRP_RAM && !attr->attr)
		r = set_ram(vm, uaddr);
	else if (attr->group == KVM_SAMSARA_GRP_PAUSE && !attr->attr)
		r = set_pause(vm, uaddr);
	else if (attr->group == KVM_SAMSARA_GRP_DEBUG && !attr->attr)
		r = set_debug(vm, uaddr);
	else if (attr->group == KVM_SAMSARA_GRP_PROGRESS || attr->group == KVM_SAMSARA_GRP_SLOTS)
		r = set_resume(vm, attr);
	mutex_unlock(&vm->config_lock);
	return r;
}

static int samsara_device_get_attr(struct kvm_device *dev, struct kvm_device_attr *attr)
{
	void __user *uaddr = u64_to_user_ptr(attr->addr);
	struct samsara_vm *vm = dev->private;
	int r = -ENXIO;

	if (attr->flags)
		return -EINVAL;
	if (attr->group == KVM_SAMSARA_GRP_TUNABLE)
		return get_tunable(vm, attr->attr, uaddr);
	down_read(&vm->in_use);
	if (attr->group == KVM_SAMSARA_GRP_STATE)
		r = get_state(vm, attr->attr, uaddr);
	else if (attr->group == KVM_SAMSARA_GRP_HOT)
		r = get_hot(vm, attr->attr, uaddr);
	else if (attr->group >= KVM_SAMSARA_GRP_PLACE && attr->group <= KVM_SAMSARA_GRP_SETS)
		r = get_replayed(vm, attr);
	else if (attr->group == KVM_SAMSARA_GRP_STATUS && !attr->attr)
		r = get_status(vm, uaddr);
	up_read(&vm->in_use);
	return r;
}

static int samsara_device_has_attr(struct kvm_device *dev, struct kvm_device_attr *attr)
{
	struct samsara_vm *vm = dev->private;
	u64 value;

	switch (attr->group) {
	case KVM_SAMSARA_GRP_CONFIG:
	case KVM_SAMSARA_GRP_STATUS:
	case KVM_SAMSARA_GRP_DMA:
	case KVM_SAMSARA_GRP_RAM:
	case KVM_SAMSARA_GRP_PAUSE:
	case KVM_SAMSARA_GRP_DEBUG:
	case KVM_SAMSARA_GRP_SLOTS:
	case KVM_SAMSARA_GRP_CHANGED:
	case KVM_SAMSARA_GRP_SETS:
		return attr->attr ? -ENXIO : 0;
	case KVM_SAMSARA_GRP_MAP:
		return attr->attr > KVM_SAMSARA_MAP_END ? -ENXIO : 0;
	case KVM_SAMSARA_GRP_STATE:
	case KVM_SAMSARA_GRP_PLACE:
	case KVM_SAMSARA_GRP_HOT:
		return attr->attr >= MAX_VCPUS ? -ENXIO : 0;
	case KVM_SAMSARA_GRP_PROGRESS:
		return attr->attr > MAX_VCPUS ? -ENXIO : 0;
	case KVM_SAMSARA_GRP_CTRL:
		return attr->attr > KVM_SAMSARA_CTRL_CLEAR ? -ENXIO : 0;
	case KVM_SAMSARA_GRP_TUNABLE:
		return samsara_tunable_get(&vm->tune, attr->attr, &value);
	default:
		return -ENXIO;
	}
}

/* The rings may be written by user space, the order of commits only read. */
static int check_mapping(struct samsara_vm *vm, struct vm_area_struct *vma)
{
	unsigned long offset = vma->vm_pgoff << PAGE_SHIFT;
	unsigned long size = vma->vm_end - vma->vm_start;

	if (vma->vm_pgoff >= ULONG_MAX >> PAGE_SHIFT || offset % vm->ring_stride)
		return -EINVAL;
	if (offset / vm->ring_stride <= vm->nr_vcpus)
		return size == vm->ring_stride ? 0 : -EINVAL;
	if (offset / vm->ring_stride > vm->nr_vcpus + 1 || size != order_bytes(vm->nr_vcpus))
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE)
		return -EACCES;
	vma->vm_flags &= ~VM_MAYWRITE;
	return 0;
}

/* The pages stay as long as somebody has mapped them. */
static int map_area(struct samsara_vm *vm, struct vm_area_struct *vma)
{
	unsigned long addr;
	void *area;
	int r;

	/* Pairs with set_config(): the sizes are there. */
	area = smp_load_acquire(&vm->rings_area);
	if (!area)
		return -ENXIO;
	r = check_mapping(vm, vma);
	if (r)
		return r;
	vma->vm_flags |= VM_DONTEXPAND | VM_DONTDUMP;
	area += vma->vm_pgoff << PAGE_SHIFT;
	for (addr = vma->vm_start; !r && addr < vma->vm_end; addr += PAGE_SIZE, area += PAGE_SIZE)
		r = vm_insert_page(vma, addr, vmalloc_to_page(area));
	return r;
}

static int samsara_device_mmap(struct kvm_device *dev, struct vm_area_struct *vma)
{
	struct samsara_vm *vm = dev->private;
	int r;

	/* mmap_lock comes after in_use elsewhere, and is held here. */
	if (!down_read_trylock(&vm->in_use))
		return -EBUSY;
	r = map_area(vm, vma);
	up_read(&vm->in_use);
	return r;
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
	init_rwsem(&vm->in_use);
	mutex_init(&vm->config_lock);
	mutex_init(&vm->commit_lock);
	spin_lock_init(&vm->pages_lock);
	init_waitqueue_head(&vm->wq);
	INIT_WORK(&vm->fail_work, samsara_fail_work);
	clear(vm);
	dev->private = vm;
	kvm->arch.samsara = vm;
	static_branch_deferred_inc(&kvm_samsara_key);
	return 0;
}

/*
 * With the VM: its vCPUs are gone, and samsara_fail_work(), which has a reference to it,
 * has been done.  Or KVM could not give out the device.
 */
static void samsara_device_destroy(struct kvm_device *dev)
{
	struct samsara_vm *vm = dev->private;

	WRITE_ONCE(dev->kvm->arch.samsara, NULL);
	free_all(vm);
	kfree_rcu(vm, rcu);
	kfree(dev);
	static_branch_slow_dec_deferred(&kvm_samsara_key);
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
	.slots_frozen = samsara_slots_frozen,
	.refuses_vcpus = samsara_refuses_vcpus,
	.refuses_ioctl = samsara_refuses_ioctl,
	.refuses_vm_ioctl = samsara_refuses_vm_ioctl,
};

int samsara_init(void)
{
	int r;

	r = samsara_sysfs_init();
	r = r ?: samsara_fail_init();
	return r ?: kvm_samsara_register(&samsara_ops, &samsara_device_ops);
}

/* Also after samsara_init() has failed half-way. */
void samsara_exit(void)
{
	kvm_samsara_unregister();
	samsara_fail_exit();
	samsara_sysfs_exit();
}
