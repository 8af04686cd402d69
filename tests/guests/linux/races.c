// SPDX-License-Identifier: GPL-2.0
/*
 * Programs with a race each, as people write them: two threads (or a thread and its
 * signals) that mostly get away with it.  A trial runs one of them from the creation of
 * its threads to their end and tells whether it went wrong.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "races.h"

typedef void *(*thread_t)(void *);

static pthread_barrier_t both_are_here;

struct start {
	thread_t run;
	long nr;
};

static void *begin(void *arg)
{
	struct start *start = arg;
	cpu_set_t own;

	/* So short a thread might end before the scheduler moves it to an idle processor. */
	CPU_ZERO(&own);
	CPU_SET(start->nr, &own);
	pthread_setaffinity_np(pthread_self(), sizeof(own), &own);
	pthread_barrier_wait(&both_are_here);
	return start->run((void *)start->nr);
}

static void together(thread_t first, thread_t second)
{
	struct start starts[] = { { first, 0 }, { second, 1 } };
	pthread_t threads[2];
	int i;

	pthread_barrier_init(&both_are_here, NULL, 2);
	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, begin, &starts[i]);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

__attribute__((noinline)) void work(int n)
{
	static _Thread_local volatile uint64_t x;

	while (n--)
		x = x * 6364136223846793005u + 1;
}

static __attribute__((noinline)) long plus_one(long n)
{
	return n + 1;
}

/* ---- lost update: a bank account without a lock */

#define ROUNDS	20000

static long balance;

static void *pay_in(void *unused)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		once(balance) = plus_one(once(balance));
		work(3);
	}
	return NULL;
}

static bool lost_update(void)
{
	balance = 0;
	together(pay_in, pay_in);
	return balance != 2 * ROUNDS;
}

/* ---- check, then act: a seat is sold twice */

#define SEATS	10000

static int seat[SEATS], sold[2];

static void *sell(void *arg)
{
	long me = (long)arg;
	int i, s;

	for (i = 0; i < SEATS; i++) {
		s = me ? i : (i + SEATS / 8) % SEATS;
		if (!once(seat[s])) {
			work(2);
			once(seat[s]) = 1;
			sold[me]++;
		}
		work(5);
	}
	return NULL;
}

static bool check_then_act(void)
{
	memset(seat, 0, sizeof(seat));
	memset(sold, 0, sizeof(sold));
	together(sell, sell);
	return sold[0] + sold[1] != SEATS;
}

/* ---- use after free: an object is replaced while somebody looks at it */

struct object {
	uint64_t magic, data;
};

#define LOOKS	2000
#define ALIVE	0x600d600d600d600du

static struct object objects[2];
static struct object *current;
static int wrong;

static void *replace(void *unused)
{
	struct object *old;
	int i;

	for (i = 0; i < LOOKS; i++) {
		old = once(current);
		objects[!(old - objects)].magic = ALIVE;
		once(current) = &objects[!(old - objects)];
		/* Freed. */
		once(old->magic) = 0;
		work(20);
	}
	return NULL;
}

static void *look(void *unused)
{
	struct object *o;
	int i;

	for (i = 0; i < LOOKS; i++) {
		o = once(current);
		work(3);
		if (once(o->magic) != ALIVE)
			wrong++;
		work(20);
	}
	return NULL;
}

static bool use_after_free(void)
{
	wrong = 0;
	objects[0].magic = ALIVE;
	current = &objects[0];
	together(replace, look);
	return wrong;
}

/* ---- ABA: a stack without locks whose nodes come back */

#define NODES	4

struct node {
	struct node *next;
	int taken;
};

static struct node nodes[NODES];
static _Atomic(struct node *) top;

static void push(struct node *n)
{
	struct node *t = atomic_load(&top);

	do {
		n->next = t;
	} while (!atomic_compare_exchange_weak(&top, &t, n));
}

static struct node *pop(void)
{
	struct node *t = atomic_load(&top), *next;

	do {
		if (!t)
			return NULL;
		next = once(t->next);
		work(2);
	} while (!atomic_compare_exchange_weak(&top, &t, next));
	return t;
}

