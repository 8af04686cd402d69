// SPDX-License-Identifier: GPL-2.0
/*
 * Pages over which this vCPU's chunks have lost: a chunk ends before it touches
 * one, if it has done enough work that losing it would cost more than a commit.
 *
 * The page's EPT entry is made non-present when a chunk begins.  The first touch
 * is then an EPT violation, which the guest causes itself: the end needs no
 * position.  Replay withholds the page the record names (and no other) from the
 * same start, and gets the same violation.
 *
 * What the instruction has done before it touched the page, accessed and dirty
 * flags in the guest's page tables and stores to other pages, is the same there:
 * while recording, it may have been tried before, up to violations on other
 * pages, but each try does what the one before has done, and goes on.  RULE 6
 * holds as for any other end: both flush when the chunk begins, and a page comes
 * back without a flush, because non-present entries are not cached.  A page of the
 * guest's page tables is touched by the first access that needs it, because there are
 * no global translations (design.rst, "Translation caches").
 */
#include "samsara.h"
#include "trace.h"

/* Tallies are halved when there are so many touches: the guest changes. */
#define TALLY_MAX	64
/* The first conflict may be the last one. */
#define TOUCHES_PRIOR	8

static struct samsara_contended *find(struct samsara_vcpu *sv, struct samsara_page *sp)
{
	u32 i;

	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++)
		if (sv->contended[i].conflicts && sv->contended[i].page == sp)
			return &sv->contended[i];
	return NULL;
}

/* In place of the page with the fewest conflicts. */
static struct samsara_contended *add(struct samsara_vcpu *sv, struct samsara_page *sp)
{
	struct samsara_contended *least = &sv->contended[0];
	u32 i;

	for (i = 1; i < SAMSARA_MAX_CONTENDED; i++)
		if (sv->contended[i].conflicts < least->conflicts)
			least = &sv->contended[i];
	*least = (struct samsara_contended) {
		.page = sp,
		.sptep = samsara_ept_leaf(&sv->copies_ept, sp->gfn),
		.touches = TOUCHES_PRIOR,
	};
	return least;
}

static void age(struct samsara_contended *c)
{
	if (c->touches < TALLY_MAX && c->conflicts < TALLY_MAX)
		return;
	c->touches = max(c->touches / 2, 1);
	c->conflicts /= 2;
}

/* After a failed check. */
void samsara_note_conflicts(struct samsara_vcpu *sv)
{
	struct samsara_contended *c;
	u32 i;

	for (i = 0; i < sv->nr_access; i++) {
		if (!smr_page_stale(&sv->access[i]->meta, sv->start_seq))
			continue;
		trace_kvm_samsara_conflict(sv->id, sv->access[i]->gfn, sv->start_seq,
					   smr_read_once(&sv->access[i]->meta.version));
		c = find(sv, sv->access[i]) ?: add(sv, sv->access[i]);
		c->conflicts++;
		age(c);
	}
}

/* A chunk begins.  IRQs are off. */
void samsara_withhold_contended(struct samsara_vcpu *sv)
{
	u32 i;

	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++)
		if (sv->contended[i].conflicts)
			samsara_ept_withhold(sv->contended[i].sptep);
}

/*
 * Branches a chunk should have at risk over the page: so many that losing them,
 * as often as it happens, costs as much as a commit.
 */
static u64 bearable_loss(struct samsara_vcpu *sv, const struct samsara_contended *c)
{
	u64 limit = sv->limit;
	u64 cost = min_t(u64, SAMSARA_COMMIT_COST, limit / 8);

	return min_t(u64, limit, div64_u64(cost * c->touches, c->conflicts));
}

/*
 * An EPT violation on a page that is withheld.  True: the chunk ends; false: the
 * page is back.
 */
bool samsara_touch_ends_chunk(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep)
{
	struct samsara_contended *c;
	struct smr_position now;

	if (samsara_replaying(sv->vm))
		return true;
	c = find(sv, sp);
	/* An event that is being delivered belongs to this chunk. */
	if (c && !samsara_event_requeued(sv->vcpu) && READ_ONCE(sv->vm->exclusive) != sv) {
		samsara_position(sv, &now);
		if (now.branches > bearable_loss(sv, c))
			return true;
		c->touches++;
		age(c);
		/*
		 * It goes on with the page in its read-set: not for long, or it would
		 * lose all it does from here when another vCPU commits the page.
		 */
		if (c->conflicts)
			samsara_shorten_chunk(sv, bearable_loss(sv, c));
	}
	samsara_ept_give_back(sptep);
	return false;
}
