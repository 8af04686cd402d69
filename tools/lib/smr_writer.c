// SPDX-License-Identifier: GPL-2.0
/* Writing recording files. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "smr_layout.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "smr_avx2.h"
#include "smr_compress.h"
#include "smr_note.h"

#define BLOB_PIECE	(SMR_SEGMENT_MAX - 256)

/* Bytes of one stream that are not in the file yet. */
struct pending {
	u8 *buf;		/* SMR_SEGMENT_MAX bytes, allocated when first used */
	u32 len;
	u32 whole;		/* bytes of whole records */
	u32 data;		/* those of them that devices wrote to memory */
	u64 first, last;	/* commits in them */
	u64 bytes, records;	/* totals of the stream */
	struct smr_stream state;
	bool ended;
};

struct blob_name {
	struct blob_name *next;
	char name[];
};

enum phase { INITIAL, RUNNING };

struct smr_writer {
	int fd;
	enum phase phase;
	struct smr_compressor *compressor;	/* NULL: nothing is compressed */
	u64 pos;		/* end of the last whole segment */
	u64 seqno;
	u64 chain;
	u32 salt;
	u32 nr_streams;
	u64 commits;		/* highest number seen */
	u64 ram_bytes;
	u64 nr_blobs;
	u64 start_ns;
	u64 time_ns;		/* since then, if the caller tells it */
	bool time_told;
	u32 ram_len;
	u32 run;		/* offset of the open run in ram_buf, or U32_MAX */
	u64 run_end;		/* guest-physical address behind it */
	u8 *ram_buf;		/* SMR_SEGMENT_MAX, while INITIAL */
	u8 *out;		/* SMR_SEGMENT_MAX: compressed payload */
	u8 *notes;		/* SMR_SEGMENT_MAX, allocated when first used */
	u32 notes_len;
	struct blob_name *names;
	struct smr_totals totals;
	struct smr_err error;	/* the first one */
	char *path;
	struct pending stream[];
};

#define NO_RUN	0xffffffffu

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

static u64 elapsed_ns(const struct smr_writer *w)
{
	return w->time_told ? w->time_ns : now_ns() - w->start_ns;
}

void smr_writer_set_time(struct smr_writer *w, u64 ns)
{
	w->time_ns = ns;
	w->time_told = true;
}

static int sticky(const struct smr_writer *w, struct smr_err *err)
{
	if (err)
		*err = w->error;
	return w->error.code;
}

#define fail(w, err, code, ...)							\
	(smr_fail(&(w)->error, code, (w)->path, (w)->pos, __VA_ARGS__), sticky(w, err))

/* Not kept: the caller's mistake leaves the file as it is. */
#define refuse(w, err, ...)	smr_fail(err, SMR_FILE_EINVAL, (w)->path, (w)->pos, __VA_ARGS__)

