// SPDX-License-Identifier: GPL-2.0
/*
 * Processors that are started again: INIT and a start-up IPI take them from long mode, or
 * from 32-bit code without paging, to real mode and back, as an operating system does with
 * those that its firmware has used.
 */
#include "guest.h"

static u64 shared[512] __aligned(PAGE_SIZE);
static u64 sig[MAX_CPUS];
static u64 iterations;

static void race(u32 cpu)
{
	u64 x = mix(sig[cpu], cpu + 1), i;

	sync_cpus();
	for (i = 0; i < iterations; i++) {
		x = mix(x + i, READ_ONCE(shared[x % 512]));
		WRITE_ONCE(shared[x >> 20 & 511], x);
	}
	sig[cpu] = x;
}

static u32 parked;

/* Halted without paging, as UEFI leaves processors; CR3 keeps what it was. */
static void park(u32 cpu)
{
	static const u64 flat[] = { 0, 0x00cf9b000000ffff };	/* 08: 32-bit code */
	const struct {
		u16 limit;
		u64 base;
	} __packed ptr = { sizeof(flat) - 1, (u64)flat };

	WRITE_ONCE(parked, 1);
	asm volatile("lgdt %0; pushq $8; leaq 1f(%%rip), %%rax; pushq %%rax; lretq\n"
		     ".code32\n"
		     "1: movl %%cr0, %%eax; andl $0x7fffffff, %%eax; movl %%eax, %%cr0\n"
		     "2: hlt; jmp 2b\n"
		     ".code64"
		     : : "m"(ptr) : "rax", "memory");
}

static void restart(u32 cpu, bool from_32_bit)
{
	if (from_32_bit) {
		WRITE_ONCE(parked, 0);
		smp_leave(cpu, park);
		while (!READ_ONCE(parked))
			cpu_relax();
	}
	smp_restart(cpu);
}

void guest_main(void)
{
	u64 rounds = param("n", 12), s = 0, i;
	u32 cpu;

	iterations = param("iterations", 3000);
	for (i = 0; i < rounds; i++) {
		smp_run(race);
		for (cpu = 1; cpu < nr_cpus; cpu++)
			restart(cpu, (i + cpu) & 1);
	}
	smp_run(race);
	for (cpu = 0; cpu < nr_cpus; cpu++)
		s = mix(s, sig[cpu]);
	result("restart", "%016lx", s);
}
