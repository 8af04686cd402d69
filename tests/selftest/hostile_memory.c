// SPDX-License-Identifier: GPL-2.0
/* Who pays for memory: control groups and RLIMIT_MEMLOCK. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostile.h"

#define MOUNT	"/tmp/hostile-cgroup"
#define NOBODY	65534
#define MIB	(1ll << 20)
/* What the kernel keeps to hand out again, charged already. */
#define SLACK	(2 * MIB)

static void write_number(const char *path, long long v)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", v);
	write_text(path, text);
}

/* The process's own group. */
static char group[64];

static const char *in_group(const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	return path;
}

static long long charged(void)
{
	return number_in(in_group("memory.current"), "");
}

static void leave_group(void)
{
	write_number(MOUNT "/cgroup.procs", getpid());
	rmdir(group);
}

/* This process in a memory cgroup of its own, without a limit. */
static void enter_group(void)
{
	mkdir(MOUNT, 0700);
	if (mount("none", MOUNT, "cgroup2", 0, NULL) && errno != EBUSY)
		skip("no cgroup2: %s", strerror(errno));
	if (number_in(MOUNT "/cgroup.controllers", "memory") < 0)
		skip("no memory cgroups");
	write_text(MOUNT "/cgroup.subtree_control", "+memory");
	snprintf(group, sizeof(group), MOUNT "/%d", getpid());
	must_work(mkdir(group, 0700), group);
	write_number(in_group("cgroup.procs"), getpid());
}

static void must_come_back(long long before, const char *what)
{
	if (!wait_until(charged() <= before + SLACK, 5000))
		fail("%s: %lld bytes are still charged", what, charged() - before);
}

static const struct vm_setup large_rings = {
	.nr_vcpus = 4, .mode = KVM_SAMSARA_MODE_RECORD, .ring_bytes = 16 << 20,
};

/* Not mapped: it is the kernel that takes the memory. */
static int configure(struct vm *vm)
{
	struct kvm_samsara_config config = vm_config(vm);

	return vm_set_attr(vm, KVM_SAMSARA_GRP_CONFIG, 0, &config);
}

static void rings_charged(void)
{
	long long before, rings;
	struct vm vm;
	int i;

	enter_group();
	for (i = 0; i < 5; i++) {
		vm_create(&vm, &large_rings);
		rings = (vm.setup.nr_vcpus + 1) * (long long)vm_stride(&vm);
		before = charged();
		must_work(configure(&vm), "CONFIG");
		if (charged() - before < rings - SLACK)
			fail("%lld bytes of rings, %lld charged", rings, charged() - before);
		vm_destroy(&vm);
		must_come_back(before, "rings");
	}
	leave_group();
	note("%lld bytes", rings);
}

static void rings_limited(void)
{
	long long before;
	struct vm vm;
	int i;

	enter_group();
	before = charged();
	write_number(in_group("memory.max"), charged() + 32 * MIB);
	for (i = 0; i < 10; i++) {
		vm_create(&vm, &large_rings);
		must_fail(configure(&vm), ENOMEM, "CONFIG with too little memory");
		must_fail(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), EBUSY, "START");
		vm.setup.ring_bytes = RING_BYTES;
		must_work(configure(&vm), "CONFIG with smaller rings");
		vm_destroy(&vm);
		must_come_back(before, "refused rings");
	}
	leave_group();
}

/* What START takes beside the guest's own memory. */
static void start_charged(void)
{
	struct vm_setup setup = {
		.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .mem_bytes = 128 << 20,
	};
	long long before, idle, lists;
	struct vm vm;

	enter_group();
	idle = charged();
	vm_create_configured(&vm, &setup);
	/* Else pinning it would be what is charged. */
	memset(vm.mem + 16384, 1, setup.mem_bytes - 16384);
	before = charged();
	vm_start(&vm);
	lists = charged() - before;
	/* A structure of 40 bytes at least for each page. */
	if (lists < 40 * (long long)setup.mem_bytes / 4096)
		fail("%lld bytes are charged for %zu MiB of guest memory", lists,
		     setup.mem_bytes >> 20);
	vm_destroy(&vm);
	must_come_back(idle, "START");
	leave_group();
	note("%lld bytes for %zu MiB", lists, setup.mem_bytes >> 20);
}

