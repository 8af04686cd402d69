// SPDX-License-Identifier: GPL-2.0
/*
 * /init of the guest that races: so many trials (trials=N on the kernel's command line,
 * default 10) of each program of races.c, or so many of each of rare.c (rare=N), or of one
 * of them (race=NAME).  "RACE name n of m went wrong" says how often.  With crash=N those of
 * crash.c are run, which end it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "races.h"

int main(void)
{
	const char *rare = getenv("rare"), *crash = getenv("crash"), *only = getenv("race");
	const char *env = crash ?: rare ?: getenv("trials");
	int trials = env ? atoi(env) : 10;
	const struct race *race;
	int i, failed, all = 0, nr = 0;
	char line[80];

	for (race = crash ? crashes : rare ? rare_races : races; race->name; race++) {
		if (only && strcmp(only, race->name))
			continue;
		failed = 0;
		for (i = 0; i < trials; i++)
			failed += race->fails();
		snprintf(line, sizeof(line), "RACE %s %d of %d%s\n", race->name, failed, trials,
			 failed ? " went wrong" : "");
		say(line);
		all += failed;
		nr += trials;
	}
	snprintf(line, sizeof(line), "RESULT races %d of %d failed\n", all, nr);
	say(line);
	end(0);
}
