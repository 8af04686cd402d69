// SPDX-License-Identifier: GPL-2.0
/* samsara verify */
#include "samsara.h"
#include "smr_note.h"

/* They are not needed to replay, but something is wrong with the file. */
static void check_notes(struct findings *f, struct smr_reader *r)
{
	struct smr_note_place place;
	struct smr_notes *notes;
	struct smr_note note;
	struct smr_err err;
	int ret = smr_notes_open(&notes, r, &err);

	while (!ret && (ret = smr_notes_next(notes, &note, &place, &err)) > 0)
		ret = 0;
	if (ret && !f->x.damage.code)
		f->x.damage = err;
	smr_notes_close(notes);
}

/* Why the recording is not whole, besides damage. */
static const char *gap(const struct findings *f)
{
	if (f->x.damage.code || f->bad.field)
		return NULL;
	if (!f->x.initial)
		return "the initial state is not complete";
	if (f->x.seen > f->x.replayable)
		return "a commit is missing";
	if (!f->x.complete)
		return f->x.trailer ? "it has no end: it was cut" :
				      "the recorder was stopped before the end";
	return f->x.trailer ? NULL : "the recorder did not close the file";
}

static void print_bad(const struct findings *f, const struct options *o, struct smr_reader *r)
{
	printf("%s: commit %llu, ", o->shown, ULL(f->bad.commit));
	if (f->bad.stream == smr_reader_info(r)->nr_vcpus)
		printf("device: ");
	else
		printf("vCPU %u: ", f->bad.stream);
	if (f->bad.inputs)
		printf("inputs can't be decoded\n");
	else
		printf("%s: KVM can't have produced it\n", f->bad.field);
}

static void print_text(const struct findings *f, const struct options *o, struct smr_reader *r,
		       int status)
{
	const struct smr_extent *x = &f->x;
	const char *why = gap(f);

	if (x->damage.code)
		printf("%s\n", smr_file_errstr(&x->damage));
	if (f->bad.field)
		print_bad(f, o, r);
	if (why)
		printf("%s: %s\n", o->shown, why);
	if (status == EXIT_UNREADABLE)
		printf("%s: nothing can be replayed\n", o->shown);
	else if (status == EXIT_DAMAGED)
		printf("%s: replayable to commit %llu of %llu\n", o->shown, ULL(x->replayable),
		       ULL(x->seen));
	else
		printf("%s: ok: %llu segments, %llu records, %llu inputs, %llu commits\n", o->shown,
		       ULL(smr_reader_nr_segments(r)), ULL(f->records), ULL(f->inputs),
		       ULL(x->seen));
}

static void print_json(const struct findings *f, struct smr_reader *r, int status)
{
	struct json j = { .f = stdout, .lines = true };
	const struct smr_extent *x = &f->x;
	const char *why = gap(f);

	json_open(&j, NULL, '{');
	json_bool(&j, "ok", status == EXIT_OK);
	json_u64(&j, "replayable", x->replayable);
	json_u64(&j, "commits", x->seen);
	json_bool(&j, "initial", x->initial);
	json_bool(&j, "complete", x->complete);
	json_bool(&j, "trailer", x->trailer);
	json_u64(&j, "segments", smr_reader_nr_segments(r));
	json_u64(&j, "records", f->records);
	json_u64(&j, "inputs", f->inputs);
	if (f->bad.field) {
		json_u64(&j, "bad_commit", f->bad.commit);
		json_s64(&j, "bad_vcpu", f->bad.stream == smr_reader_info(r)->nr_vcpus ? -1 :
			 (s64)f->bad.stream);
		json_text(&j, "bad_field", f->bad.inputs ? "inputs" : f->bad.field);
	}
	if (x->damage.code) {
		json_text(&j, "damage", smr_file_errstr(&x->damage));
		json_u64(&j, "damage_offset", x->damage.offset);
	}
	if (why)
		json_text(&j, "gap", why);
	json_close(&j, '}');
}

int cmd_verify(const struct options *o, struct smr_reader *r)
{
	struct findings f = { 0 };
	struct smr_err err;
	int status;

	if (check_recording(r, &f, &err)) {
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
		return EXIT_UNREADABLE;
	}
	check_notes(&f, r);
	status = extent_status(&f.x);
	if (status == EXIT_OK && f.bad.field)
		status = EXIT_DAMAGED;
	if (o->json)
		print_json(&f, r, status);
	else
		print_text(&f, o, r, status);
	return status;
}
