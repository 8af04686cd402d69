// SPDX-License-Identifier: GPL-2.0
/*
 * core/smr_order.c with real threads: random speculative transactions over a
 * few small pages, run by the rules of smr_order.h, then executed again one by
 * one in commit order.  Every value read and the memory at the end must be the
 * same.  The same with a rule broken must be noticed.
 */
#include "test.h"

#include <pthread.h>
#include <sched.h>

#include "gen.h"
#include "smr_order.h"

#define NR_CHUNKERS	3u
#define NR_AGENTS	(NR_CHUNKERS + 1)	/* the last one does DMA */
#define NR_PAGES	12u
#define WORDS		8u
#define TRANSACTIONS	8000u
#define MAX_READS	4u
#define MAX_WRITES	2u

enum mistake {
	NONE,
	START_AT_COMMITTED,	/* start_seq without waiting for publishers */
	VERSION_AFTER_UNLOCK,
	DMA_DOES_NOT_WAIT,	/* for earlier publishers */
	COMMITTED_FIRST,	/* number given out before it is marked as being published */
};

struct page {
	u64 word[WORDS];
};

struct transaction {
	u64 n;			/* commit number */
	u32 nr_reads, nr_writes;
	u8 reads[MAX_READS], writes[MAX_WRITES];
	struct page seen[MAX_READS];
	struct page wrote[MAX_WRITES];
};

struct world {
	struct smr_order *order;
	pthread_mutex_t lock;
	struct smr_page version[NR_PAGES];
	struct page memory[NR_PAGES];
	/*
	 * Last publisher of the page, in plain memory: publishers of one page
	 * must come one after the other, or ThreadSanitizer sees a data race.
	 */
	u64 publisher[NR_PAGES];
	enum mistake mistake;
	u64 seed;
};

struct agent {
	struct world *w;
	u32 id;
	struct rng rng;
	u64 rollbacks, wrong;
	struct transaction *done;
};

/* Racing copies are part of the protocol: each word is atomic, the page is not. */
static void copy_in(struct page *to, const struct page *from)
{
	u32 i;

	for (i = 0; i < WORDS; i++)
		to->word[i] = smr_read_once(&from->word[i]);
}

static void maybe_yield(struct rng *r)
{
	if (!rng_below(r, 8))
		sched_yield();
}

static void publish(struct agent *a, const struct transaction *t)
{
	struct world *w = a->w;
	u32 i, k;
	u8 p;

	for (i = 0; i < t->nr_writes; i++) {
		p = t->writes[i];
		maybe_yield(&a->rng);
#ifdef UNDER_TSAN
		if (w->publisher[p] >= t->n)
			a->wrong++;
		w->publisher[p] = t->n;
#endif
		for (k = 0; k < WORDS; k++) {
			smr_write_once(&w->memory[p].word[k], t->wrote[i].word[k]);
			if (k == WORDS / 2)
				maybe_yield(&a->rng);
		}
	}
}

static void wait_for_earlier(struct agent *a, u64 n)
{
	while (!smr_order_done_before(a->w->order, a->id, n))
		sched_yield();
}

static u64 take_number(struct agent *a)
{
	struct smr_order *o = a->w->order;
	u64 n;

	if (a->w->mistake != COMMITTED_FIRST)
		return smr_order_commit(o, a->id);
	n = o->committed + 1;
	smr_store_release(&o->committed, n);
	maybe_yield(&a->rng);
	smr_store_release(&o->agent[a->id].publishing, n);
	return n;
}

static void set_versions(struct world *w, const struct transaction *t)
{
	u32 i;

	for (i = 0; i < t->nr_writes; i++)
		smr_page_commit(&w->version[t->writes[i]], t->n);
}

/* New content depends on everything read. */
static void compute(struct transaction *t, struct rng *r)
{
	u64 x = rng_next(r);
	u32 i, k;

	for (i = 0; i < t->nr_reads; i++) {
		for (k = 0; k < WORDS; k++)
			x = x * 31 + t->seen[i].word[k];
	}
	for (i = 0; i < t->nr_writes; i++) {
		for (k = 0; k < WORDS; k++)
			t->wrote[i].word[k] = x + k;
	}
}

