/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Recording files: a header, then checksummed segments.
 *
 * Documentation/log-format.rst holds the byte tables and the recovery rule.
 * In short: the initial state (blobs, RAM) comes first and is on disk before
 * the guest runs; then come segments of the streams (one per vCPU, one of the
 * VM), each of whole records; a trailer tells a clean end.  A file cut
 * anywhere is a recording up to the last commit of which, and of all before
 * it, the records are there.
 *
 * Functions return 0 (or a count) or a negative enum smr_file_error, and then
 * describe the error in *err, which may be NULL.  Text never contains data of
 * the guest, nor anything that a terminal would obey.  Nothing here prints, exits or asserts.
 */
#ifndef SMR_FILE_H
#define SMR_FILE_H

#include <stddef.h>

#include "smr_codec.h"

#define SMR_FILE_MAJOR		4
#define SMR_FILE_MINOR		0
/* Incompatible features that this code understands: payloads may be LZ4 blocks. */
#define SMR_FILE_LZ4		(1ull << 0)
/* Pages are named by RAM addresses, a blob "ram" has them, and the memory map may change. */
#define SMR_FILE_RAM		(1ull << 1)
/* User space may have set vCPUs' state: records of that. */
#define SMR_FILE_STATE		(1ull << 2)
/* What devices have read from images may be named instead of stored: blob "images". */
#define SMR_FILE_IMAGES		(1ull << 3)
/* Digests of vCPUs' state are the kind of KVM_SAMSARA_FLAG_CRC. */
#define SMR_FILE_CRC		(1ull << 4)
#define SMR_FILE_INCOMPAT	(SMR_FILE_LZ4 | SMR_FILE_RAM | SMR_FILE_STATE | SMR_FILE_IMAGES | \
				 SMR_FILE_CRC)
#define SMR_FILE_MAX_VCPUS	64u
#define SMR_FILE_HEADER_SIZE	4096u
#define SMR_SEGMENT_HEADER_SIZE	64u
#define SMR_SEGMENT_MAX		(1u << 20)	/* payload, before compression */
/* Bounds on what a reader keeps in memory.  The unit tests have smaller files. */
#ifndef SMR_FILE_MAX_SEGMENTS
#define SMR_FILE_MAX_SEGMENTS	(1u << 24)
#endif
#define SMR_FILE_MAX_BLOBS	4096u
#define SMR_BLOB_NAME_MAX	63u
#define SMR_BLOB_MAX		(64u << 20)
#define SMR_UUID_TEXT		37		/* with the final zero */

enum smr_file_error {
	SMR_FILE_EIO		= -1,	/* the system refused: see sys_errno */
	SMR_FILE_EMEM		= -2,
	SMR_FILE_EINVAL		= -3,	/* the caller's mistake */
	SMR_FILE_EBUSY		= -4,	/* another process has the file open */
	SMR_FILE_EREFUSED	= -5,	/* would replace something else than a recording of one's own */
	SMR_FILE_ENOTREC	= -6,	/* not a recording */
	SMR_FILE_EVERSION	= -7,	/* written by a newer version, or one too old */
	SMR_FILE_EFEATURE	= -8,	/* uses a feature unknown here */
	SMR_FILE_EHEADER	= -9,	/* file header damaged */
	SMR_FILE_EDAMAGED	= -10,	/* a segment is cut or damaged */
	SMR_FILE_ERECORD	= -11,	/* bytes that are no record */
	SMR_FILE_ENOENT		= -12,	/* no blob of this name */
	SMR_FILE_EINCOMPLETE	= -13,	/* initial state missing or cut: nothing to replay */
	SMR_FILE_ELIMIT		= -14,	/* writing: more than a recording may hold */
	SMR_FILE_EIMAGE		= -15,	/* a disk image is missing, or not what it was */
};

struct smr_err {
	int code;		/* enum smr_file_error, 0: none */
	int sys_errno;		/* with SMR_FILE_EIO */
	u64 offset;		/* in the file */
	char text[256];		/* one line without newline: "run.smr: segment 12 at ..." */
};

const char *smr_file_errstr(const struct smr_err *err);

/* Bytes of the character (ASCII or UTF-8) at @text; 0: not valid, or a control character. */
u32 smr_printable_len(const char *text);
bool smr_is_printable(const char *text);
/* What a terminal could obey becomes '?'. */
void smr_make_printable(char *text);

enum smr_segment_type {
	SMR_SEG_BLOB		= 1,
	SMR_SEG_RAM		= 2,
	SMR_SEG_INITIAL_END	= 3,
	SMR_SEG_STREAM		= 4,
	SMR_SEG_TRAILER		= 5,
	SMR_SEG_NOTES		= 0x80,	/* see smr_note.h */
};
#define SMR_SEG_SKIPPABLE	0x80	/* unknown types from here on are skipped */

