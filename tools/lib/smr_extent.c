// SPDX-License-Identifier: GPL-2.0
/* How much of a recording can be replayed. */
#include <stdlib.h>

#include "smr_reader.h"

/* The lowest offset counts. */
static void note_damage(struct smr_extent *x, const struct smr_err *err)
{
	if (!x->damage.code || err->offset < x->damage.offset)
		x->damage = *err;
}

static int count_ram(void *opaque, u64 gpa, const void *data, u32 len)
{
	u64 *bytes = opaque;

	(void)gpa;
	(void)data;
	*bytes += len;
	return 0;
}

static int check_initial_end(const struct smr_reader *r, const struct smr_segment *s, const u8 *p,
			     u64 ram_bytes, struct smr_err *err)
{
	const struct smr_blob *last = r->nr_blobs ? &r->blob[r->nr_blobs - 1] : NULL;

	if (last && last->have != last->total)
		return damaged(r, s, err, "blob %s: its end is missing", last->name);
	if (s->raw_len != I_SIZE || get_le(p + I_NR_BLOBS, 8) != r->nr_blobs ||
	    get_le(p + I_RAM_BYTES, 8) != ram_bytes)
		return damaged(r, s, err, "initial state: amount differs");
	return 0;
}

/* The streams are read record by record, and of blobs everything is known. */
static int check_segment(const struct smr_reader *r, u32 i, u8 *buf, u64 *ram_bytes,
			 struct smr_extent *x, struct smr_err *err)
{
	const struct smr_segment *s = &r->segment[i];
	int ret;

	if (s->type == SMR_SEG_STREAM) {
		x->duration_ns = s->time_ms * (u64)1000000;
		return 0;
	}
	if (s->type == SMR_SEG_BLOB)
		return 0;
	ret = smr_reader_payload(r, i, buf, err);
	if (ret)
		return ret;
	switch (s->type) {
	case SMR_SEG_RAM:
		return smr_ram_runs(r, s, buf, count_ram, ram_bytes, err);
	case SMR_SEG_INITIAL_END:
		return check_initial_end(r, s, buf, *ram_bytes, err);
	}
	return 0;
}

static int check_segments(const struct smr_reader *r, struct smr_extent *x, u8 *buf,
			  struct smr_err *err)
{
	u64 ram_bytes = 0;
	struct smr_err e;
	int ret;
	u32 i;

	if (r->blob_damage.code)
		note_damage(x, &r->blob_damage);
	for (i = 0; i < r->nr_segments; i++) {
		ret = check_segment(r, i, buf, &ram_bytes, x, &e);
		if (!ret)
			continue;
		if (!smr_is_damage(ret)) {
			if (err)
				*err = e;
			return ret;
		}
		note_damage(x, &e);
	}
	x->initial = r->initial_end != U64_MAX &&
		     (!x->damage.code || x->damage.offset > r->segment[r->initial_end].offset);
	return 0;
}

/* One stream while the streams are merged. */
struct head {
	struct smr_log *log;
	struct smr_record rec;
	bool have;		/* rec is the next commit */
	bool ended;		/* its last record was seen */
	u64 vm_end;		/* commits according to the VM's end */
	u64 bytes, records;
};

static int advance(struct head *h, struct smr_extent *x, struct smr_err *err)
{
	struct smr_err e;
	u32 len;
	int ret;

	do {
		ret = smr_log_next(h->log, &h->rec, NULL, &len, &e);
		h->have = ret > 0 && smr_is_commit(h->rec.type);
		if (ret > 0) {
			h->bytes += len;
			h->records++;
			h->ended = smr_is_end(h->rec.type);
		}
		if (ret > 0 && h->rec.type == SMR_VM_END)
			h->vm_end = h->rec.commit_seq;
		if (h->have && h->rec.commit_seq > x->seen)
			x->seen = h->rec.commit_seq;
	} while (ret > 0 && !h->have);
	if (ret < 0 && smr_is_damage(ret)) {
		note_damage(x, &e);
		return 0;
	}
	if (ret < 0 && err)
		*err = e;
	return ret < 0 ? ret : 0;
}

