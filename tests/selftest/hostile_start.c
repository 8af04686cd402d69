// SPDX-License-Identifier: GPL-2.0
/* START, KVM_RUN and the end at the wrong time, from the wrong thread. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hostile.h"

static const struct vm_setup two_endless = {
	.nr_vcpus = 2,
	.mode = KVM_SAMSARA_MODE_RECORD,
};

static unsigned int guest_counter(struct vm *vm)
{
	return *(volatile unsigned int *)(vm->mem + DATA_ADDR);
}

static void wait_for_guest(struct vm *vm)
{
	unsigned int seen = guest_counter(vm);

	if (!wait_until(guest_counter(vm) != seen, 10000))
		fail("the guest does not run");
}

static int start(struct vm *vm)
{
	return vm_ctrl(vm, KVM_SAMSARA_CTRL_START);
}

/* Recording goes on as it should. */
static void record_for_a_while(struct vm *vm)
{
	struct kvm_samsara_status st;

	wait_for_guest(vm);
	usleep(10000);
	stop(vm, &st, "recording");
	if (st.state != KVM_SAMSARA_STATE_STOPPED)
		fail("state %u error %d", st.state, st.error);
	wait_for_guest(vm);
	leave(vm, "after STOP");
}

static void start_in_run(void)
{
	struct vm_setup setup = two_endless;
	struct vm vm;
	int i;

	setup.guest = &spinning_guest;
	vm_create_configured(&vm, &setup);
	vm.stream = streams_new(2);
	vcpu_start(&vm, 1);
	wait_for_guest(&vm);
	for (i = 0; i < 20; i++) {
		must_fail(start(&vm), EBUSY, "START with a vCPU in KVM_RUN");
		usleep(500);
	}
	wait_for_guest(&vm);
	leave(&vm, "before START");
	must_work(start(&vm), "START after KVM_RUN");
	vm_serve(&vm);
	vcpu_start(&vm, 0);
	vcpu_start(&vm, 1);
	record_for_a_while(&vm);
	vm_destroy(&vm);
}

/* In and out of KVM_RUN all the time, until told to leave. */
static void *restless_vcpu(void *p)
{
	struct vm *vm = p;
	int r;

	while (!__atomic_load_n(&vm->quit, __ATOMIC_ACQUIRE)) {
		r = ioctl(vm->vcpu[0], KVM_RUN, 0);
		if (r < 0 && errno != EINTR && errno != EAGAIN)
			fail("KVM_RUN: %s", strerror(errno));
		if (!(now_ms() & 15))
			usleep(1000);
	}
	return NULL;
}

/* START at any moment of another thread's KVM_RUN: it fails, or all is well. */
static void start_races_run(void)
{
	struct vm_setup setup = {
		.nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_RECORD, .guest = &device_guest,
	};
	unsigned int i, tries, all = 0;
	struct kvm_samsara_status st;
	unsigned long long end;
	pthread_t thread;
	struct vm vm;

	for (i = 0; i < 15; i++) {
		vm_create_configured(&vm, &setup);
		vm.stream = streams_new(1);
		vm_serve(&vm);
		pthread_create(&thread, NULL, restless_vcpu, &vm);
		/* How many tries it takes depends on how slow the kernel is. */
		end = now_ms() + 20000;
		for (tries = 0; start(&vm) < 0; tries++) {
			if (errno != EBUSY)
				fail("START: %s", strerror(errno));
			if (now_ms() > end)
				fail("START never got through, %u tries", tries);
			usleep(i * 17);
		}
		all += tries;
		usleep(3000);
		vm_get_status(&vm, &st);
		if (st.state != KVM_SAMSARA_STATE_RECORDING)
			fail("state %u error %d", st.state, st.error);
		stop(&vm, &st, "recording");
		if (st.state != KVM_SAMSARA_STATE_STOPPED)
			fail("after STOP: state %u error %d", st.state, st.error);
		vm.quit = true;
		pthread_kill(thread, SIGUSR1);
		pthread_join(thread, NULL);
		vm_stop_serving(&vm);
		streams_free(vm.stream, 1);
		vm_destroy(&vm);
	}
	note("%u times, refused %u times before", i, all);
}

struct creator {
	struct vm *vm;
	int id;
	unsigned int delay;
	int made;	/* the descriptor, or -errno */
	bool go;
};

static void *creator_thread(void *p)
{
	struct creator *c = p;

	while (!__atomic_load_n(&c->go, __ATOMIC_ACQUIRE))
		;
	usleep(c->delay);
	c->made = ioctl(c->vm->fd, KVM_CREATE_VCPU, c->id);
	if (c->made < 0)
		c->made = -errno;
	return NULL;
}

