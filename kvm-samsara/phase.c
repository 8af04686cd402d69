// SPDX-License-Identifier: GPL-2.0
/*
 * Phases of a parallel recording.  vCPUs that write to the same pages all the time
 * lose more by rollbacks and short chunks than they gain by running at the same
 * time.  Such a VM is recorded serially for a while (mode_turns.c), then tried again.
 *
 * The gain is measured.  What all vCPUs have done, in chunks that have committed and
 * in sections, would take its sum of cycles if it was done by one after the other, but
 * for EPT violations; and the cost of a commit, and what KVM does until the next chunk,
 * for each chunk that ended by an exit, since serial recording ends there, too, but
 * nowhere else.  What that is less than the time in which any vCPU ran is lost.
 *
 * If there is work for one vCPU only, what parallel recording costs is all lost, and
 * serial recording takes nothing away.  Such a phase ends when there is work for more.
 *
 * The change.  A serial chunk runs on guest memory itself, so nobody else may be in
 * a chunk or touch guest memory then.
 *
 * - To serial: the phase is SAMSARA_CHANGING first, and then a request is made on
 *   every vCPU.  A vCPU that has seen the old phase can't enter the guest with a
 *   request pending, so it either has a chunk open when the request is acknowledged,
 *   which ends and is waited for, or it looks at the phase again and waits.  KVM's own
 *   work for a vCPU and device models' writes hold commit_lock from their first to
 *   their last access: SAMSARA_SERIAL is set under it, and whoever gets the lock after
 *   that needs the turn.
 * - To parallel: by the vCPU that has the turn, at a boundary.  Everybody else is
 *   waiting for it, or does not touch guest memory.
 *
 * Each phase has an EPT of its own.  Copies that a vCPU has kept from before a serial
 * phase are found to be older than their pages like any others, since serial commits
 * stamp the pages they wrote, when the phase ends at the latest.
 */
#include "ept.h"
#include "order.h"
#include "phase.h"
#include "samsara.h"
#include "trace.h"
#include "turns.h"
#include "vm.h"

/* Attempts of a vCPU between two looks whether the window is over. */
#define LOOK_EVERY		8
/*
 * What parallel recording may lose before the VM goes serial, in slices of a turn: at
 * first, it has neither copies nor seen which pages are contended.  Gains add to it,
 * but not for ever: the guest changes.
 */
#define FIRST_CREDIT_SLICES	2
#define MAX_CREDIT_SLICES	8
/* The first serial phase, in slices; each one in a row is twice as long. */
#define FIRST_PHASE_SLICES	64
/* The longest serial phase, in lengths of the first. */
#define LONGEST_PHASE		16
/*
 * Work that two vCPUs could have done at the same time ends a phase for one: this part
 * of a slice the first time, twice as much each time in a row, up to FIRST_PHASE_SLICES.
 */
#define OVERLAP_SLICE_PART	2

static s64 slices(struct samsara_vm *vm, u32 n)
{
	return n * samsara_slice_cycles(vm);
}

static u64 first_phase(struct samsara_vm *vm)
{
	return slices(vm, FIRST_PHASE_SLICES);
}

/* The next serial phase is as if there had been none before. */
static void forget_phases(struct samsara_vm *vm)
{
	vm->window.serial_cycles = first_phase(vm);
	vm->window.next_overlap = slices(vm, 1) / OVERLAP_SLICE_PART;
}

void samsara_phase_init(struct samsara_vm *vm)
{
	vm->phase = SAMSARA_PARALLEL;
	vm->has_phases = true;
	forget_phases(vm);
	vm->window.credit = slices(vm, FIRST_CREDIT_SLICES);
	vm->window.idle_tsc = rdtsc();
}

/* The vCPU's thread begins to run it, or is about to sleep or to return to user space. */
void samsara_note_running(struct samsara_vcpu *sv, bool running)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_window *w = &vm->window;

	if (sv->cost.running == running)
		return;
	sv->cost.running = running;
	spin_lock(&vm->turns.lock);
	if (!running) {
		if (!--w->nr_running)
			w->idle_tsc = rdtsc();
	} else if (!w->nr_running++) {
		w->idle_cycles += rdtsc() - w->idle_tsc;
	}
	spin_unlock(&vm->turns.lock);
}

/* Their own threads add to them: the last attempt may be missing. */
static struct smr_sums add_up(struct samsara_vm *vm)
{
	struct smr_sums sum = { .elapsed = rdtsc() - READ_ONCE(vm->window.idle_cycles) };
	const struct kvm_vcpu_stat *stat;
	u64 chunks, faults;
	u32 i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		stat = samsara_stat(vm->vcpus[i]);
		chunks = READ_ONCE(stat->samsara_chunks);
		faults = READ_ONCE(vm->vcpus[i]->cost.fault_cycles);
		sum.attempts += chunks + READ_ONCE(stat->samsara_rollbacks);
		sum.inherent += chunks - READ_ONCE(stat->samsara_async_ends) -
				READ_ONCE(stat->samsara_touch_ends);
		sum.useful += READ_ONCE(stat->samsara_chunk_cycles) +
			      READ_ONCE(stat->samsara_section_cycles) - faults;
		sum.overhead += READ_ONCE(stat->samsara_precommit_cycles) +
				READ_ONCE(stat->samsara_commit_cycles) +
				READ_ONCE(stat->samsara_sync_cycles) +
				READ_ONCE(vm->vcpus[i]->cost.between_cycles);
		sum.busy += faults + READ_ONCE(stat->samsara_lost_cycles) +
			    READ_ONCE(stat->samsara_wait_cycles) +
			    READ_ONCE(stat->samsara_spin_cycles);
	}
	sum.busy += sum.useful + sum.overhead;
	return sum;
}

