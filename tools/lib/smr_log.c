// SPDX-License-Identifier: GPL-2.0
/* Reading one stream of a recording file, record by record. */
#include <stdlib.h>

#include "smr_reader.h"

struct smr_log {
	const struct smr_reader *r;
	u32 stream;
	u64 limit;
	u32 next;		/* index of the segment to read next */
	u32 current;		/* of the one in buf */
	u8 *buf;
	u32 room;		/* bytes allocated, grows to the longest segment */
	u32 len, pos;
	u64 first, last;	/* commits seen in the current segment */
	struct smr_stream state;
	bool after_end;		/* a record that ends the stream was seen */
	bool at_limit;
	struct smr_err error;	/* the first one; what follows is the same */
	const u8 *rest;		/* smr_log_read(): of the current record */
	u32 rest_len;
	const struct smr_images *images;	/* NULL: references stay what they are */
	u8 *filled;		/* SMR_DMA_MAX bytes, then SMR_RECORD_MAX for the record with them */
};

int smr_log_open(struct smr_log **out, const struct smr_reader *r, u32 stream, u64 limit,
		 struct smr_err *err)
{
	struct smr_log *l;

	*out = NULL;
	if (stream > r->info.nr_vcpus)
		return smr_fail(err, SMR_FILE_EINVAL, r->path, 0, "no stream %u", stream);
	l = calloc(1, sizeof(*l));
	if (!l)
		return smr_fail(err, SMR_FILE_EMEM, r->path, 0, "out of memory");
	l->r = r;
	l->stream = stream;
	l->limit = limit;
	l->next = r->chain[stream].first;
	*out = l;
	return 0;
}

void smr_log_close(struct smr_log *l)
{
	if (!l)
		return;
	free(l->buf);
	free(l->filled);
	free(l);
}

int smr_log_use_images(struct smr_log *l, const struct smr_images *images, struct smr_err *err)
{
	if (!images)
		return 0;
	l->filled = malloc(SMR_DMA_MAX + SMR_RECORD_MAX);
	if (!l->filled)
		return smr_fail(err, SMR_FILE_EMEM, l->r->path, 0, "out of memory");
	l->images = images;
	return 0;
}

u64 smr_log_offset(const struct smr_log *l)
{
	return l->buf ? l->r->segment[l->current].offset : 0;
}

u32 smr_log_time(const struct smr_log *l)
{
	return l->buf ? l->r->segment[l->current].time_ms : 0;
}

const struct smr_stream *smr_log_state(const struct smr_log *l)
{
	return &l->state;
}

/* Loads the stream's next segment.  1; 0: there is none; error. */
static int load(struct smr_log *l, struct smr_err *err)
{
	const struct smr_reader *r = l->r;
	const struct smr_segment *s;
	int ret;

	if (l->next == SMR_NO_SEGMENT)
		return 0;
	s = &r->segment[l->next];
	if (s->raw_len > l->room) {
		free(l->buf);
		l->buf = malloc(s->raw_len);
		l->room = l->buf ? s->raw_len : 0;
		if (!l->buf)
			return smr_fail(err, SMR_FILE_EMEM, r->path, s->offset, "out of memory");
	}
	ret = smr_reader_payload(r, l->next, l->buf, err);
	if (ret)
		return ret;
	l->current = l->next;
	l->next = s->next;
	l->len = s->raw_len;
	l->pos = 0;
	l->first = l->last = 0;
	return 1;
}

static int bad_record(const struct smr_log *l, const char *what, struct smr_err *err)
{
	return seg_fail(l->r, &l->r->segment[l->current], err, SMR_FILE_ERECORD,
			"stream %u: %s at byte %u of its payload", l->stream, what, l->pos);
}

/* The segment's header says which commits it holds. */
static int check_hint(const struct smr_log *l, struct smr_err *err)
{
	const struct smr_segment *s;

	if (!l->buf || l->pos != l->len)
		return 0;
	s = &l->r->segment[l->current];
	if (s->first != l->first || s->last != l->last)
		return damaged(l->r, s, err, "commits differ from its header");
	return 0;
}

