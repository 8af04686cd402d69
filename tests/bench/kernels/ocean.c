// SPDX-License-Identifier: GPL-2.0
/*
 * A stencil on a grid in the manner of SPLASH-2's ocean: red-black relaxation of
 * Laplace's equation.  Every thread has a band of rows and reads its neighbours'
 * border rows; the residual is summed up under a lock.
 */
#include "bench.h"

#define MAX_N	258	/* with the border */

static double grid[MAX_N][MAX_N] __attribute__((aligned(4096)));
static double expected[MAX_N][MAX_N];
static double residual;
static struct bench_lock lock;
static uint32_t steps, all_threads;

static void boundary(double g[MAX_N][MAX_N])
{
	uint32_t i, j;

	for (i = 0; i < MAX_N; i++)
		for (j = 0; j < MAX_N; j++)
			g[i][j] = i == 0 ? 1 : j == MAX_N - 1 ? (double)i / MAX_N : 0;
}

/* One colour of rows first..last-1; returns the sum of the changes. */
static double relax(double g[MAX_N][MAX_N], uint32_t first, uint32_t last, uint32_t colour)
{
	double sum = 0;
	uint32_t i, j;

	for (i = first; i < last; i++) {
		for (j = 1 + ((i + colour) & 1); j < MAX_N - 1; j += 2) {
			double v = (g[i - 1][j] + g[i + 1][j] + g[i][j - 1] + g[i][j + 1]) / 4;

			sum += bench_abs(v - g[i][j]);
			g[i][j] = v;
		}
	}
	return sum;
}

static void setup(uint32_t threads, uint32_t size)
{
	uint32_t s;

	steps = size ? size : 200;
	all_threads = threads;
	boundary(grid);
	boundary(expected);
	/* The result of a step does not depend on the order within a colour. */
	for (s = 0; s < steps; s++) {
		relax(expected, 1, MAX_N - 1, 0);
		relax(expected, 1, MAX_N - 1, 1);
	}
}

static void run(uint32_t thread, uint32_t threads)
{
	uint32_t first = 1 + bench_from(MAX_N - 2, thread, threads);
	uint32_t last = 1 + bench_from(MAX_N - 2, thread + 1, threads);
	uint32_t s, colour;

	for (s = 0; s < steps; s++) {
		double sum = 0;

		for (colour = 0; colour < 2; colour++) {
			sum += relax(grid, first, last, colour);
			bench_barrier();
		}
		bench_lock(&lock);
		residual += sum;
		bench_unlock(&lock);
		bench_barrier();
	}
}

static bool check(uint64_t *signature)
{
	uint64_t sig = 0;
	uint32_t i, j;

	if (residual <= 0)
		return false;
	for (i = 0; i < MAX_N; i++) {
		for (j = 0; j < MAX_N; j++) {
			if (grid[i][j] != expected[i][j])
				return false;
			sig = bench_mix(sig, bench_bits(grid[i][j]));
		}
	}
	*signature = sig;
	return true;
}

const struct bench_kernel bench_kernel = { "ocean", setup, run, check };
