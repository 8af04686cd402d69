/* SPDX-License-Identifier: GPL-2.0 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "vmm.h"

struct hostile_case {
	const char *name;
	void (*run)(void);
};

/* Each file's cases, ended by one without a name. */
extern const struct hostile_case abi_cases[], start_cases[], log_cases[], memory_cases[], map_cases[],
	state_cases[], again_cases[], pause_cases[], debug_cases[];

/* How a case ends; it runs in a process of its own.  Whoever returns has passed. */
void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Printed behind the name of a case that has passed. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* @r, of a call that sets errno, failed with @wanted. */
void must_fail(int r, int wanted, const char *what);
void must_work(int r, const char *what);

/* Milliseconds since some time. */
unsigned long long now_ms(void);

/* Look every millisecond until @cond, for so long.  Its value in the end. */
#define wait_until(cond, ms)						\
({									\
	unsigned long long end_ = now_ms() + (ms);			\
	bool ok_;							\
									\
	while (!(ok_ = (cond)) && now_ms() < end_)			\
		usleep(1000);						\
	ok_;								\
})

/* Have all vCPU threads and the service return within some seconds, or fail. */
void leave(struct vm *vm, const char *what);
/* STOP, which must not hang. */
void stop(struct vm *vm, struct kvm_samsara_status *st, const char *what);

/*
 * Fork a process for @fn; it reports with ready().  Kill it some time after that: it
 * must be gone soon.
 */
void must_die(void (*fn)(const void *arg), const void *arg, const char *what);
void ready(void);

/* Run @fn in a forked process and wait for it; a failure of it is one of the case. */
void in_child(void (*fn)(const void *arg), const void *arg, const char *what);

/*
 * Record and replay; both must be exact.  @meanwhile (or NULL) runs while it is recorded.
 * Returns what the replay has come to.
 */
struct kvm_samsara_status record_and_replay(const struct vm_setup *setup, void (*meanwhile)(struct vm *vm));

/* The number behind @key in a file of lines "key number", -1: there is none. */
long long number_in(const char *path, const char *key);
void write_text(const char *path, const char *what);

#endif
