/* SPDX-License-Identifier: GPL-2.0 */
/* samsara report: what its parts share. */
#ifndef REPORT_H
#define REPORT_H

#include "counts.h"

#define MAX_LABEL	SYMBOL_TEXT

/* Rows of a table that may have many more; then one for all others */
#define SHOWN		30u

struct row {
	char label[MAX_LABEL];
	u64 n;
};

/* Numbers that belong together, and sum up to something. */
struct table {
	const char *key;	/* for programs */
	const char *title;
	const char *what;	/* is counted */
	struct row *row;
	u32 nr;
	u64 total;		/* of all, also those that have no row */
};

struct positions;

/* What a walk over the log finds. */
struct survey {
	u32 nr_vcpus;
	struct counts stream[MAX_STREAMS];
	u64 end[SMR_END_TOUCH + 2];	/* of chunks; the last one: unknown ones */
	u64 length[65];		/* chunks that ended asynchronously, by bits of their branches */
	u64 beside[65];		/* chunks, by bits of the commits beside which they ran */
	u64 event[8][256];	/* injected, by type and vector */
	u64 dma, dma_named;	/* bytes that devices wrote: in the log, in images */
	u64 map, state;		/* bytes of memory maps and states of vCPUs */
	u64 commits;
	struct positions *positions;
	struct hot *hot;
};

/* Where chunks ended asynchronously: @symbols may be NULL. */
struct positions *positions_new(const struct symbols *symbols);
void positions_free(struct positions *p);
void positions_add(struct positions *p, u64 rip);
/* A table of those that were most often there; false: out of memory. */
bool positions_table(const struct positions *p, struct table *t);

struct hot;

/* Where chunks lost time, as the recording says: NULL if there is no memory.  @symbols may be NULL. */
struct hot *hot_new(const struct smr_reader *r, const struct symbols *symbols);
void hot_free(struct hot *hot);
/* Rows in any order, as many as there are; false: out of memory. */
bool hot_tables(struct hot *hot, struct table *pages, struct table *instructions,
		struct table *time);

/* Tables one after the other. */
#define NR_TABLES	10

struct report {
	const struct options *o;
	struct smr_totals totals;
	struct survey *s;
	struct table table[NR_TABLES];
};

/* Fills in the tables; false: out of memory. */
bool report_tables(struct report *rep);

void report_text(const struct report *rep);
void report_json(const struct report *rep);
void report_html(const struct report *rep, FILE *f);

#endif /* REPORT_H */
