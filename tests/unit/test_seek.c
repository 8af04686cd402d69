// SPDX-License-Identifier: GPL-2.0
/* Positions: how they are written, and which commit they are. */
#include "test.h"

#include "files.h"
#include "smr_seek.h"

static void assert_parses(const char *text, enum smr_seek_kind kind, u64 n)
{
	struct smr_seek s = { .n = 0 };

	if (!smr_seek_parse(text, &s))
		fail_msg("\"%s\" is none", text);
	assert_int_equal(s.kind, kind);
	assert_int_equal(s.n, n);
}

static void assert_place(const char *text, u64 n, u64 branches, u64 jumps, u64 rip)
{
	struct smr_seek s = { .jumps = 1, .rip = 1 };

	if (!smr_seek_parse(text, &s))
		fail_msg("\"%s\" is none", text);
	assert_int_equal(s.kind, SMR_AT_PLACE);
	assert_int_equal(s.n, n);
	assert_int_equal(s.branches, branches);
	assert_int_equal(s.jumps, jumps);
	assert_int_equal(s.rip, rip);
}

static void test_parse(void **state)
{
	static const char *const none[] = {
		"", " 1", "1 ", "-1", "+1", "0x10", "1.5", "18446744073709551616", "line:",
		"line:x", "line:1.5", "line:-1", "Line:1", "time:", "time:.5", "time:1.",
		"time:1.2345", "time:1.5s", "time:1,5", "time:1.-5", "time:18446744073709551615",
		"time:99999999999999999999", "commit:1", "line:1:2", "time:time:1", "5+", "0+1",
		"5+x", "5+1+", "5+1+2+3", "5++1", "5@0x10", "5+1@", "5+1@10", "5+1@0x", "5+1@0x1g", "5+1@0x1\020",
		"5+1@0x10000000000000000", "5+1@0x10@0x10", "5+1 ", "5 +1", "line:5+1", "time:5+1",
		"5+18446744073709551616", "5+1@0x10+2",
	};
	struct smr_seek s;
	size_t i;

	(void)state;
	assert_parses("0", SMR_AT_COMMIT, 0);
	assert_parses("563", SMR_AT_COMMIT, 563);
	assert_parses("18446744073709551615", SMR_AT_COMMIT, U64_MAX);
	assert_place("7+0", 7, 0, 0, 0);
	assert_place("7+12", 7, 12, 0, 0);
	assert_place("7+12+345", 7, 12, 345, 0);
	assert_place("7+12@0x40fE", 7, 12, 0, 0x40fe);
	assert_place("7+12+345@0xffffffff81000000", 7, 12, 345, 0xffffffff81000000);
	assert_place("1+18446744073709551615", 1, U64_MAX, 0, 0);
	assert_parses("line:12", SMR_AT_LINE, 12);
	assert_parses("time:0", SMR_AT_TIME, 0);
	assert_parses("time:12", SMR_AT_TIME, 12000);
	assert_parses("time:1.5", SMR_AT_TIME, 1500);
	assert_parses("time:1.05", SMR_AT_TIME, 1050);
	assert_parses("time:0.007", SMR_AT_TIME, 7);
	assert_parses("time:18446744073709550.999", SMR_AT_TIME, 18446744073709550999ull);
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		if (smr_seek_parse(none[i], &s))
			fail_msg("\"%s\" is one", none[i]);
	}
}

static struct smr_reader *recording(const struct gen_options *o)
{
	struct smr_reader *r;

	generate(o);
	assert_int_equal(smr_reader_open(&r, path, NULL), 0);
	return r;
}

/* Two milliseconds for each commit, told after every tenth. */
static void test_times(void **state)
{
	struct gen_options o = {
		.nr_vcpus = 2, .commits = 100, .flush_every = 10, .seed = 3, .commit_ns = 2000000,
	};
	struct smr_reader *r = recording(&o);
	u64 n;

	(void)state;
	for (n = 0; n <= 100; n++) {
		assert_int_equal(smr_commit_at(r, 2 * n), n);
		assert_int_equal(smr_time_of(r, n), 2 * n);
	}
	assert_int_equal(smr_commit_at(r, 1), 0);
	assert_int_equal(smr_commit_at(r, 101), 50);
	/* behind the end */
	assert_int_equal(smr_commit_at(r, 201), 100);
	assert_int_equal(smr_commit_at(r, U64_MAX), 100);
	assert_int_equal(smr_time_of(r, U64_MAX), 200);
	smr_reader_close(r);
}

/* Who goes to a time does not come behind it, whatever the times are. */
static void test_order(void **state)
{
	struct gen_options o = {
		.nr_vcpus = 3, .commits = 997, .flush_every = 7, .seed = 5, .commit_ns = 1234567,
	};
	struct smr_reader *r = recording(&o);
	u64 ms, last = 0, n;

	(void)state;
	for (ms = 0; ms < 1300; ms++) {
		n = smr_commit_at(r, ms);
		assert_true(n >= last && n <= 997);
		assert_true(smr_time_of(r, n) <= ms);
		last = n;
	}
	assert_int_equal(last, 997);
	smr_reader_close(r);
}

/* A recording that has taken no time, and one without a commit. */
static void test_no_time(void **state)
{
	struct gen_options o = {
		.nr_vcpus = 1, .commits = 50, .flush_every = 5, .seed = 7, .commit_ns = 1,
	};
	struct smr_reader *r = recording(&o);

	(void)state;
	assert_int_equal(smr_commit_at(r, 0), 50);
	assert_int_equal(smr_commit_at(r, 5), 50);
	assert_int_equal(smr_time_of(r, 7), 0);
	smr_reader_close(r);
	o.commits = 0;
	r = recording(&o);
	assert_int_equal(smr_commit_at(r, 5), 0);
	assert_int_equal(smr_time_of(r, 7), 0);
	smr_reader_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_no_time),
	};

	return cmocka_run_group_tests_name("seek", tests, files_set_up, files_tear_down);
}
