// SPDX-License-Identifier: GPL-2.0
/*
 * Global translations outlive a change of page tables: as long as the TLB happens to
 * hold them, the new tables are not looked at.  Each processor changes to tables of its
 * own, computes, and changes back; its neighbour writes to an unused entry of the same
 * top-level table meanwhile.
 */
#include "guest.h"

#define CR4_PGE		(1ul << 7)
#define PTE_G		(1ul << 8)
#define UNUSED		300

static u64 tables[MAX_CPUS][512] __aligned(PAGE_SIZE);
static u64 sigs[MAX_CPUS];
static u64 rounds, length;

/* Aligned: does not run into another page, and has no data in memory. */
static __noinline __aligned(PAGE_SIZE) u64 compute(u64 cr3, u64 n, u64 sig)
{
	write_cr3(cr3);
	while (n--)
		sig = mix(sig, n);
	return sig;
}

static void change_tables(u32 cpu)
{
	u64 *neighbour = tables[(cpu + 1) % nr_cpus];
	u64 i, sig = 0;

	write_cr4(read_cr4() | CR4_PGE);
	sync_cpus();
	for (i = 0; i < rounds; i++) {
		sig = compute((u64)tables[cpu], length, sig);
		sig = mix(sig, READ_ONCE(tables[cpu][UNUSED]));
		sig = compute((u64)boot_pml4, length, sig);
		WRITE_ONCE(neighbour[UNUSED], i << 12);
	}
	sigs[cpu] = sig;
}

void guest_main(void)
{
	u64 *pdpt = (u64 *)(boot_pml4[0] & ~0xffful);
	u64 *pd = (u64 *)(pdpt[0] & ~0xffful);
	u64 s = 0;
	u32 i;

	rounds = param("n", 100);
	length = param("length", 10000);
	for (i = 0; i < 512; i++)
		pd[i] |= PTE_G;
	for (i = 0; i < nr_cpus; i++)
		memcpy(tables[i], boot_pml4, PAGE_SIZE);
	smp_run(change_tables);
	for (i = 0; i < nr_cpus; i++) {
		if (tables[i][UNUSED] != (rounds - 1) << 12)
			fail("cpu %u: entry %lx", i, tables[i][UNUSED]);
		s = mix(s, sigs[i]);
	}
	result("globals", "%016lx", s);
}
