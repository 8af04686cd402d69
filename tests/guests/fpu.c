// SPDX-License-Identifier: GPL-2.0
/*
 * x87, SSE and AVX registers kept live through long loops under timer interrupts
 * whose handler saves, wipes and restores them. The loops iterate a chaotic map,
 * so one wrong bit changes everything; the result is the same on every
 * processor, each time, and is printed. This file's C code uses no such register.
 */
#include "guest.h"

#define XSAVE_SIZE 1024

static u8 image[MAX_CPUS][XSAVE_SIZE] __aligned(64);
static u8 handler_image[MAX_CPUS][XSAVE_SIZE] __aligned(64);
static struct {
	u64 sig, ticks, exact[4];
} __aligned(PAGE_SIZE) st[MAX_CPUS];
static u64 loops, period;
static bool has_avx, has_xsave;

/* x = r x (1 - x), for sixteen different x in (0, 1) and r below 4. */
static const double one[4] __aligned(32) = { 1, 1, 1, 1 };
static const double rate[4] __aligned(32) = { 3.9, 3.77, 3.999, 3.83 };
static double seeds[64] __aligned(64);

static void xsave(u8 *p)
{
	if (has_xsave)
		asm volatile("xsave64 (%0)" :: "r"(p), "a"(7), "d"(0) : "memory");
	else
		asm volatile("fxsave64 (%0)" :: "r"(p) : "memory");
}

static void xrstor(const u8 *p)
{
	if (has_xsave)
		asm volatile("xrstor64 (%0)" :: "r"(p), "a"(7), "d"(0) : "memory");
	else
		asm volatile("fxrstor64 (%0)" :: "r"(p) : "memory");
}

static void wipe(void)
{
	asm volatile("fninit; fldz; fldz");
	if (has_avx)
		asm volatile("vzeroall");
	else
		asm volatile("xorps %xmm0, %xmm0; xorps %xmm1, %xmm1\n\t"
			     "xorps %xmm2, %xmm2; xorps %xmm15, %xmm15");
}

static void tick(struct regs *r)
{
	u32 cpu = cpu_id();
	u64 *w = (u64 *)handler_image[cpu], i;

	xsave(handler_image[cpu]);
	st[cpu].sig = mix(st[cpu].sig, r->rip);
	for (i = 0; i < 512 / 8; i++)
		st[cpu].sig = mix(st[cpu].sig, w[i]);
	if (has_xsave)
		st[cpu].sig = mix(st[cpu].sig, w[512 / 8]);	/* XSTATE_BV */
	wipe();
	xrstor(handler_image[cpu]);
	st[cpu].ticks++;
	apic_eoi();
}

static void ldmxcsr(u32 v)
{
	asm volatile("ldmxcsr %0" :: "m"(v));
}

/* Seven numbers on the x87 stack, rounding as @cw says. */
static u64 run_x87(u16 cw)
{
	static const double r = 3.9;
	u8 out[7 * 10];
	u64 h = 0, n = loops, v;
	u32 i;

	asm volatile("fninit; fldcw %2\n\t"
		     "fldl %3; fldl 0(%1); fldl 8(%1); fldl 16(%1); fldl 24(%1)\n"
		     "1:\n\t"
		     ".rept 4\n\t"
		     "fld1; fsub %%st(1), %%st; fmulp %%st, %%st(1)\n\t"
		     "fmul %%st(4), %%st\n\t"
		     "fxch %%st(1); fxch %%st(2); fxch %%st(3)\n\t"
		     ".endr\n\t"
		     "decq %0; jnz 1b"
		     : "+r"(n) : "r"(seeds), "m"(cw), "m"(r) : "memory", "cc");
	for (i = 0; i < 5; i++)
		asm volatile("fstpt %0" : "=m"(*(u8 (*)[10])(out + i * 10)));
	for (i = 0; i + 8 <= 50; i += 2) {
		memcpy(&v, out + i, 8);
		h = mix(h, v);
	}
	return h;
}

#define STEP(k) "movapd %%xmm15, %%xmm13; subpd %%xmm" #k ", %%xmm13\n\t" \
	"mulpd %%xmm13, %%xmm" #k "; mulpd %%xmm14, %%xmm" #k "\n\t"
#define LOAD(k) "movapd " #k "*16(%1), %%xmm" #k "\n\t"
#define STORE(k) "movapd %%xmm" #k ", " #k "*16(%1)\n\t"
#define ALL(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) \
	op(10) op(11)

static u64 run_sse(u32 mxcsr)
{
	u64 buf[24] __aligned(16), n = loops, h = 0;
	u32 i, end;

	memcpy(buf, seeds, sizeof(buf));
	ldmxcsr(mxcsr);
	asm volatile(ALL(LOAD)
		     "movapd %2, %%xmm14; movapd %3, %%xmm15\n"
		     "1:\n\t"
		     ALL(STEP)
		     "decq %0; jnz 1b\n\t"
		     ALL(STORE)
		     "stmxcsr %4"
		     : "+r"(n) : "r"(buf), "m"(rate), "m"(one), "m"(end)
		     : "memory", "cc");
	ldmxcsr(0x1f80);
	for (i = 0; i < 24; i++)
		h = mix(h, buf[i]);
	return mix(h, READ_ONCE(end));
}

