// SPDX-License-Identifier: GPL-2.0
/* tools/lib: notes of what devices have got. */
#include "test.h"

#include <errno.h>
#include <linux/kvm_samsara.h>

#include "files.h"
#include "gen.h"
#include "smr_note.h"

#define NOTES	3000u

static u8 piece_bytes[4096];

/* What note @n is: the same each time. */
static void nth_note(u32 n, u8 *pieces, u32 room, struct smr_note *note)
{
	struct smr_buf b = { .p = pieces, .size = room };
	struct rng rng = { n + 1 };
	struct smr_piece piece;
	u32 i;

	*note = (struct smr_note){
		.kind = (u8)(1 + n % 8),
		.device = (u32)rng_below(&rng, 5),
		.crc = (u32)rng_next(&rng),
		.commit = rng_spread(&rng),
		.time_us = rng_spread(&rng),
		.position = rng_spread(&rng) / 2,
		.size = n % 8 == 1 ? rng_spread(&rng) / 2 : 0,
	};
	if (n % 8 == 1 || n % 8 == 5 || n % 8 == 6)
		return;
	for (i = 0; i < rng_below(&rng, 6); i++) {
		piece = (struct smr_piece){
			.ram = rng_spread(&rng),
			.len = (u32)rng_below(&rng, sizeof(piece_bytes)),
		};
		if (rng_below(&rng, 2)) {
			piece.ram = 0;
			piece.data = piece_bytes;
		}
		smr_note_put_piece(&b, &piece);
		note->size += piece.len;
	}
	assert_false(b.full);
	note->pieces = b.p;
	note->pieces_len = b.len;
}

static void assert_same(const struct smr_note *a, const struct smr_note *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->device, b->device);
	assert_int_equal(a->crc, b->crc);
	assert_true(a->commit == b->commit && a->time_us == b->time_us);
	assert_true(a->position == b->position && a->size == b->size);
	assert_int_equal(a->pieces_len, b->pieces_len);
	if (a->pieces_len)
		assert_memory_equal(a->pieces, b->pieces, a->pieces_len);
}

static void assert_nth(u32 n, const struct smr_note *note)
{
	static u8 pieces[65536];
	struct smr_note want;

	nth_note(n, pieces, sizeof(pieces), &want);
	assert_same(note, &want);
}

static u32 encode_nth(u32 n, u8 *bytes, u32 room)
{
	static u8 pieces[65536];
	struct smr_buf b = { .p = bytes, .size = room };
	struct smr_note note;

	nth_note(n, pieces, sizeof(pieces), &note);
	assert_int_equal(smr_note_encode(&note, &b), 0);
	return b.len;
}

static void test_round_trip(void **state)
{
	static u8 bytes[SMR_NOTE_MAX];
	struct smr_cursor c;
	struct smr_note note;
	u32 n, len;

	(void)state;
	for (n = 0; n < NOTES; n++) {
		len = encode_nth(n, bytes, sizeof(bytes));
		c = (struct smr_cursor){ bytes, bytes + len, false };
		assert_int_equal(smr_note_decode(&c, &note), 1);
		assert_nth(n, &note);
		assert_int_equal(smr_note_decode(&c, &note), 0);
	}
}

/* Cut anywhere, it is no note, and nothing behind the cut is read. */
static void test_cut(void **state)
{
	static u8 bytes[SMR_NOTE_MAX];
	struct smr_cursor c;
	struct smr_note note;
	u32 n, len, cut;
	u8 *exact;

	(void)state;
	for (n = 0; n < 60; n++) {
		len = encode_nth(n, bytes, sizeof(bytes));
		for (cut = 1; cut < len; cut += cut < 100 ? 1 : 97) {
			exact = malloc(cut);
			memcpy(exact, bytes, cut);
			c = (struct smr_cursor){ exact, exact + cut, false };
			assert_int_equal(smr_note_decode(&c, &note), -EBADMSG);
			free(exact);
		}
	}
}

/* A bit flipped anywhere: refused, or a note whose pieces can be taken one by one. */
static void test_flipped(void **state)
{
	static u8 bytes[SMR_NOTE_MAX];
	struct smr_cursor c, pieces;
	struct smr_piece piece;
	struct smr_note note;
	u32 n, len, bit, bits;
	u64 size;
	int ret;

	(void)state;
	for (n = 0; n < 60; n++) {
		len = encode_nth(n, bytes, sizeof(bytes));
		bits = len < 60 ? 8 * len : 480;
		for (bit = 0; bit < bits; bit++) {
			bytes[bit / 8] ^= (u8)(1u << bit % 8);
			c = (struct smr_cursor){ bytes, bytes + len, false };
			if (smr_note_decode(&c, &note) == 1) {
				assert_true(note.pieces_len <= SMR_NOTE_PIECES_MAX);
				pieces = (struct smr_cursor){
					note.pieces, note.pieces + note.pieces_len, false,
				};
				size = 0;
				while ((ret = smr_note_piece(&pieces, &piece)) > 0)
					size += piece.len;
				assert_int_equal(ret, 0);
				assert_true(note.kind == SMR_NOTE_ZERO || size == note.size);
			}
			bytes[bit / 8] ^= (u8)(1u << bit % 8);
		}
	}
}

static void refuses(const struct smr_note *note)
{
	u8 bytes[SMR_NOTE_HEAD_MAX];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };

	assert_int_equal(smr_note_encode(note, &b), -EINVAL);
}

