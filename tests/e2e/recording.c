// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "recording.h"

static struct smr_err err;

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

void *alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		die("out of memory");
	return p;
}

static void check(int ret)
{
	if (ret < 0)
		die("%s", smr_file_errstr(&err));
}

bool is_commit(const struct entry *e)
{
	return smr_is_commit(e->rec.type);
}

static bool has_items(const struct entry *e)
{
	return e->rec.type == SMR_CHUNK || e->rec.type == SMR_SECTION;
}

/* Returns how many items there are; stores them if @items. */
static u32 take_items(const struct entry *e, u64 *tsc, struct smr_item *items)
{
	struct smr_cursor c = { .p = e->rec.data, .end = e->rec.data + e->rec.data_len };
	struct smr_item item;
	u32 n = 0;
	int ret;

	while ((ret = smr_next_item(&c, tsc, &item)) > 0) {
		if (items)
			items[n] = item;
		n++;
	}
	return n;
}

static void load_items(struct entry *e, u64 *tsc)
{
	u64 before = *tsc;

	e->nr_items = take_items(e, &before, NULL);
	e->items = alloc(e->nr_items, sizeof(*e->items));
	take_items(e, tsc, e->items);
}

static void load_stream(struct recording *r, u32 stream)
{
	struct smr_record rec;
	struct smr_log *log;
	struct entry *e;
	u32 room = 0;
	u8 *data;
	u64 tsc = 0;
	int ret;

	check(smr_log_open(&log, r->reader, stream, U64_MAX, &err));
	while ((ret = smr_log_next(log, &rec, NULL, NULL, &err)) > 0) {
		if (r->nr_entries[stream] == room) {
			room = room ? 2 * room : 256;
			r->entries[stream] = realloc(r->entries[stream], room * sizeof(*e));
			if (!r->entries[stream])
				die("out of memory");
		}
		e = &r->entries[stream][r->nr_entries[stream]++];
		memset(e, 0, sizeof(*e));
		e->rec = rec;
		data = alloc(rec.data_len, 1);
		if (rec.data_len)
			memcpy(data, rec.data, rec.data_len);
		e->rec.data = data;
		if (has_items(e))
			load_items(e, &tsc);
	}
	check(ret);
	smr_log_close(log);
}

static void load_blobs(struct recording *r)
{
	struct blob b;
	void *data;
	int ret;
	u32 i = 0;

	r->blobs = alloc(SMR_FILE_MAX_BLOBS, sizeof(*r->blobs));
	while ((ret = smr_reader_next_blob(r->reader, &i, b.name, &b.len, &err)) > 0) {
		check(smr_reader_blob(r->reader, b.name, &data, &b.len, &err));
		b.data = data;
		r->blobs[r->nr_blobs++] = b;
	}
	check(ret);
}

void recording_load(struct recording *r, const char *path)
{
	u32 i;

	memset(r, 0, sizeof(*r));
	check(smr_reader_open(&r->reader, path, &err));
	r->nr_streams = smr_reader_info(r->reader)->nr_vcpus + 1;
	load_blobs(r);
	for (i = 0; i < r->nr_streams; i++)
		load_stream(r, i);
}

static void put_item(struct smr_buf *b, u64 *tsc, const struct smr_item *item)
{
	switch (item->kind) {
	case SMR_IN_TSC:
		smr_in_tsc(b, tsc, item->value);
		break;
	case SMR_IN_BUS:
		smr_in_bus(b, item->data, (u8)item->len);
		break;
	case SMR_IN_USER:
		smr_in_user(b, item->data, item->len);
		break;
	case SMR_IN_RDMSR:
		smr_in_rdmsr(b, item->ret, item->value);
		break;
	case SMR_IN_WRMSR:
		smr_in_wrmsr(b, item->ret);
		break;
	}
}

/* Appends the record as bytes. */
static bool put_entry(struct smr_stream *s, const struct entry *e, struct smr_buf *b)
{
	static u8 bytes[SMR_RECORD_MAX];
	struct smr_buf inputs = { .p = bytes, .size = sizeof(bytes) };
	struct smr_record rec = e->rec;
	u32 i;

	if (e->raw)
		take_items(e, &s->tsc, NULL);
	for (i = 0; !e->raw && i < e->nr_items; i++)
		put_item(&inputs, &s->tsc, &e->items[i]);
	if (has_items(e) && !e->raw) {
		rec.data = bytes;
		rec.data_len = inputs.len;
	}
	return !inputs.full && !smr_encode(s, &rec, b);
}

static u8 out[SMR_RECORD_MAX];

/* Encodes it to @out.  Returns its length, or 0 if it can't be a record. */
static u32 encode_entry(struct smr_stream *s, const struct entry *e)
{
	struct smr_buf b = { .p = out, .size = sizeof(out) };

	return put_entry(s, e, &b) ? b.len : 0;
}

bool stream_is_sound(const struct recording *r, u32 stream)
{
	struct smr_stream s = { 0 };
	u32 i;

	for (i = 0; i < r->nr_entries[stream]; i++)
		if (!encode_entry(&s, &r->entries[stream][i]))
			return false;
	return true;
}

static void save_stream(struct recording *r, struct smr_writer *w, u32 stream)
{
	struct smr_stream s = { 0 };
	u32 i, len;

	for (i = 0; i < r->nr_entries[stream]; i++) {
		len = encode_entry(&s, &r->entries[stream][i]);
		if (!len)
			die("%s: can't be a record", place(r, stream, i));
		check(smr_writer_append(w, stream, out, len, &err));
	}
}

static int copy_run(void *opaque, u64 gpa, const void *data, u32 len)
{
	return smr_writer_ram(opaque, gpa, data, len, &err);
}

void recording_save(struct recording *r, const char *path)
{
	const struct smr_file_info *info = smr_reader_info(r->reader);
	struct smr_writer_options o = {
		.nr_vcpus = info->nr_vcpus, .compress = 1, .incompat = info->incompat & ~SMR_FILE_LZ4,
		.writer = "recedit", .host = info->host,
	};
	struct smr_writer *w;
	u32 i;

	check(smr_writer_create(&w, path, &o, &err));
	for (i = 0; i < r->nr_blobs; i++)
		check(smr_writer_blob(w, r->blobs[i].name, r->blobs[i].data, r->blobs[i].len,
				      &err));
	check(smr_reader_ram(r->reader, copy_run, w, &err));
	check(smr_writer_end_initial(w, &err));
	for (i = 0; i < r->nr_streams; i++)
		save_stream(r, w, i);
	check(smr_writer_close(w, true, &err));
}

void make_raw(struct entry *e)
{
	static u8 bytes[SMR_RECORD_MAX];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };
	u8 *data = alloc(SMR_RECORD_MAX, 1);
	u64 tsc = 0;
	u32 i;

	if (has_items(e) && !e->raw) {
		for (i = 0; i < e->nr_items; i++)
			put_item(&b, &tsc, &e->items[i]);
		memcpy(data, bytes, b.len);
		e->rec.data_len = b.len;
	} else {
		memcpy(data, e->rec.data, e->rec.data_len);
	}
	e->rec.data = data;
	e->raw = has_items(e);
}

const char *place(const struct recording *r, u32 stream, u32 i)
{
	static char text[64];
	char who[16] = "VM";

	if (stream + 1 < r->nr_streams)
		snprintf(who, sizeof(who), "vCPU %u", stream);
	snprintf(text, sizeof(text), "%s, commit %llu", who,
		 (unsigned long long)r->entries[stream][i].rec.commit_seq);
	return text;
}
