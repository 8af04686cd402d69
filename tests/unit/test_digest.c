// SPDX-License-Identifier: GPL-2.0
/* core/smr_digest.h, core/smr_avx2.h */
#include "test.h"

#include "gen.h"
#include "smr_avx2.h"
#include "smr_digest.h"
#include "smr_file.h"

#define PAGE	4096u
#define PAGES	16u

static u64 ram[PAGES][PAGE / 8] __attribute__((aligned(PAGE)));

static u64 digest_of(u32 page)
{
	return smr_page_digest(smr_page_sum(ram[page]), page * PAGE);
}

static u64 digest_of_all(void)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < PAGES; i++)
		sum += digest_of(i);
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
	(void)state;
	memset(ram, 0, sizeof(ram));
	assert_int_equal(digest_of_all(), 0);
}

static void test_incremental(void **state)
{
	struct rng rng = { 2 };
	u64 digest;
	u32 i, page;

	(void)state;
	fill(3);
	digest = digest_of_all();
	for (i = 0; i < 2000; i++) {
		page = rng_below(&rng, PAGES);
		digest -= digest_of(page);
		ram[page][rng_below(&rng, PAGE / 8)] = rng_below(&rng, 4) ? rng_next(&rng) : 0;
		digest += digest_of(page);
	}
	assert_true(digest == digest_of_all());
}

/* In a page of @word, and where a half of a word is what it is multiplied with. */
static void check_every_bit(u64 word)
{
	u64 digest;
	u32 bit, i;

	for (i = 0; i < PAGE / 8; i++)
		ram[1][i] = word;
	digest = digest_of(1);
	for (bit = 0; bit < PAGE * 8; bit++) {
		ram[1][bit / 64] ^= 1ull << bit % 64;
		assert_true(digest_of(1) != digest);
		ram[1][bit / 64] ^= 1ull << bit % 64;
	}
}

static void test_every_bit_counts(void **state)
{
	(void)state;
	check_every_bit(0);
	check_every_bit(~0ull);
	check_every_bit(0x123456789abcdefull);
	/* The product of the first word's halves is zero. */
	check_every_bit(SMR_PAGE_KEY & 0xffffffff);
	check_every_bit(SMR_PAGE_KEY);
}

static void test_place_counts(void **state)
{
	u64 digest;
	u32 i;

	(void)state;
	memset(ram, 0, sizeof(ram));
	ram[1][0] = 5;
	digest = digest_of(1);
	for (i = 1; i < PAGE / 8; i++) {
		ram[1][i - 1] = 0;
		ram[1][i] = 5;
		assert_true(digest_of(1) != digest);
	}
	for (i = 2; i < PAGES; i++) {
		memcpy(ram[i], ram[1], PAGE);
		assert_true(digest_of(i) != digest_of(1));
	}
	/* Two pages exchanged are not the same memory. */
	fill(4);
	digest = digest_of(0) + digest_of(1);
	memcpy(ram[2], ram[0], PAGE);
	memcpy(ram[0], ram[1], PAGE);
	memcpy(ram[1], ram[2], PAGE);
	assert_true(digest_of(0) + digest_of(1) != digest);
}

/* Every byte of a page that is not zero. */
static void test_avx2_zero(void **state)
{
	u8 *p = (u8 *)ram[0];
	u32 i;

	(void)state;
	memset(ram, 0, sizeof(ram));
	if (!__builtin_cpu_supports("avx2"))
		skip();
	assert_true(smr_page_is_zero_avx2(p));
	/* What follows it does not count. */
	p[PAGE] = 1;
	assert_true(smr_page_is_zero_avx2(p));
	for (i = 0; i < PAGE; i++) {
		p[i] = (u8)(1u << i % 8);
		assert_false(smr_page_is_zero_avx2(p));
		p[i] = 0;
	}
}

static void test_avx2_sum(void **state)
{
	u32 i;

	(void)state;
	if (!__builtin_cpu_supports("avx2"))
		skip();
	fill(5);
	memset(ram[3], 0, PAGE);
	memset(ram[4], 0xff, PAGE);
	for (i = 0; i < PAGES; i++)
		assert_true(smr_page_sum_avx2(ram[i]) == smr_page_sum(ram[i]));
}

static void test_avx2_compare(void **state)
{
	u8 *a = (u8 *)ram[0], *b = (u8 *)ram[1];
	u32 i;

	(void)state;
	if (!__builtin_cpu_supports("avx2"))
		skip();
	fill(6);
	memcpy(b, a, PAGE);
	assert_true(smr_same_block_avx2(a, b));
	for (i = 0; i < PAGE; i++) {
		b[i] ^= 1u << i % 8;
		assert_int_equal(smr_same_block_avx2(a, b), i >= 256);
		b[i] ^= 1u << i % 8;
	}
}

static void test_chain(void **state)
{
	(void)state;
	assert_true(smr_chain(smr_chain(0, 1), 2) != smr_chain(smr_chain(0, 2), 1));
	assert_true(smr_chain(1, 0) != smr_chain(2, 0));
}

/* smr_crc32c() inverts before and after. */
static u32 crc_of(const u64 *words, u32 n)
{
	return ~smr_crc32c(~0u, words, n * sizeof(*words));
}

static void test_crc(void **state)
{
	u64 words[9], even[5], odd[5];
	u32 i, n;

	(void)state;
	for (i = 0; i < 9; i++)
		words[i] = smr_mix(i + 1);
	for (n = 0; n <= 9; n++) {
		for (i = 0; i < n; i++)
			(i % 2 ? odd : even)[i / 2] = words[i];
		assert_int_equal(smr_crc_words(words, n),
				 (u64)crc_of(odd, n / 2) << 32 | crc_of(even, (n + 1) / 2));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_incremental),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_place_counts),
		cmocka_unit_test(test_avx2_zero),
		cmocka_unit_test(test_avx2_sum),
		cmocka_unit_test(test_avx2_compare),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_crc),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
