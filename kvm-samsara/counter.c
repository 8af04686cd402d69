// SPDX-License-Identifier: GPL-2.0
/*
 * Time inside a chunk: conditional branches retired in the guest.
 *
 * Two pinned, guest-only perf events per vCPU thread.  "branches" counts
 * BR_INST_RETIRED.CONDITIONAL, exact on the processors rr supports; it is the
 * clock.  "jumps" counts near branches that are taken; its only use is to tell apart
 * the iterations of a loop that has no conditional branch.  Any loop has a branch
 * or is a REP, so (branches, jumps, RIP, RCX) names one point of an execution.
 * Counts of all branches would have one more for each interrupt of the host, whose
 * return is a far branch, and the host's interrupts are not those of the recording.
 */
#include <linux/perf_event.h>
#include <asm/perf_event.h>

#include "counter.h"

#define EVENT_NEAR_TAKEN	0x20c4	/* BR_INST_RETIRED.NEAR_TAKEN */
/*
 * BR_INST_RETIRED.CONDITIONAL: Nehalem to Comet Lake, and from Ice Lake on.  The
 * self test takes the one that counts.
 */
static const u16 cond_branches_events[] = { 0x01c4, 0x11c4 };
static u16 cond_branches_event;
/* perf's own mark of a throttled event: MAX_INTERRUPTS of kernel/events/core.c. */
#define PERF_THROTTLED		(~0ull)

static unsigned int selftest_skew;
module_param_named(samsara_selftest_skew, selftest_skew, uint, 0444);
MODULE_PARM_DESC(samsara_selftest_skew,
		 "Test aid: pretend that the branch counter miscounts by this much");

static void on_overflow(struct perf_event *event, struct perf_sample_data *data,
			struct pt_regs *regs)
{
	struct samsara_counter *counter = event->overflow_handler_context;

	/* NMI context.  The NMI was a VM-exit; the exit path looks at the flag. */
	WRITE_ONCE(counter->overflowed, true);
}

static void never_overflows(struct perf_event *event, struct perf_sample_data *data,
			    struct pt_regs *regs)
{
}

static struct perf_event *create(u64 config, u64 period, bool guest, void *context)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_RAW,
		.size = sizeof(attr),
		.config = config,
		.sample_period = period,
		.pinned = 1,
		.exclude_host = guest,
		.exclude_guest = !guest,
		.exclude_user = !guest,
	};

	return perf_event_create_kernel_counter(&attr, -1, current,
						guest ? on_overflow : never_overflows, context);
}

/* The event's exact value, without the cost of perf's locks. */
static u64 read_event(struct perf_event *event)
{
	unsigned int width = 48;
	u64 prev, raw, count;

	/*
	 * An overflow NMI may update count and prev_count between our reads.
	 * It may set prev_count to what it was; count always grows.
	 */
	do {
		prev = local64_read(&event->hw.prev_count);
		count = local64_read(&event->count);
		rdpmcl(event->hw.event_base_rdpmc, raw);
	} while (prev != local64_read(&event->hw.prev_count) ||
		 count != local64_read(&event->count));

	return count + (((raw << (64 - width)) - (prev << (64 - width))) >> (64 - width));
}

static bool event_runs(struct perf_event *event)
{
	return event->state == PERF_EVENT_STATE_ACTIVE &&
	       event->hw.interrupts != PERF_THROTTLED;
}

/* False: perf took a counter away or throttled it, counts are not to be trusted. */
bool samsara_counter_ok(struct samsara_counter *counter)
{
	bool ok;

	preempt_disable();
	ok = event_runs(counter->branches) && event_runs(counter->jumps);
	preempt_enable();
	return ok;
}

/*
 * perf stops an event for the rest of a tick when it overflows more often than
 * sysctl kernel.perf_event_max_sample_rate allows.  Ours do so a few times a
 * chunk at most, and no count may be lost: begin perf's tally anew.
 */
static void forget_interrupts(struct perf_event *event)
{
	if (event->hw.interrupts != PERF_THROTTLED)
		event->hw.interrupts = 0;
}

/* Counts of the vCPU thread so far; the guest is not running. */
void samsara_counter_read(struct samsara_counter *counter, struct samsara_counts *c)
{
	unsigned long flags;

	/* Off: perf must not schedule the events meanwhile. */
	local_irq_save(flags);
	forget_interrupts(counter->branches);
	forget_interrupts(counter->jumps);
	c->branches = read_event(counter->branches);
	c->jumps = read_event(counter->jumps);
	local_irq_restore(flags);
}

/* Time in which perf wanted to count the events of the vCPU's thread, and could not. */
static u64 lost_time(struct samsara_counter *counter)
{
	return counter->branches->total_time_enabled - counter->branches->total_time_running +
	       counter->jumps->total_time_enabled - counter->jumps->total_time_running;
}

/* A chunk begins here.  IRQs off. */
void samsara_counter_begin(struct samsara_counter *counter, struct samsara_counter_start *start)
{
	samsara_counter_read(counter, &start->counts);
	start->lost = lost_time(counter);
}

