// SPDX-License-Identifier: GPL-2.0
/*
 * Runs in the simulated host: prints what its processors have counted since they
 * started, "insns=N" (retired in guests) and "exit_R=N" (VM exits with basic reason R),
 * on one line.  The MSRs are the simulator's own (bochs/0014-count-vm-exits.patch).
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define MSR_VMX_COUNTS		0x40000000
#define MSR_VMX_GUEST_INSNS	0x400000ff
#define REASONS			80

int main(void)
{
	uint64_t insns = 0, exits[REASONS] = { 0 }, n;
	char name[32];
	int cpu, r, msr;

	for (cpu = 0; ; cpu++) {
		snprintf(name, sizeof(name), "/dev/cpu/%d/msr", cpu);
		msr = open(name, O_RDONLY | O_CLOEXEC);
		if (msr < 0)
			break;
		if (pread(msr, &n, sizeof(n), MSR_VMX_GUEST_INSNS) != sizeof(n)) {
			perror(name);
			return 1;
		}
		insns += n;
		for (r = 0; r < REASONS; r++)
			if (pread(msr, &n, sizeof(n), MSR_VMX_COUNTS + r) == sizeof(n))
				exits[r] += n;
		close(msr);
	}
	printf("insns=%lu", insns);
	for (r = 0; r < REASONS; r++)
		if (exits[r])
			printf(" exit_%d=%lu", r, exits[r]);
	putchar('\n');
	return cpu ? 0 : 1;
}
