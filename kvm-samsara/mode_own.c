// SPDX-License-Identifier: GPL-2.0
/*
 * Recording with page ownership, as it was done before speculation: concurrent
 * readers, an exclusive writer (CREW).  It is here to be compared with.
 *
 * vCPUs run on guest memory itself, each on an EPT that maps the pages it has rights
 * to.  Who needs a page that others have rights to makes them give it up; what they
 * did before comes first then, in the log, too.  Only two things are logged of it,
 * both as ends of chunks, which replay does one after the other like all others:
 *
 * - who loses a page ends its chunk, at a position, before it gives the page up;
 * - who has to wait for one ends its chunk, by the violation.  The page is named and
 *   no position, as in contended.c: replay withholds it, and gets the same violation,
 *   with the same things done by the unfinished instruction.  A page that could be
 *   read is withheld for writing only.
 *
 * So nobody waits with a chunk open, and a page of a vCPU without an open chunk can
 * be taken from it at once; then the taker goes on in its chunk, too, and nothing is
 * logged.  Commit numbers are taken before chunk_open is cleared, and a page is taken
 * after that: commits come in the order of conflicting accesses.
 *
 * No vCPU can be rolled back.  A chunk that has to end where an instruction, or an
 * event's delivery, is half done after a violation is logged as if that violation had
 * ended it: fault() notes what that needs.
 *
 * Progress: who has waited has a ticket, until it has executed an instruction.  Neither
 * its pages nor the one it waits for are taken by anyone with a later ticket or none;
 * the earliest ticket gets all it asks for.
 *
 * The EPT's accessed and dirty flags are off.  With them, every walk of the guest's
 * page tables counts as a write, and the tables would never be shared.  So the changes
 * of memory are not known, and its digest is compared at the end only.
 *
 * What KVM does to guest memory by itself, for a vCPU or for a device, does not go
 * through an EPT.  For that the world is stopped: no vCPU has a chunk open.
 */
#include "arch.h"
#include "chunk.h"
#include "commit.h"
#include "ept.h"
#include "length.h"
#include "mode.h"
#include "samsara.h"
#include "vm.h"

/*
 * A vCPU keeps its pages for so long, in us, before it is asked for one: a change of
 * owners costs two chunks, and comes back soon if the page is shared by mistake.
 */
#define HOLD_US	300

static int init_vcpu(struct samsara_vcpu *sv)
{
	samsara_use_ept(sv, &sv->direct_ept);
	sv->no_flags = true;
	return samsara_ept_init(sv->ept);
}

static bool has_had_time(const struct samsara_vcpu *owner)
{
	return rdtsc() - READ_ONCE(owner->chunk_tsc) >= HOLD_US * tsc_khz / 1000;
}

/* The vCPUs whose rights to the page stand in the way of @sv's. */
static u64 in_the_way(const struct samsara_vcpu *sv, const struct samsara_page *sp, bool write)
{
	return write || sp->exclusive ? sp->owners & ~samsara_bit(sv) : 0;
}

static bool yields_to(const struct samsara_vcpu *owner, const struct samsara_vcpu *sv)
{
	return !owner->ticket || (sv->ticket && sv->ticket < owner->ticket);
}

/* Does anyone with an earlier ticket wait for the page?  Readers would starve a writer. */
static bool someone_is_first(const struct samsara_vcpu *sv, const struct samsara_page *sp,
			     bool write)
{
	const struct samsara_vcpu *other;
	u32 i;

	for (i = 0; i < sv->vm->nr_vcpus; i++) {
		other = sv->vm->vcpus[i];
		if (other != sv && other->wanted == sp && other->ticket &&
		    (write || other->wanted_write) && yields_to(sv, other))
			return true;
	}
	return false;
}

/* @owner has no chunk open. */
static void give_up(struct samsara_vcpu *owner, struct samsara_page *sp, bool write)
{
	lockdep_assert_held(&owner->vm->pages_lock);
	samsara_ept_set_rights(owner, sp, !write, false);
	if (write)
		sp->owners &= ~samsara_bit(owner);
	sp->exclusive = false;
}

