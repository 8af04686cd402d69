// SPDX-License-Identifier: GPL-2.0
/*
 * A worst case: all threads fight for one spin lock, and hold it only for a few
 * instructions.
 */
#include "bench.h"

#define OUTSIDE	40	/* steps between releasing the lock and wanting it again */

static struct bench_lock lock;
static struct {
	uint64_t count, sum;
} shared __attribute__((aligned(BENCH_LINE)));
static struct {
	uint64_t sum;
} own[BENCH_MAX_THREADS] __attribute__((aligned(4096)));
static uint32_t total;

static void setup(uint32_t threads, uint32_t size)
{
	total = size ? size : 600000;
}

static uint64_t outside(uint64_t h)
{
	uint32_t i;

	for (i = 0; i < OUTSIDE; i++)
		h = bench_mix(h, i);
	return h;
}

static void run(uint32_t thread, uint32_t threads)
{
	uint32_t i, last = bench_from(total, thread + 1, threads);
	uint64_t h = 0;

	for (i = bench_from(total, thread, threads); i < last; i++) {
		h ^= outside(i);
		bench_lock(&lock);
		shared.count++;
		shared.sum += i;
		bench_unlock(&lock);
	}
	own[thread].sum = h;
}

static bool check(uint64_t *signature)
{
	uint64_t h = 0, want = 0;
	uint32_t i;

	for (i = 0; i < BENCH_MAX_THREADS; i++)
		h ^= own[i].sum;
	for (i = 0; i < total; i++)
		want ^= outside(i);
	*signature = bench_mix(h, shared.sum);
	return h == want && shared.count == total &&
	       shared.sum == (uint64_t)total * (total - 1) / 2;
}

const struct bench_kernel bench_kernel = { "spinlock", setup, run, check };
