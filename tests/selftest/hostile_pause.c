// SPDX-License-Identifier: GPL-2.0
/* Replays that user space pauses at commits, leaves, and begins again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"

/* Commits from one pause to the next */
#define STRIDE		5
/* What is at least between two writes of the device */
#define WRITE_US	300
#define PAUSES_MAX	4096
#define NR_PAUSES	7u
/* A guest of these uses fewer pages. */
#define NR_USED		64

static const struct vm_setup racing = {
	.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .rounds = 100000, .chunk_limit = 1000,
	.memdigest = 16,
};

static unsigned int replay_mode = KVM_SAMSARA_MODE_REPLAY;

static int pause_at(struct vm *vm, unsigned long long commit)
{
	return vm_set_attr(vm, KVM_SAMSARA_GRP_PAUSE, 0, &commit);
}

static unsigned long long commits(struct vm *vm)
{
	struct kvm_samsara_status st;

	vm_get_status(vm, &st);
	return st.commits;
}

/* A guest that races, and a device that writes beside it. */
static void record(struct vm *vm, const struct vm_setup *setup, struct kvm_samsara_status *st)
{
	unsigned int word = 1;
	struct kvm_samsara_dma d = {
		.ram = DATA_ADDR + 64, .len = sizeof(word), .uaddr = (unsigned long)&word,
	};
	int i;

	vm_create_configured(vm, setup);
	vm->stream = streams_new(setup->nr_vcpus);
	vm_start(vm);
	vm_serve(vm);
	for (i = 0; i < setup->nr_vcpus; i++)
		vcpu_start(vm, i);
	for (; word < 20; word++) {
		must_work(vm_set_attr(vm, KVM_SAMSARA_GRP_DMA, 0, &d), "DMA");
		usleep(WRITE_US);
	}
	for (i = 0; i < setup->nr_vcpus; i++)
		vcpu_join(vm, i);
	stop(vm, st, "recording");
	leave(vm, "recording");
	if (st->state != KVM_SAMSARA_STATE_STOPPED || st->commits < 10 * STRIDE)
		fail("recording: state %u error %d, %llu commits", st->state, st->error,
		     st->commits);
}

static void start_replay(struct vm *vm, const struct vm *recorded)
{
	struct vm_setup setup = recorded->setup;

	setup.mode = replay_mode;
	vm_create_configured(vm, &setup);
	vm->stream = recorded->stream;
	vm_start(vm);
}

static void run(struct vm *vm)
{
	int i;

	vm_serve(vm);
	for (i = 0; i < vm->setup.nr_vcpus; i++)
		vcpu_start(vm, i);
}

static void must_end_exactly(struct vm *vm, const struct vm *recorded, unsigned long long last)
{
	struct kvm_samsara_status st;
	int i;

	for (i = 0; i < vm->setup.nr_vcpus; i++)
		vcpu_join(vm, i);
	stop(vm, &st, "replay");
	leave(vm, "replay");
	if (st.state != KVM_SAMSARA_STATE_STOPPED || st.commits != last)
		fail("replay: state %u error %d, %llu commits, diverged at %llu", st.state,
		     st.error, st.commits, st.div_commit);
	if (memcmp(vm->mem, recorded->mem, vm->setup.mem_bytes))
		fail("replay: another memory");
	vm_destroy(vm);
}

static unsigned int sum(const unsigned char *p, size_t len)
{
	unsigned int s = 0;

	while (len--)
		s = s * 31 + *p++;
	return s;
}

/* Memory at each pause, or the same as it was the last time. */
static unsigned int step_through(const struct vm *recorded, unsigned long long last,
				 unsigned int sums[PAUSES_MAX], bool again)
{
	unsigned long long n = STRIDE;
	unsigned int pauses = 0, s;
	struct vm vm;

	start_replay(&vm, recorded);
	must_work(pause_at(&vm, n), "a pause before the start");
	run(&vm);
	for (; n < last && pauses < PAUSES_MAX; n += STRIDE, pauses++) {
		must_work(pause_at(&vm, n), "a pause");
		if (!wait_until(commits(&vm) >= n, 5000))
			fail("not at commit %llu, but %llu", n, commits(&vm));
		if (pauses % 16 == 0)
			usleep(2000);
		s = sum(vm.mem, vm.setup.mem_bytes);
		if (commits(&vm) != n)
			fail("went on to commit %llu from %llu", commits(&vm), n);
		if (again && sums[pauses] != s)
			fail("another memory at commit %llu", n);
		sums[pauses] = s;
	}
	must_work(pause_at(&vm, 0), "no pause");
	must_end_exactly(&vm, recorded, last);
	return pauses;
}

