// SPDX-License-Identifier: GPL-2.0
/*
 * Parallel replay: a chunk begins as soon as all that it had seen in the recording is in
 * memory, start_seq, and runs on private copies of the pages it writes, beside others.  What
 * it has changed is put into memory at its number, when every commit before is done; so is
 * all that is no chunk.
 *
 * Nothing is checked, and nothing can fail: in the recording no commit of another agent
 * between start_seq and the chunk's number had written a page that the chunk used, so what
 * it reads is the same whichever of them are done meanwhile (design.rst, "Parallel replay").
 * With tune.replay_check set a log that breaks this rule is reported.
 *
 * Under a debugger, whose breakpoints are met in the order of commits, chunks are replayed one
 * by one, on guest memory itself: when one has stopped in the middle, memory is what it sees.
 *
 * A chunk beside which nobody can run is replayed as serial replay does, on guest memory
 * itself, and needs no copies: those of serial phases, which may write all of memory.  So is
 * the rest of a chunk that has made too many copies.  Nobody runs beside it, or he could see what
 * it writes and takes back before its commit, which is in no write-set.
 */
#include "copies.h"
#include "debug.h"
#include "ept.h"
#include "log.h"
#include "memory.h"
#include "mode.h"
#include "replay_order.h"
#include "samsara.h"
#include "sets.h"
#include "trace.h"

/* After so many new copies it is worth to look whether anybody runs beside the chunk. */
#define TRY_ALONE_COPIES	64

static int parallel_init(struct samsara_vcpu *sv)
{
	sv->length.limit = SAMSARA_PERIOD_NEVER;
	samsara_ept_use(sv, &sv->copies.ept);
	return samsara_ept_init(&sv->copies.ept) ?:
	       samsara_copies_init(&sv->copies, samsara_max_mapped(sv->vm)) ?:
	       samsara_ept_map_all(&sv->direct, sv->vm);
}

static bool on_memory(const struct samsara_vcpu *sv)
{
	return sv->ept == &sv->direct;
}

/* A recording with page ownership: the chunk runs without accessed and dirty flags. */
static bool leaves_no_flags(const struct samsara_vcpu *sv)
{
	return sv->rec.flags & SMR_F_WAS_READABLE;
}

static int parallel_get_ready(struct samsara_vcpu *sv)
{
	if (leaves_no_flags(sv) || samsara_debug_is_on(sv->vm))
		return samsara_replay_wait_alone(sv);
	return samsara_replay_wait_start(sv);
}

/* What is committed up to start_seq must not be hidden by an older copy. */
static void drop_stale(struct samsara_vcpu *sv)
{
	/* Written under the turn, and no later than start_seq if the chunk has to know of it. */
	u64 unstamped = READ_ONCE(sv->vm->replay.unstamped);

	if (sv->replay.unstamped != unstamped)
		samsara_copies_drop_all(&sv->copies);
	sv->replay.unstamped = unstamped;
	samsara_copies_drop_stale(&sv->copies, sv->nr_begun, sv->vm->tune.copy_age);
}

static void parallel_prepare(struct samsara_vcpu *sv)
{
	sv->nr_begun++;
	sv->start_seq = sv->rec.start_seq;
	sv->replay.compared = false;
	sv->chunk.out_of_copies = false;
	if (samsara_has_turn(sv)) {
		samsara_ept_use(sv, &sv->direct);
		return;
	}
	samsara_ept_use(sv, &sv->copies.ept);
	drop_stale(sv);
	sv->replay.try_alone = sv->copies.nr + TRY_ALONE_COPIES;
}

static int parallel_fault(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep, bool write)
{
	if (*sptep & EPT_WITHHELD)
		return SAMSARA_FAULT_TOUCH;
	/* All of memory is mapped there. */
	if (KVM_BUG_ON(on_memory(sv), sv->vm->kvm))
		return -EIO;
	return samsara_copies_fault(sv, sp, sptep, write);
}

/*
 * The rule: no page that the chunk has used was committed above its start_seq.  It is the
 * chunk's turn, so all that may be wrong is there.
 */
