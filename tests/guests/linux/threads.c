// SPDX-License-Identifier: GPL-2.0
/*
 * /init of the guest that runs programs of several threads, one for each processor, in user
 * mode: compute kernels of the benchmark, those of apps.c, and "pass", in which two threads take
 * turns.  How they wait for each other is part of what is run, and so may be its size:
 * "work=ocean:spin,pass:futex:100" on the kernel's command line; "size=N" scales what has none.
 * Prints "RESULT ocean-spin SIGNATURE cycles=N" for each.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"
#include "machine.h"

#define PASSES	2000

extern const struct bench_kernel bench_fft, bench_lu, bench_ocean;
extern const struct bench_kernel app_store, app_pool, app_mark, app_pipe;

static uint32_t nr_threads;
static const struct bench_kernel *kernel;
static struct {
	uint32_t arrived __attribute__((aligned(BENCH_LINE)));
	uint32_t phase __attribute__((aligned(BENCH_LINE)));
} barrier __attribute__((aligned(4096)));

static enum { FUTEX, SPIN, PAUSE, YIELD, SLEEP, NR_WAYS } way;
static const char *const ways[] = { "futex", "spin", "pause", "yield", "sleep" };

static uint32_t read_word(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void futex(const uint32_t *word, int op, uint32_t value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

void bench_wait(const uint32_t *word, uint32_t seen)
{
	static const struct timespec moment = { .tv_nsec = 20000 };

	switch (way) {
	case FUTEX:
		futex(word, FUTEX_WAIT_PRIVATE, seen);
		break;
	case PAUSE:
		while (read_word(word) == seen)
			_mm_pause();
		break;
	case YIELD:
		while (read_word(word) == seen)
			sched_yield();
		break;
	case SLEEP:
		while (read_word(word) == seen)
			nanosleep(&moment, NULL);
		break;
	default:
		while (read_word(word) == seen)
			;
	}
}

void bench_wake(const uint32_t *word)
{
	if (way == FUTEX)
		futex(word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

void bench_barrier(void)
{
	uint32_t now = read_word(&barrier.phase);

	if (__atomic_add_fetch(&barrier.arrived, 1, __ATOMIC_ACQ_REL) == nr_threads) {
		barrier.arrived = 0;
		__atomic_store_n(&barrier.phase, now + 1, __ATOMIC_RELEASE);
		bench_wake(&barrier.phase);
		return;
	}
	while (read_word(&barrier.phase) == now)
		bench_wait(&barrier.phase, now);
}

/* pass: two threads, of which one counts the even numbers and the other one the odd. */
static uint32_t ball __attribute__((aligned(4096)));
static uint32_t passes;

static void pass_setup(uint32_t threads, uint32_t size)
{
	passes = size ? size : PASSES;
	ball = 0;
}

static void pass_run(uint32_t thread, uint32_t threads)
{
	uint32_t now;

	if (thread > 1 || threads < 2)
		return;
	while ((now = read_word(&ball)) < passes) {
		if (now % 2 != thread) {
			bench_wait(&ball, now);
			continue;
		}
		__atomic_store_n(&ball, now + 1, __ATOMIC_RELEASE);
		bench_wake(&ball);
	}
}

static bool pass_check(uint64_t *signature)
{
	*signature = ball;
	return ball == passes;
}

static const struct bench_kernel pass = { "pass", pass_setup, pass_run, pass_check };

static const struct bench_kernel *const kernels[] = {
	&bench_fft, &bench_lu, &bench_ocean, &app_store, &app_pool, &app_mark, &app_pipe, &pass,
};

static void *run_thread(void *arg)
{
	bench_barrier();
	kernel->run((uintptr_t)arg, nr_threads);
	bench_barrier();
	return NULL;
}

/* Returns the cycles it took. */
static uint64_t run(void)
{
	pthread_t threads[BENCH_MAX_THREADS];
	uint64_t start;
	uintptr_t i;

	for (i = 1; i < nr_threads; i++)
		if (pthread_create(&threads[i], NULL, run_thread, (void *)i))
			end(1);
	bench_barrier();
	start = __rdtsc();
	kernel->run(0, nr_threads);
	bench_barrier();
	start = __rdtsc() - start;
	for (i = 1; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	return start;
}

static bool is(const char *word, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(word, name, length) && (!word[length] || word[length] == ':');
}

/* @work: KERNEL:WAY[:SIZE].  False: there is none. */
static bool choose(const char *work, uint32_t *size)
{
	const char *how = strchr(work, ':') ?: "", *scale;
	uint32_t i;

	kernel = NULL;
	for (i = 0; i < sizeof(kernels) / sizeof(*kernels); i++)
		if (is(work, kernels[i]->name))
			kernel = kernels[i];
	how += *how == ':';
	scale = strchr(how, ':');
	if (scale)
		*size = atoi(scale + 1);
	for (way = 0; way < NR_WAYS; way++)
		if (is(how, ways[way]))
			return kernel;
	return false;
}

static bool do_work(const char *work, uint32_t size)
{
	uint64_t took, signature = 0;
	char line[120];

	if (!choose(work, &size)) {
		snprintf(line, sizeof(line), "threads: there is no %s\n", work);
		say(line);
		return false;
	}
	kernel->setup(nr_threads, size);
	took = run();
	if (!kernel->check(&signature)) {
		snprintf(line, sizeof(line), "threads: the result of %s is wrong\n", work);
		say(line);
		return false;
	}
	snprintf(line, sizeof(line), "RESULT %s-%s %016" PRIx64 " cycles=%" PRIu64 "\n",
		 kernel->name, ways[way], signature, took);
	say(line);
	return true;
}

int main(void)
{
	char *list = strdup(getenv("work") ?: "ocean:spin"), *work;
	uint32_t size = atoi(getenv("size") ?: "0");
	bool good = true;
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	nr_threads = CPU_COUNT(&set);
	for (work = strtok(list, ","); work; work = strtok(NULL, ","))
		good &= do_work(work, size);
	end(!good);
}