const char *smr_segment_name(u8 type);

struct smr_file_info {
	u16 major, minor;
	u32 nr_vcpus;		/* streams 0..nr_vcpus-1; the VM's is nr_vcpus */
	u64 incompat, compat;	/* feature bits */
	u8 uuid[16];
	u64 created;		/* seconds since 1970, UTC */
	char writer[128];	/* program and version that wrote it */
	char host[128];		/* kernel and module it was recorded with */
};

void smr_uuid_text(const u8 uuid[16], char text[SMR_UUID_TEXT]);

/*
 * Writing.  A writer is used by one thread at a time.  The first error is
 * kept: every later call returns it and writes nothing more, and the file
 * stays valid up to the last segment written whole.
 */
struct smr_writer;

struct smr_writer_options {
	u32 nr_vcpus;
	int compress;		/* zlib level, 1: LZ4 for memory; 0: none */
	u64 incompat;		/* features that the file uses besides: not SMR_FILE_LZ4 */
	const char *writer;	/* stored, cut to 127 bytes; NULL: empty */
	const char *host;
	u64 created;		/* as in smr_file_info; 0: now */
};

struct smr_totals {
	u64 raw[SMR_SEG_TRAILER + 1];		/* payload bytes per segment type */
	u64 stored[SMR_SEG_TRAILER + 1];	/* ... as stored */
	u64 segments;
	u64 file_bytes;
};

/*
 * Creates the file (mode 0600), takes the lock, writes the header.  An old
 * recording or an empty file of the same user is replaced.  Refuses everything
 * else that has this name: other files, other users' files, symbolic links.
 */
int smr_writer_create(struct smr_writer **w, const char *path,
		      const struct smr_writer_options *o, struct smr_err *err);

/* Initial state: any order, names unique.  Names are printable ASCII without spaces. */
int smr_writer_blob(struct smr_writer *w, const char *name, const void *data, size_t len,
		    struct smr_err *err);
/* @addr (RAM address) and @len: multiples of 4096.  Zero pages are not stored. */
int smr_writer_ram(struct smr_writer *w, u64 addr, const void *ram, u64 len, struct smr_err *err);
/* When this returns 0, all of it is on disk and the guest may run. */
int smr_writer_end_initial(struct smr_writer *w, struct smr_err *err);

/*
 * Bytes of a stream, in order, cut anywhere: they are kept until a record is
 * whole.  What is no record is refused with SMR_FILE_ERECORD.
 */
int smr_writer_append(struct smr_writer *w, u32 stream, const void *data, size_t len,
		      struct smr_err *err);
/*
 * A copy tells the times of what it is copied from: what is written from now on is of @ns
 * after the start.
 */
void smr_writer_set_time(struct smr_writer *w, u64 ns);
/* Writes every whole record out; with @sync they survive a crash of the host. */
int smr_writer_flush(struct smr_writer *w, bool sync, struct smr_err *err);

void smr_writer_totals(const struct smr_writer *w, struct smr_totals *t);

/*
 * Flushes, writes the trailer if @clean and nothing has failed, frees the
 * writer whatever happens.  Returns the first error of its life.
 */
int smr_writer_close(struct smr_writer *w, bool clean, struct smr_err *err);

/*
 * Reading.  After opening, a reader does not change: any number of threads
 * may use it, each with its own smr_log.
 */
struct smr_reader;

struct smr_segment {
	u64 offset;		/* of its header in the file */
	u64 seqno;		/* 0, 1, 2 ... */
	u64 first, last;	/* STREAM: first and last commit, 0: no commit in it */
	u32 raw_len;
	u32 stored_len;
	u32 crc;		/* CRC32C of the stored bytes */
	u32 time_ms;		/* STREAM: when written, since the end of the initial state */
	u32 next;		/* STREAM, BLOB, RAM, NOTES: the next one of this stream or type; or NO_SEGMENT */
	u16 stream;
	u8 type;		/* enum smr_segment_type */
	u8 flags;
};
#define SMR_NO_SEGMENT	0xffffffffu

/*
 * Checks the header and every segment's header.  A file damaged or cut behind
 * its header can be opened: smr_reader_damage() tells.  SMR_FILE_EBUSY if it
 * is being written.
 */
int smr_reader_open(struct smr_reader **r, const char *path, struct smr_err *err);
void smr_reader_close(struct smr_reader *r);
const struct smr_file_info *smr_reader_info(const struct smr_reader *r);
void smr_reader_totals(const struct smr_reader *r, struct smr_totals *t);

