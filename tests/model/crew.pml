/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Recording with page ownership, as mode_own.c does it: vCPUs run on guest memory itself,
 * on pages they have rights to, and KVM stops them all to write something itself.
 *
 * An instruction reads a page and writes one or none; it faults on one after the other,
 * and has to have both at once.  A page is two halves, so that it can be torn; its
 * content names the instruction that wrote it.  `last` holds what running the commits
 * one after the other would leave.  Checked in every execution:
 *
 * - a chunk has seen, in every page it used, what running alone at its place would have
 *   shown it;
 * - memory ends as that order leaves it: nothing is lost or torn;
 * - nobody waits for ever (no invalid end state);
 * - an instruction waits for pages at most LIMIT times.
 *
 * A wait is modelled by its condition: who wakes whom is not.  Neither is the time an
 * owner may keep its pages.
 *
 * spin checks it with MISTAKE = 0.  With another number one rule is broken, and spin has
 * to notice.
 */
#ifndef MISTAKE
#define MISTAKE 0
#endif
/*
 * 1: a chunk is closed before it has its number
 * 2: pages are taken from vCPUs with open chunks
 * 3: a writer does not mind readers
 * 4: a ticket ends when the page is there, before the instruction has run
 * 5: KVM does not wait for open chunks
 */
#ifndef VCPUS
#define VCPUS	2	/* or 3 */
#endif
#ifndef INSNS0
#define INSNS0	1	/* of the first vCPU; the others have one */
#endif
#ifndef WRITES
#define WRITES	0	/* of KVM */
#endif

#ifndef PAGES
#define PAGES	3	/* or 2 */
#endif
#ifndef RING
#define RING	0	/* 1: vCPU n reads page n and writes the next one, as philosophers do */
#endif
#define LIMIT	(2 * VCPUS)
#define NONE	255
#define KVMS	100	/* what KVM writes, and above */

byte committed;
byte low[PAGES], high[PAGES];
byte last[PAGES];

/* Of each page, under crew_lock */
bool owner[PAGES * VCPUS];
bool excl[PAGES];

/* Of each vCPU */
bool open[VCPUS];
bool asked[VCPUS];	/* also the request that comes with it */
byte ticket[VCPUS];
byte wanted[VCPUS];
bool wanted_write[VCPUS];
byte last_ticket;
byte stopped;
byte finished;

#define NAME(v, insn)	(1 + (v) + (insn) * VCPUS)

/* What the EPT allows */
#define MAY_READ(v, p)	(owner[(p) * VCPUS + (v)])
#define MAY_WRITE(v, p)	(owner[(p) * VCPUS + (v)] && excl[p])

/* in_the_way(), yields_to(), someone_is_first() */
#if MISTAKE == 3
#define STRICT(w)	false
#else
#define STRICT(w)	(w)
#endif
#define IN_WAY(u, v, p, w) \
	((u) != (v) && owner[(p) * VCPUS + (u)] && (STRICT(w) || excl[p]))
#define YIELDS(u, v) \
	(ticket[u] == 0 || (ticket[v] != 0 && ticket[v] < ticket[u]))
#define FIRST(o, v, p, w) \
	((o) != (v) && wanted[o] == (p) && ticket[o] != 0 && ((w) || wanted_write[o]) && \
	 YIELDS(v, o))
#if MISTAKE == 2
#define OPEN(u)	false
#else
#define OPEN(u)	open[u]
#endif
#define GIVES_UP(u, v, p, w)	(IN_WAY(u, v, p, w) && !OPEN(u) && YIELDS(u, v))
#define CAN_ASK(u, v, p, w)	(IN_WAY(u, v, p, w) && OPEN(u) && !asked[u])

#if VCPUS == 3
#define ANY(what, v, p, w)	(what(0, v, p, w) || what(1, v, p, w) || what(2, v, p, w))
#else
#define ANY(what, v, p, w)	(what(0, v, p, w) || what(1, v, p, w))
#endif
#define CAN_TAKE(v, p, w)	(!ANY(IN_WAY, v, p, w) && !ANY(FIRST, v, p, w))

/* give_up() */
inline give_up(u, gp, gw)
{
	if
	:: gw -> owner[(gp) * VCPUS + (u)] = false
	:: else
	fi;
	excl[gp] = false
}

/* take(), with crew_lock; in @got, whether @v has the rights */
inline take(v, tp, tw, got)
{
	d_step {
		k = 0;
		do
		:: k == VCPUS -> break
		:: k < VCPUS ->
			if
			:: GIVES_UP(k, v, tp, tw) -> give_up(k, tp, tw)
			:: ticket[v] != 0 && CAN_ASK(k, v, tp, tw) -> asked[k] = true
			:: else
			fi;
			k++
		od;
		k = 0;
		got = CAN_TAKE(v, tp, tw);
		if
		:: got -> owner[(tp) * VCPUS + (v)] = true; excl[tp] = tw
		:: else
		fi
	}
}

/* take_turn(), but for the world that is stopped */
inline wait_for_page(me)
{
	if
	:: wanted[me] != NONE ->
		atomic {
			waits++;
			assert(waits <= LIMIT);
			if
			:: ticket[me] == 0 -> last_ticket++; ticket[me] = last_ticket
			:: else
			fi
		};
		do
		:: atomic {
			CAN_TAKE(me, wanted[me], wanted_write[me]) ||
			ANY(GIVES_UP, me, wanted[me], wanted_write[me]) ||
			ANY(CAN_ASK, me, wanted[me], wanted_write[me]) ->
			take(me, wanted[me], wanted_write[me], got);
			if
			:: got ->
				wanted[me] = NONE;
				if
				:: MISTAKE == 4 -> ticket[me] = 0
				:: else
				fi;
				break
			:: else
			fi
		   }
		od
	:: else
	fi
}

