// SPDX-License-Identifier: GPL-2.0
/*
 * A pipeline in the manner of PARSEC's dedup: thread 0 makes blocks, the threads
 * in between transform them, the last one sums them up.  Neighbours share a ring
 * of blocks.
 */
#include "bench.h"

#define WORDS	2048	/* of a block: two pages of 8 bytes a word are four */
#define SLOTS	4
#define PASSES	4

static struct ring {
	uint32_t head __attribute__((aligned(4096)));
	uint32_t tail __attribute__((aligned(4096)));
	uint64_t blocks[SLOTS][WORDS] __attribute__((aligned(4096)));
} rings[BENCH_MAX_THREADS];

static uint64_t own[BENCH_MAX_THREADS][WORDS] __attribute__((aligned(4096)));
static uint32_t nr_blocks, nr_stages;
static uint64_t total;

static void make(uint64_t *block, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < WORDS; i++)
		block[i] = bench_mix(nr, i);
}

static void transform(uint64_t *to, const uint64_t *from, uint32_t stage)
{
	uint32_t i, p;

	for (i = 0; i < WORDS; i++)
		to[i] = from[i];
	for (p = 0; p < PASSES; p++)
		for (i = 0; i < WORDS; i++)
			to[i] = bench_mix(to[i] + to[(i * 7 + p) % WORDS], stage);
}

static uint64_t sum_of(uint64_t sum, const uint64_t *block)
{
	uint32_t i;

	for (i = 0; i < WORDS; i++)
		sum = bench_mix(sum, block[i]);
	return sum;
}

static void send(struct ring *r, const uint64_t *block)
{
	uint32_t i;

	while (r->head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == SLOTS)
		bench_relax();
	for (i = 0; i < WORDS; i++)
		r->blocks[r->head % SLOTS][i] = block[i];
	__atomic_store_n(&r->head, r->head + 1, __ATOMIC_RELEASE);
}

static const uint64_t *wait_for(struct ring *r)
{
	while (__atomic_load_n(&r->head, __ATOMIC_ACQUIRE) == r->tail)
		bench_relax();
	return r->blocks[r->tail % SLOTS];
}

static void done_with(struct ring *r)
{
	__atomic_store_n(&r->tail, r->tail + 1, __ATOMIC_RELEASE);
}

static void setup(uint32_t threads, uint32_t size)
{
	nr_blocks = size ? size : 800;
	nr_stages = threads;
}

static void run(uint32_t thread, uint32_t threads)
{
	uint64_t *block = own[thread];
	uint32_t nr;

	for (nr = 0; nr < nr_blocks; nr++) {
		if (thread) {
			transform(block, wait_for(&rings[thread - 1]), thread);
			done_with(&rings[thread - 1]);
		} else {
			make(block, nr);
		}
		if (thread < threads - 1)
			send(&rings[thread], block);
		else
			total = sum_of(total, block);
	}
}

static bool check(uint64_t *signature)
{
	static uint64_t a[WORDS], b[WORDS];
	uint32_t nr, s, i;
	uint64_t sum = 0;

	for (nr = 0; nr < nr_blocks; nr++) {
		make(a, nr);
		for (s = 1; s < nr_stages; s++) {
			transform(b, a, s);
			for (i = 0; i < WORDS; i++)
				a[i] = b[i];
		}
		sum = sum_of(sum, a);
	}
	*signature = sum;
	return sum == total;
}

const struct bench_kernel bench_kernel = { "pipeline", setup, run, check };
