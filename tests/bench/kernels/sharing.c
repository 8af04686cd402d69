// SPDX-License-Identifier: GPL-2.0
/*
 * A worst case: all threads write all pages all the time, each in a line of its
 * own, and look at a neighbour's line.
 */
#include "bench.h"

#define PAGES	16

static struct {
	struct {
		uint64_t count;
	} __attribute__((aligned(BENCH_LINE))) of[BENCH_MAX_THREADS];
} pages[PAGES] __attribute__((aligned(4096)));

static struct {
	uint64_t errors;
} own[BENCH_MAX_THREADS] __attribute__((aligned(4096)));
static uint32_t rounds, nr_threads;

static void setup(uint32_t threads, uint32_t size)
{
	rounds = size ? size : 300000;
	nr_threads = threads;
}

static void run(uint32_t thread, uint32_t threads)
{
	uint64_t seen[PAGES] = { 0 }, errors = 0;
	uint32_t i, p, other = (thread + 1) % threads;

	for (i = 0; i < rounds; i++) {
		for (p = 0; p < PAGES; p++) {
			uint64_t *count = &pages[p].of[thread].count;
			uint64_t now;

			__atomic_store_n(count, *count + i, __ATOMIC_RELAXED);
			now = __atomic_load_n(&pages[p].of[other].count, __ATOMIC_RELAXED);
			errors += now < seen[p];
			seen[p] = now;
		}
	}
	own[thread].errors = errors;
}

static bool check(uint64_t *signature)
{
	uint64_t h = 0, want = (uint64_t)rounds * (rounds - 1) / 2;
	uint32_t t, p;

	for (t = 0; t < nr_threads; t++) {
		if (own[t].errors)
			return false;
		for (p = 0; p < PAGES; p++) {
			if (pages[p].of[t].count != want)
				return false;
			h = bench_mix(h, pages[p].of[t].count);
		}
	}
	*signature = h;
	return true;
}

const struct bench_kernel bench_kernel = { "sharing", setup, run, check };