/* A vCPU that comes while START looks at them all. */
static void start_races_create(void)
{
	static const int ids[] = { 4000, 1, 63, 1000 };
	struct vm_setup setup = two_endless;
	unsigned int i, first = 0;
	struct creator c;
	pthread_t thread;
	struct vm vm;
	int r;

	setup.nr_vcpus = 1;
	setup.mem_bytes = 16 << 20;
	for (i = 0; i < 24; i++) {
		vm_create_configured(&vm, &setup);
		vm.stream = streams_new(1);
		c = (struct creator) {
			.vm = &vm, .id = ids[i % 4], .delay = i / 8 * 900,
		};
		pthread_create(&thread, NULL, creator_thread, &c);
		__atomic_store_n(&c.go, true, __ATOMIC_RELEASE);
		/* Now one is first, now the other. */
		usleep(i % 8 * 300);
		r = start(&vm);
		if (r < 0 && errno != EINVAL && errno != EBUSY)
			fail("START: %s", strerror(errno));
		pthread_join(thread, NULL);
		if (!r && c.made != -EBUSY)
			fail("START worked, KVM_CREATE_VCPU of %d gave %d, not EBUSY", c.id,
			     c.made);
		if (r && c.made < 0)
			fail("neither START nor KVM_CREATE_VCPU worked: %s", strerror(-c.made));
		if (!r)
			must_fail(ioctl(vm.fd, KVM_CREATE_VCPU, 2), EBUSY, "KVM_CREATE_VCPU");
		first += r < 0;
		if (c.made >= 0)
			close(c.made);
		streams_free(vm.stream, 1);
		vm_destroy(&vm);
	}
	note("%u times, the vCPU came first %u times", i, first);
}

/* vCPU ids and their number must fit the configuration. */
static void start_wrong_vcpus(void)
{
	struct vm_setup setup = two_endless;
	struct kvm_samsara_config config;
	struct vm vm;
	int fd;

	setup.nr_vcpus = 1;
	vm_create(&vm, &setup);
	config = vm_config(&vm);
	config.nr_vcpus = 2;
	must_work(vm_set_attr(&vm, KVM_SAMSARA_GRP_CONFIG, 0, &config), "CONFIG");
	must_fail(start(&vm), EINVAL, "START with too few vCPUs");
	fd = ioctl(vm.fd, KVM_CREATE_VCPU, 7);
	must_work(fd, "KVM_CREATE_VCPU");
	must_fail(start(&vm), EINVAL, "START with vCPUs 0 and 7");
	close(fd);
	vm_destroy(&vm);
}

static void wait_and_die(struct vm *vm)
{
	struct kvm_samsara_status st;

	if (!wait_until((vm_get_status(vm, &st), st.error), 8000))
		fail("no failure: state %u", st.state);
	_exit(0);
}

static void *steal_room(void *p)
{
	struct vm *vm = p;
	unsigned int i;

	for (i = 0; ; i++) {
		__atomic_store_n(&vm->ring[i % 3]->tail, i & 1 ? ~0ull << 32 : vm->ring[i % 3]->head,
				 __ATOMIC_RELEASE);
		if (i % 100 == 0)
			vm_ctrl(vm, KVM_SAMSARA_CTRL_WAKE);
	}
	return NULL;
}

/* Room for a record goes away after it was seen: the recording fails, and all goes at once. */
static void fail_and_close(const void *arg)
{
	struct vm_setup setup = two_endless;
	pthread_t thread;
	struct vm vm;

	(void)arg;
	setup.mem_bytes = 32 << 20;
	setup.chunk_limit = 500;
	vm_create_configured(&vm, &setup);
	vm_start(&vm);
	vcpu_start(&vm, 0);
	vcpu_start(&vm, 1);
	pthread_create(&thread, NULL, steal_room, &vm);
	wait_and_die(&vm);
}

static void close_after_failure(void)
{
	int i;

	/* What is traced at the end is read, too. */
	write_text("/sys/kernel/tracing/events/kvm_samsara/enable", "1");
	for (i = 0; i < 8; i++)
		in_child(fail_and_close, NULL, "failing recording");
	/* What was put off. */
	usleep(300000);
	write_text("/sys/kernel/tracing/events/kvm_samsara/enable", "0");
}

