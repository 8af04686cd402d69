// SPDX-License-Identifier: GPL-2.0
/*
 * Inputs: port reads (PIT, PICs, RTC and CMOS, serial, fw_cfg also by INS), memory
 * mapped reads (IOAPIC, virtio transports, local APIC, nothing at all), and the
 * PIT's and RTC's interrupts through the IOAPIC and through the PIC. All values
 * make the signature.
 */
#include "guest.h"

#define IOAPIC		0xfec00000ul
#define VIRTIO_MMIO	0xfeb00000ul
#define NOTHING		0xfd000000ul
#define IOAPIC_MASKED	0x10000
#define VEC_PIT		(VEC_PIC + 0)
#define VEC_RTC		(VEC_IPI + 8)

static struct {
	u64 sig;
	u64 ticks;
} __aligned(CACHE_LINE) st[MAX_CPUS];

static u64 pit_ticks, rtc_ticks;
static bool through_pic;
static u8 rom[2 * PAGE_SIZE] __aligned(PAGE_SIZE);
static u64 rounds, ticks_wanted;

static void note(u64 v)
{
	u32 cpu = cpu_id();

	st[cpu].sig = mix(st[cpu].sig, v);
}

static u32 ioapic_read(u32 reg)
{
	*(volatile u32 *)IOAPIC = reg;
	return *(volatile u32 *)(IOAPIC + 0x10);
}

static void ioapic_write(u32 reg, u32 v)
{
	*(volatile u32 *)IOAPIC = reg;
	*(volatile u32 *)(IOAPIC + 0x10) = v;
}

static void ioapic_route(u32 pin, u32 cpu, u32 low)
{
	ioapic_write(0x10 + 2 * pin, IOAPIC_MASKED);
	ioapic_write(0x11 + 2 * pin, cpu << 24);
	ioapic_write(0x10 + 2 * pin, low);
}

/* IRQ 0 is on pin 2 as on a PC, or on pin 0 as KVM has it by default. */
static void pit_route(u32 cpu, u32 low)
{
	ioapic_route(0, cpu, low);
	ioapic_route(2, cpu, low);
}

static u8 cmos(u8 reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

/* Nothing here has state that another processor could mind. */
static void port_reads(u32 cpu)
{
	u64 i;

	for (i = 0; i < rounds; i++) {
		outb(0x43, 0x00);	/* latch counter 0 */
		note(inb(0x40));
		note(inb(0x40));
		note(inb(0x61));
		note(inb(0x42));
		note(inb(0x21) | inb(0xa1) << 8);
		/* Index and data race with the other processors. */
		note(cmos(i & 0x3f));
		note(inb(0x3f8 + 5));
		note(inw(0x300));	/* nobody there */
		note(inl(0xcf8));
		outb(0x80, i);
		outw(0x80, i);
	}
	/* MSR_CORE_THREAD_COUNT: KVM leaves it to QEMU. */
	note(rdmsr(0x35));
}

static void memory_reads(u32 cpu)
{
	volatile u32 *virtio = (u32 *)VIRTIO_MMIO;
	u32 tmp[8];
	u64 i;

	if (virtio[0] != 0x74726976)
		fail("virtio magic %x", virtio[0]);
	for (i = 0; i < rounds; i++) {
		note(virtio[i & 3]);
		note(*(volatile u32 *)IOAPIC);
		note(*(volatile u64 *)NOTHING);
		note(*(volatile u8 *)(NOTHING + 1));
		note(apic_read(APIC_ID));
		note(apic_read(APIC_TMCCT));
		if (!apic_x2)
			note(*(volatile u32 *)(0xfee00000ul + APIC_ID));
	}
	/* Forms only the emulator meets: an operand, and string reads. */
	asm volatile("xorl %%eax, %%eax; addl (%1), %%eax; cmpl %%eax, (%1)\n\t"
		     "setz %%dl; movzbl %%dl, %%edx; addl %%edx, %%eax"
		     : "=&a"(tmp[0]) : "r"(virtio) : "rdx", "cc");
	note(tmp[0]);
	memset(tmp, 0, sizeof(tmp));
	{
		void *d = tmp;
		const void *s = (void *)VIRTIO_MMIO;
		u64 n = 4;

		asm volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(n) :: "memory");
	}
	for (i = 0; i < 4; i++)
		note(tmp[i]);
}

/* fw_cfg answers byte by byte; INS brings them in over a page boundary. */
static void fw_cfg_reads(u32 cpu)
{
	void *d = rom + PAGE_SIZE - 100;
	u64 n = 2, i;
	u8 id[4];

	outw(0x510, 0);
	for (i = 0; i < 4; i++)
		id[i] = inb(0x511);
	if (memcmp(id, "QEMU", 4))
		fail("fw_cfg signature");
	outw(0x510, 0x19);	/* the directory */
	n = 1000;
	asm volatile("rep insb" : "+D"(d), "+c"(n) : "d"(0x511) : "memory");
	if (d != rom + PAGE_SIZE + 900)
		fail("insb ended at %lx", (u64)d);
	for (i = PAGE_SIZE - 100; i < PAGE_SIZE + 900; i++)
		note(rom[i]);
	/* Output strings, over a page too; port 0x80 ignores them. */
	d = rom + PAGE_SIZE - 10;
	n = 20;
	asm volatile("rep outsb" : "+S"(d), "+c"(n) : "d"(0x80) : "memory");
}

