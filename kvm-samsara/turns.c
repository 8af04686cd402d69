// SPDX-License-Identifier: GPL-2.0
/*
 * Turns, for serial recording (mode_turns.c), and for phases of it (phase.c).
 *
 * Whoever touches guest memory needs the turn: a vCPU for its chunks and for
 * KVM's work on its behalf, a device model for a write.  Turns are a queue; who
 * is at its head has the turn.  A vCPU keeps it from one chunk to the next
 * until its slice is over and someone waits, until it spins or halts, or leaves
 * KVM_RUN.  It holds it from before its first instruction until its commit, so
 * a commit is alone and every earlier one is in memory: the order of commits is
 * the order of execution.
 *
 * Convoys.  If a vCPU loses its turn while it queues for a fair lock, the next one
 * soon queues behind it, and spins; from then on the lock changes hands once a turn,
 * and every turn is short.  It ends when all but one lose their turns where they do
 * not queue.  Where that is nobody can tell, so turns are cut at random, by the VMX
 * preemption timer, which can stop a vCPU a few instructions after it began; replay
 * has the position, as of any other end.  How soon is random, too, as long as it does
 * not help.
 *
 * Races.  Two vCPUs that would run at the same time must be seen to do so, or a race
 * between them is never lost here.  A vCPU that was halted and is woken begins at once, and
 * it and the others have short turns for a while, of random lengths from less than a
 * microsecond on, ended by the preemption timer.  A few come now and then between long
 * ones, too.  What all that may cost is a part of the time, which is
 * saved up for a while.  tune.chaos makes it more.
 */
#include <linux/random.h>

#include "length.h"
#include "order.h"
#include "samsara.h"
#include "turns.h"
#include "vm.h"

/* So many turns in a row, each ended by spinning in this part of a slice, are a convoy. */
#define CONVOY_TURNS		4
#define CONVOY_SLICE_PART	8
/* Short turns: so many after a vCPU was woken; so many by chance, after one of so many. */
#define SHORT_TURNS		64
#define FEW_SHORT_TURNS		8
#define SHORT_EVERY		16
/* They last up to 2^n host cycles, n between these; less with chaos. */
#define SHORT_MIN_ORDER		9
#define SHORT_MAX_ORDER		16
/* And as long as this in any case: samsara_turn_expired() doubles it until it is enough. */
#define LEAST_CYCLES		64
/* The change to another vCPU takes so many host cycles; changes may take one part of the time. */
#define CHANGE_CYCLES		8000
#define CHANGES_PART		6
/* With chaos one turn after others of so many is a long one, which starves the others. */
#define STARVE_EVERY		16
/* With chaos a vCPU overtakes the others that wait for the turn, too, one time of so many. */
#define OVERTAKE_EVERY		4
/* How long a vCPU looks for its turn before it sleeps, host cycles. */
#define SPIN_CYCLES		(1u << 18)
/* Turns are cut after up to 2^n host cycles, n between these. */
#define CUT_MIN_ORDER		7
#define CUT_MAX_ORDER		12

/* There is nothing but turns: mode=serial. */
void samsara_turns_only(struct samsara_vm *vm)
{
	vm->phase = SAMSARA_SERIAL;
}

void samsara_turns_init(struct samsara_vm *vm)
{
	spin_lock_init(&vm->turns.lock);
	INIT_LIST_HEAD(&vm->turns.queue);
	vm->turns.cut_order = CUT_MIN_ORDER;
}

/* START: what is left to chance repeats with the seed, if all the rest does. */
void samsara_turns_seed(struct samsara_vm *vm)
{
	while (!vm->tune.seed)
		vm->tune.seed = get_random_u32();
	prandom_seed_state(&vm->turns.random, vm->tune.seed);
}

static struct samsara_turn *current_turn(struct samsara_vm *vm)
{
	lockdep_assert_held(&vm->turns.lock);
	return list_first_entry_or_null(&vm->turns.queue, struct samsara_turn, link);
}

/* Under the lock: then all that the one before has written is there. */
static bool has_turn(struct samsara_vm *vm, struct samsara_turn *turn)
{
	bool ret;

	spin_lock(&vm->turns.lock);
	ret = current_turn(vm) == turn;
	spin_unlock(&vm->turns.lock);
	return ret;
}

u64 samsara_slice_cycles(struct samsara_vm *vm)
{
	return vm->tune.serial_slice_us * tsc_khz / 1000;
}

static u32 random_below(struct samsara_vm *vm, u32 n)
{
	lockdep_assert_held(&vm->turns.lock);
	return prandom_u32_state(&vm->turns.random) % n;
}