static void *take_and_put(void *unused)
{
	struct node *a, *b;
	int i;

	for (i = 0; i < 5000; i++) {
		a = pop();
		b = pop();
		if (a && __atomic_fetch_add(&a->taken, 1, __ATOMIC_RELAXED))
			wrong++;
		work(5);
		if (a) {
			once(a->taken) = 0;
			push(a);
		}
		if (b)
			push(b);
	}
	return NULL;
}

static bool aba(void)
{
	int i;

	wrong = 0;
	memset(nodes, 0, sizeof(nodes));
	atomic_store(&top, NULL);
	for (i = 0; i < NODES; i++)
		push(&nodes[i]);
	together(take_and_put, take_and_put);
	/* A lost node is one, too. */
	for (i = 0; pop() && i < NODES; i++)
		;
	return wrong || i != NODES;
}

/* ---- a missing barrier: the flag is set before what it promises */

#define MESSAGES	4000

static struct {
	int ready;
	int value;
} message[MESSAGES];

static void *send(void *unused)
{
	int i;

	for (i = 0; i < MESSAGES; i++) {
		/* As a compiler or another processor would do it. */
		once(message[i].ready) = 1;
		work(1);
		once(message[i].value) = 42;
		work(20);
	}
	return NULL;
}

static void *receive(void *unused)
{
	int i;

	for (i = 0; i < MESSAGES; i++) {
		while (!once(message[i].ready))
			__builtin_ia32_pause();
		if (once(message[i].value) != 42)
			wrong++;
	}
	return NULL;
}

static bool missing_barrier(void)
{
	wrong = 0;
	memset(message, 0, sizeof(message));
	together(send, receive);
	return wrong;
}

/* ---- double-checked locking: the object is seen before it is complete */

#define OBJECTS	10000

static struct { int fields[8]; } singleton[OBJECTS], *instance[OBJECTS];
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

static void *use_all(void *unused)
{
	int i, j;

	for (i = 0; i < OBJECTS; i++) {
		if (!once(instance[i])) {
			pthread_mutex_lock(&making);
			if (!once(instance[i])) {
				once(instance[i]) = &singleton[i];
				work(1);
				for (j = 0; j < 8; j++)
					once(singleton[i].fields[j]) = 1;
			}
			pthread_mutex_unlock(&making);
		}
		if (!once(instance[i]->fields[7]))
			__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
		work(5);
	}
	return NULL;
}

static bool double_checked(void)
{
	wrong = 0;
	memset(instance, 0, sizeof(instance));
	memset(singleton, 0, sizeof(singleton));
	together(use_all, use_all);
	return wrong;
}

/* ---- deadlock: two locks, taken in either order */

static atomic_flag locks[2] = { ATOMIC_FLAG_INIT, ATOMIC_FLAG_INIT };
static atomic_bool stuck;

/* Who has waited for so long would wait for ever. */
static bool lock(atomic_flag *l)
{
	int i;

	for (i = 0; atomic_flag_test_and_set(l); i++) {
		if (i == 200000 || atomic_load(&stuck))
			return false;
		if (i % 100 == 99)
			usleep(10);
	}
	return true;
}

static void *transfer(void *arg)
{
	long me = (long)arg;
	int i;

	for (i = 0; i < 3000; i++) {
		if (!lock(&locks[me]))
			break;
		work(3);
		if (!lock(&locks[!me])) {
			atomic_store(&stuck, true);
			atomic_flag_clear(&locks[me]);
			break;
		}
		atomic_flag_clear(&locks[!me]);
		atomic_flag_clear(&locks[me]);
		work(30);
	}
	return NULL;
}

static bool lock_order(void)
{
	atomic_store(&stuck, false);
	together(transfer, transfer);
	return atomic_load(&stuck);
}

/* ---- torn read: two words that belong together */

static uint64_t pair[2];

