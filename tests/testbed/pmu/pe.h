/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the tests of the simulated performance-monitoring unit. */
#ifndef PE_H
#define PE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <linux/perf_event.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EV_INSTRUCTIONS	0x00c0	/* INST_RETIRED.ANY_P */
#define EV_COND		0x01c4	/* BR_INST_RETIRED.CONDITIONAL */
#define EV_BRANCHES	0x00c4	/* BR_INST_RETIRED.ALL_BRANCHES */
#define EV_NEAR_TAKEN	0x20c4	/* BR_INST_RETIRED.NEAR_TAKEN */

#define EXCL_USER	1
#define EXCL_KERNEL	2
#define EXCL_HOST	4

static int failures;

static inline void check(int good, const char *name, const char *fmt, ...)
{
	va_list ap;

	printf("%s %s", good ? "ok" : "not ok", name);
	if (*fmt) {
		printf(": ");
		va_start(ap, fmt);
		vprintf(fmt, ap);
		va_end(ap);
	}
	printf("\n");
	fflush(stdout);
	if (!good)
		failures++;
}

static inline void die(const char *what)
{
	perror(what);
	exit(2);
}

static inline int pe_open(uint64_t config, int excl, uint64_t period, int group)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_RAW,
		.size = sizeof(a),
		.config = config,
		.sample_period = period,
		.sample_type = period ? PERF_SAMPLE_IP | PERF_SAMPLE_READ : 0,
		.disabled = group < 0,
		.pinned = group < 0,
		.exclude_user = !!(excl & EXCL_USER),
		.exclude_kernel = !!(excl & EXCL_KERNEL),
		.exclude_host = !!(excl & EXCL_HOST),
		.wakeup_events = 1,
	};
	int fd = syscall(SYS_perf_event_open, &a, 0, -1, group, 0);

	if (fd < 0)
		die("perf_event_open");
	return fd;
}

static inline uint64_t pe_read(int fd)
{
	uint64_t v;

	/* a pinned event that could not be scheduled reads as end of file */
	if (read(fd, &v, sizeof(v)) != sizeof(v))
		die("read of a counter");
	return v;
}

static inline void pe_enable(int fd)
{
	if (ioctl(fd, PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP))
		die("PERF_EVENT_IOC_ENABLE");
}

static inline void pe_disable(int fd)
{
	if (ioctl(fd, PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP))
		die("PERF_EVENT_IOC_DISABLE");
}

static inline void pin_to(int cpu)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	CPU_SET(cpu, &s);
	if (sched_setaffinity(0, sizeof(s), &s))
		die("sched_setaffinity");
}

/* ---- samples: PERF_SAMPLE_IP | PERF_SAMPLE_READ */

#define RING_PAGES 64

struct sample {
	struct perf_event_header h;
	uint64_t ip;
	uint64_t value;
};

static inline void *ring_map(int fd)
{
	void *p = mmap(NULL, (1 + RING_PAGES) * 4096, PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("mmap of the sample ring");
	return p;
}

struct timing {
	int n;
	int early;	/* interrupts before their time */
	int late;	/* ... later than allowed */
	int latest;
};

/*
 * The counter's value at the time of each interrupt must be at or a little
 * after a multiple of the period.
 */
static inline struct timing ring_check(void *ring, uint64_t period, int max_late)
{
	struct perf_event_mmap_page *m = ring;
	char *data = (char *)ring + 4096;
	uint64_t pos = m->data_tail;
	struct timing t = { 0 };

	__sync_synchronize();
	while (pos < m->data_head) {
		struct sample s;
		int64_t d;

		for (size_t i = 0; i < sizeof(s); i++)
			((char *)&s)[i] = data[(pos + i) % (RING_PAGES * 4096)];
		pos += s.h.size;
		if (s.h.type != PERF_RECORD_SAMPLE)
			continue;
		t.n++;
		d = s.value - t.n * period;
		t.early += d < 0;
		t.late += d > max_late;
		if (d > t.latest)
			t.latest = d;
	}
	m->data_tail = pos;
	return t;
}

static inline long context_switches(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_THREAD, &u))
		die("getrusage");
	return u.ru_nvcsw + u.ru_nivcsw;
}

/* Shortest period Linux gives a counter that it schedules in, see hsw_limit_period(). */
#define MIN_PERIOD 32

/*
 * Good if they came when they should; late by less than MIN_PERIOD more if the
 * thread was switched out shortly before.
 */
static inline void check_timing(const struct timing *t, int want, int max_late, long switches,
				const char *name)
{
	check((t->n == want || t->n == want + 1) && !t->early && t->late <= switches &&
	      t->latest < max_late + MIN_PERIOD, name,
	      "%d interrupts of %d, %d early, %d late (%ld context switches), latest by %d",
	      t->n, want, t->early, t->late, switches, t->latest);
}

#endif
