// SPDX-License-Identifier: GPL-2.0
/* Notes of what a guest gave to its devices and got from its networks, see smr_note.h. */
#include "smr_note.h"

#include <linux/kvm_samsara.h>
#include <stdlib.h>

#include "smr_reader.h"

static bool fits_kind(const struct smr_note *note)
{
	switch (note->kind) {
	case SMR_NOTE_WRITE:
	case SMR_NOTE_SENT:
	case SMR_NOTE_RECEIVED:
	case SMR_NOTE_TEXT:
	case SMR_NOTE_HOT:
		return note->size <= SMR_NOTE_DATA_MAX;
	case SMR_NOTE_ZERO:
		return !note->pieces_len;
	case SMR_NOTE_LOST:
	case SMR_NOTE_REGISTER:
		return !note->size && !note->pieces_len;
	default:
		return false;
	}
}

static void put_head(struct smr_buf *b, const struct smr_note *note)
{
	smr_put_varint(b, note->commit);
	smr_put_varint(b, note->time_us);
	smr_put_varint(b, note->device);
	smr_put_varint(b, note->position);
	smr_put_varint(b, note->size);
	smr_put_varint(b, note->crc);
}

int smr_note_encode(const struct smr_note *note, struct smr_buf *b)
{
	u8 bytes[SMR_NOTE_HEAD_MAX];
	struct smr_buf head = { .p = bytes, .size = sizeof(bytes) };

	if (!fits_kind(note) || note->pieces_len > SMR_NOTE_PIECES_MAX)
		return -EINVAL;
	put_head(&head, note);
	smr_put_u8(b, note->kind);
	smr_put_varint(b, head.len + note->pieces_len);
	smr_put_bytes(b, bytes, head.len);
	smr_put_bytes(b, note->pieces, note->pieces_len);
	return b->full ? -ENOSPC : 0;
}

static u32 get_u32(struct smr_cursor *c)
{
	u64 v = smr_get_varint(c);

	if (v > 0xffffffffu)
		c->bad = true;
	return (u32)v;
}

/* Do the pieces have as many bytes as the note says? */
static bool pieces_ok(const struct smr_note *note)
{
	struct smr_cursor c = { note->pieces, note->pieces + note->pieces_len, false };
	struct smr_piece piece;
	u64 size = 0;
	int ret;

	if (!note->pieces_len && (note->kind == SMR_NOTE_ZERO || !note->size))
		return true;
	while ((ret = smr_note_piece(&c, &piece)) > 0)
		size += piece.len;
	return !ret && size == note->size;
}

int smr_note_decode(struct smr_cursor *c, struct smr_note *note)
{
	struct smr_cursor body;
	const u8 *p;
	u32 len;

	if (c->p == c->end)
		return 0;
	memset(note, 0, sizeof(*note));
	note->kind = smr_get_u8(c);
	len = get_u32(c);
	p = smr_get_bytes(c, len);
	if (c->bad)
		return -EBADMSG;
	body = (struct smr_cursor){ p, p + len, false };
	note->commit = smr_get_varint(&body);
	note->time_us = smr_get_varint(&body);
	note->device = get_u32(&body);
	note->position = smr_get_varint(&body);
	note->size = smr_get_varint(&body);
	note->crc = get_u32(&body);
	note->pieces = body.p;
	note->pieces_len = (u32)(body.end - body.p);
	if (body.bad || !fits_kind(note) || note->pieces_len > SMR_NOTE_PIECES_MAX ||
	    note->position + note->size < note->position || !pieces_ok(note))
		return -EBADMSG;
	return 1;
}

void smr_note_put_piece(struct smr_buf *b, const struct smr_piece *piece)
{
	smr_put_varint(b, (u64)piece->len << 1 | !piece->data);
	if (piece->data)
		smr_put_bytes(b, piece->data, piece->len);
	else
		smr_put_varint(b, piece->ram);
}

