// SPDX-License-Identifier: GPL-2.0
/*
 * Pages over which chunks have failed: locks, barriers, queues, data that lies beside
 * another vCPU's.  To speculate about those does not pay, so a vCPU *reserves* one
 * when its chunk first touches it, for reading or for writing, until the chunk ends.
 * A vCPU that finds a page reserved for writing ends its chunk before it touches the page,
 * and asks the other to end its own, too; then it waits, with no chunk open, and begins the
 * next one.  Readers don't wait for each other.  A vCPU that reserves a page for writing
 * asks those that have read it to end their chunks, and goes on: they commit first.
 *
 * All this is about speed only.  Whether a chunk commits is decided by the check of
 * mode_speculate.c alone, so a reservation may be wrong, late or lost, and no wait is longer
 * than MAX_WAIT_CYCLES.
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
#include "hot.h"
#include "map.h"
#include "position.h"
#include "samsara.h"
#include "trace.h"
#include "vm.h"

/*
 * Host cycles for which a vCPU that has reserved a page for writing is not asked for it, at
 * least, and at most: see adapt_hold().
 */
#define MIN_HOLD_CYCLES	6000
#define MAX_HOLD_CYCLES	96000
/* Host cycles that a commit takes, with all that comes before the next chunk. */
#define COMMIT_CYCLES	12000
/* Host cycles after which a vCPU that waits for a page speculates instead. */
#define MAX_WAIT_CYCLES	400000
/* Branches that are worth a commit; with fewer a chunk goes back to its start. */
#define MIN_WORK_BRANCHES	200
/* Reservations in a row that were in nobody's way, after which a page counts half. */
#define CALM_RESERVATIONS		64
/* Commits in a row that left a page as it was, after which it is not contended. */
#define MAX_UNCHANGED_COMMITS	8
/* Pages read and then written, net of those only read, that make it likely again. */
#define MIN_UPGRADES	2
/* Times a chunk goes back to its start to wait for a page, before it speculates. */
#define MAX_ABANDONED	8

static struct samsara_contended *find_page(struct samsara_vm *vm, struct samsara_page *sp)
{
	u32 i;

	lockdep_assert_held(&vm->pages_lock);
	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++)
		if (vm->contention.pages[i].page == sp)
			return &vm->contention.pages[i];
	return NULL;
}

/* In place of the page with the fewest conflicts. */
static struct samsara_contended *add_page(struct samsara_vm *vm, struct samsara_page *sp)
{
	struct samsara_contended *least = &vm->contention.pages[0];
	u32 i;

	lockdep_assert_held(&vm->pages_lock);
	for (i = 1; i < SAMSARA_MAX_CONTENDED; i++)
		if (vm->contention.pages[i].conflicts < least->conflicts)
			least = &vm->contention.pages[i];
	*least = (struct samsara_contended) { .page = sp, .hold = MIN_HOLD_CYCLES };
	WRITE_ONCE(vm->contention.changes, vm->contention.changes + 1);
	return least;
}

static void drop_page(struct samsara_vm *vm, struct samsara_contended *c)
{
	lockdep_assert_held(&vm->pages_lock);
	*c = (struct samsara_contended) {};
	WRITE_ONCE(vm->contention.changes, vm->contention.changes + 1);
}

/* After a failed check. */
void samsara_reserve_note_conflicts(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_contended *c;
	u64 lost = rdtsc() - sv->chunk.tsc;
	u32 i, left = SAMSARA_MAX_CONTENDED;

	for (i = 0; i < sv->copies.nr_access && left; i++) {
		if (!smr_page_stale(&sv->copies.access[i]->meta, sv->start_seq))
			continue;
		trace_kvm_samsara_conflict(sv->id, sv->copies.access[i]->ram, sv->start_seq,
					   smr_read_once(&sv->copies.access[i]->meta.version));
		samsara_hot_conflict(sv, sv->copies.access[i], lost);
		/* all of it is the first one's fault */
		lost = 0;
		spin_lock(&vm->pages_lock);
		c = find_page(vm, sv->copies.access[i]) ?: add_page(vm, sv->copies.access[i]);
		c->conflicts++;
		c->calm = 0;
		spin_unlock(&vm->pages_lock);
		left--;
	}
}

/* NULL: nothing to withhold, since the page is not mapped, or there is no memory for it. */
static u64 *find_entry(struct samsara_vcpu *sv, struct samsara_page *sp)
{
	gfn_t gfn;

	return sp && samsara_page_to_gfn(sv->vm, sp, &gfn) ?
	       samsara_ept_leaf(&sv->copies.ept, gfn) : NULL;
}

