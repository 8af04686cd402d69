// SPDX-License-Identifier: GPL-2.0
/*
 * What an exit costs, by kind: prints "RESULT NAME cycles=N" for each, or for the one with
 * number only=N, the cycles of one of n=N.  The other processors are halted, or answer.
 */
#include "guest.h"

#define VEC_ASK		(VEC_IPI + 0)
#define VEC_ANSWER	(VEC_IPI + 1)
#define VEC_SELF	(VEC_IPI + 2)
#define PORT_DELAY	0x80
#define ALL		~0u
#define IOAPIC		0xfec00000ul

static u32 rounds, only, kinds, handled, answers;
static bool polling;

static void on_self(struct regs *r)
{
	handled++;
	apic_eoi();
}

static void on_ask(struct regs *r)
{
	apic_eoi();
	if (READ_ONCE(polling))
		WRITE_ONCE(answers, answers + 1);
	else
		apic_ipi(0, ICR_FIXED(VEC_ANSWER));
}

static void on_answer(struct regs *r)
{
	WRITE_ONCE(answers, answers + 1);
	apic_eoi();
}

static void do_cpuid(u32 i)
{
	u32 r[4];

	cpuid(1, 0, r);
}

static void do_rdtsc(u32 i)
{
	rdtsc();
}

static void port_user(u32 i)
{
	outb(PORT_DELAY, i);
}

static void ioapic(u32 i)
{
	*(volatile u32 *)IOAPIC = 0;
}

static void eoi(u32 i)
{
	apic_eoi();
}

static void apic_id(u32 i)
{
	apic_read(APIC_ID);
}

static void deadline(u32 i)
{
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + (1ul << 40));
}

static void self_ipi(u32 i)
{
	u32 before = handled;

	sti();
	apic_ipi(0, ICR_FIXED(VEC_SELF));
	while (READ_ONCE(handled) == before)
		cpu_relax();
	cli();
}

/* The other one is halted, and wakes up for it; this one polls. */
static void ask(u32 i)
{
	u32 before = answers;

	apic_ipi(1, ICR_FIXED(VEC_ASK));
	while (READ_ONCE(answers) == before)
		cpu_relax();
}

/* Both halt. */
static void ask_and_halt(u32 i)
{
	u32 before = answers;

	apic_ipi(1, ICR_FIXED(VEC_ASK));
	while (READ_ONCE(answers) == before) {
		sti_hlt();
		cli();
	}
}

static void measure(const char *name, void (*exit)(u32 i))
{
	u64 start;
	u32 i;

	if (only != ALL && only != kinds++)
		return;
	exit(0);
	start = rdtsc();
	for (i = 0; i < rounds; i++)
		exit(i);
	print("RESULT %s cycles=%lu\n", name, (rdtsc() - start) / rounds);
}

void guest_main(void)
{
	rounds = param("n", 300);
	only = param("only", ALL);
	irq_set(VEC_ASK, on_ask);
	irq_set(VEC_ANSWER, on_answer);
	irq_set(VEC_SELF, on_self);
	measure("cpuid", do_cpuid);
	measure("rdtsc", do_rdtsc);
	measure("port-user", port_user);
	measure("mmio-kernel", ioapic);
	measure("apic-id", apic_id);
	measure("eoi", eoi);
	if (apic_has_deadline()) {
		apic_timer_deadline_mode();
		measure("deadline", deadline);
		apic_timer_stop();
	}
	measure("self-ipi", self_ipi);
	if (nr_cpus > 1) {
		polling = true;
		measure("ipi-polled", ask);
		polling = false;
		measure("ipi-halted", ask_and_halt);
	}
	result("exits", "%u", rounds);
}
