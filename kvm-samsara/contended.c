// SPDX-License-Identifier: GPL-2.0
/*
 * Pages over which chunks have failed: locks, barriers, queues, data that lies beside
 * another vCPU's.  To speculate about those does not pay, so a vCPU *reserves* one
 * when its chunk first touches it, for reading or for writing, until the chunk ends.
 * Who finds a page reserved for writing ends its chunk before it touches the page, and
 * asks the other to end its own, too; then it waits, with no chunk open, and begins the
 * next one.  Readers don't wait for each other.  Who reserves a page for writing asks
 * those who have read it to end their chunks, and goes on: they commit first.
 *
 * All this is about speed only.  Whether a chunk commits is decided by the check of
 * mode_speculate.c alone, so a reservation may be wrong, late or lost, and no wait is longer
 * than MOST_WAIT.
 *
 * The page's EPT entry is made non-present when a chunk begins.  The first touch
 * is then an EPT violation, which the guest causes itself: an end there needs no
 * position.  Replay withholds the page the record names (and no other) from the
 * same start, and gets the same violation.  A page that was reserved for reading is
 * given back for reading only; its first write is a violation, too, but ends no chunk.
 *
 * What the instruction has done before it touched the page, accessed and dirty
 * flags in the guest's page tables and stores to other pages, is the same there:
 * while recording, it may have been tried before, up to violations on other
 * pages, but each try does what the one before has done, and goes on.  RULE 6
 * holds as for any other end: both flush when the chunk begins, and a page comes
 * back without a flush, because non-present entries are not cached, and one that is
 * cached without the right to write leads to one more violation.  A page of the
 * guest's page tables is touched by the first access that needs it, because there are
 * no global translations (design.rst, "Translation caches").
 */
#include <linux/sched/signal.h>

#include "arch.h"
#include "contended.h"
#include "ept.h"
#include "position.h"
#include "samsara.h"
#include "trace.h"
#include "vm.h"

/*
 * Host cycles for which who has reserved a page for writing is not asked for it, at
 * least, and at most: see adapt_hold().
 */
#define LEAST_HOLD	6000
#define MOST_HOLD	96000
/* Host cycles that a commit takes, with all that comes before the next chunk. */
#define COMMIT_CYCLES	12000
/* Host cycles after which who waits for a page speculates instead. */
#define MOST_WAIT	400000
/* Branches that are worth a commit; with fewer a chunk goes back to its start. */
#define MIN_WORK	200
/* Reservations in a row that were in nobody's way, after which a page counts half. */
#define CALM		64
/* Commits in a row that left a page as it was, after which it is not contended. */
#define MOST_UNCHANGED	8
/* Pages read and then written, net of those only read, that make it likely again. */
#define MANY_UPGRADES	2
/* Times a chunk goes back to its start to wait for a page, before it speculates. */
#define MOST_RETURNS	8

static struct samsara_contended *find(struct samsara_vm *vm, struct samsara_page *sp)
{
	u32 i;

	lockdep_assert_held(&vm->pages_lock);
	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++)
		if (vm->contended[i].page == sp)
			return &vm->contended[i];
	return NULL;
}

/* In place of the page with the fewest conflicts. */
static struct samsara_contended *add(struct samsara_vm *vm, struct samsara_page *sp)
{
	struct samsara_contended *least = &vm->contended[0];
	u32 i;

	lockdep_assert_held(&vm->pages_lock);
	for (i = 1; i < SAMSARA_MAX_CONTENDED; i++)
		if (vm->contended[i].conflicts < least->conflicts)
			least = &vm->contended[i];
	*least = (struct samsara_contended) { .page = sp, .hold = LEAST_HOLD };
	WRITE_ONCE(vm->contended_changes, vm->contended_changes + 1);
	return least;
}

static void drop(struct samsara_vm *vm, struct samsara_contended *c)
{
	lockdep_assert_held(&vm->pages_lock);
	*c = (struct samsara_contended) {};
	WRITE_ONCE(vm->contended_changes, vm->contended_changes + 1);
}

/* After a failed check. */
void samsara_note_conflicts(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_contended *c;
	u32 i, left = SAMSARA_MAX_CONTENDED;

	for (i = 0; i < sv->nr_access && left; i++) {
		if (!smr_page_stale(&sv->access[i]->meta, sv->start_seq))
			continue;
		trace_kvm_samsara_conflict(sv->id, sv->access[i]->gfn, sv->start_seq,
					   smr_read_once(&sv->access[i]->meta.version));
		spin_lock(&vm->pages_lock);
		c = find(vm, sv->access[i]) ?: add(vm, sv->access[i]);
		c->conflicts++;
		c->calm = 0;
		spin_unlock(&vm->pages_lock);
		left--;
	}
}

