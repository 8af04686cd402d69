/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parallel replay of kvm-samsara, as replay_order.c, mode_replay_parallel.c and copies.c do
 * it: vCPUs begin their chunks as soon as start_seq is done, on private copies of pages, or
 * on memory itself if nobody runs beside them; a device's write comes at its number.
 *
 * The log is any that a recording can have left: which pages a chunk uses, and where it had
 * begun, as long as no commit of another one in between wrote such a page.  A
 * chunk reads a page and writes one; it may take that back before its end.  A page is
 * two halves, so that it can be torn; its content is the number of the commit that wrote it.
 * `now` holds what running the commits one after the other leaves.  Checked in every
 * execution:
 *
 * - a chunk has seen what running alone at its place would have shown it;
 * - memory at each commit is what that order leaves, whoever runs meanwhile: also what a digest
 *   taken there finds;
 * - nobody waits for ever (no invalid end state).
 *
 * spin checks it with MISTAKE = 0.  With another number one rule is broken, and
 * spin has to notice.
 */
#ifndef MISTAKE
#define MISTAKE 0
#endif
/*
 * 1: a chunk does not wait for start_seq
 * 2: a chunk does not wait for its turn to put into memory what it has written
 * 3: private copies are kept when somebody else has committed their page
 * 4: a chunk without copies left goes on on memory beside others
 * 5: a chunk begins on memory beside others
 * 6: the log breaks the rule, as one of page ownership would
 * 7: a chunk that goes on on memory keeps its copies
 */
/* Whose the commits are: 0, 1: a vCPU's chunk, 2: a device's write. */
#ifndef FIRST
#define FIRST	0
#endif
#ifndef SECOND
#define SECOND	1
#endif
#ifndef THIRD
#define THIRD	0
#endif

#define COMMITS	3
#define VCPUS	2
#define DEVICE	2
#define PAGES	2
#define NONE	255
#define OWN	200	/* what a chunk has written before it is over */

#define FOREVER	100

/* The log; commits count from 1. */
byte agent[COMMITS + 1];
byte start[COMMITS + 1];
byte reads[COMMITS + 1];
byte writes[COMMITS + 1];
bool back[COMMITS + 1];		/* what it writes it takes back */

byte low[PAGES], high[PAGES];
byte version[PAGES];
byte now[PAGES];

byte done;
byte runner = NONE;
bool alone;
bool runs[VCPUS];
byte bound[VCPUS];

/* The next commit of an agent after the one it has done; above COMMITS: there is none. */
inline next_of(me, n)
{
	d_step {
		n++;
		do
		:: n <= COMMITS && agent[n] != me -> n++
		:: else -> break
		od
	}
}

/* Has a commit of another agent in between written a page that commit n uses? */
inline check_rule(n, s, ok)
{
	ok = true;
	i = s + 1;
	do
	:: i < n ->
		if
		:: agent[i] == agent[n] -> ok = false
		:: agent[i] != agent[n] && !back[i] && MISTAKE != 6 &&
		   (writes[i] == reads[n] || writes[i] == writes[n]) -> ok = false
		:: else
		fi;
		i++
	:: else -> break
	od
}

/* The vCPU of chunk n has the turn: the chunk is over. */
inline commit(n)
{
	d_step {
		assert(done == n - 1);
		if
		:: writes[n] != NONE && !back[n] -> now[writes[n]] = n
		:: else
		fi;
		i = 0;
		do
		:: i < PAGES -> assert(low[i] == now[i] && high[i] == now[i]); i++
		:: else -> break
		od;
		i = 0;
		runner = NONE;
		alone = false;
		done = n
	}
}

inline finish_memory(w, n)
{
	if
	:: back[n] -> low[w] = old; high[w] = old
	:: else -> version[w] = n; low[w] = n; high[w] = n
	fi
}

/* The chunk's writes, on memory itself */
inline write_memory(w, n)
{
	if
	:: w != NONE ->
		old = low[w];
		low[w] = OWN;
		high[w] = OWN;
		finish_memory(w, n)
	:: else
	fi
}

