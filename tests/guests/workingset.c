// SPDX-License-Identifier: GPL-2.0
/*
 * Each processor touches its part of all memory up to mem=MB once, and then, n=N
 * times in all, some pages of it, pages=N of them spread evenly: a guest that uses
 * little of what it has used since it was started.
 */
#include "guest.h"

#define FIRST	(16ul << 20)	/* above everything else */

static u64 end, pages, touches;
static struct {
	u64 sum;
} __aligned(PAGE_SIZE) own[MAX_CPUS];

static u64 touch(u64 start, u64 stride, u64 n)
{
	u64 i, sum = 0;

	for (i = 0; i < n; i++)
		sum += READ_ONCE(*(u64 *)(start + i * stride));
	return sum;
}

static void work(u32 cpu)
{
	u64 part = (end - FIRST) / nr_cpus & ~(PAGE_SIZE - 1ul);
	u64 start = FIRST + cpu * part;
	u64 stride = part / pages & ~(PAGE_SIZE - 1ul);
	u64 done, sum = touch(start, PAGE_SIZE, part / PAGE_SIZE);

	sync_cpus();
	for (done = 0; done < touches; done += pages)
		sum += touch(start, stride, pages);
	own[cpu].sum = sum;
}

void guest_main(void)
{
	u64 sum = 0;
	u32 i;

	end = param("mem", 32) << 20;
	pages = param("pages", 64);
	touches = param("n", 100000);
	if (end <= FIRST || pages * nr_cpus * PAGE_SIZE > end - FIRST)
		fail("%lu MB are too few for %lu pages", end >> 20, pages);
	smp_run(work);
	for (i = 0; i < nr_cpus; i++)
		sum += own[i].sum;
	result("workingset", "%016lx", sum);
}
