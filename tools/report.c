// SPDX-License-Identifier: GPL-2.0
/* samsara report: what a guest has done, in numbers. */
#include <stdlib.h>

#include "report.h"

static u32 bits(u64 v)
{
	return v ? 64 - (u32)__builtin_clzll(v) : 0;
}

static void survey_chunk(struct survey *s, const struct smr_record *r)
{
	s->end[r->end <= SMR_END_TOUCH ? r->end : SMR_END_TOUCH + 1]++;
	s->beside[bits(r->commit_seq - 1 - r->start_seq)]++;
	if (r->end != SMR_END_ASYNC)
		return;
	s->length[bits(r->pos.branches)]++;
	positions_add(s->positions, r->pos.rip);
}

static void survey_event(struct survey *s, const struct event *ev)
{
	const struct smr_record *r = ev->rec;

	count_event(&s->stream[ev->stream], ev);
	s->commits += smr_is_commit(r->type);
	if (r->flags & SMR_F_EVENT)
		s->event[r->event.intr_info >> 8 & 7][r->event.intr_info & 0xff]++;
	switch (r->type) {
	case SMR_CHUNK:
		survey_chunk(s, r);
		break;
	case SMR_DMA:
		s->dma += r->data_len;
		break;
	case SMR_DMA_REF:
		s->dma_named += r->dma_len;
		break;
	case SMR_MAP:
		s->map += r->data_len;
		break;
	case SMR_STATE:
		s->state += r->data_len;
		break;
	}
}

/* Returns an exit status. */
static int survey(struct survey *s, const struct options *o, struct smr_reader *r)
{
	struct smr_err err;
	struct event ev;
	struct walk w;
	int ret = walk_open(&w, r, U64_MAX, NULL, &err);

	while (!ret && (ret = walk_next(&w, &ev, &err)) > 0) {
		ret = 0;
		survey_event(s, &ev);
	}
	walk_close(&w);
	if (!ret)
		return walk_status(&w, r, o->shown);
	fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
	return EXIT_UNREADABLE;
}

static bool write_html(const struct report *rep)
{
	FILE *f = open_output(rep->o->html);

	if (!f)
		return false;
	report_html(rep, f);
	return close_output(f, rep->o->html);
}

static int print(struct report *rep)
{
	if (!report_tables(rep)) {
		perror("samsara");
		return EXIT_UNREADABLE;
	}
	if (rep->o->json)
		report_json(rep);
	else if (!rep->o->html)
		report_text(rep);
	return rep->o->html && !write_html(rep) ? EXIT_UNREADABLE : EXIT_OK;
}

int cmd_report(const struct options *o, struct smr_reader *r)
{
	struct report rep = { .o = o, .s = calloc(1, sizeof(*rep.s)) };
	int status = EXIT_UNREADABLE, printed;
	u32 i;

	if (rep.s) {
		rep.s->positions = positions_new(o->symbols);
		rep.s->hot = hot_new(r, o->symbols);
	}
	if (!rep.s || !rep.s->positions || !rep.s->hot) {
		perror("samsara");
	} else {
		rep.s->nr_vcpus = smr_reader_info(r)->nr_vcpus;
		smr_reader_totals(r, &rep.totals);
		status = survey(rep.s, o, r);
		printed = status == EXIT_UNREADABLE ? EXIT_OK : print(&rep);
		if (printed)
			status = printed;
	}
	if (rep.s) {
		positions_free(rep.s->positions);
		hot_free(rep.s->hot);
	}
	for (i = 0; i < NR_TABLES; i++)
		free(rep.table[i].row);
	free(rep.s);
	return status;
}