enum outcome {
	TAKEN,
	TOO_EARLY,	/* look again: an owner has not had its pages for long */
	ASKED,		/* whoever stands in the way will wake us */
};

/* Take the rights to a page, or ask for it if @sv has a ticket. */
static enum outcome take(struct samsara_vcpu *sv, struct samsara_page *sp, bool write)
{
	u64 owners = in_the_way(sv, sp, write);
	enum outcome ret = someone_is_first(sv, sp, write) ? ASKED : TAKEN;
	struct samsara_vcpu *owner;
	bool open;

	lockdep_assert_held(&sv->vm->pages_lock);
	for (; owners; owners &= owners - 1) {
		owner = sv->vm->vcpus[__ffs64(owners)];
		/* Acquire: all that its chunk did. */
		open = smp_load_acquire(&owner->chunk_open);
		if (!open && yields_to(owner, sv)) {
			give_up(owner, sp, write);
			continue;
		}
		if (ret == TAKEN)
			ret = ASKED;
		if (!open || !sv->ticket || owner->asked)
			continue;
		if (has_had_time(owner))
			samsara_ask(owner);
		else
			ret = TOO_EARLY;
	}
	if (ret != TAKEN)
		return ret;
	sp->owners |= samsara_bit(sv);
	sp->exclusive = write;
	samsara_ept_set_rights(sv, sp, true, write);
	return TAKEN;
}

static enum outcome try_wanted(struct samsara_vcpu *sv)
{
	enum outcome ret;

	spin_lock(&sv->vm->pages_lock);
	if (!sv->ticket)
		sv->ticket = ++sv->vm->last_ticket;
	ret = take(sv, sv->wanted, sv->wanted_write);
	/* Only the vCPU itself sets it. */
	if (ret == TAKEN)
		sv->wanted = NULL;
	spin_unlock(&sv->vm->pages_lock);
	/* Others may be next. */
	if (ret == TAKEN)
		wake_up_all(&sv->vm->wq);
	return ret;
}

/* The chunk ends before the page if it can't be taken at once; the vCPU waits for it then. */
static int fault(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep, bool write)
{
	struct samsara_vm *vm = sv->vm;
	enum outcome got;

	spin_lock(&vm->pages_lock);
	sv->fault_could_read = sp->owners & samsara_bit(sv);
	got = take(sv, sp, write);
	if (got != TAKEN) {
		sv->wanted = sp;
		sv->wanted_write = write;
	}
	spin_unlock(&vm->pages_lock);
	if (got != TAKEN)
		return SAMSARA_FAULT_TOUCH;
	/* Other linear addresses may have cached that the page can't be written. */
	if (sv->fault_could_read)
		sv->flush = true;
	return SAMSARA_FAULT_MAPPED;
}

/* Does @other wait for a page that @sv may have to give up? */
static bool waits_for(const struct samsara_vcpu *other, const struct samsara_vcpu *sv)
{
	return other != sv && other->wanted &&
	       (in_the_way(other, other->wanted, other->wanted_write) & samsara_bit(sv));
}

static void begin(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	bool wake = false;
	u32 i;

	sv->start_seq = smr_order_prefix(vm->order);
	spin_lock(&vm->pages_lock);
	WRITE_ONCE(sv->chunk_open, true);
	/* Who sleeps because this vCPU's ticket is earlier has to ask it now. */
	for (i = 0; i < vm->nr_vcpus; i++)
		wake |= waits_for(vm->vcpus[i], sv);
	spin_unlock(&vm->pages_lock);
	if (wake)
		wake_up_all(&vm->wq);
}

