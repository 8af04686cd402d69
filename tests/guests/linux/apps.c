// SPDX-License-Identifier: GPL-2.0
/*
 * Small programs as servers and runtimes are made of: threads that share a store, a pool of
 * them with a queue of jobs, a garbage collector's marking, and a pipeline of processes.  As
 * in the benchmark's kernels, the result does not depend on who wins which race.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* store: puts and gets in a hash table with a lock for each bucket. */
#define BUCKETS		256
#define BUCKET_KEYS	32
#define OPERATIONS	60000	/* of all threads */

static struct bucket {
	struct bench_lock lock;
	uint32_t used;
	struct {
		uint32_t key;
		uint32_t sum;
	} slots[BUCKET_KEYS];
} buckets[BUCKETS] __attribute__((aligned(4096)));

static uint32_t operations;
static uint64_t put_sums[BENCH_MAX_THREADS];
static uint32_t nr_threads;

static void store_setup(uint32_t threads, uint32_t size)
{
	memset(buckets, 0, sizeof(buckets));
	memset(put_sums, 0, sizeof(put_sums));
	operations = size ? size : OPERATIONS;
	nr_threads = threads;
}

/* Adds to the key's value, which is 0 until then. */
static uint32_t add(struct bucket *b, uint32_t key, uint32_t value)
{
	uint32_t i;

	for (i = 0; i < b->used; i++)
		if (b->slots[i].key == key)
			break;
	if (i == b->used) {
		b->slots[i].key = key;
		b->used++;
	}
	return b->slots[i].sum += value;
}

static void store_run(uint32_t thread, uint32_t threads)
{
	uint32_t first = bench_from(operations, thread, threads);
	uint32_t end = bench_from(operations, thread + 1, threads), i;
	uint64_t work = 0;

	for (i = first; i < end; i++) {
		uint64_t h = bench_mix(1, i);
		struct bucket *b = &buckets[h % BUCKETS];
		uint32_t value = h >> 32 & 7;
		int round;

		bench_lock(&b->lock);
		work += add(b, h / BUCKETS % BUCKET_KEYS, value);
		bench_unlock(&b->lock);
		put_sums[thread] += value;
		/* what the client does with the answer */
		for (round = 0; round < 100; round++)
			work = bench_mix(work, round);
	}
	if (!work)
		abort();
}

static bool store_check(uint64_t *signature)
{
	uint64_t put = 0, got = 0;
	uint32_t i, k;

	for (i = 0; i < nr_threads; i++)
		put += put_sums[i];
	for (i = 0; i < BUCKETS; i++)
		for (k = 0; k < buckets[i].used; k++)
			got += buckets[i].slots[k].sum;
	*signature = got;
	return put == got;
}

const struct bench_kernel app_store = { "store", store_setup, store_run, store_check };

/* pool: one thread puts jobs into a queue, all others and then itself take them. */
#define QUEUE	16	/* jobs that wait, at most */
#define JOBS	300
#define BLOCK	1024	/* words of a job */

static struct {
	struct bench_lock lock;
	uint32_t head, tail;
	uint32_t changes __attribute__((aligned(BENCH_LINE)));
	uint32_t jobs[QUEUE];
	bool closed;
} queue __attribute__((aligned(4096)));

static struct {
	uint64_t sum;
} __attribute__((aligned(4096))) sums[BENCH_MAX_THREADS];
static uint32_t nr_jobs;

static void pool_setup(uint32_t threads, uint32_t size)
{
	memset(&queue, 0, sizeof(queue));
	memset(sums, 0, sizeof(sums));
	nr_jobs = size ? size : JOBS;
	nr_threads = threads;
}

static uint64_t do_job(uint32_t job)
{
	uint64_t block[BLOCK], sum = 0;
	uint32_t i;

	for (i = 0; i < BLOCK; i++)
		block[i] = bench_mix(job, i);
	for (i = 0; i < 8 * BLOCK; i++)
		sum += block[(i * 33) % BLOCK] = bench_mix(sum, block[i % BLOCK]);
	return sum;
}

static void changed(void)
{
	__atomic_fetch_add(&queue.changes, 1, __ATOMIC_RELEASE);
	bench_wake(&queue.changes);
}

