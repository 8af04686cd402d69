// SPDX-License-Identifier: GPL-2.0
/*
 * Places where a replay may be left, and another one begin.
 *
 * Between two commits, where no vCPU has a chunk open or an exit to finish, the state of a
 * replay is: guest memory and where it is in the guest's address space, the vCPUs' registers,
 * and, for each stream, how far it was read and what its commits have come to.  User space
 * has the first and can read and set the second; this file is about the rest, and about which
 * pages have changed, so that not all of them have to be kept.
 *
 * What user space sets is its own business, as memory and registers are: what does not
 * belong together diverges.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "arch.h"
#include "checkpoint.h"
#include "map.h"
#include "memory.h"
#include "position.h"
#include "samsara.h"

/* No recording has so many. */
#define MAX_COMMIT	(U64_MAX / 2)

static void reading_now(const struct samsara_ring *ring, const struct smr_stream *stream,
			const struct samsara_reading *before, bool have_rec,
			struct samsara_reading *now)
{
	if (have_rec) {
		*now = *before;
	} else {
		now->pos = ring->pos;
		now->stream = *stream;
	}
}

static void put_reading(struct samsara_vm *vm, u64 stream, const struct samsara_reading *reading,
			struct kvm_samsara_progress *progress)
{
	u64 base = vm->resume.progress ? vm->resume.progress[stream].offset : 0;

	progress->offset = base + reading->pos;
	progress->commit_seq = reading->stream.commit_seq;
	progress->branches = reading->stream.branches;
	progress->jumps = reading->stream.jumps;
	progress->tsc = reading->stream.tsc;
}

/* Under vcpu->mutex. */
static int vcpu_progress(struct samsara_vcpu *sv, struct kvm_samsara_progress *progress)
{
	struct samsara_reading reading;

	if (sv->state != SAMSARA_AT_BOUNDARY || sv->vcpu->arch.complete_userspace_io)
		return -EBUSY;
	reading_now(&sv->ring, &sv->progress.stream, &sv->replay.before, sv->replay.have_rec,
		    &reading);
	put_reading(sv->vm, sv->id, &reading, progress);
	progress->chain = sv->progress.chain;
	progress->state_digest = sv->progress.state_digest;
	progress->last_tsc = sv->progress.last_tsc;
	samsara_regs_get_hidden(sv->vcpu, progress);
	progress->last_commit = sv->debug.last_commit;
	progress->last_type = sv->debug.last_type;
	progress->last_end = sv->debug.last_end;
	progress->last_chunk = sv->debug.last_chunk;
	samsara_position_put(&progress->last_pos, &sv->debug.last_pos);
	return 0;
}

static int vm_progress(struct samsara_vm *vm, struct kvm_samsara_progress *progress)
{
	struct samsara_reading reading;
	int r = -EBUSY;

	mutex_lock(&vm->commit_lock);
	if (!vm->replay.runner && samsara_alive(vm)) {
		reading_now(&vm->vm_ring, &vm->vm_stream, &vm->replay.before, vm->replay.have_rec,
			    &reading);
		put_reading(vm, vm->nr_vcpus, &reading, progress);
		progress->done = vm->replay.done;
		r = 0;
	}
	mutex_unlock(&vm->commit_lock);
	return r;
}

/*
 * Returns 0; -EBUSY: the vCPU is in KVM_RUN or another ioctl, or a chunk or an exit is not
 * over, or the replay is; -ENXIO: no such stream; -EFAULT.
 */
int samsara_progress_get(struct samsara_vm *vm, u64 stream,
			 struct kvm_samsara_progress __user *uaddr)
{
	struct kvm_samsara_progress progress = {};
	struct samsara_vcpu *sv;
	int r;

	if (stream > vm->nr_vcpus)
		return -ENXIO;
	if (stream == vm->nr_vcpus) {
		r = vm_progress(vm, &progress);
	} else {
		sv = vm->vcpus[stream];
		if (!mutex_trylock(&sv->vcpu->mutex))
			return -EBUSY;
		r = vcpu_progress(sv, &progress);
		mutex_unlock(&sv->vcpu->mutex);
	}
	if (r)
		return r;
	return copy_to_user(uaddr, &progress, sizeof(progress)) ? -EFAULT : 0;
}

