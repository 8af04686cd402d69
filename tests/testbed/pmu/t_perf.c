// SPDX-License-Identifier: GPL-2.0
/*
 * Counting and overflow in user and kernel mode, without a guest.
 *
 *	t_perf [MAX-LATENESS]
 */
#include "pe.h"

/* exactly two conditional branches an iteration, one of them never taken */
static void __attribute__((noinline)) loop(uint64_t n)
{
	asm volatile("1:	test %0, %0\n"
		     "	jz 2f\n"
		     "	dec %0\n"
		     "	jnz 1b\n"
		     "2:\n" : "+r"(n) : : "cc");
}

/* the counts of one enabled stretch: counter fds[0] leads the group */
static void measure(int *fds, int n, uint64_t iterations, uint64_t *count)
{
	ioctl(fds[0], PERF_EVENT_IOC_RESET, PERF_IOC_FLAG_GROUP);
	pe_enable(fds[0]);
	loop(iterations);
	pe_disable(fds[0]);
	for (int i = 0; i < n; i++)
		count[i] = pe_read(fds[i]);
}

static void test_exact(void)
{
	int fds[] = { pe_open(EV_COND, EXCL_KERNEL, 0, -1), 0, 0, 0 };
	uint64_t base[4], c[4];
	int wrong_cond = 0, wrong_sum = 0;
	uint64_t extra = 0;

	fds[1] = pe_open(EV_COND, EXCL_USER, 0, fds[0]);
	fds[2] = pe_open(EV_COND, 0, 0, fds[0]);
	fds[3] = pe_open(EV_INSTRUCTIONS, EXCL_KERNEL, 0, fds[0]);
	measure(fds, 4, 1, base);
	measure(fds, 4, 1, base);
	for (int i = 1; i <= 8; i++) {
		uint64_t n = 300001 * i;

		measure(fds, 4, n, c);
		if (c[0] - base[0] != 2 * (n - 1))
			wrong_cond++;
		/* perf starts them one after another: a constant apart */
		if (c[0] + c[1] - c[2] != base[0] + base[1] - base[2])
			wrong_sum++;
		extra += c[3] - base[3] - 4 * (n - 1);
	}
	check(!wrong_cond, "pmu-user-conditional-branches", "%d of 8 wrong", wrong_cond);
	/* ... but for an interrupt between two of them */
	check(wrong_sum <= 2, "pmu-user-plus-kernel", "%d of 8 wrong", wrong_sum);
	check(c[1] > 0 && c[1] < c[0] / 10, "pmu-kernel-conditional-branches",
	      "%lu in the kernel, %lu in user mode", c[1], c[0]);
	/* as on silicon, one more for each return from an interrupt */
	check(extra < 2000, "pmu-user-instructions", "%lu more than executed", extra);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

/* one taken branch an iteration but the last; interrupts have none */
static void test_near_taken(void)
{
	int fd = pe_open(EV_NEAR_TAKEN, EXCL_KERNEL, 0, -1), wrong = 0;
	uint64_t base, c;

	measure(&fd, 1, 1, &base);
	measure(&fd, 1, 1, &base);
	for (int i = 1; i <= 8; i++) {
		uint64_t n = 300001 * i;

		measure(&fd, 1, n, &c);
		wrong += c - base != n - 1;
	}
	check(!wrong, "pmu-near-branches-taken", "%d of 8 wrong", wrong);
	close(fd);
}

static void test_overflow(const char *name, uint64_t event, int per_iteration,
			  uint64_t period, int max_late)
{
	int fd = pe_open(event, EXCL_KERNEL, period, -1);
	void *ring = ring_map(fd);
	uint64_t iterations = 300000;
	long switches = context_switches();
	struct timing t;

	pe_enable(fd);
	loop(iterations);
	pe_disable(fd);
	t = ring_check(ring, period, max_late);
	check_timing(&t, iterations * per_iteration / period, max_late,
		     context_switches() - switches, name);
	close(fd);
}

int main(int argc, char **argv)
{
	int max_late = argc > 1 ? atoi(argv[1]) : 0;

	pin_to(0);
	test_exact();
	test_near_taken();
	test_overflow("pmu-overflow-conditional-branches", EV_COND, 2, 10007, max_late);
	/* the return from the interrupt counts as an instruction and a branch */
	test_overflow("pmu-overflow-all-branches", EV_BRANCHES, 2, 10007, max_late + 1);
	test_overflow("pmu-overflow-near-taken", EV_NEAR_TAKEN, 1, 10007, max_late);
	test_overflow("pmu-overflow-instructions", EV_INSTRUCTIONS, 4, 20011, max_late + 1);
	return failures != 0;
}
