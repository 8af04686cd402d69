// SPDX-License-Identifier: GPL-2.0
/*
 * Time-stamp reads: RDTSC, RDTSCP and the MSR. Every value goes into the
 * signature; time must not run backwards on a processor.
 */
#include "guest.h"

static struct {
	u64 v;
} __aligned(CACHE_LINE) sig[MAX_CPUS];
static u64 rounds;

static u64 forward(u32 cpu, const char *what, u64 last, u64 now)
{
	if (now < last)
		fail("cpu %u: %s went back %lu", cpu, what, last - now);
	return now;
}

static void run(u32 cpu)
{
	u64 last = 0, s = cpu, i;
	u32 aux;

	wrmsr(MSR_TSC_AUX, 0x100 + cpu);
	sync_cpus();
	for (i = 0; i < rounds; i++) {
		last = forward(cpu, "rdtsc", last, rdtsc());
		s = mix(s, last);
		last = forward(cpu, "rdtscp", last, rdtscp(&aux));
		s = mix(s, last);
		if (aux != 0x100 + cpu)
			fail("cpu %u: aux %x", cpu, aux);
		if (i % 8)
			continue;
		last = forward(cpu, "msr", last, rdmsr(MSR_TSC));
		s = mix(s, last);
	}
	/* Twelve reads without a branch between them. */
	for (i = 0; i < 12; i++) {
		asm volatile("rdtsc; rdtsc; rdtsc; rdtsc; rdtsc; rdtsc\n\t"
			     "movl %%eax, %%ecx\n\t"
			     "rdtsc; rdtsc; rdtsc; rdtsc; rdtsc; rdtsc\n\t"
			     "subl %%ecx, %%eax"
			     : "=a"(last) :: "rcx", "rdx", "cc");
		s = mix(s, last);
	}
	sig[cpu].v = s;
}

void guest_main(void)
{
	u64 s = 0;
	u32 i;

	rounds = param("n", 1200);
	smp_run(run);
	for (i = 0; i < nr_cpus; i++)
		s = mix(s, sig[i].v);
	result("tsc", "%016lx", s);
}
