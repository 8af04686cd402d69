/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the engine counts for each vCPU, as a part of KVM's binary statistics
 * (KVM_GET_STATS_FD; QMP query-stats; /sys/kernel/debug/kvm).  Recording, but for
 * what says otherwise.  Only the vCPU's own thread changes them.
 */
#ifndef _ASM_X86_KVM_SAMSARA_STATS_H
#define _ASM_X86_KVM_SAMSARA_STATS_H

#ifdef CONFIG_KVM_SAMSARA

#define KVM_SAMSARA_HIST_BUCKETS	32

/* Name and unit.  Cycles are the host's time stamp counter's. */
#define KVM_SAMSARA_VCPU_COUNTERS(counter)				\
	counter(samsara_chunks, NONE)		/* committed; replay, too */ \
	counter(samsara_rollbacks, NONE)				\
	counter(samsara_sections, NONE)		/* replay, too */	\
	counter(samsara_copies, NONE)		/* pages copied on write */ \
	counter(samsara_exclusive, NONE)	/* times the token was taken */ \
	counter(samsara_async_ends, NONE)	/* chunks with a position */ \
	counter(samsara_touch_ends, NONE)	/* ... before a contended page */ \
	counter(samsara_landing_steps, NONE)	/* replay: single steps */ \
	counter(samsara_log_bytes, BYTES)	/* before compression */ \
	counter(samsara_chunk_cycles, CYCLES)	/* in chunks that committed */ \
	counter(samsara_spin_cycles, CYCLES)	/* ... while they were seen to spin */ \
	counter(samsara_lost_cycles, CYCLES)	/* in chunks rolled back */ \
	counter(samsara_page_cycles, CYCLES)	/* waiting for a contended page */ \
	counter(samsara_precommit_cycles, CYCLES)	/* harvest and compare */ \
	counter(samsara_wait_cycles, CYCLES)	/* for commit_lock */	\
	counter(samsara_commit_cycles, CYCLES)	/* under it */		\
	counter(samsara_sync_cycles, CYCLES)	/* publish, log, earlier commits */ \
	counter(samsara_section_cycles, CYCLES)	/* in KVM's work between chunks */

/* Logarithmic histograms, of parallel chunks, rolled back or not. */
#define KVM_SAMSARA_VCPU_HISTS(hist)					\
	hist(samsara_chunk_length, CYCLES)				\
	hist(samsara_access_set, NONE)		/* pages read or written */ \
	hist(samsara_dirty_set, NONE)		/* private copies written */

#define KVM_SAMSARA_COUNTER_FIELD(name, unit)	u64 name;
#define KVM_SAMSARA_HIST_FIELD(name, unit)	u64 name[KVM_SAMSARA_HIST_BUCKETS];
#define KVM_SAMSARA_VCPU_STAT						\
	KVM_SAMSARA_VCPU_COUNTERS(KVM_SAMSARA_COUNTER_FIELD)		\
	KVM_SAMSARA_VCPU_HISTS(KVM_SAMSARA_HIST_FIELD)

#define KVM_SAMSARA_COUNTER_DESC(name, unit)				\
	STATS_DESC_CUMULATIVE(VCPU, name, KVM_STATS_UNIT_##unit, KVM_STATS_BASE_POW10, 0),
#define KVM_SAMSARA_HIST_DESC(name, unit)				\
	STATS_DESC_LOG_HIST(VCPU, name, KVM_STATS_UNIT_##unit, KVM_STATS_BASE_POW10, 0, \
			    KVM_SAMSARA_HIST_BUCKETS),
#define KVM_SAMSARA_VCPU_STAT_DESC					\
	KVM_SAMSARA_VCPU_COUNTERS(KVM_SAMSARA_COUNTER_DESC)		\
	KVM_SAMSARA_VCPU_HISTS(KVM_SAMSARA_HIST_DESC)

#else

#define KVM_SAMSARA_VCPU_STAT
#define KVM_SAMSARA_VCPU_STAT_DESC

#endif

#endif /* _ASM_X86_KVM_SAMSARA_STATS_H */