static void test_refused(void **state)
{
	struct smr_note note = { .kind = SMR_NOTE_WRITE, .size = SMR_NOTE_DATA_MAX + 1 };
	u8 bytes[SMR_NOTE_HEAD_MAX];
	struct smr_buf b = { .p = bytes, .size = 3 };
	static u8 many[1];

	(void)state;
	refuses(&note);
	refuses(&(struct smr_note){ .kind = 0 });
	refuses(&(struct smr_note){ .kind = 9 });
	refuses(&(struct smr_note){ .kind = SMR_NOTE_REGISTER, .size = 1 });
	refuses(&(struct smr_note){ .kind = SMR_NOTE_LOST, .size = 1 });
	refuses(&(struct smr_note){ .kind = SMR_NOTE_ZERO, .pieces = many, .pieces_len = 1 });
	refuses(&(struct smr_note){ .kind = SMR_NOTE_WRITE, .pieces = many,
				    .pieces_len = SMR_NOTE_PIECES_MAX + 1 });
	assert_int_equal(smr_note_encode(&(struct smr_note){ .kind = SMR_NOTE_ZERO }, &b), -ENOSPC);
}

static void test_hot_spots(void **state)
{
	const struct kvm_samsara_hot_spot most = {
		.kind = 0xffffffff, .ram = U64_MAX, .rip = U64_MAX, .linear = U64_MAX,
		.count = U64_MAX, .cycles = U64_MAX,
	}, least = { 0 };
	u8 bytes[2 * SMR_HOT_SPOT_MAX];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };
	struct kvm_samsara_hot_spot spot;
	struct smr_cursor c;
	u32 cut;

	(void)state;
	smr_note_put_hot(&b, &most);
	assert_int_equal(b.len, SMR_HOT_SPOT_MAX);
	smr_note_put_hot(&b, &least);
	assert_false(b.full);
	c = (struct smr_cursor){ bytes, bytes + b.len, false };
	assert_int_equal(smr_note_get_hot(&c, &spot), 1);
	assert_memory_equal(&spot, &most, sizeof(spot));
	assert_int_equal(smr_note_get_hot(&c, &spot), 1);
	assert_memory_equal(&spot, &least, sizeof(spot));
	assert_int_equal(smr_note_get_hot(&c, &spot), 0);
	for (cut = 1; cut < SMR_HOT_SPOT_MAX; cut++) {
		c = (struct smr_cursor){ bytes, bytes + cut, false };
		assert_int_equal(smr_note_get_hot(&c, &spot), -EBADMSG);
	}
	/* The kind has 32 bits. */
	bytes[4] = 0x1f;
	c = (struct smr_cursor){ bytes, bytes + b.len, false };
	assert_int_equal(smr_note_get_hot(&c, &spot), -EBADMSG);
}

static struct smr_writer *begin_file(void)
{
	const struct smr_writer_options o = { .nr_vcpus = 1, .compress = 1 };
	struct smr_writer *w;

	assert_int_equal(smr_writer_create(&w, path, &o, NULL), 0);
	assert_int_equal(smr_writer_end_initial(w, NULL), 0);
	return w;
}

/* More than one segment holds, in pieces of many sizes; read in order, and from anywhere. */
static void test_file(void **state)
{
	static struct smr_note_place places[NOTES];
	static u8 bytes[4 * SMR_NOTE_MAX];
	struct smr_writer *w = begin_file();
	struct smr_note_place place;
	struct smr_notes *notes;
	struct smr_reader *r;
	struct smr_note note;
	u32 n, len;

	(void)state;
	for (n = 0; n < NOTES;) {
		len = 0;
		do {
			len += encode_nth(n++, bytes + len, sizeof(bytes) - len);
		} while (n < NOTES && n % 17);
		assert_int_equal(smr_writer_notes(w, bytes, len, NULL), 0);
	}
	assert_int_equal(smr_writer_close(w, false, NULL), 0);

	assert_int_equal(smr_reader_open(&r, path, NULL), 0);
	assert_true(smr_reader_nr_segments(r) > 3);
	assert_int_equal(smr_notes_open(&notes, r, NULL), 0);
	for (n = 0; n < NOTES; n++) {
		assert_int_equal(smr_notes_next(notes, &note, &places[n], NULL), 1);
		assert_nth(n, &note);
	}
	assert_int_equal(smr_notes_next(notes, &note, &place, NULL), 0);
	for (n = NOTES; n--;) {
		assert_int_equal(smr_notes_at(notes, &places[n], &note, NULL), 1);
		assert_nth(n, &note);
	}
	place = (struct smr_note_place){ places[0].segment, SMR_SEGMENT_MAX };
	assert_int_equal(smr_notes_at(notes, &place, &note, NULL), SMR_FILE_EINVAL);
	place.segment = 0;
	assert_int_equal(smr_notes_at(notes, &place, &note, NULL), SMR_FILE_EINVAL);
	smr_notes_close(notes);
	smr_reader_close(r);
}

static void test_bad_notes_refused(void **state)
{
	struct smr_writer *w = begin_file();
	u8 bytes[200];
	u32 len = encode_nth(1, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(smr_writer_notes(w, bytes, len, NULL), 0);
	assert_int_equal(smr_writer_notes(w, bytes, len - 1, NULL), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_notes(w, bytes, len, NULL), 0);
	assert_int_equal(smr_writer_close(w, false, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hot_spots),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_bad_notes_refused),
	};

	return cmocka_run_group_tests_name("note", tests, files_set_up, files_tear_down);
}
