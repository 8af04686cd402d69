// SPDX-License-Identifier: GPL-2.0
/* samsara dump */
#include <unistd.h>

#include "samsara.h"

static bool wanted(const struct options *o, const struct event *ev)
{
	if (o->stream == VM_STREAM ? !ev->vm : o->stream >= 0 &&
	    (ev->vm || ev->stream != (u32)o->stream))
		return false;
	if (!smr_is_commit(ev->rec->type))
		return !o->from && o->to == U64_MAX;
	return in_range(o, ev->rec->commit_seq);
}

int cmd_dump(const struct options *o, struct smr_reader *r)
{
	struct json j = { .f = stdout };
	struct walk w;
	struct event ev;
	struct smr_err err;
	int ret;

	if (o->stream >= (int)smr_reader_info(r)->nr_vcpus) {
		fprintf(stderr, "samsara: %s: no vCPU %d\n", o->shown, o->stream);
		return EXIT_USAGE;
	}
	ret = walk_open(&w, r, U64_MAX, NULL, &err);
	/* The lines show it. */
	w.silent = isatty(STDOUT_FILENO);
	while (!ret && (ret = walk_next(&w, &ev, &err)) > 0) {
		ret = 0;
		if (!wanted(o, &ev))
			continue;
		if (o->json)
			json_event(&j, NULL, &ev, o->symbols);
		else
			print_event(&ev, o->symbols);
	}
	walk_close(&w);
	if (!ret)
		return walk_status(&w, r, o->shown);
	fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
	return EXIT_UNREADABLE;
}
