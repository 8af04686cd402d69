// SPDX-License-Identifier: GPL-2.0
/* samsara diff: the guests, and their state at the start. */
#include <stdlib.h>

#include "diff.h"

/* Each line of one text is looked for in the other: longer ones only differ. */
#define MAX_TEXT	16384u

static void tell(struct diff *d, const char *what, const char *a, const char *b)
{
	d->differ = true;
	if (!d->j) {
		printf("start: %s: %s and %s\n", what, a, b);
		return;
	}
	json_open(d->j, NULL, '{');
	json_text(d->j, "what", what);
	json_text(d->j, "a", a);
	json_text(d->j, "b", b);
	json_close(d->j, '}');
}

/* Does @text have the line of @len bytes at @line? */
static bool has_line(const char *text, const char *line, size_t len)
{
	const char *p;

	for (p = text; *p; p += strcspn(p, "\n"), p += !!*p) {
		if (strcspn(p, "\n") == len && !memcmp(p, line, len))
			return true;
	}
	return false;
}

/* The first line from @p on that @other has not, its length in @len; NULL: none. */
static const char *next_own(const char *p, const char *other, size_t *len)
{
	for (; p && *p; p += *len, p += !!*p) {
		*len = strcspn(p, "\n");
		if (!has_line(other, p, *len))
			return p;
	}
	return NULL;
}

/* The lines of both that only one has, one beside the other.  Returns whether there are some. */
static bool tell_lines(struct diff *d, const char *name, char *const text[2])
{
	const char *p[2] = { text[0], text[1] };
	char *line[2];
	bool told = false;
	size_t len[2];
	u32 i;

	for (;;) {
		for (i = 0; i < 2; i++)
			p[i] = next_own(p[i], text[!i], &len[i]);
		if (!p[0] && !p[1])
			return told;
		for (i = 0; i < 2; i++) {
			line[i] = p[i] ? strndup(p[i], len[i]) : NULL;
			p[i] = p[i] ? p[i] + len[i] + !!p[i][len[i]] : NULL;
		}
		tell(d, name, line[0] ? line[0] : "nothing", line[1] ? line[1] : "nothing");
		free(line[0]);
		free(line[1]);
		told = true;
	}
}

static bool tell_text(struct diff *d, const char *name)
{
	char *text[2] = { read_text(d->side[0].r, name), read_text(d->side[1].r, name) };
	bool told = text[0] && text[1] && tell_lines(d, name, text);

	free(text[0]);
	free(text[1]);
	return told;
}

/* A side that has no such blob has NULL and 0. */
static void compare_data(struct diff *d, const char *name, void *data[2], const size_t len[2])
{
	char words[2][48];
	u32 i;

	if (data[0] && data[1] && len[0] == len[1] && !memcmp(data[0], data[1], len[0]))
		return;
	if (data[0] && data[1] && len[0] <= MAX_TEXT && len[1] <= MAX_TEXT && tell_text(d, name))
		return;
	for (i = 0; i < 2; i++) {
		if (data[i])
			snprintf(words[i], sizeof(words[i]), "%zu %sbytes", len[i],
				 i && data[0] && len[0] == len[1] ? "other " : "");
		else
			snprintf(words[i], sizeof(words[i]), "nothing");
	}
	tell(d, name, words[0], words[1]);
}

static int read_blob(const struct side *s, const char *name, void **data, size_t *len,
		     struct smr_err *err)
{
	int ret = smr_reader_blob(s->r, name, data, len, err);

	return ret == SMR_FILE_ENOENT ? 0 : ret;
}

static int compare_blob(struct diff *d, const char *name, struct smr_err *err)
{
	void *data[2] = { NULL, NULL };
	size_t len[2];
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < 2; i++)
		ret = read_blob(&d->side[i], name, &data[i], &len[i], err);
	if (!ret)
		compare_data(d, name, data, len);
	free(data[0]);
	free(data[1]);
	return ret;
}

/* Whether a recording holds what was read from images, or names it, is nothing of the guest's. */
static bool is_of_guest(const char *name)
{
	return strcmp(name, "images") != 0;
}

/* Those of one side, and of the other only what the first has not. */
static int compare_blobs(struct diff *d, u32 side, struct smr_err *err)
{
	char name[SMR_BLOB_NAME_MAX + 1];
	size_t len, other_len;
	void *other;
	u32 i = 0;
	int ret;

	while ((ret = smr_reader_next_blob(d->side[side].r, &i, name, &len, err)) > 0) {
		if (!is_of_guest(name))
			continue;
		if (side) {
			ret = read_blob(&d->side[0], name, &other, &other_len, err);
			free(other);
			if (ret)
				return ret;
			if (other)
				continue;
		}
		ret = compare_blob(d, name, err);
		if (ret)
			return ret;
	}
	return ret;
}

/* Of memory when the recording began; 0 as well if that is missing. */
static int read_digest(const struct side *s, u64 *digest, struct smr_err *err)
{
	struct event ev;
	struct walk w;
	int ret;

	*digest = 0;
	ret = walk_open_stream(&w, s->r, smr_reader_info(s->r)->nr_vcpus, s->x.replayable, err);
	if (ret)
		return ret;
	ret = walk_next(&w, &ev, err);
	if (ret > 0 && ev.rec->type == SMR_VM_START)
		*digest = ev.rec->mem_digest;
	walk_close(&w);
	return ret < 0 ? ret : 0;
}

static int compare_memory(struct diff *d, struct smr_err *err)
{
	char words[2][24];
	u64 digest[2];
	int ret;
	u32 i;

	for (i = 0; i < 2; i++) {
		ret = read_digest(&d->side[i], &digest[i], err);
		if (ret)
			return ret;
		snprintf(words[i], sizeof(words[i]), "%016llx", ULL(digest[i]));
	}
	if (digest[0] != digest[1])
		tell(d, "digest of memory", words[0], words[1]);
	return 0;
}

int diff_begin(struct diff *d, struct smr_err *err)
{
	const u32 nr[2] = { smr_reader_info(d->side[0].r)->nr_vcpus,
			    smr_reader_info(d->side[1].r)->nr_vcpus };
	char words[2][16];
	int ret;
	u32 i;

	if (nr[0] != nr[1]) {
		for (i = 0; i < 2; i++)
			snprintf(words[i], sizeof(words[i]), "%u", nr[i]);
		tell(d, "vCPUs", words[0], words[1]);
	}
	ret = compare_blobs(d, 0, err);
	if (!ret)
		ret = compare_blobs(d, 1, err);
	return ret ? ret : compare_memory(d, err);
}