/* Which stream holds commit @n: its index; -1: none, or more than one. */
static int find_head(const struct head *h, u32 nr, u64 n)
{
	int found = -1;
	u32 i;

	for (i = 0; i < nr; i++) {
		if (!h[i].have || h[i].rec.commit_seq != n)
			continue;
		if (found >= 0)
			return -1;
		found = (int)i;
	}
	return found;
}

static int merge(struct head *h, u32 nr, struct smr_extent *x, struct smr_err *err)
{
	int i, ret;
	u32 k;

	for (k = 0; k < nr; k++) {
		ret = advance(&h[k], x, err);
		if (ret)
			return ret;
	}
	while ((i = find_head(h, nr, x->replayable + 1)) >= 0) {
		x->replayable++;
		ret = advance(&h[i], x, err);
		if (ret)
			return ret;
	}
	/* The rest is of no use, but its damage is worth telling. */
	for (k = 0; k < nr; k++) {
		while (h[k].have) {
			ret = advance(&h[k], x, err);
			if (ret)
				return ret;
		}
	}
	return 0;
}

static int check_trailer(const struct smr_reader *r, const struct head *h, u32 nr,
			 struct smr_extent *x, u8 *p, struct smr_err *err)
{
	const struct smr_segment *s = &r->segment[r->trailer];
	u32 i;
	int ret;

	ret = smr_reader_payload(r, r->trailer, p, err);
	if (ret)
		return ret;
	if (s->raw_len != T_SIZE + nr * T_PER_STREAM || get_le(p + T_NR_STREAMS, 4) != nr ||
	    get_le(p + T_COMMITS, 8) != x->seen)
		return damaged(r, s, err, "trailer: totals differ");
	for (i = 0; i < nr; i++) {
		if (get_le(p + T_SIZE + i * T_PER_STREAM, 8) != h[i].bytes ||
		    get_le(p + T_SIZE + i * T_PER_STREAM + 8, 8) != h[i].records)
			return damaged(r, s, err, "trailer: totals of stream %u differ", i);
	}
	x->duration_ns = get_le(p + T_DURATION, 8);
	return 0;
}

static bool all_ended(const struct head *h, u32 nr, const struct smr_extent *x)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (!h[i].ended)
			return false;
	}
	return h[nr - 1].vm_end == x->replayable && x->seen == x->replayable;
}

static int check_streams(const struct smr_reader *r, struct head *h, struct smr_extent *x,
			 u8 *buf, struct smr_err *err)
{
	u32 i, nr = r->info.nr_vcpus + 1;
	struct smr_err e;
	int ret;

	for (i = 0; i < nr; i++) {
		ret = smr_log_open(&h[i].log, r, i, U64_MAX, err);
		if (ret)
			return ret;
	}
	ret = merge(h, nr, x, err);
	if (ret)
		return ret;
	if (r->trailer != U64_MAX && !x->damage.code && check_trailer(r, h, nr, x, buf, &e))
		note_damage(x, &e);
	x->trailer = r->trailer != U64_MAX && !x->damage.code;
	x->ended = all_ended(h, nr, x);
	x->complete = !x->damage.code && x->ended;
	return 0;
}

int smr_reader_extent(const struct smr_reader *r, struct smr_extent *x, struct smr_err *err)
{
	u32 i, nr = r->info.nr_vcpus + 1;
	u8 *buf = malloc(r->largest);
	struct head *h = calloc(nr, sizeof(*h));
	int ret;

	memset(x, 0, sizeof(*x));
	x->damage = r->damage;
	if (!buf || !h) {
		ret = smr_fail(err, SMR_FILE_EMEM, r->path, 0, "out of memory");
	} else {
		ret = check_segments(r, x, buf, err);
		if (!ret)
			ret = check_streams(r, h, x, buf, err);
	}
	for (i = 0; h && i < nr; i++)
		smr_log_close(h[i].log);
	free(h);
	free(buf);
	if (!x->initial) {
		x->replayable = 0;
		x->ended = false;
	}
	return ret;
}
