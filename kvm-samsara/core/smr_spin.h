/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Does a guest spin?  It is looked at now and then: the registers of one that waits in a
 * loop for another processor repeat, those of one that works do not.  About speed only; no
 * state but what is given.
 */
#ifndef SMR_SPIN_H
#define SMR_SPIN_H

#include "smr_port.h"

/* General registers that are compared; where in the loop they are does not matter. */
#define SMR_SPIN_REGS		16
/* Host cycles between looks that are close to each other. */
#define SMR_SPIN_CLOSE		2000
/* Looks that a look is compared with: a loop has a few states. */
#define SMR_SPIN_SEEN		4

/* What was seen of a vCPU. */
struct smr_seen {
	u64 rip;
	u64 regs[SMR_SPIN_REGS];
};

struct smr_spin {
	struct smr_seen seen[SMR_SPIN_SEEN];	/* the last ones */
	u32 at;			/* the oldest of them */
	u32 close;		/* looks in a row that have come soon after another */
	u32 repeated;		/* of them, those that have shown nothing new */
	u64 interval;		/* host cycles from one such series to the next */
	u64 usual;		/* host cycles from one wait to the next, on average */
	u64 since;		/* the last one, about */
};

void smr_spin_init(struct smr_spin *spin);

/* What was seen so far is forgotten: the vCPU may be at the same place for another reason. */
void smr_spin_forget(struct smr_spin *spin);

/*
 * The vCPU is at @now.  Returns the host cycles until the next look; *@spins: it is the
 * end of a series of looks that have all shown the same.
 */
u64 smr_spin_look(struct smr_spin *spin, const struct smr_seen *now, bool *spins);

/*
 * A loop that goes through the kernel, as with sched_yield(): its registers do not repeat, since
 * the kernel counts time.  But it reads the time stamp counter, and each round has as many
 * branches as the one before.
 */
struct smr_rounds {
	u64 rip, rsp;		/* of a read of the time stamp counter */
	u64 branches;		/* conditional, retired until then */
	u64 length;		/* of the last round, in branches */
	u32 others;		/* reads elsewhere since */
	u32 same;		/* rounds in a row with that length, since it was found */
	u32 enough;		/* so many are a loop that waits */
	bool found;		/* it was one, with that length */
};

void smr_rounds_init(struct smr_rounds *rounds);

/* A read of the time stamp counter.  True: it belongs to a loop that waits. */
bool smr_rounds_read(struct smr_rounds *rounds, u64 rip, u64 rsp, u64 branches);

#endif /* SMR_SPIN_H */
