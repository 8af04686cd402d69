/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Digests.  Not cryptographic: they find divergences, not forgeries.
 *
 * Memory: the digest of all RAM is the sum, modulo 2^64, of a digest of every
 * 4096-byte page keyed by its guest-physical address.  It does not depend on the
 * order of writes, an all-zero page contributes 0, and a changed page is accounted
 * for by one subtraction and one addition.
 */
#ifndef SMR_DIGEST_H
#define SMR_DIGEST_H

#include "smr_port.h"

#define SMR_PAGE_WORDS		512u
#define SMR_PAGE_KEY		0x9e3779b97f4a7c15ull
#define SMR_KEY_STEP		0xd6e8feb86659fd93ull
/* smr_page_sum() of zeroes */
#define SMR_EMPTY_PAGE		0x5501f39b6ae9775eull

static inline u64 smr_mix(u64 x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	return x;
}

/* Fold one value into a chain of values. */
static inline u64 smr_chain(u64 chain, u64 v)
{
	chain = (chain ^ v) * 0x9e3779b97f4a7c15ull;
	return chain ^ (chain >> 29);
}

/*
 * The CRC32C's of every other of @n words, and of the others: the processor takes a word in one
 * instruction.  Without the inversions, so not what other users of the polynomial would get.
 */
static inline u64 smr_crc_words(const u64 *w, u32 n)
{
	u64 even = 0, odd = 0;

	for (; n > 1; n -= 2, w += 2) {
		asm("crc32q %1, %0" : "+r" (even) : "rm" (w[0]));
		asm("crc32q %1, %0" : "+r" (odd) : "rm" (w[1]));
	}
	if (n)
		asm("crc32q %1, %0" : "+r" (even) : "rm" (w[0]));
	return odd << 32 | even;
}

/*
 * @page: 4096 bytes, aligned.  The halves of each word, keyed by its place, are
 * multiplied; the word itself is there for when one of them is zero.  Most machines do
 * it with smr_page_sum_avx2().
 */
static inline u64 smr_page_sum(const void *page)
{
	u64 key = SMR_PAGE_KEY, sum = 0, x;
	const u64 *w = page;
	u32 i;

	for (i = 0; i < SMR_PAGE_WORDS; i++) {
		x = w[i] ^ key;
		sum += (u32)x * (x >> 32) + w[i];
		key += SMR_KEY_STEP;
	}
	return sum;
}

/* @sum: smr_page_sum() of the page.  @gpa: its guest-physical address. */
static inline u64 smr_page_digest(u64 sum, u64 gpa)
{
	return sum == SMR_EMPTY_PAGE ? 0 : smr_mix(sum - SMR_EMPTY_PAGE + gpa);
}

#endif /* SMR_DIGEST_H */