static int write_all(int fd, struct iovec *iov, int n, u64 pos)
{
	ssize_t done;

	while (n) {
		done = pwritev(fd, iov, n, (off_t)pos);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			if (!done)
				errno = ENOSPC;
			return -1;
		}
		pos += (u64)done;
		while (n && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n) {
			iov->iov_base = (u8 *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

static void fill_segment_header(struct smr_writer *w, const struct smr_segment *s, u8 *h)
{
	put_le(h + S_MAGIC, SEGMENT_MAGIC, 4);
	h[S_TYPE] = s->type;
	h[S_FLAGS] = s->flags;
	put_le(h + S_STREAM, s->stream, 2);
	put_le(h + S_SEQNO, w->seqno, 8);
	put_le(h + S_FIRST, s->first, 8);
	put_le(h + S_LAST, s->last, 8);
	put_le(h + S_RAW_LEN, s->raw_len, 4);
	put_le(h + S_STORED_LEN, s->stored_len, 4);
	put_le(h + S_PAYLOAD_CRC, s->crc, 4);
	put_le(h + S_TIME, s->time_ms, 4);
	put_le(h + S_CHAIN, w->chain, 8);
	put_le(h + S_SALT, w->salt, 4);
	put_le(h + S_CRC, smr_crc32c(0, h, S_CRC), 4);
}

static void account(struct smr_writer *w, const struct smr_segment *s)
{
	if (s->type <= SMR_SEG_TRAILER) {
		w->totals.raw[s->type] += s->raw_len;
		w->totals.stored[s->type] += s->stored_len;
	}
	w->totals.segments++;
	w->totals.file_bytes = w->pos;
}

/* @s: type, stream, first, last are filled in.  @bulk: see smr_compress(). */
static int write_segment(struct smr_writer *w, struct smr_segment *s, bool bulk,
			 const u8 *payload, u32 len, struct smr_err *err)
{
	u8 header[SMR_SEGMENT_HEADER_SIZE], flag;
	u32 compressed = smr_compress(w->compressor, bulk, payload, len, w->out, &flag);
	struct iovec iov[2] = {
		{ header, sizeof(header) },
		{ compressed ? w->out : (u8 *)payload, compressed ? compressed : len },
	};
	int saved;

	if (w->seqno == SMR_FILE_MAX_SEGMENTS)
		return fail(w, err, SMR_FILE_ELIMIT, "more than %u segments",
			    SMR_FILE_MAX_SEGMENTS);
	s->raw_len = len;
	s->stored_len = (u32)iov[1].iov_len;
	s->flags = compressed ? flag : 0;
	s->crc = smr_crc32c(0, iov[1].iov_base, iov[1].iov_len);
	fill_segment_header(w, s, header);
	if (write_all(w->fd, iov, len ? 2 : 1, w->pos)) {
		/* Best effort: a torn segment is recognised by the reader, too. */
		saved = errno;
		if (!ftruncate(w->fd, (off_t)w->pos))
			fdatasync(w->fd);
		errno = saved;
		return fail(w, err, SMR_FILE_EIO, "segment %llu at offset %llu: can't write",
			    (unsigned long long)w->seqno, (unsigned long long)w->pos);
	}
	w->pos += sizeof(header) + s->stored_len;
	w->chain = smr_segment_chain(w->chain, header);
	w->seqno++;
	account(w, s);
	return 0;
}

static void put_text(u8 *p, size_t size, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	memcpy(p, text ? text : "", len < size ? len : size - 1);
}

static int write_header(struct smr_writer *w, const struct smr_writer_options *o,
			struct smr_err *err)
{
	u8 h[SMR_FILE_HEADER_SIZE] = { 0 };
	struct iovec iov = { h, sizeof(h) };
	u8 *uuid = h + H_UUID;
	u32 crc;

	if (getrandom(uuid, 16, 0) != 16)
		return fail(w, err, SMR_FILE_EIO, "no random number");
	uuid[6] = (uuid[6] & 0x0f) | 0x40;
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
	memcpy(h + H_MAGIC, FILE_MAGIC, FILE_MAGIC_LEN);
	put_le(h + H_MAJOR, SMR_FILE_MAJOR, 2);
	put_le(h + H_MINOR, SMR_FILE_MINOR, 2);
	put_le(h + H_SIZE, SMR_FILE_HEADER_SIZE, 4);
	put_le(h + H_INCOMPAT, o->incompat | (o->compress ? SMR_FILE_LZ4 : 0), 8);
	put_le(h + H_NR_VCPUS, o->nr_vcpus, 4);
	put_le(h + H_CREATED, o->created ? o->created : (u64)time(NULL), 8);
	put_text(h + H_WRITER, sizeof(((struct smr_file_info *)0)->writer), o->writer);
	put_text(h + H_HOST, sizeof(((struct smr_file_info *)0)->host), o->host);
	crc = smr_crc32c(0, h, H_CRC);
	put_le(h + H_CRC, crc, 4);
	if (write_all(w->fd, &iov, 1, 0))
		return fail(w, err, SMR_FILE_EIO, "can't write the file header");
	w->pos = SMR_FILE_HEADER_SIZE;
	w->totals.file_bytes = w->pos;
	w->salt = (u32)get_le(uuid, 4);
	w->chain = crc;
	return 0;
}

static int lock(int fd, const char *path, struct smr_err *err)
{
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return smr_fail(err, SMR_FILE_EBUSY, path, 0,
				"in use by another recording or replay");
	return smr_fail(err, SMR_FILE_EIO, path, 0, "can't lock");
}

/* Nothing but the caller's own empty file or old recording is replaced. */
static int check_old(int fd, const char *path, struct smr_err *err)
{
	char magic[FILE_MAGIC_LEN];
	struct stat st;
	ssize_t n;
	int ret;

	if (fstat(fd, &st))
		return smr_fail(err, SMR_FILE_EIO, path, 0, "can't open for writing");
	if (!S_ISREG(st.st_mode))
		return smr_fail(err, SMR_FILE_EREFUSED, path, 0, "not a regular file");
	if (st.st_uid != geteuid())
		return smr_fail(err, SMR_FILE_EREFUSED, path, 0,
				"belongs to another user (%u); not replaced", st.st_uid);
	ret = lock(fd, path, err);
	if (ret)
		return ret;
	n = pread(fd, magic, sizeof(magic), 0);
	if (n < 0)
		return smr_fail(err, SMR_FILE_EIO, path, 0, "can't read what would be replaced");
	if (n && (n != sizeof(magic) || memcmp(magic, FILE_MAGIC, sizeof(magic))))
		return smr_fail(err, SMR_FILE_EREFUSED, path, 0,
				"exists and is not a recording; not replaced");
	return 0;
}

/*
 * A new file takes its place: its mode, owner and other names, or whoever has it
 * open since its mode was another one, say nothing about who sees the new recording.
 */
static int remove_old(const char *path, struct smr_err *err)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	int ret;

	if (fd < 0 && errno == ELOOP)
		return smr_fail(err, SMR_FILE_EREFUSED, path, 0,
				"is a symbolic link; name the file itself");
	if (fd < 0)
		return smr_fail(err, SMR_FILE_EIO, path, 0, "can't open for writing");
	ret = check_old(fd, path, err);
	if (!ret && unlink(path))
		ret = smr_fail(err, SMR_FILE_EIO, path, 0, "can't be replaced");
	close(fd);
	return ret;
}

/* Returns the new file, or an error. */
static int open_target(const char *path, struct smr_err *err)
{
	const int flags = O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL;
	int fd = open(path, flags, 0600);
	int ret;

	if (fd < 0 && errno == EEXIST) {
		ret = remove_old(path, err);
		if (ret)
			return ret;
		fd = open(path, flags, 0600);
	}
	if (fd < 0)
		return smr_fail(err, SMR_FILE_EIO, path, 0, "can't open for writing");
	ret = lock(fd, path, err);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static void free_writer(struct smr_writer *w)
{
	struct blob_name *next;
	u32 i;

	if (w->fd >= 0)
		close(w->fd);
	smr_compressor_free(w->compressor);
	for (; w->names; w->names = next) {
		next = w->names->next;
		free(w->names);
	}
	for (i = 0; i < w->nr_streams; i++)
		free(w->stream[i].buf);
	free(w->ram_buf);
	free(w->out);
	free(w->notes);
	free(w->path);
	free(w);
}

static struct smr_writer *alloc_writer(const char *path, const struct smr_writer_options *o)
{
	u32 nr_streams = o->nr_vcpus + 1;
	struct smr_writer *w = calloc(1, sizeof(*w) + nr_streams * sizeof(w->stream[0]));

	if (!w)
		return NULL;
	w->fd = -1;
	w->run = NO_RUN;
	w->nr_streams = nr_streams;
	w->path = strdup(path);
	w->ram_buf = malloc(SMR_SEGMENT_MAX);
	w->out = malloc(SMR_SEGMENT_MAX);
	if (o->compress)
		w->compressor = smr_compressor_new(o->compress);
	if (w->path && w->ram_buf && w->out && !w->compressor == !o->compress)
		return w;
	free_writer(w);
	return NULL;
}

int smr_writer_create(struct smr_writer **out, const char *path,
		      const struct smr_writer_options *o, struct smr_err *err)
{
	struct smr_writer *w;
	int ret;

	*out = NULL;
	if (!o->nr_vcpus || o->nr_vcpus > SMR_FILE_MAX_VCPUS)
		return smr_fail(err, SMR_FILE_EINVAL, path, 0, "%u vCPUs: 1 to %u can be recorded",
				o->nr_vcpus, SMR_FILE_MAX_VCPUS);
	if (o->compress < 0 || o->compress > 9)
		return smr_fail(err, SMR_FILE_EINVAL, path, 0,
				"compression level %d: must be 0 to 9", o->compress);
	w = alloc_writer(path, o);
	if (!w)
		return smr_fail(err, SMR_FILE_EMEM, path, 0, "out of memory");
	w->fd = open_target(path, err);
	ret = w->fd < 0 ? w->fd : write_header(w, o, err);
	if (ret) {
		if (w->fd >= 0)
			unlink(path);
		free_writer(w);
		return ret;
	}
	*out = w;
	return 0;
}

static int initial_phase(struct smr_writer *w, struct smr_err *err)
{
	if (w->error.code)
		return sticky(w, err);
	if (w->phase != INITIAL)
		return refuse(w, err, "the initial state is complete already");
	return 0;
}

static int add_name(struct smr_writer *w, const char *name, struct smr_err *err)
{
	size_t len = strlen(name);
	struct blob_name *n;

	if (!smr_blob_name_ok(name, len))
		return refuse(w, err, "bad blob name");
	if (w->nr_blobs == SMR_FILE_MAX_BLOBS)
		return refuse(w, err, "more than %u blobs", SMR_FILE_MAX_BLOBS);
	for (n = w->names; n; n = n->next) {
		if (!strcmp(n->name, name))
			return refuse(w, err, "blob %s: written twice", name);
	}
	n = malloc(sizeof(*n) + len + 1);
	if (!n)
		return fail(w, err, SMR_FILE_EMEM, "out of memory");
	memcpy(n->name, name, len + 1);
	n->next = w->names;
	w->names = n;
	w->nr_blobs++;
	return 0;
}

/* Pages collected so far become a segment. */
static int write_ram(struct smr_writer *w, struct smr_err *err)
{
	struct smr_segment s = { .type = SMR_SEG_RAM };
	u32 len = w->ram_len;

	w->ram_len = 0;
	w->run = NO_RUN;
	return len ? write_segment(w, &s, true, w->ram_buf, len, err) : 0;
}

int smr_writer_blob(struct smr_writer *w, const char *name, const void *data, size_t len,
		    struct smr_err *err)
{
	struct smr_segment s = { .type = SMR_SEG_BLOB };
	u32 name_len = (u32)strlen(name);
	size_t offset = 0, piece;
	u8 *p = w->ram_buf;
	int ret;

	ret = initial_phase(w, err);
	if (!ret && len > SMR_BLOB_MAX)
		ret = refuse(w, err, "blob %.63s: longer than %u bytes", name, SMR_BLOB_MAX);
	if (!ret)
		ret = add_name(w, name, err);
	if (!ret)
		ret = write_ram(w, err);	/* its buffer is used here */
	while (!ret) {
		piece = len - offset < BLOB_PIECE ? len - offset : BLOB_PIECE;
		put_le(p + B_TOTAL, len, 8);
		put_le(p + B_OFFSET, offset, 8);
		p[B_NAME_LEN] = (u8)name_len;
		memcpy(p + B_NAME, name, name_len);
		if (piece)
			memcpy(p + B_NAME + name_len, (const u8 *)data + offset, piece);
		ret = write_segment(w, &s, false, p, B_NAME + name_len + (u32)piece, err);
		offset += piece;
		if (offset == len)
			break;
	}
	return ret;
}

/* Most of a guest's memory is. */
static bool page_is_zero(const u8 *page)
{
	static const u8 zero[16];

#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return smr_page_is_zero_avx2(page);
#endif
	return !memcmp(page, zero, 16) && !memcmp(page, page + 16, PAGE_BYTES - 16);
}

static int put_page(struct smr_writer *w, u64 gpa, const u8 *page, struct smr_err *err)
{
	bool adjoins = w->run != NO_RUN && w->run_end == gpa;
	u32 need = PAGE_BYTES + (adjoins ? 0 : R_SIZE);
	int ret;

	if (w->ram_len + need > SMR_SEGMENT_MAX) {
		ret = write_ram(w, err);
		if (ret)
			return ret;
		adjoins = false;
	}
	if (!adjoins) {
		w->run = w->ram_len;
		memset(w->ram_buf + w->run, 0, R_SIZE);
		put_le(w->ram_buf + w->run + R_GPA, gpa, 8);
		w->ram_len += R_SIZE;
	}
	memcpy(w->ram_buf + w->ram_len, page, PAGE_BYTES);
	w->ram_len += PAGE_BYTES;
	put_le(w->ram_buf + w->run + R_LEN, w->ram_len - w->run - R_SIZE, 4);
	w->run_end = gpa + PAGE_BYTES;
	w->ram_bytes += PAGE_BYTES;
	return 0;
}

int smr_writer_ram(struct smr_writer *w, u64 gpa, const void *ram, u64 len, struct smr_err *err)
{
	const u8 *p = ram;
	int ret = initial_phase(w, err);
	u64 i;

	if (!ret && ((gpa | len) % PAGE_BYTES || gpa + len < gpa))
		ret = refuse(w, err, "RAM at 0x%llx: not whole pages", (unsigned long long)gpa);
	for (i = 0; !ret && i < len; i += PAGE_BYTES) {
		if (!page_is_zero(p + i))
			ret = put_page(w, gpa + i, p + i, err);
	}
	return ret;
}

/* The file's name has to survive, too.  Not every file system can do that. */
static void sync_directory(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(copy);
}

int smr_writer_end_initial(struct smr_writer *w, struct smr_err *err)
{
	struct smr_segment s = { .type = SMR_SEG_INITIAL_END };
	u8 payload[I_SIZE];
	int ret;

	ret = initial_phase(w, err);
	if (!ret)
		ret = write_ram(w, err);
	if (ret)
		return ret;
	put_le(payload + I_NR_BLOBS, w->nr_blobs, 8);
	put_le(payload + I_RAM_BYTES, w->ram_bytes, 8);
	ret = write_segment(w, &s, false, payload, sizeof(payload), err);
	if (ret)
		return ret;
	if (fsync(w->fd))
		return fail(w, err, SMR_FILE_EIO, "can't bring the initial state to disk");
	sync_directory(w->path);
	free(w->ram_buf);
	w->ram_buf = NULL;
	w->start_ns = now_ns();
	w->phase = RUNNING;
	return 0;
}

/* Whole records collected so far become a segment; a partial one stays. */
static int write_stream(struct smr_writer *w, u32 stream, struct smr_err *err)
{
	struct pending *p = &w->stream[stream];
	struct smr_segment s = {
		.type = SMR_SEG_STREAM,
		.stream = (u16)stream,
		.first = p->first,
		.last = p->last,
		.time_ms = (u32)(elapsed_ns(w) / 1000000),
	};
	int ret;

	if (!p->whole)
		return 0;
	ret = write_segment(w, &s, p->data > p->whole / 2, p->buf, p->whole, err);
	if (ret)
		return ret;
	memmove(p->buf, p->buf + p->whole, p->len - p->whole);
	p->len -= p->whole;
	p->whole = 0;
	p->data = 0;
	p->first = p->last = 0;
	return 0;
}

static int bad_record(struct smr_writer *w, u32 stream, struct smr_err *err)
{
	return fail(w, err, SMR_FILE_ERECORD, "stream %u, byte %llu: not a record", stream,
		    (unsigned long long)w->stream[stream].bytes);
}

static void note_commit(struct smr_writer *w, struct pending *p, u64 n)
{
	if (!p->first)
		p->first = n;
	p->last = n;
	if (n > w->commits)
		w->commits = n;
}

/* Finds the records among the bytes that arrived. */
static int parse(struct smr_writer *w, u32 stream, struct smr_err *err)
{
	struct pending *p = &w->stream[stream];
	struct smr_record r;
	int n;

	for (;;) {
		n = smr_peek(p->buf + p->whole, p->len - p->whole);
		if (!n)
			return 0;
		if (n < 0 || p->ended || smr_decode(&p->state, p->buf + p->whole, (u32)n, &r) ||
		    !smr_type_fits_stream(r.type, stream + 1 == w->nr_streams))
			return bad_record(w, stream, err);
		p->ended = smr_is_end(r.type);
		if (smr_is_commit(r.type))
			note_commit(w, p, r.commit_seq);
		p->whole += (u32)n;
		if (r.type == SMR_DMA)
			p->data += r.data_len;
		p->bytes += (u32)n;
		p->records++;
	}
}

int smr_writer_append(struct smr_writer *w, u32 stream, const void *data, size_t len,
		      struct smr_err *err)
{
	struct pending *p = &w->stream[stream];
	const u8 *from = data;
	size_t piece;
	int ret;

	if (w->error.code)
		return sticky(w, err);
	if (w->phase != RUNNING || stream >= w->nr_streams)
		return refuse(w, err, "stream %u: no data expected", stream);
	if (!p->buf)
		p->buf = malloc(SMR_SEGMENT_MAX);
	if (!p->buf)
		return fail(w, err, SMR_FILE_EMEM, "out of memory");
	while (len) {
		if (p->len == SMR_SEGMENT_MAX) {
			ret = write_stream(w, stream, err);
			if (ret)
				return ret;
		}
		piece = len < SMR_SEGMENT_MAX - p->len ? len : SMR_SEGMENT_MAX - p->len;
		memcpy(p->buf + p->len, from, piece);
		p->len += (u32)piece;
		from += piece;
		len -= piece;
		ret = parse(w, stream, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int write_notes(struct smr_writer *w, struct smr_err *err)
{
	struct smr_segment s = { .type = SMR_SEG_NOTES };
	u32 len = w->notes_len;

	w->notes_len = 0;
	return len ? write_segment(w, &s, false, w->notes, len, err) : 0;
}

/* Bytes at the start of the notes at @p that are whole notes and fit into @room bytes. */
static size_t whole_notes(const u8 *p, size_t len, size_t room)
{
	struct smr_cursor c = { p, p + len, false };
	struct smr_note note;
	size_t whole = 0;

	while (smr_note_decode(&c, &note) > 0 && (size_t)(c.p - p) <= room)
		whole = (size_t)(c.p - p);
	return whole;
}

int smr_writer_notes(struct smr_writer *w, const void *data, size_t len, struct smr_err *err)
{
	const u8 *from = data;
	size_t piece;
	int ret = 0;

	if (w->error.code)
		return sticky(w, err);
	if (w->phase != RUNNING)
		return refuse(w, err, "no notes expected");
	if (!w->notes)
		w->notes = malloc(SMR_SEGMENT_MAX);
	if (!w->notes)
		return fail(w, err, SMR_FILE_EMEM, "out of memory");
	while (!ret && len) {
		piece = whole_notes(from, len, SMR_SEGMENT_MAX - w->notes_len);
		if (!piece && !w->notes_len)
			return refuse(w, err, "what is no note");
		memcpy(w->notes + w->notes_len, from, piece);
		w->notes_len += (u32)piece;
		from += piece;
		len -= piece;
		if (len)
			ret = write_notes(w, err);
	}
	return ret;
}

int smr_writer_flush(struct smr_writer *w, bool sync, struct smr_err *err)
{
	u32 i;
	int ret;

	if (w->error.code)
		return sticky(w, err);
	for (i = 0; i < w->nr_streams; i++) {
		ret = write_stream(w, i, err);
		if (ret)
			return ret;
	}
	ret = write_notes(w, err);
	if (ret)
		return ret;
	if (sync && fdatasync(w->fd))
		return fail(w, err, SMR_FILE_EIO, "can't bring the log to disk");
	return 0;
}

void smr_writer_totals(const struct smr_writer *w, struct smr_totals *t)
{
	*t = w->totals;
}

static int write_trailer(struct smr_writer *w, struct smr_err *err)
{
	struct smr_segment s = { .type = SMR_SEG_TRAILER };
	u8 payload[T_SIZE + T_PER_STREAM * (SMR_FILE_MAX_VCPUS + 1)] = { 0 };
	u8 *p = payload + T_SIZE;
	u32 i;

	put_le(payload + T_COMMITS, w->commits, 8);
	put_le(payload + T_DURATION, elapsed_ns(w), 8);
	put_le(payload + T_NR_STREAMS, w->nr_streams, 4);
	for (i = 0; i < w->nr_streams; i++, p += T_PER_STREAM) {
		if (w->stream[i].len)
			return fail(w, err, SMR_FILE_ERECORD, "stream %u: ends inside a record", i);
		put_le(p, w->stream[i].bytes, 8);
		put_le(p + 8, w->stream[i].records, 8);
	}
	return write_segment(w, &s, false, payload, (u32)(p - payload), err);
}

int smr_writer_close(struct smr_writer *w, bool clean, struct smr_err *err)
{
	int ret = sticky(w, err);

	if (!ret && w->phase == RUNNING)
		ret = smr_writer_flush(w, false, err);
	if (!ret && w->phase == RUNNING && clean)
		ret = write_trailer(w, err);
	if (!ret && fsync(w->fd))
		ret = fail(w, err, SMR_FILE_EIO, "can't bring the log to disk");
	free_writer(w);
	return ret;
}
