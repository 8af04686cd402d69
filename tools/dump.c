// SPDX-License-Identifier: GPL-2.0
/* samsara dump */
#include "samsara.h"

static bool wanted(const struct options *o, const struct event *ev)
{
	if (o->stream == VM_STREAM ? !ev->vm : o->stream >= 0 &&
	    (ev->vm || ev->stream != (u32)o->stream))
		return false;
	if (!smr_is_commit(ev->rec->type))
		return !o->from && o->to == U64_MAX;
	return ev->rec->commit_seq >= o->from && ev->rec->commit_seq <= o->to;
}

int cmd_dump(const struct options *o, struct smr_reader *r)
{
	const struct smr_err *damage = smr_reader_damage(r);
	struct walk w;
	struct event ev;
	struct json j = { .f = stdout };
	struct smr_err err;
	u64 expected = 1;
	int ret, status = EXIT_OK;

	if (o->stream >= (int)smr_reader_info(r)->nr_vcpus) {
		fprintf(stderr, "samsara: %s: no vCPU %d\n", o->shown, o->stream);
		return EXIT_USAGE;
	}
	ret = walk_open(&w, r, U64_MAX, NULL, &err);
	while (!ret && (ret = walk_next(&w, &ev, &err)) > 0) {
		ret = 0;
		if (smr_is_commit(ev.rec->type) && ev.rec->commit_seq != expected) {
			fprintf(stderr, "samsara: %s: commit %llu is missing\n", o->shown,
				ULL(expected));
			status = EXIT_DAMAGED;
		}
		if (smr_is_commit(ev.rec->type))
			expected = ev.rec->commit_seq + 1;
		if (ev.inputs_bad)
			status = EXIT_DAMAGED;
		if (!wanted(o, &ev))
			continue;
		if (o->json)
			json_event(&j, NULL, &ev);
		else
			print_event(&ev);
	}
	walk_close(&w);
	if (ret < 0) {
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
		return EXIT_UNREADABLE;
	}
	if (w.damage.code && (!damage || w.damage.offset < damage->offset))
		damage = &w.damage;
	if (damage) {
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(damage));
		status = EXIT_DAMAGED;
	}
	return status;
}
