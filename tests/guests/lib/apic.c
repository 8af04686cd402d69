// SPDX-License-Identifier: GPL-2.0
/* The local APIC: x2APIC where there is one, MMIO else (or with "xapic=1"). */
#include "guest.h"

#define APIC_MMIO	0xfee00000ul
#define LVT_MASKED	(1u << 16)
#define LVTT_PERIODIC	(1u << 17)
#define LVTT_DEADLINE	(2u << 17)
#define TDCR_DIV1	0xb
/* KVM and QEMU agree on one timer tick per nanosecond, undivided. */
#define TICKS_PER_US	1000u

bool apic_x2;

u32 apic_read(u32 reg)
{
	if (apic_x2)
		return rdmsr(MSR_X2APIC + (reg >> 4));
	return *(volatile u32 *)(APIC_MMIO + reg);
}

void apic_write(u32 reg, u32 v)
{
	if (apic_x2)
		wrmsr(MSR_X2APIC + (reg >> 4), v);
	else
		*(volatile u32 *)(APIC_MMIO + reg) = v;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void apic_ipi(u32 cpu, u32 icr_low)
{
	if (apic_x2) {
		wrmsr(MSR_X2APIC + (APIC_ICR >> 4), (u64)cpu << 32 | icr_low);
		return;
	}
	while (apic_read(APIC_ICR) & 0x1000)
		cpu_relax();
	apic_write(APIC_ICR + 0x10, cpu << 24);
	apic_write(APIC_ICR, icr_low);
}

static void ignore(struct regs *r)
{
}

void apic_enable(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	apic_x2 = (r[2] >> 21 & 1) && !param("xapic", 0);
	if (apic_x2)
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0xc00);
	irq_set(VEC_SPURIOUS, ignore);
	apic_write(APIC_SVR, 0x100 | VEC_SPURIOUS);
	apic_write(APIC_TPR, 0);
}

static void timer_start(u32 mode, u32 us)
{
	apic_write(APIC_TDCR, TDCR_DIV1);
	apic_write(APIC_LVTT, mode | VEC_TIMER);
	apic_write(APIC_TMICT, us * TICKS_PER_US);
}

void apic_timer_periodic(u32 us)
{
	timer_start(LVTT_PERIODIC, us);
}

void apic_timer_oneshot(u32 us)
{
	timer_start(0, us);
}

void apic_timer_deadline_mode(void)
{
	apic_write(APIC_LVTT, LVTT_DEADLINE | VEC_TIMER);
	asm volatile("mfence" ::: "memory");
}

void apic_timer_stop(void)
{
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVTT, LVT_MASKED | VEC_TIMER);
}

bool apic_has_deadline(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	return r[2] >> 24 & 1;
}

/* Measured against the APIC timer's count. */
u64 tsc_per_ms(void)
{
	u32 start = 100000000, now;
	u64 t0, t1;

	apic_write(APIC_TDCR, TDCR_DIV1);
	apic_write(APIC_LVTT, LVT_MASKED | VEC_TIMER);
	apic_write(APIC_TMICT, start);
	t0 = rdtsc();
	do {
		now = apic_read(APIC_TMCCT);
	} while (now > start - 200 * TICKS_PER_US);
	t1 = rdtsc();
	apic_write(APIC_TMICT, 0);
	return (t1 - t0) * 1000 * TICKS_PER_US / (start - now);
}
