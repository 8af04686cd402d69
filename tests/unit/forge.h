/* SPDX-License-Identifier: GPL-2.0 */
/* Recordings made or changed byte by byte, with right checksums: what an attacker can do. */
#ifndef FORGE_H
#define FORGE_H

#include "smr_layout.h"

struct bytes {
	u8 *p;
	size_t len;
};

struct bytes slurp(const char *name);
void spit(const char *name, const u8 *p, size_t len);

/* A file header with one vCPU; segments can follow. */
struct bytes forge_file(void);
/* A segment that is stored as it is; @stream: STREAM only. */
void forge_segment(struct bytes *b, u8 type, u16 stream, const void *payload, u32 len);
/* A BLOB segment: @total bytes in all, those at @offset in it. */
void forge_blob(struct bytes *b, const char *name, u64 total, u64 offset, const void *data,
		u32 len);
void forge_initial_end(struct bytes *b, u64 nr_blobs);
/* Makes every checksum, sequence number and the digest chain right. */
void forge_seal(struct bytes *b);

/*
 * Changes one byte of the header or stored payload of segment @i and makes all
 * checksums right again.
 */
void forge_change(struct bytes *b, u64 i, u32 at, u8 xor);

#endif /* FORGE_H */