static void choose_pages(struct transaction *t, struct rng *r)
{
	u32 i;

	t->nr_reads = 1 + (u32)rng_below(r, MAX_READS);
	t->nr_writes = (u32)rng_below(r, MAX_WRITES + 1);
	for (i = 0; i < t->nr_reads; i++)
		t->reads[i] = (u8)rng_below(r, NR_PAGES);
	t->writes[0] = (u8)rng_below(r, NR_PAGES);
	t->writes[1] = (u8)((t->writes[0] + 1) % NR_PAGES);
}

static bool valid(const struct world *w, const struct transaction *t, u64 start)
{
	bool ok = true;
	u32 i;

	for (i = 0; i < t->nr_reads; i++)
		ok &= smr_page_valid(&w->version[t->reads[i]], start);
	for (i = 0; i < t->nr_writes; i++)
		ok &= smr_page_valid(&w->version[t->writes[i]], start);
	return ok;
}

static bool try_chunk(struct agent *a, struct transaction *t)
{
	struct world *w = a->w;
	u64 start;
	u32 i;

	if (w->mistake == START_AT_COMMITTED)
		start = smr_load_acquire(&w->order->committed);
	else
		start = smr_order_prefix(w->order);
	for (i = 0; i < t->nr_reads; i++) {
		copy_in(&t->seen[i], &w->memory[t->reads[i]]);
		maybe_yield(&a->rng);
	}
	compute(t, &a->rng);

	pthread_mutex_lock(&w->lock);
	if (!valid(w, t, start)) {
		pthread_mutex_unlock(&w->lock);
		return false;
	}
	t->n = take_number(a);
	if (w->mistake != VERSION_AFTER_UNLOCK)
		set_versions(w, t);
	pthread_mutex_unlock(&w->lock);
	if (w->mistake == VERSION_AFTER_UNLOCK) {
		maybe_yield(&a->rng);
		set_versions(w, t);
	}
	publish(a, t);
	smr_order_published(w->order, a->id);
	wait_for_earlier(a, t->n);
	return true;
}

/* KVM's own accesses: no speculation, everything under the lock. */
static void section(struct agent *a, struct transaction *t)
{
	struct world *w = a->w;
	u32 i;

	pthread_mutex_lock(&w->lock);
	t->n = take_number(a);
	wait_for_earlier(a, t->n);
	for (i = 0; i < t->nr_reads; i++)
		copy_in(&t->seen[i], &w->memory[t->reads[i]]);
	compute(t, &a->rng);
	publish(a, t);
	set_versions(w, t);
	pthread_mutex_unlock(&w->lock);
	smr_order_published(w->order, a->id);
}

static void dma(struct agent *a, struct transaction *t)
{
	struct world *w = a->w;

	t->nr_reads = 0;
	t->nr_writes = 1;
	compute(t, &a->rng);
	pthread_mutex_lock(&w->lock);
	t->n = take_number(a);
	set_versions(w, t);
	pthread_mutex_unlock(&w->lock);
	if (w->mistake != DMA_DOES_NOT_WAIT)
		wait_for_earlier(a, t->n);
	publish(a, t);
	smr_order_published(w->order, a->id);
}

static void *run_agent(void *opaque)
{
	struct agent *a = opaque;
	u32 i;

	for (i = 0; i < TRANSACTIONS; i++) {
		struct transaction *t = &a->done[i];

		choose_pages(t, &a->rng);
		if (a->id == NR_AGENTS - 1) {
			dma(a, t);
			/* Not too often, or nobody else gets anything done. */
			sched_yield();
		} else if (!rng_below(&a->rng, 16)) {
			section(a, t);
		} else {
			while (!try_chunk(a, t))
				a->rollbacks++;
		}
	}
	return NULL;
}

