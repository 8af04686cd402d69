/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The commit order: who comes when, and which commits are in memory already.
 *
 * Agents (vCPUs, one for device DMA) take numbers 1, 2, 3 ... under the commit
 * lock, and publish what they wrote - copy it to shared memory - after they
 * have dropped the lock, at the same time as others.  A commit of number n is
 *
 *	lock
 *	check every page read or written: smr_page_valid(page, start_seq)
 *	n = smr_order_commit(o, agent)
 *	smr_page_commit(page, n) for every page written
 *	unlock
 *	copy the pages written to shared memory
 *	smr_order_published(o, agent)
 *	wait until smr_order_done_before(o, agent, n)
 *
 * and the agent's next chunk begins with start_seq = smr_order_prefix(o),
 * taken before it touches memory.  Because of the wait, start_seq >= n: an
 * agent never conflicts with itself.
 *
 * Why a chunk c that passed the check has read, in every page p it touched,
 * exactly what running it alone at place n would have read.  Let d be
 * version[p] at the check: the last commit before n that wrote p, because
 * versions only change under the lock, which c holds.  The check says d <= S,
 * with S = start_seq.
 *
 * 1. c saw all of d.  smr_order_prefix() returned S >= d, so d's agent had
 *    stored 0 (or a later number) to `publishing` after its copying, with
 *    release, and c read that with acquire before it touched memory.  It can't
 *    have missed that d was still publishing: `publishing` = d was stored
 *    before `committed` reached d, and c read `committed` first.
 *
 * 2. c saw nothing of a later commit e > d of p.  If e < n, version[p] would
 *    be e at the check.  If e > n, e's critical section comes after c's, e
 *    copies after that, and c's reads all come before its own critical
 *    section: they happen before e's writes and can't return them.
 *    So a page being published by e > S while c reads it, torn or not, is
 *    always caught: c can only have seen a byte of e if e's critical section
 *    was before c's, and then version[p] = e was there to be seen.
 *
 * 3. Nothing older than d is still being copied over d.  The commit f < d that
 *    wrote p before d was version[p] when d was checked, so f <= S' (d's start),
 *    and f was published before d began.
 *
 * Two kinds of commits have no start_seq and no check:
 *
 * - DMA only writes.  It takes its number and sets the versions under the lock,
 *   then waits for smr_order_done_before(), then copies: 3. holds.
 * - KVM's own accesses on behalf of a vCPU also read, and don't know their
 *   pages in advance.  They hold the lock all the time: take the number, wait
 *   for smr_order_done_before() (publishing needs no lock), then read and
 *   write shared memory, setting the version of each page written before
 *   unlocking.  Nobody gets a later number meanwhile, so 2. holds as well.
 *
 * Device models read memory while chunks are being published, page by page, in any
 * order.  Between two reads they wait:
 *
 *	read
 *	n = committed
 *	wait until smr_order_whole(o, n)
 *	read
 *
 * Then, if the first read returned a byte that commit c wrote, the second one finds all
 * that c and the commits before c wrote, or what later ones wrote over it: as if c had
 * been a processor's stores, seen in their order.  For c's agent had stored c to
 * `publishing` and then to `committed`, both with release, before it copied anything:
 * n >= c.  So c and all before it are published when the wait is over, and what they
 * copied is visible to the second read, which comes after the loads, with acquire, that
 * saw it.  Commits that write without a number being shown (KVM's own accesses, a vCPU
 * alone in a serial phase) store in the order of the guest's own instructions, or hold
 * the lock until they are done and are shown as well.
 */
#ifndef SMR_ORDER_H
#define SMR_ORDER_H

#include "smr_port.h"

#define SMR_ORDER_MAX_AGENTS	65u

struct smr_order_agent {
	u64 publishing;		/* number being published, 0: none */
} __attribute__((aligned(64)));

struct smr_order {
	u64 committed;		/* last number given out */
	u32 nr_agents;
	struct smr_order_agent agent[];
};

struct smr_page {
	u64 version;		/* last commit that wrote it; changes under the commit lock */
	u64 digest;		/* smr_page_digest() of its committed content */
};

/* Bytes to allocate, aligned to 64. */
static inline size_t smr_order_size(u32 nr_agents)
{
	return sizeof(struct smr_order) + nr_agents * sizeof(struct smr_order_agent);
}

void smr_order_init(struct smr_order *o, u32 nr_agents);

/**
 * smr_order_commit - take the next number
 * Under the commit lock.  The agent's previous commit is published.
 */
u64 smr_order_commit(struct smr_order *o, u32 agent);

/* All copies of the agent's commit are done. */
void smr_order_published(struct smr_order *o, u32 agent);

/**
 * smr_order_prefix - largest S such that every commit <= S is published
 * Without lock.  Everything those commits wrote is visible to the caller.
 */
u64 smr_order_prefix(const struct smr_order *o);

/**
 * smr_order_done_before - is every commit < @n of the other agents published?
 * Without lock, by @agent, which owns @n.  If true, everything they wrote is
 * visible to the caller.
 */
bool smr_order_done_before(const struct smr_order *o, u32 agent, u64 n);

/**
 * smr_order_whole - is every commit <= @n published?
 * Without lock, by who is no agent.  If true, everything they wrote is visible.
 */
static inline bool smr_order_whole(const struct smr_order *o, u64 n)
{
	return smr_order_done_before(o, o->nr_agents, n + 1);
}

/* Under the commit lock; n from smr_order_commit() in the same critical section. */
static inline void smr_page_commit(struct smr_page *page, u64 n)
{
	smr_write_once(&page->version, n);
}

/* Without lock: a chunk this is true for will not pass the check. */
static inline bool smr_page_stale(const struct smr_page *page, u64 start_seq)
{
	return smr_read_once(&page->version) > start_seq;
}

/* The check, under the commit lock. */
static inline bool smr_page_valid(const struct smr_page *page, u64 start_seq)
{
	return !smr_page_stale(page, start_seq);
}

#endif /* SMR_ORDER_H */
