// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies that attract each other, all pairs, in the manner of SPLASH-2's water:
 * every thread reads all positions, and moves its own bodies.  Compared with the
 * same computation by one thread.
 */
#include "bench.h"

#define MAX_BODIES	512

struct body {
	double x[3], v[3], f[3], mass;
};

static struct body bodies[MAX_BODIES] __attribute__((aligned(4096)));
static struct body expected[MAX_BODIES];
static uint32_t n, steps;

static void force(struct body *all, uint32_t i)
{
	uint32_t j, k;

	for (k = 0; k < 3; k++)
		all[i].f[k] = 0;
	for (j = 0; j < n; j++) {
		double d[3], r2 = 0.01, w;

		for (k = 0; k < 3; k++) {
			d[k] = all[j].x[k] - all[i].x[k];
			r2 += d[k] * d[k];
		}
		w = all[j].mass / (r2 * bench_sqrt(r2));
		for (k = 0; k < 3; k++)
			all[i].f[k] += w * d[k];
	}
}

static void move(struct body *b)
{
	uint32_t k;

	for (k = 0; k < 3; k++) {
		b->v[k] += b->f[k] * 1e-4;
		b->x[k] += b->v[k] * 1e-4;
	}
}

static void fill(struct body *all)
{
	uint32_t i, k;

	for (i = 0; i < n; i++) {
		all[i] = (struct body){ .mass = 1 + i % 7 };
		for (k = 0; k < 3; k++)
			all[i].x[k] = (double)(bench_mix(i, k) & 0xffff) / 65536;
	}
}

static void setup(uint32_t threads, uint32_t size)
{
	uint32_t s, i;

	n = MAX_BODIES;
	steps = size ? size : 20;
	fill(bodies);
	fill(expected);
	for (s = 0; s < 2 && s < steps; s++) {
		for (i = 0; i < n; i++)
			force(expected, i);
		for (i = 0; i < n; i++)
			move(&expected[i]);
	}
}

static void run(uint32_t thread, uint32_t threads)
{
	uint32_t first = bench_from(n, thread, threads);
	uint32_t last = bench_from(n, thread + 1, threads);
	uint32_t s, i;

	for (s = 0; s < steps; s++) {
		for (i = first; i < last; i++)
			force(bodies, i);
		bench_barrier();
		for (i = first; i < last; i++)
			move(&bodies[i]);
		bench_barrier();
	}
}

/* The same steps by one thread must give the same bits. */
static bool check(uint64_t *signature)
{
	uint64_t sig = 0;
	uint32_t s, i, k;

	for (s = 2; s < steps; s++) {
		for (i = 0; i < n; i++)
			force(expected, i);
		for (i = 0; i < n; i++)
			move(&expected[i]);
	}
	for (i = 0; i < n; i++) {
		for (k = 0; k < 3; k++) {
			if (bodies[i].x[k] != expected[i].x[k])
				return false;
			sig = bench_mix(sig, bench_bits(bodies[i].x[k]));
		}
	}
	*signature = sig;
	return true;
}

const struct bench_kernel bench_kernel = { "nbody", setup, run, check };
