/* SPDX-License-Identifier: GPL-2.0 */
/* Recordings and records made up for tests; the same seed gives the same ones. */
#ifndef GEN_H
#define GEN_H

#include "smr_file.h"

struct rng {
	u64 state;
};

u64 rng_next(struct rng *r);
u64 rng_below(struct rng *r, u64 n);
u64 rng_spread(struct rng *r);		/* short and long numbers alike */

/* A valid record of this type with commit number @n; data go to @data. */
void gen_record(struct rng *r, u8 type, u64 n, u8 data[SMR_INPUT_MAX], struct smr_record *rec);
/* Input items, as a chunk would have them. */
u32 gen_inputs(struct rng *r, u64 *tsc, u8 *data, u32 size);

struct gen_options {
	u32 nr_vcpus;
	u64 commits;
	u64 flush_every;	/* commits per flush, 0: only at the end */
	int compress;
	u64 seed;
	u32 ram_pages;
	u32 blobs, blob_len;	/* more blobs, of the letter x */
	const char *writer, *host;	/* NULL: some names */
	u64 skip;		/* commit to leave out */
	u64 twice;		/* commit to give out twice */
	bool no_ends;		/* as if the recorder had been killed ... */
	bool no_trailer;	/* ... or not closed the file */
	bool bad_inputs;	/* data of the last chunk are no inputs */
	u64 bad_event;		/* commit of a vCPU that gets an event of no type */
	u64 commit_ns;		/* time that each commit takes; 0: whatever it does */
	u64 note_every;		/* commits per note of a console, 0: none */
	u32 hot_spots;		/* see gen_hot() */
	const char *image;	/* every other write of a device is of what is there ... */
	const char *images;	/* ... in another blob "images" than that says */
};

struct kvm_samsara_hot_spot;

/* Hot spot @i of a recording: on 50 pages, at 7 instructions. */
void gen_hot(u32 i, struct kvm_samsara_hot_spot *spot);

/* Writes a recording; returns what the writer returned. */
int gen_recording(const char *path, const struct gen_options *o, struct smr_err *err);

#endif /* GEN_H */