/* The rest of a vCPU's commit: what others wait for. */
static void chunk_closed(struct samsara_vcpu *sv, bool progress)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_vcpu *other;
	bool wake;
	u32 i;

	/* The lock also orders chunk_open before world_stopped, see stop_world(). */
	spin_lock(&vm->pages_lock);
	wake = sv->asked || atomic_read(&vm->world_stopped);
	WRITE_ONCE(sv->asked, false);
	if (sv->ticket && progress) {
		sv->ticket = 0;
		wake = true;
	}
	for (i = 0; i < vm->nr_vcpus; i++) {
		other = vm->vcpus[i];
		if (waits_for(other, sv) && yields_to(sv, other))
			give_up(sv, other->wanted, other->wanted_write);
	}
	spin_unlock(&vm->pages_lock);
	if (wake)
		wake_up_all(&vm->wq);
}

static bool is_over(struct samsara_vm *vm)
{
	return !samsara_recording(vm) || READ_ONCE(vm->stopping);
}

/*
 * At a boundary: wait for the page the last chunk ended before, and for the world to
 * go on.  Returns 0, perhaps without the page if the recording has ended, or -EINTR
 * if a signal came.
 */
static int take_turn(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	while (sv->wanted && !is_over(vm)) {
		switch (try_wanted(sv)) {
		case TAKEN:
			break;
		case TOO_EARLY:
			if (samsara_interrupted(sv))
				return -EINTR;
			cpu_relax();
			cond_resched();
			break;
		case ASKED:
			if (samsara_wait_interrupted(sv, is_over(vm) || try_wanted(sv) != ASKED))
				return -EINTR;
		}
	}
	if (atomic_read(&vm->world_stopped) &&
	    samsara_wait_interrupted(sv, is_over(vm) || !atomic_read(&vm->world_stopped)))
		return -EINTR;
	return 0;
}

/* Does KVM touch guest memory to handle the vCPU's last exit? */
static bool exit_uses_memory(struct samsara_vcpu *sv)
{
	switch (samsara_exit_reason(sv->vcpu)) {
	case EXIT_REASON_IO_INSTRUCTION:
		return vmx_get_exit_qual(sv->vcpu) & BIT(4);	/* INS, OUTS */
	case EXIT_REASON_MSR_READ:
	case EXIT_REASON_MSR_WRITE:
	case EXIT_REASON_DR_ACCESS:
	case EXIT_REASON_WBINVD:
	case EXIT_REASON_XSETBV:
		return false;
	default:
		return true;
	}
}

static void prepare(struct samsara_vcpu *sv)
{
	samsara_set_length(sv, samsara_first_length(sv->vm));
}

static bool must_end(struct samsara_vcpu *sv)
{
	return READ_ONCE(sv->asked);
}

static int end(struct samsara_vcpu *sv)
{
	bool progress = samsara_made_progress(sv);
	int r = samsara_end_direct(sv);

	chunk_closed(sv, progress);
	return r;
}

/* At a boundary, without commit_lock: others need it to get to theirs. */
static int section_begin(struct samsara_vcpu *sv)
{
	int r;

	sv->no_memory = !exit_uses_memory(sv);
	if (sv->no_memory)
		return 0;
	kvm_vcpu_srcu_read_unlock(sv->vcpu);
	r = samsara_stop_world(sv->vm);
	kvm_vcpu_srcu_read_lock(sv->vcpu);
	return r;
}

static void section_end(struct samsara_vcpu *sv)
{
	if (!sv->no_memory)
		samsara_start_world(sv->vm);
}

static int dma_begin(struct samsara_vm *vm, struct samsara_turn *turn)
{
	return samsara_stop_world(vm);
}

static void dma_end(struct samsara_vm *vm, struct samsara_turn *turn)
{
	samsara_start_world(vm);
}

const struct samsara_mode samsara_mode_own = {
	.digest_off = true,
	.init_vcpu = init_vcpu,
	.pre_enter = samsara_record_pre_enter,
	.complete_io = samsara_record_complete_io,
	.leave = samsara_record_leave,
	.enter = samsara_record_enter,
	.exit = samsara_record_exit,
	.take_turn = take_turn,
	.get_ready = take_turn,
	.prepare = prepare,
	.begin = begin,
	.fault = fault,
	.must_end = must_end,
	.end = end,
	.section_begin = section_begin,
	.section_end = section_end,
	.dma_begin = dma_begin,
	.dma_end = dma_end,
};
