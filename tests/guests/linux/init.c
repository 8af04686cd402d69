// SPDX-License-Identifier: GPL-2.0
/*
 * /init of the Linux guest, or a program of another: runs the racing threads, prints what
 * came of it, and ends the machine.  "rounds=N" on the kernel's command line sets the
 * amount of work.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "machine.h"
#include "work.h"

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
	/* Run by a script, which goes on. */
	if (getpid() != 1)
		return work.errors != 0;
	end(work.errors != 0);
}
