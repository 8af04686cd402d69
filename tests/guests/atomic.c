// SPDX-License-Identifier: GPL-2.0
/*
 * Locked instructions of all processors on one cache line. Sums are checked; the
 * signature is made of the values each processor got back.
 */
#include "guest.h"

static struct {
	u64 added, incremented, swapped;
	u32 small;
	u16 dec;
	u8 flags;
} line __aligned(CACHE_LINE);

static struct {
	u64 v;
} __aligned(CACHE_LINE) sig[MAX_CPUS];
static u64 rounds;

static u64 cmpxchg_add(u64 *p, u64 v)
{
	u64 old = READ_ONCE(*p);
	u8 done;

	do {
		asm volatile("lock cmpxchgq %3, %1; sete %2"
			     : "+a"(old), "+m"(*p), "=q"(done)
			     : "r"(old + v) : "memory", "cc");
	} while (!done);
	return old;
}

static void hammer(u32 cpu)
{
	u64 s = cpu, i;
	u8 zero, was;

	sync_cpus();
	for (i = 0; i < rounds; i++) {
		s = mix(s, xadd64(&line.added, 3));
		asm volatile("lock incq %0" : "+m"(line.incremented) :: "cc");
		s = mix(s, cmpxchg_add(&line.swapped, 5));
		asm volatile("lock addl $7, %0" : "+m"(line.small) :: "cc");
		asm volatile("lock decw %0; setz %1"
			     : "+m"(line.dec), "=q"(zero) :: "cc");
		asm volatile("lock btcl %2, %0; setc %1"
			     : "+m"(line.small), "=q"(was) : "Ir"(31) : "cc");
		s = mix(s, zero | was << 1);
	}
	sig[cpu].v = s;
}

void guest_main(void)
{
	u64 n, s = 0;
	u32 i;

	rounds = param("n", 15000);
	smp_run(hammer);
	n = rounds * nr_cpus;
	if (line.added != 3 * n || line.incremented != n || line.swapped != 5 * n)
		fail("sums %lu %lu %lu of %lu", line.added, line.incremented,
		     line.swapped, n);
	/* Bit 31 is flipped n times and the sum carries into it: both add 2^31. */
	if (line.small != (u32)(7 * n + (n << 31)) || line.dec != (u16)-n)
		fail("small %x dec %x", line.small, line.dec);
	for (i = 0; i < nr_cpus; i++)
		s = mix(s, sig[i].v);
	result("atomic", "%016lx sum %lu", s, line.added);
}
