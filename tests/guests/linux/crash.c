// SPDX-License-Identifier: GPL-2.0
/*
 * A program whose race ends it: one thread takes a pointer away that the other one has just
 * looked at.  It is the init process, so the kernel panics.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#include "races.h"

#define ROUNDS	20000

struct session {
	long user, requests;
};

static struct session only = { .user = 1000 };
struct session *session = &only;

static void run_on(int cpu)
{
	cpu_set_t own;

	CPU_ZERO(&own);
	CPU_SET(cpu, &own);
	pthread_setaffinity_np(pthread_self(), sizeof(own), &own);
}

__attribute__((noinline)) static void log_out(void)
{
	once(session) = NULL;
	work(20);
}

__attribute__((noinline)) static void log_in(void)
{
	once(session) = &only;
	work(60);
}

static void *door(void *unused)
{
	int i;

	run_on(1);
	for (i = 0; i < ROUNDS; i++) {
		log_out();
		log_in();
	}
	return unused;
}

/* The bug: it may have gone since the look. */
__attribute__((noinline)) static void request(void)
{
	if (once(session)) {
		work(40);
		once(once(session)->requests)++;
	}
	work(20);
}

static bool null_session(void)
{
	pthread_t other;
	int i;

	run_on(0);
	pthread_create(&other, NULL, door, NULL);
	for (i = 0; i < ROUNDS; i++)
		request();
	pthread_join(other, NULL);
	return false;
}

const struct race crashes[] = {
	{ "null_session", null_session },
	{ NULL, NULL },
};
