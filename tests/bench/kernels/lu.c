// SPDX-License-Identifier: GPL-2.0
/*
 * LU factorisation of a dense matrix by blocks, as SPLASH-2's contiguous version:
 * a block is two pages of memory and belongs to one thread; everyone reads the
 * blocks of the current row and column.  The product of the factors is checked.
 */
#include "bench.h"

#define BLOCK		32
#define MAX_BLOCKS	16
#define MAX_N		(BLOCK * MAX_BLOCKS)

typedef double block_t[BLOCK][BLOCK];

static block_t a[MAX_BLOCKS][MAX_BLOCKS] __attribute__((aligned(4096)));
static uint32_t nb, rounds;

static double input(uint32_t i, uint32_t j)
{
	double v = (double)(bench_mix(i, j + 1) & 0xffff) / 65536;

	/* Diagonally dominant: no pivoting needed. */
	return i == j ? v + MAX_N : v;
}

static bool mine(uint32_t i, uint32_t j, uint32_t thread, uint32_t threads)
{
	return (i * nb + j) % threads == thread;
}

static void fill(uint32_t thread, uint32_t threads)
{
	uint32_t bi, bj, i, j;

	for (bi = 0; bi < nb; bi++)
		for (bj = 0; bj < nb; bj++)
			for (i = 0; mine(bi, bj, thread, threads) && i < BLOCK; i++)
				for (j = 0; j < BLOCK; j++)
					a[bi][bj][i][j] = input(bi * BLOCK + i, bj * BLOCK + j);
}

static void factor(block_t d)
{
	uint32_t i, j, k;

	for (k = 0; k < BLOCK; k++) {
		for (i = k + 1; i < BLOCK; i++) {
			d[i][k] /= d[k][k];
			for (j = k + 1; j < BLOCK; j++)
				d[i][j] -= d[i][k] * d[k][j];
		}
	}
}

/* x = inverse(L of d) * x */
static void solve_row(block_t d, block_t x)
{
	uint32_t i, j, k;

	for (k = 0; k < BLOCK; k++)
		for (i = k + 1; i < BLOCK; i++)
			for (j = 0; j < BLOCK; j++)
				x[i][j] -= d[i][k] * x[k][j];
}

/* x = x * inverse(U of d) */
static void solve_column(block_t d, block_t x)
{
	uint32_t i, j, k;

	for (i = 0; i < BLOCK; i++) {
		for (k = 0; k < BLOCK; k++) {
			x[i][k] /= d[k][k];
			for (j = k + 1; j < BLOCK; j++)
				x[i][j] -= x[i][k] * d[k][j];
		}
	}
}

static void update(block_t x, block_t l, block_t u)
{
	uint32_t i, j, k;

	for (i = 0; i < BLOCK; i++)
		for (k = 0; k < BLOCK; k++)
			for (j = 0; j < BLOCK; j++)
				x[i][j] -= l[i][k] * u[k][j];
}

static void decompose(uint32_t thread, uint32_t threads)
{
	uint32_t i, j, k;

	for (k = 0; k < nb; k++) {
		if (mine(k, k, thread, threads))
			factor(a[k][k]);
		bench_barrier();
		for (i = k + 1; i < nb; i++) {
			if (mine(k, i, thread, threads))
				solve_row(a[k][k], a[k][i]);
			if (mine(i, k, thread, threads))
				solve_column(a[k][k], a[i][k]);
		}
		bench_barrier();
		for (i = k + 1; i < nb; i++)
			for (j = k + 1; j < nb; j++)
				if (mine(i, j, thread, threads))
					update(a[i][j], a[i][k], a[k][j]);
		bench_barrier();
	}
}

static void setup(uint32_t threads, uint32_t size)
{
	nb = MAX_BLOCKS;
	rounds = size ? size : 1;
}

static void run(uint32_t thread, uint32_t threads)
{
	uint32_t r;

	for (r = 0; r < rounds; r++) {
		fill(thread, threads);
		bench_barrier();
		decompose(thread, threads);
	}
}

static double at(uint32_t i, uint32_t j)
{
	return a[i / BLOCK][j / BLOCK][i % BLOCK][j % BLOCK];
}

/* (L * U)[i][j], for a part of all elements. */
static bool check(uint64_t *signature)
{
	uint32_t n = nb * BLOCK, i, j, k;
	uint64_t sig = 0;

	for (i = 0; i < n; i += 7) {
		for (j = 0; j < n; j += 5) {
			double sum = 0;

			for (k = 0; k <= i && k <= j; k++)
				sum += (k == i ? 1 : at(i, k)) * at(k, j);
			if (bench_abs(sum - input(i, j)) > 1e-6)
				return false;
			sig = bench_mix(sig, bench_bits(at(i, j)));
		}
	}
	*signature = sig;
	return true;
}

const struct bench_kernel bench_kernel = { "lu", setup, run, check };
