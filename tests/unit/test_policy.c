// SPDX-License-Identifier: GPL-2.0
/* core/smr_policy: decisions about speed. */
#include "test.h"

#include "smr_policy.h"

#define MIN	1000
#define MAX	64000

static void adapt(struct smr_length *length, u64 branches, bool committed, int times)
{
	while (times--)
		smr_length_adapt(length, branches, committed, MIN, MAX);
}

static void test_length_grows(void **state)
{
	struct smr_length length = { .limit = 4000 };

	(void)state;
	adapt(&length, 4000, true, 7);
	assert_int_equal(length.limit, 4000);
	adapt(&length, 4000, true, 1);
	assert_int_equal(length.limit, 8000);
	assert_int_equal(length.calm, 0);
	/* not beyond what the user allows */
	adapt(&length, MAX, true, 1000);
	assert_int_equal(length.limit, MAX);
}

static void test_length_shrinks(void **state)
{
	struct smr_length length = { .limit = 8000, .calm = 7 };

	(void)state;
	adapt(&length, 8000, false, 1);
	assert_int_equal(length.limit, 4000);
	assert_int_equal(length.calm, 0);
	adapt(&length, MAX, false, 100);
	assert_int_equal(length.limit, MIN);
	/* the larger bound wins if they are in the wrong order */
	length.limit = 500;
	smr_length_adapt(&length, 500, false, MIN, 300);
	assert_int_equal(length.limit, 300);
}

static void test_length_short_chunks(void **state)
{
	struct smr_length length = { .limit = 8000 };

	(void)state;
	adapt(&length, 3999, false, 10);
	adapt(&length, 3999, true, 10);
	assert_int_equal(length.limit, 8000);
	assert_int_equal(length.calm, 0);
	adapt(&length, 4000, true, 1);
	assert_int_equal(length.calm, 1);
}

/* From @min to @max bits, and each number of them about as often. */
static void test_random_short(void **state)
{
	int longer[12] = { 0 };
	u32 i, n, random = 1;

	(void)state;
	for (i = 0; i < 100000; i++) {
		random = random * 1664525 + 1013904223;
		n = smr_random_short(random, 4, 11);
		assert_true(n < 1u << 11);
		longer[11] += n >= 1u << 10;
		longer[4] += n < 1u << 3;
	}
	/* an eighth of them may have 11 bits, and half of those do */
	assert_in_range(longer[11], 5000, 7500);
	/* half of those below 2^4, a quarter of those below 2^5, ... */
	assert_in_range(longer[4], 11000, 14000);
	assert_true(smr_random_short(~0u, 3, 3) == 7);
	assert_true(smr_random_short(~0u, 27, 27) == (1u << 27) - 1);
}

static void test_earn(void **state)
{
	u64 credit = 100;

	(void)state;
	smr_earn(&credit, 600, 6, 1, 1000);
	assert_int_equal(credit, 200);
	smr_earn(&credit, 600, 6, 3, 1000);
	assert_int_equal(credit, 500);
	smr_earn(&credit, 0, 6, 3, 1000);
	assert_int_equal(credit, 500);
	smr_earn(&credit, ~0ull, 6, 41, 1000);
	assert_int_equal(credit, 1000);
}

static void test_hold(void **state)
{
	(void)state;
	assert_int_equal(smr_hold_adapt(6000, true, 6000, 96000), 12000);
	assert_int_equal(smr_hold_adapt(64000, true, 6000, 96000), 96000);
	assert_int_equal(smr_hold_adapt(24000, false, 6000, 96000), 12000);
	assert_int_equal(smr_hold_adapt(7000, false, 6000, 96000), 6000);
}

static void test_sums(void **state)
{
	const struct smr_sums then = { 1, 2, 3, 4, 5, 6 }, now = { 11, 22, 33, 44, 55, 66 };
	struct smr_sums d = smr_sums_since(&now, &then);

	(void)state;
	assert_int_equal(d.attempts, 10);
	assert_int_equal(d.inherent, 20);
	assert_int_equal(d.elapsed, 30);
	assert_int_equal(d.useful, 40);
	assert_int_equal(d.overhead, 50);
	assert_int_equal(d.busy, 60);
}

static void test_lone(void **state)
{
	(void)state;
	assert_true(smr_is_lone(&(struct smr_sums) { .elapsed = 100, .busy = 149 }));
	assert_false(smr_is_lone(&(struct smr_sums) { .elapsed = 100, .busy = 150 }));
}

static void test_window(void **state)
{
	struct smr_sums d = { .attempts = 23, .elapsed = 100, .busy = 200 };

	(void)state;
	assert_false(smr_window_is_over(&d, 10));
	d.attempts = 24;
	assert_true(smr_window_is_over(&d, 10));
	/* a lone vCPU is judged sooner, but not in less than two slices */
	d = (struct smr_sums) { .attempts = 8, .elapsed = 21, .busy = 21 };
	assert_true(smr_window_is_over(&d, 10));
	assert_false(smr_window_is_over(&d, 11));
	d.attempts = 7;
	assert_false(smr_window_is_over(&d, 10));
	/* somebody else has begun another window meanwhile: all of it is below zero */
	d = (struct smr_sums) { .attempts = -30ull, .elapsed = -1000ull, .busy = -1000ull };
	assert_false(smr_window_is_over(&d, 10));
}

static void test_serial_cycles(void **state)
{
	struct smr_sums d = { .attempts = 10, .inherent = 4, .useful = 1000, .overhead = 500 };

	(void)state;
	/* a commit takes 50, and 4 chunks would have ended in serial recording, too */
	assert_int_equal(smr_serial_cycles(&d), 1200);
	d.attempts = 0;
	assert_int_equal(smr_serial_cycles(&d), 1000);
}

static void test_gain(void **state)
{
	struct smr_sums d = { .attempts = 1, .useful = 1600, .elapsed = 1000 };
	s64 credit = 0;

	(void)state;
	/* a margin of a sixteenth in favour of what there is */
	assert_false(smr_add_gain(&credit, &d, 2000));
	assert_int_equal(credit, 700);
	assert_false(smr_add_gain(&credit, &d, 2000));
	assert_true(smr_add_gain(&credit, &d, 2000));
	assert_int_equal(credit, 2000);
	/* what is lost is taken off, below zero in the end */
	d.useful = 0;
	assert_false(smr_add_gain(&credit, &d, 2000));
	assert_int_equal(credit, 1000);
	assert_false(smr_add_gain(&credit, &d, 2000));
	assert_false(smr_add_gain(&credit, &d, 2000));
	assert_true(credit < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length_grows),
		cmocka_unit_test(test_length_shrinks),
		cmocka_unit_test(test_length_short_chunks),
		cmocka_unit_test(test_random_short),
		cmocka_unit_test(test_earn),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_lone),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_serial_cycles),
		cmocka_unit_test(test_gain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
