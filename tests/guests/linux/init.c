// SPDX-License-Identifier: GPL-2.0
/*
 * /init of the Linux guest: runs the racing threads, prints what came of it, and
 * ends the machine through isa-debug-exit, or by a reboot if there is none.
 * "rounds=N" on the kernel's command line sets the amount of work.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include "work.h"

#define DEBUG_EXIT	0xf4
#define EXIT_PASS	0x10
#define EXIT_FAIL	0x11

static void end(int failed)
{
	fflush(stdout);
	/* The exit takes effect at once; the serial port is slow. */
	tcdrain(STDOUT_FILENO);
	sync();
	if (!ioperm(DEBUG_EXIT, 1, 1))
		outb(failed ? EXIT_FAIL : EXIT_PASS, DEBUG_EXIT);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

/* Lines are written whole: the console is shared with the kernel. */
static void say(const char *line)
{
	size_t n = strlen(line);

	while (n) {
		ssize_t done = write(1, line, n);

		if (done <= 0)
			return;
		line += done;
		n -= done;
	}
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
	end(work.errors != 0);
}
