// SPDX-License-Identifier: GPL-2.0
/*
 * Processors bombard each other with interrupts and NMIs while working. The
 * handlers add where they struck, and in which global order, to the signature.
 */
#include "guest.h"

#define NR_VECTORS 4

static struct {
	u64 sig, irqs, nmis, work, sent_irqs, sent_nmis, self;
} __aligned(CACHE_LINE) st[MAX_CPUS];
static u64 sequence __aligned(CACHE_LINE);
static u32 acks[MAX_CPUS] __aligned(CACHE_LINE);
static u64 rounds;

static void note(struct regs *r)
{
	u32 cpu = cpu_id();

	st[cpu].sig = mix(st[cpu].sig, xadd64(&sequence, 1));
	st[cpu].sig = mix(st[cpu].sig, r->rip ^ r->vec << 56);
	st[cpu].sig = mix(st[cpu].sig, READ_ONCE(st[cpu].work));
}

static void on_irq(struct regs *r)
{
	note(r);
	st[cpu_id()].irqs++;
	apic_eoi();
}

/* May interrupt note(): what it adds lands before or after, either is recorded. */
static void on_nmi(struct regs *r)
{
	note(r);
	st[cpu_id()].nmis++;
}

static void on_ack(struct regs *r)
{
	u32 cpu = cpu_id();

	note(r);
	WRITE_ONCE(acks[cpu], acks[cpu] + 1);
	apic_eoi();
}

static void work(u32 cpu, u32 n)
{
	while (n--)
		WRITE_ONCE(st[cpu].work, st[cpu].work + 1);
}

static void storm(u32 cpu)
{
	u64 i;
	u32 target, acked;

	sync_cpus();
	sti();
	for (i = 0; i < rounds; i++) {
		target = (cpu + 1 + i % (nr_cpus - 1)) % nr_cpus;
		apic_ipi(target, ICR_FIXED(VEC_IPI + i % NR_VECTORS));
		st[cpu].sent_irqs++;
		work(cpu, 40 + i % 97);
		if (i % 4 == 3) {
			apic_ipi(target, ICR_NMI);
			st[cpu].sent_nmis++;
		}
		if (i % 16 == 5) {
			apic_ipi(cpu, ICR_FIXED(VEC_IPI));
			st[cpu].self++;
		}
	}
	sync_cpus();
	/* One at a time, waiting for the answer. */
	for (i = 0; i < rounds / 8; i++) {
		if (i % nr_cpus == cpu) {
			target = (cpu + 1) % nr_cpus;
			acked = READ_ONCE(acks[target]);
			apic_ipi(target, ICR_FIXED(VEC_IPI + 0x10));
			while (READ_ONCE(acks[target]) == acked)
				cpu_relax();
		}
		sync_cpus();
	}
	/* Let what is still pending arrive. */
	work(cpu, 3000);
	cli();
}

void guest_main(void)
{
	u64 s = 0, irqs = 0, nmis = 0, sent_irqs = 0, sent_nmis = 0, acked = 0;
	u32 i;

	rounds = param("n", 400);
	for (i = 0; i < NR_VECTORS; i++)
		irq_set(VEC_IPI + i, on_irq);
	irq_set(VEC_IPI + 0x10, on_ack);
	irq_set(VEC_NMI, on_nmi);
	if (nr_cpus < 2)
		result("ipistorm", "needs two processors");
	smp_run(storm);
	for (i = 0; i < nr_cpus; i++) {
		s = mix(s, st[i].sig);
		irqs += st[i].irqs;
		nmis += st[i].nmis;
		sent_irqs += st[i].sent_irqs + st[i].self;
		sent_nmis += st[i].sent_nmis;
		acked += acks[i];
		/* They may merge, but not all into nothing. */
		if (!st[i].irqs || !st[i].nmis)
			fail("cpu %u: %lu interrupts, %lu NMIs", i, st[i].irqs,
			     st[i].nmis);
	}
	if (irqs > sent_irqs || nmis > sent_nmis || acked != rounds / 8)
		fail("%lu of %lu interrupts, %lu of %lu NMIs, %lu acks", irqs,
		     sent_irqs, nmis, sent_nmis, acked);
	result("ipistorm", "%016lx irqs %lu nmis %lu", s, irqs, nmis);
}
