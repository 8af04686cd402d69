// SPDX-License-Identifier: GPL-2.0
/* core/smr_hot: do those that come back often stay? */
#include "test.h"

#include "gen.h"
#include "smr_hot.h"

#define OFTEN	16u	/* spots that come back often */

static struct smr_hot table[SMR_HOT_SPOTS];

static struct smr_hot spot(u64 page, u64 rip, u32 kind)
{
	return (struct smr_hot){
		.ram = page << 12, .rip = rip, .kind = kind, .count = 1, .cycles = 10,
	};
}

static const struct smr_hot *find(const struct smr_hot *what)
{
	u32 i;

	for (i = 0; i < SMR_HOT_SPOTS; i++)
		if (table[i].weight && table[i].ram == what->ram && table[i].rip == what->rip &&
		    table[i].kind == what->kind)
			return &table[i];
	return NULL;
}

/* As long as there is room, all of them are there, with all that was counted. */
static void test_few(void **state)
{
	struct smr_hot what;
	u32 i, k;

	(void)state;
	memset(table, 0, sizeof(table));
	for (k = 0; k < 5; k++) {
		for (i = 0; i < OFTEN; i++) {
			what = spot(i % 4, 0x1000 + i / 4, i % 2);
			what.linear = k == 2 ? 0xabc : 0;
			smr_hot_add(table, &what);
		}
	}
	for (i = 0; i < OFTEN; i++) {
		what = spot(i % 4, 0x1000 + i / 4, i % 2);
		assert_non_null(find(&what));
		assert_int_equal(find(&what)->count, 5);
		assert_int_equal(find(&what)->cycles, 50);
		assert_int_equal(find(&what)->linear, 0xabc);
	}
}

/* Time can come later, without another time. */
static void test_later(void **state)
{
	struct smr_hot what = spot(1, 2, 1);

	(void)state;
	memset(table, 0, sizeof(table));
	smr_hot_add(table, &what);
	what.count = 0;
	what.cycles = 1000;
	smr_hot_add(table, &what);
	assert_int_equal(find(&what)->count, 1);
	assert_int_equal(find(&what)->cycles, 1010);
}

/* Every other one is one of a few, the rest come once: the few are there, nearly whole. */
static void test_many(void **state)
{
	struct rng rng = { 42 };
	struct smr_hot what;
	u32 i, n = 100000;
	u64 count = 0;

	(void)state;
	memset(table, 0, sizeof(table));
	for (i = 0; i < n; i++) {
		what = i % 2 ? spot(rng_below(&rng, OFTEN), 0x5000, 0) :
			       spot(100 + i, rng_next(&rng), 1);
		smr_hot_add(table, &what);
	}
	for (i = 0; i < OFTEN; i++) {
		what = spot(i, 0x5000, 0);
		assert_non_null(find(&what));
		count += find(&what)->count;
	}
	assert_in_range(count, n / 2 * 9 / 10, n / 2);
	/* Nothing is counted twice. */
	for (i = 0, count = 0; i < SMR_HOT_SPOTS; i++)
		count += table[i].count;
	assert_true(count <= n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("hot", tests, NULL, NULL);
}
