/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Positions in a recording, as people name them: a commit, a place in its chunk, a time, a
 * line of the guest's console.
 *
 * A recording tells the time when it writes log to the file, ten times a second or more
 * often.  In between commits count as equally long.
 */
#ifndef SMR_SEEK_H
#define SMR_SEEK_H

#include "smr_file.h"

enum smr_seek_kind {
	SMR_AT_COMMIT,		/* after this commit, 0: the beginning */
	SMR_AT_PLACE,		/* in the chunk of this commit */
	SMR_AT_TIME,		/* so many milliseconds after the start */
	SMR_AT_LINE,		/* after the first commit by which so many lines are whole */
};

struct smr_seek {
	enum smr_seek_kind kind;
	u64 n;
	/* A place: where so many branches are done for the first time, ... */
	u64 branches;		/* conditional ones */
	u64 jumps;		/* near ones that were taken */
	u64 rip;		/* ... and then this instruction is the next; 0: any */
};

/*
 * "N", "N+BRANCHES[+JUMPS][@RIP]" with a RIP that begins with 0x, "time:SECONDS" with at most three
 * decimals, "line:N".  Returns false for anything else.
 */
bool smr_seek_parse(const char *text, struct smr_seek *p);

/* The last commit up to @ms after the start; a time behind the end is the last commit. */
u64 smr_commit_at(const struct smr_reader *r, u64 ms);
/* ... and when that was.  The beginning and the end are exact. */
u64 smr_time_of(const struct smr_reader *r, u64 commit);

#endif /* SMR_SEEK_H */