static long long pinned_pages(void)
{
	/* Each processor's part of the statistics. */
	number_in("/proc/sys/vm/stat_refresh", "");
	return number_in("/proc/vmstat", "nr_foll_pin_acquired") -
	       number_in("/proc/vmstat", "nr_foll_pin_released");
}

/* START can't pin all memory.  Everything it has taken comes back. */
static void start_refused(void)
{
	struct vm_setup setup = two_endless;
	long long locked, pinned;
	struct kvm_samsara_status st;
	struct vm vm;
	void *hole;
	int i;

	setup.mem_bytes = 8 << 20;
	setup.rounds = 100;
	vm_create_configured(&vm, &setup);
	vm.stream = streams_new(2);
	locked = number_in("/proc/self/status", "VmLck:");
	pinned = pinned_pages();
	hole = vm.mem + setup.mem_bytes - 4096;
	must_work(munmap(hole, 4096), "munmap");
	for (i = 0; i < 50; i++) {
		must_fail(start(&vm), EFAULT, "START with a hole in memory");
		vm_get_status(&vm, &st);
		if (st.state != KVM_SAMSARA_STATE_IDLE)
			fail("state %u after a refused START", st.state);
	}
	if (number_in("/proc/self/status", "VmLck:") != locked)
		fail("memory is locked after START was refused");
	if (pinned_pages() != pinned)
		fail("%lld pages are pinned after START was refused", pinned_pages() - pinned);
	if (mmap(hole, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) != hole)
		fail("mmap: %s", strerror(errno));
	/* A refusal is no end. */
	must_work(start(&vm), "START with the hole filled");
	vm_run(&vm, &st);
	if (st.state != KVM_SAMSARA_STATE_STOPPED)
		fail("state %u error %d", st.state, st.error);
	vm_destroy(&vm);
}

/* A page of its own. */
static int add_slot(struct vm *vm, unsigned int slot, __u64 gpa)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = 4096,
		.userspace_addr = (unsigned long)page,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void start_no_memory(void)
{
	struct kvm_userspace_memory_region none = {};
	struct vm vm;

	vm_create_configured(&vm, &two_endless);
	must_work(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &none), "deleting the slot");
	must_fail(start(&vm), EINVAL, "START without memory");
	vm_destroy(&vm);
}

static void start_many_slots(void)
{
	struct vm_setup setup = two_endless;
	struct vm vm;
	int i;

	vm_create_configured(&vm, &setup);
	for (i = 1; i < 40; i++)
		must_work(add_slot(&vm, i, (1ull << 30) + i * 8192), "a slot");
	must_fail(start(&vm), E2BIG, "START with 40 slots");
	must_fail(start(&vm), E2BIG, "START with 40 slots again");
	vm_destroy(&vm);
}

/* Memory where four levels of EPT do not reach. */
static void start_high_slot(void)
{
	static const __u64 gpas[] = { 1ull << 48, (1ull << 48) + 0x1000, 1ull << 51 };
	struct vm_setup setup = two_endless;
	struct vm vm;
	size_t i;

	for (i = 0; i < sizeof(gpas) / sizeof(gpas[0]); i++) {
		setup.mode = i & 1 ? KVM_SAMSARA_MODE_RECORD_SERIAL : KVM_SAMSARA_MODE_RECORD;
		vm_create_configured(&vm, &setup);
		if (add_slot(&vm, 1, gpas[i]))
			skip("memory at %llx: %s", gpas[i], strerror(errno));
		if (start(&vm) == 0)
			fail("START worked with memory at %llx", gpas[i]);
		vm_destroy(&vm);
	}
}

/* The thread that a vCPU's counters are not of; meanwhile the other one is busy. */
static void *first_runner(void *p)
{
	struct vm *vm = p;
	bool *go_on = (bool *)vm->mem + MEM_BYTES - 1;

	if (ioctl(vm->vcpu[0], KVM_RUN, 0) < 0 && errno != EINTR)
		fail("KVM_RUN: %s", strerror(errno));
	__atomic_store_n(go_on, true, __ATOMIC_RELEASE);
	while (__atomic_load_n(go_on, __ATOMIC_ACQUIRE))
		;
	return NULL;
}

/*
 * KVM_RUN of one vCPU from one thread, then from another one.  Either that is
 * refused, by an error or the end of the recording, or the recording is right.
 */
