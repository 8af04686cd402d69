// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a compute kernel bare-metal, a thread on each processor; size=N scales it.
 * Prints "RESULT NAME SIGNATURE cycles=N".  The TSC is the host's: the time it
 * gives is real, recorded or not.
 */
#include "guest.h"
#include "kernels/bench.h"

void bench_barrier(void)
{
	sync_cpus();
}

static void run(u32 cpu)
{
	bench_kernel.run(cpu, nr_cpus);
}

void guest_main(void)
{
	u64 start, took, sig = 0;

	bench_kernel.setup(nr_cpus, param("size", 0));
	start = rdtsc();
	smp_run(run);
	took = rdtsc() - start;
	if (!bench_kernel.check(&sig))
		fail("%s: the result is wrong", bench_kernel.name);
	result(bench_kernel.name, "%016lx cycles=%lu", sig, took);
}
