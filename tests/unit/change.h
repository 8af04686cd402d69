/* SPDX-License-Identifier: GPL-2.0 */
/* Recordings that are like another one but for something. */
#ifndef CHANGE_H
#define CHANGE_H

#include "smr_file.h"

/* Changes a record of the copy. */
typedef void (*change_fn)(struct smr_record *rec, u64 n);

/*
 * Copies path to path2: @change, if any, sees every record, and @n; @machine, if any, takes
 * the place of that blob.
 */
void copy_changed(change_fn change, u64 n, const char *machine);

#endif /* CHANGE_H */
