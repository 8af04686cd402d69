/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Notes: what a guest gave to its disks, networks and consoles, and got from its networks.
 *
 * A replay has no devices and does not need them.  Notes are for those who want to see what
 * they would have: they say when what was in which bytes of guest memory, which a replay
 * has again after the same commit.  What has not been in guest memory is in the note itself.
 * The last ones of a parallel recording say over which pages it has lost time.
 */
#ifndef SMR_NOTE_H
#define SMR_NOTE_H

#include "smr_file.h"

enum smr_note_kind {
	SMR_NOTE_WRITE		= 1,	/* to a disk */
	SMR_NOTE_ZERO		= 2,	/* a disk's bytes became zero */
	SMR_NOTE_SENT		= 3,	/* a packet from the guest */
	SMR_NOTE_RECEIVED	= 4,	/* a packet to the guest */
	SMR_NOTE_TEXT		= 5,	/* to a console that is no serial port */
	SMR_NOTE_LOST		= 6,	/* there were more than could be kept: some are missing */
	SMR_NOTE_REGISTER	= 7,	/* written to a card's register */
	SMR_NOTE_HOT		= 8,	/* what a vCPU's chunks lost time over: struct kvm_samsara_hot_spot */
};

#define SMR_NOTE_DATA_MAX	(128u * 1024)	/* bytes that a note is about; ZERO: any number */
#define SMR_NOTE_PIECES_MAX	(256u * 1024)
#define SMR_NOTE_HEAD_MAX	64u		/* encoded, without pieces */
#define SMR_NOTE_MAX		(SMR_NOTE_HEAD_MAX + SMR_NOTE_PIECES_MAX)

struct smr_note {
	u8 kind;		/* enum smr_note_kind */
	u32 device;		/* number of the line in the blob "outputs"; HOT: of the vCPU */
	u32 crc;		/* CRC32C of the bytes; REGISTER: the value */
	u64 commit;		/* guest memory after it has the bytes */
	u64 time_us;		/* since the start of the recording */
	u64 position;		/* on a disk, in bytes; REGISTER: which */
	u64 size;		/* of all pieces */
	const u8 *pieces;	/* encoded, one after the other */
	u32 pieces_len;
};

struct smr_piece {
	u64 ram;		/* RAM address, if data is NULL */
	u32 len;
	const u8 *data;
};

/* Returns 0; -ENOSPC; -EINVAL: no such note.  @b may have changed then. */
int smr_note_encode(const struct smr_note *note, struct smr_buf *b);
/* Returns 1 and the next note, whose pieces are sound; 0 at the end; -EBADMSG. */
int smr_note_decode(struct smr_cursor *c, struct smr_note *note);

void smr_note_put_piece(struct smr_buf *b, const struct smr_piece *piece);
/* Returns 1 and the next piece, 0 at the end, -EBADMSG. */
int smr_note_piece(struct smr_cursor *c, struct smr_piece *piece);

/* Hot spots, in the one piece of a note */
struct kvm_samsara_hot_spot;

#define SMR_HOT_SPOT_MAX	55u	/* bytes, encoded */

void smr_note_put_hot(struct smr_buf *b, const struct kvm_samsara_hot_spot *spot);
/* Returns 1 and the next one, 0 at the end, -EBADMSG.  @c: the bytes of the note's piece. */
int smr_note_get_hot(struct smr_cursor *c, struct kvm_samsara_hot_spot *spot);

/* Encoded notes, whole ones; they are written with the next smr_writer_flush(). */
int smr_writer_notes(struct smr_writer *w, const void *data, size_t len, struct smr_err *err);

/* All notes of a recording, in the order in which they were written: nearly that of commits. */
struct smr_notes;

/* Where a note is. */
struct smr_note_place {
	u32 segment;
	u32 offset;		/* in its payload */
};

int smr_notes_open(struct smr_notes **notes, const struct smr_reader *r, struct smr_err *err);
void smr_notes_close(struct smr_notes *notes);
/* Returns 1 and the next note, which is valid until the next call; 0 at the end; or an error. */
int smr_notes_next(struct smr_notes *notes, struct smr_note *note, struct smr_note_place *place,
		   struct smr_err *err);
/* The note at @place, where smr_notes_next() goes on then.  Returns as that. */
int smr_notes_at(struct smr_notes *notes, const struct smr_note_place *place,
		 struct smr_note *note, struct smr_err *err);

#endif /* SMR_NOTE_H */