/* The window ends with @now, after @d.  False: the credit is used up. */
static bool window_paid(struct samsara_vm *vm, const struct smr_sums *now,
			const struct smr_sums *d)
{
	struct samsara_window *w = &vm->window;

	w->start = *now;
	trace_kvm_samsara_window(d->attempts, smr_serial_cycles(d), d->busy, d->elapsed);
	w->lone = smr_is_lone(d);
	if (smr_add_gain(&w->credit, d, slices(vm, MAX_CREDIT_SLICES)))
		forget_phases(vm);
	return w->credit >= 0;
}

/* Does it pay to go on in parallel? */
static bool parallel_pays(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	struct smr_sums now, d;
	bool ret = true;

	if (++sv->cost.attempts < LOOK_EVERY)
		return true;
	sv->cost.attempts = 0;
	now = add_up(vm);
	spin_lock(&vm->turns.lock);
	d = smr_sums_since(&now, &vm->window.start);
	if (smr_window_is_over(&d, slices(vm, 1)))
		ret = window_paid(vm, &now, &d);
	spin_unlock(&vm->turns.lock);
	return ret;
}

/*
 * May some chunks be short by chance?  Not while it is found out whether parallel recording
 * pays: short ones conflict less, and it would take longer to see that it doesn't.  Without
 * the lock: an old answer is as good.
 */
bool samsara_can_afford_short(struct samsara_vm *vm)
{
	return vm->tune.chaos || !vm->tune.adaptive ||
	       READ_ONCE(vm->window.credit) > slices(vm, FIRST_CREDIT_SLICES);
}

/* Every vCPU at a boundary: nobody uses these EPTs (RULE 5). */
static bool map_all(struct samsara_vm *vm)
{
	bool ret = true;
	u32 i;

	mutex_lock(&vm->remap.ept_lock);
	for (i = 0; ret && i < vm->nr_vcpus; i++)
		ret = !samsara_ept_map_all(&vm->vcpus[i]->direct, vm);
	mutex_unlock(&vm->remap.ept_lock);
	return ret;
}

static void set_phase(struct samsara_vm *vm, enum samsara_phase phase)
{
	mutex_lock(&vm->commit_lock);
	samsara_ept_note_turns(vm);
	WRITE_ONCE(vm->phase, phase);
	mutex_unlock(&vm->commit_lock);
	trace_kvm_samsara_phase(phase == SAMSARA_SERIAL, vm->window.serial_cycles);
	wake_up_all(&vm->wq);
}

/* By a vCPU at a boundary, which waits for the others to get to theirs. */
static void go_serial(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_window *w = &vm->window;
	int killed;

	if (cmpxchg(&vm->phase, SAMSARA_PARALLEL, SAMSARA_CHANGING) != SAMSARA_PARALLEL)
		return;
	samsara_release_exclusive(sv);
	kvm_vcpu_srcu_read_unlock(sv->vcpu);
	killed = samsara_bring_to_boundary(vm);
	kvm_vcpu_srcu_read_lock(sv->vcpu);
	if (killed) {
		set_phase(vm, SAMSARA_PARALLEL);
		return;
	}
	if (!map_all(vm)) {
		/* No memory for it: parallel for ever. */
		w->serial_cycles = 0;
		set_phase(vm, SAMSARA_PARALLEL);
		return;
	}
	if (w->lone) {
		w->serial_until = U64_MAX;
		w->most_overlap = w->next_overlap;
		w->next_overlap = min(2 * w->next_overlap, first_phase(vm));
	} else {
		w->serial_until = rdtsc() + w->serial_cycles;
		w->serial_cycles = min(2 * w->serial_cycles, LONGEST_PHASE * first_phase(vm));
	}
	w->overlap = 0;
	vm->serial_phases++;
	set_phase(vm, SAMSARA_SERIAL);
}

/* By the vCPU that has the turn. */
static void go_parallel(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	struct smr_sums now = add_up(vm);

	spin_lock(&vm->turns.lock);
	vm->window.start = now;
	vm->window.credit = slices(vm, FIRST_CREDIT_SLICES);
	spin_unlock(&vm->turns.lock);
	set_phase(vm, SAMSARA_PARALLEL);
	samsara_give_turn(sv);
}

/* A vCPU at a boundary. */
void samsara_choose_phase(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	bool adaptive = vm->tune.adaptive;

	if (!vm->has_phases)
		return;
	if (samsara_in_turns(vm)) {
		if ((!adaptive || rdtsc() >= READ_ONCE(vm->window.serial_until)) &&
		    samsara_may_touch_memory(vm, &sv->turn))
			go_parallel(sv);
	} else if (adaptive && vm->window.serial_cycles && !parallel_pays(sv)) {
		go_serial(sv);
	}
}
