/* SPDX-License-Identifier: GPL-2.0 */
/* Small programs with a race each. */
#ifndef RACES_H
#define RACES_H

#include <stdbool.h>

struct race {
	const char *name;
	bool (*fails)(void);	/* one trial: did it go wrong? */
};

/* What is wrong with them is that they do without atomics: the compiler must not mind. */
#define once(x)		(*(volatile __typeof__(x) *)&(x))

/*
 * Something to do between two steps.  A step ends with a branch: the simulated processor
 * takes no interrupt, and lets no other one run, within a straight piece of code.
 */
void work(int n);

/* A race without a name ends each. */
extern const struct race races[], rare_races[], crashes[];

#endif
