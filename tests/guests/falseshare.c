// SPDX-License-Identifier: GPL-2.0
/*
 * Each processor counts in words of its own that lie in one line and in
 * neighbouring lines of the same page. What it sees of the others makes the
 * signature.
 */
#include "guest.h"

static struct {
	u64 same_line[MAX_CPUS];
	struct {
		u64 v;
	} __aligned(CACHE_LINE) next_line[MAX_CPUS];
	u8 bytes[MAX_CPUS];
} page __aligned(PAGE_SIZE);

static struct {
	u64 v;
} __aligned(PAGE_SIZE) sig[MAX_CPUS];
static u64 rounds;

static void count(u32 cpu)
{
	u32 other = (cpu + 1) % nr_cpus;
	u64 s = cpu, seen = 0, now, i;

	sync_cpus();
	for (i = 0; i < rounds; i++) {
		WRITE_ONCE(page.same_line[cpu], page.same_line[cpu] + 1);
		WRITE_ONCE(page.next_line[cpu].v, page.next_line[cpu].v + 2);
		WRITE_ONCE(page.bytes[cpu], page.bytes[cpu] + 1);
		if (i & 15)
			continue;
		now = READ_ONCE(page.same_line[other]);
		if (now < seen)
			fail("cpu %u: %lu after %lu", cpu, now, seen);
		seen = now;
		s = mix(s, now);
		s = mix(s, READ_ONCE(page.next_line[other].v));
	}
	sig[cpu].v = s;
}

void guest_main(void)
{
	u64 s = 0;
	u32 i;

	rounds = param("n", 100000);
	smp_run(count);
	for (i = 0; i < nr_cpus; i++) {
		if (page.same_line[i] != rounds ||
		    page.next_line[i].v != 2 * rounds ||
		    page.bytes[i] != (u8)rounds)
			fail("cpu %u: %lu %lu %u", i, page.same_line[i],
			     page.next_line[i].v, page.bytes[i]);
		s = mix(s, sig[i].v);
	}
	result("falseshare", "%016lx sum %lu", s, rounds * nr_cpus);
}