/* Before START.  Returns 0; -EBUSY: started; -ENXIO: no such stream; -EINVAL; -ENOMEM; -EFAULT. */
int samsara_progress_set(struct samsara_vm *vm, u64 stream,
			 const struct kvm_samsara_progress __user *uaddr)
{
	struct samsara_resume *resume = &vm->resume;
	struct kvm_samsara_progress progress;
	int i;

	lockdep_assert_held(&vm->config_lock);
	if (vm->started)
		return -EBUSY;
	if (stream > vm->nr_vcpus)
		return -ENXIO;
	if (copy_from_user(&progress, uaddr, sizeof(progress)))
		return -EFAULT;
	for (i = 0; i < ARRAY_SIZE(progress.reserved); i++)
		if (progress.reserved[i])
			return -EINVAL;
	if (progress.done > MAX_COMMIT || progress.commit_seq > MAX_COMMIT)
		return -EINVAL;
	if (!resume->progress)
		resume->progress = kcalloc(vm->nr_vcpus + 1, sizeof(progress), GFP_KERNEL_ACCOUNT);
	if (!resume->progress)
		return -ENOMEM;
	resume->progress[stream] = progress;
	return 0;
}

/* Returns 0; -ENODATA: there is no map; -ENOMEM; -EFAULT. */
int samsara_slots_get(struct samsara_vm *vm, struct kvm_samsara_slots __user *uaddr)
{
	struct kvm_samsara_slots *slots;
	const struct samsara_map *map;
	u32 i;
	int r;

	slots = kzalloc(sizeof(*slots), GFP_KERNEL_ACCOUNT);
	if (!slots)
		return -ENOMEM;
	/* A new map takes the place of the old one under it. */
	mutex_lock(&vm->commit_lock);
	map = vm->memory.map;
	for (i = 0; map && i < map->nr_slots; i++)
		slots->slot[i] = (struct kvm_samsara_slot) {
			.gpa = gfn_to_gpa(map->slots[i].base),
			.size = map->slots[i].npages << PAGE_SHIFT,
			.ram = map->slots[i].pages->ram << PAGE_SHIFT,
			.flags = map->slots[i].readonly ? KVM_SAMSARA_SLOT_READONLY : 0,
		};
	slots->nr = i;
	mutex_unlock(&vm->commit_lock);
	r = !map ? -ENODATA : copy_to_user(uaddr, slots, sizeof(*slots)) ? -EFAULT : 0;
	kfree(slots);
	return r;
}

/* As the data of a record, which is checked as that one is when it is used. */
static int put_slots(struct samsara_resume *resume, const struct kvm_samsara_slots *slots)
{
	struct smr_buf b = { .p = resume->slots, .size = sizeof(resume->slots) };
	u32 i;

	if (!slots->nr || slots->nr > KVM_SAMSARA_MAX_SLOTS || slots->reserved)
		return -EINVAL;
	for (i = 0; i < slots->nr; i++) {
		if (slots->slot[i].flags & ~KVM_SAMSARA_SLOT_READONLY)
			return -EINVAL;
		smr_put_slot(&b, &(struct smr_slot) {
			.gpa = slots->slot[i].gpa,
			.size = slots->slot[i].size,
			.ram = slots->slot[i].ram,
			.readonly = slots->slot[i].flags & KVM_SAMSARA_SLOT_READONLY,
		});
	}
	resume->slots_len = b.len;
	return 0;
}

/* Before START.  Returns 0; -EBUSY: started; -EINVAL; -ENOMEM; -EFAULT. */
int samsara_slots_set(struct samsara_vm *vm, const struct kvm_samsara_slots __user *uaddr)
{
	struct kvm_samsara_slots *slots;
	int r;

	lockdep_assert_held(&vm->config_lock);
	if (vm->started)
		return -EBUSY;
	slots = memdup_user(uaddr, sizeof(*slots));
	if (IS_ERR(slots))
		return PTR_ERR(slots);
	r = put_slots(&vm->resume, slots);
	kfree(slots);
	return r;
}

/* The pages of a block from @first on that have changed since @since, as bits. */
static void find_changed(const struct samsara_block *block, u64 first, u64 npages, u64 since,
			 unsigned long *bits)
{
	u64 i;

	for (i = 0; i < npages; i++) {
		if (smr_page_stale(&block->pages[first + i].meta, since))
			__set_bit(i, bits);
		if (!(i % 4096))
			cond_resched();
	}
}

/* Returns 0, or -EBUSY: a chunk is open on memory itself, and what it writes is in no commit. */
static int note_written(struct samsara_vm *vm)
{
	int r = 0;

	mutex_lock(&vm->commit_lock);
	if (vm->replay.runner && samsara_alive(vm))
		r = -EBUSY;
	else
		samsara_ept_note_replayed(vm, vm->replay.done);
	mutex_unlock(&vm->commit_lock);
	return r;
}

