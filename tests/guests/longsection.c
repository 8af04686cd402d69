// SPDX-License-Identifier: GPL-2.0
/*
 * The longest work KVM does for one exit: string instructions of many iterations
 * between RAM and ports or memory-mapped registers, and accesses that cross pages.
 * All values that come in make the signature.
 */
#include "guest.h"

#define XAPIC		0xfee00000ul
#define IOAPIC		0xfec00000ul
#define NOTHING		0xfd000000ul
#define BUF_SIZE	(4 * PAGE_SIZE)

static u8 buf[MAX_CPUS][BUF_SIZE] __aligned(PAGE_SIZE);
static struct {
	u64 sig;
} __aligned(CACHE_LINE) st[MAX_CPUS];
static u64 rounds, ram_end;

static void note(u32 cpu, u64 v)
{
	st[cpu].sig = mix(st[cpu].sig, v);
}

static void note_buf(u32 cpu, const u8 *p, u64 n)
{
	u64 i;

	for (i = 0; i < n; i++)
		note(cpu, p[i]);
}

#define REP_MOVS(op, d, s, n)						\
do {									\
	void *d_ = (void *)(d);						\
	const void *s_ = (const void *)(s);				\
	u64 n_ = (n);							\
									\
	asm volatile("rep " op : "+D"(d_), "+S"(s_), "+c"(n_)		\
		     :: "memory");					\
} while (0)

#define REP_INS(op, d, port, n)						\
do {									\
	void *d_ = (d);							\
	u64 n_ = (n);							\
									\
	asm volatile("rep " op : "+D"(d_), "+c"(n_) : "d"(port)		\
		     : "memory");					\
} while (0)

#define REP_OUTS(op, s, port, n)					\
do {									\
	const void *s_ = (s);						\
	u64 n_ = (n);							\
									\
	asm volatile("rep " op : "+S"(s_), "+c"(n_) : "d"(port)		\
		     : "memory");					\
} while (0)

/* From registers of KVM's: KVM does up to 1024 iterations for one exit. */
static void from_mmio(u32 cpu, u64 round)
{
	u8 *d = buf[cpu] + 1 + round % 4093;

	REP_MOVS("movsl", d, XAPIC, 1023);
	note_buf(cpu, d, 1023 * 4);
	/* The processor's own number, as every sixteenth of them. */
	if (*(u32 *)(d + APIC_ID) >> 24 != cpu)
		fail("cpu %u: APIC ID %x", cpu, *(u32 *)(d + APIC_ID) >> 24);
	REP_MOVS("movsb", d, XAPIC + 0x30, 100);
	note_buf(cpu, d, 100);
	REP_MOVS("movsw", d, IOAPIC, 16);
	note_buf(cpu, d, 32);
	REP_MOVS("movsq", d, NOTHING, 6);
	note_buf(cpu, d, 48);
	/* Downwards. */
	asm volatile("std" ::: "memory");
	REP_MOVS("movsl", d + 4000, XAPIC + 0xffc, 1000);
	asm volatile("cld" ::: "memory");
	note_buf(cpu, d, 4004);
}

/* Behind the last register of the LAPIC there is nothing to change. */
static void to_mmio(u32 cpu)
{
	u8 *s = buf[cpu] + PAGE_SIZE - 7;
	void *d = (void *)(XAPIC + 0x400);
	u64 n = 768;

	REP_MOVS("movsl", d, s, 768);
	REP_MOVS("movsb", NOTHING, s, 12);
	asm volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(0) : "memory");
	note(cpu, *(volatile u32 *)(XAPIC + 0x400));
}

/* PIT, PIC and speaker port are KVM's, fw_cfg is not, and 0x60 is nobody's. */
static void from_ports(u32 cpu, u64 round)
{
	u8 *d = buf[cpu] + PAGE_SIZE - 1 - round % 1000;

	REP_INS("insb", d, 0x40, 4096);
	note_buf(cpu, d, 4096);
	REP_INS("insb", d, 0x61, 3000);
	note_buf(cpu, d, 3000);
	REP_INS("insb", d, 0x21, 1025);
	note_buf(cpu, d, 1025);
	REP_INS("insw", d, 0x61, 2048);
	note_buf(cpu, d, 4096);
	REP_INS("insl", d, 0x40, 1024);
	note_buf(cpu, d, 4096);
	REP_INS("insb", d, 0x60, 2000);
	note_buf(cpu, d, 2000);
	REP_INS("insw", d, 0x60, 1000);
	note_buf(cpu, d, 2000);
	REP_INS("insl", d, 0x60, 1500);
	note_buf(cpu, d, 6000);
	REP_INS("insb", d, 0x511, 3000);
	note_buf(cpu, d, 3000);
	REP_INS("insw", d, 0x510, 600);
	note_buf(cpu, d, 1200);
}

static void to_ports(u32 cpu)
{
	u8 *s = buf[cpu] + PAGE_SIZE - 3;
	u32 i;

	for (i = 0; i < 4096; i++)
		s[i] = i * 7 + cpu;
	/* One exit to user space for each. */
	REP_OUTS("outsb", s, 0x80, 1000);
	REP_OUTS("outsw", s, 0x80, 300);
	REP_OUTS("outsl", s, 0x60, 200);
	/* The speaker's gate, off at the end. */
	s[2999] = 0;
	REP_OUTS("outsb", s, 0x61, 3000);
	note(cpu, inb(0x61) & 0xf);
}

/* The widest accesses, in the middle of the registers and over the end of a page. */
static void wide_accesses(u32 cpu)
{
	static const u64 where[] = {
		NOTHING + PAGE_SIZE - 4, NOTHING + PAGE_SIZE - 1, NOTHING + PAGE_SIZE - 7,
		IOAPIC + PAGE_SIZE - 4, XAPIC - 4, XAPIC + PAGE_SIZE - 8,
	};
	u64 v[2] __aligned(16);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(where); i++) {
		note(cpu, *(volatile u64 *)where[i]);
		note(cpu, *(volatile u32 *)where[i]);
		asm volatile("movups (%1), %%xmm1; movups %%xmm1, %0"
			     : "=m"(v) : "r"(where[i]));
		note(cpu, v[0]);
		note(cpu, v[1]);
	}
	for (i = 0; i < 3; i++) {
		*(volatile u64 *)where[i] = v[0] + i;
		asm volatile("movups %1, %%xmm1; movups %%xmm1, (%0)"
			     :: "r"(where[i]), "m"(v) : "memory");
	}
	/* Half of it RAM, half of it not. */
	note(cpu, *(volatile u64 *)(ram_end - 4));
	*(volatile u64 *)(ram_end - 4) = v[0];
}

static void run(u32 cpu)
{
	u64 i;

	sync_cpus();
	for (i = 0; i < rounds; i++) {
		from_mmio(cpu, i * 1021 + cpu);
		from_ports(cpu, i * 331 + cpu);
		to_ports(cpu);
		wide_accesses(cpu);
		to_mmio(cpu);
	}
}

void guest_main(void)
{
	u64 s = 0;
	u32 i;

	if (apic_x2) {
		print("the registers are in MSRs: xapic=1 is needed\n");
		machine_exit(EXIT_FAIL);
	}
	rounds = param("n", 2);
	ram_end = param("mb", 32) << 20;
	outw(0x510, 0x19);
	smp_run(run);
	for (i = 0; i < nr_cpus; i++)
		s = mix(s, st[i].sig);
	result("longsection", "%016lx", s);
}