/* The head of the queue ends its turn as soon as it can. */
static void ask_for_turn(struct samsara_turn *now)
{
	WRITE_ONCE(now->give_up, true);
	kvm_make_request(KVM_REQ_SAMSARA, now->sv->vcpu);
	kvm_vcpu_kick(now->sv->vcpu);
}

/* Is there credit for one more change between vCPUs? */
static bool may_change(struct samsara_vm *vm)
{
	struct samsara_turns *turns = &vm->turns;
	u64 now = rdtsc();

	smr_earn(&turns->credit, now - turns->credit_tsc, CHANGES_PART, 1 + 4 * vm->tune.chaos,
		 SHORT_TURNS * CHANGE_CYCLES);
	turns->credit_tsc = now;
	return turns->credit >= CHANGE_CYCLES;
}

/* The vCPU comes into the queue: does it begin at once, if it was halted? */
static bool begins_beside(struct samsara_vm *vm, struct samsara_turn *turn)
{
	bool halted = turn->halted;

	turn->halted = false;
	if (!halted || !may_change(vm))
		return false;
	vm->turns.shorts = SHORT_TURNS;
	return true;
}

/*
 * The same of a vCPU that runs beside others as it is: then all of them have short chunks
 * for a while, which cost about as much as changes between vCPUs would.
 */
void samsara_note_woken(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_turns *turns = &vm->turns;

	if (!sv->turn.halted)
		return;
	spin_lock(&turns->lock);
	if (begins_beside(vm, &sv->turn)) {
		turns->credit -= min_t(u64, turns->credit,
				       SAMSARA_SHORT_CHUNKS * vm->nr_vcpus * CHANGE_CYCLES);
		/* Pairs with samsara_length_next(), which needs no lock. */
		WRITE_ONCE(vm->bursts, vm->bursts + 1);
	}
	spin_unlock(&turns->lock);
}

static void enqueue(struct samsara_vm *vm, struct samsara_turn *turn, bool urgent)
{
	struct samsara_turn *now;
	bool next;

	spin_lock(&vm->turns.lock);
	now = current_turn(vm);
	if (list_empty(&turn->link)) {
		urgent |= begins_beside(vm, turn);
		next = urgent || (vm->tune.chaos && !random_below(vm, OVERTAKE_EVERY));
		list_add_tail(&turn->link, next && now ? now->link.next : &vm->turns.queue);
		turn->slice_tsc = rdtsc();
	}
	if (urgent && now && now->sv)
		ask_for_turn(now);
	spin_unlock(&vm->turns.lock);
}

/*
 * How long others wait for a turn to end, if they do.  Always as long without chaos:
 * threads that meet at barriers keep step then, and wait for each other a tenth less.
 */
static u64 long_turn(struct samsara_vm *vm)
{
	u64 slice = samsara_slice_cycles(vm);

	if (!vm->tune.chaos)
		return slice;
	slice = slice * vm->tune.chaos / 2;
	return slice + mul_u64_u32_shr(slice, prandom_u32_state(&vm->turns.random), 32);
}

/* Are there to be short turns, though nobody was woken? */
static bool begins_shorts(struct samsara_vm *vm)
{
	return vm->tune.chaos ? random_below(vm, STARVE_EVERY) : !random_below(vm, SHORT_EVERY);
}

/* How long the turn that begins may last. */
static void choose_length(struct samsara_vm *vm, struct samsara_turn *turn)
{
	struct samsara_turns *turns = &vm->turns;
	u32 chaos = vm->tune.chaos;

	turn->deadline = 0;
	turn->timed = true;
	turn->cut = turns->cuts;
	if (turn->cut) {
		turn->length = random_below(vm, 1u << turns->cut_order);
		return;
	}
	if (!turns->shorts && begins_shorts(vm))
		turns->shorts = FEW_SHORT_TURNS;
	if (turns->shorts && may_change(vm)) {
		turn->length = LEAST_CYCLES +
			       smr_random_short(prandom_u32_state(&turns->random),
						SHORT_MIN_ORDER - chaos / 2,
						SHORT_MAX_ORDER - chaos);
		return;
	}
	turns->shorts = 0;
	turn->timed = false;
	turn->length = long_turn(vm);
}

/* Cut the turns of all but one: then nobody is queueing any more, with luck. */
static void cut_turns(struct samsara_vm *vm)
{
	struct samsara_turns *turns = &vm->turns;

	if (!turns->cut_helped)
		turns->cut_order = CUT_MIN_ORDER +
				   random_below(vm, CUT_MAX_ORDER - CUT_MIN_ORDER + 1);
	turns->cut_helped = false;
	turns->cuts = vm->nr_vcpus - 1;
	/* Half as many are enough to see that it has not helped. */
	turns->convoy = CONVOY_TURNS / 2;
}