static void pause_steps(void)
{
	static unsigned int sums[PAUSES_MAX];
	struct kvm_samsara_status st;
	struct vm vm;
	unsigned int pauses;

	record(&vm, &racing, &st);
	step_through(&vm, st.commits, sums, false);
	pauses = step_through(&vm, st.commits, sums, true);
	note("%llu commits, %u pauses", st.commits, pauses);
	vm_destroy(&vm);
	streams_free(vm.stream, racing.nr_vcpus);
}

/* At the last commit, and at one that is behind already. */
static void pause_ends(void)
{
	struct kvm_samsara_status st;
	unsigned long long at;
	struct vm vm, rep;

	record(&vm, &racing, &st);
	start_replay(&rep, &vm);
	must_work(pause_at(&rep, st.commits), "a pause at the end");
	run(&rep);
	must_end_exactly(&rep, &vm, st.commits);

	start_replay(&rep, &vm);
	run(&rep);
	if (!wait_until(commits(&rep) > 2, 5000))
		fail("does not run");
	must_work(pause_at(&rep, 1), "a pause behind");
	/* the commit that is being done */
	usleep(20000);
	at = commits(&rep);
	usleep(20000);
	if (commits(&rep) != at)
		fail("went on from %llu to %llu", at, commits(&rep));
	must_work(pause_at(&rep, 0), "no pause");
	must_end_exactly(&rep, &vm, st.commits);
	vm_destroy(&vm);
	streams_free(vm.stream, racing.nr_vcpus);
}

/* A replay that is paused can be left, and stopped. */
static void pause_stopped(void)
{
	struct kvm_samsara_status st;
	struct vm vm, rep;

	record(&vm, &racing, &st);
	start_replay(&rep, &vm);
	must_work(pause_at(&rep, 20), "a pause");
	run(&rep);
	if (!wait_until(commits(&rep) == 20, 5000))
		fail("not at commit 20");
	vm_interrupt(&rep);
	stop(&rep, &st, "a paused replay");
	if (st.commits != 20)
		fail("%llu commits", st.commits);
	leave(&rep, "a paused replay");
	vm_destroy(&rep);
	vm_destroy(&vm);
	streams_free(vm.stream, racing.nr_vcpus);
}

static void killed_in_pause(const void *arg)
{
	struct vm rep;

	start_replay(&rep, arg);
	must_work(pause_at(&rep, 20), "a pause");
	run(&rep);
	if (!wait_until(commits(&rep) == 20, 5000))
		fail("not at commit 20");
	ready();
	pause();
}

static void pause_killed(void)
{
	struct kvm_samsara_status st;
	struct vm vm;

	record(&vm, &racing, &st);
	must_die(killed_in_pause, &vm, "a pause");
	vm_destroy(&vm);
	streams_free(vm.stream, racing.nr_vcpus);
}

static void pause_refused(void)
{
	unsigned long long commit = 1;
	struct kvm_samsara_status st;
	struct vm vm;

	vm_create(&vm, &racing);
	must_fail(pause_at(&vm, 1), EINVAL, "a pause before CONFIG");
	vm_configure(&vm);
	must_fail(pause_at(&vm, 1), EINVAL, "a pause of a recording");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_PAUSE, 1, &commit), ENXIO, "another attribute");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_PAUSE, 0, NULL), EFAULT, "a number at 0");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_PAUSE, 0, &st), ENXIO, "get of a pause");
	vm_destroy(&vm);
}

static __u64 used[NR_USED];

static int sets(struct vm *vm, struct kvm_samsara_sets *s, __u32 room)
{
	*s = (struct kvm_samsara_sets){ .uaddr = (unsigned long)used, .nr = room };
	return vm_get_attr(vm, KVM_SAMSARA_GRP_SETS, 0, s);
}

