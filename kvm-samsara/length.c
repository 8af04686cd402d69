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