static void second_thread(void)
{
	struct vm_setup setup = {
		.nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_RECORD, .rounds = 400000,
	};
	struct kvm_samsara_status rec, rep;
	struct vm vm, again;
	pthread_t thread;
	bool *go_on;
	int i;

	vm_create_configured(&vm, &setup);
	vm.stream = streams_new(1);
	go_on = (bool *)vm.mem + MEM_BYTES - 1;
	vm_start(&vm);
	vm_serve(&vm);
	pthread_create(&thread, NULL, first_runner, &vm);
	wait_for_guest(&vm);
	pthread_kill(thread, SIGUSR1);
	if (!wait_until(__atomic_load_n(go_on, __ATOMIC_ACQUIRE), 5000))
		fail("the first thread does not leave KVM_RUN");
	vcpu_start(&vm, 0);
	/* Each signal ends a chunk at a place that only the counters tell. */
	for (i = 0; i < 50; i++) {
		usleep(300);
		pthread_kill(vm.thread[0], SIGUSR1);
	}
	__atomic_store_n(go_on, false, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	vcpu_join(&vm, 0);
	stop(&vm, &rec, "recording");
	leave(&vm, "recording");
	if (vm.outcome[0] < 0) {
		note("KVM_RUN: %s", strerror(-vm.outcome[0]));
		return;
	}
	if (rec.state == KVM_SAMSARA_STATE_FAILED) {
		note("the recording ended: %s", strerror(-rec.error));
		return;
	}
	setup.mode = KVM_SAMSARA_MODE_REPLAY;
	vm_create_configured(&again, &setup);
	again.stream = vm.stream;
	vm_start(&again);
	vm_run(&again, &rep);
	if (rep.state != KVM_SAMSARA_STATE_STOPPED || rep.commits != rec.commits)
		fail("recorded %llu commits without complaint; replay: state %u, commit %llu of vcpu %d, field %u",
		     rec.commits, rep.state, rep.div_commit, rep.div_vcpu, rep.div_field);
	note("the replay is exact");
}

static void put_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must_work(sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

static void *fifo_vcpu(void *p)
{
	struct sched_param param = { .sched_priority = 50 };
	unsigned long long start;
	struct vm *vm = p;
	int r;

	put_on_cpu(0);
	must_work(sched_setscheduler(0, SCHED_FIFO, &param), "SCHED_FIFO");
	while (!__atomic_load_n(&vm->quit, __ATOMIC_ACQUIRE)) {
		start = now_ms();
		r = ioctl(vm->vcpu[0], KVM_RUN, 0);
		if (r < 0 && errno != EINTR)
			fail("KVM_RUN: %s", strerror(errno));
		/* Half of the time for the others, or nobody else would ever run here. */
		usleep(300 + (now_ms() - start) * 1000);
	}
	return NULL;
}

static void *slow_vcpu(void *p)
{
	put_on_cpu(0);
	vcpu_run(p, 1);
	return NULL;
}

/*
 * A vCPU of a real-time thread interrupts another one on the same processor wherever
 * that is, and may have to wait for it.
 */
static void real_time(void)
{
	struct vm_setup setup = {
		.nr_vcpus = 2, .guest = &device_guest, .chunk_limit = 300,
	};
	struct kvm_samsara_status st;
	const unsigned int *mode;

	/* No time of their own for the others. */
	write_text("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	put_on_cpu(1);
	for (mode = record_modes; *mode; mode++) {
		struct vm vm;

		setup.mode = *mode;
		vm_create_configured(&vm, &setup);
		vm.stream = streams_new(2);
		vm_start(&vm);
		vm_serve(&vm);
		pthread_create(&vm.thread[1], NULL, slow_vcpu, &vm);
		pthread_create(&vm.thread[0], NULL, fifo_vcpu, &vm);
		vm.started[0] = vm.started[1] = true;
		usleep(1000000);
		stop(&vm, &st, "with SCHED_FIFO");
		leave(&vm, "with SCHED_FIFO");
		if (st.state != KVM_SAMSARA_STATE_STOPPED)
			fail("mode %u: state %u error %d", *mode, st.state, st.error);
		streams_free(vm.stream, 2);
		vm_destroy(&vm);
	}
	write_text("/proc/sys/kernel/sched_rt_runtime_us", "950000");
}

const struct hostile_case start_cases[] = {
	{ "start-in-run", start_in_run },
	{ "start-races-run", start_races_run },
	{ "start-races-create", start_races_create },
	{ "start-wrong-vcpus", start_wrong_vcpus },
	{ "start-refused", start_refused },
	{ "start-no-memory", start_no_memory },
	{ "start-many-slots", start_many_slots },
	{ "start-high-slot", start_high_slot },
	{ "second-thread", second_thread },
	{ "real-time", real_time },
	{ "close-after-failure", close_after_failure },
	{}
};