/* False: there is no room. */
static bool put_job(uint32_t job)
{
	bool room;

	bench_lock(&queue.lock);
	room = queue.tail - queue.head < QUEUE;
	if (room)
		queue.jobs[queue.tail++ % QUEUE] = job;
	bench_unlock(&queue.lock);
	if (room)
		changed();
	return room;
}

/* 1: it has taken one, 0: there is none now, -1: nor will there be. */
static int take_job(uint32_t *job)
{
	int taken;

	bench_lock(&queue.lock);
	taken = queue.head != queue.tail ? 1 : queue.closed ? -1 : 0;
	if (taken == 1)
		*job = queue.jobs[queue.head++ % QUEUE];
	bench_unlock(&queue.lock);
	if (taken == 1)
		changed();
	return taken;
}

static void put_all(void)
{
	uint32_t job, seen;

	for (job = 0; job < nr_jobs; job++)
		while (seen = __atomic_load_n(&queue.changes, __ATOMIC_ACQUIRE), !put_job(job))
			bench_wait(&queue.changes, seen);
	bench_lock(&queue.lock);
	queue.closed = true;
	bench_unlock(&queue.lock);
	changed();
}

static void pool_run(uint32_t thread, uint32_t threads)
{
	uint32_t job, seen;
	int taken;

	if (!thread)
		put_all();
	do {
		seen = __atomic_load_n(&queue.changes, __ATOMIC_ACQUIRE);
		taken = take_job(&job);
		if (taken == 1)
			sums[thread].sum += do_job(job);
		else if (!taken)
			bench_wait(&queue.changes, seen);
	} while (taken >= 0);
}

static bool pool_check(uint64_t *signature)
{
	uint64_t sum = 0, right = 0;
	uint32_t i;

	for (i = 0; i < nr_threads; i++)
		sum += sums[i].sum;
	for (i = 0; i < nr_jobs; i++)
		right += do_job(i);
	*signature = sum;
	return sum == right;
}

const struct bench_kernel app_pool = { "pool", pool_setup, pool_run, pool_check };

/* mark: threads follow the pointers of a heap and mark what they reach, again and again. */
#define NODES	400000
#define EDGES	4
#define MARKINGS	10

static struct node {
	uint32_t edges[EDGES];
	uint32_t marked;	/* in which marking */
	uint32_t level;		/* steps from the first one */
} *nodes;
static uint32_t nr_nodes, level_size[2], *levels[2];

static void mark_setup(uint32_t threads, uint32_t size)
{
	uint32_t i, e;

	nr_nodes = size ? size : NODES;
	nr_threads = threads;
	nodes = calloc(nr_nodes, sizeof(*nodes));
	levels[0] = calloc(nr_nodes, sizeof(*levels[0]));
	levels[1] = calloc(nr_nodes, sizeof(*levels[1]));
	if (!nodes || !levels[0] || !levels[1])
		abort();
	for (i = 0; i < nr_nodes; i++) {
		/* a third of them can't be reached from a smaller one */
		for (e = 0; e < EDGES; e++)
			nodes[i].edges[e] = bench_mix(i + 1, e) % nr_nodes / 3 * 3;
	}
}

