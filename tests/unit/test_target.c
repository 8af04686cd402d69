// SPDX-License-Identifier: GPL-2.0
/* tools/lib: where a recording is written to, and what has been there. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "forge.h"
#include "gen.h"

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
	assert_int_equal(create_error(files_dir, &err), SMR_FILE_EIO);
	assert_int_equal(create_error("/nonexistent/x.smr", &err), SMR_FILE_EIO);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/x.smr: can't open for writing"));
	assert_int_equal(mkfifo(path2, 0600), 0);
	assert_int_equal(create_error(path2, &err), SMR_FILE_EREFUSED);
	assert_int_equal(open_error(path2, &err), SMR_FILE_ENOTREC);
	unlink(path2);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EIO);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_int_equal(open_error(files_dir, &err), SMR_FILE_ENOTREC);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_precious),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_symbolic_link),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_no_space),
	};

	return cmocka_run_group_tests_name("target", tests, files_set_up, files_tear_down);
}
