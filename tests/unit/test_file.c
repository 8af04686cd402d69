// SPDX-License-Identifier: GPL-2.0
/* tools/lib: recording files. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "forge.h"
#include "gen.h"

static char dir[] = "/tmp/samsara-unit.XXXXXX";
static char path[64], path2[64];

static void generate(const struct gen_options *o)
{
	struct smr_err err = { 0 };

	if (gen_recording(path, o, &err))
		fail_msg("%s", err.text);
}

static struct smr_extent extent_of(const char *name)
{
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err = { 0 };

	if (smr_reader_open(&r, name, &err) || smr_reader_extent(r, &x, &err))
		fail_msg("%s", err.text);
	smr_reader_close(r);
	return x;
}

static int open_error(const char *name, struct smr_err *err)
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

static void test_crc(void **state)
{
	u32 smr_crc32c_table(u32 crc, const void *data, size_t len);
	struct rng rng = { 5 };
	u8 data[200];
	u32 i, cut;

	(void)state;
	assert_int_equal(smr_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(smr_crc32c_table(0, "123456789", 9), 0xe3069283);
	assert_int_equal(smr_crc32c(0, "", 0), 0);
	for (i = 0; i < sizeof(data); i++)
		data[i] = (u8)rng_next(&rng);
	for (i = 0; i < sizeof(data); i++) {
		cut = (u32)rng_below(&rng, i + 1);
		assert_int_equal(smr_crc32c(0, data, i), smr_crc32c_table(0, data, i));
		assert_int_equal(smr_crc32c(smr_crc32c(0, data, cut), data + cut, i - cut),
				 smr_crc32c(0, data, i));
	}
}

/* Reads a whole stream as bytes, @step at a time. */
static struct bytes read_stream(struct smr_reader *r, u32 stream, u64 limit, u32 step)
{
	struct bytes b = { malloc(1u << 22), 0 };
	struct smr_log *l;
	struct smr_err err;
	int n;

	assert_non_null(b.p);
	assert_int_equal(smr_log_open(&l, r, stream, limit, &err), 0);
	while ((n = smr_log_read(l, b.p + b.len, step, &err)) > 0)
		b.len += (size_t)n;
	if (n < 0)
		fail_msg("%s", err.text);
	smr_log_close(l);
	return b;
}

static u64 last_commit(const struct bytes *b)
{
	struct smr_stream s = { 0 };
	struct smr_record rec;
	size_t pos = 0;
	u64 last = 0;
	int n;

	while (pos < b->len) {
		n = smr_peek(b->p + pos, (u32)(b->len - pos));
		assert_true(n > 0);
		assert_int_equal(smr_decode(&s, b->p + pos, (u32)n, &rec), 0);
		if (rec.type <= SMR_DMA)
			last = rec.commit_seq;
		pos += (size_t)n;
	}
	return last;
}

static void check_round_trip(int compress)
{
	struct gen_options o = { .nr_vcpus = 3, .commits = 20000, .flush_every = 7000,
				 .compress = compress, .seed = 1, .ram_pages = 700 };
	struct smr_extent x;
	struct smr_reader *r;
	struct bytes b, c;
	struct smr_err err;
	u64 limit, last = 0;
	u32 i;

	generate(&o);
	x = extent_of(path);
	assert_true(x.initial && x.complete && x.trailer && !x.damage.code);
	assert_int_equal(x.replayable, o.commits);
	assert_int_equal(x.seen, o.commits);
	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	assert_null(smr_reader_damage(r));
	for (i = 0; i <= o.nr_vcpus; i++) {
		b = read_stream(r, i, U64_MAX, 100000);
		c = read_stream(r, i, U64_MAX, 77);
		assert_int_equal(b.len, c.len);
		assert_memory_equal(b.p, c.p, b.len);
		free(b.p);
		free(c.p);
		for (limit = 0; limit < 30000; limit += 5000) {
			b = read_stream(r, i, limit, 4096);
			assert_true(last_commit(&b) <= limit);
			if (limit == 15000 && last_commit(&b) == limit)
				last = limit;
			free(b.p);
		}
	}
	assert_int_equal(last, 15000);
	smr_reader_close(r);
}

static void test_round_trip(void **state)
{
	(void)state;
	check_round_trip(0);
	check_round_trip(1);
	check_round_trip(9);
}

static struct smr_writer *create(const char *name)
{
	struct smr_writer_options o = { .nr_vcpus = 1, .compress = 1, .writer = "w", .host = "h" };
	struct smr_writer *w;
	struct smr_err err;

