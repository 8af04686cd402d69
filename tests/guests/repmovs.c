// SPDX-License-Identifier: GPL-2.0
/*
 * String instructions over many pages, forwards and backwards, cut in the middle
 * by the timer and by faults of pages that are mapped when they are used. The
 * handlers add the registers of a cut instruction to the signature; contents are
 * checked.
 */
#include "guest.h"

#define BUF_SIZE	(64 * 1024)
#define SKEW		24	/* room for unaligned starts */

#define WINDOW		(1ul << 39)
#define LAZY_PAGES	4

static u8 src[MAX_CPUS][BUF_SIZE + SKEW] __aligned(PAGE_SIZE);
static u8 dst[MAX_CPUS][BUF_SIZE + SKEW] __aligned(PAGE_SIZE);
static u8 shared[BUF_SIZE] __aligned(PAGE_SIZE);
static u8 behind_window[MAX_CPUS][LAZY_PAGES][PAGE_SIZE] __aligned(PAGE_SIZE);
static struct {
	u64 sig, ticks, cuts, faults;
} __aligned(PAGE_SIZE) seen[MAX_CPUS];
static u64 rounds, period;

static bool is_string_op(const u8 *p)
{
	u8 op;

	if (p[0] != 0xf3 && p[0] != 0xf2)
		return false;
	op = p[1] == 0x48 ? p[2] : p[1];
	return (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf);
}

static void tick(struct regs *r)
{
	u32 cpu = cpu_id();
	u64 s = seen[cpu].sig;

	s = mix(s, r->rip);
	if (is_string_op((u8 *)r->rip)) {
		s = mix(s, r->rcx);
		s = mix(s, r->rsi ^ r->rdi << 1);
		seen[cpu].cuts++;
	}
	seen[cpu].sig = s;
	seen[cpu].ticks++;
	apic_eoi();
}

/* Maps the page, and the instruction goes on. */
static void page_fault(struct regs *r)
{
	u64 cr2 = read_cr2(), n = cr2 >> 12 & 511;
	u32 cpu = cpu_id();

	if (cr2 < WINDOW || n >= LAZY_PAGES) {
		print("cpu %u: fault at %lx rip %lx\n", cpu, cr2, r->rip);
		machine_exit(EXIT_FAIL);
	}
	WRITE_ONCE(*pte_of(boot_pml4, cr2), (u64)behind_window[cpu][n] | PTE_P | PTE_W);
	seen[cpu].sig = mix(mix(seen[cpu].sig, r->rcx), r->rdi ^ cr2);
	seen[cpu].faults++;
}

#define REP(op, d, s, n, dir)						\
do {									\
	void *d_ = (d);							\
	const void *s_ = (s);						\
	u64 n_ = (n);							\
									\
	asm volatile(dir "; rep " op "; cld"				\
		     : "+D"(d_), "+S"(s_), "+c"(n_) :: "memory", "cc");	\
} while (0)

#define STO(op, d, v, n, dir)						\
do {									\
	void *d_ = (d);							\
	u64 n_ = (n);							\
									\
	asm volatile(dir "; rep " op "; cld"				\
		     : "+D"(d_), "+c"(n_) : "a"(v) : "memory", "cc");	\
} while (0)

static u64 scan(const u8 *p, u8 what, u64 n)
{
	u64 left = n;

	asm volatile("repne scasb" : "+D"(p), "+c"(left) : "a"(what)
		     : "memory", "cc");
	return n - left;
}

static u64 same(const u8 *a, const u8 *b, u64 n)
{
	asm volatile("repe cmpsb" : "+S"(a), "+D"(b), "+c"(n) :: "memory", "cc");
	return n;
}

static void check(u32 cpu, const char *what, const u8 *a, const u8 *b, u64 n)
{
	u64 left = same(a, b, n);

	if (left || a[n - 1] != b[n - 1])
		fail("cpu %u: %s differs, %lu left", cpu, what, left);
}