/*
 * Returns 0; -EINVAL: not pages of one block; -EOPNOTSUPP: what has changed is not known;
 * -EBUSY: nothing is replayed, or a commit is being done; -ENOMEM; -EFAULT.
 */
int samsara_changed_get(struct samsara_vm *vm, const struct kvm_samsara_changed __user *uaddr)
{
	struct kvm_samsara_changed changed;
	const struct samsara_block *block;
	unsigned long *bits;
	u64 first;
	int r = 0;

	if (copy_from_user(&changed, uaddr, sizeof(changed)))
		return -EFAULT;
	if (!samsara_alive(vm) && READ_ONCE(vm->state) != KVM_SAMSARA_STATE_DIVERGED)
		return -EBUSY;
	if (READ_ONCE(vm->digest_off))
		return -EOPNOTSUPP;
	if (offset_in_page(changed.ram) || !changed.npages)
		return -EINVAL;
	block = samsara_block_of_ram(vm, changed.ram >> PAGE_SHIFT);
	if (!block)
		return -EINVAL;
	first = (changed.ram >> PAGE_SHIFT) - block->ram;
	if (changed.npages > block->npages - first)
		return -EINVAL;
	r = note_written(vm);
	if (r)
		return r;
	bits = __vcalloc(BITS_TO_LONGS(changed.npages), sizeof(long), SAMSARA_GFP_LARGE);
	if (!bits)
		return -ENOMEM;
	find_changed(block, first, changed.npages, changed.since, bits);
	if (copy_to_user(u64_to_user_ptr(changed.uaddr), bits,
			 BITS_TO_LONGS(changed.npages) * sizeof(long)))
		r = -EFAULT;
	vfree(bits);
	return r;
}

/*
 * START: memory is where it was.  All RAM is pinned, and the caller may change KVM's slots.
 * Returns 0 or an error of samsara_map_from_log() and samsara_map_to_kvm().
 */
int samsara_resume_slots(struct samsara_vm *vm)
{
	struct smr_record rec = {
		.type = SMR_MAP,
		.commit_seq = 1,
		.data = vm->resume.slots,
		.data_len = vm->resume.slots_len,
	};
	struct samsara_map *map;
	int r;

	lockdep_assert_held(&vm->kvm->slots_lock);
	if (!rec.data_len)
		return 0;
	map = samsara_map_from_log(vm, &rec);
	if (IS_ERR(map))
		return PTR_ERR(map);
	WRITE_ONCE(vm->remap.changer, current);
	r = samsara_map_to_kvm(vm, map);
	WRITE_ONCE(vm->remap.changer, NULL);
	kfree(map);
	return r;
}

/* START: the vCPU's stream goes on where it was left. */
void samsara_resume_vcpu(struct samsara_vcpu *sv)
{
	const struct kvm_samsara_progress *progress;

	if (!sv->vm->resume.progress)
		return;
	progress = &sv->vm->resume.progress[sv->id];
	sv->progress.stream.commit_seq = progress->commit_seq;
	sv->progress.stream.branches = progress->branches;
	sv->progress.stream.jumps = progress->jumps;
	sv->progress.stream.tsc = progress->tsc;
	sv->progress.chain = progress->chain;
	sv->progress.state_digest = progress->state_digest;
	sv->progress.last_tsc = progress->last_tsc;
	sv->debug.last_commit = progress->last_commit;
	sv->debug.last_type = progress->last_type;
	sv->debug.last_end = progress->last_end;
	sv->debug.last_chunk = progress->last_chunk;
	samsara_position_get(&sv->debug.last_pos, &progress->last_pos);
}

/* Behind what user space has set: with vcpu->mutex, and vm->vcpus[] is there. */
void samsara_resume_regs(struct samsara_vcpu *sv)
{
	if (sv->vm->resume.progress)
		samsara_regs_set_hidden(sv->vcpu, &sv->vm->resume.progress[sv->id]);
}

void samsara_resume_vm(struct samsara_vm *vm)
{
	const struct kvm_samsara_progress *progress;

	if (!vm->resume.progress)
		return;
	progress = &vm->resume.progress[vm->nr_vcpus];
	vm->vm_stream.commit_seq = progress->commit_seq;
	vm->vm_stream.branches = progress->branches;
	vm->vm_stream.jumps = progress->jumps;
	vm->vm_stream.tsc = progress->tsc;
	vm->replay.done = progress->done;
}
