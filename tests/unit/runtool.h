/* SPDX-License-Identifier: GPL-2.0 */
/* The command-line tool as a program, which environment SAMSARA names. */
#ifndef RUNTOOL_H
#define RUNTOOL_H

#include "gen.h"

/* What it has printed. */
extern char out[1 << 20];
/* A recording of 60 commits with its end. */
extern const struct gen_options whole;

/* Return its exit status. */
int run_tool(const char *arguments);
int run_on(const char *command, const char *file, const char *rest);

/* Fails the test if @text was not printed. */
void assert_says(const char *text);
u32 lines(void);
/* Lines with @what in them. */
u32 lines_with(const char *what);

#endif /* RUNTOOL_H */
