// SPDX-License-Identifier: GPL-2.0
/*
 * Fast Fourier transform by the six-step method, as SPLASH-2's: the points are a
 * square matrix, every thread has rows of it; transpositions move data between
 * all of them, FFTs of rows do not.  Forward and back again must give the input.
 */
#include "bench.h"

#define MAX_SIDE	256

struct complex {
	double re, im;
};

static struct complex data[MAX_SIDE * MAX_SIDE] __attribute__((aligned(4096)));
static struct complex other[MAX_SIDE * MAX_SIDE] __attribute__((aligned(4096)));
static struct complex roots[MAX_SIDE * MAX_SIDE];	/* of unity, all points */
static uint32_t side, rounds;

static struct complex mul(struct complex a, struct complex b)
{
	return (struct complex){ a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re };
}

static double input(uint32_t i)
{
	return (double)(int32_t)(bench_mix(i, 1) & 0xffff) / 65536 - 0.5;
}

/* exp(2 pi i k / n) by repeated squaring of the half angle. */
static void fill_roots(uint32_t n)
{
	struct complex step = { -1, 0 };	/* exp(2 pi i / 2) */
	uint32_t i, k;

	roots[0] = (struct complex){ 1, 0 };
	for (k = n / 2; k; k /= 2) {
		/* step is exp(2 pi i k / n): the roots at odd multiples of k are new. */
		for (i = k; i < n; i += 2 * k)
			roots[i] = mul(roots[i - k], step);
		step = (struct complex){ bench_sqrt((1 + step.re) / 2),
					 bench_sqrt((1 - step.re) / 2) };
	}
}

static struct complex root(uint32_t k, bool inverse)
{
	struct complex r = roots[k & (side * side - 1)];

	return inverse ? (struct complex){ r.re, -r.im } : r;
}

static void fft_row(struct complex *x, bool inverse)
{
	uint32_t i, j, k, len;

	for (i = 1, j = 0; i < side; i++) {
		struct complex t = x[i];
		uint32_t bit = side / 2;

		for (; j & bit; bit /= 2)
			j ^= bit;
		j ^= bit;
		if (i < j) {
			x[i] = x[j];
			x[j] = t;
		}
	}
	for (len = 2; len <= side; len *= 2) {
		for (i = 0; i < side; i += len) {
			for (k = 0; k < len / 2; k++) {
				struct complex a = x[i + k];
				struct complex b = mul(x[i + k + len / 2],
						       root(side * side / len * k, inverse));

				x[i + k] = (struct complex){ a.re + b.re, a.im + b.im };
				x[i + k + len / 2] = (struct complex){ a.re - b.re, a.im - b.im };
			}
		}
	}
}

static void transpose(struct complex *to, const struct complex *from, uint32_t first, uint32_t last)
{
	uint32_t i, j;

	for (i = first; i < last; i++)
		for (j = 0; j < side; j++)
			to[i * side + j] = from[j * side + i];
}

static void transform(uint32_t first, uint32_t last, bool inverse)
{
	uint32_t i, j;

	transpose(other, data, first, last);
	for (i = first; i < last; i++) {
		fft_row(&other[i * side], inverse);
		for (j = 0; j < side; j++)
			other[i * side + j] = mul(other[i * side + j], root(i * j, inverse));
	}
	bench_barrier();
	transpose(data, other, first, last);
	for (i = first; i < last; i++)
		fft_row(&data[i * side], inverse);
	bench_barrier();
	transpose(other, data, first, last);
	bench_barrier();
	for (i = first * side; i < last * side; i++)
		data[i] = other[i];
	bench_barrier();
}

static void setup(uint32_t threads, uint32_t size)
{
	uint32_t i;

	side = MAX_SIDE;
	rounds = size ? size : 8;
	fill_roots(side * side);
	for (i = 0; i < side * side; i++)
		data[i] = (struct complex){ input(i), 0 };
}

static void run(uint32_t thread, uint32_t threads)
{
	uint32_t first = bench_from(side, thread, threads);
	uint32_t last = bench_from(side, thread + 1, threads);
	uint32_t r, i;

	for (r = 0; r < rounds; r++) {
		transform(first, last, false);
		transform(first, last, true);
		for (i = first * side; i < last * side; i++) {
			data[i].re /= side * side;
			data[i].im /= side * side;
		}
		bench_barrier();
	}
}

static bool check(uint64_t *signature)
{
	uint64_t sig = 0;
	uint32_t i;

	for (i = 0; i < side * side; i++) {
		if (bench_abs(data[i].re - input(i)) > 1e-9 || bench_abs(data[i].im) > 1e-9)
			return false;
		sig = bench_mix(sig, bench_bits(data[i].re));
	}
	*signature = sig;
	return true;
}

const struct bench_kernel bench_kernel = { "fft", setup, run, check };
