// SPDX-License-Identifier: GPL-2.0
#include "test.h"

#include <dirent.h>
#include <unistd.h>

#include "files.h"

char files_dir[] = "/tmp/samsara-unit.XXXXXX";
char path[64], path2[64];

int files_set_up(void **state)
{
	(void)state;
	if (!mkdtemp(files_dir))
		return -1;
	snprintf(path, sizeof(path), "%s/a.smr", files_dir);
	snprintf(path2, sizeof(path2), "%s/b.smr", files_dir);
	return 0;
}

int files_tear_down(void **state)
{
	DIR *d = opendir(files_dir);
	struct dirent *e;

	(void)state;
	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	return rmdir(files_dir);
}

void generate(const struct gen_options *o)
{
	struct smr_err err = { 0 };

	if (gen_recording(path, o, &err))
		fail_msg("%s", err.text);
}

struct smr_extent extent_of(const char *name)
{
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err = { 0 };

	if (smr_reader_open(&r, name, &err) || smr_reader_extent(r, &x, &err))
		fail_msg("%s", err.text);
	smr_reader_close(r);
	return x;
}

int open_error(const char *name, struct smr_err *err)
{
	struct smr_reader *r;
	int ret;

	memset(err, 0, sizeof(*err));
	ret = smr_reader_open(&r, name, err);
	if (!ret)
		smr_reader_close(r);
	else
		assert_null(r);
	assert_int_equal(ret, err->code);
	return ret;
}

struct smr_writer *create(const char *name)
{
	struct smr_writer_options o = { .nr_vcpus = 1, .compress = 1, .writer = "w", .host = "h" };
	struct smr_writer *w;
	struct smr_err err;

	if (smr_writer_create(&w, name, &o, &err))
		fail_msg("%s", err.text);
	return w;
}

int stop_at_once(void *opaque, u64 gpa, const void *data, u32 len)
{
	(void)opaque;
	(void)gpa;
	(void)data;
	(void)len;
	return 42;
}
