/* SPDX-License-Identifier: GPL-2.0 */
/* Small programs with a race each. */
#ifndef RACES_H
#define RACES_H

#include <stdbool.h>

struct race {
	const char *name;
	bool (*fails)(void);	/* one trial: did it go wrong? */
};

/* A race without a name ends it. */
extern const struct race races[];

#endif
