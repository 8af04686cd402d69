// SPDX-License-Identifier: GPL-2.0
/*
 * Recording with page ownership, as it was done before speculation: concurrent
 * readers, an exclusive writer (CREW).  It is here to be compared with.
 *
 * vCPUs run on guest memory itself, each on an EPT that maps the pages it has rights
 * to.  A vCPU that needs a page that others have rights to makes them give it up; what they
 * did before comes first then, in the log, too.  Only two things are logged of it,
 * both as ends of chunks, which replay does one after the other like all others:
 *
 * - a vCPU that loses a page ends its chunk, at a position, before it gives the page up;
 * - one that has to wait for a page ends its chunk, by the violation.  The page is named and
 *   no position, as in contended.c: replay withholds it, and gets the same violation,
 *   with the same things done by the unfinished instruction.  A page that could be
 *   read is withheld for writing only.
 *
 * So nobody waits with a chunk open, and a page of a vCPU without an open chunk can
 * be taken from it at once; then the taker goes on in its chunk, too, and nothing is
 * logged.  Commit numbers are taken before the chunk is closed, and a page is taken
 * after that: commits come in the order of conflicting accesses.
 *
 * No vCPU can be rolled back.  A chunk that has to end where an instruction, or an
 * event's delivery, is half done after a violation is logged as if that violation had
 * ended it: own_fault() notes what that needs.
 *
 * Progress: a vCPU that has waited has a ticket, until it has executed an instruction.  Neither
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

static int own_init(struct samsara_vcpu *sv)
{
	samsara_ept_use(sv, &sv->direct);
	sv->ad_off = true;
	return samsara_ept_init(sv->ept);
}

static bool has_had_time(const struct samsara_vcpu *owner)
{
	return READ_ONCE(owner->chunk.paused) ||
	       rdtsc() - READ_ONCE(owner->chunk.tsc) >= HOLD_US * tsc_khz / 1000;
}

/* The vCPUs whose rights to the page stand in the way of @sv's. */
static u64 other_owners(const struct samsara_vcpu *sv, const struct samsara_page *sp, bool write)
{
	return write || sp->exclusive ? sp->owners & ~samsara_bit(sv) : 0;
}

static bool yields_to(const struct samsara_vcpu *owner, const struct samsara_vcpu *sv)
{
	return !owner->own.ticket || (sv->own.ticket && sv->own.ticket < owner->own.ticket);
}

/* Does anyone with an earlier ticket wait for the page?  Readers would starve a writer. */
static bool someone_is_first(const struct samsara_vcpu *sv, const struct samsara_page *sp,
			     bool write)
{
	const struct samsara_vcpu *other;
	u32 i;

	for (i = 0; i < sv->vm->nr_vcpus; i++) {
		other = sv->vm->vcpus[i];
		if (other != sv && other->own.wanted == sp && other->own.ticket &&
		    (write || other->own.wanted_write) && yields_to(sv, other))
			return true;
	}
	return false;
}

/* @owner has no chunk open. */
static void give_up_page(struct samsara_vcpu *owner, struct samsara_page *sp, bool write)
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
static enum outcome take_page(struct samsara_vcpu *sv, struct samsara_page *sp, bool write)
{
	u64 owners = other_owners(sv, sp, write);
	enum outcome ret = someone_is_first(sv, sp, write) ? ASKED : TAKEN;
	struct samsara_vcpu *owner;
	bool open;

