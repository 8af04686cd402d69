// SPDX-License-Identifier: GPL-2.0
/*
 * The APIC timer, periodic, one-shot and TSC-deadline, strikes loops that are
 * hard to land in: without any conditional branch, counting in a register and in
 * memory; with one; and HLT. Interrupted RIP and registers make the signature.
 */
#include "guest.h"

enum { PERIODIC, ONESHOT, DEADLINE, NR_MODES };

static struct {
	u64 sig, left, counter, ticks;
	u64 delta;	/* TSC, for deadline mode */
	u32 mode, us;
} __aligned(PAGE_SIZE) st[MAX_CPUS];
static u64 nr_ticks, period, loops;

extern const u8 loop_reg[], loop_reg_end[], loop_mem[], loop_mem_end[];

static void arm(u32 cpu)
{
	switch (st[cpu].mode) {
	case PERIODIC:
		apic_timer_periodic(st[cpu].us);
		break;
	case ONESHOT:
		apic_timer_oneshot(st[cpu].us);
		break;
	case DEADLINE:
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + st[cpu].delta);
		break;
	}
}

static void tick(struct regs *r)
{
	u32 cpu = cpu_id();
	u64 s = st[cpu].sig;

	s = mix(s, r->rip);
	s = mix(s, r->rax);
	s = mix(s, r->rcx);
	s = mix(s, r->rflags);
	s = mix(s, READ_ONCE(st[cpu].counter));
	st[cpu].sig = s;
	st[cpu].ticks++;
	if (!st[cpu].left)
		goto out;
	if (!--st[cpu].left) {
		if (r->rip >= (u64)loop_reg && r->rip < (u64)loop_reg_end)
			r->rip = (u64)loop_reg_end;
		if (r->rip >= (u64)loop_mem && r->rip < (u64)loop_mem_end)
			r->rip = (u64)loop_mem_end;
	} else if (st[cpu].mode != PERIODIC) {
		arm(cpu);
	}
out:
	apic_eoi();
}

static void begin(u32 cpu)
{
	st[cpu].left = nr_ticks;
	if (st[cpu].mode == DEADLINE)
		apic_timer_deadline_mode();
	arm(cpu);
}

static void end(u32 cpu)
{
	cli();
	apic_timer_stop();
	if (st[cpu].mode == DEADLINE)
		wrmsr(MSR_TSC_DEADLINE, 0);
	/* One that was already on its way. */
	asm volatile("sti; nop; cli" ::: "memory");
}

/* Left only by the handler, after nr_ticks ticks. */
static __noinline void branchless_reg(u32 cpu)
{
	u64 n = 0;

	begin(cpu);
	asm volatile("sti\n"
		     ".globl loop_reg, loop_reg_end\n"
		     "loop_reg: incq %0\n\t"
		     "jmp loop_reg\n"
		     "loop_reg_end:"
		     : "+a"(n) :: "memory", "cc");
	end(cpu);
	st[cpu].sig = mix(st[cpu].sig, n);
}

static __noinline void branchless_mem(u32 cpu)
{
	begin(cpu);
	asm volatile("sti\n"
		     ".globl loop_mem, loop_mem_end\n"
		     "loop_mem: incq %0\n\t"
		     "jmp loop_mem\n"
		     "loop_mem_end:"
		     : "+m"(st[cpu].counter) :: "memory", "cc");
	end(cpu);
	st[cpu].sig = mix(st[cpu].sig, st[cpu].counter);
}

/* Counted twice, in RCX and RAX: an interrupt must not lose a round. */
static void branching(u32 cpu)
{
	u64 n = loops, sum = 0;

	begin(cpu);
	asm volatile("sti\n"
		     "1: incq %1\n\t"
		     "decq %0\n\t"
		     "jnz 1b"
		     : "+c"(n), "+a"(sum) :: "memory", "cc");
	/* Till the ticks are up: their number shall not depend on the speed. */
	while (READ_ONCE(st[cpu].left))
		WRITE_ONCE(st[cpu].counter, st[cpu].counter + 1);
	end(cpu);
	if (n || sum != loops)
		fail("cpu %u: %lu rounds of %lu", cpu, sum, loops);
}

static void halting(u32 cpu)
{
	begin(cpu);
	while (READ_ONCE(st[cpu].left)) {
		sti_hlt();
		cli();
	}
	end(cpu);
}

static void run(u32 cpu)
{
	u32 mode;

	sync_cpus();
	st[cpu].delta = tsc_per_ms() * period / 1000;
	for (mode = 0; mode < NR_MODES; mode++) {
		if (mode == DEADLINE && !apic_has_deadline())
			break;
		st[cpu].mode = mode;
		st[cpu].us = period + cpu * 31;
		branchless_reg(cpu);
		branchless_mem(cpu);
		branching(cpu);
		halting(cpu);
	}
}

void guest_main(void)
{
	u64 s = 0, ticks = 0;
	u32 i;

	nr_ticks = param("ticks", 6);
	period = param("us", 2000);
	loops = param("n", 20000);
	irq_set(VEC_TIMER, tick);
	smp_run(run);
	for (i = 0; i < nr_cpus; i++) {
		s = mix(s, st[i].sig);
		ticks += st[i].ticks;
	}
	result("timer", "%016lx ticks %lu deadline %s", s, ticks,
	       apic_has_deadline() ? "yes" : "no");
}
