// SPDX-License-Identifier: GPL-2.0
/* samsara report: from what was counted to tables of what there is of it. */
#include <stdlib.h>

#include "report.h"

static struct row *add_row(struct table *t, u64 n)
{
	struct row *row = &t->row[t->nr];

	t->total += n;
	if (!n)
		return NULL;
	row->n = n;
	t->nr++;
	return row;
}

static bool begin(struct table *t, const char *key, const char *title, const char *what, u32 room)
{
	*t = (struct table){ .key = key, .title = title, .what = what };
	t->row = calloc(room, sizeof(*t->row));
	return t->row != NULL;
}

static int by_number(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return strcmp(x->label, y->label);
}

static void most_first(struct table *t)
{
	if (t->nr)
		qsort(t->row, t->nr, sizeof(*t->row), by_number);
}

/* Of more rows than are shown, one is left of the others. */
static void cut(struct table *t)
{
	u32 i;

	if (t->nr <= SHOWN)
		return;
	for (i = SHOWN + 1; i < t->nr; i++)
		t->row[SHOWN].n += t->row[i].n;
	strcpy(t->row[SHOWN].label, "elsewhere");
	t->nr = SHOWN + 1;
}

static void label_end(struct row *row, u16 end)
{
	const char *name = smr_end_name(end);

	if (end <= SMR_END_TOUCH && !strcmp(name, "unknown"))
		snprintf(row->label, sizeof(row->label), "exit reason %u", end);
	else
		snprintf(row->label, sizeof(row->label), "%s", name);
}

static bool ends(const struct survey *s, struct table *t)
{
	const u32 nr = SMR_END_TOUCH + 2;
	struct row *row;
	u32 i;

	if (!begin(t, "ends", "What ended chunks", "chunks", nr))
		return false;
	for (i = 0; i < nr; i++) {
		row = add_row(t, s->end[i]);
		if (row)
			label_end(row, (u16)i);
	}
	most_first(t);
	return true;
}

/* Numbers that have as many bits: "4-7" */
static void label_bits(struct row *row, u32 bits)
{
	u64 low = bits ? 1ull << (bits - 1) : 0;

	if (bits < 2)
		snprintf(row->label, sizeof(row->label), "%u", bits);
	else
		snprintf(row->label, sizeof(row->label), "%llu-%llu", ULL(low), ULL(low + (low - 1)));
}

static bool histogram(const u64 count[65], struct table *t, const char *key, const char *title)
{
	struct row *row;
	u32 i;

	if (!begin(t, key, title, "chunks", 65))
		return false;
	for (i = 0; i < 65; i++) {
		row = add_row(t, count[i]);
		if (row)
			label_bits(row, i);
	}
	return true;
}

static bool commits(const struct survey *s, struct table *t)
{
	struct row *row;
	u32 i, type;

	if (!begin(t, "commits", "Who committed what", "commits",
		   MAX_STREAMS * (SMR_DMA_REF + 1)))
		return false;
	for (i = 0; i <= s->nr_vcpus; i++) {
		for (type = 0; type <= SMR_DMA_REF; type++) {
			row = smr_is_commit((u8)type) ? add_row(t, s->stream[i].records[type]) : NULL;
			if (row && i < s->nr_vcpus)
				snprintf(row->label, sizeof(row->label), "vcpu %u %s", i,
					 smr_type_name((u8)type));
			else if (row)
				snprintf(row->label, sizeof(row->label), "vm %s",
					 smr_type_name((u8)type));
		}
	}
	return true;
}

static void add_bytes(struct table *t, const char *label, u64 n)
{
	struct row *row = add_row(t, n);

	if (row)
		snprintf(row->label, sizeof(row->label), "%s", label);
}

static bool bytes(const struct survey *s, struct table *t)
{
	u64 order = 0, input = 0;
	u32 i;

	if (!begin(t, "bytes", "What the log consists of, not compressed", "bytes", 5))
		return false;
	for (i = 0; i <= s->nr_vcpus; i++) {
		order += s->stream[i].order;
		input += s->stream[i].input;
	}
	add_bytes(t, "records without their data", order);
	add_bytes(t, "inputs of vCPUs", input - s->dma - s->map - s->state);
	add_bytes(t, "written by devices", s->dma);
	add_bytes(t, "memory maps", s->map);
	add_bytes(t, "states of vCPUs", s->state);
	return true;
}

static bool events(const struct survey *s, struct table *t)
{
	struct row *row;
	u32 type, vector;

	if (!begin(t, "events", "What was injected", "events", 8 * 256))
		return false;
	for (type = 0; type < 8; type++) {
		for (vector = 0; vector < 256; vector++) {
			row = add_row(t, s->event[type][vector]);
			if (row)
				snprintf(row->label, sizeof(row->label), "%s %u",
					 event_kind(type << 8), vector);
		}
	}
	most_first(t);
	return true;
}

static bool hot(const struct survey *s, struct table t[3])
{
	u32 i;

	if (!hot_tables(s->hot, &t[0], &t[1], &t[2]))
		return false;
	for (i = 0; i < 3; i++) {
		most_first(&t[i]);
		cut(&t[i]);
	}
	return true;
}

bool report_tables(struct report *rep)
{
	const struct survey *s = rep->s;
	struct table *t = rep->table;

	t[3] = (struct table){
		.key = "positions", .what = "chunks",
		.title = rep->o->symbols ? "Functions in which chunks ended asynchronously" :
					   "Where chunks ended asynchronously",
	};
	return ends(s, &t[0]) &&
	       histogram(s->length, &t[1], "lengths",
			 "Conditional branches in chunks that ended asynchronously") &&
	       histogram(s->beside, &t[2], "beside", "Commits of others while a chunk ran") &&
	       positions_table(s->positions, &t[3]) && events(s, &t[4]) && commits(s, &t[5]) &&
	       bytes(s, &t[6]) && hot(s, &t[7]);
}
