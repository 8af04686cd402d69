/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A recording in memory, to be changed and written again as a whole file: every
 * checksum is right, whatever its records say.  Errors end the program with status 2.
 */
#ifndef RECORDING_H
#define RECORDING_H

#include "smr_file.h"

#define MAX_STREAMS	(SMR_FILE_MAX_VCPUS + 1)

/* A record; its inputs one by one, or, if they were changed as bytes, as they are. */
struct entry {
	struct smr_record rec;
	struct smr_item *items;
	u32 nr_items;
	bool raw;		/* rec.data counts, not the items */
};

struct blob {
	char name[SMR_BLOB_NAME_MAX + 1];
	u8 *data;
	size_t len;
};

struct recording {
	struct smr_reader *reader;
	u32 nr_streams;		/* the last one is the VM's */
	struct entry *entries[MAX_STREAMS];
	u32 nr_entries[MAX_STREAMS];
	struct blob *blobs;
	u32 nr_blobs;
};

void recording_load(struct recording *r, const char *path);
void recording_save(struct recording *r, const char *path);

bool is_commit(const struct entry *e);
/* Can the stream be written? */
bool stream_is_sound(const struct recording *r, u32 stream);
/* Its inputs as bytes: @e->rec.data is memory of its own, of up to SMR_INPUT_MAX bytes. */
void make_raw(struct entry *e);

/* A part of a record that can be changed by name. */
struct field {
	const char *name;
	bool (*has)(const struct entry *e);
	u64 (*get)(const struct entry *e);
	void (*set)(struct entry *e, u64 v);
};

extern const struct field fields[];
extern const u32 nr_fields;

/* False, and nothing is changed, if no log could have the record with that value. */
bool set_field(struct recording *r, u32 stream, u32 i, const struct field *f, u64 v);

/* "vCPU 1, commit 203", valid until the next call */
const char *place(const struct recording *r, u32 stream, u32 i);

__attribute__((noreturn, format(printf, 1, 2)))
void die(const char *fmt, ...);
void *alloc(size_t n, size_t size);

#endif /* RECORDING_H */