/* At a boundary: the EPT entries of the contended pages, if they are others by now. */
void samsara_find_contended(struct samsara_vcpu *sv)
{
	struct samsara_page *pages[SAMSARA_MAX_CONTENDED];
	struct samsara_vm *vm = sv->vm;
	u32 i;

	if (sv->contended_seen == READ_ONCE(vm->contended_changes))
		return;
	spin_lock(&vm->pages_lock);
	sv->contended_seen = vm->contended_changes;
	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++)
		pages[i] = vm->contended[i].page;
	spin_unlock(&vm->pages_lock);
	/* Without memory for an entry its page is not withheld from this vCPU. */
	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++)
		sv->contended[i] = pages[i] ? samsara_ept_leaf(&sv->copies_ept, pages[i]->gfn) :
					      NULL;
}

/* A chunk begins.  IRQs are off. */
void samsara_withhold_contended(struct samsara_vcpu *sv)
{
	u32 i;

	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++)
		if (sv->contended[i])
			samsara_ept_withhold(sv->contended[i]);
}

static bool in_the_way(const struct samsara_vcpu *sv, const struct samsara_contended *c)
{
	return c->writer && c->writer != sv;
}

/* The page is reserved once more.  True: it is not contended any more. */
static bool is_calm(struct samsara_contended *c)
{
	if (++c->calm < CALM)
		return false;
	c->calm = 0;
	c->conflicts /= 2;
	return !c->conflicts;
}

/*
 * Two who have both read the page and now write it lose one of their chunks: so who
 * reads a page that is mostly written then reserves it for writing.  But not who spins.
 */
static bool will_write(const struct samsara_vcpu *sv, const struct samsara_contended *c)
{
	return c->upgrades >= MANY_UPGRADES && !sv->paused_before;
}

static void reserve_for_writing(struct samsara_vcpu *sv, struct samsara_contended *c)
{
	u64 others = c->readers & ~samsara_bit(sv);
	struct samsara_vcpu *reader;

	if (c->writer != sv) {
		c->writer = sv;
		c->written = false;
		c->since = rdtsc();
	}
	if (others)
		c->calm = 0;
	for (; others; others &= others - 1) {
		reader = sv->vm->vcpus[__ffs64(others)];
		WRITE_ONCE(reader->asked_as_reader, true);
		samsara_ask(reader);
	}
}

/* Nobody else has reserved the page for writing. */
static void reserve(struct samsara_vcpu *sv, struct samsara_contended *c, bool write, bool read)
{
	struct samsara_vm *vm = sv->vm;

	lockdep_assert_held(&vm->pages_lock);
	sv->has_reserved = true;
	if (write || will_write(sv, c))
		reserve_for_writing(sv, c);
	else
		c->readers |= samsara_bit(sv);
	if (write)
		c->written = true;
	if (write && read)
		c->upgrades = min_t(u32, c->upgrades + 1, 2 * MANY_UPGRADES);
	if (is_calm(c))
		drop(vm, c);
}

/* Has @sv reserved the page, and not written it? */
static bool only_read(const struct samsara_vcpu *sv, const struct samsara_contended *c)
{
	return c->writer == sv ? !c->written : c->readers & samsara_bit(sv);
}

/*
 * Has a chunk of @sv, which has committed, written the page, and again not changed it?
 * Walks of page tables count as writes, and their flags are set already but for the
 * first time: a commit finds that by comparison, so nobody would have lost a chunk.
 * Those who spin are another matter: they try the lock until somebody has changed it.
 */
static bool is_idle(const struct samsara_vcpu *sv, struct samsara_contended *c)
{
	if (c->writer != sv || !c->written || sv->paused)
		return false;
	/* It had not changed since the chunk's start, or the chunk would have failed. */
	if (smr_page_stale(&c->page->meta, sv->start_seq))
		c->unchanged = 0;
	else
		c->unchanged++;
	return c->unchanged >= MOST_UNCHANGED;
}

/* The chunk that reserved pages has ended, and is in memory if it has @committed. */
void samsara_release_pages(struct samsara_vcpu *sv, bool committed)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_contended *c;
	u32 i;

	if (!sv->has_reserved)
		return;
	sv->has_reserved = false;
	spin_lock(&vm->pages_lock);
	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++) {
		c = &vm->contended[i];
		/* It had to end for a writer, and most likely touches the page again. */
		if (in_the_way(sv, c) && (c->readers & samsara_bit(sv))) {
			sv->wanted = c->page;
			sv->wanted_write = false;
		}
		if (c->upgrades && !sv->paused && only_read(sv, c))
			c->upgrades--;
		if (committed && is_idle(sv, c)) {
			drop(vm, c);
			continue;
		}
		c->readers &= ~samsara_bit(sv);
		if (c->writer == sv) {
			c->writer = NULL;
			c->last = sv;
		}
	}
	WRITE_ONCE(sv->asked, false);
	WRITE_ONCE(sv->asked_as_reader, false);
	spin_unlock(&vm->pages_lock);
}

