// SPDX-License-Identifier: GPL-2.0
/*
 * Copies a recording and changes one thing on the way. Unlike bits flipped in the
 * file, the copy is whole: every checksum is right.
 */
#include <stdio.h>
#include <stdlib.h>

#include "recording.h"

static const char usage[] =
	"usage: recedit IN OUT BLOB OFFSET XOR\n"
	"       recedit IN OUT --set-line BLOB PREFIX TEXT\n"
	"       recedit IN OUT record STREAM COMMIT FIELD VALUE\n"
	"Changes a byte of a blob of the initial state; or its first line that begins with\n"
	"PREFIX (empty: the whole blob), which TEXT replaces; or a field of a record: the\n"
	"first one that has it, from COMMIT on, in STREAM (a vCPU, vm, any). FIELD is one of";

static struct blob *find_blob(struct recording *r, const char *name)
{
	u32 i;

	for (i = 0; i < r->nr_blobs; i++) {
		if (!strcmp(r->blobs[i].name, name))
			return &r->blobs[i];
	}
	die("recedit: no blob %s", name);
}

static void edit_blob(struct recording *r, const char *name, size_t offset, u8 xor)
{
	struct blob *blob = find_blob(r, name);

	if (offset >= blob->len)
		die("recedit: no byte %zu in %s", offset, name);
	blob->data[offset] ^= xor;
}

/* A blob of text ends with a zero byte that is not part of it. */
static void edit_line(struct recording *r, const char *name, const char *prefix,
		      const char *text)
{
	struct blob *blob = find_blob(r, name);
	char *data = (char *)blob->data, *line = data, *end;
	size_t len = strlen(text);
	char *new;

	while (strncmp(line, prefix, strlen(prefix))) {
		line = strchr(line, '\n');
		if (!line++)
			die("recedit: no line %s in %s", prefix, name);
	}
	end = *prefix ? strchrnul(line, '\n') : data + blob->len;
	new = malloc(blob->len + len + 1);
	if (!new)
		die("recedit: no memory");
	memcpy(new, data, line - data);
	memcpy(new + (line - data), text, len);
	memcpy(new + (line - data) + len, end, data + blob->len - end);
	blob->len += len - (end - line);
	blob->data = (unsigned char *)new;
}

static const struct field *find_field(const char *name)
{
	u32 i;

	for (i = 0; i < nr_fields; i++) {
		if (!strcmp(fields[i].name, name))
			return &fields[i];
	}
	die("recedit: no field %s", name);
}

static bool wanted_stream(const struct recording *r, u32 stream, const char *name)
{
	if (!strcmp(name, "any"))
		return true;
	if (!strcmp(name, "vm"))
		return stream + 1 == r->nr_streams;
	return stream == strtoul(name, NULL, 0);
}

/* The first record from @commit on that has the field, in all wanted streams. */
static bool find(const struct recording *r, const char *name, u64 commit, const struct field *f,
		 u32 *stream, u32 *index)
{
	const struct entry *e;
	u64 best = U64_MAX;
	u32 s, i;

	for (s = 0; s < r->nr_streams; s++) {
		for (i = 0; wanted_stream(r, s, name) && i < r->nr_entries[s]; i++) {
			e = &r->entries[s][i];
			if (e->rec.commit_seq < commit || e->rec.commit_seq >= best || !f->has(e))
				continue;
			best = e->rec.commit_seq;
			*stream = s;
			*index = i;
		}
	}
	return best != U64_MAX;
}

static void edit_record(struct recording *r, const char *name, u64 commit, const char *field,
			u64 v)
{
	const struct field *f = find_field(field);
	u32 stream, i;
	u64 before;

	if (!find(r, name, commit, f, &stream, &i))
		die("recedit: no record with %s from commit %llu on", field,
		    (unsigned long long)commit);
	before = f->get(&r->entries[stream][i]);
	if (!set_field(r, stream, i, f, v))
		die("recedit: %s: no log can have %s 0x%llx", place(r, stream, i), field,
		    (unsigned long long)v);
	printf("%s: %s 0x%llx -> 0x%llx\n", place(r, stream, i), field,
	       (unsigned long long)before, (unsigned long long)v);
}

int main(int argc, char **argv)
{
	bool set_line = argc == 7 && !strcmp(argv[3], "--set-line");
	struct recording r;
	u32 i;

	if (argc != 6 && !set_line && (argc != 8 || strcmp(argv[3], "record"))) {
		fputs(usage, stderr);
		for (i = 0; i < nr_fields; i++)
			fprintf(stderr, "%s%s", i % 8 ? " " : "\n  ", fields[i].name);
		fputc('\n', stderr);
		return 2;
	}
	recording_load(&r, argv[1]);
	if (set_line)
		edit_line(&r, argv[4], argv[5], argv[6]);
	else if (argc == 6)
		edit_blob(&r, argv[3], strtoul(argv[4], NULL, 0), (u8)strtoul(argv[5], NULL, 0));
	else
		edit_record(&r, argv[4], strtoull(argv[5], NULL, 0), argv[6],
			    strtoull(argv[7], NULL, 0));
	recording_save(&r, argv[2]);
	return 0;
}
