/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Recording files, byte by byte; shared by writer and reader only.  The tables
 * in Documentation/log-format.rst say the same in words.
 */
#ifndef SMR_LAYOUT_H
#define SMR_LAYOUT_H

#include "smr_file.h"

#define FILE_MAGIC		"SAMSARA"	/* eight bytes with the final zero */
#define FILE_MAGIC_LEN		8u
#define SEGMENT_MAGIC		0x4745534du	/* "MSEG" */
#define PAGE_BYTES		4096u

/* File header. */
enum {
	H_MAGIC		= 0,
	H_MAJOR		= 8,
	H_MINOR		= 10,
	H_SIZE		= 12,
	H_INCOMPAT	= 16,
	H_COMPAT	= 24,
	H_NR_VCPUS	= 32,
	H_UUID		= 40,
	H_CREATED	= 56,
	H_WRITER	= 64,
	H_HOST		= 192,
	H_CRC		= SMR_FILE_HEADER_SIZE - 4,
};

/* Segment header. */
enum {
	S_MAGIC		= 0,
	S_TYPE		= 4,
	S_FLAGS		= 5,
	S_STREAM	= 6,
	S_SEQNO		= 8,
	S_FIRST		= 16,
	S_LAST		= 24,
	S_RAW_LEN	= 32,
	S_STORED_LEN	= 36,
	S_PAYLOAD_CRC	= 40,
	S_TIME		= 44,
	S_CHAIN		= 48,
	S_SALT		= 56,
	S_CRC		= 60,
};

#define SEG_DEFLATE		0x01	/* payload is a raw deflate stream */
#define SEG_LZ4			0x02	/* payload is an LZ4 block */

/* Payload of BLOB: a header, the name, a piece of the data. */
enum {
	B_TOTAL		= 0,
	B_OFFSET	= 8,
	B_NAME_LEN	= 16,
	B_NAME		= 17,
};

/* Payload of RAM: runs, each a header and whole pages. */
enum {
	R_GPA		= 0,
	R_LEN		= 8,
	R_RESERVED	= 12,
	R_SIZE		= 16,
};

/* Payload of INITIAL_END. */
enum {
	I_NR_BLOBS	= 0,
	I_RAM_BYTES	= 8,
	I_SIZE		= 16,
};

/* Payload of TRAILER; then bytes and records of each stream, 8 bytes each. */
enum {
	T_COMMITS	= 0,
	T_DURATION	= 8,
	T_NR_STREAMS	= 16,
	T_RESERVED	= 20,
	T_SIZE		= 24,
	T_PER_STREAM	= 16,
};

static inline void put_le(u8 *p, u64 v, unsigned int bytes)
{
	unsigned int i;

	for (i = 0; i < bytes; i++)
		p[i] = (u8)(v >> (8 * i));
}

static inline u64 get_le(const u8 *p, unsigned int bytes)
{
	u64 v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

/* The digest chain: each segment's header holds that of all before it. */
u64 smr_segment_chain(u64 chain, const u8 header[SMR_SEGMENT_HEADER_SIZE]);

bool smr_blob_name_ok(const char *name, size_t len);
bool smr_type_fits_stream(u8 type, bool vm_stream);

/* Fills in @err (if any) and returns @code.  For SMR_FILE_EIO errno counts. */
__attribute__((format(printf, 5, 6)))
int smr_fail(struct smr_err *err, int code, const char *path, u64 offset, const char *fmt, ...);

#endif /* SMR_LAYOUT_H */
