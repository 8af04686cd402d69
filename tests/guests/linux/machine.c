// SPDX-License-Identifier: GPL-2.0
/* What the init processes of the Linux guests share: the console, and the end. */
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include "machine.h"

#define DEBUG_EXIT	0xf4
#define EXIT_PASS	0x10
#define EXIT_FAIL	0x11

void end(int failed)
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

void say(const char *line)
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
