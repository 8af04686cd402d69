// SPDX-License-Identifier: GPL-2.0
/*
 * Accesses that cross cache lines and pages: data of one and of two processors,
 * the stack, and instructions.
 */
#include "guest.h"

#define NR_PAGES 8

static u8 area[NR_PAGES + 1][PAGE_SIZE] __aligned(PAGE_SIZE);
static u8 code[MAX_CPUS][2 * PAGE_SIZE] __aligned(PAGE_SIZE);
static u8 stack[MAX_CPUS][2 * PAGE_SIZE] __aligned(PAGE_SIZE);
static u64 locked_line __attribute__((aligned(64)));
static struct {
	u64 v;
} __aligned(CACHE_LINE) sig[MAX_CPUS];
static u64 rounds;

static u8 split_lock[128] __aligned(CACHE_LINE);

#define AT(type, p) (*(volatile type *)(p))

/* Written by all, see shared_boundary(). */
#define SHARED_BOUNDARY	1

/* Boundary b lies between pages b and b + 1; its owner alone writes there. */
static void own_boundaries(u32 cpu, u64 v)
{
	u32 b;

	for (b = 0; b < NR_PAGES; b++) {
		u8 *p = area[b + 1];

		if (b % nr_cpus != cpu || b == SHARED_BOUNDARY)
			continue;
		AT(u64, p - 1 - v % 7) = v * 0x0101010101010101ul;
		if (AT(u64, p - 1 - v % 7) != v * 0x0101010101010101ul)
			fail("cpu %u: boundary %u u64", cpu, b);
		AT(u32, p - 3) = v;
		AT(u16, p - 1) = ~v;
		if (AT(u16, p - 1) != (u16)~v)
			fail("cpu %u: boundary %u u16", cpu, b);
		/* Line crossing within a page that a neighbour writes too. */
		AT(u64, p + 64 * (8 + cpu * 2) - 4) += v;
	}
}

/* All processors write across the same boundary: values may tear. */
static u64 shared_boundary(u32 cpu, u64 v)
{
	u8 *p = area[1] + PAGE_SIZE - 4;
	u64 seen = AT(u64, p - 512 + 508);

	AT(u64, p) = v << 32 | (u32)~v << cpu;
	AT(u64, area[2] + 2048 - 3) += seen;
	return mix(seen, AT(u32, area[2] + 2048 - 2));
}

/* Push and pop over a page boundary, every alignment. */
static u64 split_stack(u32 cpu, u64 v)
{
	u64 top = (u64)stack[cpu] + PAGE_SIZE + 1 + v % 15, out;

	asm volatile("movq %%rsp, %%r12\n\t"
		     "movq %1, %%rsp\n\t"
		     "pushq %2\n\t"
		     "pushq %2\n\t"
		     "addq $1, (%%rsp)\n\t"
		     "popq %0\n\t"
		     "subq (%%rsp), %0\n\t"
		     "movq %%r12, %%rsp"
		     : "=&r"(out) : "r"(top), "r"(v) : "r12", "memory", "cc");
	return out;
}

/* movabs $imm64, %rax; ret: at every offset over the page boundary. */
static void split_code(u32 cpu)
{
	u32 back;

	for (back = 1; back < 11; back++) {
		u8 *p = code[cpu] + PAGE_SIZE - back;
		u64 v = mix(back, cpu);

		AT(u16, p) = 0xb848;
		AT(u64, p + 2) = v;
		AT(u8, p + 10) = 0xc3;
		if (((u64 (*)(void))p)() != v)
			fail("cpu %u: code %u before the boundary", cpu, back);
	}
}

static void run(u32 cpu)
{
	u64 s = 0, i;

	sync_cpus();
	for (i = 1; i <= rounds; i++) {
		own_boundaries(cpu, i);
		s = mix(s, shared_boundary(cpu, i));
		if (split_stack(cpu, i) != 1)
			fail("cpu %u: stack round %lu", cpu, i);
		asm volatile("lock addq $1, %0"
			     : "+m"(*(u64 *)(split_lock + 60)) :: "cc");
		if (i % 64 == 1)
			split_code(cpu);
	}
	xadd64(&locked_line, rounds);
	sig[cpu].v = s;
}

void guest_main(void)
{
	u64 s = 0;
	u32 i, j;

	rounds = param("n", 5000);
	smp_run(run);
	if (*(u64 *)(split_lock + 60) != locked_line)
		fail("split lock %lu of %lu", *(u64 *)(split_lock + 60),
		     locked_line);
	for (i = 0; i < nr_cpus; i++)
		s = mix(s, sig[i].v);
	for (i = 0; i <= NR_PAGES; i++)
		for (j = 0; j < PAGE_SIZE; j += 8)
			s = mix(s, *(u64 *)(area[i] + j));
	result("straddle", "%016lx", s);
}