proctype vcpu(byte me)
{
	byte i, n, r, w, old, seen_low, seen_high;
	bool has_copy[PAGES];
	byte copy_low[PAGES], copy_high[PAGES], valid[PAGES];

	next_of(me, n);
	do
	:: n > COMMITS -> break
	:: else ->
		d_step { r = reads[n]; w = writes[n]; bound[me] = start[n] };
		/* samsara_replay_wait_start() */
		atomic {
			(done >= start[n] || MISTAKE == 1) && !alone;
			bound[me] = 0;
			if
			:: done == n - 1 && runner == NONE &&
			   (bound[1 - me] >= n || MISTAKE == 5) -> runner = me
			:: else -> runs[me] = true
			fi
		};
		if
		:: runner == me ->
			seen_low = low[r];
			seen_high = high[r];
			d_step { assert(seen_low == now[r] && seen_high == now[r]) };
			write_memory(w, n);
			goto over
		:: else
		fi;
		/* samsara_copies_drop_stale() */
		d_step {
			i = 0;
			do
			:: i < PAGES ->
				if
				:: has_copy[i] && version[i] > valid[i] && MISTAKE != 3 ->
					has_copy[i] = false;
					copy_low[i] = 0;
					copy_high[i] = 0;
					valid[i] = 0
				:: else
				fi;
				i++
			:: else -> break
			od;
			i = 0
		};
		if
		:: has_copy[r] -> d_step { seen_low = copy_low[r]; seen_high = copy_high[r] }
		:: else ->
			seen_low = low[r];
			seen_high = high[r]
		fi;
		if
		:: w != NONE && !has_copy[w] ->
			copy_low[w] = low[w];
			copy_high[w] = high[w];
			d_step { valid[w] = start[n]; has_copy[w] = true }
		:: else
		fi;
		if
		:: w != NONE ->
			/* samsara_replay_wait_alone(): there is none left for what it writes next */
			atomic { runs[me] = false; bound[me] = n - 1 };
			atomic { done == n - 1 && runner == NONE; runner = me };
			alone = true;
			(!runs[1 - me] || MISTAKE == 4);
			bound[me] = 0;
			d_step { assert(seen_low == now[r] && seen_high == now[r]) };
			/* go_direct(): what it has written by now, in its copy */
			old = low[w];
			version[w] = n;
			low[w] = OWN;
			high[w] = OWN;
			d_step {
				copy_low[w] = OWN;
				copy_high[w] = OWN;
				valid[w] = n;
				if
				:: MISTAKE != 7 ->
					has_copy[w] = false;
					copy_low[w] = 0;
					copy_high[w] = 0;
					valid[w] = 0
				:: else
				fi
			};
			finish_memory(w, n);
			goto over
		:: skip
		fi;
		/* samsara_replay_wait_turn() */
		atomic { runs[me] = false; bound[me] = n - 1 };
		atomic {
			(done == n - 1 && runner == NONE) || MISTAKE == 2;
			runner = me;
			bound[me] = 0
		};
		d_step { assert(seen_low == now[r] && seen_high == now[r]) };
		if
		:: w != NONE && !back[n] ->
			d_step { assert(copy_low[w] == now[w] && copy_high[w] == now[w]) };
			version[w] = n;
			low[w] = n;
			high[w] = n;
			d_step { copy_low[w] = n; copy_high[w] = n; valid[w] = n }
		:: else
		fi;
over:		commit(n);
		d_step { seen_low = 0; seen_high = 0; old = 0; r = 0; w = 0 };
		next_of(me, n)
	od;
	bound[me] = FOREVER
}

proctype device()
{
	byte i, n;

	next_of(DEVICE, n);
	do
	:: n > COMMITS -> break
	:: else ->
		atomic { done == n - 1 && runner == NONE; runner = DEVICE };
		version[writes[n]] = n;
		low[writes[n]] = n;
		high[writes[n]] = n;
		commit(n);
		next_of(DEVICE, n)
	od
}

init {
	byte i, n, s;
	bool ok;

	atomic {
		agent[1] = FIRST;
		agent[2] = SECOND;
		agent[3] = THIRD;
		n = 1;
		do
		:: n <= COMMITS ->
			/* The pages have no names before anyone has chosen. */
			if
			:: reads[n] = 0
			:: n > 1 && agent[n] != DEVICE -> reads[n] = 1
			fi;
			if
			:: writes[n] = 0
			:: n > 1 || agent[n] != DEVICE -> writes[n] = 1
			:: agent[n] != DEVICE -> writes[n] = NONE
			fi;
			if
			:: agent[n] != DEVICE && writes[n] != NONE -> back[n] = true
			:: skip
			fi;
			/* It has begun anywhere that the check allows. */
			s = (agent[n] == DEVICE -> 0 : n - 1);
			do
			:: s > 0 ->
				check_rule(n, s - 1, ok);
				if
				:: ok -> s--
				:: break
				fi
			:: break
			od;
			start[n] = s;
			n++
		:: else -> break
		od;
		i = 0; n = 0; s = 0; ok = false;
		run vcpu(0);
		run vcpu(1);
		run device()
	}
}
