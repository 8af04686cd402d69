// SPDX-License-Identifier: GPL-2.0
/* Every command on recordings whose checksums are right, and what they cover is not. */
#include "test.h"

#include <unistd.h>

#include "files.h"
#include "forge.h"
#include "gen.h"
#include "runtool.h"

static char original[64], made[64];

static u64 nr_segments(void)
{
	struct smr_reader *r;
	u64 n;

	assert_int_equal(smr_reader_open(&r, path, NULL), 0);
	n = smr_reader_nr_segments(r);
	smr_reader_close(r);
	return n;
}

static void run_it(const char *command, const char *rest)
{
	int status = run_on(command, path, rest);

	if (status > 2)
		fail_msg("%s: status %d: %s", command, status, out);
}

/* What recover leaves is good, if it leaves something. */
static void check_recovered(void)
{
	struct smr_extent x;

	unlink(made);
	run_it("recover", made);
	if (access(made, F_OK))
		return;
	x = extent_of(made);
	assert_true(x.initial && x.trailer && x.replayable && x.seen == x.replayable);
	assert_int_equal(x.damage.code, 0);
	assert_int_equal(run_on("verify", made, ""), x.complete ? 0 : 1);
	assert_int_equal(lines_with("KVM can't"), 0);
}

static void run_all(void)
{
	static const char * const commands[][2] = {
		{ "info", "--all" }, { "info", "--json" }, { "dump", "" }, { "dump", "--json" },
		{ "verify", "" }, { "report", "" }, { "report", "--json --html /dev/null" },
		{ "export", "/dev/null --perfetto" },
	};
	char rest[80];
	u32 i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		run_it(commands[i][0], commands[i][1]);
	run_it("diff", original);
	run_it("diff --json", original);
	snprintf(rest, sizeof(rest), "%s --to 5", made);
	run_it("cut", rest);
	run_it("pack", made);
	check_recovered();
}

static void test_forged(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 60, .flush_every = 30, .seed = 4,
				 .ram_pages = 2, .note_every = 3, .hot_spots = 40 };
	struct rng rng = { 21 };
	struct bytes b, good;
	u64 n;
	u32 i;

	(void)state;
	snprintf(original, sizeof(original), "%s/original", files_dir);
	snprintf(made, sizeof(made), "%s/made", files_dir);
	generate(&o);
	good = slurp(path);
	spit(original, good.p, good.len);
	n = nr_segments();
	b.p = malloc(good.len);
	b.len = good.len;
	assert_non_null(b.p);
	for (i = 0; i < 8; i++) {
		memcpy(b.p, good.p, good.len);
		/* The lengths stay, or forge_change() itself would get lost. */
		forge_change(&b, rng_below(&rng, n), i % 4 ? SMR_SEGMENT_HEADER_SIZE +
			     (u32)rng_below(&rng, 4096) : (u32)rng_below(&rng, S_STORED_LEN),
			     (u8)(1 + rng_below(&rng, 255)));
		spit(path, b.p, b.len);
		run_all();
	}
	free(b.p);
	free(good.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests_name("forged", tests, files_set_up, files_tear_down);
}
