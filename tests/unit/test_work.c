// SPDX-License-Identifier: GPL-2.0
/*
 * How much the tool reads and decompresses, counted in its calls to the system and
 * to zlib and LZ4: not more than in proportion to the number of segments, whatever they are.
 */
#include "test.h"

#include <fcntl.h>
#include <getopt.h>
#include <lz4.h>
#include <unistd.h>
#include <zlib.h>

#include "files.h"
#include "forge.h"
#include "gen.h"

#define MAX_READS	4u	/* of a segment: its header once, its payload */
#define MAX_INFLATES	3u

/* The linker puts these in the place of the functions without __wrap_. */
ssize_t __real_pread(int fd, void *buf, size_t len, off_t pos);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t pos);
int __real_inflate(z_streamp z, int flush);
int __wrap_inflate(z_streamp z, int flush);
int __real_LZ4_decompress_safe(const char *in, char *out, int in_len, int out_len);
int __wrap_LZ4_decompress_safe(const char *in, char *out, int in_len, int out_len);
int samsara_main(int argc, char **argv);

static u64 reads, bytes_read, inflates;

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t pos)
{
	ssize_t n = __real_pread(fd, buf, len, pos);

	reads++;
	bytes_read += n > 0 ? (u64)n : 0;
	return n;
}

int __wrap_inflate(z_streamp z, int flush)
{
	inflates++;
	return __real_inflate(z, flush);
}

int __wrap_LZ4_decompress_safe(const char *in, char *out, int in_len, int out_len)
{
	inflates++;
	return __real_LZ4_decompress_safe(in, out, in_len, out_len);
}

/* Runs a command with its output thrown away; @option may be its second operand. */
static int run(const char *command, const char *option)
{
	char *argv[] = { "samsara", (char *)command, path, (char *)option, NULL };
	int saved[2], null = open("/dev/null", O_WRONLY), i, ret;

	assert_true(null >= 0);
	fflush(NULL);
	for (i = 0; i < 2; i++) {
		saved[i] = dup(i + 1);
		assert_true(saved[i] >= 0 && dup2(null, i + 1) >= 0);
	}
	reads = bytes_read = inflates = 0;
	optind = 0;
	ret = samsara_main(option ? 4 : 3, argv);
	for (i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
	}
	close(null);
	return ret;
}

/* Of every command on the file at `path`, which has so many segments. */
static void check_work(const char *what, int status)
{
	static const struct {
		const char *name, *option;
		bool looks_at_start;	/* or only at the log */
		u32 files;
	} commands[] = {
		{ "info", NULL, true, 1 }, { "info", "--json", true, 1 },
		{ "dump", NULL, false, 1 }, { "dump", "--json", false, 1 },
		{ "verify", NULL, true, 1 }, { "verify", "--json", true, 1 },
		{ "report", NULL, false, 1 }, { "report", "--json", false, 1 },
		{ "recover", path2, true, 1 }, { "diff", path, true, 2 },
	};
	u64 segments, size;
	struct smr_reader *r;
	struct smr_totals t;
	struct smr_err err;
	u32 i;

	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	smr_reader_totals(r, &t);
	smr_reader_close(r);
	segments = t.segments;
	size = t.file_bytes;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		assert_int_equal(run(commands[i].name, commands[i].option),
				 commands[i].looks_at_start ? status : 0);
		print_message("# %s of %llu %s segments: %llu reads, %llu bytes, %llu inflates\n",
			      commands[i].name, (unsigned long long)segments, what,
			      (unsigned long long)reads, (unsigned long long)bytes_read,
			      (unsigned long long)inflates);
		assert_true(reads <= commands[i].files * (MAX_READS * segments + 4));
		assert_true(bytes_read <= commands[i].files * MAX_READS * size);
		assert_true(inflates <= commands[i].files * MAX_INFLATES * segments);
	}
}

/* Blobs of a size that compresses to nearly nothing, all of one piece. */
static void test_many_blobs(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 20, .compress = 1, .seed = 1 };

	(void)state;
	for (o.blobs = 10; o.blobs <= 1000; o.blobs *= 10) {
		o.blob_len = 4000;
		assert_int_equal(gen_recording(path, &o, NULL), 0);
		check_work("blob", 0);
	}
	/* And some that are shown as text. */
	o.blobs = 1000;
	o.blob_len = 10;
	assert_int_equal(gen_recording(path, &o, NULL), 0);
	check_work("short blob", 0);
}

static void test_many_pieces(void **state)
{
	struct bytes b;
	u32 i, n;

	(void)state;
	for (n = 20; n <= 2000; n *= 10) {
		b = forge_file();
		for (i = 0; i < n; i++)
			forge_blob(&b, "text", n, i, "x", 1);
		forge_blob(&b, "other", 1, 0, "x", 1);
		forge_initial_end(&b, 2);
		forge_seal(&b);
		spit(path, b.p, b.len);
		free(b.p);
		check_work("piece", 2);
	}
}

static void test_many_segments(void **state)
{
	struct gen_options o = { .nr_vcpus = SMR_FILE_MAX_VCPUS, .flush_every = 1, .compress = 1,
				 .seed = 3, .ram_pages = 2000 };

	(void)state;
	for (o.commits = 100; o.commits <= 10000; o.commits *= 10) {
		assert_int_equal(gen_recording(path, &o, NULL), 0);
		check_work("stream", 0);
	}
}

/* RAM between blobs: each is a segment of its own. */
static void test_mixed_initial_state(void **state)
{
	u8 page[R_SIZE + PAGE_BYTES] = { 0 };
	struct bytes b;
	char name[16];
	u32 i, k;

	(void)state;
	put_le(page + R_LEN, PAGE_BYTES, 4);
	b = forge_file();
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "b%u", i);
		for (k = 0; k < 3; k++) {
			forge_blob(&b, name, 3, k, "abc" + k, 1);
			forge_segment(&b, SMR_SEG_RAM, 0, page, sizeof(page));
		}
	}
	forge_initial_end(&b, 300);
	forge_seal(&b);
	spit(path, b.p, b.len);
	free(b.p);
	check_work("mixed", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_blobs),
		cmocka_unit_test(test_many_pieces),
		cmocka_unit_test(test_many_segments),
		cmocka_unit_test(test_mixed_initial_state),
	};

	return cmocka_run_group_tests_name("work", tests, files_set_up, files_tear_down);
}
