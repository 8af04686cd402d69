/* SPDX-License-Identifier: GPL-2.0 */
/* Branch counters, see counter.c. */
#ifndef __KVM_X86_SAMSARA_COUNTER_H
#define __KVM_X86_SAMSARA_COUNTER_H

#include <linux/bits.h>
#include <linux/types.h>

struct perf_event;

/* A period no chunk reaches. */
#define SAMSARA_PERIOD_NEVER	BIT_ULL(40)

/* Where the chunk has ended is not known if its branches have not all been counted. */
#define SAMSARA_COUNTER_LOST	"perf took the branch counter away"

struct samsara_counts {
	u64 branches;		/* conditional */
	u64 jumps;		/* near branches taken */
};

/* When a chunk began. */
struct samsara_counter_start {
	struct samsara_counts counts;
	u64 lost;		/* time in which the counters could not count until then */
};

/* A vCPU's counters; they belong to the thread that runs it. */
struct samsara_counter {
	struct perf_event *branches;
	struct perf_event *jumps;
	u64 period;		/* of the former */
	bool overflowed;	/* one of them */
};

int samsara_counter_selftest(void);
int samsara_counter_init(struct samsara_counter *counter, u64 period, bool in_chunk);
void samsara_counter_free(struct samsara_counter *counter);
bool samsara_counter_ok(struct samsara_counter *counter);
void samsara_counter_read(struct samsara_counter *counter, struct samsara_counts *c);
void samsara_counter_begin(struct samsara_counter *counter, struct samsara_counter_start *start);
bool samsara_counter_complete(struct samsara_counter *counter,
			      const struct samsara_counter_start *start);
int samsara_counter_arm(struct samsara_counter *counter, u64 branches, u64 jumps);

#endif /* __KVM_X86_SAMSARA_COUNTER_H */
