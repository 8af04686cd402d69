// SPDX-License-Identifier: GPL-2.0
#include "smr_policy.h"

/* So many chunks in a row have to commit before the next ones are longer. */
#define CALM_CHUNKS		8

/* Attempts of all vCPUs in a window; of a lone one, in at least so many slices. */
#define WINDOW_ATTEMPTS		24
#define LONE_ATTEMPTS		8
#define LONE_SLICES		2
/* One such part is not worth a change: what one at a time would take is an estimate. */
#define MARGIN			16

void smr_length_adapt(struct smr_length *length, u64 branches, bool committed, u64 min, u64 max)
{
	/* What came of a short chunk says nothing about long ones. */
	if (branches < length->limit / 2)
		return;
	if (!committed)
		length->limit = smr_max(length->limit / 2, smr_min(min, max));
	else if (++length->calm == CALM_CHUNKS)
		length->limit = smr_min(length->limit * 2, max);
	else
		return;
	length->calm = 0;
}

u64 smr_hold_adapt(u64 hold, bool always_needed, u64 min, u64 max)
{
	return always_needed ? smr_min(hold * 2, max) : smr_max(hold / 2, min);
}

u32 smr_random_short(u32 random, u32 min, u32 max)
{
	u32 order = min + (random >> 27) % (max - min + 1);

	return random & ((1u << order) - 1);
}

void smr_earn(u64 *credit, u64 elapsed, u32 part, u32 times, u64 max)
{
	/* More would be too much in any case, and could overflow. */
	u64 earned = smr_min(elapsed, max * part) / part;

	*credit = smr_min(*credit + earned * times, max);
}

struct smr_sums smr_sums_since(const struct smr_sums *now, const struct smr_sums *then)
{
	return (struct smr_sums) {
		.attempts = now->attempts - then->attempts,
		.inherent = now->inherent - then->inherent,
		.elapsed = now->elapsed - then->elapsed,
		.useful = now->useful - then->useful,
		.overhead = now->overhead - then->overhead,
		.busy = now->busy - then->busy,
	};
}

bool smr_is_lone(const struct smr_sums *d)
{
	return 2 * d->busy < 3 * d->elapsed;
}

/* vCPUs that disturb each other, or wait for each other, take longer to judge. */
bool smr_window_is_over(const struct smr_sums *d, u64 slice)
{
	/* Signed: someone else may have begun a window after these sums were taken. */
	if ((s64)d->attempts >= WINDOW_ATTEMPTS)
		return true;
	return (s64)d->attempts >= LONE_ATTEMPTS && smr_is_lone(d) &&
	       (s64)d->elapsed > (s64)(LONE_SLICES * slice);
}

/* Perhaps below zero: other vCPUs add to their sums while they are read. */
s64 smr_serial_cycles(const struct smr_sums *d)
{
	return d->useful + (d->attempts ? d->overhead / d->attempts * d->inherent : 0);
}

bool smr_add_gain(s64 *credit, const struct smr_sums *d, s64 max)
{
	s64 serially = smr_serial_cycles(d);

	*credit += serially + serially / MARGIN - (s64)d->elapsed;
	if (*credit < max)
		return false;
	*credit = max;
	return true;
}
