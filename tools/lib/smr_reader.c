// SPDX-License-Identifier: GPL-2.0
/*
 * Reading recording files.  Nothing in a file is trusted: lengths are bounded
 * before they are used, and what doesn't fit is reported with its offset.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "smr_reader.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "smr_compress.h"

/* Returns 1; 0 if the file ends before; -1 with errno. */
static int read_all(int fd, void *buf, size_t len, u64 pos)
{
	u8 *p = buf;
	ssize_t n;

	while (len) {
		n = pread(fd, p, len, (off_t)pos);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -1 : 0;
		p += n;
		pos += (u64)n;
		len -= (size_t)n;
	}
	return 1;
}

static void get_text(char *to, size_t size, const u8 *from)
{
	size_t i;

	for (i = 0; i + 1 < size && from[i]; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? (char)from[i] : '?';
	to[i] = 0;
}

static int check_version(struct smr_reader *r, const u8 *h, struct smr_err *err)
{
	struct smr_file_info *info = &r->info;

	info->major = (u16)get_le(h + H_MAJOR, 2);
	info->minor = (u16)get_le(h + H_MINOR, 2);
	if (info->major != SMR_FILE_MAJOR && info->major)
		return smr_fail(err, SMR_FILE_EVERSION, r->path, H_MAJOR,
				"written by %s version (format %u.%u; "
				"this program reads %u.x)",
				info->major > SMR_FILE_MAJOR ? "a newer" : "an older",
				info->major, info->minor, SMR_FILE_MAJOR);
	if (smr_crc32c(0, h, H_CRC) != get_le(h + H_CRC, 4))
		return smr_fail(err, SMR_FILE_EHEADER, r->path, H_CRC,
				"file header at offset 0: checksum differs");
	info->incompat = get_le(h + H_INCOMPAT, 8);
	info->compat = get_le(h + H_COMPAT, 8);
	if (info->incompat & ~SMR_FILE_INCOMPAT)
		return smr_fail(err, SMR_FILE_EFEATURE, r->path, H_INCOMPAT,
				"uses features unknown to this program (bits 0x%llx)",
				ULL(info->incompat & ~SMR_FILE_INCOMPAT));
	return 0;
}

static int read_header(struct smr_reader *r, struct smr_err *err)
{
	struct smr_file_info *info = &r->info;
	u8 h[SMR_FILE_HEADER_SIZE] = { 0 };
	size_t len = r->size < sizeof(h) ? r->size : sizeof(h);
	int ret;

	if (read_all(r->fd, h, len, 0) <= 0 && len)
		return smr_fail(err, SMR_FILE_EIO, r->path, 0, "can't read");
	if (len < FILE_MAGIC_LEN || memcmp(h, FILE_MAGIC, FILE_MAGIC_LEN))
		return smr_fail(err, SMR_FILE_ENOTREC, r->path, 0, "not a recording");
	if (len < sizeof(h))
		return smr_fail(err, SMR_FILE_EHEADER, r->path, len,
				"file header is cut at offset %zu", len);
	ret = check_version(r, h, err);
	if (ret)
		return ret;
	info->nr_vcpus = (u32)get_le(h + H_NR_VCPUS, 4);
	if (info->major < 1 || get_le(h + H_SIZE, 4) != SMR_FILE_HEADER_SIZE ||
	    !info->nr_vcpus || info->nr_vcpus > SMR_FILE_MAX_VCPUS)
		return smr_fail(err, SMR_FILE_EHEADER, r->path, H_NR_VCPUS,
				"file header at offset 0: impossible values");
	memcpy(info->uuid, h + H_UUID, sizeof(info->uuid));
	info->created = get_le(h + H_CREATED, 8);
	get_text(info->writer, sizeof(info->writer), h + H_WRITER);
	get_text(info->host, sizeof(info->host), h + H_HOST);
	r->salt = (u32)get_le(info->uuid, 4);
	return 0;
}

static const char *phase_mistake(const struct smr_reader *r, const struct smr_segment *s)
{
	if (r->trailer != U64_MAX)
		return "follows the trailer";
	if (s->type >= SMR_SEG_SKIPPABLE)
		return NULL;
	switch (s->type) {
	case SMR_SEG_BLOB:
	case SMR_SEG_RAM:
	case SMR_SEG_INITIAL_END:
		return r->initial_end == U64_MAX ? NULL : "initial state after its end";
	case SMR_SEG_STREAM:
	case SMR_SEG_TRAILER:
		return r->initial_end != U64_MAX ? NULL : "log before the end of the initial state";
	}
	return "of unknown type";
}

static bool flags_known(const struct smr_reader *r, u8 flags)
{
	return !flags || flags == SEG_DEFLATE ||
	       (flags == SEG_LZ4 && (r->info.incompat & SMR_FILE_LZ4));
}

static const char *header_mistake(const struct smr_reader *r, const u8 *h,
				  const struct smr_segment *s, u64 chain)
{
	if (get_le(h + S_MAGIC, 4) != SEGMENT_MAGIC)
		return "no segment header";
	if (smr_crc32c(0, h, S_CRC) != get_le(h + S_CRC, 4))
		return "header checksum differs";
	if (get_le(h + S_SALT, 4) != r->salt)
		return "belongs to another recording";
	if (get_le(h + S_SEQNO, 8) != s->seqno)
		return "sequence number differs";
	if (get_le(h + S_CHAIN, 8) != chain)
		return "digest of the segments before it differs";
	if (s->raw_len > SMR_SEGMENT_MAX || !s->raw_len || s->stored_len > s->raw_len ||
	    !flags_known(r, s->flags) || (!s->flags && s->stored_len != s->raw_len) ||
	    s->first > s->last || !s->first != !s->last)
		return "impossible values in its header";
	if (s->type == SMR_SEG_STREAM ? s->stream > r->info.nr_vcpus : s->stream)
		return "stream number out of range";
	return phase_mistake(r, s);
}

static void get_segment(struct smr_segment *s, const u8 *h)
{
	s->type = h[S_TYPE];
	s->flags = h[S_FLAGS];
	s->stream = (u16)get_le(h + S_STREAM, 2);
	s->first = get_le(h + S_FIRST, 8);
	s->last = get_le(h + S_LAST, 8);
	s->raw_len = (u32)get_le(h + S_RAW_LEN, 4);
	s->stored_len = (u32)get_le(h + S_STORED_LEN, 4);
	s->crc = (u32)get_le(h + S_PAYLOAD_CRC, 4);
	s->time_ms = (u32)get_le(h + S_TIME, 4);
}

/* Segments that are read one after the other know each other. */
static void link_segment(struct smr_reader *r, u32 i)
{
	const struct smr_segment *s = &r->segment[i];
	struct smr_chain *c;

	if (s->type == SMR_SEG_STREAM)
		c = &r->chain[s->stream];
	else if (s->type == SMR_SEG_BLOB)
		c = &r->chain[BLOB_CHAIN];
	else if (s->type == SMR_SEG_RAM)
		c = &r->chain[RAM_CHAIN];
	else if (s->type == SMR_SEG_NOTES)
		c = &r->chain[NOTES_CHAIN];
	else
		return;
	if (c->first == SMR_NO_SEGMENT)
		c->first = i;
	else
		r->segment[c->last].next = i;
	c->last = i;
}

static int add_segment(struct smr_reader *r, const struct smr_segment *s, struct smr_err *err)
{
	u32 room = r->room ? 2 * r->room : 64;
	struct smr_segment *more;

	if (r->nr_segments == r->room) {
		more = reallocarray(r->segment, room, sizeof(*more));
		if (!more)
			return smr_fail(err, SMR_FILE_EMEM, r->path, s->offset, "out of memory");
		r->segment = more;
		r->room = room;
	}
	if (s->type == SMR_SEG_INITIAL_END)
		r->initial_end = r->nr_segments;
	if (s->type == SMR_SEG_TRAILER)
		r->trailer = r->nr_segments;
	if (s->raw_len > r->largest)
		r->largest = s->raw_len;
	r->segment[r->nr_segments] = *s;
	link_segment(r, r->nr_segments++);
	if (s->type <= SMR_SEG_TRAILER) {
		r->totals.raw[s->type] += s->raw_len;
		r->totals.stored[s->type] += s->stored_len;
	}
	return 0;
}

/* Returns 1: next one; 0: the list ends here, perhaps with damage; error. */
static int scan_segment(struct smr_reader *r, u64 *pos, u64 *chain, struct smr_err *err)
{
	struct smr_segment s = {
		.offset = *pos, .seqno = r->nr_segments, .next = SMR_NO_SEGMENT,
	};
	u8 h[SMR_SEGMENT_HEADER_SIZE];
	const char *mistake;
	int ret;

	if (*pos == r->size)
		return 0;
	if (r->nr_segments == SMR_FILE_MAX_SEGMENTS) {
		damaged(r, &s, &r->damage, "more than %u segments", SMR_FILE_MAX_SEGMENTS);
		return 0;
	}
	if (r->size - *pos < sizeof(h)) {
		damaged(r, &s, &r->damage, "cut inside its header");
		return 0;
	}
	ret = read_all(r->fd, h, sizeof(h), *pos);
	if (ret <= 0)
		return smr_fail(err, SMR_FILE_EIO, r->path, *pos, "can't read at offset %llu",
				ULL(*pos));
	get_segment(&s, h);
	mistake = header_mistake(r, h, &s, *chain);
	if (!mistake && s.stored_len > r->size - *pos - sizeof(h))
		mistake = "cut inside its payload";
	if (mistake) {
		damaged(r, &s, &r->damage, "%s", mistake);
		return 0;
	}
	*pos += sizeof(h) + s.stored_len;
	*chain = smr_segment_chain(*chain, h);
	ret = add_segment(r, &s, err);
	return ret ? ret : 1;
}

static int scan(struct smr_reader *r, struct smr_err *err)
{
	u64 pos = SMR_FILE_HEADER_SIZE;
	u64 chain;
	u8 crc[4];
	int ret;

	if (read_all(r->fd, crc, sizeof(crc), H_CRC) <= 0)
		return smr_fail(err, SMR_FILE_EIO, r->path, 0, "can't read");
	chain = get_le(crc, 4);
	do {
		ret = scan_segment(r, &pos, &chain, err);
	} while (ret > 0);
	r->totals.segments = r->nr_segments;
	r->totals.file_bytes = r->size;
	return ret;
}

static int open_file(struct smr_reader *r, struct smr_err *err)
{
	struct stat st;

	/* Not blocking: it could be a FIFO. */
	r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (r->fd < 0)
		return smr_fail(err, SMR_FILE_EIO, r->path, 0, "can't open");
	if (fstat(r->fd, &st))
		return smr_fail(err, SMR_FILE_EIO, r->path, 0, "can't open");
	if (!S_ISREG(st.st_mode))
		return smr_fail(err, SMR_FILE_ENOTREC, r->path, 0, "not a regular file");
	if (flock(r->fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK)
		return smr_fail(err, SMR_FILE_EBUSY, r->path, 0, "is being recorded");
	r->size = (u64)st.st_size;
	return 0;
}

int smr_reader_open(struct smr_reader **out, const char *path, struct smr_err *err)
{
	struct smr_reader *r = calloc(1, sizeof(*r));
	u32 i;
	int ret;

	*out = NULL;
	if (r)
		r->path = strdup(path);
	if (!r || !r->path) {
		free(r);
		return smr_fail(err, SMR_FILE_EMEM, path, 0, "out of memory");
	}
	r->largest = 1;
	r->initial_end = U64_MAX;
	r->trailer = U64_MAX;
	for (i = 0; i < NR_CHAINS; i++)
		r->chain[i].first = SMR_NO_SEGMENT;
	ret = open_file(r, err);
	if (!ret)
		ret = read_header(r, err);
	if (!ret)
		ret = scan(r, err);
	if (!ret)
		ret = smr_index_blobs(r, err);
	if (ret) {
		smr_reader_close(r);
		return ret;
	}
	*out = r;
	return 0;
}

void smr_reader_close(struct smr_reader *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	free(r->segment);
	free(r->blob);
	free(r->path);
	free(r);
}

const struct smr_file_info *smr_reader_info(const struct smr_reader *r)
{
	return &r->info;
}

void smr_reader_totals(const struct smr_reader *r, struct smr_totals *t)
{
	*t = r->totals;
}

const struct smr_err *smr_reader_damage(const struct smr_reader *r)
{
	return r->damage.code ? &r->damage : NULL;
}

u64 smr_reader_nr_segments(const struct smr_reader *r)
{
	return r->nr_segments;
}

const struct smr_segment *smr_reader_segment(const struct smr_reader *r, u64 i)
{
	return i < r->nr_segments ? &r->segment[i] : NULL;
}

int smr_reader_payload(const struct smr_reader *r, u64 i, void *buf, struct smr_err *err)
{
	const struct smr_segment *s = smr_reader_segment(r, i);
	u8 *stored = buf;
	int ret = 0;

	if (!s)
		return smr_fail(err, SMR_FILE_EINVAL, r->path, 0, "no segment %llu", ULL(i));
	if (s->flags)
		stored = malloc(s->stored_len + 1);
	if (!stored)
		return smr_fail(err, SMR_FILE_EMEM, r->path, s->offset, "out of memory");
	switch (read_all(r->fd, stored, s->stored_len, s->offset + SMR_SEGMENT_HEADER_SIZE)) {
	case 0:
		ret = damaged(r, s, err, "cut inside its payload");
		break;
	case -1:
		ret = seg_fail(r, s, err, SMR_FILE_EIO, "can't read");
		break;
	default:
		if (smr_crc32c(0, stored, s->stored_len) != s->crc)
			ret = damaged(r, s, err, "payload checksum differs");
		else if (stored != buf && !smr_decompress(s->flags, stored, s->stored_len, buf, s->raw_len))
			ret = damaged(r, s, err, "payload can't be decompressed");
	}
	if (stored != buf)
		free(stored);
	return ret;
}

int smr_ram_runs(const struct smr_reader *r, const struct smr_segment *s, const u8 *p,
		 smr_ram_fn fn, void *opaque, struct smr_err *err)
{
	u32 pos = 0, len;
	u64 gpa;
	int ret;

	while (pos < s->raw_len) {
		if (s->raw_len - pos < R_SIZE)
			return damaged(r, s, err, "RAM: cut");
		gpa = get_le(p + pos + R_GPA, 8);
		len = (u32)get_le(p + pos + R_LEN, 4);
		if (get_le(p + pos + R_RESERVED, 4) || !len || (gpa | len) % PAGE_BYTES ||
		    len > s->raw_len - pos - R_SIZE || gpa + len < gpa)
			return damaged(r, s, err, "RAM: impossible address or length");
		ret = fn(opaque, gpa, p + pos + R_SIZE, len);
		if (ret)
			return ret;
		pos += R_SIZE + len;
	}
	return 0;
}

int smr_reader_ram(const struct smr_reader *r, smr_ram_fn fn, void *opaque, struct smr_err *err)
{
	u8 *buf = malloc(r->largest);
	int ret = 0;
	u32 i;

	if (!buf)
		return smr_fail(err, SMR_FILE_EMEM, r->path, 0, "out of memory");
	for (i = r->chain[RAM_CHAIN].first; !ret && i != SMR_NO_SEGMENT; i = r->segment[i].next) {
		ret = smr_reader_payload(r, i, buf, err);
		if (!ret)
			ret = smr_ram_runs(r, &r->segment[i], buf, fn, opaque, err);
	}
	free(buf);
	return ret;
}
