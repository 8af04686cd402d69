// SPDX-License-Identifier: GPL-2.0
/*
 * /init of the Linux guest, or a program of another: runs the racing threads, prints what
 * came of it and how long the kernel has been up, and ends the machine.  "rounds=N" on the
 * kernel's command line sets the amount of work.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"
#include "work.h"

/* Hundredths, as in /proc/uptime. */
static void say_uptime(void)
{
	struct timespec up;
	char line[40];

	clock_gettime(CLOCK_BOOTTIME, &up);
	snprintf(line, sizeof(line), "UP %ld.%02ld s\n", (long)up.tv_sec,
		 up.tv_nsec / 10000000);
	say(line);
}

int main(void)
{
	const char *env = getenv("rounds");
	struct work work = { .rounds = env ? strtoul(env, NULL, 0) : 5 };
	char line[160];
	cpu_set_t set;

	mount("proc", "/proc", "proc", 0, NULL);
	sched_getaffinity(0, sizeof(set), &set);
	work.nr_cpus = CPU_COUNT(&set);
	work_run(&work);
	snprintf(line, sizeof(line),
		 "RESULT linux %016" PRIx64 " cpus %d threads %d errors %d%s\n",
		 work.signature, work.nr_cpus, work.nr_threads, work.errors,
		 work.errors ? " failed" : "");
	say(line);
	say_uptime();
	/* Run by a script, which goes on. */
	if (getpid() != 1)
		return work.errors != 0;
	end(work.errors != 0);
}
