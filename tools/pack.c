// SPDX-License-Identifier: GPL-2.0
/* samsara pack: a copy of a recording that needs no disk images. */
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

static int copy_blobs(const struct smr_reader *r, struct smr_writer *w, struct smr_err *err)
{
	char name[SMR_BLOB_NAME_MAX + 1];
	size_t len;
	u32 i = 0;
	int ret;

	while ((ret = smr_reader_next_blob(r, &i, name, &len, err)) > 0) {
		if (!strcmp(name, "images"))
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

static int copy_initial(const struct smr_reader *r, struct smr_writer *w, struct smr_err *err)
{
	struct ram_copy c = { w, err };
	int ret = copy_blobs(r, w, err);

	if (!ret)
		ret = smr_reader_ram(r, copy_run, &c, err);
	return ret ? ret : smr_writer_end_initial(w, err);
}

static int copy_stream(const struct smr_reader *r, struct smr_writer *w, u32 stream,
		       const struct smr_images *images, u64 limit, struct smr_err *err)
{
	struct smr_record rec;
	struct smr_log *l;
	const u8 *bytes;
	u32 len;
	int ret = smr_log_open(&l, r, stream, limit, err);

	if (ret)
		return ret;
	ret = smr_log_use_images(l, images, err);
	while (!ret && (ret = smr_log_next(l, &rec, &bytes, &len, err)) > 0)
		ret = smr_writer_append(w, stream, bytes, len, err);
	smr_log_close(l);
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
		const struct smr_extent *x, struct smr_err *err)
{
	u64 limit = x->complete ? U64_MAX : x->replayable;
	int ret = copy_initial(r, w, err);
	u32 i;

	for (i = 0; !ret && i <= smr_reader_info(r)->nr_vcpus; i++)
		ret = copy_stream(r, w, i, images, limit, err);
	return ret ? ret : copy_notes(r, w, limit, err);
}

/* Returns 0 and a recording in @path, or an error and none. */
static int pack(const struct smr_reader *r, const struct smr_images *images,
		const struct smr_extent *x, const char *path, struct smr_err *err)
{
	const struct smr_file_info *info = smr_reader_info(r);
	const struct smr_writer_options o = {
		.nr_vcpus = info->nr_vcpus,
		.compress = 1,
		.incompat = info->incompat & ~(SMR_FILE_LZ4 | SMR_FILE_IMAGES),
		.writer = info->writer,
		.host = info->host,
	};
	struct smr_writer *w;
	int ret = smr_writer_create(&w, path, &o, err), closed;

	if (ret)
		return ret;
	ret = copy(r, w, images, x, err);
	closed = smr_writer_close(w, !ret && x->complete, ret ? NULL : err);
	if (ret || closed)
		remove(path);
	return ret ? ret : closed;
}

int cmd_pack(const struct options *o, struct smr_reader *r)
{
	struct smr_images *images = NULL;
	struct smr_extent x;
	struct smr_err err;
	int ret = smr_reader_extent(r, &x, &err);

	if (!ret && (!x.initial || !x.replayable)) {
		fprintf(stderr, "samsara: %s: nothing can be replayed, nothing was packed\n", o->shown);
		return EXIT_UNREADABLE;
	}
	if (!ret)
		ret = smr_images_open(&images, r, o->images, &err);
	if (!ret)
		ret = pack(r, images, &x, o->output, &err);
	smr_images_close(images);
	if (ret) {
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
		return EXIT_UNREADABLE;
	}
	return extent_status(&x);
}
