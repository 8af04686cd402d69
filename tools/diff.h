/* SPDX-License-Identifier: GPL-2.0 */
/* samsara diff: what its parts share. */
#ifndef DIFF_H
#define DIFF_H

#include "samsara.h"

/* One of the two recordings. */
struct side {
	const char *shown;
	struct smr_reader *r;
	struct smr_extent x;
	struct walk walk;
	struct event ev;
	bool have;		/* ev is the next record */
};

struct diff {
	struct side side[2];
	struct json *j;		/* NULL: for people */
	bool differ;
	const struct symbols *symbols;
};

/* What the guests begin with.  0, or an error. */
int diff_begin(struct diff *d, struct smr_err *err);

#endif /* DIFF_H */
