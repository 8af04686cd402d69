// SPDX-License-Identifier: GPL-2.0
/*
 * Races that are lost once in a hundred runs, or not at all: a trial has one moment at which
 * it can go wrong, and the threads, left to themselves, come there at different times.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

#include "races.h"

static atomic_int here, wrong;

/* Both begin within a few instructions of each other, however they are woken. */
static void meet(long me)
{
	cpu_set_t own;

	CPU_ZERO(&own);
	CPU_SET(me, &own);
	pthread_setaffinity_np(pthread_self(), sizeof(own), &own);
	atomic_fetch_add(&here, 1);
	while (atomic_load(&here) < 2)
		__builtin_ia32_pause();
}

static bool goes_wrong(void *(*first)(void *), void *(*second)(void *))
{
	pthread_t threads[2];
	int i;

	atomic_store(&here, 0);
	atomic_store(&wrong, 0);
	pthread_create(&threads[0], NULL, first, NULL);
	pthread_create(&threads[1], NULL, second, NULL);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return atomic_load(&wrong);
}

/* ---- an order that is only likely: it is used before it is there */

static struct config { long value; } the_config, *config;

static void *set_up(void *unused)
{
	meet(0);
	work(20);
	the_config.value = 1;
	once(config) = &the_config;
	return NULL;
}

static void *use_config(void *unused)
{
	meet(1);
	work(200);
	if (!once(config))
		atomic_store(&wrong, 1);
	return NULL;
}

static bool before_set_up(void)
{
	once(config) = NULL;
	return goes_wrong(set_up, use_config);
}

/* ---- an object that is freed when its user must long be done */

static long shared_buffer[8];

static void *use_buffer(void *unused)
{
	int i;

	meet(0);
	for (i = 0; i < 8; i++) {
		if (!once(shared_buffer[i]))
			atomic_store(&wrong, 1);
		work(10);
	}
	return NULL;
}

static void *free_buffer(void *unused)
{
	int i;

	meet(1);
	work(600);
	for (i = 0; i < 8; i++)
		once(shared_buffer[i]) = 0;
	return NULL;
}

static bool freed_early(void)
{
	int i;

	for (i = 0; i < 8; i++)
		shared_buffer[i] = 1;
	return goes_wrong(use_buffer, free_buffer);
}

/* ---- a lost wakeup: between the look and the wait nobody is told */

static int done, waits, woken;

static void *wait_for_it(void *unused)
{
	meet(0);
	work(30);
	if (!once(done)) {
		work(2);
		once(waits) = 1;
		work(3000);
		if (once(done) && !once(woken))
			atomic_store(&wrong, 1);
	}
	return NULL;
}

static void *wake_it(void *unused)
{
	meet(1);
	work(100);
	once(done) = 1;
	if (once(waits))
		once(woken) = 1;
	return NULL;
}

static bool lost_wakeup(void)
{
	once(done) = once(waits) = once(woken) = 0;
	return goes_wrong(wait_for_it, wake_it);
}

/* ---- one update each, of a counter that is seldom changed */

static long counter;

static void update(int before)
{
	long value;

	work(before);
	value = once(counter);
	work(1);
	once(counter) = value + 1;
}

static void *update_early(void *unused)
{
	meet(0);
	update(10);
	return NULL;
}

static void *update_late(void *unused)
{
	meet(1);
	update(60);
	return NULL;
}

static bool seldom_updated(void)
{
	counter = 0;
	return goes_wrong(update_early, update_late) || counter != 2;
}

/* ---- closed twice: both see that it is open */

static int is_open, closed;

static void *close_early(void *unused)
{
	meet(0);
	work(15);
	if (once(is_open)) {
		work(2);
		once(is_open) = 0;
		__atomic_fetch_add(&closed, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *close_late(void *unused)
{
	meet(1);
	work(150);
	if (once(is_open)) {
		once(is_open) = 0;
		__atomic_fetch_add(&closed, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static bool closed_twice(void)
{
	is_open = 1;
	closed = 0;
	return goes_wrong(close_early, close_late) || closed != 1;
}

/* ---- the last reference is dropped while another is taken */

static int references, dead;

static void *drop(void *unused)
{
	meet(0);
	work(50);
	if (!__atomic_sub_fetch(&references, 1, __ATOMIC_RELAXED)) {
		work(2);
		once(dead) = 1;
	}
	return NULL;
}

static void *take(void *unused)
{
	meet(1);
	/* It is found in a list as long as it is not dead. */
	if (!once(dead)) {
		work(3);
		if (__atomic_fetch_add(&references, 1, __ATOMIC_RELAXED) == 0)
			atomic_store(&wrong, 1);
	}
	return NULL;
}

static bool taken_while_dropped(void)
{
	references = 1;
	dead = 0;
	return goes_wrong(drop, take);
}

const struct race rare_races[] = {
	{ "before-set-up", before_set_up },
	{ "freed-early", freed_early },
	{ "lost-wakeup", lost_wakeup },
	{ "seldom-updated", seldom_updated },
	{ "closed-twice", closed_twice },
	{ "taken-while-dropped", taken_while_dropped },
	{}
};
