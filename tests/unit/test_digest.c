// SPDX-License-Identifier: GPL-2.0
/* core/smr_digest.h */
#include "test.h"

#include "gen.h"
#include "smr_digest.h"

#define PAGE	4096u
#define PAGES	16u

static u64 ram[PAGES][PAGE / 8];

static u64 digest_of_all(void)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < PAGES; i++)
		sum += smr_page_digest(ram[i], i * PAGE);
	return sum;
}

static void fill(u64 seed)
{
	struct rng rng = { seed };
	u32 i, k;

	for (i = 0; i < PAGES; i++) {
		for (k = 0; k < PAGE / 8; k++)
			ram[i][k] = rng_next(&rng);
	}
}

static void test_zero(void **state)
{
	u64 line[8] = { 0 }, addr;

	(void)state;
	for (addr = 0; addr < 1u << 20; addr += 64)
		assert_int_equal(smr_line_digest(line, addr), 0);
	memset(ram, 0, sizeof(ram));
	assert_int_equal(digest_of_all(), 0);
}

static void test_order_of_lines(void **state)
{
	u64 sum = 0;
	u32 i;

	(void)state;
	fill(1);
	for (i = PAGES * SMR_LINES_PER_PAGE; i-- > 0; )
		sum += smr_line_digest((u8 *)ram + i * SMR_LINE, i * SMR_LINE);
	assert_true(sum == digest_of_all());
}

static void test_incremental(void **state)
{
	struct rng rng = { 2 };
	u64 digest, addr, *line;
	u32 i;

	(void)state;
	fill(3);
	digest = digest_of_all();
	for (i = 0; i < 2000; i++) {
		addr = rng_below(&rng, PAGES * SMR_LINES_PER_PAGE) * SMR_LINE;
		line = &ram[addr / PAGE][addr % PAGE / 8];
		digest -= smr_line_digest(line, addr);
		line[rng_below(&rng, 8)] = rng_below(&rng, 4) ? rng_next(&rng) : 0;
		digest += smr_line_digest(line, addr);
	}
	assert_true(digest == digest_of_all());
}

static void test_every_bit_counts(void **state)
{
	u64 line[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, zero[8] = { 0 };
	u64 digest = smr_line_digest(line, 64);
	u32 bit;

	(void)state;
	for (bit = 0; bit < 512; bit++) {
		line[bit / 64] ^= 1ull << bit % 64;
		assert_true(smr_line_digest(line, 64) != digest);
		line[bit / 64] ^= 1ull << bit % 64;
		zero[bit / 64] ^= 1ull << bit % 64;
		assert_true(smr_line_digest(zero, 64) != 0);
		zero[bit / 64] ^= 1ull << bit % 64;
	}
}

static void test_address_counts(void **state)
{
	u64 line[8] = { 0, 0, 0, 5 };
	u64 addr;

	(void)state;
	for (addr = 64; addr < 64 * 4096; addr += 64)
		assert_true(smr_line_digest(line, addr) != smr_line_digest(line, 0));
	/* Two lines exchanged are not the same memory. */
	fill(4);
	assert_true(smr_page_digest(ram[0], 0) + smr_page_digest(ram[1], PAGE) !=
		    smr_page_digest(ram[1], 0) + smr_page_digest(ram[0], PAGE));
}

static void test_chain(void **state)
{
	(void)state;
	assert_true(smr_chain(smr_chain(0, 1), 2) != smr_chain(smr_chain(0, 2), 1));
	assert_true(smr_chain(1, 0) != smr_chain(2, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_order_of_lines),
		cmocka_unit_test(test_incremental),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_address_counts),
		cmocka_unit_test(test_chain),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