/* From one commit to the next, until a chunk has written to the data that they race for. */
static bool to_writer(struct vm *vm, unsigned long long last)
{
	struct kvm_samsara_sets s;
	unsigned long long n;
	unsigned int i;

	for (n = 1; n < last; n++) {
		must_work(pause_at(vm, n), "a pause");
		if (!wait_until(commits(vm) == n, 5000))
			fail("not at commit %llu, but %llu", n, commits(vm));
		if (sets(vm, &s, NR_USED) < 0) {
			must_fail(-1, ENODATA, "the pages of no chunk");
			continue;
		}
		for (i = 0; i < s.nr && s.commit == n; i++)
			if (used[i] == (DATA_ADDR | KVM_SAMSARA_SETS_WRITTEN))
				return true;
	}
	return false;
}

static void pause_pages(void)
{
	struct kvm_samsara_status st;
	struct kvm_samsara_sets s;
	struct vm vm, rep;
	__u32 nr;

	record(&vm, &racing, &st);
	start_replay(&rep, &vm);
	must_work(pause_at(&rep, 1), "a pause");
	must_fail(sets(&rep, &s, NR_USED), ENODATA, "pages before the first chunk");
	run(&rep);
	if (!to_writer(&rep, st.commits))
		fail("no chunk has written to the data");
	must_work(sets(&rep, &s, NR_USED), "pages");
	nr = s.nr;
	must_work(sets(&rep, &s, nr), "pages, just room enough");
	must_fail(sets(&rep, &s, nr - 1), E2BIG, "pages, no room");
	if (s.nr != nr)
		fail("%u pages, then %u", nr, s.nr);
	s = (struct kvm_samsara_sets){ .nr = nr };
	must_fail(vm_get_attr(&rep, KVM_SAMSARA_GRP_SETS, 0, &s), EFAULT, "pages to 0");
	s.reserved = 1;
	must_fail(vm_get_attr(&rep, KVM_SAMSARA_GRP_SETS, 0, &s), EINVAL, "reserved = 1");
	must_fail(vm_get_attr(&rep, KVM_SAMSARA_GRP_SETS, 0, NULL), EFAULT, "sets to 0");
	must_fail(vm_get_attr(&rep, KVM_SAMSARA_GRP_SETS, 1, &s), ENXIO, "attribute 1");
	must_fail(vm_set_attr(&rep, KVM_SAMSARA_GRP_SETS, 0, &s), ENXIO, "set of sets");
	must_fail(sets(&vm, &s, nr), ENODATA, "pages of a recording");
	note("commit %llu, %u pages", commits(&rep), nr);
	must_work(pause_at(&rep, 0), "no pause");
	must_end_exactly(&rep, &vm, st.commits);
	vm_destroy(&vm);
	streams_free(vm.stream, racing.nr_vcpus);
}

/* As if nothing had been replayed yet */
static void begin_again(struct vm *vm, const unsigned char *mem)
{
	int i;

	vm_interrupt(vm);
	stop(vm, &(struct kvm_samsara_status){}, "a replay");
	vm_stop_serving(vm);
	must_work(vm_clear(vm), "CLEAR");
	memcpy(vm->mem, mem, vm->setup.mem_bytes);
	for (i = 0; i < vm->setup.nr_vcpus; i++)
		must_work(vcpu_set_start(vm->vcpu[i], i, &vm->setup), "registers");
	vm_configure(vm);
	vm_start(vm);
}

/* A replay is left at a commit, or wherever it is, and begins again. */
static void replay_again(const struct vm_setup *setup)
{
	const unsigned long long pauses[NR_PAUSES] = { 1, 20, 33, 0, 5, 0, 47 };
	struct kvm_samsara_status st;
	unsigned char *mem;
	unsigned int i;
	struct vm vm, rep;

	record(&vm, setup, &st);
	start_replay(&rep, &vm);
	mem = malloc(rep.setup.mem_bytes);
	memcpy(mem, rep.mem, rep.setup.mem_bytes);
	for (i = 0; i < NR_PAUSES; i++) {
		must_work(pause_at(&rep, pauses[i]), "a pause");
		run(&rep);
		if (!pauses[i])
			usleep(1000 * i);
		else if (!wait_until(commits(&rep) == pauses[i], 5000))
			fail("not at commit %llu, but %llu", pauses[i], commits(&rep));
		begin_again(&rep, mem);
	}
	run(&rep);
	must_end_exactly(&rep, &vm, st.commits);
	note("%llu commits, begun %u times", st.commits, NR_PAUSES + 1);
	free(mem);
	vm_destroy(&vm);
	streams_free(vm.stream, setup->nr_vcpus);
}