	lockdep_assert_held(&sv->vm->pages_lock);
	for (; owners; owners &= owners - 1) {
		owner = sv->vm->vcpus[__ffs64(owners)];
		/* Acquire: all that its chunk did. */
		open = smp_load_acquire(&owner->state) == SAMSARA_IN_CHUNK;
		if (!open && yields_to(owner, sv)) {
			give_up_page(owner, sp, write);
			continue;
		}
		if (ret == TAKEN)
			ret = ASKED;
		if (!open || !sv->own.ticket || owner->end_requested)
			continue;
		if (has_had_time(owner))
			samsara_request_end(owner);
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

static enum outcome try_take_wanted(struct samsara_vcpu *sv)
{
	enum outcome ret;

	spin_lock(&sv->vm->pages_lock);
	if (!sv->own.ticket)
		sv->own.ticket = ++sv->vm->last_ticket;
	ret = take_page(sv, sv->own.wanted, sv->own.wanted_write);
	/* Only the vCPU itself sets it. */
	if (ret == TAKEN)
		sv->own.wanted = NULL;
	spin_unlock(&sv->vm->pages_lock);
	/* Others may be next. */
	if (ret == TAKEN)
		wake_up_all(&sv->vm->wq);
	return ret;
}

/* The chunk ends before the page if it can't be taken at once; the vCPU waits for it then. */
static int own_fault(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep, bool write)
{
	struct samsara_vm *vm = sv->vm;
	enum outcome got;

	spin_lock(&vm->pages_lock);
	sv->chunk.fault_could_read = sp->owners & samsara_bit(sv);
	got = take_page(sv, sp, write);
	if (got != TAKEN) {
		sv->own.wanted = sp;
		sv->own.wanted_write = write;
	}
	spin_unlock(&vm->pages_lock);
	if (got != TAKEN)
		return SAMSARA_FAULT_TOUCH;
	/* Other linear addresses may have cached that the page can't be written. */
	if (sv->chunk.fault_could_read)
		sv->flush = true;
	return SAMSARA_FAULT_MAPPED;
}

/* Does @other wait for a page that @sv may have to give up? */
static bool waits_for(const struct samsara_vcpu *other, const struct samsara_vcpu *sv)
{
	return other != sv && other->own.wanted &&
	       (other_owners(other, other->own.wanted, other->own.wanted_write) & samsara_bit(sv));
}

static void own_begin(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	bool wake = false;
	u32 i;

	sv->start_seq = smr_order_prefix(vm->order);
	spin_lock(&vm->pages_lock);
	WRITE_ONCE(sv->state, SAMSARA_IN_CHUNK);
	/* A vCPU that sleeps because this one's ticket is earlier has to ask it now. */
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

	/* The lock also orders the state before world_stopped, see stop_world(). */
	spin_lock(&vm->pages_lock);
	wake = sv->end_requested || atomic_read(&vm->world_stopped);
	WRITE_ONCE(sv->end_requested, false);
	if (sv->own.ticket && progress) {
		sv->own.ticket = 0;
		wake = true;
	}
	for (i = 0; i < vm->nr_vcpus; i++) {
		other = vm->vcpus[i];
		if (waits_for(other, sv) && yields_to(sv, other))
			give_up_page(sv, other->own.wanted, other->own.wanted_write);
	}
	spin_unlock(&vm->pages_lock);
	if (wake)
		wake_up_all(&vm->wq);
}

static bool recording_is_over(struct samsara_vm *vm)
{
	return !samsara_recording(vm) || READ_ONCE(vm->stopping);
}

/*
 * At a boundary: wait for the page the last chunk ended before, and for the world to
 * go on.  Returns 0, perhaps without the page if the recording has ended, or -EINTR
 * if a signal came.
 */
static int own_take_turn(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;

	while (sv->own.wanted && !recording_is_over(vm)) {
		switch (try_take_wanted(sv)) {
		case TAKEN:
			break;
		case TOO_EARLY:
			if (samsara_interrupted(sv))
				return -EINTR;
			cpu_relax();
			cond_resched();
			break;
		case ASKED:
			if (samsara_wait_interrupted(sv, recording_is_over(vm) ||
						     try_take_wanted(sv) != ASKED))
				return -EINTR;
		}
	}
	if (atomic_read(&vm->world_stopped) &&
	    samsara_wait_interrupted(sv, recording_is_over(vm) || !atomic_read(&vm->world_stopped)))
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

static void own_prepare(struct samsara_vcpu *sv)
{
	samsara_length_set(sv, samsara_length_first(sv->vm));
}

/* There is no longest chunk, see turns_must_end(). */
static bool own_must_end(struct samsara_vcpu *sv)
{
	WRITE_ONCE(sv->counter.overflowed, false);
	return READ_ONCE(sv->end_requested);
}

static int own_end(struct samsara_vcpu *sv)
{
	bool progress = samsara_made_progress(sv);
	int r = samsara_end_direct(sv);

	chunk_closed(sv, progress);
	return r;
}

/* At a boundary, without commit_lock: others need it to get to theirs. */
static int own_section_begin(struct samsara_vcpu *sv)
{
	int r;

	sv->section.no_memory = !exit_uses_memory(sv);
	if (sv->section.no_memory)
		return 0;
	kvm_vcpu_srcu_read_unlock(sv->vcpu);
	r = samsara_stop_world(sv->vm);
	kvm_vcpu_srcu_read_lock(sv->vcpu);
	return r;
}

static void own_section_end(struct samsara_vcpu *sv)
{
	if (!sv->section.no_memory)
		samsara_start_world(sv->vm);
}

static int own_dma_begin(struct samsara_vm *vm, struct samsara_turn *turn)
{
	return samsara_stop_world(vm);
}

static void own_dma_end(struct samsara_vm *vm, struct samsara_turn *turn)
{
	samsara_start_world(vm);
}

const struct samsara_mode samsara_mode_own = {
	.flow = &samsara_record_flow,
	.digest_off = true,
	.init_vcpu = own_init,
	.take_turn = own_take_turn,
	.get_ready = own_take_turn,
	.prepare = own_prepare,
	.begin = own_begin,
	.fault = own_fault,
	.must_end = own_must_end,
	.end = own_end,
	.section_begin = own_section_begin,
	.section_end = own_section_end,
	.dma_begin = own_dma_begin,
	.dma_end = own_dma_end,
};
