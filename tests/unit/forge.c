// SPDX-License-Identifier: GPL-2.0
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "forge.h"

#define ROOM	(8u << 20)

struct bytes slurp(const char *name)
{
	struct bytes b = { 0 };
	struct stat st;
	int fd = open(name, O_RDONLY);

	assert_true(fd >= 0 && !fstat(fd, &st));
	b.len = (size_t)st.st_size;
	b.p = malloc(b.len + 1);
	assert_non_null(b.p);
	assert_int_equal(read(fd, b.p, b.len), b.len);
	close(fd);
	return b;
}

void spit(const char *name, const u8 *p, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), len);
	close(fd);
}

struct bytes forge_file(void)
{
	struct bytes b = { calloc(1, ROOM), SMR_FILE_HEADER_SIZE };

	assert_non_null(b.p);
	memcpy(b.p + H_MAGIC, FILE_MAGIC, FILE_MAGIC_LEN);
	put_le(b.p + H_MAJOR, SMR_FILE_MAJOR, 2);
	put_le(b.p + H_SIZE, SMR_FILE_HEADER_SIZE, 4);
	put_le(b.p + H_NR_VCPUS, 1, 4);
	return b;
}

void forge_segment(struct bytes *b, u8 type, u16 stream, const void *payload, u32 len)
{
	u8 *h = b->p + b->len;

	assert_true(b->len + SMR_SEGMENT_HEADER_SIZE + len <= ROOM);
	memset(h, 0, SMR_SEGMENT_HEADER_SIZE);
	put_le(h + S_MAGIC, SEGMENT_MAGIC, 4);
	h[S_TYPE] = type;
	put_le(h + S_STREAM, stream, 2);
	put_le(h + S_RAW_LEN, len, 4);
	put_le(h + S_STORED_LEN, len, 4);
	memcpy(h + SMR_SEGMENT_HEADER_SIZE, payload, len);
	b->len += SMR_SEGMENT_HEADER_SIZE + len;
}

void forge_blob(struct bytes *b, const char *name, u64 total, u64 offset, const void *data,
		u32 len)
{
	u32 name_len = (u32)strlen(name);
	u8 payload[4096];

	assert_true(B_NAME + name_len + len <= sizeof(payload));
	put_le(payload + B_TOTAL, total, 8);
	put_le(payload + B_OFFSET, offset, 8);
	payload[B_NAME_LEN] = (u8)name_len;
	memcpy(payload + B_NAME, name, name_len);
	if (len)
		memcpy(payload + B_NAME + name_len, data, len);
	forge_segment(b, SMR_SEG_BLOB, 0, payload, B_NAME + name_len + len);
}

void forge_initial_end(struct bytes *b, u64 nr_blobs)
{
	u8 payload[I_SIZE] = { 0 };

	put_le(payload + I_NR_BLOBS, nr_blobs, 8);
	forge_segment(b, SMR_SEG_INITIAL_END, 0, payload, sizeof(payload));
}

void forge_seal(struct bytes *b)
{
	u64 chain = smr_crc32c(0, b->p, H_CRC), n;
	size_t pos = SMR_FILE_HEADER_SIZE;
	u32 stored;
	u8 *h;

	put_le(b->p + H_CRC, chain, 4);
	for (n = 0; pos < b->len; n++) {
		h = b->p + pos;
		stored = (u32)get_le(h + S_STORED_LEN, 4);
		put_le(h + S_SEQNO, n, 8);
		put_le(h + S_SALT, get_le(b->p + H_UUID, 4), 4);
		put_le(h + S_PAYLOAD_CRC, smr_crc32c(0, h + SMR_SEGMENT_HEADER_SIZE, stored), 4);
		put_le(h + S_CHAIN, chain, 8);
		put_le(h + S_CRC, smr_crc32c(0, h, S_CRC), 4);
		chain = smr_segment_chain(chain, h);
		pos += SMR_SEGMENT_HEADER_SIZE + stored;
	}
}

void forge_change(struct bytes *b, u64 i, u32 at, u8 xor)
{
	u8 *h = b->p + SMR_FILE_HEADER_SIZE;
	u32 stored;

	while (i--)
		h += SMR_SEGMENT_HEADER_SIZE + get_le(h + S_STORED_LEN, 4);
	stored = (u32)get_le(h + S_STORED_LEN, 4);
	if (at < SMR_SEGMENT_HEADER_SIZE)
		h[at] ^= xor;
	else
		h[SMR_SEGMENT_HEADER_SIZE + (at - SMR_SEGMENT_HEADER_SIZE) % stored] ^= xor;
	forge_seal(b);
}
