// SPDX-License-Identifier: GPL-2.0
/*
 * Radix sort, as SPLASH-2's: threads count digits of their part of the keys, add
 * up the counts, and scatter their keys over the whole other array.
 */
#include "bench.h"

#define MAX_KEYS	(1u << 18)
#define BITS		8
#define DIGITS		(1u << BITS)

static uint32_t keys[2][MAX_KEYS] __attribute__((aligned(4096)));
static uint32_t counts[BENCH_MAX_THREADS][DIGITS] __attribute__((aligned(4096)));
static uint32_t starts[BENCH_MAX_THREADS][DIGITS] __attribute__((aligned(4096)));
static uint32_t n, rounds;

static uint32_t input(uint32_t i)
{
	return (uint32_t)bench_mix(i, 3);
}

static void count(const uint32_t *from, uint32_t shift, uint32_t thread, uint32_t threads)
{
	uint32_t last = bench_from(n, thread + 1, threads), i;
	uint32_t *c = counts[thread];

	for (i = 0; i < DIGITS; i++)
		c[i] = 0;
	for (i = bench_from(n, thread, threads); i < last; i++)
		c[from[i] >> shift & (DIGITS - 1)]++;
}

/* Where the thread's keys of each digit go: every thread adds up for itself. */
static void add_up(uint32_t thread, uint32_t threads)
{
	uint32_t d, t, sum = 0;

	for (d = 0; d < DIGITS; d++) {
		for (t = 0; t < threads; t++) {
			if (t == thread)
				starts[thread][d] = sum;
			sum += counts[t][d];
		}
	}
}

static void scatter(uint32_t *to, const uint32_t *from, uint32_t shift, uint32_t thread,
		    uint32_t threads)
{
	uint32_t last = bench_from(n, thread + 1, threads), i;
	uint32_t *s = starts[thread];

	for (i = bench_from(n, thread, threads); i < last; i++)
		to[s[from[i] >> shift & (DIGITS - 1)]++] = from[i];
}

static void setup(uint32_t threads, uint32_t size)
{
	n = MAX_KEYS;
	rounds = size ? size : 10;
}

static void run(uint32_t thread, uint32_t threads)
{
	uint32_t r, shift, i, now = 0;

	for (r = 0; r < rounds; r++) {
		for (i = bench_from(n, thread, threads); i < bench_from(n, thread + 1, threads); i++)
			keys[0][i] = input(i);
		bench_barrier();
		for (shift = 0, now = 0; shift < 32; shift += BITS, now = !now) {
			count(keys[now], shift, thread, threads);
			bench_barrier();
			add_up(thread, threads);
			scatter(keys[!now], keys[now], shift, thread, threads);
			bench_barrier();
		}
	}
}

static bool check(uint64_t *signature)
{
	uint64_t sum = 0, expected = 0, sig = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (i && keys[0][i - 1] > keys[0][i])
			return false;
		sum += keys[0][i];
		expected += input(i);
		sig = bench_mix(sig, keys[0][i]);
	}
	*signature = sig;
	return sum == expected;
}

const struct bench_kernel bench_kernel = { "radix", setup, run, check };
