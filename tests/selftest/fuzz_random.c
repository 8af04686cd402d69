// SPDX-License-Identifier: GPL-2.0
/* samsara_fuzz: random numbers. */
#include "fuzz.h"

unsigned long long random64(struct rng *r)
{
	unsigned long long z = (r->s += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

unsigned int below(struct rng *r, unsigned int n)
{
	return random64(r) % n;
}

bool one_in(struct rng *r, unsigned int n)
{
	return !below(r, n);
}

/* A number that someone may not have thought of. */
unsigned long long odd_number(struct rng *r)
{
	switch (below(r, 6)) {
	case 0: return below(r, 4);
	case 1: return ~0ull - below(r, 4);
	case 2: return (1ull << below(r, 64)) - below(r, 3);
	case 3: return below(r, 2 * MEM);
	case 4: return 0xfee00000 + below(r, 4096);
	default: return random64(r);
	}
}

void spoil(struct rng *r, void *p, size_t len)
{
	unsigned int n = 1 + below(r, 4);

	while (n--)
		((unsigned char *)p)[below(r, len)] ^= 1 << below(r, 8);
}
