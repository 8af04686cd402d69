// SPDX-License-Identifier: GPL-2.0
/*
 * Serial recording: one vCPU at a time, in long slices, directly on shared
 * memory.  No copies, no conflicts, no rollbacks; what a multiprocessor guest
 * loses is its processors.
 *
 * Whoever touches guest memory needs the turn: a vCPU for its chunks and for
 * KVM's work on its behalf, a device model for a write.  Turns are a queue; who
 * is at its head has the turn.  A vCPU keeps it from one chunk to the next
 * until its slice is over and someone waits, until it spins or halts, or leaves
 * KVM_RUN.  It holds it from before its first instruction until its commit, so
 * a commit is alone and every earlier one is in memory: the order of commits is
 * the order of execution.
 *
 * A parallel recording may have phases of it, see phase.c.
 */
#include "samsara.h"

void samsara_turns_init(struct samsara_vm *vm)
{
	spin_lock_init(&vm->turns_lock);
	INIT_LIST_HEAD(&vm->turns);
}

static struct samsara_turn *current_turn(struct samsara_vm *vm)
{
	lockdep_assert_held(&vm->turns_lock);
	return list_first_entry_or_null(&vm->turns, struct samsara_turn, link);
}

/* Under the lock: then all that the one before has written is there. */
static bool has_turn(struct samsara_vm *vm, struct samsara_turn *turn)
{
	bool ret;

	spin_lock(&vm->turns_lock);
	ret = current_turn(vm) == turn;
	spin_unlock(&vm->turns_lock);
	return ret;
}

static void enqueue(struct samsara_vm *vm, struct samsara_turn *turn, bool urgent)
{
	struct samsara_turn *now;

	spin_lock(&vm->turns_lock);
	now = current_turn(vm);
	if (list_empty(&turn->link)) {
		/* Urgent: the next one. */
		list_add_tail(&turn->link, urgent && now ? now->link.next : &vm->turns);
		turn->slice_tsc = rdtsc();
	}
	if (urgent && now && now->sv) {
		WRITE_ONCE(now->give_up, true);
		kvm_make_request(KVM_REQ_SAMSARA, now->sv->vcpu);
		kvm_vcpu_kick(now->sv->vcpu);
	}
	spin_unlock(&vm->turns_lock);
}

static void dequeue(struct samsara_vm *vm, struct samsara_turn *turn)
{
	struct samsara_turn *now;

	spin_lock(&vm->turns_lock);
	list_del_init(&turn->link);
	WRITE_ONCE(turn->give_up, false);
	now = current_turn(vm);
	if (now)
		now->slice_tsc = rdtsc();
	spin_unlock(&vm->turns_lock);
	wake_up_all(&vm->wq);
}

/* May the owner of the turn touch guest memory under commit_lock? */
bool samsara_may_touch_memory(struct samsara_vm *vm, struct samsara_turn *turn)
{
	return !samsara_serial(vm) || has_turn(vm, turn);
}

/* ... or begin a chunk? */
static bool may_begin(struct samsara_vcpu *sv)
{
	return READ_ONCE(sv->vm->phase) != SAMSARA_CHANGING &&
	       samsara_may_touch_memory(sv->vm, &sv->turn);
}

static void queue_up(struct samsara_vcpu *sv)
{
	enqueue(sv->vm, &sv->turn, false);
	/* Or who has the turn would wait for us at its commit. */
	samsara_release_exclusive(sv);
	/* Who changes the phase waits for us to be here. */
	wake_up_all(&sv->vm->wq);
}

/*
 * A vCPU at a boundary; does nothing if vCPUs run in parallel.  Returns 0, or -EINTR
 * if a signal came; without the turn if the recording or the serial phase has ended.
 */
int samsara_take_turn(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	if (may_begin(sv))
		return 0;
	queue_up(sv);
	if (samsara_wait_interrupted(sv, may_begin(sv) || !samsara_recording(vm))) {
		dequeue(vm, &sv->turn);
		return -EINTR;
	}
	if (!samsara_serial(vm))
		samsara_give_turn(sv);
	return 0;
}

/* As samsara_take_turn(), for a section that can't be put off any more. */
void samsara_wait_turn(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	queue_up(sv);
	kvm_vcpu_srcu_read_unlock(sv->vcpu);
	wait_event(vm->wq, samsara_may_touch_memory(vm, &sv->turn) || !samsara_recording(vm));
	kvm_vcpu_srcu_read_lock(sv->vcpu);
	if (!samsara_serial(vm))
		samsara_give_turn(sv);
}

/* Outside chunks and sections. */
void samsara_give_turn(struct samsara_vcpu *sv)
{
	/* Or it would give the next one up before it has run. */
	sv->spinning = false;
	/* Only the vCPU itself queues it. */
	if (!list_empty(&sv->turn.link))
		dequeue(sv->vm, &sv->turn);
}

bool samsara_someone_waits(struct samsara_vcpu *sv)
{
	return READ_ONCE(sv->turn.link.next) != &sv->vm->turns;
}

/* Must the vCPU, which has the turn, give it up at the next boundary? */
bool samsara_turn_is_over(struct samsara_vcpu *sv)
{
	u64 slice = sv->vm->tune.serial_slice_us * tsc_khz / 1000;

	return READ_ONCE(sv->turn.give_up) ||
	       (samsara_someone_waits(sv) && (sv->spinning || rdtsc() - sv->turn.slice_tsc > slice));
}

/* The turn of a device model's write, ahead of all vCPUs; or whatever it needs else. */
void samsara_borrow_turn(struct samsara_vm *vm, struct samsara_turn *turn)
{
	INIT_LIST_HEAD(&turn->link);
	turn->sv = NULL;
	if (samsara_crew(vm))
		samsara_crew_stop_world(vm);
	if (!samsara_serial(vm))
		return;
	enqueue(vm, turn, true);
	wait_event(vm->wq, samsara_may_touch_memory(vm, turn) || !samsara_recording(vm));
}

void samsara_return_turn(struct samsara_vm *vm, struct samsara_turn *turn)
{
	if (samsara_crew(vm))
		samsara_crew_start_world(vm);
	if (!list_empty(&turn->link))
		dequeue(vm, turn);
}
