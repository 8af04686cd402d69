// SPDX-License-Identifier: GPL-2.0
/* samsara cut, samsara recover: the beginning of a recording, as a recording. */
#include "samsara.h"

/* Copies commits up to @limit, which is not more than can be replayed. */
static int copy_beginning(const struct options *o, struct smr_reader *r,
			  const struct smr_extent *x, u64 limit)
{
	struct smr_err err;

	if (copy_recording(r, x, NULL, limit, o->output, &err)) {
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
		return EXIT_UNREADABLE;
	}
	printf("%s: commits 1 to %llu of %llu were copied\n", o->shown, ULL(limit), ULL(x->seen));
	return EXIT_OK;
}

static int nothing_written(const struct options *o, const char *why)
{
	fprintf(stderr, "samsara: %s: %s, nothing was written\n", o->shown, why);
	return EXIT_UNREADABLE;
}

int cmd_cut(const struct options *o, struct smr_reader *r)
{
	struct smr_extent x;
	struct smr_err err;
	char why[64];

	if (!o->to || o->to == U64_MAX) {
		fprintf(stderr, "samsara: cut: which commit is the last? --to N, from 1 on\n");
		return EXIT_USAGE;
	}
	if (smr_reader_extent(r, &x, &err)) {
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
		return EXIT_UNREADABLE;
	}
	if (o->to > x.replayable) {
		snprintf(why, sizeof(why), "can be replayed to commit %llu", ULL(x.replayable));
		return nothing_written(o, x.replayable ? why : "nothing can be replayed");
	}
	return copy_beginning(o, r, &x, o->to);
}

int cmd_recover(const struct options *o, struct smr_reader *r)
{
	struct findings f = { 0 };
	struct smr_err err;
	int status;

	if (check_recording(r, &f, &err)) {
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
		return EXIT_UNREADABLE;
	}
	if (!f.x.initial || !f.x.replayable)
		return nothing_written(o, "nothing can be replayed");
	if (f.x.damage.code)
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&f.x.damage));
	status = copy_beginning(o, r, &f.x, f.x.replayable);
	return status == EXIT_OK ? extent_status(&f.x) : status;
}
