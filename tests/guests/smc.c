// SPDX-License-Identifier: GPL-2.0
/*
 * Self-modifying code (a processor patches its own page, also the instructions
 * just ahead) and cross-modifying code: with a flag and a serialising
 * instruction, and with the others held in an interrupt handler meanwhile.
 */
#include "guest.h"

/* mov $imm32, %eax; ret */
struct fn_const {
	u8 mov;
	u32 imm;
	u8 ret;
} __packed;

static u8 own[MAX_CPUS][PAGE_SIZE] __aligned(PAGE_SIZE);
static u8 common[PAGE_SIZE] __aligned(PAGE_SIZE);
static struct {
	u64 v;
} __aligned(CACHE_LINE) sig[MAX_CPUS];

static u32 ready __aligned(CACHE_LINE);
static u32 parked __aligned(CACHE_LINE);
static u32 released __aligned(CACHE_LINE);
static u64 own_rounds, cross_rounds;

static u32 call_const(void *p)
{
	return ((u32 (*)(void))p)();
}

static void make_const(void *p, u32 imm)
{
	*(volatile struct fn_const *)p = (struct fn_const){ 0xb8, imm, 0xc3 };
}

static void serialize(void)
{
	u32 r[4];

	cpuid(0, 0, r);
}

static void self_modify(u32 cpu)
{
	u8 *code = own[cpu];
	u64 i;
	u32 got;

	for (i = 0; i < own_rounds; i++) {
		u8 *at = code + i * 13 % (PAGE_SIZE - 16);

		make_const(at, i ^ cpu << 24);
		got = call_const(at);
		if (got != (u32)(i ^ cpu << 24))
			fail("cpu %u: round %lu gave %x", cpu, i, got);
	}
}

/* Rewrites the immediate of an instruction a few bytes ahead of the store. */
static void patch_ahead(u32 cpu)
{
	/*
	 * mov %edi, 0f+1(%rip); 0: mov $imm32, %eax; ret
	 */
	static const u8 body[] = {
		0x89, 0x3d, 0x01, 0x00, 0x00, 0x00,
		0xb8, 0x00, 0x00, 0x00, 0x00, 0xc3,
	};
	u8 *code = own[cpu] + PAGE_SIZE / 2;
	u32 i, got;

	memcpy(code, body, sizeof(body));
	for (i = 0; i < own_rounds; i++) {
		got = ((u32 (*)(u32))code)(i * 7);
		if (got != i * 7)
			fail("cpu %u: ahead %u gave %x", cpu, i, got);
	}
}

/* Processors take turns as writer; all the others call what it wrote. */
static void cross_flag(u32 cpu)
{
	u32 round, got;
	u64 waited, s = 0;

	for (round = 1; round <= cross_rounds; round++) {
		waited = 0;
		if (round % nr_cpus == cpu) {
			make_const(common, round * 3);
			WRITE_ONCE(ready, round);
		} else {
			while (READ_ONCE(ready) != round) {
				waited++;
				cpu_relax();
			}
			serialize();
		}
		got = call_const(common);
		if (got != round * 3)
			fail("cpu %u: flag round %u gave %x", cpu, round, got);
		s = mix(s, waited);
		sync_cpus();
	}
	sig[cpu].v = mix(sig[cpu].v, s);
}

/* Hold still while the code is patched; IRETQ serialises. */
static void park(struct regs *r)
{
	u32 round = READ_ONCE(released);

	sig[cpu_id()].v = mix(sig[cpu_id()].v, r->rip);
	xadd32(&parked, 1);
	while (READ_ONCE(released) == round)
		cpu_relax();
	apic_eoi();
}

static void cross_park(u32 cpu)
{
	u32 last = 0, got, i, round;

	if (!cpu) {
		for (round = 1; round <= cross_rounds; round++) {
			WRITE_ONCE(parked, 0);
			for (i = 1; i < nr_cpus; i++)
				apic_ipi(i, ICR_FIXED(VEC_IPI));
			while (READ_ONCE(parked) != nr_cpus - 1)
				cpu_relax();
			make_const(common + 100, round);
			WRITE_ONCE(released, round);
			serialize();
			if (call_const(common + 100) != round)
				fail("park round %u", round);
			for (i = 0; i < 500; i++)
				barrier();
		}
		WRITE_ONCE(ready, 0);
		return;
	}
	sti();
	while (READ_ONCE(ready)) {
		got = call_const(common + 100);
		if (got < last || got > READ_ONCE(released))
			fail("cpu %u: %u after %u", cpu, got, last);
		last = got;
	}
	cli();
	if (last > cross_rounds)
		fail("cpu %u: ended at %u", cpu, last);
}

static void run(u32 cpu)
{
	sync_cpus();
	self_modify(cpu);
	patch_ahead(cpu);
	sync_cpus();
	cross_flag(cpu);
	cross_park(cpu);
}

void guest_main(void)
{
	u64 s = 0;
	u32 i;

	own_rounds = param("n", 5000);
	cross_rounds = param("cross", 60);
	irq_set(VEC_IPI, park);
	make_const(common + 100, 0);
	smp_run(run);
	for (i = 0; i < nr_cpus; i++)
		s = mix(s, sig[i].v);
	result("smc", "%016lx", s);
}