	if (smr_writer_create(&w, name, &o, &err))
		fail_msg("%s", err.text);
	return w;
}

#define RAM_PAGES	1000u
static u8 ram[RAM_PAGES][4096], back[RAM_PAGES][4096];

static int load_page(void *opaque, u64 gpa, const void *data, u32 len)
{
	u64 *bytes = opaque;

	assert_true(gpa >= 0x40000000 && gpa - 0x40000000 + len <= sizeof(back));
	memcpy((u8 *)back + (gpa - 0x40000000), data, len);
	*bytes += len;
	return 0;
}

static int stop_at_once(void *opaque, u64 gpa, const void *data, u32 len)
{
	(void)opaque;
	(void)gpa;
	(void)data;
	(void)len;
	return 42;
}

static void test_ram(void **state)
{
	struct smr_writer *w = create(path);
	struct rng rng = { 3 };
	struct smr_reader *r;
	struct smr_err err;
	u64 bytes = 0, expected = 0;
	u32 i, k;

	(void)state;
	for (i = 0; i < RAM_PAGES; i++) {
		/* Zero but for the last byte, random, zero. */
		if (i % 5 == 1)
			ram[i][4095] = 1;
		for (k = 0; i % 5 > 2 && k < 4096; k++)
			ram[i][k] = (u8)rng_next(&rng);
		expected += i % 5 == 0 || i % 5 == 2 ? 0 : 4096;
	}
	assert_int_equal(smr_writer_ram(w, 0x40000000, ram, sizeof(ram) / 2, &err), 0);
	assert_int_equal(smr_writer_blob(w, "between", "", 0, &err), 0);
	assert_int_equal(smr_writer_ram(w, 0x40000000 + sizeof(ram) / 2, ram[RAM_PAGES / 2],
					sizeof(ram) / 2, &err), 0);
	assert_int_equal(smr_writer_ram(w, 0x40000001, ram, 4096, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_ram(w, 0x40000000, ram, 4095, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_ram(w, 0ull - 4096, ram, 8192, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_end_initial(w, &err), 0);
	assert_int_equal(smr_writer_ram(w, 0, ram, 4096, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_close(w, false, &err), 0);

	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	assert_int_equal(smr_reader_ram(r, load_page, &bytes, &err), 0);
	assert_int_equal(bytes, expected);
	assert_memory_equal(ram, back, sizeof(ram));
	assert_int_equal(smr_reader_ram(r, stop_at_once, NULL, &err), 42);
	smr_reader_close(r);
}

static void test_blobs(void **state)
{
	struct smr_writer *w = create(path);
	size_t len, big_len = 3 * SMR_SEGMENT_MAX + 17;
	char name[SMR_BLOB_NAME_MAX + 1];
	u8 *big = malloc(big_len);
	struct rng rng = { 4 };
	struct smr_reader *r;
	struct smr_err err;
	void *data;
	u32 i = 0;
	size_t k;

	(void)state;
	assert_non_null(big);
	for (k = 0; k < big_len; k++)
		big[k] = (u8)rng_next(&rng);
	memset(name, 'x', SMR_BLOB_NAME_MAX);
	name[SMR_BLOB_NAME_MAX] = 0;
	assert_int_equal(smr_writer_blob(w, "empty", NULL, 0, &err), 0);
	assert_int_equal(smr_writer_blob(w, "big", big, big_len, &err), 0);
	assert_int_equal(smr_writer_blob(w, name, "abc", 3, &err), 0);
	assert_int_equal(smr_writer_blob(w, "big", "x", 1, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_blob(w, "", "x", 1, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_blob(w, "a b", "x", 1, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_blob(w, "huge", big, SMR_BLOB_MAX + 1ul, &err),
			 SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_append(w, 0, "x", 1, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_end_initial(w, &err), 0);
	assert_int_equal(smr_writer_close(w, true, &err), 0);

	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	assert_int_equal(smr_reader_next_blob(r, &i, name, &len, &err), 1);
	assert_string_equal(name, "empty");
	assert_int_equal(smr_reader_next_blob(r, &i, name, &len, &err), 1);
	assert_string_equal(name, "big");
	assert_int_equal(smr_reader_next_blob(r, &i, name, &len, &err), 1);
	assert_int_equal(strlen(name), SMR_BLOB_NAME_MAX);
	assert_int_equal(smr_reader_blob(r, name, &data, &len, &err), 0);
	assert_int_equal(len, 3);
	assert_string_equal(data, "abc");
	free(data);
	assert_int_equal(smr_reader_next_blob(r, &i, name, &len, &err), 0);
	assert_int_equal(smr_reader_blob(r, "empty", &data, &len, &err), 0);
	assert_int_equal(len, 0);
	free(data);
	assert_int_equal(smr_reader_blob(r, "big", &data, &len, &err), 0);
	assert_int_equal(len, big_len);
	assert_memory_equal(data, big, len);
	free(data);
	assert_int_equal(smr_reader_blob(r, "none", &data, &len, &err), SMR_FILE_ENOENT);
	assert_null(data);
	smr_reader_close(r);
	free(big);
}

static void test_writer_mistakes(void **state)
{
	struct smr_writer_options o = { .nr_vcpus = 0 };
	struct smr_writer *w;
	struct smr_err err;

	(void)state;
	assert_int_equal(smr_writer_create(&w, path, &o, &err), SMR_FILE_EINVAL);
	assert_null(w);
	o.nr_vcpus = SMR_FILE_MAX_VCPUS + 1;
	assert_int_equal(smr_writer_create(&w, path, &o, &err), SMR_FILE_EINVAL);
	o.nr_vcpus = 1;
	o.compress = 10;
	assert_int_equal(smr_writer_create(&w, path, &o, &err), SMR_FILE_EINVAL);

	w = create(path);
	assert_int_equal(smr_writer_end_initial(w, &err), 0);
	assert_int_equal(smr_writer_append(w, 2, "x", 1, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_append(w, 0, "\x01", 1, &err), 0);
	assert_int_equal(smr_writer_flush(w, true, &err), 0);
	/* A stream that ends inside a record is not a clean end. */
	assert_int_equal(smr_writer_close(w, true, &err), SMR_FILE_ERECORD);
	assert_non_null(strstr(err.text, "ends inside a record"));

	w = create(path);
	assert_int_equal(smr_writer_end_initial(w, &err), 0);
	assert_int_equal(smr_writer_append(w, 0, "\xff\xff\xff", 3, &err), SMR_FILE_ERECORD);
	assert_int_equal(smr_writer_append(w, 0, "", 0, &err), SMR_FILE_ERECORD);
	assert_int_equal(smr_writer_close(w, true, &err), SMR_FILE_ERECORD);
}

static int create_error(const char *name, struct smr_err *err)
{
	struct smr_writer_options o = { .nr_vcpus = 1 };
	struct smr_writer *w;
	int ret = smr_writer_create(&w, name, &o, err);

	if (!ret)
		smr_writer_close(w, false, NULL);
	return ret;
}

static void test_targets(void **state)
{
	struct smr_err err;

	(void)state;
	unlink(path2);
	assert_int_equal(create_error("/dev/null", &err), SMR_FILE_EREFUSED);
	assert_int_equal(create_error(dir, &err), SMR_FILE_EIO);
	assert_int_equal(create_error("/nonexistent/x.smr", &err), SMR_FILE_EIO);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/x.smr: can't open for writing"));
	assert_int_equal(mkfifo(path2, 0600), 0);
	assert_int_equal(create_error(path2, &err), SMR_FILE_EREFUSED);
	assert_int_equal(open_error(path2, &err), SMR_FILE_ENOTREC);
	unlink(path2);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EIO);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_int_equal(open_error(dir, &err), SMR_FILE_ENOTREC);
}

/* What is there and no recording stays as it is, also if it begins like one. */
static void test_precious(void **state)
{
	static const char precious[] = FILE_MAGIC;
	struct smr_err err;
	struct bytes b;
	size_t len;

	(void)state;
	for (len = 1; len < sizeof(precious); len++) {
		spit(path2, (const u8 *)precious, len);
		assert_int_equal(create_error(path2, &err), SMR_FILE_EREFUSED);
		assert_non_null(strstr(err.text, "not a recording"));
		b = slurp(path2);
		assert_int_equal(b.len, len);
		assert_memory_equal(b.p, precious, len);
		free(b.p);
	}
	spit(path2, (const u8 *)"precious data", 13);
	assert_int_equal(create_error(path2, &err), SMR_FILE_EREFUSED);
	spit(path2, (const u8 *)"", 0);
	assert_int_equal(create_error(path2, &err), 0);
}

/* The linker puts it in the place of geteuid(). */
uid_t __real_geteuid(void);
uid_t __wrap_geteuid(void);
static uid_t pretended_uid;

uid_t __wrap_geteuid(void)
{
	return __real_geteuid() + pretended_uid;
}

static void test_owner(void **state)
{
	struct bytes before, after;
	struct smr_err err;

	(void)state;
	assert_int_equal(smr_writer_close(create(path), false, &err), 0);
	before = slurp(path);
	pretended_uid = 1;
	assert_int_equal(create_error(path, &err), SMR_FILE_EREFUSED);
	assert_non_null(strstr(err.text, "belongs to another user"));
	pretended_uid = 0;
	after = slurp(path);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.p, after.p, before.len);
	free(before.p);
	free(after.p);
	assert_int_equal(create_error(path, &err), 0);
}

/* A recording is seen by nobody but its owner, whoever could see the one before it. */
static void test_mode(void **state)
{
	struct bytes before, after;
	struct smr_err err;
	struct stat st;
	int fd;

	(void)state;
	unlink(path);
	unlink(path2);
	umask(0);
	assert_int_equal(smr_writer_close(create(path), false, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	before = slurp(path);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(link(path, path2), 0);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(smr_writer_close(create(path), false, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* Whoever has the old one open, or another name for it, has the old one. */
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, before.len);
	after = slurp(path2);
	assert_int_equal(after.len, before.len);
	assert_memory_equal(after.p, before.p, before.len);
	close(fd);
	free(before.p);
	free(after.p);
	unlink(path2);
}

static void test_symbolic_link(void **state)
{
	struct smr_err err;

	(void)state;
	unlink(path);
	unlink(path2);
	assert_int_equal(symlink(path, path2), 0);
	assert_int_equal(create_error(path2, &err), SMR_FILE_EREFUSED);
	assert_true(access(path, F_OK));
	assert_int_equal(create_error(path, &err), 0);
	assert_int_equal(create_error(path2, &err), SMR_FILE_EREFUSED);
	assert_non_null(strstr(err.text, "symbolic link"));
	unlink(path2);
}

static void test_locks(void **state)
{
	struct smr_writer_options o = { .nr_vcpus = 1 };
	struct smr_writer *w = create(path), *w2;
	struct smr_reader *r, *r2;
	struct smr_err err;

	(void)state;
	assert_int_equal(smr_writer_create(&w2, path, &o, &err), SMR_FILE_EBUSY);
	assert_int_equal(smr_reader_open(&r, path, &err), SMR_FILE_EBUSY);
	assert_int_equal(smr_writer_close(w, false, &err), 0);
	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	assert_int_equal(smr_reader_open(&r2, path, &err), 0);
	assert_int_equal(smr_writer_create(&w2, path, &o, &err), SMR_FILE_EBUSY);
	smr_reader_close(r);
	smr_reader_close(r2);
}

/* Changes bytes of the file header, with or without a correct checksum. */
static void patch_header(struct bytes *b, u32 at, u64 v, u32 len, bool fix)
{
	put_le(b->p + at, v, len);
	if (fix)
		put_le(b->p + H_CRC, smr_crc32c(0, b->p, H_CRC), 4);
	spit(path2, b->p, b->len);
}

static void test_header(void **state)
{
	struct gen_options o = { .nr_vcpus = 1, .commits = 5, .seed = 1 };
	struct smr_reader *r;
	struct smr_err err;
	struct bytes b;

	(void)state;
	generate(&o);
	b = slurp(path);
	spit(path2, b.p, 0);
	assert_int_equal(open_error(path2, &err), SMR_FILE_ENOTREC);
	spit(path2, b.p, 7);
	assert_int_equal(open_error(path2, &err), SMR_FILE_ENOTREC);
	spit(path2, b.p, 4095);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EHEADER);
	patch_header(&b, H_MAJOR, SMR_FILE_MAJOR + 1, 2, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EVERSION);
	assert_non_null(strstr(err.text, "newer version"));
	patch_header(&b, H_MAJOR, 1, 2, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EVERSION);
	assert_non_null(strstr(err.text, "older version"));
	patch_header(&b, H_MAJOR, 0, 2, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EHEADER);
	patch_header(&b, H_MAJOR, SMR_FILE_MAJOR, 2, true);
	patch_header(&b, H_INCOMPAT, 4, 8, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EFEATURE);
	patch_header(&b, H_INCOMPAT, 0, 8, true);
	patch_header(&b, H_NR_VCPUS, 65, 4, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EHEADER);
	patch_header(&b, H_NR_VCPUS, 0, 4, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EHEADER);
	patch_header(&b, H_NR_VCPUS, 1, 4, true);
	patch_header(&b, H_CREATED, 1, 8, false);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EHEADER);
	b.p[0] ^= 1;
	spit(path2, b.p, b.len);
	assert_int_equal(open_error(path2, &err), SMR_FILE_ENOTREC);
	free(b.p);

	/* A newer minor version with features that may be ignored. */
	b = slurp(path);
	patch_header(&b, H_MINOR, 7, 2, true);
	patch_header(&b, H_COMPAT, U64_MAX, 8, true);
	assert_int_equal(smr_reader_open(&r, path2, &err), 0);
	assert_int_equal(smr_reader_info(r)->minor, 7);
	assert_true(smr_reader_info(r)->compat == U64_MAX);
	assert_string_equal(smr_reader_info(r)->writer, "unit test");
	/* The chain starts with the header's checksum. */
	assert_non_null(smr_reader_damage(r));
	smr_reader_close(r);
	free(b.p);
}

/* Uses everything a reader offers; it must come through whatever the file is. */
static void use_all(struct smr_reader *r)
{
	char name[SMR_BLOB_NAME_MAX + 1];
	struct smr_record rec;
	struct smr_log *l;
	size_t len;
	void *data;
	u32 s, i = 0;

	while (smr_reader_next_blob(r, &i, name, &len, NULL) > 0) {
		if (!smr_reader_blob(r, name, &data, &len, NULL))
			free(data);
	}
	smr_reader_ram(r, stop_at_once, NULL, NULL);
	for (s = 0; s <= smr_reader_info(r)->nr_vcpus; s++) {
		assert_int_equal(smr_log_open(&l, r, s, U64_MAX, NULL), 0);
		while (smr_log_next(l, &rec, NULL, NULL, NULL) > 0)
			;
		smr_log_close(l);
	}
}

/* What is replayable according to the extent must be readable from the logs. */
static void assert_replayable(struct smr_reader *r, u64 n)
{
	u64 found = 0;
	struct smr_record rec;
	struct smr_log *l;
	u32 s;
	int ret;

	for (s = 0; s <= smr_reader_info(r)->nr_vcpus; s++) {
		assert_int_equal(smr_log_open(&l, r, s, n, NULL), 0);
		while ((ret = smr_log_next(l, &rec, NULL, NULL, NULL)) > 0)
			found += rec.type <= SMR_DMA;
		assert_int_equal(ret, 0);
		smr_log_close(l);
	}
	assert_int_equal(found, n);
}

static void test_cut_everywhere(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 40, .flush_every = 5, .compress = 1,
				 .seed = 11, .ram_pages = 4 };
	u64 before = 0, steps = 0;
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err;
	struct bytes b;
	size_t cut;

	(void)state;
	generate(&o);
	b = slurp(path);
	spit(path2, b.p, b.len);
	for (cut = b.len; cut-- > 0; )  {
		assert_int_equal(truncate(path2, (off_t)cut), 0);
		if (open_error(path2, &err)) {
			assert_true(cut < SMR_FILE_HEADER_SIZE);
			continue;
		}
		assert_true(cut >= SMR_FILE_HEADER_SIZE);
		assert_int_equal(smr_reader_open(&r, path2, &err), 0);
		assert_int_equal(smr_reader_extent(r, &x, &err), 0);
		assert_false(x.trailer);
		assert_true(x.replayable <= x.seen && x.seen <= o.commits);
		if (cut + 1 < b.len)
			assert_true(x.replayable <= before);
		steps += x.replayable != before;
		before = x.replayable;
		assert_true(x.initial || !x.replayable);
		if (x.damage.code) {
			assert_int_equal(x.damage.code, SMR_FILE_EDAMAGED);
			assert_true(x.damage.offset < cut);
			assert_non_null(strstr(x.damage.text, "cut inside"));
		}
		if (x.initial)
			assert_replayable(r, x.replayable);
		use_all(r);
		smr_reader_close(r);
	}
	/* At least as many points to which it is good as there were flushes. */
	assert_true(steps > 8);
	free(b.p);
}

static void test_flip_everywhere(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 30, .flush_every = 10, .compress = 1,
				 .seed = 12, .ram_pages = 2 };
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err;
	struct rng rng = { 6 };
	struct bytes b;
	size_t i;
	int fd;
	u8 v;

	(void)state;
	generate(&o);
	b = slurp(path);
	spit(path2, b.p, b.len);
	fd = open(path2, O_RDWR);
	for (i = 0; i < b.len; i++) {
		v = b.p[i] ^ (u8)(1u << rng_below(&rng, 8));
		assert_int_equal(pwrite(fd, &v, 1, (off_t)i), 1);
		if (open_error(path2, &err)) {
			assert_true(i < SMR_FILE_HEADER_SIZE);
		} else {
			assert_int_equal(smr_reader_open(&r, path2, &err), 0);
			assert_int_equal(smr_reader_extent(r, &x, &err), 0);
			/* Every bit of the file is covered by a checksum. */
			assert_true(x.damage.code == SMR_FILE_EDAMAGED);
			assert_true(x.damage.offset <= i);
			assert_true(!x.complete && x.replayable <= o.commits);
			if (x.initial)
				assert_replayable(r, x.replayable);
			use_all(r);
			smr_reader_close(r);
		}
		assert_int_equal(pwrite(fd, b.p + i, 1, (off_t)i), 1);
	}
	close(fd);
	assert_true(extent_of(path2).complete);
	free(b.p);
}

/*
 * Changes one byte of the header or stored payload of segment @i and makes all
 * checksums right again.
 */
static void forge(struct bytes *b, u64 i, u32 at, u8 xor)
{
	u8 *h = b->p + SMR_FILE_HEADER_SIZE;
	u32 stored;

	while (i--)
		h += SMR_SEGMENT_HEADER_SIZE + get_le(h + S_STORED_LEN, 4);
	stored = (u32)get_le(h + S_STORED_LEN, 4);
	if (at < SMR_SEGMENT_HEADER_SIZE)
		h[at] ^= xor;
	else
		h[SMR_SEGMENT_HEADER_SIZE + (at - SMR_SEGMENT_HEADER_SIZE) % stored] ^= xor;
	forge_seal(b);
}

static void check_forged(const struct bytes *good, u64 i, u32 at, u8 xor)
{
	struct bytes b = { malloc(good->len), good->len };
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err;

	assert_non_null(b.p);
	memcpy(b.p, good->p, good->len);
	forge(&b, i, at, xor);
	spit(path2, b.p, b.len);
	assert_int_equal(smr_reader_open(&r, path2, &err), 0);
	assert_int_equal(smr_reader_extent(r, &x, &err), 0);
	if (x.initial)
		assert_replayable(r, x.replayable);
	use_all(r);
	smr_reader_close(r);
	free(b.p);
}

static void test_forged(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 30, .flush_every = 10, .seed = 13,
				 .ram_pages = 2 };
	struct smr_reader *r;
	struct rng rng = { 7 };
	struct smr_err err;
	struct bytes b;
	u64 i, n;
	u32 at, k;

	(void)state;
	for (o.compress = 0; o.compress < 2; o.compress++) {
		generate(&o);
		assert_int_equal(smr_reader_open(&r, path, &err), 0);
		n = smr_reader_nr_segments(r);
		smr_reader_close(r);
		b = slurp(path);
		for (i = 0; i < n; i++) {
			/* The lengths stay, or forge() itself would get lost. */
			for (at = 0; at < S_STORED_LEN; at++)
				check_forged(&b, i, at, (u8)(1u << rng_below(&rng, 8)));
			for (k = 0; k < 20; k++)
				check_forged(&b, i, 64 + (u32)rng_below(&rng, 4096),
					     (u8)(1 + rng_below(&rng, 255)));
		}
		free(b.p);
	}
}

static void test_damaged_middle(void **state)
{
	struct gen_options o = { .nr_vcpus = 1, .commits = 100, .flush_every = 10, .seed = 14 };
	const struct smr_segment *s = NULL;
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err;
	struct bytes b;
	u64 i, first;

	(void)state;
	generate(&o);
	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	for (i = 0; i < smr_reader_nr_segments(r); i++) {
		s = smr_reader_segment(r, i);
		if (s->type == SMR_SEG_STREAM && s->stream == 0 && s->first > 40)
			break;
	}
	first = s->first;
	b = slurp(path);
	b.p[s->offset + SMR_SEGMENT_HEADER_SIZE + 3] ^= 0x10;
	smr_reader_close(r);
	spit(path2, b.p, b.len);
	x = extent_of(path2);
	assert_int_equal(x.replayable, first - 1);
	assert_true(x.seen > x.replayable);
	assert_non_null(strstr(x.damage.text, "payload checksum differs"));
	assert_non_null(strstr(x.damage.text, "segment "));
	free(b.p);
}

static void test_gap_and_duplicate(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 50, .seed = 15, .skip = 20 };
	struct smr_extent x;

	(void)state;
	generate(&o);
	x = extent_of(path);
	assert_int_equal(x.replayable, 19);
	assert_int_equal(x.seen, 50);
	assert_false(x.complete);
	o.skip = 0;
	o.twice = 30;
	generate(&o);
	x = extent_of(path);
	assert_int_equal(x.replayable, 29);
	assert_false(x.complete);
	o.twice = 0;
	o.no_trailer = o.no_ends = true;
	generate(&o);
	x = extent_of(path);
	assert_int_equal(x.replayable, 50);
	assert_true(!x.complete && !x.trailer && !x.damage.code);
}

/* What a reader finds wrong with a forged file. */
static void assert_damage(struct bytes *b, const char *what)
{
	struct smr_extent x;
	struct smr_reader *r;
	struct smr_err err;

	forge_seal(b);
	spit(path2, b->p, b->len);
	free(b->p);
	x = extent_of(path2);
	assert_int_equal(x.damage.code, what ? SMR_FILE_EDAMAGED : 0);
	assert_true(x.initial == !what);
	if (what && !strstr(x.damage.text, what))
		fail_msg("no \"%s\" in: %s", what, x.damage.text);
	assert_int_equal(smr_reader_open(&r, path2, &err), 0);
	use_all(r);
	smr_reader_close(r);
}

static void test_forged_blobs(void **state)
{
	char name[32];
	struct bytes b;
	u32 i, more;

	(void)state;
	for (more = 0; more < 2; more++) {
		b = forge_file();
		for (i = 0; i < SMR_FILE_MAX_BLOBS + more; i++) {
			snprintf(name, sizeof(name), "blob%u", i);
			forge_blob(&b, name, 1, 0, "x", 1);
		}
		forge_initial_end(&b, i);
		assert_damage(&b, more ? "more than 4096 blobs" : NULL);
	}

	b = forge_file();
	forge_blob(&b, "a", 1, 0, "x", 1);
	forge_blob(&b, "b", 2, 0, "xy", 2);
	forge_blob(&b, "a", 1, 0, "z", 1);
	forge_initial_end(&b, 3);
	assert_damage(&b, "blob a: is there twice");

	b = forge_file();
	forge_blob(&b, "a", 3, 0, "x", 1);
	forge_blob(&b, "a", 3, 1, "yz", 2);
	forge_initial_end(&b, 1);
	assert_damage(&b, NULL);

	b = forge_file();
	forge_blob(&b, "a", 3, 0, "x", 1);
	forge_blob(&b, "b", 3, 1, "yz", 2);
	forge_initial_end(&b, 1);
	assert_damage(&b, "blob b: pieces don't fit");

	b = forge_file();
	forge_blob(&b, "a", 3, 0, "x", 1);
	forge_initial_end(&b, 1);
	assert_damage(&b, "blob a: its end is missing");

	b = forge_file();
	forge_blob(&b, "a", 3, 0, "", 0);
	forge_blob(&b, "a", 3, 0, "", 0);
	forge_initial_end(&b, 1);
	assert_damage(&b, "blob a: pieces don't fit");

	b = forge_file();
	forge_blob(&b, "a\033]0;b\007", 1, 0, "x", 1);
	forge_initial_end(&b, 1);
	assert_damage(&b, "bad blob name");
}

static void test_forged_segments(void **state)
{
	struct smr_err err;
	struct bytes b;
	u32 i;

	(void)state;
	b = forge_file();
	for (i = 0; i < SMR_FILE_MAX_SEGMENTS; i++)
		forge_segment(&b, SMR_SEG_SKIPPABLE, 0, "x", 1);
	forge_initial_end(&b, 0);
	forge_seal(&b);
	spit(path2, b.p, b.len);
	free(b.p);
	assert_non_null(strstr(extent_of(path2).damage.text, "more than 20000 segments"));
	/* A writer ends before. */
	assert_int_equal(gen_recording(path, &(struct gen_options){
			.nr_vcpus = 1, .commits = SMR_FILE_MAX_SEGMENTS, .flush_every = 1,
		}, &err), SMR_FILE_ELIMIT);
	assert_int_equal(extent_of(path).damage.code, 0);
	assert_true(extent_of(path).replayable > SMR_FILE_MAX_SEGMENTS - 10);
}

/* Another recording's segments behind this one's. */
static void test_foreign_segments(void **state)
{
	struct gen_options o = { .nr_vcpus = 1, .commits = 20, .flush_every = 5, .seed = 16,
				 .no_trailer = true };
	struct smr_extent x;
	struct bytes a, b;
	size_t half;

	(void)state;
	generate(&o);
	a = slurp(path);
	generate(&o);
	b = slurp(path);
	assert_int_equal(a.len, b.len);
	half = SMR_FILE_HEADER_SIZE + (a.len - SMR_FILE_HEADER_SIZE) / 2;
	memcpy(b.p + half, a.p + half, a.len - half);
	spit(path2, b.p, b.len);
	x = extent_of(path2);
	assert_int_equal(x.damage.code, SMR_FILE_EDAMAGED);
	free(a.p);
	free(b.p);
}

/* No space: the limit on file sizes fails writes the same way a full disk does. */
static void test_no_space(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 3000, .flush_every = 100, .seed = 17 };
	struct rlimit old, tight;
	struct smr_err err = { 0 };
	struct smr_extent x;
	struct bytes b;
	u64 room, last = 0;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	unlink(path);
	for (room = 0; room < 60000; room += 1237) {
		tight = old;
		tight.rlim_cur = room;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
		assert_int_equal(gen_recording(path, &o, &err), SMR_FILE_EIO);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		assert_int_equal(err.sys_errno, EFBIG);
		if (room < SMR_FILE_HEADER_SIZE) {
			/* Nothing useless is left behind. */
			assert_true(access(path, F_OK));
			continue;
		}
		b = slurp(path);
		assert_true(b.len <= room);
		free(b.p);
		x = extent_of(path);
		/* The torn segment was taken back. */
		assert_int_equal(x.damage.code, 0);
		assert_true(x.replayable >= last && !x.trailer);
		last = x.replayable;
	}
	assert_true(last >= 300);
}

struct reading {
	struct smr_reader *r;
	u32 stream;
	u64 commits;
};

static void *read_one(void *opaque)
{
	struct reading *rd = opaque;
	struct smr_record rec;
	struct smr_log *l;
	struct smr_err err;

	if (smr_log_open(&l, rd->r, rd->stream, U64_MAX, &err))
		return NULL;
	while (smr_log_next(l, &rec, NULL, NULL, &err) > 0)
		rd->commits += rec.type <= SMR_DMA;
	smr_log_close(l);
	return NULL;
}

static void test_threads(void **state)
{
	struct gen_options o = { .nr_vcpus = 3, .commits = 5000, .flush_every = 200, .compress = 1,
				 .seed = 18 };
	struct reading rd[4];
	pthread_t thread[4];
	struct smr_reader *r;
	struct smr_err err;
	u64 all = 0;
	u32 i;

	(void)state;
	generate(&o);
	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	for (i = 0; i < 4; i++) {
		rd[i] = (struct reading){ .r = r, .stream = i };
		assert_int_equal(pthread_create(&thread[i], NULL, read_one, &rd[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		all += rd[i].commits;
	}
	assert_int_equal(all, o.commits);
	smr_reader_close(r);
}

static void test_errstr(void **state)
{
	char name[400];
	struct smr_err err = { 0 };

	(void)state;
	assert_string_equal(smr_file_errstr(&err), "no error");
	memset(name, 'y', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	memcpy(name, "/nonexistent/", 13);
	assert_int_equal(open_error(name, &err), SMR_FILE_EIO);
	/* A long path doesn't push the message out. */
	assert_non_null(strstr(err.text, "can't open"));
	assert_null(strchr(err.text, '\n'));
}

/* Messages hold nothing a terminal would obey, and leave other text as it is. */
static void test_printable(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "plain ~ text", "plain ~ text" },
		{ "\033]0;x\007\r\n\t\177", "?]0;x?????" },
		{ "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xc2\x9b""31m", "??31m" },		/* CSI in one character */
		{ "\x9b""31m", "?31m" },
		{ "\xc1\x9b", "??" },			/* too long a form */
		{ "\xe0\x82\x9b", "???" },
		{ "\xed\xa0\x80", "???" },		/* a surrogate */
		{ "\xf4\x90\x80\x80", "????" },	/* past the last one */
		{ "\xf5\x80\x80\x80", "????" },
		{ "\xe2\x82", "??" },
		{ "\xe2\x82\033", "???" },
	};
	struct smr_err err;
	char text[64];
	u32 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(text, cases[i].text);
		smr_make_printable(text);
		assert_string_equal(text, cases[i].shown);
	}
	open_error("/nonexistent/\033[2J\xc3\xa4", &err);
	assert_non_null(strstr(err.text, "/nonexistent/?[2J\xc3\xa4: can't open"));
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/a.smr", dir);
	snprintf(path2, sizeof(path2), "%s/b.smr", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	unlink(path2);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_ram),
		cmocka_unit_test(test_blobs),
		cmocka_unit_test(test_writer_mistakes),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_precious),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_symbolic_link),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_flip_everywhere),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_damaged_middle),
		cmocka_unit_test(test_gap_and_duplicate),
		cmocka_unit_test(test_forged_blobs),
		cmocka_unit_test(test_forged_segments),
		cmocka_unit_test(test_foreign_segments),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_errstr),
		cmocka_unit_test(test_printable),
	};

	return cmocka_run_group_tests_name("file", tests, set_up, tear_down);
}