static void note_record(struct smr_log *l, const struct smr_record *rec)
{
	l->after_end = smr_is_end(rec->type);
	if (!smr_is_commit(rec->type))
		return;
	if (!l->first)
		l->first = rec->commit_seq;
	l->last = rec->commit_seq;
}

static int take_record(struct smr_log *l, struct smr_record *rec, int len, struct smr_err *err)
{
	struct smr_stream state = l->state;
	bool vm_stream = l->stream == l->r->info.nr_vcpus;

	if (l->after_end)
		return bad_record(l, "record after the end", err);
	if (len <= 0 || smr_decode(&state, l->buf + l->pos, (u32)len, rec))
		return bad_record(l, "no record", err);
	if (!smr_type_fits_stream(rec->type, vm_stream))
		return bad_record(l, "record of another kind of stream", err);
	if (smr_is_commit(rec->type) && rec->commit_seq > l->limit) {
		l->at_limit = true;
		return 0;
	}
	l->state = state;
	note_record(l, rec);
	l->pos += (u32)len;
	return 1;
}

/* A record that names its bytes: with them, coded as if they had been there. */
static int fill_in(struct smr_log *l, const struct smr_stream *before, struct smr_record *rec,
		   const u8 **bytes, u32 *len, struct smr_err *err)
{
	struct smr_buf b = { .p = l->filled + SMR_DMA_MAX, .size = SMR_RECORD_MAX };
	const struct smr_record ref = *rec;
	struct smr_stream state = *before;
	int ret;

	ret = smr_images_fill(l->images, &ref, l->filled, rec, err);
	if (ret)
		return ret;
	if (smr_encode(&state, rec, &b))
		return bad_record(l, "reference that is too long", err);
	if (bytes)
		*bytes = b.p;
	if (len)
		*len = b.len;
	return 1;
}

static int next_record(struct smr_log *l, struct smr_record *rec, const u8 **bytes, u32 *len,
		       struct smr_err *err)
{
	struct smr_stream before = l->state;
	u32 start;
	int ret;

	if (l->at_limit)
		return 0;
	if (l->pos == l->len) {
		ret = check_hint(l, err);
		if (!ret)
			ret = load(l, err);
		if (ret <= 0)
			return ret;
	}
	start = l->pos;
	ret = take_record(l, rec, smr_peek(l->buf + l->pos, l->len - l->pos), err);
	if (ret > 0 && bytes)
		*bytes = l->buf + start;
	if (ret > 0 && len)
		*len = l->pos - start;
	if (ret > 0 && rec->type == SMR_DMA_REF && l->images)
		return fill_in(l, &before, rec, bytes, len, err);
	return ret;
}

int smr_log_next(struct smr_log *l, struct smr_record *rec, const u8 **bytes, u32 *len,
		 struct smr_err *err)
{
	int ret;

	if (!l->error.code) {
		ret = next_record(l, rec, bytes, len, &l->error);
		if (ret >= 0)
			return ret;
		/* Whoever set a limit knows that what comes before it is whole. */
		if (l->limit != U64_MAX && smr_is_damage(ret)) {
			l->error.code = 0;
			l->at_limit = true;
			return 0;
		}
	}
	if (err)
		*err = l->error;
	return l->error.code;
}

int smr_log_read(struct smr_log *l, void *buf, u32 size, struct smr_err *err)
{
	struct smr_record rec;
	u32 done = 0, n;
	int ret;

	if (size > 0x7fffffffu)
		size = 0x7fffffffu;
	while (done < size) {
		if (!l->rest_len) {
			ret = smr_log_next(l, &rec, &l->rest, &l->rest_len, err);
			if (ret < 0 && !done)
				return ret;
			if (ret <= 0)
				break;
		}
		n = l->rest_len < size - done ? l->rest_len : size - done;
		memcpy((u8 *)buf + done, l->rest, n);
		l->rest += n;
		l->rest_len -= n;
		done += n;
	}
	return (int)done;
}
