// SPDX-License-Identifier: GPL-2.0
/*
 * How long a chunk gets, in conditional branches: as long as the branch counter's
 * period, whose overflow makes the vCPU look.
 *
 * A long chunk costs less in commits and more when it is rolled back.  Each vCPU
 * has a limit of its own, between chunk_min and chunk_limit.  It is halved when a
 * chunk that was long fails, and doubled after several in a row have committed: so
 * about one in ten fails, which costs about as much as the commits.  Replay does not
 * depend on it, an end is a position.
 */
#include "counter.h"
#include "length.h"
#include "position.h"
#include "samsara.h"

#define FIRST_LIMIT_BRANCHES	50000
/* Short chunks come by chance after one of so many, less often if they are short anyway. */
#define SHORT_EVERY		256
/* They have up to 2^n branches, n between these, and the least that perf takes. */
#define SHORT_MIN_ORDER		5
#define SHORT_MAX_ORDER		14
#define LEAST_BRANCHES		32

/* Before the vCPU knows better; and how often it looks, where chunks have no limit. */
u64 samsara_length_first(const struct samsara_vm *vm)
{
	const struct samsara_tunables *tune = &vm->tune;

	return tune->chunk_adaptive ? min_t(u64, tune->chunk_limit, FIRST_LIMIT_BRANCHES) :
				      tune->chunk_limit;
}

/* The counters are made later, with the period set here. */
void samsara_length_init(struct samsara_vcpu *sv)
{
	sv->length.limit = samsara_length_first(sv->vm);
	sv->counter.period = sv->length.limit;
}

/*
 * The period of a vCPU's next chunk.  Others see all that a chunk does at once, and a race
 * that needs a look in between would never be lost: several chunks are short when a vCPU
 * was woken, and, if @some_short, now and then.
 */
u64 samsara_length_next(struct samsara_vcpu *sv, bool some_short)
{
	u32 every = SHORT_EVERY * FIRST_LIMIT_BRANCHES / (1 + 4 * sv->vm->tune.chaos);
	u64 limit = min_t(u64, sv->length.limit, FIRST_LIMIT_BRANCHES);
	u32 bursts = READ_ONCE(sv->vm->bursts);

	if (bursts != sv->bursts || (some_short && !sv->short_chunks &&
				     prandom_u32_state(&sv->random) % every < limit))
		sv->short_chunks = SAMSARA_SHORT_CHUNKS;
	sv->bursts = bursts;
	if (!sv->short_chunks)
		return sv->length.limit;
	sv->short_chunks--;
	return min_t(u64, sv->length.limit, LEAST_BRANCHES +
		     smr_random_short(prandom_u32_state(&sv->random), SHORT_MIN_ORDER,
				      SHORT_MAX_ORDER));
}

/* A chunk is about to begin. */
void samsara_length_set(struct samsara_vcpu *sv, u64 period)
{
	if (sv->counter.period == period)
		return;
	sv->counter.period = period;
	samsara_counter_arm(&sv->counter, period, 0);
}

/* A chunk has committed or not. */
void samsara_length_adapt(struct samsara_vcpu *sv, bool committed)
{
	const struct samsara_tunables *tune = &sv->vm->tune;
	struct smr_position now;

	if (!tune->chunk_adaptive)
		return;
	samsara_position(sv, &now);
	smr_length_adapt(&sv->length, now.branches, committed, tune->chunk_min,
			 tune->chunk_limit);
}
