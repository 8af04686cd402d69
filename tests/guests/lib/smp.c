// SPDX-License-Identifier: GPL-2.0
/* Bringing processors up and running a function on all of them. */
#include "guest.h"

#define TRAMPOLINE	0x8000ul
#define FW_CFG_SELECTOR	0x510
#define FW_CFG_DATA	0x511
#define FW_CFG_NB_CPUS	0x05

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u8 reserved2[10];
	u16 iomap;
} __packed;

struct cpu cpus[MAX_CPUS];
u32 nr_cpus;

static struct tss tss[MAX_CPUS] __aligned(CACHE_LINE);
static u64 gdt[MAX_CPUS][8] __aligned(CACHE_LINE);
static u8 trap_stacks[MAX_CPUS][STACK_SIZE] __aligned(16);

static void (*leave[MAX_CPUS])(u32 cpu);

static struct {
	void (*fn)(u32 cpu);
	u32 gen __aligned(CACHE_LINE);
	u32 done __aligned(CACHE_LINE);
	u32 arrived __aligned(CACHE_LINE);
	u32 phase __aligned(CACHE_LINE);
} job;

extern const u8 ap_trampoline[], ap_trampoline_end[];

void bsp_start(u32 start_info);
void ap_start(u32 id);

static void load_gdt(u32 id)
{
	struct {
		u16 limit;
		u64 base;
	} __packed ptr = { sizeof(gdt[id]) - 1, (u64)gdt[id] };
	u64 base = (u64)&tss[id];

	tss[id].rsp[0] = (u64)trap_stacks[id] + STACK_SIZE;
	tss[id].iomap = sizeof(struct tss);
	gdt[id][1] = 0x00af9b000000ffff;
	gdt[id][2] = 0x00cf93000000ffff;
	gdt[id][3] = 0x00cff3000000ffff;	/* user data before code: SYSRET */
	gdt[id][4] = 0x00affb000000ffff;
	gdt[id][5] = (sizeof(struct tss) - 1) | 0x89ul << 40 |
		     (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
	gdt[id][6] = base >> 32;
	asm volatile("lgdt %0" :: "m"(ptr));
	asm volatile("ltr %w0" :: "r"(TSS_SEL));
}

static void cpu_setup(u32 id)
{
	load_gdt(id);
	cpus[id].self = &cpus[id];
	cpus[id].id = id;
	wrmsr(MSR_GS_BASE, (u64)&cpus[id]);
	irq_load_idt();
	apic_enable();
}

static void wake(struct regs *r)
{
	apic_eoi();
}

void ap_start(u32 id)
{
	u32 seen = READ_ONCE(job.gen);

	cpu_setup(id);
	WRITE_ONCE(cpus[id].online, 1);
	for (;;) {
		while (READ_ONCE(job.gen) == seen) {
			sti_hlt();
			cli();
			if (READ_ONCE(leave[id]))
				leave[id](id);
		}
		seen++;
		job.fn(id);
		xadd32(&job.done, 1);
	}
}

/* Runs @fn on every processor at about the same time; returns when all are done. */
void smp_run(void (*fn)(u32 cpu))
{
	u32 i;

	job.fn = fn;
	WRITE_ONCE(job.done, 0);
	WRITE_ONCE(job.gen, job.gen + 1);
	for (i = 1; i < nr_cpus; i++)
		apic_ipi(i, ICR_FIXED(VEC_WAKE));
	fn(0);
	while (READ_ONCE(job.done) != nr_cpus - 1)
		cpu_relax();
}

/* A barrier for all processors inside smp_run(). */
void sync_cpus(void)
{
	u32 phase = READ_ONCE(job.phase);

	if (xadd32(&job.arrived, 1) == nr_cpus - 1) {
		WRITE_ONCE(job.arrived, 0);
		WRITE_ONCE(job.phase, phase + 1);
		return;
	}
	while (READ_ONCE(job.phase) == phase)
		cpu_relax();
}

static void start_ap(u32 id)
{
	u32 spin, tries;

	apic_ipi(id, ICR_INIT);
	for (tries = 0; tries < 20; tries++) {
		apic_ipi(id, ICR_SIPI(TRAMPOLINE >> 12));
		for (spin = 0; spin < 200000; spin++) {
			if (READ_ONCE(cpus[id].online))
				return;
			cpu_relax();
		}
	}
	print("cpu %u did not start\n", id);
	machine_exit(EXIT_FAIL);
}

/* Has a processor, which is not in smp_run(), call a function that does not return. */
void smp_leave(u32 id, void (*fn)(u32 cpu))
{
	WRITE_ONCE(leave[id], fn);
	apic_ipi(id, ICR_FIXED(VEC_WAKE));
}

/* Starts a processor once more, which is not in smp_run(). */
void smp_restart(u32 id)
{
	WRITE_ONCE(leave[id], NULL);
	WRITE_ONCE(cpus[id].online, 0);
	start_ap(id);
}

static u32 count_cpus(void)
{
	u32 n;

	outw(FW_CFG_SELECTOR, FW_CFG_NB_CPUS);
	n = inb(FW_CFG_DATA);
	n |= inb(FW_CFG_DATA) << 8;
	n = param("cpus", n);
	return n < 1 ? 1 : n > MAX_CPUS ? MAX_CPUS : n;
}

/* The PVH start info: the address of the command line is all that is used. */
static void copy_cmdline(u32 start_info)
{
	const char *src = *(const char **)((u64)start_info + 24);
	u32 i;

	if (*(u32 *)(u64)start_info != 0x336ec578 || !src)
		return;
	for (i = 0; i < 1023 && src[i]; i++)
		cmdline[i] = src[i];
}

void bsp_start(u32 start_info)
{
	u32 i;

	copy_cmdline(start_info);
	console_init();
	cpu_setup(0);
	cpus[0].online = 1;
	nr_cpus = count_cpus();
	irq_set(VEC_WAKE, wake);
	memcpy((void *)TRAMPOLINE, ap_trampoline,
	       ap_trampoline_end - ap_trampoline);
	for (i = 1; i < nr_cpus; i++)
		start_ap(i);
	guest_main();
	machine_exit(EXIT_FAIL);
}
