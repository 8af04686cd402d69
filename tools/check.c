// SPDX-License-Identifier: GPL-2.0
/* How much of a recording can be replayed, as far as that can be told without a replay. */
#include "samsara.h"

static void note_bad(struct findings *f, const struct event *ev)
{
	if (f->bad.field)
		return;
	f->bad.field = ev->impossible;
	f->bad.commit = ev->rec->commit_seq;
	f->bad.stream = ev->stream;
	f->bad.inputs = ev->inputs_bad;
	if (f->bad.commit > f->x.replayable)
		return;
	f->x.replayable = f->bad.commit - 1;
	f->x.complete = false;
	f->x.ended = false;
}

static int check_records(struct findings *f, struct smr_reader *r, struct smr_err *err)
{
	struct walk w;
	struct event ev;
	int ret = walk_open(&w, r, U64_MAX, NULL, err);

	if (ret)
		return ret;
	while ((ret = walk_next(&w, &ev, err)) > 0) {
		f->records++;
		f->inputs += ev.nr_inputs;
		if (ev.impossible)
			note_bad(f, &ev);
	}
	walk_close(&w);
	return ret;
}

int check_recording(struct smr_reader *r, struct findings *f, struct smr_err *err)
{
	int ret = smr_reader_extent(r, &f->x, err);

	return ret ? ret : check_records(f, r, err);
}
