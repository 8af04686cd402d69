// SPDX-License-Identifier: GPL-2.0
/*
 * Runs in the simulated host: waits until tests/testbed/run asks for the results,
 * which it does by writing to the sector at ASK_OFFSET of the disk that takes them.
 * Nothing is cached; once in a simulated second costs next to nothing.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define ASK_OFFSET	(511 << 20)
#define SECTOR		512

int main(void)
{
	static char buf[SECTOR] __attribute__((aligned(SECTOR)));
	int disk = open("/dev/sda", O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (disk < 0) {
		perror("asked: /dev/sda");
		return 1;
	}
	while (pread(disk, buf, SECTOR, ASK_OFFSET) == SECTOR && !buf[0])
		sleep(1);
	return buf[0] ? 0 : 1;
}
