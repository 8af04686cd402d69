// SPDX-License-Identifier: GPL-2.0
/*
 * What the threads do, each in its own way: race over an array, fight for a spin
 * lock and for a futex, pass bytes through pipes, write files, map and unmap
 * memory, fork, sleep and read clocks.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "work.h"

#define WORDS		2048
#define MAX_THREADS	16

static uint64_t shared[WORDS];
static atomic_flag spin = ATOMIC_FLAG_INIT;
static uint64_t spin_count, futex_count;
static uint64_t spin_order, futex_order;
static pthread_mutex_t futex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t start;
static int pipes[MAX_THREADS][2];
static atomic_int errors;
static int nr_threads;

struct thread {
	pthread_t id;
	int nr;
	unsigned long rounds;
	uint64_t sig;
} __attribute__((aligned(64)));

static void check(int ok, const char *what)
{
	if (!ok && atomic_fetch_add(&errors, 1) < 5)
		dprintf(1, "linux guest: %s failed\n", what);
}

static void race(struct thread *t)
{
	volatile uint64_t *a = shared;
	uint64_t x = mix(t->sig, t->nr);
	int i;

	for (i = 0; i < 2000; i++) {
		uint64_t *to;

		x = mix(x, a[x % WORDS]);
		to = &shared[(x >> 20) % WORDS];
		*(volatile uint64_t *)to = *to + x;
	}
	t->sig = x;
}

static void locks(struct thread *t)
{
	int i;

	for (i = 0; i < 50; i++) {
		while (atomic_flag_test_and_set(&spin))
			__builtin_ia32_pause();
		spin_count++;
		spin_order = mix(spin_order, t->nr);
		atomic_flag_clear(&spin);

		pthread_mutex_lock(&futex);
		futex_count++;
		futex_order = mix(futex_order, t->nr);
		if (i % 16 == 0)
			pthread_cond_broadcast(&turn);
		pthread_mutex_unlock(&futex);
	}
}

/* A byte to the next thread, one from the thread before. */
static void talk(struct thread *t, unsigned long round)
{
	unsigned char c = round, got = 0;

	check(write(pipes[(t->nr + 1) % nr_threads][1], &c, 1) == 1, "write");
	check(read(pipes[t->nr][0], &got, 1) == 1, "read");
	check(got == c, "pipe");
}

static void file(struct thread *t, unsigned long round)
{
	char name[32], buf[512];
	uint64_t v = mix(round, t->nr);
	int fd, i;

	snprintf(name, sizeof(name), "/f%d.%lu", t->nr, round & 3);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	check(fd >= 0, "open");
	for (i = 0; i < 8; i++) {
		memset(buf, v >> i * 8, sizeof(buf));
		check(write(fd, buf, sizeof(buf)) == sizeof(buf), "file write");
	}
	check(pread(fd, buf, sizeof(buf), 3 * 512) == sizeof(buf), "pread");
	check((uint8_t)buf[511] == (uint8_t)(v >> 24), "file contents");
	close(fd);
	if (round & 1)
		unlink(name);
}

/* Page faults, and flushes of the other processors' TLBs. */
static void memory(struct thread *t)
{
	size_t size = 8 * 4096;
	unsigned char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	check(p != MAP_FAILED, "mmap");
	for (i = 0; i < size; i += 4096)
		p[i] = i >> 12 ^ t->nr;
	check(!mprotect(p, size, PROT_READ), "mprotect");
	for (i = 0; i < size; i += 4096)
		check(p[i] == (uint8_t)(i >> 12 ^ t->nr), "mapped contents");
	munmap(p, size);
}

static void child(struct thread *t)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(t->nr + 7);
	check(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
	check(WIFEXITED(status) && WEXITSTATUS(status) == t->nr + 7, "child");
}

static void clocks(struct thread *t)
{
	struct timespec a, b, nap = { 0, 100000 };

	clock_gettime(CLOCK_MONOTONIC, &a);
	nanosleep(&nap, NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	check(b.tv_sec > a.tv_sec ||
	      (b.tv_sec == a.tv_sec && b.tv_nsec > a.tv_nsec), "clock");
	t->sig = mix(t->sig, b.tv_nsec - a.tv_nsec);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	unsigned long i;

	pthread_barrier_wait(&start);
	for (i = 0; i < t->rounds; i++) {
		race(t);
		locks(t);
		talk(t, i);
		file(t, i);
		memory(t);
		if (i % 8 == 3)
			clocks(t);
		if (i % 8 == 5 && t->nr == 0)
			child(t);
	}
	return NULL;
}

static void wait_for_count(uint64_t n)
{
	pthread_mutex_lock(&futex);
	while (futex_count < n)
		pthread_cond_wait(&turn, &futex);
	pthread_mutex_unlock(&futex);
}

void work_run(struct work *w)
{
	static struct thread threads[MAX_THREADS];
	uint64_t sig = 0, n;
	int i;

	/* One more than processors, so that the scheduler has a choice. */
	nr_threads = w->nr_cpus + 1;
	if (nr_threads > MAX_THREADS)
		nr_threads = MAX_THREADS;
	pthread_barrier_init(&start, NULL, nr_threads);
	for (i = 0; i < nr_threads; i++)
		check(!pipe(pipes[i]), "pipe");
	for (i = 0; i < nr_threads; i++) {
		threads[i] = (struct thread){ .nr = i, .rounds = w->rounds };
		check(!pthread_create(&threads[i].id, NULL, thread_main,
				      &threads[i]), "thread");
	}
	n = 50 * w->rounds * nr_threads;
	wait_for_count(n / 2);
	for (i = 0; i < nr_threads; i++)
		pthread_join(threads[i].id, NULL);
	check(spin_count == n, "spin lock sum");
	check(futex_count == n, "futex sum");

	for (i = 0; i < WORDS; i++)
		sig = mix(sig, shared[i]);
	for (i = 0; i < nr_threads; i++)
		sig = mix(sig, threads[i].sig);
	sig = mix(mix(sig, spin_order), futex_order);
	w->signature = sig;
	w->nr_threads = nr_threads;
	w->errors = errors;
}