/* The vCPU has another EPT. */
void samsara_reserve_forget(struct samsara_vcpu *sv)
{
	memset(sv->reserve.entries, 0, sizeof(sv->reserve.entries));
	sv->reserve.seen = 0;
}

/* At a boundary: the EPT entries of the contended pages, if they are others by now. */
void samsara_reserve_find(struct samsara_vcpu *sv)
{
	struct samsara_page *pages[SAMSARA_MAX_CONTENDED];
	struct samsara_vm *vm = sv->vm;
	u32 i;

	if (sv->reserve.seen == READ_ONCE(vm->contention.changes))
		return;
	spin_lock(&vm->pages_lock);
	sv->reserve.seen = vm->contention.changes;
	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++)
		pages[i] = vm->contention.pages[i].page;
	spin_unlock(&vm->pages_lock);
	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++)
		sv->reserve.entries[i] = find_entry(sv, pages[i]);
}

/* A chunk begins.  IRQs are off. */
void samsara_reserve_withhold(struct samsara_vcpu *sv)
{
	u32 i;

	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++)
		if (sv->reserve.entries[i])
			samsara_ept_withhold(sv->reserve.entries[i]);
}

static bool reserved_by_other(const struct samsara_vcpu *sv, const struct samsara_contended *c)
{
	return c->writer && c->writer != sv;
}

/* The page is reserved once more.  True: it is not contended any more. */
static bool is_calm(struct samsara_contended *c)
{
	if (++c->calm < CALM_RESERVATIONS)
		return false;
	c->calm = 0;
	c->conflicts /= 2;
	return !c->conflicts;
}

/*
 * Of two vCPUs that have both read the page and now write it one loses its chunk: so a
 * vCPU that reads a page that is mostly written then reserves it for writing.  But not
 * one that spins.
 */
static bool will_write(const struct samsara_vcpu *sv, const struct samsara_contended *c)
{
	return c->upgrades >= MIN_UPGRADES && !sv->reserve.paused_before;
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
		WRITE_ONCE(reader->reserve.asked_as_reader, true);
		samsara_request_end(reader);
	}
}

/* Nobody else has reserved the page for writing. */
static void reserve_page(struct samsara_vcpu *sv, struct samsara_contended *c, bool write,
			 bool read)
{
	struct samsara_vm *vm = sv->vm;

	lockdep_assert_held(&vm->pages_lock);
	sv->reserve.any = true;
	if (write || will_write(sv, c))
		reserve_for_writing(sv, c);
	else
		c->readers |= samsara_bit(sv);
	if (write)
		c->written = true;
	if (write && read)
		c->upgrades = min_t(u32, c->upgrades + 1, 2 * MIN_UPGRADES);
	if (is_calm(c))
		drop_page(vm, c);
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
 * vCPUs that spin are another matter: they try the lock until somebody has changed it.
 */
static bool is_idle(const struct samsara_vcpu *sv, struct samsara_contended *c)
{
	if (c->writer != sv || !c->written || sv->chunk.paused)
		return false;
	/* It had not changed since the chunk's start, or the chunk would have failed. */
	if (smr_page_stale(&c->page->meta, sv->start_seq))
		c->unchanged = 0;
	else
		c->unchanged++;
	return c->unchanged >= MAX_UNCHANGED_COMMITS;
}

/* The chunk that reserved pages has ended, and is in memory if it has @committed. */
void samsara_reserve_release(struct samsara_vcpu *sv, bool committed)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_contended *c;
	u32 i;

	if (!sv->reserve.any)
		return;
	sv->reserve.any = false;
	spin_lock(&vm->pages_lock);
	for (i = 0; i < SAMSARA_MAX_CONTENDED; i++) {
		c = &vm->contention.pages[i];
		/* It had to end for a writer, and most likely touches the page again. */
		if (reserved_by_other(sv, c) && (c->readers & samsara_bit(sv))) {
			sv->reserve.wanted = c->page;
			sv->reserve.wanted_write = false;
		}
		if (c->upgrades && !sv->chunk.paused && only_read(sv, c))
			c->upgrades--;
		if (committed && is_idle(sv, c)) {
			drop_page(vm, c);
			continue;
		}
		c->readers &= ~samsara_bit(sv);
		if (c->writer == sv) {
			c->writer = NULL;
			c->last = sv;
		}
	}
	WRITE_ONCE(sv->end_requested, false);
	WRITE_ONCE(sv->reserve.asked_as_reader, false);
	spin_unlock(&vm->pages_lock);
}

