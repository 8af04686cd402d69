/* SPDX-License-Identifier: GPL-2.0 */
/* The multi-threaded program: races on purpose, and sums that must be right. */
#ifndef WORK_H
#define WORK_H

#include <stdint.h>

struct work {
	unsigned long rounds;
	int nr_cpus;
	/* results */
	int nr_threads;
	int errors;
	uint64_t signature;
};

void work_run(struct work *w);

static inline uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

#endif
