/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Digests.  Not cryptographic: they find divergences, not forgeries.
 *
 * Memory: the digest of all RAM is the sum, modulo 2^64, of a digest of every
 * 64-byte line keyed by its guest-physical address.  It does not depend on the
 * order of writes, an all-zero line contributes 0, and a changed line is
 * accounted for by one subtraction and one addition.
 */
#ifndef SMR_DIGEST_H
#define SMR_DIGEST_H

#include "smr_port.h"

#define SMR_LINE		64u
#define SMR_LINES_PER_PAGE	64u

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

/* @line: 64 bytes, 8-byte aligned.  @addr: guest-physical address of the line. */
static inline u64 smr_line_digest(const void *line, u64 addr)
{
	const u64 *v = line;
	u64 x = 0;
	int i;

	/* Most of a guest's memory is zero. */
	if (!(v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7]))
		return 0;
	for (i = 0; i < 8; i++) {
		x = (x ^ v[i]) * 0x9e3779b97f4a7c15ull;
		x ^= x >> 31;
	}
	return x ? smr_mix(x + addr) : 0;
}

/* @page: 4096 bytes, aligned.  @gpa: its guest-physical address. */
static inline u64 smr_page_digest(const void *page, u64 gpa)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < SMR_LINES_PER_PAGE; i++)
		sum += smr_line_digest((const u8 *)page + i * SMR_LINE, gpa + i * SMR_LINE);
	return sum;
}

#endif /* SMR_DIGEST_H */
