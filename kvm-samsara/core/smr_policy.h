/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The arithmetic of decisions that are about speed only: how long chunks are, how long a
 * contended page is kept, whether parallel recording pays.  No state but what is given.
 */
#ifndef SMR_POLICY_H
#define SMR_POLICY_H

#include "smr_port.h"

/* A vCPU's chunk length. */
struct smr_length {
	u64 limit;	/* conditional branches */
	u32 calm;	/* chunks about as long as that which have committed since it changed */
};

/*
 * A chunk of @branches has committed or not: the next limit.  @min and @max bound it; @max
 * wins.
 */
void smr_length_adapt(struct smr_length *length, u64 branches, bool committed, u64 min, u64 max);

/*
 * For how long the writer of a contended page is not asked for it: twice as long as before
 * (@hold) if the page is needed by both all the time, half as long if not.
 */
u64 smr_hold_adapt(u64 hold, bool always_needed, u64 min, u64 max);

/*
 * Something short that ends at a random place: below 2^n, for an n from @min to @max, at most
 * 27, which are all as likely.  @random is what it is made from.
 */
u32 smr_random_short(u32 random, u32 min, u32 max);

/* One part in @part of @elapsed, @times, is added to @credit, up to @max. */
void smr_earn(u64 *credit, u64 elapsed, u32 part, u32 times, u64 max);

/* What all vCPUs have done, see phase.c. */
struct smr_sums {
	u64 attempts;		/* chunks, committed or not */
	u64 inherent;		/* chunks that serial recording would end, too */
	/* in host cycles: */
	u64 elapsed;		/* in which any vCPU ran */
	u64 useful, overhead, busy;
};

struct smr_sums smr_sums_since(const struct smr_sums *now, const struct smr_sums *then);

/* Was there work for less than one and a half vCPUs? */
bool smr_is_lone(const struct smr_sums *d);

/* Enough has been done to judge it. @slice: a turn's, in host cycles. */
bool smr_window_is_over(const struct smr_sums *d, u64 slice);

/* Host cycles that what has been done would take if it was done by one after the other. */
s64 smr_serial_cycles(const struct smr_sums *d);

/*
 * Add what a window has gained, or lost, to @credit, of which at most @max is kept.
 * Returns true if that much is reached.
 */
bool smr_add_gain(s64 *credit, const struct smr_sums *d, s64 max);

#endif /* SMR_POLICY_H */
