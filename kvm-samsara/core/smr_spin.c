// SPDX-License-Identifier: GPL-2.0
#include "smr_spin.h"

/*
 * Looks come in pairs, or more if the second shows what was seen before.  So many repetitions
 * in a row are a loop.
 */
#define ENOUGH_REPETITIONS	2
/*
 * From one pair to the next.  If a vCPU works for w cycles from one wait to the next, is looked
 * at n times, and each time costs c, then n * c is lost, and half an interval of the
 * wait, w / (2 * n): the least is lost with an interval of the square root of 2 * c * w.
 */
#define MIN_INTERVAL_CYCLES	(8 * SMR_SPIN_CLOSE)
#define MAX_INTERVAL_CYCLES	(256 * SMR_SPIN_CLOSE)
#define LOOK_CYCLES		1500
/* Before anything is known. */
#define FIRST_WAIT_CYCLES	4000000
/* One part of the average is the last one. */
#define AVERAGE_PART		4
/* Bytes of code that a loop may have. */
#define LOOP_BYTES		1024

/*
 * Rounds that are enough: twice as many each time, so that what only looks like a loop that
 * waits loses little, and a quarter if that has helped: the loop is over when the others have
 * had their turn.  Who waits, works, and waits again is then seen early in each wait; threads
 * that yield to each other while they work are not.
 */
#define MIN_ROUNDS		16
#define MAX_ROUNDS		256
/* A round has so many reads, at most. */
#define MAX_READS		8

static u64 square_root(u64 v)
{
	u64 root = 0, bit;

	for (bit = 1ull << 31; bit; bit /= 2)
		if ((root + bit) * (root + bit) <= v)
			root += bit;
	return root;
}

static void set_interval(struct smr_spin *spin)
{
	u64 wait = smr_max(spin->usual, spin->since);
	u64 interval = square_root(2 * LOOK_CYCLES * wait);

	spin->interval = smr_min(smr_max(interval, MIN_INTERVAL_CYCLES), MAX_INTERVAL_CYCLES);
}

void smr_spin_forget(struct smr_spin *spin)
{
	memset(spin->seen, 0, sizeof(spin->seen));
	spin->close = 0;
	spin->repeated = 0;
}

void smr_spin_init(struct smr_spin *spin)
{
	*spin = (struct smr_spin) { .usual = FIRST_WAIT_CYCLES };
	set_interval(spin);
}

static bool same(const struct smr_seen *a, const struct smr_seen *b)
{
	u64 diff = 0;
	u32 i;

	if (a->rip - b->rip + LOOP_BYTES > 2 * LOOP_BYTES)
		return false;
	for (i = 0; i < SMR_SPIN_REGS; i++)
		diff |= a->regs[i] ^ b->regs[i];
	return !diff;
}

/* Has it been there before?  It has now. */
static bool repeats(struct smr_spin *spin, const struct smr_seen *now)
{
	bool ret = false;
	u32 i;

	for (i = 0; i < SMR_SPIN_SEEN && !ret; i++)
		ret = same(&spin->seen[i], now);
	spin->seen[spin->at] = *now;
	spin->at = (spin->at + 1) % SMR_SPIN_SEEN;
	return ret;
}

static u64 end_series(struct smr_spin *spin, bool spins)
{
	spin->close = 0;
	spin->repeated = 0;
	if (!spins) {
		spin->since += spin->interval;
	} else if (spin->since) {
		/* Or it is the same wait still. */
		spin->usual += spin->since / AVERAGE_PART - spin->usual / AVERAGE_PART;
		spin->since = 0;
	}
	set_interval(spin);
	return spins ? MIN_INTERVAL_CYCLES : spin->interval;
}

u64 smr_spin_look(struct smr_spin *spin, const struct smr_seen *now, bool *spins)
{
	bool repeated = repeats(spin, now);

	*spins = false;
	if (repeated && ++spin->repeated == ENOUGH_REPETITIONS) {
		*spins = true;
		return end_series(spin, true);
	}
	/* The first one of a series has nothing to be compared with, as a rule. */
	if (!spin->close++ || repeated)
		return SMR_SPIN_CLOSE;
	return end_series(spin, false);
}

/* No more rounds like those before. */
static void end_rounds(struct smr_rounds *rounds)
{
	if (rounds->found && !rounds->same)
		rounds->enough = smr_max(rounds->enough / 4, MIN_ROUNDS);
	rounds->found = false;
	rounds->same = 0;
}

/* The loop, if there is one, is another one: it begins here. */
static void begin_rounds(struct smr_rounds *rounds, u64 rip, u64 rsp, u64 branches)
{
	end_rounds(rounds);
	rounds->rip = rip;
	rounds->rsp = rsp;
	rounds->branches = branches;
	rounds->length = 0;
	rounds->others = 0;
}

void smr_rounds_init(struct smr_rounds *rounds)
{
	*rounds = (struct smr_rounds) { .enough = MIN_ROUNDS };
}

bool smr_rounds_read(struct smr_rounds *rounds, u64 rip, u64 rsp, u64 branches)
{
	u64 length = branches - rounds->branches;

	if (rip != rounds->rip || rsp != rounds->rsp) {
		if (++rounds->others >= MAX_READS)
			begin_rounds(rounds, rip, rsp, branches);
		return false;
	}
	rounds->others = 0;
	rounds->branches = branches;
	if (length != rounds->length) {
		end_rounds(rounds);
		rounds->length = length;
		return false;
	}
	if (++rounds->same < rounds->enough)
		return false;
	rounds->same = 0;
	rounds->found = true;
	rounds->enough = smr_min(2 * rounds->enough, MAX_ROUNDS);
	return true;
}