static void copies(u32 cpu, u64 round)
{
	u64 skew = round % 17, words = BUF_SIZE / 8;
	u8 *s = src[cpu] + skew, *d = dst[cpu] + round % 3;
	u64 *w = (u64 *)src[cpu];
	u64 i, v = mix(round, cpu);

	for (i = 0; i < words; i += 64)
		w[i] = mix(v, i);
	REP("movsq", d, s, words, "cld");
	check(cpu, "movsq", d, s, BUF_SIZE);
	STO("stosl", d, (u32)v, BUF_SIZE / 4, "cld");
	if (*(u32 *)d != (u32)v || *(u32 *)(d + BUF_SIZE - 4) != (u32)v)
		fail("cpu %u: stosl", cpu);
	REP("movsl", d + BUF_SIZE - 4, s + BUF_SIZE - 4, BUF_SIZE / 4, "std");
	check(cpu, "movsl backwards", d, s, BUF_SIZE);
	STO("stosq", d + BUF_SIZE - 8, v, words, "std");
	REP("movsb", d, s, BUF_SIZE / 4, "cld");
	check(cpu, "movsb", d, s, BUF_SIZE / 4);
	if (*(u64 *)(d + BUF_SIZE - 8) != v)
		fail("cpu %u: stosq backwards", cpu);
	/* Overlapping: the first byte spreads. */
	STO("stosb", d, 0, 8192, "cld");
	d[0] = 0x5a;
	REP("movsb", d + 1, d, 8191, "cld");
	STO("stosb", d + 8192, 0xa5, 1, "cld");
	if (scan(d, 0xa5, 9000) != 8193)
		fail("cpu %u: overlap", cpu);
}

/* Each page faults when the instruction comes to it. */
static void lazy(u32 cpu, u64 round)
{
	u8 *window = (u8 *)(WINDOW + ((u64)cpu << 21));
	u64 v = mix(round, cpu), before = seen[cpu].faults, i;

	for (i = 0; i < LAZY_PAGES; i++) {
		WRITE_ONCE(*pte_of(boot_pml4, (u64)window + i * PAGE_SIZE), 0);
		invlpg(window + i * PAGE_SIZE);
	}
	STO("stosq", window + 8 * (round % 9), v, LAZY_PAGES * PAGE_SIZE / 8 - 9, "cld");
	REP("movsw", window + 1, window + PAGE_SIZE, PAGE_SIZE, "cld");
	if (seen[cpu].faults - before != LAZY_PAGES)
		fail("cpu %u: %lu faults", cpu, seen[cpu].faults - before);
}

/* All processors copy over the same pages: who comes last wins, page by page. */
static u64 race(u32 cpu, u64 round)
{
	u64 s = 0, i;

	if (cpu & 1)
		STO("stosq", shared, mix(round, cpu), BUF_SIZE / 8, "cld");
	else
		STO("stosq", shared + BUF_SIZE - 8, mix(round, cpu),
		    BUF_SIZE / 8, "std");
	REP("movsq", dst[cpu], shared, BUF_SIZE / 8, "cld");
	for (i = 0; i < BUF_SIZE; i += 512)
		s = mix(s, *(u64 *)(dst[cpu] + i));
	return s;
}

static void run(u32 cpu)
{
	u64 s = 0, i;

	sync_cpus();
	apic_timer_periodic(period + cpu * 37);
	sti();
	for (i = 0; i < rounds; i++) {
		copies(cpu, i);
		lazy(cpu, i);
		s = mix(s, race(cpu, i));
	}
	cli();
	apic_timer_stop();
	seen[cpu].sig = mix(seen[cpu].sig, s);
}

void guest_main(void)
{
	u64 s = 0, ticks = 0, cuts = 0, faults = 0;
	u32 i;

	rounds = param("n", 12);
	period = param("us", 2000);
	irq_set(VEC_TIMER, tick);
	irq_set(14, page_fault);
	/* The tables are made here, so that processors only change entries. */
	for (i = 0; i < nr_cpus; i++)
		pte_of(boot_pml4, WINDOW + ((u64)i << 21));
	smp_run(run);
	for (i = 0; i < nr_cpus; i++) {
		s = mix(s, seen[i].sig);
		ticks += seen[i].ticks;
		cuts += seen[i].cuts;
		faults += seen[i].faults;
	}
	result("repmovs", "%016lx ticks %lu cuts %lu faults %lu", s, ticks, cuts, faults);
}