/* The vCPU gives its turn up: is it one of a convoy? */
static void look_for_convoy(struct samsara_vcpu *sv)
{
	u64 short_turn = samsara_slice_cycles(sv->vm) / CONVOY_SLICE_PART;
	struct samsara_vm *vm = sv->vm;

	lockdep_assert_held(&vm->turns.lock);
	if (sv->turn.cut) {
		sv->turn.cut = false;
		vm->turns.cuts--;
	} else if (sv->turn.timed && !sv->chunk.spinning) {
		return;
	} else if (!sv->chunk.spinning || rdtsc() - sv->turn.slice_tsc > short_turn) {
		vm->turns.convoy = 0;
		vm->turns.cut_helped = true;
	} else if (++vm->turns.convoy >= CONVOY_TURNS) {
		cut_turns(vm);
	}
}

/* The vCPU's turn begins, for which it has waited so long. */
static void begin_turn(struct samsara_vcpu *sv, u64 waited)
{
	spin_lock(&sv->vm->turns.lock);
	choose_length(sv->vm, &sv->turn);
	sv->turn.waited = waited;
	spin_unlock(&sv->vm->turns.lock);
}

/* In a turn: the host cycle at which the preemption timer ends it, U64_MAX: it does not. */
u64 samsara_turn_deadline(struct samsara_vcpu *sv)
{
	struct samsara_turn *turn = &sv->turn;

	/* An instruction or an event's delivery is finished first, and must get on. */
	if (!turn->timed || READ_ONCE(turn->give_up))
		return U64_MAX;
	if (!turn->deadline)
		turn->deadline = rdtsc() + turn->length;
	return turn->deadline;
}

/* Has the preemption timer expired for the turn? */
bool samsara_turn_is_due(struct samsara_vcpu *sv)
{
	return rdtsc() + SAMSARA_TIMER_STEP >= samsara_turn_deadline(sv);
}

/* The preemption timer has expired, in a chunk. */
void samsara_turn_expired(struct samsara_vcpu *sv)
{
	struct samsara_turn *turn = &sv->turn;

	if (!samsara_turn_is_due(sv))
		return;
	if (turn->cut || samsara_someone_waits(sv)) {
		WRITE_ONCE(turn->give_up, true);
		return;
	}
	/* Someone may come: look again, less and less often. */
	turn->deadline = 0;
	turn->length *= 2;
	turn->timed = turn->length < samsara_slice_cycles(sv->vm);
}

/*
 * A turn is over, in which so many cycles could have been spent at the same time as
 * those of the turns before.
 */
static void count_overlap(struct samsara_vm *vm, u64 cycles)
{
	struct samsara_window *w = &vm->window;

	lockdep_assert_held(&vm->turns.lock);
	w->overlap += cycles;
	if (w->lone && w->overlap > w->most_overlap)
		WRITE_ONCE(w->serial_until, 0);
}

/* Has the turn lasted as long as it may?  One that the timer ends has begun in the guest. */
static bool length_is_over(struct samsara_turn *turn)
{
	if (turn->timed)
		return turn->deadline && rdtsc() >= turn->deadline;
	return rdtsc() - turn->slice_tsc > turn->length;
}

static void dequeue(struct samsara_vm *vm, struct samsara_turn *turn)
{
	struct samsara_turn *now;

	spin_lock(&vm->turns.lock);
	if (turn->sv && current_turn(vm) == turn) {
		look_for_convoy(turn->sv);
		count_overlap(vm, min(turn->sv->turn.waited, rdtsc() - turn->slice_tsc));
	}
	list_del_init(&turn->link);
	turn->timed = false;
	WRITE_ONCE(turn->give_up, false);
	now = current_turn(vm);
	if (now)
		now->slice_tsc = rdtsc();
	spin_unlock(&vm->turns.lock);
	wake_up_all(&vm->wq);
}

/* May the owner of the turn touch guest memory under commit_lock? */
bool samsara_may_touch_memory(struct samsara_vm *vm, struct samsara_turn *turn)
{
	return !samsara_in_turns(vm) || has_turn(vm, turn);
}

/* May the vCPU begin a chunk? */
static bool may_begin(struct samsara_vcpu *sv)
{
	return !samsara_phase_changes(sv->vm) &&
	       samsara_may_touch_memory(sv->vm, &sv->turn);
}

static void queue_up(struct samsara_vcpu *sv)
{
	enqueue(sv->vm, &sv->turn, false);
	/* Or the vCPU that has the turn would wait for us at its commit. */
	samsara_release_exclusive(sv);
	/* A vCPU that changes the phase waits for us to be here. */
	wake_up_all(&sv->vm->wq);
}

