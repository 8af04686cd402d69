// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of the memory map: commits of their own, by the device models' agent.
 *
 * User space changes several slots of KVM's for one change that the guest sees, and KVM
 * removes a slot before it adds another one in its place.  So the world stands still from
 * the first to the last of them:
 *
 * - samsara_remap_begin() sets `changing` under commit_lock, which a section holds from its
 *   first to its last access: those that began before are over, and no other begins.  Then
 *   it brings every vCPU to a boundary, as STOP does, and none leaves it for a chunk.
 *   Nobody waits with kvm->srcu held, for which KVM waits when it removes a slot, nor with
 *   the exclusive token, for which the commit would.
 * - samsara_remap_end() takes a number, puts the new map in the place of the old one, logs
 *   it, and lets the world go on.  Every chunk and section has its number either before,
 *   and has seen the old map only, or after, and sees the new one only.
 * - Each vCPU finds before its next chunk that its EPTs are for another version of the map,
 *   and makes them anew.  It has no chunk open, so its copies equal their originals, or are
 *   stale, and nothing is lost with them.
 *
 * Device models write to RAM addresses: to them the map is nothing.
 *
 * Replay does the same at the same number, when every commit before is done and none after
 * has begun; it changes KVM's slots itself.
 */
#include <linux/sched/signal.h>

#include "contended.h"
#include "copies.h"
#include "ept.h"
#include "log.h"
#include "map.h"
#include "memory.h"
#include "order.h"
#include "remap.h"
#include "ring.h"
#include "samsara.h"
#include "trace.h"
#include "vm.h"

/* Longest record of a change. */
#define RECORD_BYTES	(SMR_MAX_SLOTS * SMR_SLOT_BYTES + 64)

/* KVM's slots can't change now, but by the thread that changes the map. */
bool samsara_slots_frozen(struct kvm *kvm)
{
	struct samsara_vm *vm;
	bool changer;

	/* As in samsara_frozen(): the device may just be given up. */
	rcu_read_lock();
	vm = READ_ONCE(kvm->arch.samsara);
	changer = vm && READ_ONCE(vm->remap.changer) == current;
	rcu_read_unlock();
	return !changer && samsara_frozen(kvm);
}

static void go_on(struct samsara_vm *vm)
{
	WRITE_ONCE(vm->remap.changer, NULL);
	mutex_lock(&vm->commit_lock);
	WRITE_ONCE(vm->remap.changing, false);
	mutex_unlock(&vm->commit_lock);
	wake_up_all(&vm->wq);
}

/*
 * Without locks; no vCPU's thread in KVM_RUN.  Returns 0; -ESHUTDOWN: nothing is recorded
 * any more; -EBUSY; -EOPNOTSUPP: not in this mode; -EINTR: the caller is killed.
 */
int samsara_remap_begin(struct samsara_vm *vm)
{
	int r = 0;

	if (!vm->mode->can_remap)
		return -EOPNOTSUPP;
	mutex_lock(&vm->commit_lock);
	if (!samsara_recording(vm) || READ_ONCE(vm->stopping))
		r = -ESHUTDOWN;
	else if (vm->remap.changing)
		r = -EBUSY;
	else
		WRITE_ONCE(vm->remap.changing, true);
	mutex_unlock(&vm->commit_lock);
	if (r)
		return r;
	r = samsara_bring_to_boundary(vm);
	if (r)
		go_on(vm);
	else
		WRITE_ONCE(vm->remap.changer, current);
	return r;
}

/* Under commit_lock, every vCPU at a boundary.  Returns the old map, to be freed. */
static struct samsara_map *replace_map(struct samsara_vm *vm, struct samsara_map *map)
{
	struct samsara_map *old = vm->memory.map;

	lockdep_assert_held(&vm->commit_lock);
	/* Pairs with samsara_map(). */
	smp_store_release(&vm->memory.map, map);
	/* The map before the version: pairs with samsara_follow_map(). */
	smp_store_release(&vm->remap.version, vm->remap.version + 1);
	return old;
}

/* Threads in KVM_RUN may look at it; this one is not there, or has given up kvm->srcu. */
static void free_old(struct samsara_vm *vm, struct samsara_map *old)
{
	synchronize_srcu_expedited(&vm->kvm->srcu);
	kfree(old);
}

static int log_map(struct samsara_vm *vm, struct samsara_map *map)
{
	u32 agent = samsara_dma_agent(vm);
	struct smr_record rec = { .type = SMR_MAP };
	struct smr_buf data = { .p = vm->remap.bytes, .size = sizeof(vm->remap.bytes) };

	samsara_map_put(map, &data);
	rec.data = data.p;
	rec.data_len = data.len;
	rec.commit_seq = smr_order_commit(vm->order, agent);
	samsara_wait_for_earlier(vm, agent, rec.commit_seq);
	/* The EPTs are for the map as it was. */
	samsara_ept_note_turns(vm);
	samsara_maybe_add_memdigest(vm, &rec, agent);
	smr_order_published(vm->order, agent);
	trace_kvm_samsara_map(rec.commit_seq, map->nr_slots);
	return samsara_log_vm_record(vm, &rec);
}

static int try_lock_for_change(struct samsara_vm *vm, struct samsara_ring *ring, u32 bytes)
{
	int r = samsara_lock_commit(vm, NULL);

	if (r)
		return r;
	if (!samsara_recording(vm) || READ_ONCE(vm->stopping))
		r = -ESHUTDOWN;
	else if (samsara_ring_space(ring) < bytes)
		r = -EAGAIN;
	if (r)
		mutex_unlock(&vm->commit_lock);
	return r;
}