/* Refused STARTs leave nothing behind, in the same VM or in one after the other. */
static void refused_not_charged(void)
{
	struct vm_setup setup = {
		.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .mem_bytes = 32 << 20,
	};
	long long before, idle;
	struct vm vm;
	int i, k;

	enter_group();
	idle = charged();
	for (i = 0; i < 8; i++) {
		vm_create_configured(&vm, &setup);
		memset(vm.mem + 16384, 1, setup.mem_bytes - 16384);
		must_work(munmap(vm.mem + setup.mem_bytes - 4096, 4096), "munmap");
		before = charged();
		for (k = 0; k < 8; k++)
			must_fail(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), EFAULT, "START");
		must_come_back(before, "a refused START");
		vm_destroy(&vm);
	}
	must_come_back(idle, "VMs whose START was refused");
	leave_group();
}

static long long locked_kib(void)
{
	return number_in("/proc/self/status", "VmLck:");
}

/* A user without CAP_IPC_LOCK who may lock so much. */
static void become_user(long long limit)
{
	struct rlimit rl = { limit, limit };

	must_work(setrlimit(RLIMIT_MEMLOCK, &rl), "setrlimit");
	must_work(setresgid(NOBODY, NOBODY, NOBODY), "setresgid");
	must_work(setresuid(NOBODY, NOBODY, NOBODY), "setresuid");
}

static const struct vm_setup of_user = {
	.nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_RECORD, .rounds = 1000,
};
/* Two rings and the order of commits, and with them what the guest has. */
#define RINGS_KIB	((2 * (HEADER_BYTES + RING_BYTES) >> 10) + 4)
#define VM_KIB		(RINGS_KIB + (MEM_BYTES >> 10))

static void must_lock(long long kib, const char *what)
{
	if (!wait_until(locked_kib() == kib, 3000))
		fail("%s: %lld KiB are locked, not %lld", what, locked_kib(), kib);
}

static void locks_too_much(const void *arg)
{
	struct vm vm;

	(void)arg;
	become_user((RINGS_KIB - 4) << 10);
	vm_create(&vm, &of_user);
	must_fail(configure(&vm), ENOMEM, "CONFIG above RLIMIT_MEMLOCK");
	must_lock(0, "CONFIG was refused");
	vm_destroy(&vm);
}

static void locks_too_much_later(const void *arg)
{
	struct vm vm;

	(void)arg;
	become_user((VM_KIB - 4) << 10);
	vm_create_configured(&vm, &of_user);
	must_lock(RINGS_KIB, "CONFIG");
	must_fail(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), ENOMEM, "START above RLIMIT_MEMLOCK");
	must_lock(RINGS_KIB, "START was refused");
	vm_destroy(&vm);
	must_lock(0, "without a VM");
}

static void locks_enough(const void *arg)
{
	struct kvm_samsara_status st;
	struct vm vm[2];
	int i;

	(void)arg;
	/* One of them. */
	become_user((VM_KIB + RINGS_KIB) << 10);
	for (i = 0; i < 2; i++) {
		vm_create_configured(&vm[i], &of_user);
		vm[i].stream = streams_new(1);
	}
	vm_start(&vm[0]);
	must_lock(VM_KIB + RINGS_KIB, "START");
	must_fail(vm_ctrl(&vm[1], KVM_SAMSARA_CTRL_START), ENOMEM, "START of a second VM");
	vm_run(&vm[0], &st);
	if (st.state != KVM_SAMSARA_STATE_STOPPED)
		fail("state %u error %d", st.state, st.error);
	vm_destroy(&vm[0]);
	must_lock(RINGS_KIB, "the first VM is gone");
	must_work(vm_ctrl(&vm[1], KVM_SAMSARA_CTRL_START), "START when the first VM is gone");
	vm_destroy(&vm[1]);
	must_lock(0, "without a VM");
}

static void memlock(void)
{
	in_child(locks_too_much, NULL, "CONFIG above RLIMIT_MEMLOCK");
	in_child(locks_too_much_later, NULL, "START above RLIMIT_MEMLOCK");
	in_child(locks_enough, NULL, "START within RLIMIT_MEMLOCK");
}

const struct hostile_case memory_cases[] = {
	{ "rings-charged", rings_charged },
	{ "rings-limited", rings_limited },
	{ "start-charged", start_charged },
	{ "refused-not-charged", refused_not_charged },
	{ "memlock", memlock },
	{}
};
