/* SPDX-License-Identifier: GPL-2.0 */
/* Inside the reader of recording files. */
#ifndef SMR_READER_H
#define SMR_READER_H

#include "smr_layout.h"

/* Segments in the order they are read in: those of a stream, of RAM, of blobs, of notes. */
struct smr_chain {
	u32 first, last;	/* SMR_NO_SEGMENT: none */
};

#define BLOB_CHAIN	(SMR_FILE_MAX_VCPUS + 1)
#define RAM_CHAIN	(SMR_FILE_MAX_VCPUS + 2)
#define NOTES_CHAIN	(SMR_FILE_MAX_VCPUS + 3)
#define NR_CHAINS	(SMR_FILE_MAX_VCPUS + 4)

/* What the first segments of all blobs say. */
struct smr_blob {
	char name[SMR_BLOB_NAME_MAX + 1];
	u32 first;		/* index of the segment */
	u32 total;		/* bytes of the blob */
	u32 have;		/* bytes of its pieces */
};

struct smr_reader {
	int fd;
	u64 size;
	u32 salt;
	u32 nr_segments;
	u32 room;
	u32 largest;		/* payload of a segment, at least 1 */
	u64 initial_end;	/* index of the segment, or U64_MAX */
	u64 trailer;		/* likewise */
	struct smr_segment *segment;
	struct smr_chain chain[NR_CHAINS];
	struct smr_blob *blob;
	u32 nr_blobs;
	struct smr_err blob_damage;	/* why there may be more blobs, code 0: there aren't */
	struct smr_file_info info;
	struct smr_totals totals;
	struct smr_err damage;
	char *path;
};

#define ULL(x)	((unsigned long long)(x))

/* "segment 12 at offset 81920: <what>" */
#define seg_fail(r, s, err, code, what, ...)						\
	smr_fail(err, code, (r)->path, (s)->offset, "segment %llu at offset %llu: " what,	\
		 ULL((s)->seqno), ULL((s)->offset), ##__VA_ARGS__)
#define damaged(r, s, err, ...)	seg_fail(r, s, err, SMR_FILE_EDAMAGED, __VA_ARGS__)

static inline bool smr_is_damage(int code)
{
	return code == SMR_FILE_EDAMAGED || code == SMR_FILE_ERECORD;
}

/* Fills in what @ref names: @rec becomes a DMA with @data. */
int smr_images_fill(const struct smr_images *images, const struct smr_record *ref,
		    u8 data[SMR_DMA_MAX], struct smr_record *rec, struct smr_err *err);

/* Reads every blob's segments once.  Damage among them goes to r->blob_damage. */
int smr_index_blobs(struct smr_reader *r, struct smr_err *err);
/* @p: payload of segment @s. */
int smr_ram_runs(const struct smr_reader *r, const struct smr_segment *s, const u8 *p,
		 smr_ram_fn fn, void *opaque, struct smr_err *err);

#endif /* SMR_READER_H */
