// SPDX-License-Identifier: GPL-2.0
/*
 * Hot spots.  What is met for the first time takes the place of the one in its set that was met
 * least, and has its weight: so those that come back often stay, whatever comes in between
 * (Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements
 * in Data Streams", ICDT 2005).  Counts are of their own, and so not too high.
 */
#include "smr_hot.h"

static u32 set_of(const struct smr_hot *what)
{
	u64 hash = (what->ram >> 12 ^ what->rip << 20 ^ what->kind) * 0x9e3779b97f4a7c15ull;

	return (u32)(hash >> 32) % SMR_HOT_SETS;
}

static bool is_same(const struct smr_hot *a, const struct smr_hot *b)
{
	return a->ram == b->ram && a->rip == b->rip && a->kind == b->kind;
}

void smr_hot_add(struct smr_hot table[SMR_HOT_SPOTS], const struct smr_hot *what)
{
	struct smr_hot *set = &table[set_of(what) * SMR_HOT_WAYS], *at = set;
	u32 i, weight;

	for (i = 0; i < SMR_HOT_WAYS; i++) {
		if (set[i].weight && is_same(&set[i], what)) {
			at = &set[i];
			break;
		}
		if (set[i].weight < at->weight)
			at = &set[i];
	}
	if (i == SMR_HOT_WAYS) {
		weight = at->weight;
		*at = *what;
		at->weight = weight;
		at->count = 0;
		at->cycles = 0;
	}
	if (at->weight < 0xffffffffu)
		at->weight++;
	at->count += what->count;
	at->cycles += what->cycles;
	if (what->linear)
		at->linear = what->linear;
}
