// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that edits its own page tables: remaps pages, clears and reads back
 * accessed and dirty bits, takes page faults of every kind; then two or more
 * processors use a mapping one of them keeps moving.
 *
 * With "stale=1" mappings are also used after a change without a flush. What
 * happens then depends on what the TLB still held, and so on how often the host
 * emptied it: no recorder sees that, on any processor.
 */
#include "guest.h"

#define WINDOW		(1ul << 39)
#define SHARED_VA	(WINDOW + (1ul << 30))
#define LARGE_PA	(20ul << 20)
#define PTE_PS		(1ul << 7)
#define PTE_RSVD	(1ul << 51)

#define PF_P	1
#define PF_W	2
#define PF_RSVD	8
#define PF_INSN	16

static u64 pages[2][512] __aligned(PAGE_SIZE);
static u64 own[MAX_CPUS][2][512] __aligned(PAGE_SIZE);
static struct {
	u64 sig, faults, err, cr2;
	u64 *pte, fix;
} __aligned(CACHE_LINE) st[MAX_CPUS];

static u32 epoch __aligned(CACHE_LINE);
static u32 acks __aligned(CACHE_LINE);
static u64 rounds, moves;
static bool stale;

/* Repairs the entry the way the test asked for, and the access is tried again. */
static void page_fault(struct regs *r)
{
	u32 cpu = cpu_id();
	u64 cr2 = read_cr2();

	st[cpu].sig = mix(st[cpu].sig, r->err | r->rip << 8);
	st[cpu].err = r->err;
	st[cpu].cr2 = cr2;
	if (++st[cpu].faults > 100 * rounds + 100 || !st[cpu].pte) {
		print("cpu %u: fault at %lx error %lx rip %lx\n", cpu, cr2,
		      r->err, r->rip);
		machine_exit(EXIT_FAIL);
	}
	WRITE_ONCE(*st[cpu].pte, st[cpu].fix);
	invlpg((void *)cr2);
}

static void set_pte(volatile u64 *va, u64 *pte, u64 v)
{
	WRITE_ONCE(*pte, v);
	invlpg(va);
}

static void expect_bits(u32 cpu, const char *what, u64 *pte, u64 bits)
{
	u64 got = READ_ONCE(*pte) & (PTE_A | PTE_D);

	if (got != bits)
		fail("cpu %u: %s: bits %lx, not %lx", cpu, what, got, bits);
}

static void expect_fault(u32 cpu, const char *what, volatile u64 *va, u64 err)
{
	if (st[cpu].err != err || st[cpu].cr2 != (u64)va)
		fail("cpu %u: %s: error %lx at %lx", cpu, what, st[cpu].err,
		     st[cpu].cr2);
	st[cpu].err = ~0ul;
	st[cpu].cr2 = 0;
}

static void accessed_dirty(u32 cpu, volatile u64 *va, u64 *pte, u64 i)
{
	u64 a = (u64)own[cpu][0], b = (u64)own[cpu][1];

	set_pte(va, pte, a | PTE_P | PTE_W);
	va[0] = i;
	expect_bits(cpu, "write", pte, PTE_A | PTE_D);
	set_pte(va, pte, b | PTE_P | PTE_W);
	if (va[1] != 1000 + cpu)
		fail("cpu %u: remap read %lu", cpu, va[1]);
	expect_bits(cpu, "read", pte, PTE_A);
	if (own[cpu][0][0] != i)
		fail("cpu %u: write went elsewhere", cpu);
	asm volatile("lock andq %1, %0" : "+m"(*pte) : "r"(~PTE_A) : "cc");
	if (!stale)
		invlpg(va);
	st[cpu].sig = mix(st[cpu].sig, va[1]);
	st[cpu].sig = mix(st[cpu].sig, READ_ONCE(*pte));
	set_pte(va, pte, b | PTE_P | PTE_W);
	va[1];
	expect_bits(cpu, "read again", pte, PTE_A);
	va[2] = i;
	expect_bits(cpu, "write after read", pte, PTE_A | PTE_D);
}

static void faults(u32 cpu, volatile u64 *va, u64 *pte, u64 i)
{
	u64 a = (u64)own[cpu][0] | PTE_P;

	st[cpu].pte = pte;
	st[cpu].fix = a | PTE_W;
	set_pte(va, pte, a);
	va[0] = i;
	expect_fault(cpu, "read-only", va, PF_P | PF_W);
	set_pte(va, pte, 0);
	va[0];
	expect_fault(cpu, "absent, read", va, 0);
	set_pte(va, pte, 0);
	va[0] = i;
	expect_fault(cpu, "absent, write", va, PF_W);
	set_pte(va, pte, a | PTE_RSVD);
	va[0];
	expect_fault(cpu, "reserved bit", va, PF_P | PF_RSVD);
	own[cpu][0][0] = 0xc3;	/* ret */
	set_pte(va, pte, a | PTE_NX);
	((void (*)(void))va)();
	expect_fault(cpu, "no execute", va, PF_P | PF_INSN);
}

/* Changes without a flush: old or new are both right. */
static void no_flush(u32 cpu, volatile u64 *va, u64 *pte)
{
	u64 a = (u64)own[cpu][0] | PTE_P, b = (u64)own[cpu][1] | PTE_P;
	u64 before = st[cpu].faults, v;

	st[cpu].fix = a | PTE_W;
	set_pte(va, pte, a);
	va[1];
	WRITE_ONCE(*pte, a | PTE_W);
	va[0] = 1;
	st[cpu].sig = mix(st[cpu].sig, st[cpu].faults - before);
	WRITE_ONCE(*pte, b | PTE_W);
	v = va[1];
	st[cpu].sig = mix(st[cpu].sig, v);
	if (v != 1000 + cpu && v != 2000 + cpu)
		fail("cpu %u: stale read %lu", cpu, v);
	write_cr3(read_cr3());
	if (va[1] != 1000 + cpu)
		fail("cpu %u: read %lu after CR3 load", cpu, va[1]);
}

