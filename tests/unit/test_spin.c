// SPDX-License-Identifier: GPL-2.0
/* core/smr_spin: does a guest wait in a loop? */
#include "test.h"

#include "smr_spin.h"

/* A vCPU at the instruction @rip, one of whose registers is @value. */
static u64 look(struct smr_spin *spin, u64 rip, u64 value, bool *spins)
{
	struct smr_seen now = { .rip = rip };

	now.regs[3] = value;
	now.regs[SMR_SPIN_REGS - 1] = 1;
	return smr_spin_look(spin, &now, spins);
}

static void test_work(void **state)
{
	u64 next, first, interval, value = 0;
	struct smr_spin spin;
	bool spins;
	int i;

	(void)state;
	smr_spin_init(&spin);
	first = spin.interval;
	interval = first;
	for (i = 0; i < 1000; i++) {
		next = look(&spin, 0x1000, value++, &spins);
		assert_false(spins);
		assert_int_equal(next, SMR_SPIN_CLOSE);
		next = look(&spin, 0x1000, value++, &spins);
		assert_false(spins);
		/* less and less often */
		assert_true(next >= interval);
		interval = next;
	}
	assert_true(interval > 2 * first);
}

static void test_wait(void **state)
{
	struct smr_spin spin;
	bool spins;

	(void)state;
	smr_spin_init(&spin);
	assert_int_equal(look(&spin, 0x1000, 7, &spins), SMR_SPIN_CLOSE);
	assert_int_equal(look(&spin, 0x1003, 7, &spins), SMR_SPIN_CLOSE);
	assert_false(spins);
	/* wherever it is in the loop */
	assert_true(look(&spin, 0x1001, 7, &spins) > SMR_SPIN_CLOSE);
	assert_true(spins);
	/* not if it was somewhere else since */
	smr_spin_init(&spin);
	look(&spin, 0x1000, 7, &spins);
	look(&spin, 0x1000, 7, &spins);
	smr_spin_forget(&spin);
	look(&spin, 0x1000, 7, &spins);
	assert_false(spins);
}

/* The registers of a loop have several values, of which a few are remembered. */
static void test_states(void **state)
{
	struct smr_spin spin;
	bool spins = false;
	int i;

	(void)state;
	smr_spin_init(&spin);
	for (i = 0; i < 6 + SMR_SPIN_SEEN && !spins; i++)
		look(&spin, 0x1000, i % SMR_SPIN_SEEN, &spins);
	assert_true(spins);
	/* not more than that */
	smr_spin_init(&spin);
	for (i = 0; i < 100; i++) {
		look(&spin, 0x1000, i % (SMR_SPIN_SEEN + 1), &spins);
		assert_false(spins);
	}
}

/* The same registers elsewhere are another matter. */
static void test_far(void **state)
{
	struct smr_spin spin;
	bool spins;
	int i;

	(void)state;
	smr_spin_init(&spin);
	for (i = 0; i < 100; i++) {
		look(&spin, i * 0x1000, 7, &spins);
		assert_false(spins);
	}
}

/* @work pairs of looks, then a wait, @n times.  The interval at the end. */
static u64 waits(struct smr_spin *spin, int work, int n)
{
	u64 value = 1000;
	bool spins;
	int i;

	while (n--) {
		for (i = 0; i < 2 * work; i++) {
			look(spin, 0x1000, value++, &spins);
			assert_false(spins);
		}
		for (i = 0, spins = false; i < 12 && !spins; i++)
			look(spin, 0x1000, 7, &spins);
		assert_true(spins);
	}
	return spin->interval;
}

static void test_interval(void **state)
{
	u64 often, seldom, first;
	struct smr_spin spin;

	(void)state;
	smr_spin_init(&spin);
	first = spin.interval;
	often = waits(&spin, 1, 100);
	seldom = waits(&spin, 20, 100);
	assert_true(often < first);
	assert_true(often < seldom);
	/* A look takes time, too. */
	assert_true(often >= 4 * SMR_SPIN_CLOSE);
	/* what has never waited for long is left alone */
	assert_true(waits(&spin, 10000, 1) > 2 * often);
}

/*
 * @n rounds of @length branches, with a second read in the middle, or, if @waits, fewer: until
 * it was seen.  How often it was.
 */
static int rounds_of(struct smr_rounds *rounds, u64 *branches, u64 length, int n, bool waits)
{
	int seen = 0;

	while (n-- && !(waits && seen)) {
		*branches += length;
		seen += smr_rounds_read(rounds, 0x1000, 0x8000, *branches);
		seen += smr_rounds_read(rounds, 0x1040, 0x8000, *branches + 40);
	}
	return seen;
}

/* @n times as many rounds as a thread that works yields, then something else. */
static int works_by(struct smr_rounds *rounds, u64 *branches, int n)
{
	int seen = 0;

	while (n--) {
		seen += rounds_of(rounds, branches, 90, 20, false);
		rounds_of(rounds, branches, 500, 1, false);
	}
	return seen;
}

static void test_rounds(void **state)
{
	struct smr_rounds rounds;
	u64 branches = 0;
	int i, seen;

	(void)state;
	smr_rounds_init(&rounds);
	/* until it is known where the loop is, and how long */
	assert_int_equal(rounds_of(&rounds, &branches, 90, 16, false), 0);
	assert_int_equal(rounds_of(&rounds, &branches, 90, 8, false), 1);
	/* less and less often */
	assert_int_equal(rounds_of(&rounds, &branches, 90, 1000, false), 6);
	/* one that works, and does something else now and then: hardly ever */
	assert_in_range(works_by(&rounds, &branches, 100), 0, 1);
	/* one that waits, works and waits again: soon early each time */
	for (i = seen = 0; i < 100; i++) {
		seen += rounds_of(&rounds, &branches, 90, i < 3 ? 300 : 40, true);
		rounds_of(&rounds, &branches, 500, 1, false);
	}
	assert_int_equal(seen, 100);
}

/* From the start one that works. */
static void test_working_rounds(void **state)
{
	struct smr_rounds rounds;
	u64 branches = 0;

	(void)state;
	smr_rounds_init(&rounds);
	assert_in_range(works_by(&rounds, &branches, 1000), 1, 2);
}

static void test_no_rounds(void **state)
{
	struct smr_rounds rounds;
	u64 i;

	(void)state;
	smr_rounds_init(&rounds);
	/* the same place, never as long as before */
	for (i = 0; i < 1000; i++)
		assert_false(smr_rounds_read(&rounds, 0x1000, 0x8000, i * i));
	/* or never the same place */
	for (i = 0; i < 1000; i++)
		assert_false(smr_rounds_read(&rounds, 0x1000, 0x8000 + 8 * i, 90 * i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_far),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_working_rounds),
		cmocka_unit_test(test_no_rounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