/* Why the list of segments ends before the end of the file; NULL: it doesn't. */
const struct smr_err *smr_reader_damage(const struct smr_reader *r);

u64 smr_reader_nr_segments(const struct smr_reader *r);
const struct smr_segment *smr_reader_segment(const struct smr_reader *r, u64 i);
/* Payload of a segment, checked and decompressed, into SMR_SEGMENT_MAX bytes. */
int smr_reader_payload(const struct smr_reader *r, u64 i, void *buf, struct smr_err *err);

/* The blob's bytes and a final zero byte, to be freed by the caller. */
int smr_reader_blob(const struct smr_reader *r, const char *name, void **data, size_t *len,
		    struct smr_err *err);
/* Blob number *i: fills in @name and @len, counts *i up.  1, 0: no more, error. */
int smr_reader_next_blob(const struct smr_reader *r, u32 *i, char name[SMR_BLOB_NAME_MAX + 1],
			 size_t *len, struct smr_err *err);

/*
 * All RAM that is not zero, in runs of whole pages.  @fn returning non-zero
 * stops it: that value is returned.  The guest-physical addresses are the
 * file's: @fn must check them.
 */
typedef int (*smr_ram_fn)(void *opaque, u64 gpa, const void *data, u32 len);
int smr_reader_ram(const struct smr_reader *r, smr_ram_fn fn, void *opaque, struct smr_err *err);

/* What can be replayed. */
struct smr_extent {
	bool initial;		/* the initial state is complete; without it nothing can */
	bool ended;		/* all streams have their ends: the guest ran to its end */
	bool complete;		/* ... and nothing of the file is damaged */
	bool trailer;		/* the recorder closed the file itself */
	u64 replayable;		/* commits 1..replayable are all there */
	u64 seen;		/* highest commit number found anywhere */
	u64 duration_ns;	/* of the recording, as far as the file tells */
	struct smr_err damage;	/* first damage found, code 0: none */
};

/*
 * Reads everything: checksums of the whole file, every record.  Returns 0 for
 * a damaged file, too: the damage is in @x.
 */
int smr_reader_extent(const struct smr_reader *r, struct smr_extent *x, struct smr_err *err);

/* A record behind which there is none in its stream. */
bool smr_is_end(u8 type);

/* Sequential reading of one stream. */
struct smr_log;

/*
 * Ends before the first commit above @limit; U64_MAX: at the end of the
 * stream.  To replay, pass smr_extent.replayable unless the recording is
 * complete.  With a limit, damage ends the stream as well: what comes before
 * a commit <= smr_extent.replayable is whole.
 */
int smr_log_open(struct smr_log **l, const struct smr_reader *r, u32 stream, u64 limit,
		 struct smr_err *err);
void smr_log_close(struct smr_log *l);

/*
 * Next record, decoded.  Returns 1; 0 at the end; an error where the stream is
 * damaged.  Pointers are valid until the next call.  @bytes and @len: the
 * record as stored; may be NULL.
 */
int smr_log_next(struct smr_log *l, struct smr_record *rec, const u8 **bytes, u32 *len,
		 struct smr_err *err);

/*
 * Next bytes of the stream, up to @size and not necessarily whole records.
 * Returns how many, 0 at the end.  Not to be mixed with smr_log_next().
 */
int smr_log_read(struct smr_log *l, void *buf, u32 size, struct smr_err *err);

/*
 * Disk images that a recording names instead of holding what devices have read from them.
 * The blob "images" has a line for each: its size in bytes, a space, its path.
 */
struct smr_images;

/*
 * Opens them all, for reading: @dir NULL: where they were; else there, by their names without
 * the rest of the path.  *@images is NULL if the recording names none.
 */
int smr_images_open(struct smr_images **images, const struct smr_reader *r, const char *dir,
		    struct smr_err *err);
void smr_images_close(struct smr_images *images);
/* Reads what the records up to commit @limit name, and compares it with what it was. */
int smr_images_check(const struct smr_images *images, const struct smr_reader *r, u64 limit,
		     struct smr_err *err);

/*
 * From now on @l returns a DMA with the bytes for each DMA_REF.  SMR_FILE_EIMAGE if they are
 * not what they were.
 */
int smr_log_use_images(struct smr_log *l, const struct smr_images *images, struct smr_err *err);

u64 smr_log_offset(const struct smr_log *l);	/* file offset of the current segment */
u32 smr_log_time(const struct smr_log *l);	/* when it was written, as smr_segment.time_ms */
const struct smr_stream *smr_log_state(const struct smr_log *l);

u32 smr_crc32c(u32 crc, const void *data, size_t len);	/* start with 0 */

#endif /* SMR_FILE_H */
