// SPDX-License-Identifier: GPL-2.0
/*
 * The named pieces of the initial state.  Their segments are read once when the
 * file is opened, and once more when a blob is asked for: how much work that is
 * depends on the size of the file only, not on how many blobs it is cut into.
 */
#include <stdlib.h>

#include "smr_reader.h"

/* A piece of a blob, as a segment holds it. */
struct piece {
	const char *name;	/* not terminated */
	u32 name_len;
	u64 total, offset;
	const u8 *data;
	u32 len;
};

/* @p: payload of segment @s. */
static int get_piece(const struct smr_reader *r, const struct smr_segment *s, const u8 *p,
		     struct piece *b, struct smr_err *err)
{
	u32 name_len = s->raw_len >= B_NAME ? p[B_NAME_LEN] : 0;
	u32 header = B_NAME + name_len;

	if (s->raw_len < header || !smr_blob_name_ok((const char *)p + B_NAME, name_len))
		return damaged(r, s, err, "bad blob name");
	b->name = (const char *)p + B_NAME;
	b->name_len = name_len;
	b->total = get_le(p + B_TOTAL, 8);
	b->offset = get_le(p + B_OFFSET, 8);
	b->data = p + header;
	b->len = s->raw_len - header;
	if (b->total > SMR_BLOB_MAX || b->offset > b->total || b->len > b->total - b->offset)
		return damaged(r, s, err, "blob %.*s: impossible length", (int)name_len, b->name);
	return 0;
}

/* There are few enough of them to look at each. */
static const struct smr_blob *find(const struct smr_reader *r, const char *name, size_t len)
{
	u32 i;

	for (i = 0; i < r->nr_blobs; i++) {
		if (!memcmp(r->blob[i].name, name, len) && !r->blob[i].name[len])
			return &r->blob[i];
	}
	return NULL;
}

static int add_blob(struct smr_reader *r, u32 i, const struct piece *b, struct smr_err *err)
{
	const struct smr_segment *s = &r->segment[i];
	struct smr_blob *blob;

	if (r->nr_blobs == SMR_FILE_MAX_BLOBS)
		return damaged(r, s, err, "more than %u blobs", SMR_FILE_MAX_BLOBS);
	if (find(r, b->name, b->name_len))
		return damaged(r, s, err, "blob %.*s: is there twice", (int)b->name_len, b->name);
	blob = &r->blob[r->nr_blobs++];
	memcpy(blob->name, b->name, b->name_len);
	blob->first = i;
	blob->total = (u32)b->total;
	blob->have = b->len;
	return 0;
}

static bool continues(const struct smr_blob *blob, const struct piece *b)
{
	return b->len && b->offset == blob->have && b->total == blob->total &&
	       !memcmp(blob->name, b->name, b->name_len) && !blob->name[b->name_len];
}

/* Pieces of a blob follow each other. */
static int index_piece(struct smr_reader *r, u32 i, const u8 *p, struct smr_err *err)
{
	struct smr_blob *last = r->nr_blobs ? &r->blob[r->nr_blobs - 1] : NULL;
	const struct smr_segment *s = &r->segment[i];
	struct piece b;
	int ret;

	ret = get_piece(r, s, p, &b, err);
	if (ret)
		return ret;
	if (!b.offset && (!last || last->have == last->total))
		return add_blob(r, i, &b, err);
	if (!last || !continues(last, &b))
		return damaged(r, s, err, "blob %.*s: pieces don't fit", (int)b.name_len, b.name);
	last->have += b.len;
	return 0;
}

int smr_index_blobs(struct smr_reader *r, struct smr_err *err)
{
	u8 *buf = malloc(r->largest);
	struct smr_err e;
	int ret = 0;
	u32 i;

	r->blob = calloc(SMR_FILE_MAX_BLOBS, sizeof(*r->blob));
	if (!buf || !r->blob)
		ret = smr_fail(&e, SMR_FILE_EMEM, r->path, 0, "out of memory");
	for (i = r->chain[BLOB_CHAIN].first; !ret && i != SMR_NO_SEGMENT; i = r->segment[i].next) {
		ret = smr_reader_payload(r, i, buf, &e);
		if (!ret)
			ret = index_piece(r, i, buf, &e);
	}
	free(buf);
	if (smr_is_damage(ret)) {
		r->blob_damage = e;
		return 0;
	}
	if (ret && err)
		*err = e;
	return ret;
}

/* @buf: room for the payload of any segment. */
static int collect(const struct smr_reader *r, const struct smr_blob *blob, u8 *buf, u8 *data,
		   struct smr_err *err)
{
	const struct smr_segment *s;
	struct piece b;
	u32 i, have = 0;
	int ret;

	for (i = blob->first; i != SMR_NO_SEGMENT; i = s->next) {
		s = &r->segment[i];
		ret = smr_reader_payload(r, i, buf, err);
		if (!ret)
			ret = get_piece(r, s, buf, &b, err);
		if (ret)
			return ret;
		/* It was like this when the file was opened. */
		if (b.offset != have || b.total != blob->total)
			return damaged(r, s, err, "blob %s: was changed", blob->name);
		memcpy(data + have, b.data, b.len);
		have += b.len;
		if (have == blob->total)
			return 0;
	}
	return smr_fail(err, SMR_FILE_EDAMAGED, r->path, r->segment[blob->first].offset,
			"blob %s: its end is missing", blob->name);
}

static int not_found(const struct smr_reader *r, const char *name, struct smr_err *err)
{
	if (!r->blob_damage.code)
		return smr_fail(err, SMR_FILE_ENOENT, r->path, 0,
				"blob %.63s: not in the recording", name);
	if (err)
		*err = r->blob_damage;
	return r->blob_damage.code;
}

int smr_reader_blob(const struct smr_reader *r, const char *name, void **data, size_t *len,
		    struct smr_err *err)
{
	size_t name_len = strlen(name);
	const struct smr_blob *blob = NULL;
	u8 *bytes, *buf;
	int ret;

	*data = NULL;
	*len = 0;
	if (name_len <= SMR_BLOB_NAME_MAX)
		blob = find(r, name, name_len);
	if (!blob)
		return not_found(r, name, err);
	buf = malloc(r->largest);
	bytes = malloc(blob->total + 1);
	if (!buf || !bytes)
		ret = smr_fail(err, SMR_FILE_EMEM, r->path, 0, "out of memory");
	else
		ret = collect(r, blob, buf, bytes, err);
	free(buf);
	if (ret) {
		free(bytes);
		return ret;
	}
	bytes[blob->total] = 0;
	*data = bytes;
	*len = blob->total;
	return 0;
}

int smr_reader_next_blob(const struct smr_reader *r, u32 *i, char name[SMR_BLOB_NAME_MAX + 1],
			 size_t *len, struct smr_err *err)
{
	if (*i >= r->nr_blobs) {
		if (r->blob_damage.code && err)
			*err = r->blob_damage;
		return r->blob_damage.code;
	}
	memcpy(name, r->blob[*i].name, sizeof(r->blob[*i].name));
	*len = r->blob[*i].total;
	++*i;
	return 1;
}
