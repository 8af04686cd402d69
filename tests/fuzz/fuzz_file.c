// SPDX-License-Identifier: GPL-2.0
/*
 * Any bytes as a recording.  Checksums are made right first - they would stop
 * nearly every input at the door - by walking over what looks like segments.
 * What the reader says is replayable must then be readable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "smr_layout.h"

static int fd = -1;
static char path[32];

static void fix_segment(u8 *h, size_t left, u64 seqno, u64 *chain, u32 salt)
{
	u32 stored = (u32)get_le(h + S_STORED_LEN, 4);

	put_le(h + S_MAGIC, SEGMENT_MAGIC, 4);
	put_le(h + S_SEQNO, seqno, 8);
	put_le(h + S_SALT, salt, 4);
	put_le(h + S_CHAIN, *chain, 8);
	if (stored <= left)
		put_le(h + S_PAYLOAD_CRC, smr_crc32c(0, h + SMR_SEGMENT_HEADER_SIZE, stored), 4);
	put_le(h + S_CRC, smr_crc32c(0, h, S_CRC), 4);
	*chain = smr_segment_chain(*chain, h);
}

static void fix(u8 *p, size_t size)
{
	size_t pos = SMR_FILE_HEADER_SIZE;
	u64 chain, seqno = 0;

	if (size < pos)
		return;
	memcpy(p, FILE_MAGIC, FILE_MAGIC_LEN);
	put_le(p + H_MAJOR, SMR_FILE_MAJOR, 2);
	put_le(p + H_INCOMPAT, 0, 8);
	put_le(p + H_SIZE, SMR_FILE_HEADER_SIZE, 4);
	chain = smr_crc32c(0, p, H_CRC);
	put_le(p + H_CRC, chain, 4);
	while (size - pos >= SMR_SEGMENT_HEADER_SIZE) {
		size_t left = size - pos - SMR_SEGMENT_HEADER_SIZE;
		u32 stored = (u32)get_le(p + pos + S_STORED_LEN, 4);

		fix_segment(p + pos, left, seqno++, &chain, (u32)get_le(p + H_UUID, 4));
		if (stored > left)
			return;
		pos += SMR_SEGMENT_HEADER_SIZE + stored;
	}
}

static int count_bytes(void *opaque, u64 gpa, const void *data, u32 len)
{
	u64 *sum = opaque;

	*sum += gpa + smr_crc32c(0, data, len);
	return 0;
}

static void use_initial(struct smr_reader *r)
{
	char name[SMR_BLOB_NAME_MAX + 1];
	struct smr_err err;
	size_t len;
	void *data;
	u64 sum = 0;
	u32 i = 0;

	while (i < 8 && smr_reader_next_blob(r, &i, name, &len, &err) > 0) {
		if (!smr_reader_blob(r, name, &data, &len, &err))
			free(data);
	}
	smr_reader_ram(r, count_bytes, &sum, &err);
}

static void use_logs(struct smr_reader *r, u64 replayable)
{
	struct smr_record rec;
	struct smr_log *l;
	struct smr_err err;
	u64 found = 0;
	u32 s;

	for (s = 0; s <= smr_reader_info(r)->nr_vcpus; s++) {
		if (smr_log_open(&l, r, s, replayable, &err))
			abort();
		while (smr_log_next(l, &rec, NULL, NULL, &err) > 0)
			found += smr_is_commit(rec.type);
		smr_log_close(l);
	}
	if (found != replayable)
		abort();
}

static void open_memory(void)
{
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size)
{
	struct smr_extent x;
	struct smr_reader *r;
	struct smr_err err;
	u8 *copy;

	if (fd < 0)
		open_memory();
	copy = malloc(size + 1);
	if (!copy)
		abort();
	memcpy(copy, p, size);
	if (size && p[size - 1] & 1)
		fix(copy, size);
	if (ftruncate(fd, 0) || pwrite(fd, copy, size, 0) != (ssize_t)size)
		abort();
	free(copy);
	if (smr_reader_open(&r, path, &err))
		return 0;
	if (!smr_reader_extent(r, &x, &err) && x.initial)
		use_logs(r, x.replayable);
	use_initial(r);
	smr_reader_close(r);
	return 0;
}