/* An EPT violation; @got: go on */
inline fault(v, fp, fw, got)
{
	atomic {
		take(v, fp, fw, got);
		if
		:: !got -> wanted[v] = fp; wanted_write[v] = fw
		:: else
		fi
	}
}

/* chunk_closed() */
inline chunk_closed(me)
{
	d_step {
		asked[me] = false;
		if
		:: progress -> ticket[me] = 0
		:: else
		fi;
		k = 0;
		do
		:: k == VCPUS -> break
		:: k < VCPUS ->
			if
			:: k != me && wanted[k] != NONE &&
			   IN_WAY(me, k, wanted[k], wanted_write[k]) && YIELDS(me, k) ->
				give_up(me, wanted[k], wanted_write[k])
			:: else
			fi;
			k++
		od;
		k = 0
	}
}

proctype vcpu(byte me; byte insns)
{
	byte k, r, w, done, waits, a, b;
	byte seen[PAGES], wrote[PAGES];		/* in the open chunk; 0: not at all */
	bool used[PAGES];
	bool chosen, got, progress;

	do
	:: done == insns -> break
	:: done < insns ->
boundary:
		wait_for_page(me);
		stopped == 0;
		/* Requests are looked at with IRQs off, see commit.pml. */
		atomic {
			if
			:: stopped != 0 -> goto boundary
			:: else -> open[me] = true
			fi;
			progress = false
		};
		do
		/* must_end() */
		:: asked[me] || stopped != 0 || done == insns -> break
		:: done < insns ->
			atomic {
				if
				:: !chosen && RING ->
					chosen = true;
					waits = 0;
					r = me;
					w = (me + 1) % PAGES
				/* The pages have no names before anyone has chosen. */
				:: !chosen && !RING && me == 0 && done == 0 ->
					chosen = true;
					waits = 0;
					if
					:: w = 0
					:: w = 1
					:: w = NONE
					fi
				:: !chosen && !RING && (me != 0 || done != 0) ->
					chosen = true;
					waits = 0;
					if
					:: r = 0
					:: r = 1
#if PAGES == 3
					:: r = 2
#endif
					fi;
					if
					:: w = 0
					:: w = 1
#if PAGES == 3
					:: w = 2
#endif
					:: w = NONE
					fi
				:: else
				fi
			};
			if
			:: atomic { !MAY_READ(me, r) ->
				fault(me, r, false, got);
				if
				:: !got -> break
				:: else
				fi }
			:: atomic { MAY_READ(me, r) && w != NONE && !MAY_WRITE(me, w) ->
				fault(me, w, true, got);
				if
				:: !got -> break
				:: else
				fi }
			:: MAY_READ(me, r) && (w == NONE || MAY_WRITE(me, w)) ->
				a = low[r];
				b = high[r];
				d_step {
					if
					:: !used[r] && wrote[r] == 0 ->
						assert(a == b);
						used[r] = true;
						seen[r] = a
					:: else -> assert(a == b && a == (wrote[r] != 0 -> wrote[r] : seen[r]))
					fi;
					a = 0;
					b = 0
				};
				if
				:: w != NONE ->
					low[w] = NAME(me, done);
					high[w] = NAME(me, done);
					wrote[w] = NAME(me, done)
				:: else
				fi;
				atomic {
					done++;
					chosen = false;
					progress = true;
					r = 0;
					w = 0
				}
			fi
		od;
		if
		:: MISTAKE == 1 -> open[me] = false
		:: else
		fi;
		/* commit_direct() */
		d_step {
			committed++;
			k = 0;
			do
			:: k == PAGES -> break
			:: k < PAGES ->
				assert(!used[k] || seen[k] == last[k]);
				if
				:: wrote[k] != 0 -> last[k] = wrote[k]
				:: else
				fi;
				used[k] = false;
				seen[k] = 0;
				wrote[k] = 0;
				k++
			od;
			k = 0
		};
		open[me] = false;
		chunk_closed(me)
	od;
	finished++
}

/* KVM's own work: samsara_stop_world() */
proctype kvm()
{
	byte n, p;

	do
	:: n == WRITES -> break
	:: n < WRITES ->
		stopped++;
#if MISTAKE != 5
#if VCPUS == 3
		!open[0] && !open[1] && !open[2];
#else
		!open[0] && !open[1];
#endif
#endif
		atomic {
			committed++;
			if
			:: p = 0
			:: p = 1
#if PAGES == 3
			:: p = 2
#endif
			fi
		};
		assert(low[p] == last[p] && high[p] == last[p]);
		low[p] = KVMS + n;
		high[p] = KVMS + n;
		last[p] = KVMS + n;
		stopped--;
		n++
	od;
	finished++
}

init
{
	byte i;

	atomic {
		for (i : 0 .. VCPUS - 1) {
			wanted[i] = NONE
		}
		i = 0;
		run vcpu(0, INSNS0);
		run vcpu(1, 1);
#if VCPUS == 3
		run vcpu(2, 1);
#endif
		run kvm()
	};
	finished == VCPUS + 1;
	d_step {
		i = 0;
		do
		:: i == PAGES -> break
		:: i < PAGES -> assert(low[i] == last[i] && high[i] == last[i]); i++
		od
	}
}
