// SPDX-License-Identifier: GPL-2.0
/*
 * Serial recording: one vCPU at a time, in long slices, directly on shared memory, which
 * is all mapped from the start.  No copies, no conflicts, no rollbacks; what a
 * multiprocessor guest loses is its processors.  turns.c says whose turn it is.
 *
 * A whole recording (mode=serial) or a phase of a parallel one: phase.c.
 */
#include "chunk.h"
#include "commit.h"
#include "ept.h"
#include "length.h"
#include "mode.h"
#include "phase.h"
#include "samsara.h"
#include "turns.h"

static int turns_init(struct samsara_vcpu *sv)
{
	samsara_ept_use(sv, &sv->direct);
	return samsara_ept_map_all(sv->ept, sv->vm);
}

static int turns_get_ready(struct samsara_vcpu *sv)
{
	int r;

	samsara_choose_phase(sv);
	samsara_yield_turn(sv);
	r = samsara_take_turn(sv);
	/* The serial phase is over: back to what the VM was started with. */
	if (!r && !samsara_in_turns(sv->vm))
		sv->mode = sv->vm->mode;
	return r;
}

/* There is no longest chunk: the vCPU looks whether its turn is over. */
static void turns_prepare(struct samsara_vcpu *sv)
{
	samsara_ept_use(sv, &sv->direct);
	samsara_length_set(sv, samsara_length_first(sv->vm));
}

static void turns_begin(struct samsara_vcpu *sv)
{
	sv->start_seq = smr_order_prefix(sv->vm->order);
	WRITE_ONCE(sv->state, SAMSARA_IN_CHUNK);
}

/* The branch counter's overflow only makes it look: exits can be fast again until the next. */
static bool turns_must_end(struct samsara_vcpu *sv)
{
	WRITE_ONCE(sv->counter.overflowed, false);
	return samsara_turn_is_over(sv);
}

/* All of memory is mapped. */
static int turns_fault(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep, bool write)
{
	KVM_BUG_ON(true, sv->vm->kvm);
	return -EIO;
}

const struct samsara_mode samsara_mode_turns = {
	.flow = &samsara_record_flow,
	.can_remap = true,
	.init_vm = samsara_turns_only,
	.init_vcpu = turns_init,
	.take_turn = samsara_take_turn,
	.get_ready = turns_get_ready,
	.prepare = turns_prepare,
	.begin = turns_begin,
	.fault = turns_fault,
	.must_end = turns_must_end,
	.spins = samsara_someone_waits,
	.end = samsara_end_direct,
	.dma_begin = samsara_borrow_turn,
	.dma_end = samsara_return_turn,
};