/*
 * The chunk has to end for somebody who writes what it has read: to run it again takes
 * less than to commit it, if it has only just begun.  Those who wait for a lock, each
 * time it changes hands.
 */
void samsara_maybe_go_back(struct samsara_vcpu *sv)
{
	if (READ_ONCE(sv->asked_as_reader) && rdtsc() - sv->chunk_tsc < COMMIT_CYCLES &&
	    READ_ONCE(sv->vm->exclusive) != sv && !READ_ONCE(sv->vm->stopping))
		sv->go_back = sv->returns++ < MOST_RETURNS;
}

/* Somebody has reserved the page @sv waits for. */
static void ask_writer(struct samsara_contended *c)
{
	c->calm = 0;
	if (rdtsc() - c->since >= c->hold)
		samsara_ask(c->writer);
}

/*
 * @sv ends its chunk for a page that another one has reserved.  If it has only just
 * given it away then the page is needed all the time, by both, and each time it is
 * passed on costs a commit: that should be done less often.
 */
static void adapt_hold(const struct samsara_vcpu *sv, struct samsara_contended *c)
{
	if (c->last == sv && rdtsc() - c->since < 2 * COMMIT_CYCLES)
		c->hold = min_t(u64, c->hold * 2, MOST_HOLD);
	else
		c->hold = max_t(u64, c->hold / 2, LEAST_HOLD);
}

/*
 * May the chunk end here?  Not if an event is being delivered, which belongs to it.
 * Without work to save it goes back to its start, but not for ever.
 */
static bool may_end(struct samsara_vcpu *sv)
{
	struct smr_position now;

	if (samsara_event_requeued(sv->vcpu) || READ_ONCE(sv->vm->exclusive) == sv)
		return false;
	samsara_position(sv, &now);
	if (now.branches >= MIN_WORK)
		return true;
	sv->go_back = sv->returns++ < MOST_RETURNS;
	return sv->go_back;
}

/*
 * An EPT violation on a page that is withheld, or, if the chunk has @read it, a write.
 * True: the chunk ends; false: it gets the page.
 */
bool samsara_touch_ends_chunk(struct samsara_vcpu *sv, struct samsara_page *sp, bool write,
			      bool read)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_contended *c;
	bool stale, got = false, ends = false;

	/* A chunk that touches a page committed since its start can't commit. */
	stale = smr_page_stale(&sp->meta, sv->start_seq);
	spin_lock(&vm->pages_lock);
	c = find(vm, sp);
	if (c && !read && (stale || in_the_way(sv, c)) && may_end(sv)) {
		sv->wanted = sp;
		sv->wanted_write = write || will_write(sv, c);
		if (in_the_way(sv, c)) {
			adapt_hold(sv, c);
			ask_writer(c);
		}
		ends = true;
	} else if (c && !in_the_way(sv, c)) {
		reserve(sv, c, write, read);
		got = true;
	}
	spin_unlock(&vm->pages_lock);
	trace_kvm_samsara_contended(sv->id, sp->gfn, write, got, ends);
	return ends;
}

/* The page that @sv waits for is its own now, or not contended any more. */
static bool try_wanted(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_contended *c;
	bool got = true;

	spin_lock(&vm->pages_lock);
	c = find(vm, sv->wanted);
	if (c && in_the_way(sv, c)) {
		ask_writer(c);
		got = false;
	} else if (c && sv->wanted_write) {
		/* Or another one would get it first; who only reads has time. */
		reserve_for_writing(sv, c);
		sv->has_reserved = true;
	}
	spin_unlock(&vm->pages_lock);
	return got;
}

/*
 * At a boundary: wait for the page that the last chunk has ended before, but not for
 * long.
 */
void samsara_wait_for_page(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	u64 start = rdtsc();

	if (!sv->wanted)
		return;
	while (!try_wanted(sv) && rdtsc() - start < MOST_WAIT && samsara_recording(vm) &&
	       samsara_in_parallel(vm) && !READ_ONCE(vm->stopping) &&
	       !signal_pending(current)) {
		cpu_relax();
		cond_resched();
	}
	sv->wanted = NULL;
	samsara_stat(sv)->samsara_page_cycles += rdtsc() - start;
}
