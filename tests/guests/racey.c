// SPDX-License-Identifier: GPL-2.0
/*
 * Threads follow and rewrite a shared array through indices that depend on all
 * they have read so far: one race that ends differently changes the signature.
 * The idea is M. Hill's and M. Xu's "racey".
 *
 * n=iterations per processor, words=size of the array (a power of two).
 */
#include "guest.h"

#define MAX_WORDS 4096

static u64 shared[MAX_WORDS] __aligned(PAGE_SIZE);
static struct {
	u64 v;
} __aligned(CACHE_LINE) last[MAX_CPUS];
static u32 words;
static u64 iterations;

static void race(u32 cpu)
{
	u64 x = mix(1, cpu + 1), i;

	sync_cpus();
	for (i = 0; i < iterations; i++) {
		u32 from = x % words, to;

		x = mix(x, READ_ONCE(shared[from]));
		to = x >> 20 & (words - 1);
		x = mix(x, READ_ONCE(shared[to]));
		WRITE_ONCE(shared[to], shared[from] ^ x);
		shared[from] += x >> 7;
	}
	last[cpu].v = x;
}

void guest_main(void)
{
	u64 sig = 0;
	u32 i;

	iterations = param("n", 60000);
	words = param("words", 1024);
	if (words > MAX_WORDS || (words & (words - 1)))
		words = MAX_WORDS;
	for (i = 0; i < words; i++)
		shared[i] = mix(i, 7);
	smp_run(race);
	for (i = 0; i < words; i++)
		sig = mix(sig, shared[i]);
	for (i = 0; i < nr_cpus; i++)
		sig = mix(sig, last[i].v);
	result("racey", "%016lx", sig);
}
