// SPDX-License-Identifier: GPL-2.0
/*
 * recedit IN OUT BLOB OFFSET XOR: copies a recording and changes one byte of a blob
 * of its initial state on the way. Unlike bits flipped in the file, the copy is
 * whole: every checksum is right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smr_file.h"

static struct smr_reader *in;
static struct smr_writer *out;
static struct smr_err err;

static void check(int ret)
{
	if (ret < 0) {
		fprintf(stderr, "recedit: %s\n", smr_file_errstr(&err));
		exit(2);
	}
}

static int copy_run(void *opaque, u64 gpa, const void *data, u32 len)
{
	(void)opaque;
	return smr_writer_ram(out, gpa, data, len, &err);
}

static void copy_blobs(const char *which, size_t offset, unsigned int xor)
{
	char name[SMR_BLOB_NAME_MAX + 1];
	int changed = 0;
	size_t len;
	u32 i = 0;
	int ret;

	while ((ret = smr_reader_next_blob(in, &i, name, &len, &err)) > 0) {
		void *data;

		check(smr_reader_blob(in, name, &data, &len, &err));
		if (!strcmp(name, which) && offset < len) {
			((unsigned char *)data)[offset] ^= xor;
			changed = 1;
		}
		check(smr_writer_blob(out, name, data, len, &err));
		free(data);
	}
	check(ret);
	if (!changed) {
		fprintf(stderr, "recedit: no byte %zu in %s\n", offset, which);
		exit(2);
	}
}

static void copy_stream(u32 stream)
{
	static char buf[65536];
	struct smr_log *log;
	int n;

	check(smr_log_open(&log, in, stream, UINT64_MAX, &err));
	while ((n = smr_log_read(log, buf, sizeof(buf), &err)) > 0)
		check(smr_writer_append(out, stream, buf, n, &err));
	check(n);
	smr_log_close(log);
}

int main(int argc, char **argv)
{
	struct smr_writer_options o = { .compress = 1, .writer = "recedit" };
	u32 i;

	if (argc != 6) {
		fprintf(stderr, "usage: recedit IN OUT BLOB OFFSET XOR\n");
		return 2;
	}
	check(smr_reader_open(&in, argv[1], &err));
	o.nr_vcpus = smr_reader_info(in)->nr_vcpus;
	o.host = smr_reader_info(in)->host;
	check(smr_writer_create(&out, argv[2], &o, &err));
	copy_blobs(argv[3], strtoul(argv[4], NULL, 0), strtoul(argv[5], NULL, 0));
	check(smr_reader_ram(in, copy_run, NULL, &err));
	check(smr_writer_end_initial(out, &err));
	for (i = 0; i <= o.nr_vcpus; i++)
		copy_stream(i);
	check(smr_writer_close(out, 1, &err));
	smr_reader_close(in);
	return 0;
}
