/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The commit protocol of kvm-samsara, as core/smr_order.h, mode_speculate.c and copies.c do it:
 * vCPUs run speculative chunks on private copies of pages, a third agent writes to
 * memory itself (KVM's own work for a vCPU, or a device's DMA).
 *
 * A page is two halves, so that it can be torn; its content is the number of the
 * commit that wrote it.  `last` holds what running the commits one after the other
 * would leave.  Checked in every execution:
 *
 * - a commit has seen, in every page it used, what running alone at its place would
 *   have shown it (the assertions at each commit);
 * - memory ends as that order leaves it: nothing is lost or torn;
 * - a device model that reads sees nothing of a commit without the rest of it;
 * - nobody waits for ever (no invalid end state);
 * - a vCPU gets through: it fails at most LIMIT times, and then once for each other
 *   agent that was on its way to a commit when it took the token.
 *
 * spin checks it with MISTAKE = 0.  With another number one rule is broken, and
 * spin has to notice.
 */
#ifndef MISTAKE
#define MISTAKE 0
#endif
/*
 * 1: a chunk starts at the last number given out, published or not
 * 2: pages are stamped after the lock was dropped
 * 3: private copies are kept when somebody else has committed their page
 * 4: a rollback keeps what the chunk had written
 * 5: KVM's own work does not wait for earlier commits to be in memory
 * 6: nobody heeds the exclusive token
 * 7: a serial phase begins while chunks are open
 * 8: a write by KVM or a device needs no turn in a serial phase
 * 9: a serial phase ends without stamps for the pages that were written in it
 * 10: a device model does not wait between two reads
 */
#ifndef CHUNKS0
#define CHUNKS0	1	/* of the first vCPU */
#endif
#ifndef CHUNKS1
#define CHUNKS1	1	/* of the second one */
#endif
#ifndef PHASES
#define PHASES	0	/* serial phases (phase.c), begun by the first vCPU */
#endif
#ifndef DIRECT
#define DIRECT	1	/* writes of the third agent */
#endif

#ifndef READS
#define READS	0	/* of a device model: each is of both halves of a page */
#endif

#define VCPUS	2
#define AGENTS	3
#define PAGES	3
#define LIMIT	1	/* failures in a row before a vCPU asks for the token */
#define NONE	255
#define OWN	200	/* what an uncommitted chunk has written */

byte committed;
byte publishing[AGENTS];
byte version[PAGES];
byte low[PAGES], high[PAGES];
byte last[PAGES];
bool locked;
byte exclusive = NONE;
byte finished;

#define PARALLEL	0
#define CHANGING	1
#define SERIAL		2

byte phase = PARALLEL, phases;
byte turn = NONE;
bool request[VCPUS];	/* KVM_REQ_SAMSARA */
bool in_chunk[VCPUS];	/* chunk_open, of a parallel chunk */
bool dirty[PAGES];	/* by serial chunks, and not stamped yet */

/* smr_order_prefix(): every load is a step of its own */
inline get_prefix(s)
{
	d_step {
		s = committed;
		i = (me == 0 -> 1 : 0)
	};
	do
	:: i < AGENTS && MISTAKE != 1 ->
		d_step {
			if
			:: publishing[i] != 0 && publishing[i] <= s -> s = publishing[i] - 1
			:: else
			fi;
			i++;
			if
			:: i == me -> i++	/* its own is 0 */
			:: else
			fi
		}
	:: else -> break
	od;
	i = 0
}

inline take_lock(me)
{
	do
	:: atomic { !locked -> locked = true };
		if
		:: exclusive == NONE || exclusive == me || MISTAKE == 6 -> break
		:: else ->
			locked = false;
			exclusive == NONE	/* wait_event() */
		fi
	od
}

inline take_number(me, n)
{
	n = committed + 1;
	publishing[me] = n;
	committed = n
}

/* smr_order_done_before() */
inline wait_for_earlier(me, n)
{
	(me == 0 || publishing[0] == 0 || publishing[0] >= n);
	(me == 1 || publishing[1] == 0 || publishing[1] >= n);
	(me == 2 || publishing[2] == 0 || publishing[2] >= n)
}

