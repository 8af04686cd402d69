// SPDX-License-Identifier: GPL-2.0
/* Positions in a recording. */
#include "smr_seek.h"

#include <string.h>

/* What a digit is worth; @base or more: it is none. */
static u64 digit(char c, u64 base)
{
	if (c >= '0' && c <= '9')
		return (u64)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (u64)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (u64)(c - 'A') + 10;
	return base;
}

static bool get_number(const char **text, u64 base, u64 *v)
{
	const char *p = *text;
	u64 d;

	for (*v = 0; (d = digit(*p, base)) < base; p++) {
		if (*v > (U64_MAX - d) / base)
			return false;
		*v = *v * base + d;
	}
	if (p == *text)
		return false;
	*text = p;
	return true;
}

static bool get_digits(const char **text, u64 *v)
{
	return get_number(text, 10, v);
}

/* Seconds, as milliseconds */
static bool get_time(const char **text, u64 *ms)
{
	u64 unit = 100;

	if (!get_digits(text, ms) || *ms > U64_MAX / 1000 - 1)
		return false;
	*ms *= 1000;
	if (**text != '.')
		return true;
	for (++*text; **text >= '0' && **text <= '9'; ++*text) {
		if (!unit)
			return false;
		*ms += (u64)(**text - '0') * unit;
		unit /= 10;
	}
	return unit < 100;
}

static bool skip(const char **text, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*text, word, len))
		return false;
	*text += len;
	return true;
}

/* What comes after the commit's number and "+" */
static bool get_place(const char **text, struct smr_seek *p)
{
	p->kind = SMR_AT_PLACE;
	p->jumps = p->rip = 0;
	return p->n && get_digits(text, &p->branches) &&
	       (!skip(text, "+") || get_digits(text, &p->jumps)) &&
	       (!skip(text, "@0x") || get_number(text, 16, &p->rip));
}

bool smr_seek_parse(const char *text, struct smr_seek *p)
{
	if (skip(&text, "time:")) {
		p->kind = SMR_AT_TIME;
		return get_time(&text, &p->n) && !*text;
	}
	p->kind = skip(&text, "line:") ? SMR_AT_LINE : SMR_AT_COMMIT;
	if (!get_digits(&text, &p->n))
		return false;
	if (p->kind == SMR_AT_COMMIT && skip(&text, "+") && !get_place(&text, p))
		return false;
	return !*text;
}

/* By when which commit was done. */
struct point {
	u64 ms;
	u64 commit;
};

/*
 * The last point before @n, and the first one from there on, or the last of all.  Those of a
 * damaged file may go back: they don't count.
 */
static void around(const struct smr_reader *r, bool time, u64 n, struct point *before,
		   struct point *after)
{
	const struct smr_segment *s;
	u64 i;

	*before = *after = (struct point){ 0, 0 };
	for (i = 0; i < smr_reader_nr_segments(r); i++) {
		s = smr_reader_segment(r, i);
		if (s->type != SMR_SEG_STREAM || s->last <= after->commit || s->time_ms < after->ms)
			continue;
		if (s->time_ms > after->ms) {
			if ((time ? after->ms : after->commit) >= n)
				return;
			*before = *after;
		}
		*after = (struct point){ s->time_ms, s->last };
	}
}

/* Where @at, from @a to @b, is from @to_a to @to_b. */
static u64 between(u64 at, u64 a, u64 b, u64 to_a, u64 to_b)
{
	return to_a + (u64)((__uint128_t)(at - a) * (to_b - to_a) / (b - a));
}

u64 smr_commit_at(const struct smr_reader *r, u64 ms)
{
	struct point a, b;

	around(r, true, ms, &a, &b);
	return b.ms <= ms ? b.commit : between(ms, a.ms, b.ms, a.commit, b.commit);
}

u64 smr_time_of(const struct smr_reader *r, u64 commit)
{
	struct point a, b;

	around(r, false, commit, &a, &b);
	return b.commit <= commit ? b.ms : between(commit, a.commit, b.commit, a.ms, b.ms);
}
