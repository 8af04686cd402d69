/* SPDX-License-Identifier: GPL-2.0 */
/* Inside the reader of recording files. */
#ifndef SMR_READER_H
#define SMR_READER_H

#include "smr_layout.h"

struct smr_reader {
	int fd;
	u64 size;
	u32 salt;
	u64 nr_segments;
	u64 room;
	u32 largest;		/* payload of a segment, at least 1 */
	u64 initial_end;	/* index of the segment, or U64_MAX */
	u64 trailer;		/* likewise */
	struct smr_segment *segment;
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

/* A piece of a blob, as a segment holds it. */
struct smr_piece {
	const char *name;	/* not terminated */
	size_t name_len;
	u64 total, offset;
	const u8 *data;
	u32 len;
};

/* @p: payload of segment @s. */
int smr_get_piece(const struct smr_reader *r, const struct smr_segment *s, const u8 *p,
		  struct smr_piece *b, struct smr_err *err);
int smr_ram_runs(const struct smr_reader *r, const struct smr_segment *s, const u8 *p,
		 smr_ram_fn fn, void *opaque, struct smr_err *err);

#endif /* SMR_READER_H */