/*
 * With commit_lock, and room for the record.  Returns 0; -ESHUTDOWN: nothing is recorded any
 * more; -EINTR.
 */
int samsara_lock_for_change(struct samsara_vm *vm, struct samsara_ring *ring, u32 bytes)
{
	int r;

	do {
		r = samsara_wait_space(vm, ring, bytes);
		r = r ?: try_lock_for_change(vm, ring, bytes);
	} while (r == -EAGAIN);
	return r;
}

/* *map: what KVM's slots say; then the old map, or what has not become the new one. */
static int commit_map(struct samsara_vm *vm, struct samsara_map **map)
{
	int r = samsara_lock_for_change(vm, &vm->vm_ring, RECORD_BYTES);

	if (r)
		return r;
	r = log_map(vm, *map);
	*map = replace_map(vm, *map);
	mutex_unlock(&vm->commit_lock);
	return r;
}

/*
 * By the thread that has called samsara_remap_begin().  Returns 0; -EINVAL: it has not;
 * -EINTR: to be called again; or an errno, and then the recording ends, if it has not
 * ended before.
 */
int samsara_remap_end(struct samsara_vm *vm)
{
	struct samsara_map *map;
	int r;

	if (READ_ONCE(vm->remap.changer) != current)
		return -EINVAL;
	/* The slots stay as they are: only this thread may change them. */
	mutex_lock(&vm->kvm->slots_lock);
	map = samsara_map_from_kvm(vm);
	mutex_unlock(&vm->kvm->slots_lock);
	r = PTR_ERR_OR_ZERO(map);
	r = r ?: commit_map(vm, &map);
	if (r == -EINTR) {
		kfree(map);
		return r;
	}
	if (r && r != -ESHUTDOWN)
		samsara_fail(vm, r, "the changed memory map can't be recorded");
	go_on(vm);
	if (!IS_ERR(map))
		free_old(vm, map);
	return r;
}

/*
 * The commit in @rec is next, and nobody else does it.  By a vCPU's thread, without kvm->srcu.
 * Returns 0; -EBADMSG, -EFAULT, -EOPNOTSUPP, -E2BIG: nothing that could have been recorded;
 * or what KVM says.
 */
int samsara_remap_replay(struct samsara_vm *vm, const struct smr_record *rec)
{
	struct samsara_map *map = samsara_map_from_log(vm, rec);
	int r;

	if (IS_ERR(map))
		return PTR_ERR(map);
	mutex_lock(&vm->kvm->slots_lock);
	WRITE_ONCE(vm->remap.changer, current);
	r = samsara_map_to_kvm(vm, map);
	WRITE_ONCE(vm->remap.changer, NULL);
	mutex_unlock(&vm->kvm->slots_lock);
	if (!r) {
		mutex_lock(&vm->commit_lock);
		map = replace_map(vm, map);
		mutex_unlock(&vm->commit_lock);
		trace_kvm_samsara_map(rec->commit_seq, vm->memory.map->nr_slots);
	}
	free_old(vm, map);
	return r;
}

static bool may_go_on(struct samsara_vm *vm)
{
	return !samsara_map_changes(vm) || !samsara_recording(vm) || READ_ONCE(vm->stopping);
}

/* A vCPU at a boundary, before its next chunk.  Returns 0, or -EINTR if a signal came. */
int samsara_wait_for_map(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	if (likely(may_go_on(vm)))
		return 0;
	samsara_release_exclusive(sv);
	/* samsara_remap_begin() waits for us to be here. */
	wake_up_all(&vm->wq);
	return samsara_wait_interrupted(sv, may_go_on(vm)) ? -EINTR : 0;
}

/*
 * The same, for a section that is not put off for a signal any more, and goes on when the
 * recording has ended.  Returns 0, or -EINTR if the vCPU's thread is killed.
 */
int samsara_wait_for_map_killable(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	int r;

	samsara_release_exclusive(sv);
	wake_up_all(&vm->wq);
	kvm_vcpu_srcu_read_unlock(sv->vcpu);
	r = wait_event_killable(vm->wq, !samsara_map_changes(vm) || !samsara_recording(vm));
	kvm_vcpu_srcu_read_lock(sv->vcpu);
	return r ? -EINTR : 0;
}

/*
 * A serial phase begins with this, too, for all vCPUs, and samsara_ept_note_turns() looks at
 * all: hence the lock.  One that was done for an older map is done again.
 */
static int map_direct(struct samsara_vcpu *sv)
{
	bool complete = sv->direct.complete;

	lockdep_assert_held(&sv->vm->remap.ept_lock);
	samsara_ept_free(&sv->direct);
	return complete ? samsara_ept_map_all(&sv->direct, sv->vm) : 0;
}

/* A vCPU at a boundary: its EPTs are for the memory map as it is now.  Returns 0 or -ENOMEM. */
int samsara_follow_map(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	/* Pairs with replace_map(): the map is as new, or newer, and then we come again. */
	u32 version = smp_load_acquire(&vm->remap.version);
	int r = 0;

	if (likely(sv->map_version == version))
		return 0;
	if (sv->copies.ept.root) {
		samsara_copies_drop_all(&sv->copies);
		samsara_reserve_forget(sv);
		samsara_ept_free(&sv->copies.ept);
		r = samsara_ept_init(&sv->copies.ept);
	}
	mutex_lock(&vm->remap.ept_lock);
	r = r ?: map_direct(sv);
	mutex_unlock(&vm->remap.ept_lock);
	/* Translations of the old tables, some of which may be in use again. */
	sv->flush = true;
	if (!r)
		sv->map_version = version;
	return r;
}
