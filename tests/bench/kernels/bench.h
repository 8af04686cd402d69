/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The compute kernels of the benchmark, run bare-metal by guest.c.
 *
 * A kernel shares its data between all threads and divides the work as the
 * program it is modelled on does.  Its result does not depend on who wins which
 * race, so that it can be checked.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_MAX_THREADS	8
#define BENCH_LINE		64

struct bench_kernel {
	const char *name;
	/* One thread, before the others; @size scales the work, 0 is the default. */
	void (*setup)(uint32_t threads, uint32_t size);
	/* Every thread; this is what is timed. */
	void (*run)(uint32_t thread, uint32_t threads);
	/* One thread, afterwards; false: the result is wrong. */
	bool (*check)(uint64_t *signature);
};

/* One per kernels/NAME.c. */
extern const struct bench_kernel bench_kernel;

/* Provided by whoever runs the kernel. */
void bench_barrier(void);
static inline void bench_relax(void)
{
	__builtin_ia32_pause();
}

#ifdef BENCH_USER
/* Until *@word is not @seen any more, or for a while, in the way of the program's choice. */
void bench_wait(const uint32_t *word, uint32_t seen);
/* *@word has changed. */
void bench_wake(const uint32_t *word);
#else
static inline void bench_wait(const uint32_t *word, uint32_t seen)
{
	bench_relax();
}

static inline void bench_wake(const uint32_t *word)
{
}
#endif

struct bench_lock {
	uint32_t next __attribute__((aligned(BENCH_LINE)));
	uint32_t serving;
};

static inline void bench_lock(struct bench_lock *l)
{
	uint32_t me = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
	uint32_t now;

	while ((now = __atomic_load_n(&l->serving, __ATOMIC_ACQUIRE)) != me)
		bench_wait(&l->serving, now);
}

static inline void bench_unlock(struct bench_lock *l)
{
	__atomic_store_n(&l->serving, l->serving + 1, __ATOMIC_RELEASE);
	bench_wake(&l->serving);
}

/* The part of 0..n-1 that is the thread's. */
static inline uint32_t bench_from(uint32_t n, uint32_t thread, uint32_t threads)
{
	return (uint64_t)n * thread / threads;
}

static inline uint64_t bench_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ul;
	return h ^ h >> 29;
}

static inline uint64_t bench_bits(double v)
{
	union {
		double d;
		uint64_t u;
	} b = { v };

	return b.u;
}

static inline double bench_sqrt(double v)
{
	double r;

	asm("sqrtsd %1, %0" : "=x"(r) : "x"(v));
	return r;
}

static inline double bench_abs(double v)
{
	return v < 0 ? -v : v;
}

#endif