static void write_protect_off(u32 cpu, volatile u64 *va, u64 *pte, u64 i)
{
	u64 cr0 = read_cr0();

	set_pte(va, pte, (u64)own[cpu][0] | PTE_P);
	write_cr0(cr0 & ~(1ul << 16));
	va[0] = i;
	write_cr0(cr0);
	expect_bits(cpu, "write with WP off", pte, PTE_A | PTE_D);
}

/* The directory entry: a table, then a 2 MB page, then the table again. */
static void large(u32 cpu, volatile u64 *va, u64 *pde)
{
	u64 old = *pde, sum;

	WRITE_ONCE(*pde, LARGE_PA | PTE_P | PTE_W | PTE_PS);
	write_cr3(read_cr3());
	sum = va[cpu] + 1;
	va[cpu] = sum;
	expect_bits(cpu, "2 MB page", pde, PTE_A | PTE_D);
	WRITE_ONCE(*pde, old);
	write_cr3(read_cr3());
	if (*(volatile u64 *)(LARGE_PA + cpu * 8) != sum)
		fail("cpu %u: 2 MB page lost a write", cpu);
}

static void alone(u32 cpu)
{
	volatile u64 *va = (u64 *)(WINDOW + ((u64)cpu << 21));
	u64 *pte = pte_of(boot_pml4, (u64)va), *pde, *pdpt, i;

	pdpt = (u64 *)(boot_pml4[1] & ~0xffful);
	pde = (u64 *)(pdpt[0] & ~0xffful) + cpu;
	own[cpu][0][1] = 2000 + cpu;
	own[cpu][1][1] = 1000 + cpu;
	sync_cpus();
	for (i = 0; i < rounds; i++) {
		accessed_dirty(cpu, va, pte, i);
		faults(cpu, va, pte, i);
		if (stale)
			no_flush(cpu, va, pte);
		write_protect_off(cpu, va, pte, i);
		if (i % 8 == 0)
			large(cpu, va, pde);
	}
}

/* Hold still while the mapping moves; with stale=1 only flush after it has. */
static void shootdown(struct regs *r)
{
	u32 now = READ_ONCE(epoch);

	xadd32(&acks, 1);
	while (!stale && READ_ONCE(epoch) == now)
		cpu_relax();
	invlpg((void *)SHARED_VA);
	if (stale)
		xadd32(&acks, 1);
	apic_eoi();
}

static void interrupt_others(u32 acks_each)
{
	u32 n;

	WRITE_ONCE(acks, 0);
	for (n = 1; n < nr_cpus; n++)
		apic_ipi(n, ICR_FIXED(VEC_IPI));
	while (READ_ONCE(acks) != acks_each * (nr_cpus - 1))
		cpu_relax();
}

/* Even epochs are stable: page epoch / 2 % 2 is mapped, for everyone. */
static void mover(u64 *pte)
{
	u64 i, old;
	u32 n;

	for (i = 1; i <= moves; i++) {
		WRITE_ONCE(epoch, 2 * i - 1);
		if (!stale)
			interrupt_others(1);
		old = __atomic_exchange_n(pte, (u64)pages[i & 1] | PTE_P | PTE_W,
					  __ATOMIC_SEQ_CST);
		st[0].sig = mix(st[0].sig, old & (PTE_A | PTE_D));
		invlpg((void *)SHARED_VA);
		if (stale)
			interrupt_others(2);
		WRITE_ONCE(epoch, 2 * i);
		for (n = 0; n < 300; n++)
			st[0].sig = mix(st[0].sig, READ_ONCE(*pte) & PTE_D);
	}
	WRITE_ONCE(epoch, ~0u);
}

static void user(u32 cpu, u64 *pte)
{
	volatile u64 *va = (u64 *)SHARED_VA;
	u64 v, n = 0;
	u32 e;

	sti();
	while ((e = READ_ONCE(epoch)) != ~0u) {
		v = va[0];
		st[cpu].sig = mix(st[cpu].sig, v);
		if (n++ % 4 == 0)
			va[8 + cpu] = n;
		st[cpu].sig = mix(st[cpu].sig, READ_ONCE(*pte));
		if (e == READ_ONCE(epoch) && !(e & 1) && v != 77 + (e / 2 & 1))
			fail("cpu %u: epoch %u read %lu", cpu, e, v);
	}
	cli();
}

static void together(u32 cpu)
{
	u64 *pte = pte_of(boot_pml4, SHARED_VA);

	write_cr3(read_cr3());
	sync_cpus();
	if (!cpu)
		mover(pte);
	else
		user(cpu, pte);
}

void guest_main(void)
{
	u64 s = 0, n = 0;
	u32 i;

	rounds = param("n", 150);
	moves = param("moves", 60);
	stale = param("stale", 0);
	irq_set(14, page_fault);
	irq_set(VEC_IPI, shootdown);
	/* The tables are made here, so that processors only change entries. */
	for (i = 0; i < nr_cpus; i++)
		pte_of(boot_pml4, WINDOW + ((u64)i << 21));
	pages[0][0] = 77;
	pages[1][0] = 78;
	map_page(boot_pml4, SHARED_VA, (u64)pages[0], PTE_W);
	smp_run(alone);
	smp_run(together);
	for (i = 0; i < nr_cpus; i++) {
		s = mix(s, st[i].sig);
		n += st[i].faults;
	}
	result("ptwalk", "%016lx faults %lu", s, n);
}