/* samsara_ept_note_turns() */
inline note_turns()
{
	d_step {
		do
		:: i < PAGES ->
			if
			:: dirty[i] -> dirty[i] = false; version[i] = committed
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	}
}

inline set_phase(p)
{
	atomic { !locked -> locked = true };
	if
	:: phase == SERIAL && MISTAKE != 9 -> note_turns()
	:: else
	fi;
	phase = p;
	locked = false
}

/* go_serial() */
inline go_serial(me)
{
	atomic { phases++; phase = CHANGING };
	if
	:: exclusive == me -> exclusive = NONE
	:: else
	fi;
	request[1 - me] = true;
	if
	:: MISTAKE != 7 -> !in_chunk[1 - me]
	:: else
	fi;
	set_phase(SERIAL)
}

/* samsara_take_turn() */
inline take_turn(me)
{
	if
	:: phase != PARALLEL && exclusive == me -> exclusive = NONE
	:: else
	fi;
	atomic {
		phase == PARALLEL || (phase == SERIAL && (turn == NONE || turn == me));
		if
		:: phase == SERIAL -> turn = me
		:: else
		fi
	}
}

proctype vcpu(byte me; byte chunks)
{
	byte i, s, n, r, w, done, row;
	byte seen_low, seen_high;		/* of the page read */
	byte old_low, old_high;			/* of the page written, before */
	bool has_copy[PAGES];
	byte copy_low[PAGES], copy_high[PAGES], valid[PAGES];
	bool serial;

	do
	:: done == chunks -> break
	:: done < chunks ->
		/*
		 * The chunk reads a page, and writes one or none; the same if it has
		 * to run again.  The pages have no names before anyone has chosen.
		 */
		atomic {
			if
			:: row == 0 && me == 0 && done == 0 ->
				if
				:: w = 0
				:: w = 1
				:: w = NONE
				fi
			:: row == 0 && (me != 0 || done != 0) ->
				if
				:: r = 0
				:: r = 1
				:: r = 2
				fi;
				if
				:: w = 0
				:: w = 1
				:: w = 2
				:: w = NONE
				fi
			:: else
			fi
		};
#if PHASES
boundary:
		if
		:: me == 0 && phases < PHASES && phase == PARALLEL -> go_serial(me)
		:: skip
		fi;
		take_turn(me);
		serial = (phase == SERIAL);
		/*
		 * vcpu_enter_guest() looks for requests with IRQs off, and who makes one
		 * waits until they are on again: after the chunk was opened.
		 */
		atomic {
			if
			:: request[me] -> request[me] = false; goto boundary
			:: else -> in_chunk[me] = !serial
			fi
		};
		if
		:: serial ->
			/* Nobody else gets a number before it has. */
			n = committed + 1;
			seen_low = low[r];
			seen_high = high[r];
			if
			:: w != NONE ->
				old_low = low[w];
				low[w] = n;
				high[w] = n
			:: else
			fi;
			/* commit_serial() */
			atomic { !locked -> locked = true };
			assert(n == committed + 1);
			take_number(me, n);
			assert(seen_low == last[r] && seen_high == last[r]);
			if
			:: w != NONE ->
				d_step { assert(old_low == last[w]); last[w] = n };
				dirty[w] = true
			:: else
			fi;
			publishing[me] = 0;
			locked = false;
			/* Perhaps the phase is over. */
			if
			:: set_phase(PARALLEL)
			:: skip
			fi;
			turn = NONE;
			d_step {
				row = 0; done++; r = 0; w = 0; serial = false;
				s = 0; n = 0; seen_low = 0; seen_high = 0; old_low = 0; old_high = 0
			};
			goto next
		:: else
		fi;
#endif
		/* begin_chunk() */
		atomic {
			if
			:: row >= LIMIT && exclusive == NONE -> exclusive = me
			:: else
			fi
		};
		get_prefix(s);
		/* samsara_copies_drop_stale() */
		d_step {
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
		:: w != NONE ->
			if
			:: !has_copy[w] ->
				copy_low[w] = low[w];
				copy_high[w] = high[w];
				d_step { valid[w] = s; has_copy[w] = true }
			:: else
			fi;
			d_step {
				old_low = copy_low[w];
				old_high = copy_high[w];
				copy_low[w] = OWN;
				copy_high[w] = OWN
			}
		:: else
		fi;

		/* commit_parallel() */
		take_lock(me);
		if
		:: version[r] > s || (w != NONE && version[w] > s) ->
			n = committed;
			locked = false;
			row++;
			assert(row <= LIMIT + AGENTS - 1);
			wait_for_earlier(me, n + 1);
			/* rollback(): the copy is made anew */
			if
			:: w != NONE && MISTAKE != 4 ->
				get_prefix(s);
				valid[w] = s;
				copy_low[w] = low[w];
				copy_high[w] = high[w]
			:: else
			fi
		:: else ->
			take_number(me, n);
			assert(seen_low == last[r] && seen_high == last[r]);
			if
			:: w != NONE ->
				d_step {
					assert(old_low == last[w] && old_high == last[w]);
					last[w] = n
				};
				if
				:: MISTAKE != 2 -> version[w] = n
				:: else
				fi
			:: else
			fi;
			if
			:: exclusive == me -> exclusive = NONE
			:: else
			fi;
			locked = false;
			if
			:: w != NONE ->
				if
				:: MISTAKE == 2 -> version[w] = n
				:: else
				fi;
				d_step { copy_low[w] = n; copy_high[w] = n };
				low[w] = n;
				high[w] = n;
				valid[w] = n
			:: else
			fi;
			publishing[me] = 0;
			wait_for_earlier(me, n);
			d_step { row = 0; done++; r = 0; w = 0 }
		fi;
#if PHASES
		in_chunk[me] = false;
#endif
		d_step { s = 0; n = 0; seen_low = 0; seen_high = 0; old_low = 0; old_high = 0 };
next:		skip
	od;
	finished++
}

/* Sections of KVM and DMA: directly on memory, under the lock. */
proctype direct(byte me)
{
	byte n, r, w, done;

	do
	:: done == DIRECT -> break
	:: done < DIRECT ->
		atomic {
			if
			:: w = 0
			:: w = 1
			:: w = 2
			fi;
			if
			:: r = w
			:: DIRECT < 3 -> r = (w + 1) % PAGES
			:: DIRECT < 3 -> r = (w + 2) % PAGES
			fi
		};
#if PHASES
again:
#endif
		take_lock(me);
#if PHASES
		if
		:: phase == SERIAL && turn != me && MISTAKE != 8 ->
			locked = false;
			atomic {
				phase != SERIAL || turn == NONE;
				if
				:: phase == SERIAL -> turn = me
				:: else
				fi
			};
			goto again
		:: else
		fi;
#endif
		take_number(me, n);
		if
		:: MISTAKE != 5 -> wait_for_earlier(me, n)
		:: else
		fi;
		if
		:: version[w] = n	/* a device: the stamps come first */
		:: skip
		fi;
		assert(low[r] == last[r]);
		assert(high[r] == last[r]);
		low[w] = n;
		high[w] = n;
		d_step { last[w] = n; version[w] = n };
		publishing[me] = 0;
		locked = false;
#if PHASES
		if
		:: turn == me -> turn = NONE
		:: else
		fi;
#endif
		d_step { done++; r = 0; w = 0; n = 0 }
	od;
	finished++
}

/* A page's content is the number of its commit: halves read later are no older. */
proctype reader()
{
	byte p, n, first, done;

	do
	:: done == READS -> break
	:: done < READS ->
		atomic {
			if
			:: p = 0
			:: p = 1
			:: p = 2
			fi
		};
		first = low[p];
		/* samsara_do_read_barrier() */
		n = committed;
		if
		:: MISTAKE != 10 ->
			(publishing[0] == 0 || publishing[0] > n);
			(publishing[1] == 0 || publishing[1] > n);
			(publishing[2] == 0 || publishing[2] > n)
		:: else
		fi;
		assert(high[p] >= first);
		d_step { done++; p = 0; n = 0; first = 0 }
	od
}

init {
	atomic {
		run vcpu(0, CHUNKS0);
		run vcpu(1, CHUNKS1);
#if READS
		run reader();
#endif
		run direct(2)
	};
	finished == AGENTS;
	assert(low[0] == last[0] && high[0] == last[0]);
	assert(low[1] == last[1] && high[1] == last[1]);
	assert(low[2] == last[2] && high[2] == last[2])
}