/*
 * Short turns are over sooner than a thread has fallen asleep and been woken: look for a
 * while.  This is about speed only.
 */
static void spin_for_turn(struct samsara_vcpu *sv)
{
	struct samsara_turns *turns = &sv->vm->turns;
	u64 start = rdtsc();

	while (READ_ONCE(turns->shorts) && READ_ONCE(turns->queue.next) != &sv->turn.link &&
	       rdtsc() - start < SPIN_CYCLES && !need_resched() && !signal_pending(current))
		cpu_relax();
}

/*
 * A vCPU at a boundary; does nothing if vCPUs run in parallel.  Returns 0, or -EINTR
 * if a signal came; without the turn if the recording or the serial phase has ended.
 */
int samsara_take_turn(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	u64 start;

	if (may_begin(sv))
		return 0;
	start = rdtsc();
	queue_up(sv);
	spin_for_turn(sv);
	if (samsara_wait_interrupted(sv, may_begin(sv) || !samsara_recording(vm))) {
		dequeue(vm, &sv->turn);
		return -EINTR;
	}
	if (samsara_in_turns(vm))
		begin_turn(sv, rdtsc() - start);
	else
		samsara_give_turn(sv);
	return 0;
}

/*
 * As samsara_take_turn(), for a section that is not put off for a signal any more.
 * Returns 0, or -EINTR if the vCPU's thread is killed.
 */
int samsara_wait_turn(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	int r;

	queue_up(sv);
	kvm_vcpu_srcu_read_unlock(sv->vcpu);
	r = wait_event_killable(vm->wq, samsara_may_touch_memory(vm, &sv->turn) ||
				!samsara_recording(vm));
	kvm_vcpu_srcu_read_lock(sv->vcpu);
	if (r || !samsara_in_turns(vm))
		samsara_give_turn(sv);
	return r ? -EINTR : 0;
}

/* Outside chunks and sections. */
void samsara_give_turn(struct samsara_vcpu *sv)
{
	/* Only the vCPU itself queues it. */
	if (!list_empty(&sv->turn.link))
		dequeue(sv->vm, &sv->turn);
	/* Or it would give the next one up before it has run. */
	sv->chunk.spinning = false;
}

/* Another one waits for the vCPU's turn, or for one before it. */
bool samsara_someone_waits(struct samsara_vcpu *sv)
{
	return READ_ONCE(sv->turn.link.next) != &sv->vm->turns.queue;
}

/* Must the vCPU, which has the turn, give it up at the next boundary? */
bool samsara_turn_is_over(struct samsara_vcpu *sv)
{
	return READ_ONCE(sv->turn.give_up) ||
	       (samsara_someone_waits(sv) &&
		(sv->chunk.spinning || length_is_over(&sv->turn)));
}

/*
 * The vCPU gives its turn up because it was to be short: what does that cost?  A turn that
 * ends by anything else, as by an exit to user space, would have ended so without it.
 */
static void pay_for_short(struct samsara_vcpu *sv)
{
	struct samsara_turns *turns = &sv->vm->turns;

	if (!sv->turn.timed || sv->turn.cut || sv->chunk.spinning || !length_is_over(&sv->turn))
		return;
	spin_lock(&turns->lock);
	if (turns->shorts)
		turns->shorts--;
	turns->credit -= min_t(u64, turns->credit, CHANGE_CYCLES);
	spin_unlock(&turns->lock);
}

/* At a boundary, before the next chunk: the turn, if the vCPU has one, may be over. */
void samsara_yield_turn(struct samsara_vcpu *sv)
{
	if (list_empty(&sv->turn.link) || !samsara_turn_is_over(sv))
		return;
	pay_for_short(sv);
	samsara_give_turn(sv);
}

/*
 * The turn of a device model's write, ahead of all vCPUs, if vCPUs take turns.
 * Returns 0, or -EINTR if the caller is killed.
 */
int samsara_borrow_turn(struct samsara_vm *vm, struct samsara_turn *turn)
{
	*turn = (struct samsara_turn) {};
	INIT_LIST_HEAD(&turn->link);
	if (!samsara_in_turns(vm))
		return 0;
	enqueue(vm, turn, true);
	if (!wait_event_killable(vm->wq, samsara_may_touch_memory(vm, turn) ||
				 !samsara_recording(vm)))
		return 0;
	dequeue(vm, turn);
	return -EINTR;
}

void samsara_return_turn(struct samsara_vm *vm, struct samsara_turn *turn)
{
	if (!list_empty(&turn->link))
		dequeue(vm, turn);
}
