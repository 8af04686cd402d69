// SPDX-License-Identifier: GPL-2.0
/* How far a long work is, for somebody who sits before a terminal. */
#include <time.h>
#include <unistd.h>

#include "samsara.h"

/* In nanoseconds: work that takes less says nothing; and how often it says more. */
#define FIRST		1000000000u
#define AGAIN		200000000u

static u64 next;	/* when to say more, 0: nothing has begun */
static bool shown;

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

void progress(u64 done, u64 total)
{
	u64 now;

	if (!total || !isatty(STDERR_FILENO))
		return;
	now = now_ns();
	if (!next)
		next = now + FIRST;
	if (now < next)
		return;
	next = now + AGAIN;
	shown = true;
	fprintf(stderr, "\r%3.0f %% ", 100 * (double)(done < total ? done : total) / (double)total);
}

void progress_end(void)
{
	if (shown)
		fprintf(stderr, "\r      \r");
	shown = false;
	next = 0;
}
