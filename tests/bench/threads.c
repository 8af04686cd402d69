// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a compute kernel as threads of a Linux process: NAME THREADS [SIZE].
 * Prints "RESULT NAME SIGNATURE us=TIME" and returns 0 if the result is right.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/bench.h"

static uint32_t nr_threads;
static pthread_barrier_t barrier;

void bench_barrier(void)
{
	pthread_barrier_wait(&barrier);
}

static void *thread_main(void *arg)
{
	pthread_barrier_wait(&barrier);
	bench_kernel.run((uintptr_t)arg, nr_threads);
	return NULL;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	pthread_t threads[BENCH_MAX_THREADS];
	uint64_t start, took, sig = 0;
	uintptr_t i;

	nr_threads = argc > 1 ? atoi(argv[1]) : 0;
	if (!nr_threads || nr_threads > BENCH_MAX_THREADS) {
		fprintf(stderr, "usage: %s THREADS [SIZE]\n", bench_kernel.name);
		return 2;
	}
	bench_kernel.setup(nr_threads, argc > 2 ? atoi(argv[2]) : 0);
	pthread_barrier_init(&barrier, NULL, nr_threads);
	for (i = 1; i < nr_threads; i++)
		if (pthread_create(&threads[i], NULL, thread_main, (void *)i))
			return 2;
	start = now_us();
	thread_main(NULL);
	for (i = 1; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	took = now_us() - start;
	if (!bench_kernel.check(&sig)) {
		printf("FAILED %s: the result is wrong\n", bench_kernel.name);
		return 1;
	}
	printf("RESULT %s %016llx us=%llu\n", bench_kernel.name, (unsigned long long)sig,
	       (unsigned long long)took);
	return 0;
}