#undef STEP
#undef LOAD
#undef STORE
#define STEP(k) "vsubpd %%ymm" #k ", %%ymm15, %%ymm13\n\t" \
	"vmulpd %%ymm13, %%ymm" #k ", %%ymm" #k "\n\t" \
	"vmulpd %%ymm14, %%ymm" #k ", %%ymm" #k "\n\t"
#define LOAD(k) "vmovapd " #k "*32(%1), %%ymm" #k "\n\t"
#define STORE(k) "vmovapd %%ymm" #k ", " #k "*32(%1)\n\t"

static u64 run_avx(u32 mxcsr)
{
	u64 buf[48] __aligned(32), n = loops, h = 0;
	u32 i;

	memcpy(buf, seeds, sizeof(buf));
	ldmxcsr(mxcsr);
	asm volatile(ALL(LOAD)
		     "vmovapd %2, %%ymm14; vmovapd %3, %%ymm15\n"
		     "1:\n\t"
		     ALL(STEP)
		     "decq %0; jnz 1b\n\t"
		     ALL(STORE)
		     : "+r"(n) : "r"(buf), "m"(rate), "m"(one)
		     : "memory", "cc");
	ldmxcsr(0x1f80);
	for (i = 0; i < 48; i++)
		h = mix(h, buf[i]);
	return h;
}

/* One rounding mode after the other, changed inside the loop. */
static u64 run_mxcsr(void)
{
	u64 buf[2] __aligned(16) = { 0 }, n = loops / 4, h = 0;
	u32 csr;

	memcpy(buf, seeds, sizeof(buf));
	asm volatile("movapd (%0), %%xmm0; movapd %1, %%xmm14; movapd %2, %%xmm15"
		     :: "r"(buf), "m"(rate), "m"(one) : "memory");
	for (; n; n--) {
		ldmxcsr(0x1f80 | (n & 3) << 13 | (n & 4) << 4 | (n & 8) << 12);
		asm volatile("movapd %%xmm15, %%xmm13; subpd %%xmm0, %%xmm13\n\t"
			     "mulpd %%xmm13, %%xmm0; mulpd %%xmm14, %%xmm0\n\t"
			     "stmxcsr %0" : "=m"(csr));
		h = mix(h, csr);
	}
	asm volatile("movapd %%xmm0, (%0)" :: "r"(buf) : "memory");
	ldmxcsr(0x1f80);
	return mix(mix(h, buf[0]), buf[1]);
}

/* The saved image after restoring a known one must be that one. */
static void image_round_trip(u32 cpu)
{
	u8 *p = image[cpu];
	u32 i;

	xsave(p);
	for (i = 0; i < 256; i++)
		p[160 + i] = i ^ cpu;
	if (has_xsave)
		*(u64 *)(p + 512) |= 2;
	xrstor(p);
	memset(p + 160, 0, 256);
	xsave(p);
	for (i = 0; i < 256; i++)
		if (p[160 + i] != (u8)(i ^ cpu))
			fail("cpu %u: byte %u of the image", cpu, i);
}

static void all(u32 cpu, u64 out[4])
{
	out[0] = mix(run_x87(0x37f), run_x87(0x27f));
	out[0] = mix(out[0], run_x87(0xb7f));
	out[1] = mix(run_sse(0x1f80), run_sse(0x5f80));
	out[1] = mix(out[1], run_sse(0xff80 & ~0x2000));
	out[2] = has_avx ? mix(run_avx(0x1f80), run_avx(0x3f80)) : 0;
	out[3] = run_mxcsr();
	image_round_trip(cpu);
}

static void enable(void)
{
	u32 r[4];

	if (!has_xsave)
		return;
	write_cr4(read_cr4() | 1ul << 18);
	cpuid(0xd, 0, r);
	asm volatile("xsetbv" :: "c"(0), "a"(r[0] & 7), "d"(0));
}

static void run(u32 cpu)
{
	u64 again[4];
	u32 i;

	enable();
	asm volatile("fninit");
	sync_cpus();
	all(cpu, st[cpu].exact);
	apic_timer_periodic(period + cpu * 29);
	sti();
	all(cpu, again);
	cli();
	apic_timer_stop();
	for (i = 0; i < 4; i++)
		if (again[i] != st[cpu].exact[i])
			fail("cpu %u: part %u differs under interrupts", cpu, i);
}

void guest_main(void)
{
	u64 s = 0, exact = 0, ticks = 0;
	u32 r[4], i, j;

	cpuid(1, 0, r);
	has_xsave = r[2] >> 26 & 1;
	has_avx = has_xsave && (r[2] >> 28 & 1);
	loops = param("n", 6000);
	period = param("us", 2000);
	for (i = 0; i < 64; i++) {
		/* 0.5 to 1, made of bits: the compiler may not use SSE here. */
		u64 bits = 0x3fe0000000000000ul | mix(i, 3) >> 12;

		memcpy(&seeds[i], &bits, 8);
	}
	irq_set(VEC_TIMER, tick);
	smp_run(run);
	for (i = 0; i < nr_cpus; i++) {
		for (j = 0; j < 4; j++)
			if (st[i].exact[j] != st[0].exact[j])
				fail("cpu %u: part %u differs", i, j);
		s = mix(s, st[i].sig);
		ticks += st[i].ticks;
	}
	for (j = 0; j < 4; j++)
		exact = mix(exact, st[0].exact[j]);
	result("fpu", "%016lx exact %016lx ticks %lu avx %u", s, exact, ticks,
	       has_avx);
}