int smr_note_piece(struct smr_cursor *c, struct smr_piece *piece)
{
	u64 head;

	if (c->p == c->end)
		return 0;
	head = smr_get_varint(c);
	*piece = (struct smr_piece){ .len = (u32)(head >> 1) };
	if (c->bad || head >> 1 > SMR_NOTE_DATA_MAX)
		return -EBADMSG;
	if (head & 1)
		piece->ram = smr_get_varint(c);
	else
		piece->data = smr_get_bytes(c, piece->len);
	return c->bad ? -EBADMSG : 1;
}

void smr_note_put_hot(struct smr_buf *b, const struct kvm_samsara_hot_spot *spot)
{
	smr_put_varint(b, spot->kind);
	smr_put_varint(b, spot->ram);
	smr_put_varint(b, spot->rip);
	smr_put_varint(b, spot->linear);
	smr_put_varint(b, spot->count);
	smr_put_varint(b, spot->cycles);
}

int smr_note_get_hot(struct smr_cursor *c, struct kvm_samsara_hot_spot *spot)
{
	if (c->p == c->end)
		return 0;
	memset(spot, 0, sizeof(*spot));
	spot->kind = get_u32(c);
	spot->ram = smr_get_varint(c);
	spot->rip = smr_get_varint(c);
	spot->linear = smr_get_varint(c);
	spot->count = smr_get_varint(c);
	spot->cycles = smr_get_varint(c);
	return c->bad ? -EBADMSG : 1;
}

struct smr_notes {
	const struct smr_reader *r;
	u32 segment;		/* whose payload is here; or SMR_NO_SEGMENT: none yet, or no more */
	u32 next;		/* the one after it */
	struct smr_cursor rest;	/* of the payload */
	u8 payload[];
};

int smr_notes_open(struct smr_notes **out, const struct smr_reader *r, struct smr_err *err)
{
	struct smr_notes *notes = calloc(1, sizeof(*notes) + r->largest);

	*out = notes;
	if (!notes)
		return smr_fail(err, SMR_FILE_EMEM, r->path, 0, "out of memory");
	notes->r = r;
	notes->segment = SMR_NO_SEGMENT;
	notes->next = r->chain[NOTES_CHAIN].first;
	return 0;
}

void smr_notes_close(struct smr_notes *notes)
{
	free(notes);
}

static int load_segment(struct smr_notes *notes, u32 i, struct smr_err *err)
{
	const struct smr_segment *s = smr_reader_segment(notes->r, i);
	int ret;

	if (!s || s->type != SMR_SEG_NOTES)
		return smr_fail(err, SMR_FILE_EINVAL, notes->r->path, 0, "segment %u has no notes", i);
	ret = smr_reader_payload(notes->r, i, notes->payload, err);
	if (ret)
		return ret;
	notes->segment = i;
	notes->next = s->next;
	notes->rest = (struct smr_cursor){ notes->payload, notes->payload + s->raw_len, false };
	return 0;
}

int smr_notes_next(struct smr_notes *notes, struct smr_note *note, struct smr_note_place *place,
		   struct smr_err *err)
{
	int ret;

	while (notes->rest.p == notes->rest.end) {
		if (notes->next == SMR_NO_SEGMENT)
			return 0;
		ret = load_segment(notes, notes->next, err);
		if (ret)
			return ret;
	}
	*place = (struct smr_note_place){
		notes->segment, (u32)(notes->rest.p - notes->payload),
	};
	ret = smr_note_decode(&notes->rest, note);
	if (ret < 0)
		return damaged(notes->r, &notes->r->segment[notes->segment], err,
			       "no note at byte %u of its payload", place->offset);
	return ret;
}

int smr_notes_at(struct smr_notes *notes, const struct smr_note_place *place,
		 struct smr_note *note, struct smr_err *err)
{
	struct smr_note_place there;
	int ret;

	if (place->segment != notes->segment) {
		ret = load_segment(notes, place->segment, err);
		if (ret)
			return ret;
	}
	if (place->offset >= (u32)(notes->rest.end - notes->payload))
		return smr_fail(err, SMR_FILE_EINVAL, notes->r->path, 0, "no note there");
	notes->rest.bad = false;
	notes->rest.p = notes->payload + place->offset;
	return smr_notes_next(notes, note, &there, err);
}