/*
 * Has everything been counted since samsara_counter_begin()?  perf may give a counter to
 * others at any time, and back.
 */
bool samsara_counter_complete(struct samsara_counter *counter,
			      const struct samsara_counter_start *start)
{
	bool ret;

	preempt_disable();
	ret = samsara_counter_ok(counter) && lost_time(counter) == start->lost;
	preempt_enable();
	return ret;
}

/*
 * The events belong to the thread that runs the vCPU.  Another one gets its own, at a
 * boundary; within a chunk, in replay, the counts so far would be lost.
 */
static int leave_other_thread(struct samsara_counter *counter, bool in_chunk)
{
	if (counter->branches->hw.target == current)
		return 0;
	if (in_chunk)
		return -EBUSY;
	samsara_counter_free(counter);
	return 0;
}

/*
 * @in_chunk: counts go on from those of before.  Returns 0, -EBUSY if somebody else counts, or
 * the errno of perf.
 */
int samsara_counter_init(struct samsara_counter *counter, u64 period, bool in_chunk)
{
	struct perf_event *event;
	int r;

	if (counter->branches) {
		r = leave_other_thread(counter, in_chunk);
		if (r || counter->branches)
			return r;
	}
	event = create(cond_branches_event, period, true, counter);
	if (IS_ERR(event))
		return PTR_ERR(event);
	counter->branches = event;
	counter->period = period;
	event = create(EVENT_NEAR_TAKEN, SAMSARA_PERIOD_NEVER, true, counter);
	if (IS_ERR(event)) {
		/* Both or none: the vCPU may be back here before it sees that this failed. */
		samsara_counter_free(counter);
		return PTR_ERR(event);
	}
	counter->jumps = event;
	return samsara_counter_ok(counter) ? 0 : -EBUSY;
}

void samsara_counter_free(struct samsara_counter *counter)
{
	if (counter->jumps)
		perf_event_release_kernel(counter->jumps);
	if (counter->branches)
		perf_event_release_kernel(counter->branches);
	counter->jumps = NULL;
	counter->branches = NULL;
}

/* Replay: overflow after so many more events of each kind, 0: not at all. */
int samsara_counter_arm(struct samsara_counter *counter, u64 branches, u64 jumps)
{
	int r;

	WRITE_ONCE(counter->overflowed, false);
	r = perf_event_period(counter->branches, branches ?: SAMSARA_PERIOD_NEVER);
	return r ?: perf_event_period(counter->jumps, jumps ?: SAMSARA_PERIOD_NEVER);
}

/* 2 * n conditional branches, n of them taken but for the last round. */
static noinline void known_loop(unsigned long n)
{
	asm volatile("1:\n\t"
		     "test %0, %0\n\t"
		     "jz 2f\n"
		     "2:\n\t"
		     "dec %0\n\t"
		     "jnz 1b"
		     : "+r" (n) : : "cc");
}

/* Branches counted for n rounds of the known loop, IRQs off. */
static u64 count_known_loop(struct perf_event *event, unsigned long n)
{
	u64 base, got;

	/* The difference of two runs takes out the branches of reading. */
	base = read_event(event);
	known_loop(1);
	base = read_event(event) - base;
	got = read_event(event);
	known_loop(n + 1);
	return read_event(event) - got - base + selftest_skew;
}

/*
 * Does the event count conditional branches exactly?  An NMI adds its own, so
 * one exact run out of a few is enough; a processor that miscounts has none.
 */
static int test_event(u16 config)
{
	const unsigned long n = 10000;
	struct perf_event *event;
	unsigned long flags;
	bool runs = true;
	u64 got = 0;
	int i;

	event = create(config, SAMSARA_PERIOD_NEVER, false, NULL);
	if (IS_ERR(event)) {
		pr_warn("samsara: no counter for event %x (perf error %ld)\n", config,
			PTR_ERR(event));
		return PTR_ERR(event) == -ENOMEM ? -ENOMEM : -ENODEV;
	}
	for (i = 0; i < 8 && runs && got != 2 * n; i++) {
		local_irq_save(flags);
		runs = event_runs(event);
		if (runs)
			got = count_known_loop(event, n);
		local_irq_restore(flags);
	}
	perf_event_release_kernel(event);

	if (!runs) {
		pr_warn("samsara: the branch counter is in use by someone else\n");
		return -EBUSY;
	}
	if (got != 2 * n) {
		pr_warn("samsara: event %x miscounts conditional branches: %llu instead of %lu\n",
			config, got, 2 * n);
		return -EOPNOTSUPP;
	}
	return 0;
}

int samsara_counter_selftest(void)
{
	int i, r = -ENODEV;

	if (boot_cpu_data.x86_vendor != X86_VENDOR_INTEL)
		return r;
	for (i = 0; i < ARRAY_SIZE(cond_branches_events); i++) {
		r = test_event(cond_branches_events[i]);
		if (!r)
			cond_branches_event = cond_branches_events[i];
		/* Another processor's event?  Else the next one would fare no better. */
		if (r != -ENODEV && r != -EOPNOTSUPP)
			break;
	}
	return r;
}
