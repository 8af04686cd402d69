// SPDX-License-Identifier: GPL-2.0
/*
 * Counts the solutions of the n queens problem with a queue of tasks for each
 * thread; one with an empty queue steals from the others.
 */
#include "bench.h"

#define MAX_TASKS	512
#define SPLIT_ROWS	3	/* tasks are made of the first rows */

struct task {
	uint32_t columns, left, right;
	uint32_t row;
};

static struct queue {
	struct bench_lock lock;
	uint32_t head, tail;	/* the owner takes at the tail, thieves at the head */
	struct task tasks[MAX_TASKS];
} queues[BENCH_MAX_THREADS] __attribute__((aligned(4096)));

static struct {
	uint64_t solutions;
} __attribute__((aligned(BENCH_LINE))) sums[BENCH_MAX_THREADS];

static uint32_t n, open_tasks;
static uint32_t nr_threads;

static bool put(struct queue *q, const struct task *t)
{
	bool room;

	bench_lock(&q->lock);
	room = q->tail - q->head < MAX_TASKS;
	if (room)
		q->tasks[q->tail++ % MAX_TASKS] = *t;
	bench_unlock(&q->lock);
	return room;
}

static bool take(struct queue *q, struct task *t, bool steal)
{
	bool some;

	if (__atomic_load_n(&q->head, __ATOMIC_RELAXED) ==
	    __atomic_load_n(&q->tail, __ATOMIC_RELAXED))
		return false;
	bench_lock(&q->lock);
	some = q->head != q->tail;
	if (some)
		*t = q->tasks[(steal ? q->head++ : --q->tail) % MAX_TASKS];
	bench_unlock(&q->lock);
	return some;
}

static uint64_t solve(uint32_t columns, uint32_t left, uint32_t right, uint32_t row)
{
	uint32_t free = ~(columns | left | right) & ((1u << n) - 1);
	uint64_t solutions = 0;

	if (row == n)
		return 1;
	for (; free; free &= free - 1) {
		uint32_t bit = free & -free;

		solutions += solve(columns | bit, (left | bit) << 1, (right | bit) >> 1, row + 1);
	}
	return solutions;
}

static void work(uint32_t thread, const struct task *t)
{
	uint32_t free = ~(t->columns | t->left | t->right) & ((1u << n) - 1);

	for (; free; free &= free - 1) {
		uint32_t bit = free & -free;
		struct task next = {
			t->columns | bit, (t->left | bit) << 1, (t->right | bit) >> 1, t->row + 1,
		};

		if (next.row < SPLIT_ROWS) {
			__atomic_fetch_add(&open_tasks, 1, __ATOMIC_RELAXED);
			if (put(&queues[thread], &next))
				continue;
			__atomic_fetch_sub(&open_tasks, 1, __ATOMIC_RELAXED);
		}
		sums[thread].solutions += solve(next.columns, next.left, next.right, next.row);
	}
	__atomic_fetch_sub(&open_tasks, 1, __ATOMIC_RELEASE);
}

static void setup(uint32_t threads, uint32_t size)
{
	struct task first = { 0 };

	n = size ? size : 13;
	nr_threads = threads;
	open_tasks = 1;
	put(&queues[0], &first);
}

static void run(uint32_t thread, uint32_t threads)
{
	struct task t;
	uint32_t i;

	while (__atomic_load_n(&open_tasks, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < threads; i++) {
			if (take(&queues[(thread + i) % threads], &t, i != 0)) {
				work(thread, &t);
				break;
			}
		}
		if (i == threads)
			bench_relax();
	}
}

static bool check(uint64_t *signature)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < nr_threads; i++)
		sum += sums[i].solutions;
	*signature = sum;
	return sum == solve(0, 0, 0, 0);
}

const struct bench_kernel bench_kernel = { "taskqueue", setup, run, check };
