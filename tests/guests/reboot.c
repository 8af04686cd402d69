// SPDX-License-Identifier: GPL-2.0
/*
 * All processors race, and then the machine is reset, again and again.  What was
 * before is known by a page of memory that neither the firmware nor the loader
 * uses; each boot goes on from the signature of the last.
 *
 * reboots=N, n=iterations per processor; ways=1: by a triple fault only, 2: by
 * the keyboard controller, too, 3: and by port 0xcf9.
 */
#include "guest.h"

#define MAGIC	0x5eed0fb007ed0000ul
#define KEPT	((struct kept *)0x1800000)

struct kept {
	u64 magic, boots, sig;
};

static u64 shared[512] __aligned(PAGE_SIZE);
static u64 iterations;

static void race(u32 cpu)
{
	u64 x = mix(KEPT->sig, cpu + 1), i;

	sync_cpus();
	for (i = 0; i < iterations; i++) {
		x = mix(x, READ_ONCE(shared[x % 512]));
		WRITE_ONCE(shared[x >> 20 & 511], x);
	}
}

static void triple_fault(void)
{
	const struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = { 0, 0 };

	asm volatile("lidt %0; int3" : : "m"(none));
}

static void reset(u64 way)
{
	if (way == 1)
		outb(0x64, 0xfe);
	else if (way == 2)
		outb(0xcf9, 0x06);
	else
		triple_fault();
	for (;;)
		asm volatile("hlt");
}

void guest_main(void)
{
	u32 i;

	if (KEPT->magic != MAGIC)
		*KEPT = (struct kept) { .magic = MAGIC };
	iterations = param("n", 20000);
	smp_run(race);
	for (i = 0; i < 512; i++)
		KEPT->sig = mix(KEPT->sig, shared[i]);
	print("boot %lu: %016lx\n", KEPT->boots, KEPT->sig);
	if (KEPT->boots++ < param("reboots", 2))
		reset(KEPT->boots % param("ways", 1));
	result("reboot", "%016lx after %lu boots", KEPT->sig, KEPT->boots);
}