/*
 * The chunk has to end for a vCPU that writes what it has read: to run it again takes
 * less than to commit it, if it has only just begun, as in all vCPUs that wait for a lock
 * each time it changes hands.
 */
void samsara_reserve_abandon(struct samsara_vcpu *sv)
{
	if (READ_ONCE(sv->reserve.asked_as_reader) && rdtsc() - sv->chunk.tsc < COMMIT_CYCLES &&
	    READ_ONCE(sv->vm->exclusive) != sv && !READ_ONCE(sv->vm->stopping))
		sv->reserve.abandon = sv->reserve.nr_abandoned++ < MAX_ABANDONED;
}

/* It waits until the page changes, and has nothing else to do. */
static bool spins(const struct samsara_vcpu *sv)
{
	return sv->chunk.paused || sv->reserve.paused_before;
}

/* Somebody has reserved the page @sv waits for. */
static void ask_writer(const struct samsara_vcpu *sv, struct samsara_contended *c)
{
	c->calm = 0;
	if (rdtsc() - c->since >= (spins(sv) ? MIN_HOLD_CYCLES : c->hold))
		samsara_request_end(c->writer);
}

/*
 * @sv ends its chunk for a page that another one has reserved.  If it has only just
 * given it away then the page is needed all the time, by both, and each time it is
 * passed on costs a commit: that should be done less often.  Not if it only looks whether
 * the page has changed.
 */
static void adapt_hold(const struct samsara_vcpu *sv, struct samsara_contended *c)
{
	bool always_needed = c->last == sv && !spins(sv) &&
			     rdtsc() - c->since < 2 * COMMIT_CYCLES;

	c->hold = smr_hold_adapt(c->hold, always_needed, MIN_HOLD_CYCLES, MAX_HOLD_CYCLES);
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
	if (now.branches >= MIN_WORK_BRANCHES)
		return true;
	sv->reserve.abandon = sv->reserve.nr_abandoned++ < MAX_ABANDONED;
	return sv->reserve.abandon;
}

/*
 * An EPT violation on a page that is withheld, or, if the chunk has @read it, a write.
 * True: the chunk ends; false: it gets the page.
 */
bool samsara_reserve_touch(struct samsara_vcpu *sv, struct samsara_page *sp, bool write,
			   bool read)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_contended *c;
	bool stale, got = false, ends = false;

	/* A chunk that touches a page committed since its start can't commit. */
	stale = smr_page_stale(&sp->meta, sv->start_seq);
	spin_lock(&vm->pages_lock);
	c = find_page(vm, sp);
	if (c && !read && (stale || reserved_by_other(sv, c)) && may_end(sv)) {
		sv->reserve.wanted = sp;
		sv->reserve.wanted_write = write || will_write(sv, c);
		if (reserved_by_other(sv, c)) {
			adapt_hold(sv, c);
			ask_writer(sv, c);
		}
		ends = true;
	} else if (c && !reserved_by_other(sv, c)) {
		reserve_page(sv, c, write, read);
		got = true;
	}
	spin_unlock(&vm->pages_lock);
	trace_kvm_samsara_contended(sv->id, sp->ram, write, got, ends);
	if (ends)
		samsara_hot_touch(sv, sp);
	return ends;
}

/* The page that @sv waits for is its own now, or not contended any more. */
static bool try_reserve_wanted(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	struct samsara_contended *c;
	bool got = true;

	spin_lock(&vm->pages_lock);
	c = find_page(vm, sv->reserve.wanted);
	if (c && reserved_by_other(sv, c)) {
		ask_writer(sv, c);
		got = false;
	} else if (c && sv->reserve.wanted_write) {
		/* Or another one would get it first; a vCPU that only reads has time. */
		reserve_for_writing(sv, c);
		sv->reserve.any = true;
	}
	spin_unlock(&vm->pages_lock);
	return got;
}

/*
 * At a boundary: wait for the page that the last chunk has ended before, but not for
 * long.
 */
void samsara_reserve_wait(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	u64 start = rdtsc(), waited;

	if (!sv->reserve.wanted)
		return;
	while (!try_reserve_wanted(sv) && rdtsc() - start < MAX_WAIT_CYCLES &&
	       samsara_recording(vm) && samsara_in_parallel(vm) && !READ_ONCE(vm->stopping) &&
	       !signal_pending(current)) {
		cpu_relax();
		cond_resched();
	}
	sv->reserve.wanted = NULL;
	waited = rdtsc() - start;
	samsara_stat(sv)->samsara_page_cycles += waited;
	samsara_hot_waited(sv, waited);
}
