/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hot spots: over which pages, and at which instructions, something happened most often.  A
 * table of fixed size, in which those that are met seldom make room: a sample, about which
 * nothing depends on.
 */
#ifndef SMR_HOT_H
#define SMR_HOT_H

#include "smr_port.h"

/* In a set are those that compete for the same room. */
#define SMR_HOT_SETS	64
#define SMR_HOT_WAYS	4
#define SMR_HOT_SPOTS	(SMR_HOT_SETS * SMR_HOT_WAYS)

struct smr_hot {
	/* These tell one from another: */
	u64 ram;	/* RAM address of the page */
	u64 rip;
	u32 kind;
	u32 weight;	/* how often it was met, and what it took the room of; 0: free */
	u64 linear;	/* address on the page, the last time that one was known; 0: none */
	u64 count;	/* since it is there */
	u64 cycles;	/* that it has cost */
};

/* @what has happened: @what->count times, with @what->cycles. */
void smr_hot_add(struct smr_hot table[SMR_HOT_SPOTS], const struct smr_hot *what);

#endif /* SMR_HOT_H */