/* Executes everything again, one by one; returns what differs. */
static u64 compare(const struct world *w, struct agent *agent)
{
	static const struct transaction *order[NR_AGENTS * TRANSACTIONS + 1];
	static struct page memory[NR_PAGES];
	const struct transaction *t;
	u64 n, wrong = 0;
	u32 i;

	memset(memory, 0, sizeof(memory));
	for (n = 0; n < (u64)NR_AGENTS * TRANSACTIONS; n++) {
		t = &agent[n / TRANSACTIONS].done[n % TRANSACTIONS];
		order[t->n] = t;
	}
	for (n = 1; n <= (u64)NR_AGENTS * TRANSACTIONS; n++) {
		t = order[n];
		for (i = 0; i < t->nr_reads; i++)
			wrong += !!memcmp(&t->seen[i], &memory[t->reads[i]], sizeof(struct page));
		for (i = 0; i < t->nr_writes; i++)
			memory[t->writes[i]] = t->wrote[i];
	}
	for (i = 0; i < NR_PAGES; i++)
		wrong += !!memcmp(&memory[i], &w->memory[i], sizeof(struct page));
	return wrong;
}

static u64 run(enum mistake mistake, u64 seed, u64 *rollbacks)
{
	struct world w = { .mistake = mistake, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct agent agent[NR_AGENTS] = { 0 };
	pthread_t thread[NR_AGENTS];
	u64 wrong;
	u32 i;

	w.order = aligned_alloc(64, smr_order_size(NR_AGENTS));
	assert_non_null(w.order);
	smr_order_init(w.order, NR_AGENTS);
	for (i = 0; i < NR_AGENTS; i++) {
		agent[i].w = &w;
		agent[i].id = i;
		agent[i].rng.state = seed * NR_AGENTS + i;
		agent[i].done = calloc(TRANSACTIONS, sizeof(struct transaction));
		assert_non_null(agent[i].done);
	}
	for (i = 0; i < NR_AGENTS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_agent, &agent[i]), 0);
	for (i = 0; i < NR_AGENTS; i++)
		pthread_join(thread[i], NULL);
	assert_true(w.order->committed == (u64)NR_AGENTS * TRANSACTIONS);
	assert_true(smr_order_prefix(w.order) == w.order->committed);
	wrong = compare(&w, agent);
	*rollbacks = 0;
	for (i = 0; i < NR_AGENTS; i++) {
		wrong += agent[i].wrong;
		*rollbacks += agent[i].rollbacks;
		free(agent[i].done);
	}
	free(w.order);
	return wrong;
}

static void test_serialisable(void **state)
{
	u64 seed, rollbacks, all = 0;

	(void)state;
	for (seed = 1; seed <= 4; seed++) {
		assert_int_equal(run(NONE, seed, &rollbacks), 0);
		all += rollbacks;
	}
	/* Else nothing was tried. */
	assert_true(all > 100);
}

#ifndef UNDER_TSAN
static void assert_noticed(enum mistake mistake)
{
	u64 seed, rollbacks;

	for (seed = 1; seed <= 50; seed++) {
		if (run(mistake, seed, &rollbacks))
			return;
	}
	fail_msg("mistake %d was not noticed", mistake);
}

static void test_start_at_committed(void **state)
{
	(void)state;
	assert_noticed(START_AT_COMMITTED);
}

static void test_version_after_unlock(void **state)
{
	(void)state;
	assert_noticed(VERSION_AFTER_UNLOCK);
}

static void test_dma_does_not_wait(void **state)
{
	(void)state;
	assert_noticed(DMA_DOES_NOT_WAIT);
}

static void test_committed_first(void **state)
{
	(void)state;
	assert_noticed(COMMITTED_FIRST);
}
#endif

/*
 * Commits write one number to two places; a device model reads one, and then the other.
 */
struct pair {
	struct smr_order *order;
	u64 place[2];
	u64 seed;
	bool waits;
};

