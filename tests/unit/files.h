/* SPDX-License-Identifier: GPL-2.0 */
/* The recording files of a test program. */
#ifndef FILES_H
#define FILES_H

#include "gen.h"

/* A directory for them, and two of them; the directory goes with what is in it. */
extern char files_dir[];
extern char path[64], path2[64];

int files_set_up(void **state);
int files_tear_down(void **state);

/* All fail the test if they can't. */
void generate(const struct gen_options *o);		/* to path */
struct smr_extent extent_of(const char *name);
struct smr_writer *create(const char *name);

/* What opening it says; 0: it can be opened. */
int open_error(const char *name, struct smr_err *err);

/* For smr_reader_ram(): it returns 42. */
int stop_at_once(void *opaque, u64 gpa, const void *data, u32 len);

#endif /* FILES_H */
