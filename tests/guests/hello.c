// SPDX-License-Identifier: GPL-2.0
/* The smallest guest: prints and ends. Does not use the other processors. */
#include "guest.h"

void guest_main(void)
{
	u64 sum = 0, i;

	for (i = 1; i <= param("n", 1000); i++)
		sum += i;
	print("hello, %u cpus, cmdline \"%s\"\n", nr_cpus, cmdline);
	result("hello", "%lu", sum);
}
