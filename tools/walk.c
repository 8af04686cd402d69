// SPDX-License-Identifier: GPL-2.0
#include "samsara.h"

#include "smr_check.h"

#define PROGRESS_EVENTS	1024u	/* a look at the clock is cheap, but not free */

static int advance(struct walk *w, struct head *h, struct smr_err *err)
{
	struct smr_err e;
	int ret = smr_log_next(h->log, &h->rec, &h->bytes, &h->len, &e);

	h->have = ret > 0;
	if (ret >= 0)
		return 0;
	if (ret == SMR_FILE_EDAMAGED || ret == SMR_FILE_ERECORD) {
		if (!w->damage.code || e.offset < w->damage.offset)
			w->damage = e;
		return 0;
	}
	*err = e;
	return ret;
}

static void begin(struct walk *w, const struct smr_reader *r)
{
	struct smr_totals t;

	smr_reader_totals(r, &t);
	memset(w, 0, sizeof(*w));
	w->nr = smr_reader_info(r)->nr_vcpus + 1;
	w->stale = -1;
	w->expected = 1;
	w->size = t.file_bytes;
}

int walk_open_stream(struct walk *w, const struct smr_reader *r, u32 stream, u64 limit,
		     struct smr_err *err)
{
	int ret;

	begin(w, r);
	ret = smr_log_open(&w->head[stream].log, r, stream, limit, err);
	if (!ret)
		ret = advance(w, &w->head[stream], err);
	if (ret)
		walk_close(w);
	return ret;
}

int walk_open(struct walk *w, const struct smr_reader *r, u64 limit,
	      const struct smr_images *images, struct smr_err *err)
{
	int ret = 0;
	u32 i;

	begin(w, r);
	for (i = 0; !ret && i < w->nr; i++) {
		ret = smr_log_open(&w->head[i].log, r, i, limit, err);
		if (!ret)
			ret = smr_log_use_images(w->head[i].log, images, err);
		if (!ret)
			ret = advance(w, &w->head[i], err);
	}
	if (ret)
		walk_close(w);
	return ret;
}

void walk_close(struct walk *w)
{
	u32 i;

	for (i = 0; i < w->nr; i++)
		smr_log_close(w->head[i].log);
	w->nr = 0;
	progress_end();
}

/* What has no number comes before all that have one, or, if it is an end, behind them. */
static u64 rank(const struct smr_record *r)
{
	if (smr_is_commit(r->type))
		return r->commit_seq;
	return smr_is_end(r->type) ? U64_MAX : 0;
}

static int choose(const struct walk *w)
{
	u64 best = 0, this;
	int found = -1;
	u32 i;

	for (i = 0; i < w->nr; i++) {
		if (!w->head[i].have)
			continue;
		this = rank(&w->head[i].rec);
		if (found < 0 || this < best) {
			best = this;
			found = (int)i;
		}
	}
	return found;
}

static void check_inputs(struct head *h, struct event *ev)
{
	struct smr_cursor c = { .p = h->rec.data, .end = h->rec.data + h->rec.data_len };
	struct smr_item item;
	int ret;

	while ((ret = smr_next_item(&c, &h->tsc, &item)) > 0)
		ev->nr_inputs++;
	ev->inputs_bad = ret < 0;
}

/* The stream that is farthest in the file: some are short. */
static void tell_progress(const struct walk *w)
{
	u64 offset, done = 0;
	u32 i;

	for (i = 0; i < w->nr; i++) {
		offset = w->head[i].log ? smr_log_offset(w->head[i].log) : 0;
		done = offset > done ? offset : done;
	}
	progress(done, w->size);
}

int walk_next(struct walk *w, struct event *ev, struct smr_err *err)
{
	struct head *h;
	int i, ret;
	u64 tsc;

	if (!w->silent && ++w->events % PROGRESS_EVENTS == 0)
		tell_progress(w);
	if (w->stale >= 0) {
		ret = advance(w, &w->head[w->stale], err);
		if (ret)
			return ret;
	}
	i = choose(w);
	w->stale = i;
	if (i < 0)
		return 0;
	h = &w->head[i];
	memset(ev, 0, sizeof(*ev));
	ev->stream = (u32)i;
	ev->vm = (u32)i == w->nr - 1;
	ev->offset = smr_log_offset(h->log);
	ev->time_ms = smr_log_time(h->log);
	ev->bytes = h->bytes;
	ev->len = h->len;
	ev->rec = &h->rec;
	ev->tsc = h->tsc;
	if (smr_is_commit(h->rec.type)) {
		if (h->rec.commit_seq != w->expected && !w->missing)
			w->missing = w->expected;
		w->expected = h->rec.commit_seq + 1;
	}
	tsc = h->tsc;
	ev->impossible = smr_check_record(&h->rec, &tsc);
	if (h->rec.type == SMR_CHUNK || h->rec.type == SMR_SECTION)
		check_inputs(h, ev);
	w->inputs_bad |= ev->inputs_bad;
	return 1;
}

int walk_status(const struct walk *w, const struct smr_reader *r, const char *shown)
{
	const struct smr_err *damage = smr_reader_damage(r);

	if (w->missing)
		fprintf(stderr, "samsara: %s: commit %llu is missing\n", shown, ULL(w->missing));
	if (w->damage.code && (!damage || w->damage.offset < damage->offset))
		damage = &w->damage;
	if (damage)
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(damage));
	return damage || w->missing || w->inputs_bad ? EXIT_DAMAGED : EXIT_OK;
}