static void replay_again_races(void)
{
	replay_again(&racing);
}

/* In the middle of exits, too */
static void replay_again_devices(void)
{
	const struct vm_setup setup = {
		.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .rounds = 200,
		.guest = &device_guest,
	};

	replay_again(&setup);
}

/*
 * Steps can't be asked for while chunks run side by side.  The only one that is open may have
 * the turn, and then nothing runs beside it.
 */
static bool is_refused_steps(struct vm *vm)
{
	struct kvm_samsara_debug steps = { .flags = KVM_SAMSARA_DEBUG_STEP }, none = {};
	struct kvm_samsara_status st;
	int r;

	vm_get_status(vm, &st);
	r = vm_set_attr(vm, KVM_SAMSARA_GRP_DEBUG, 0, &steps);
	if (r)
		must_fail(r, EBUSY, "steps");
	if (r && st.begun <= st.commits)
		fail("steps are refused, and no chunk is open");
	must_work(vm_set_attr(vm, KVM_SAMSARA_GRP_DEBUG, 0, &none), "nothing");
	return r;
}

static void debug_of_open_chunks(void)
{
	unsigned int i, refused = 0;
	struct kvm_samsara_status st;
	struct vm vm, rep;

	record(&vm, &racing, &st);
	start_replay(&rep, &vm);
	for (i = 0; i < 100 && !refused && commits(&rep) < st.commits / 2; i++) {
		run(&rep);
		usleep(20 * i);
		vm_interrupt(&rep);
		vm_stop_serving(&rep);
		refused += is_refused_steps(&rep);
	}
	if (!refused)
		fail("no chunk was open at commit %llu of %llu", commits(&rep), st.commits);
	run(&rep);
	must_end_exactly(&rep, &vm, st.commits);
	note("refused after %u stops", i);
	vm_destroy(&vm);
	streams_free(vm.stream, racing.nr_vcpus);
}

static void in_parallel(void (*fn)(void))
{
	replay_mode = KVM_SAMSARA_MODE_REPLAY_PARALLEL;
	fn();
	replay_mode = KVM_SAMSARA_MODE_REPLAY;
}

static void pause_steps_parallel(void)
{
	in_parallel(pause_steps);
}

static void pause_ends_parallel(void)
{
	in_parallel(pause_ends);
}

static void pause_stopped_parallel(void)
{
	in_parallel(pause_stopped);
}

static void pause_pages_parallel(void)
{
	in_parallel(pause_pages);
}

static void pause_killed_parallel(void)
{
	in_parallel(pause_killed);
}

static void replay_again_races_parallel(void)
{
	in_parallel(replay_again_races);
}

static void replay_again_devices_parallel(void)
{
	in_parallel(replay_again_devices);
}

static void debug_of_open_chunks_parallel(void)
{
	in_parallel(debug_of_open_chunks);
}

const struct hostile_case pause_cases[] = {
	{ "pause-steps", pause_steps },
	{ "pause-ends", pause_ends },
	{ "pause-stopped", pause_stopped },
	{ "pause-killed", pause_killed },
	{ "pause-refused", pause_refused },
	{ "pause-pages", pause_pages },
	{ "replay-again-races", replay_again_races },
	{ "replay-again-devices", replay_again_devices },
	{ "pause-steps-parallel", pause_steps_parallel },
	{ "pause-ends-parallel", pause_ends_parallel },
	{ "pause-stopped-parallel", pause_stopped_parallel },
	{ "pause-pages-parallel", pause_pages_parallel },
	{ "pause-killed-parallel", pause_killed_parallel },
	{ "replay-again-races-parallel", replay_again_races_parallel },
	{ "replay-again-devices-parallel", replay_again_devices_parallel },
	{ "debug-of-open-chunks", debug_of_open_chunks_parallel },
	{}
};
