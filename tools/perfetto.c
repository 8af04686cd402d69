// SPDX-License-Identifier: GPL-2.0
/*
 * samsara export --perfetto: the log as a trace in the JSON format of Chrome's about:tracing,
 * which Perfetto reads.  Time is counted in commits, a microsecond each: a chunk lasts from the
 * commit after which it began to its own, and so shows which others it ran beside.  Nothing of
 * it needs more memory than a record.
 */
#include "samsara.h"

#define PROCESS		1u	/* all tracks belong to one */

struct trace {
	FILE *f;
	const struct options *o;
	u64 end[MAX_STREAMS];	/* where the last slice of a track ends */
	bool more;		/* there was an event before */
};

/* Begins an object in the array of events. */
static struct json event_of(struct trace *t, const char *phase, u32 track)
{
	struct json j = { .f = t->f };

	if (t->more)
		fputc(',', t->f);
	t->more = true;
	json_open(&j, NULL, '{');
	json_text(&j, "ph", phase);
	json_u64(&j, "pid", PROCESS);
	json_u64(&j, "tid", track + 1);
	return j;
}

static void name_thing(struct trace *t, const char *what, u32 track, const char *name)
{
	struct json j = event_of(t, "M", track);

	json_text(&j, "name", what);
	json_open(&j, "args", '{');
	json_text(&j, "name", name);
	json_close(&j, '}');
	json_close(&j, '}');
}

static void name_tracks(struct trace *t, u32 nr_vcpus)
{
	char name[16];
	u32 i;

	name_thing(t, "process_name", 0, t->o->file);
	for (i = 0; i < nr_vcpus; i++) {
		snprintf(name, sizeof(name), "vCPU %u", i);
		name_thing(t, "thread_name", i, name);
	}
	name_thing(t, "thread_name", nr_vcpus, "devices");
}

static void put_position(struct json *j, const struct smr_record *r, const struct symbols *symbols)
{
	char name[SYMBOL_TEXT];

	json_u64(j, "branches", r->pos.branches);
	json_u64(j, "jumps", r->pos.jumps);
	json_hex(j, "rip", r->pos.rip);
	if (symbols_text(symbols, r->pos.rip, name))
		json_text(j, "symbol", name);
	if (r->flags & SMR_F_RCX)
		json_hex(j, "rcx", r->pos.rcx);
}

/* The last time stamp that the vCPU has read in it. */
static void put_tsc(struct json *j, const struct event *ev)
{
	struct smr_cursor c = { .p = ev->rec->data, .end = ev->rec->data + ev->rec->data_len };
	struct smr_item item;
	bool found = false;
	u64 tsc = ev->tsc;

	while (smr_next_item(&c, &tsc, &item) > 0)
		found |= item.kind == SMR_IN_TSC;
	if (found)
		json_u64(j, "tsc", tsc);
}

static void put_arguments(struct json *j, const struct event *ev, const struct symbols *symbols)
{
	const struct smr_record *r = ev->rec;

	json_open(j, "args", '{');
	json_u64(j, "commit", r->commit_seq);
	if (r->type == SMR_CHUNK)
		json_u64(j, "start_seq", r->start_seq);
	if (r->type == SMR_CHUNK && r->end == SMR_END_ASYNC)
		put_position(j, r, symbols);
	if (r->type == SMR_CHUNK && r->end == SMR_END_TOUCH)
		json_hex(j, "page", r->gpa);
	if (r->flags & SMR_F_EVENT)
		json_u64(j, "vector", r->event.intr_info & 0xff);
	if (r->type == SMR_CHUNK || r->type == SMR_SECTION) {
		json_u64(j, "inputs", ev->nr_inputs);
		put_tsc(j, ev);
	}
	if (r->type == SMR_DMA || r->type == SMR_DMA_REF) {
		json_hex(j, "ram", r->gpa);
		json_u64(j, "bytes", r->dma_len);
	}
	json_close(j, '}');
}

/* What a vCPU gets at the start of a chunk. */
static void put_injected(struct trace *t, const struct event *ev, u64 at)
{
	char name[32];
	struct json j;

	if (!(ev->rec->flags & SMR_F_EVENT))
		return;
	snprintf(name, sizeof(name), "%s %u", event_kind(ev->rec->event.intr_info),
		 ev->rec->event.intr_info & 0xff);
	j = event_of(t, "i", ev->stream);
	json_text(&j, "name", name);
	json_text(&j, "s", "t");
	json_u64(&j, "ts", at);
	json_close(&j, '}');
}

/* Slices of a track don't overlap, whatever a record says. */
static u64 begin_of(const struct trace *t, const struct event *ev)
{
	const struct smr_record *r = ev->rec;
	u64 begin = r->type == SMR_CHUNK ? r->start_seq : r->commit_seq - 1;

	return begin > t->end[ev->stream] ? begin : t->end[ev->stream];
}

static void put_slice(struct trace *t, const struct event *ev)
{
	const struct smr_record *r = ev->rec;
	u64 begin = begin_of(t, ev);
	struct json j;

	t->end[ev->stream] = r->commit_seq;
	if (!in_range(t->o, r->commit_seq))
		return;
	put_injected(t, ev, begin);
	j = event_of(t, "X", ev->stream);
	json_text(&j, "name", r->type == SMR_CHUNK ? smr_end_name(r->end) : smr_type_name(r->type));
	json_text(&j, "cat", smr_type_name(r->type));
	json_u64(&j, "ts", begin);
	json_u64(&j, "dur", r->commit_seq - begin);
	put_arguments(&j, ev, t->o->symbols);
	json_close(&j, '}');
}

static int put_log(struct trace *t, struct smr_reader *r)
{
	struct smr_err err;
	struct event ev;
	struct walk w;
	int ret = walk_open(&w, r, U64_MAX, NULL, &err);

	while (!ret && (ret = walk_next(&w, &ev, &err)) > 0) {
		ret = 0;
		if (smr_is_commit(ev.rec->type))
			put_slice(t, &ev);
		if (ferror(t->f))
			break;
	}
	walk_close(&w);
	if (!ret)
		return walk_status(&w, r, t->o->shown);
	fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
	return EXIT_UNREADABLE;
}

int export_trace(const struct options *o, struct smr_reader *r)
{
	struct trace t = { .o = o };
	int status;

	if (o->images) {
		fprintf(stderr, "samsara: export --perfetto needs no --images\n");
		return EXIT_USAGE;
	}
	t.f = open_output(o->output);
	if (!t.f)
		return EXIT_UNREADABLE;
	fprintf(t.f, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n");
	name_tracks(&t, smr_reader_info(r)->nr_vcpus);
	status = put_log(&t, r);
	fprintf(t.f, "]}\n");
	return close_output(t.f, o->output) ? status : EXIT_UNREADABLE;
}
