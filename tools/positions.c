// SPDX-License-Identifier: GPL-2.0
/*
 * Where chunks ended, by how often.  There are as many places as a guest likes: those that find
 * none free near where they belong are counted together, which bounds memory and time.
 */
#include <stdlib.h>

#include "report.h"

#define PLACES		(1u << 16)
#define NEAR		16u

struct place {
	u64 addr;		/* of the function, or the position itself */
	const char *name;	/* NULL: none */
	u64 n;			/* 0: free */
};

struct positions {
	const struct symbols *symbols;
	u64 total;
	struct place place[PLACES];
};

struct positions *positions_new(const struct symbols *symbols)
{
	struct positions *p = calloc(1, sizeof(*p));

	if (p)
		p->symbols = symbols;
	return p;
}

void positions_free(struct positions *p)
{
	free(p);
}

void positions_add(struct positions *p, u64 rip)
{
	u64 addr = rip;
	const char *name = symbols_find(p->symbols, rip, &addr);
	u32 i = (u32)((addr * 0x9e3779b97f4a7c15ull) >> 48), k;
	struct place *at;

	p->total++;
	for (k = 0; k < NEAR; k++) {
		at = &p->place[(i + k) % PLACES];
		if (at->n && (at->addr != addr || at->name != name))
			continue;
		at->addr = addr;
		at->name = name;
		at->n++;
		return;
	}
}

static int compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

bool positions_table(const struct positions *p, struct table *t)
{
	struct place *sorted = malloc(sizeof(p->place));
	u64 shown = 0;
	struct row *row;

	t->row = calloc(SHOWN + 1, sizeof(*t->row));
	t->total = p->total;
	if (!t->row || !sorted) {
		free(sorted);
		return false;
	}
	memcpy(sorted, p->place, sizeof(p->place));
	qsort(sorted, PLACES, sizeof(*sorted), compare);
	for (; t->nr < SHOWN && sorted[t->nr].n; t->nr++) {
		row = &t->row[t->nr];
		row->n = sorted[t->nr].n;
		shown += row->n;
		if (sorted[t->nr].name)
			snprintf(row->label, sizeof(row->label), "%s", sorted[t->nr].name);
		else
			snprintf(row->label, sizeof(row->label), "0x%llx", ULL(sorted[t->nr].addr));
	}
	free(sorted);
	if (shown == p->total)
		return true;
	row = &t->row[t->nr++];
	row->n = p->total - shown;
	strcpy(row->label, "elsewhere");
	return true;
}