/* True: this thread has marked the node. */
static bool mark(struct node *node, uint32_t marking)
{
	uint32_t old = marking - 1;

	return __atomic_compare_exchange_n(&node->marked, &old, marking, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static void mark_level(uint32_t from, uint32_t first, uint32_t end, uint32_t marking)
{
	uint32_t i, e;

	for (i = first; i < end; i++) {
		const struct node *node = &nodes[levels[from][i]];

		for (e = 0; e < EDGES; e++) {
			struct node *next = &nodes[node->edges[e]];

			if (!mark(next, marking))
				continue;
			next->level = node->level + 1;
			levels[!from][__atomic_fetch_add(&level_size[!from], 1,
							 __ATOMIC_RELAXED)] = next - nodes;
		}
	}
}

static void mark_run(uint32_t thread, uint32_t threads)
{
	uint32_t marking, from = 0, size;

	for (marking = 1; marking <= MARKINGS; marking++) {
		/* All have seen that the level before is empty. */
		bench_barrier();
		if (!thread) {
			nodes[0].marked = marking;
			levels[from][0] = 0;
			level_size[from] = 1;
		}
		bench_barrier();
		while ((size = level_size[from])) {
			mark_level(from, bench_from(size, thread, threads),
				   bench_from(size, thread + 1, threads), marking);
			bench_barrier();
			if (!thread)
				level_size[from] = 0;
			from = !from;
			bench_barrier();
		}
	}
}

static bool mark_check(uint64_t *signature)
{
	uint32_t i, e, marked = 0, wrong = 0;
	uint64_t sum = 0;

	for (i = 0; i < nr_nodes; i++) {
		if (!nodes[i].marked)
			continue;
		marked++;
		sum = bench_mix(sum, nodes[i].level);
		wrong += nodes[i].marked != MARKINGS;
		for (e = 0; e < EDGES; e++)
			wrong += nodes[nodes[i].edges[e]].level > nodes[i].level + 1;
	}
	*signature = sum;
	free(nodes);
	free(levels[0]);
	free(levels[1]);
	return !wrong && marked > nr_nodes / 4;
}

const struct bench_kernel app_mark = { "mark", mark_setup, mark_run, mark_check };

/* pipe: as many processes as processors, each passes blocks on to the next. */
#define BLOCKS	600

static uint32_t nr_blocks;
static uint64_t result;

static void pipe_setup(uint32_t threads, uint32_t size)
{
	nr_blocks = size ? size : BLOCKS;
	nr_threads = threads;
}

static bool all(ssize_t (*io)(int, void *, size_t), int fd, void *p, size_t bytes)
{
	size_t done = 0;
	ssize_t n;

	while (done < bytes) {
		n = io(fd, (char *)p + done, bytes - done);
		if (n <= 0)
			return false;
		done += n;
	}
	return true;
}

static ssize_t write_some(int fd, void *p, size_t bytes)
{
	return write(fd, p, bytes);
}

static void work_on(uint64_t *block)
{
	uint32_t i;

	for (i = 0; i < 4 * BLOCK; i++)
		block[i % BLOCK] = bench_mix(block[i % BLOCK], block[(i + 7) % BLOCK]);
}

/* From @in, or made here if that is -1, to @out, or the result if that is -1. */
static bool stage(int in, int out)
{
	uint64_t block[BLOCK] = { 0 }, sum = 0;
	uint32_t i;

	for (i = 0; i < nr_blocks; i++) {
		if (in >= 0 && !all(read, in, block, sizeof(block)))
			return false;
		block[0] += in < 0 ? i : 0;
		work_on(block);
		if (out >= 0 && !all(write_some, out, block, sizeof(block)))
			return false;
		sum = bench_mix(sum, block[BLOCK - 1]);
	}
	result = sum;
	return true;
}

static void pipe_run(uint32_t thread, uint32_t threads)
{
	uint32_t i;
	int in = -1, ends[2];

	if (thread)
		return;
	for (i = 1; i < threads; i++) {
		if (pipe(ends))
			abort();
		if (!fork())
			_exit(!stage(in, ends[1]));
		close(ends[1]);
		if (in >= 0)
			close(in);
		in = ends[0];
	}
	if (!stage(in, -1))
		abort();
	close(in);
	while (wait(NULL) > 0)
		;
}

static bool pipe_check(uint64_t *signature)
{
	uint64_t block[BLOCK] = { 0 }, sum = 0;
	uint32_t i, t;

	*signature = result;
	if (nr_threads < 2)
		return true;
	/* each stage changes the block it was given; the first one goes on with its own */
	for (i = 0; i < nr_blocks; i++) {
		uint64_t passed[BLOCK];

		block[0] += i;
		work_on(block);
		memcpy(passed, block, sizeof(passed));
		for (t = 1; t < nr_threads; t++)
			work_on(passed);
		sum = bench_mix(sum, passed[BLOCK - 1]);
	}
	return sum == result;
}

const struct bench_kernel app_pipe = { "pipe", pipe_setup, pipe_run, pipe_check };