static void check_accessed(struct samsara_vcpu *sv)
{
	u64 seen = max(sv->start_seq, sv->vm->replay.coarse);
	struct samsara_copies *copies = &sv->copies;
	u64 version;
	u32 i;

	for (i = 0; i < copies->nr_access; i++) {
		version = smr_read_once(&copies->access[i]->meta.version);
		if (version <= seen)
			continue;
		trace_kvm_samsara_conflict(sv->id, copies->access[i]->ram, sv->start_seq, version);
		samsara_diverged(sv, KVM_SAMSARA_DIV_LOG, sv->start_seq, version);
		return;
	}
}

/* What the chunk has done so far. */
static void compare(struct samsara_vcpu *sv)
{
	samsara_copies_harvest(sv, true);
	samsara_copies_compare(&sv->copies, true);
}

/*
 * With the turn: what compare() has found is in memory then.  Returns 0, or -ESHUTDOWN: there is
 * a divergence.
 */
static int publish(struct samsara_vcpu *sv)
{
	const struct samsara_divergence *suspect = &sv->replay.suspect;
	struct samsara_copies *copies = &sv->copies;
	u64 n = sv->rec.commit_seq;
	u32 i;

	/* First: it may be the cause of the other one. */
	if (sv->vm->tune.replay_check)
		check_accessed(sv);
	if (suspect->field)
		samsara_diverged(sv, suspect->field, suspect->expected, suspect->got);
	if (!samsara_alive(sv->vm))
		return -ESHUTDOWN;
	for (i = 0; i < copies->nr_dirty; i++) {
		if (!copies->dirty[i]->changed)
			continue;
		smr_page_commit(&copies->dirty[i]->orig->meta, n);
		samsara_page_changed(sv->vm, copies->dirty[i]->orig);
	}
	samsara_copies_publish(copies, n);
	return 0;
}

/* With the turn, and nobody runs beside the chunk: it goes on without copies. */
static int go_direct(struct samsara_vcpu *sv)
{
	int r;

	samsara_sets_note(sv);
	compare(sv);
	r = publish(sv);
	if (r)
		return r;
	samsara_replay_give_back(sv);
	/* What comes now has the same number: they would not be seen to be older. */
	samsara_copies_drop_all(&sv->copies);
	samsara_ept_use(sv, &sv->direct);
	samsara_replay_withhold(sv);
	sv->flush = true;
	sv->chunk.out_of_copies = false;
	return 0;
}

static int parallel_go_on(struct samsara_vcpu *sv)
{
	int r;

	if (on_memory(sv))
		return 0;
	if (sv->chunk.out_of_copies) {
		r = samsara_replay_wait_alone(sv);
		/* Others may have begun: see may_be_alone(). */
		sv->vm->replay.coarse = sv->rec.commit_seq;
		return r ?: go_direct(sv);
	}
	if (sv->copies.nr < sv->replay.try_alone)
		return 0;
	sv->replay.try_alone = sv->copies.nr + TRY_ALONE_COPIES;
	return samsara_replay_try_alone(sv) ? go_direct(sv) : 0;
}

static void end_direct(struct samsara_vcpu *sv)
{
	if (leaves_no_flags(sv))
		WRITE_ONCE(sv->vm->replay.unstamped, sv->rec.commit_seq);
	sv->vm->replay.unnoted = true;
	if (sv->vm->tune.replay_check)
		samsara_ept_note_at_turn(sv->vm, sv->rec.commit_seq);
}

static int parallel_end(struct samsara_vcpu *sv)
{
	int r;

	if (on_memory(sv)) {
		end_direct(sv);
		return 0;
	}
	if (!sv->replay.compared) {
		compare(sv);
		sv->replay.compared = true;
	}
	r = samsara_replay_wait_turn(sv);
	r = r ?: publish(sv);
	if (r)
		return r;
	/* Bound the memory that the copies take. */
	if (sv->copies.nr > sv->vm->tune.max_copies)
		samsara_copies_drop_all(&sv->copies);
	return 0;
}

const struct samsara_mode samsara_mode_replay_parallel = {
	.flow = &samsara_replay_flow,
	.from_log = true,
	.init_vcpu = parallel_init,
	.get_ready = parallel_get_ready,
	.prepare = parallel_prepare,
	.fault = parallel_fault,
	.go_on = parallel_go_on,
	.end = parallel_end,
};
