// SPDX-License-Identifier: GPL-2.0
/*
 * A ticket lock fought over by all processors. The counter it protects is plain,
 * so lost exclusion shows as a wrong sum; the signature is the order of owners.
 */
#include "guest.h"

static struct {
	u32 next;
	u32 owner;
} lock __aligned(CACHE_LINE);

static u64 counter __aligned(CACHE_LINE);
static u64 order;
static u32 last_owner;
static u64 handovers;
static u64 rounds;

static void acquire(void)
{
	u32 mine = xadd32(&lock.next, 1);

	while (READ_ONCE(lock.owner) != mine)
		cpu_relax();
	barrier();
}

static void release(void)
{
	barrier();
	WRITE_ONCE(lock.owner, lock.owner + 1);
}

static void contend(u32 cpu)
{
	u64 i, work;

	sync_cpus();
	for (i = 0; i < rounds; i++) {
		acquire();
		counter++;
		order = mix(order, cpu);
		handovers += last_owner != cpu;
		last_owner = cpu;
		release();
		for (work = i * (cpu + 3) % 61; work; work--)
			barrier();
	}
}

void guest_main(void)
{
	rounds = param("n", 6000);
	smp_run(contend);
	if (counter != rounds * nr_cpus)
		fail("counter %lu, not %lu", counter, rounds * nr_cpus);
	if (lock.next != counter || lock.owner != counter)
		fail("tickets %u %u", lock.next, lock.owner);
	result("ticketlock", "%016lx sum %lu handovers %lu", order, counter,
	       handovers);
}
