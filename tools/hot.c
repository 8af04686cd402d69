// SPDX-License-Identifier: GPL-2.0
/* samsara report: what the chunks of a parallel recording lost time over. */
#include <linux/kvm_samsara.h>
#include <stdlib.h>

#include "report.h"
#include "smr_note.h"

/* Of all vCPUs; a file may say that there are more. */
#define MAX_SPOTS	(64u * KVM_SAMSARA_HOT_MAX)

struct hot {
	const struct symbols *symbols;
	u32 nr;
	struct kvm_samsara_hot_spot spot[MAX_SPOTS];
};

static void add_spots(struct hot *hot, const struct smr_note *note)
{
	struct smr_cursor pieces = { note->pieces, note->pieces + note->pieces_len, false }, c;
	struct smr_piece piece;

	while (smr_note_piece(&pieces, &piece) > 0) {
		if (!piece.data)
			continue;
		c = (struct smr_cursor){ piece.data, piece.data + piece.len, false };
		while (hot->nr < MAX_SPOTS && smr_note_get_hot(&c, &hot->spot[hot->nr]) > 0)
			hot->nr++;
	}
}

struct hot *hot_new(const struct smr_reader *r, const struct symbols *symbols)
{
	struct hot *hot = calloc(1, sizeof(*hot));
	struct smr_note_place place;
	struct smr_notes *notes;
	struct smr_note note;

	if (!hot)
		return NULL;
	hot->symbols = symbols;
	if (smr_notes_open(&notes, r, NULL)) {
		free(hot);
		return NULL;
	}
	/* What is damaged is not there. */
	while (smr_notes_next(notes, &note, &place, NULL) > 0)
		if (note.kind == SMR_NOTE_HOT)
			add_spots(hot, &note);
	smr_notes_close(notes);
	return hot;
}

void hot_free(struct hot *hot)
{
	free(hot);
}

/* Spots that are one row come after each other. */
static int by_page(const void *a, const void *b)
{
	const struct kvm_samsara_hot_spot *x = a, *y = b;

	return x->ram < y->ram ? -1 : x->ram > y->ram;
}

static int by_instruction(const void *a, const void *b)
{
	const struct kvm_samsara_hot_spot *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->rip < y->rip ? -1 : x->rip > y->rip;
}

static void label_page(const struct hot *hot, const struct kvm_samsara_hot_spot *spot, char *label)
{
	int n = snprintf(label, MAX_LABEL, "RAM 0x%llx", ULL(spot->ram));

	(void)hot;
	if (spot->linear)
		snprintf(label + n, MAX_LABEL - (size_t)n, ", linear 0x%llx", ULL(spot->linear));
}

static void label_instruction(const struct hot *hot, const struct kvm_samsara_hot_spot *spot, char *label)
{
	const char *what = spot->kind == KVM_SAMSARA_HOT_TOUCH ? "before" : "back to";
	char text[SYMBOL_TEXT];

	if (symbols_text(hot->symbols, spot->rip, text))
		snprintf(label, MAX_LABEL, "%s %.140s", what, text);
	else
		snprintf(label, MAX_LABEL, "%s 0x%llx", what, ULL(spot->rip));
}

static u64 times(const struct kvm_samsara_hot_spot *spot)
{
	return spot->count;
}

static u64 cycles(const struct kvm_samsara_hot_spot *spot)
{
	return spot->cycles;
}

static u64 sum(u64 a, u64 b)
{
	return a > U64_MAX - b ? U64_MAX : a + b;
}

/* @t has its texts. */
static bool make_table(struct hot *hot, struct table *t,
		       int (*compare)(const void *a, const void *b),
		       void (*label)(const struct hot *hot, const struct kvm_samsara_hot_spot *spot, char *text),
		       u64 (*number)(const struct kvm_samsara_hot_spot *spot))
{
	const struct kvm_samsara_hot_spot *spot, *last = NULL;
	struct row *row = NULL;
	u32 i;

	t->row = calloc(hot->nr + 1, sizeof(*t->row));
	if (!t->row)
		return false;
	qsort(hot->spot, hot->nr, sizeof(hot->spot[0]), compare);
	for (i = 0; i < hot->nr; i++) {
		spot = &hot->spot[i];
		if (!number(spot))
			continue;
		if (!last || compare(last, spot))
			row = &t->row[t->nr++];
		last = spot;
		row->n = sum(row->n, number(spot));
		t->total = sum(t->total, number(spot));
		if (!row->label[0] || spot->linear)
			label(hot, spot, row->label);
	}
	return true;
}

bool hot_tables(struct hot *hot, struct table *pages, struct table *instructions,
		struct table *time)
{
	*pages = (struct table){
		.key = "hot_pages", .what = "chunks",
		.title = "Pages over which chunks were rolled back or ended early (a sample)",
	};
	*instructions = (struct table){
		.key = "hot_instructions", .what = "chunks",
		.title = "Instructions before which they ended, or to which they went back (a sample)",
	};
	*time = (struct table){
		.key = "hot_cycles", .what = "cycles",
		.title = "Host cycles lost or waited over pages (a sample)",
	};
	return make_table(hot, pages, by_page, label_page, times) &&
	       make_table(hot, instructions, by_instruction, label_instruction, times) &&
	       make_table(hot, time, by_page, label_page, cycles);
}