static void *write_pair(void *unused)
{
	int i;

	for (i = 1; i <= 10000; i++) {
		once(pair[0]) = i;
		once(pair[1]) = plus_one(i - 1);
		work(5);
	}
	return NULL;
}

static void *read_pair(void *unused)
{
	uint64_t a, b;
	int i;

	for (i = 0; i < 10000; i++) {
		a = plus_one(once(pair[0]));
		b = plus_one(once(pair[1]));
		if (a != b)
			wrong++;
		work(5);
	}
	return NULL;
}

static bool torn_read(void)
{
	wrong = 0;
	memset(pair, 0, sizeof(pair));
	together(write_pair, read_pair);
	return wrong;
}

/* ---- two producers of a ring buffer that was made for one */

#define ITEMS	5000

static uint64_t ring[2 * ITEMS];
static unsigned int head;

static void *produce(void *arg)
{
	unsigned int at;
	int i;

	for (i = 1; i <= ITEMS; i++) {
		at = once(head);
		once(ring[at]) = i;
		once(head) = plus_one(at);
		work(10);
	}
	return NULL;
}

static bool two_producers(void)
{
	head = 0;
	memset(ring, 0, sizeof(ring));
	together(produce, produce);
	return head != 2 * ITEMS;
}

/* ---- a reference counter that is not atomic: freed twice, or never */

#define COUNTED	5000

static struct { int refs; int freed; } counted[COUNTED];

static void *put_all(void *unused)
{
	int i, left;

	for (i = 0; i < COUNTED; i++) {
		left = once(counted[i].refs) - 1;
		work(3);
		once(counted[i].refs) = left;
		if (!left)
			__atomic_fetch_add(&counted[i].freed, 1, __ATOMIC_RELAXED);
		work(10);
	}
	return NULL;
}

static bool reference_count(void)
{
	int i;

	for (i = 0; i < COUNTED; i++) {
		counted[i].refs = 2;
		counted[i].freed = 0;
	}
	together(put_all, put_all);
	for (i = 0; i < COUNTED; i++)
		if (counted[i].freed != 1)
			return true;
	return false;
}

/* ---- interrupt against thread: a handler changes what the thread is changing */

static volatile long ticks, handled;
static volatile sig_atomic_t counting;

static void tick(int sig)
{
	ticks = plus_one(ticks);
	handled++;
}

static void *count(void *unused)
{
	long i;

	counting = 1;
	for (i = 0; i < 10000; i++)
		ticks = plus_one(ticks);
	counting = 0;
	return NULL;
}

static bool interrupted(void)
{
	struct sigaction action = { .sa_handler = tick };
	pthread_t t;

	ticks = 0;
	handled = 0;
	sigaction(SIGUSR1, &action, NULL);
	counting = 1;
	pthread_create(&t, NULL, count, NULL);
	while (counting) {
		pthread_kill(t, SIGUSR1);
		work(200);
	}
	pthread_join(t, NULL);
	return ticks != 10000 + handled;
}

/* ---- rounds that begin together: both increment right after a barrier */

static atomic_int arrived[100];
static long rounds_done;

static void *round_by_round(void *unused)
{
	int i;

	for (i = 0; i < 100; i++) {
		atomic_fetch_add(&arrived[i], 1);
		while (atomic_load(&arrived[i]) < 2)
			__builtin_ia32_pause();
		once(rounds_done) = plus_one(once(rounds_done));
	}
	return NULL;
}

static bool after_barrier(void)
{
	memset(arrived, 0, sizeof(arrived));
	rounds_done = 0;
	together(round_by_round, round_by_round);
	return rounds_done != 200;
}

const struct race races[] = {
	{ "lost-update", lost_update },
	{ "check-then-act", check_then_act },
	{ "use-after-free", use_after_free },
	{ "aba", aba },
	{ "missing-barrier", missing_barrier },
	{ "double-checked", double_checked },
	{ "lock-order", lock_order },
	{ "torn-read", torn_read },
	{ "two-producers", two_producers },
	{ "reference-count", reference_count },
	{ "interrupted", interrupted },
	{ "after-barrier", after_barrier },
	{}
};
