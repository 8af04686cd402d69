// SPDX-License-Identifier: GPL-2.0
/* A copy of a recording, or of its beginning: pack, cut and recover. */
#include <stdlib.h>

#include "samsara.h"
#include "smr_note.h"

static int copy_blob(const struct smr_reader *r, struct smr_writer *w, const char *name,
		     struct smr_err *err)
{
	size_t len;
	void *data;
	int ret = smr_reader_blob(r, name, &data, &len, err);

	if (ret)
		return ret;
	ret = smr_writer_blob(w, name, data, len, err);
	free(data);
	return ret;
}

static int copy_blobs(const struct smr_reader *r, struct smr_writer *w,
		      const struct smr_images *images, struct smr_err *err)
{
	char name[SMR_BLOB_NAME_MAX + 1];
	size_t len;
	u32 i = 0;
	int ret;

	while ((ret = smr_reader_next_blob(r, &i, name, &len, err)) > 0) {
		if (images && !strcmp(name, "images"))
			continue;
		ret = copy_blob(r, w, name, err);
		if (ret < 0)
			break;
	}
	return ret;
}

struct ram_copy {
	struct smr_writer *w;
	struct smr_err *err;
};

static int copy_run(void *opaque, u64 addr, const void *data, u32 len)
{
	struct ram_copy *c = opaque;

	return smr_writer_ram(c->w, addr, data, len, c->err);
}

static int copy_initial(const struct smr_reader *r, struct smr_writer *w,
			const struct smr_images *images, struct smr_err *err)
{
	struct ram_copy c = { w, err };
	int ret = copy_blobs(r, w, images, err);

	if (!ret)
		ret = smr_reader_ram(r, copy_run, &c, err);
	return ret ? ret : smr_writer_end_initial(w, err);
}

/*
 * In the order of commits, as they were recorded: if the copy is cut, too, something of each
 * stream is there.  Who cuts has no end records: they are of another commit.
 */
static int copy_log(const struct smr_reader *r, struct smr_writer *w,
		    const struct smr_images *images, u64 limit, struct smr_err *err)
{
	struct event ev;
	struct walk walk;
	u64 time = 0;
	int ret = walk_open(&walk, r, limit, images, err);

	if (ret)
		return ret;
	while (!ret && (ret = walk_next(&walk, &ev, err)) > 0) {
		if (ev.time_ms > time)
			time = ev.time_ms;
		smr_writer_set_time(w, time * 1000000);
		ret = 0;
		if (limit == U64_MAX || !smr_is_end(ev.rec->type))
			ret = smr_writer_append(w, ev.stream, ev.bytes, ev.len, err);
	}
	/* It was whole before. */
	if (!ret && walk.damage.code) {
		*err = walk.damage;
		ret = err->code;
	}
	walk_close(&walk);
	return ret;
}

static int copy_note(struct smr_writer *w, const struct smr_note *note, struct smr_err *err)
{
	struct smr_buf b = { .size = SMR_NOTE_HEAD_MAX + note->pieces_len };
	int ret = SMR_FILE_EMEM;

	b.p = malloc(b.size);
	if (b.p && !smr_note_encode(note, &b))
		ret = smr_writer_notes(w, b.p, b.len, err);
	else
		*err = (struct smr_err){ .code = ret, .text = "out of memory" };
	free(b.p);
	return ret;
}

/* Damage ends them only. */
static int copy_notes(const struct smr_reader *r, struct smr_writer *w, u64 limit,
		      struct smr_err *err)
{
	struct smr_note_place place;
	struct smr_notes *notes;
	struct smr_err damage;
	struct smr_note note;
	int ret = smr_notes_open(&notes, r, err);

	while (!ret && smr_notes_next(notes, &note, &place, &damage) > 0) {
		if (note.commit <= limit)
			ret = copy_note(w, &note, err);
	}
	smr_notes_close(notes);
	return ret;
}

static int copy(const struct smr_reader *r, struct smr_writer *w, const struct smr_images *images,
		u64 limit, struct smr_err *err)
{
	int ret = copy_initial(r, w, images, err);

	if (!ret)
		ret = copy_log(r, w, images, limit, err);
	return ret ? ret : copy_notes(r, w, limit, err);
}

int copy_recording(const struct smr_reader *r, const struct smr_extent *x,
		   const struct smr_images *images, u64 limit, const char *path,
		   struct smr_err *err)
{
	const struct smr_file_info *info = smr_reader_info(r);
	const struct smr_writer_options o = {
		.nr_vcpus = info->nr_vcpus,
		.compress = 1,
		.incompat = info->incompat & ~(SMR_FILE_LZ4 | (images ? SMR_FILE_IMAGES : 0)),
		.writer = info->writer,
		.host = info->host,
		.created = info->created,
	};
	bool whole = x->ended && limit >= x->replayable;
	struct smr_writer *w;
	int ret = smr_writer_create(&w, path, &o, err), closed;

	if (ret)
		return ret;
	ret = copy(r, w, images, whole ? U64_MAX : limit, err);
	if (whole)
		smr_writer_set_time(w, x->duration_ns);
	closed = smr_writer_close(w, !ret, ret ? NULL : err);
	if (ret || closed)
		remove(path);
	return ret ? ret : closed;
}