static void on_pit(struct regs *r)
{
	note(r->rip);
	note(r->rcx);
	note(r->rflags);
	st[cpu_id()].ticks++;
	WRITE_ONCE(pit_ticks, pit_ticks + 1);
	if (through_pic)
		outb(0x20, 0x20);
	else
		apic_eoi();
}

static void on_rtc(struct regs *r)
{
	note(cmos(0x0c));	/* acknowledges */
	note(r->rip);
	WRITE_ONCE(rtc_ticks, rtc_ticks + 1);
	apic_eoi();
}

static void pit_start(u32 hz)
{
	u32 count = 1193182 / hz;

	outb(0x43, 0x34);
	outb(0x40, count);
	outb(0x40, count >> 8);
}

enum waiting { SPIN, HALT, STRINGS };

/*
 * To no device: every byte is an exit, and interrupts come between two of them, whose
 * frames are on pages that nobody has used for a while.
 */
static void store_string(void)
{
	static u8 stacks[16][PAGE_SIZE] __aligned(PAGE_SIZE);
	static u32 turn;
	void *d = (void *)NOTHING, *stack = stacks[turn++ % 16] + PAGE_SIZE;
	u64 n = 64;

	asm volatile("movq %%rsp, %%rbx; movq %3, %%rsp; rep stosb; movq %%rbx, %%rsp"
		     : "+D"(d), "+c"(n) : "a"(0), "r"(stack) : "rbx", "memory");
}

static void wait_for(u64 *counter, u64 n, enum waiting how)
{
	u64 until = READ_ONCE(*counter) + n, spins = 0;

	sti();
	while (READ_ONCE(*counter) < until) {
		if (how == STRINGS)
			store_string();
		if (how == HALT) {
			cli();
			if (READ_ONCE(*counter) < until)
				sti_hlt();
			sti();
		}
		spins++;
	}
	cli();
	note(spins);
}

static void pit_through_ioapic(u32 cpu)
{
	u32 turn;

	for (turn = 0; turn < nr_cpus; turn++) {
		if (turn == cpu) {
			pit_route(cpu, VEC_PIT);
			wait_for(&pit_ticks, ticks_wanted, turn & 1 ? HALT : SPIN);
			pit_route(0, IOAPIC_MASKED);
			wait_for(&pit_ticks, 0, SPIN);
		}
		sync_cpus();
	}
}

static void pic_init(void)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, VEC_PIC);
	outb(0xa1, VEC_PIC + 8);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

static void pit_through_pic(void)
{
	through_pic = true;
	apic_write(APIC_LINT0, 0x700);	/* ExtINT */
	outb(0x21, 0xfe);
	wait_for(&pit_ticks, ticks_wanted, SPIN);
	wait_for(&pit_ticks, ticks_wanted, HALT);
	wait_for(&pit_ticks, ticks_wanted, STRINGS);
	outb(0x21, 0xff);
	outb(0x20, 0x0a);
	note(inb(0x20));	/* requests still waiting */
	apic_write(APIC_LINT0, 0x10000);
}

static void rtc_periodic(void)
{
	u8 b = cmos(0x0b);

	outb(0x70, 0x0a);
	outb(0x71, 0x26);	/* 1024 Hz */
	ioapic_route(8, 0, VEC_RTC);
	outb(0x70, 0x0b);
	outb(0x71, b | 0x40);
	cmos(0x0c);
	wait_for(&rtc_ticks, ticks_wanted, SPIN);
	outb(0x70, 0x0b);
	outb(0x71, b);
	ioapic_route(8, 0, IOAPIC_MASKED);
}

static void run(u32 cpu)
{
	sync_cpus();
	port_reads(cpu);
	memory_reads(cpu);
	sync_cpus();
	if (!cpu)
		pit_start(400);
	sync_cpus();
	pit_through_ioapic(cpu);
}

void guest_main(void)
{
	u64 s = 0;
	u32 i;

	rounds = param("n", 64);
	ticks_wanted = param("ticks", 5);
	irq_set(VEC_PIT, on_pit);
	irq_set(VEC_RTC, on_rtc);
	irq_set(VEC_PIC + 7, NULL);
	pic_init();
	fw_cfg_reads(0);
	for (i = 0; i < 0x32; i++)
		note(ioapic_read(i));
	smp_run(run);
	pit_through_pic();
	if (cmos(0x0d) & 0x80 && param("rtc", 1))
		rtc_periodic();
	for (i = 0; i < nr_cpus; i++) {
		s = mix(s, st[i].sig);
		if (st[i].ticks < ticks_wanted)
			fail("cpu %u: %lu ticks", i, st[i].ticks);
	}
	result("mmio", "%016lx pit %lu rtc %lu x2apic %u", s, pit_ticks, rtc_ticks,
	       apic_x2);
}