static void *write_pairs(void *opaque)
{
	struct pair *pair = opaque;
	struct rng rng = { .state = pair->seed };
	u32 i, first;
	u64 n;

	for (i = 0; i < TRANSACTIONS; i++) {
		n = smr_order_commit(pair->order, 0);
		first = (u32)rng_below(&rng, 2);
		smr_write_once(&pair->place[first], n);
		maybe_yield(&rng);
		smr_write_once(&pair->place[!first], n);
		smr_order_published(pair->order, 0);
		maybe_yield(&rng);
	}
	return NULL;
}

/* How often it has seen less of a commit after it had seen a part of it. */
static u64 read_pairs(struct pair *pair)
{
	struct rng rng = { .state = pair->seed + 1 };
	u64 seen, n, wrong = 0;
	u32 first;

	do {
		first = (u32)rng_below(&rng, 2);
		seen = smr_load_acquire(&pair->place[first]);
		n = smr_load_acquire(&pair->order->committed);
		while (pair->waits && !smr_order_whole(pair->order, n))
			sched_yield();
		wrong += smr_read_once(&pair->place[!first]) < seen;
	} while (seen < TRANSACTIONS);
	return wrong;
}

static u64 run_pairs(u64 seed, bool waits)
{
	struct pair pair = { .seed = seed, .waits = waits };
	pthread_t thread;
	u64 wrong;

	pair.order = aligned_alloc(64, smr_order_size(1));
	assert_non_null(pair.order);
	smr_order_init(pair.order, 1);
	assert_int_equal(pthread_create(&thread, NULL, write_pairs, &pair), 0);
	wrong = read_pairs(&pair);
	pthread_join(thread, NULL);
	free(pair.order);
	return wrong;
}

static void test_device_reads(void **state)
{
	u64 seed;

	(void)state;
	for (seed = 1; seed <= 4; seed++)
		assert_int_equal(run_pairs(seed, true), 0);
}

#ifndef UNDER_TSAN
static void test_device_does_not_wait(void **state)
{
	u64 seed;

	(void)state;
	for (seed = 1; seed <= 50; seed++) {
		if (run_pairs(seed, false))
			return;
	}
	fail_msg("reads without a barrier were not noticed");
}
#endif

static void test_prefix(void **state)
{
	struct smr_order *o = aligned_alloc(64, smr_order_size(3));

	(void)state;
	assert_non_null(o);
	smr_order_init(o, 3);
	assert_int_equal(smr_order_prefix(o), 0);
	assert_int_equal(smr_order_commit(o, 0), 1);
	assert_int_equal(smr_order_prefix(o), 0);
	assert_int_equal(smr_order_commit(o, 1), 2);
	assert_int_equal(smr_order_commit(o, 2), 3);
	assert_true(smr_order_done_before(o, 0, 1));
	assert_false(smr_order_done_before(o, 1, 2));
	smr_order_published(o, 1);
	assert_int_equal(smr_order_prefix(o), 0);
	smr_order_published(o, 0);
	assert_int_equal(smr_order_prefix(o), 2);
	assert_true(smr_order_done_before(o, 2, 3));
	assert_true(smr_order_done_before(o, 1, 2));
	smr_order_published(o, 2);
	assert_int_equal(smr_order_prefix(o), 3);
	free(o);
}

static void test_versions(void **state)
{
	struct smr_page p = { 0 };

	(void)state;
	assert_true(smr_page_valid(&p, 0));
	smr_page_commit(&p, 5);
	assert_false(smr_page_valid(&p, 4));
	assert_true(smr_page_valid(&p, 5));
	assert_true(smr_page_stale(&p, 4));
	assert_false(smr_page_stale(&p, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_serialisable),
		cmocka_unit_test(test_device_reads),
#ifndef UNDER_TSAN
		cmocka_unit_test(test_device_does_not_wait),
		cmocka_unit_test(test_start_at_committed),
		cmocka_unit_test(test_version_after_unlock),
		cmocka_unit_test(test_dma_does_not_wait),
		cmocka_unit_test(test_committed_first),
#endif
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
