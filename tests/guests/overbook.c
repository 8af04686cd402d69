// SPDX-License-Identifier: GPL-2.0
/*
 * A program with a race, for whoever wants to find it with a debugger: processors book
 * seats, and once in a while two of them the same one.
 *
 * n=seats.
 */
#include "guest.h"

#define MAX_SEATS	65536

static u32 next_seat;
static u32 seats;
static bool full;
u32 seat_of[MAX_SEATS];		/* who has it, 1: the first processor */
u32 lost_seat;

/* Somebody else has the seat that @cpu has booked. */
__attribute__((noinline)) static void overbooked(u32 seat, u32 cpu)
{
	WRITE_ONCE(lost_seat, seat);
	print("seat %u: booked by processor %u, taken by %u\n", seat, cpu + 1,
	      READ_ONCE(seat_of[seat]));
	WRITE_ONCE(full, true);
}

__attribute__((noinline)) static u64 count(u64 x, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		x = mix(x, i);
	return x;
}

/* The bug: before the number is written another processor may see the same one. */
__attribute__((noinline)) static u32 find_seat(u32 cpu)
{
	u32 seat = READ_ONCE(next_seat);
	volatile u64 price = count(seat, 10 + cpu);

	(void)price;
	WRITE_ONCE(next_seat, seat + 1);
	return seat;
}

static void book(u32 cpu)
{
	volatile u64 paid;
	u32 seat;

	sync_cpus();
	while (!READ_ONCE(full)) {
		seat = find_seat(cpu);
		if (seat >= seats)
			break;
		WRITE_ONCE(seat_of[seat], cpu + 1);
		paid = count(seat, 40 + 10 * cpu);
		if (READ_ONCE(seat_of[seat]) != cpu + 1)
			overbooked(seat, cpu);
	}
	(void)paid;
}

void guest_main(void)
{
	seats = param("n", 20000);
	if (seats > MAX_SEATS)
		seats = MAX_SEATS;
	smp_run(book);
	result("overbook", "seat %u", lost_seat);
}
