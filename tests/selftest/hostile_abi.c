// SPDX-License-Identifier: GPL-2.0
/* Arguments out of range, ioctls that come at the wrong time, descriptors of others. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hostile.h"
#include "states.h"

#define NR_OF(a)	(sizeof(a) / sizeof((a)[0]))

static const struct vm_setup one_vcpu = {
	.nr_vcpus = 1,
	.mode = KVM_SAMSARA_MODE_RECORD,
};

static int configure(struct vm *vm, const struct kvm_samsara_config *config)
{
	return vm_set_attr(vm, KVM_SAMSARA_GRP_CONFIG, 0, config);
}

static void refuses_config(struct vm *vm, const char *what, const struct kvm_samsara_config *config,
			   int error)
{
	char buf[80];

	snprintf(buf, sizeof(buf), "CONFIG with %s", what);
	must_fail(configure(vm, config), error, buf);
}

static void config_fields(void)
{
	struct kvm_samsara_config good, bad;
	struct vm vm;
	size_t i;

	vm_create(&vm, &one_vcpu);
	good = vm_config(&vm);
#define REFUSED(field, value, error)						\
do {										\
	bad = good;								\
	bad.field = value;							\
	refuses_config(&vm, #field " = " #value, &bad, error);			\
} while (0)
	REFUSED(version, 0, EINVAL);
	REFUSED(version, KVM_SAMSARA_ABI_VERSION + 1, EINVAL);
	REFUSED(mode, 0, EINVAL);
	REFUSED(mode, KVM_SAMSARA_MODE_REPLAY_PARALLEL + 1, EINVAL);
	REFUSED(mode, ~0u, EINVAL);
	REFUSED(nr_vcpus, 0, EINVAL);
	REFUSED(nr_vcpus, 65, EINVAL);
	REFUSED(nr_vcpus, ~0u, EINVAL);
	REFUSED(ring_bytes, 0, EINVAL);
	REFUSED(ring_bytes, 128 << 10, EINVAL);
	REFUSED(ring_bytes, (256 << 10) + 4096, EINVAL);
	REFUSED(ring_bytes, 32 << 20, EINVAL);
	REFUSED(ring_bytes, 1u << 31, EINVAL);
	REFUSED(flags, 4, EINVAL);
	REFUSED(flags, 1u << 31, EINVAL);
	REFUSED(eventfd, 12345, EBADF);
	REFUSED(eventfd, vm.fd, EINVAL);
	for (i = 0; i < NR_OF(good.reserved); i++)
		REFUSED(reserved[i], 1ull << (i * 7), EINVAL);
#undef REFUSED
	must_fail(configure(&vm, NULL), EFAULT, "CONFIG at 0");
	must_fail(configure(&vm, (void *)~0xfffull), EFAULT, "CONFIG at the end");

	/* A refused one leaves nothing behind. */
	good.eventfd = eventfd(0, 0);
	must_work(configure(&vm, &good), "CONFIG");
	close(good.eventfd);
	must_fail(configure(&vm, &good), EBUSY, "CONFIG again");
	vm_start(&vm);
	must_fail(configure(&vm, &good), EBUSY, "CONFIG of a recording");
	must_work(vm_ctrl(&vm, KVM_SAMSARA_CTRL_STOP), "STOP");
	must_fail(configure(&vm, &good), EBUSY, "CONFIG after STOP");
	must_fail(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), EBUSY, "START again");
	must_work(vm_ctrl(&vm, KVM_SAMSARA_CTRL_STOP), "STOP again");
	vm_destroy(&vm);
}

static void attributes(void)
{
	struct kvm_device_attr a = { .group = KVM_SAMSARA_GRP_CTRL, .flags = 1 };
	struct kvm_samsara_status st;
	struct vm vm;
	__u32 group;

	vm_create(&vm, &one_vcpu);
	must_fail(ioctl(vm.device, KVM_SET_DEVICE_ATTR, &a), EINVAL, "set with flags");
	must_fail(ioctl(vm.device, KVM_GET_DEVICE_ATTR, &a), EINVAL, "get with flags");
	for (group = 0; group < 10; group++) {
		must_fail(vm_set_attr(&vm, group, 1u << 20, &st), ENXIO, "set of no attribute");
		must_fail(vm_get_attr(&vm, group, 1u << 20, &st), ENXIO, "get of no attribute");
		must_fail(vm_set_attr(&vm, group | 1u << 31, 0, &st), ENXIO, "set in no group");
	}
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_STATUS, 0, NULL), EFAULT, "status to 0");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_STATUS, 0, &st), ENXIO, "set of the status");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_DMA, 0, &st), ENXIO, "get of DMA");
	must_fail(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), EBUSY, "START without CONFIG");
	must_work(vm_ctrl(&vm, KVM_SAMSARA_CTRL_STOP), "STOP without CONFIG");
	must_work(vm_ctrl(&vm, KVM_SAMSARA_CTRL_WAKE), "WAKE without CONFIG");
	must_work(vm_get_attr(&vm, KVM_SAMSARA_GRP_STATUS, 0, &st), "status without CONFIG");
	if (st.state != KVM_SAMSARA_STATE_IDLE)
		fail("state %u without CONFIG", st.state);
	vm_destroy(&vm);
}

static void tunables(void)
{
	/* In the order of the enum. */
	static const struct {
		unsigned long min, max;
	} range[] = {
		{ 256, 1ul << 32 }, { 256, 1ul << 32 }, { 0, 1 }, { 1, 1000 }, { 16, 2048 },
		{ 0, 1 << 20 }, { 0, 1 }, { 1, 1 << 20 }, { 50, 1000000 }, { 0, 1 }, { 0, 1 },
		{ 0, 10 }, { 0, ~0u }, { 0, 1 }, { 0, 1 },
	};
	struct vm vm;
	__u64 v, was;
	size_t i;

	vm_create_configured(&vm, &one_vcpu);
	for (i = 0; i < NR_OF(range); i++) {
		must_work(vm_get_attr(&vm, KVM_SAMSARA_GRP_TUNABLE, i, &was), "get");
		if (range[i].min)
			must_fail(vm_set_tunable(&vm, i, range[i].min - 1), EINVAL, "too small");
		must_fail(vm_set_tunable(&vm, i, range[i].max + 1), EINVAL, "too large");
		must_fail(vm_set_tunable(&vm, i, ~0ul), EINVAL, "-1");
		must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_TUNABLE, i, NULL), EFAULT, "set from 0");
		must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_TUNABLE, i, NULL), EFAULT, "get to 0");
		must_work(vm_get_attr(&vm, KVM_SAMSARA_GRP_TUNABLE, i, &v), "get");
		if (v != was)
			fail("tunable %zu: a refused value was taken", i);
		must_work(vm_set_tunable(&vm, i, range[i].max), "the largest");
		must_work(vm_set_tunable(&vm, i, range[i].min), "the smallest");
		must_work(vm_get_attr(&vm, KVM_SAMSARA_GRP_TUNABLE, i, &v), "get");
		if (v != range[i].min)
			fail("tunable %zu is %llu", i, v);
	}
	for (; i < 100; i += 7)
		must_fail(vm_set_tunable(&vm, i, 1), ENXIO, "no such tunable");
	vm_start(&vm);
	must_fail(vm_set_tunable(&vm, 0, 1000), EBUSY, "a tunable of a recording");
	vm_destroy(&vm);
}

static void *map(struct vm *vm, size_t len, off_t offset, int flags)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, flags, vm->device, offset);
}

static void cannot_map(struct vm *vm, size_t len, off_t offset, const char *what)
{
	if (map(vm, len, offset, MAP_SHARED) != MAP_FAILED)
		fail("mmap of %s worked", what);
}

static void ring_mappings(void)
{
	struct kvm_samsara_config config;
	size_t stride;
	struct vm vm;
	void *p;

	vm_create(&vm, &one_vcpu);
	stride = vm_stride(&vm);
	cannot_map(&vm, stride, 0, "rings that are not there");
	config = vm_config(&vm);
	must_work(configure(&vm, &config), "CONFIG");
	cannot_map(&vm, 4096, 0, "a page");
	cannot_map(&vm, stride - 4096, 0, "less than a ring");
	cannot_map(&vm, stride + 4096, 0, "more than a ring");
	cannot_map(&vm, 2 * stride, 0, "two rings");
	cannot_map(&vm, stride, 4096, "a part of two rings");
	cannot_map(&vm, stride, 2 * stride, "a ring behind the last");
	cannot_map(&vm, stride, 1000 * stride, "a ring far behind the last");
	cannot_map(&vm, stride, -(off_t)stride, "a ring before the first");
	cannot_map(&vm, stride, 0x7ffffffffffff000, "a ring at the end");
	vm_map_rings(&vm);
	p = mremap(vm.ring[0], stride, 2 * stride, MREMAP_MAYMOVE);
	if (p != MAP_FAILED)
		fail("a mapping grew");
	/* A private mapping, too, must not be more than a way to read. */
	p = map(&vm, stride, 0, MAP_PRIVATE);
	if (p != MAP_FAILED) {
		memset(p, 0xff, stride);
		if (vm.ring[0]->head)
			fail("a private mapping is shared");
		munmap(p, stride);
	}
	vm_start(&vm);
	/* Mappings outlive the descriptors. */
	close(vm.device);
	close(vm.fd);
	close(vm.vcpu[0]);
	memset(vm.ring[0], 0xff, stride);
	memset(vm.ring[1], 0xff, stride);
}

/* Everybody may read the order of commits, and only the kernel writes it. */
static void order_mapping(void)
{
	const struct vm_setup setup = {
		.nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_RECORD, .rounds = 1000,
	};
	const struct kvm_samsara_order *order;
	struct kvm_samsara_status st;
	off_t offset;
	struct vm vm;
	int i;

	vm_create_configured(&vm, &setup);
	vm.stream = streams_new(1);
	offset = 2 * (off_t)vm_stride(&vm);
	for (i = 0; i < 2; i++)
		if (map(&vm, 4096, offset, i ? MAP_PRIVATE : MAP_SHARED) != MAP_FAILED)
			fail("the order of commits can be mapped for writing");
	if (mmap(NULL, 8192, PROT_READ, MAP_SHARED, vm.device, offset) != MAP_FAILED ||
	    mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.device, offset + 4096) != MAP_FAILED)
		fail("more than the order of commits can be mapped");
	order = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.device, offset);
	if (order == MAP_FAILED)
		fail("the order of commits: %s", strerror(errno));
	must_fail(mprotect((void *)order, 4096, PROT_READ | PROT_WRITE), EACCES, "mprotect");
	vm_start(&vm);
	if (order->nr_agents != 2)
		fail("%u agents", order->nr_agents);
	vm_run(&vm, &st);
	if (!st.commits || order->committed != st.commits)
		fail("committed %llu of %llu", order->committed, st.commits);
	vm_destroy(&vm);
	if (order->committed != st.commits)
		fail("the mapping does not outlive the VM");
}

static void busy(struct vm *vm, unsigned long ioctl_nr, void *arg, const char *what)
{
	must_fail(ioctl(vm->vcpu[0], ioctl_nr, arg), EBUSY, what);
}

/* The registers that come with KVM_RUN. */
static void refuses_sync_regs(struct vm *vm)
{
	struct kvm_run *run = vm->run[0];
	struct kvm_regs before, after;
	int r;

	must_work(ioctl(vm->vcpu[0], KVM_GET_REGS, &before), "KVM_GET_REGS");
	run->s.regs.regs = before;
	run->s.regs.regs.rbx ^= 0x5555;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	run->immediate_exit = 1;
	r = ioctl(vm->vcpu[0], KVM_RUN, 0);
	if (!r || (errno != EBUSY && errno != EINVAL))
		fail("KVM_RUN with dirty registers: %s", r ? strerror(errno) : "works");
	run->immediate_exit = 0;
	run->kvm_dirty_regs = 0;
	must_work(ioctl(vm->vcpu[0], KVM_GET_REGS, &after), "KVM_GET_REGS");
	if (memcmp(&before, &after, sizeof(before)))
		fail("KVM_RUN with dirty registers has changed them");
}

static void refuses_tsc_offset(struct vm *vm)
{
	__u64 offset;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (unsigned long)&offset,
	};

	must_work(ioctl(vm->vcpu[0], KVM_GET_DEVICE_ATTR, &attr), "get the TSC offset");
	offset += 1000000;
	busy(vm, KVM_SET_DEVICE_ATTR, &attr, "setting the TSC offset");
}

static void refuses_vcpu_state(const void *arg)
{
	struct vm_setup setup = one_vcpu;
	struct kvm_vapic_addr vapic = { .vapic_addr = DATA_ADDR };
	struct kvm_x86_mce mce = { .status = 1ull << 63 };
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE };
	struct kvm_userspace_memory_region region = { .slot = 1, .memory_size = 4096 };
	union vcpu_state state;
	__u64 mcg_cap = 1;
	struct vm vm;
	char what[64];
	size_t i;

	setup.mode = *(const unsigned int *)arg;
	vm_create_configured(&vm, &setup);
	must_work(ioctl(vm.vcpu[0], KVM_X86_SETUP_MCE, &mcg_cap), "KVM_X86_SETUP_MCE");
	vm_start(&vm);
	for (i = 0; i < nr_vcpu_states; i++) {
		vcpu_state_prepare(&state, i);
		snprintf(what, sizeof(what), "KVM_GET_%s", vcpu_states[i].name);
		must_work(ioctl(vm.vcpu[0], vcpu_states[i].get, &state), what);
		snprintf(what, sizeof(what), "KVM_SET_%s", vcpu_states[i].name);
		busy(&vm, vcpu_states[i].set, &state, what);
	}
	busy(&vm, KVM_SET_GUEST_DEBUG, &debug, "KVM_SET_GUEST_DEBUG");
	busy(&vm, KVM_SET_TSC_KHZ, (void *)2000000ul, "KVM_SET_TSC_KHZ");
	busy(&vm, KVM_SMI, NULL, "KVM_SMI");
	busy(&vm, KVM_X86_SETUP_MCE, &mcg_cap, "KVM_X86_SETUP_MCE");
	busy(&vm, KVM_X86_SET_MCE, &mce, "KVM_X86_SET_MCE");
	busy(&vm, KVM_SET_VAPIC_ADDR, &vapic, "KVM_SET_VAPIC_ADDR");
	refuses_tsc_offset(&vm);
	refuses_sync_regs(&vm);
	region.userspace_addr = (unsigned long)vm.mem;
	region.guest_phys_addr = 1u << 30;
	must_fail(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region), EBUSY,
		  "KVM_SET_USER_MEMORY_REGION");
	must_fail(ioctl(vm.fd, KVM_CREATE_VCPU, 1), EBUSY, "KVM_CREATE_VCPU");

	/* Its own again. */
	must_work(vm_ctrl(&vm, KVM_SAMSARA_CTRL_STOP), "STOP");
	must_work(ioctl(vm.vcpu[0], KVM_GET_REGS, &state.regs), "KVM_GET_REGS after STOP");
	must_work(ioctl(vm.vcpu[0], KVM_SET_REGS, &state.regs), "KVM_SET_REGS after STOP");
	vm_destroy(&vm);
}

static void vcpu_state_recording(void)
{
	static const unsigned int mode = KVM_SAMSARA_MODE_RECORD;

	refuses_vcpu_state(&mode);
}

static void vcpu_state_replaying(void)
{
	static const unsigned int mode = KVM_SAMSARA_MODE_REPLAY;

	refuses_vcpu_state(&mode);
}

/* Another process has the descriptors, but not the memory. */
static void other_process(const void *arg)
{
	struct vm *vm = (struct vm *)arg;
	struct kvm_samsara_status st;
	void *p;

	must_fail(vm_ctrl(vm, KVM_SAMSARA_CTRL_START), EIO, "START by another process");
	must_fail(vm_get_attr(vm, KVM_SAMSARA_GRP_STATUS, 0, &st), EIO,
		  "status of another process");
	must_fail(ioctl(vm->vcpu[0], KVM_RUN, 0), EIO, "KVM_RUN by another process");
	p = map(vm, vm_stride(vm), 0, MAP_SHARED);
	if (p != MAP_FAILED)
		memset(ring_data(p), 0xee, vm->setup.ring_bytes);
	/* Its mapping and its descriptors go with it. */
}

static void descriptors(void)
{
	struct kvm_samsara_status st;
	struct vm vm;
	int other, twice;

	vm_create_configured(&vm, &one_vcpu);
	in_child(other_process, &vm, "another process");
	other = dup(vm.device);
	close(vm.device);
	twice = dup(other);
	vm.device = other;
	vm_start(&vm);
	in_child(other_process, &vm, "another process");
	close(other);
	vm.device = twice;
	must_work(vm_ctrl(&vm, KVM_SAMSARA_CTRL_STOP), "STOP through another descriptor");
	vm_get_status(&vm, &st);
	if (st.state != KVM_SAMSARA_STATE_STOPPED)
		fail("state %u error %d", st.state, st.error);
	vm_destroy(&vm);
}

static void second_device(void)
{
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_SAMSARA_ID };
	struct kvm_create_device test = dev;
	struct vm vm;
	int fd;

	vm_create(&vm, &one_vcpu);
	must_fail(ioctl(vm.fd, KVM_CREATE_DEVICE, &dev), EBUSY, "a second device");
	fd = check(ioctl(kvm_fd, KVM_CREATE_VM, 0), "create vm");
	test.flags = KVM_CREATE_DEVICE_TEST;
	must_work(ioctl(fd, KVM_CREATE_DEVICE, &test), "KVM_CREATE_DEVICE_TEST");
	must_work(ioctl(fd, KVM_CREATE_DEVICE, &dev), "a device");
	close(dev.fd);
	must_fail(ioctl(fd, KVM_CREATE_DEVICE, &dev), EBUSY, "a device after one was closed");
	close(fd);
	vm_destroy(&vm);
}

static int hot(struct vm *vm, __u64 vcpu, struct kvm_samsara_hot *h, void *spots, __u32 nr)
{
	*h = (struct kvm_samsara_hot){ .uaddr = (unsigned long)spots, .nr = nr };
	return vm_get_attr(vm, KVM_SAMSARA_GRP_HOT, vcpu, h);
}

static void hot_spots(void)
{
	static struct kvm_samsara_hot_spot spots[KVM_SAMSARA_HOT_MAX];
	struct vm_setup setup = one_vcpu;
	struct kvm_samsara_hot h;
	struct vm vm;

	vm_create_configured(&vm, &setup);
	must_fail(hot(&vm, 0, &h, spots, KVM_SAMSARA_HOT_MAX), ENODATA, "before START");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_HOT, 0, &h), ENXIO, "set");
	vm_start(&vm);
	must_work(hot(&vm, 0, &h, spots, KVM_SAMSARA_HOT_MAX), "of a recording");
	if (h.nr)
		fail("%u spots before KVM_RUN", h.nr);
	must_work(hot(&vm, 0, &h, NULL, ~0u), "nothing to nowhere");
	must_fail(hot(&vm, 0, &h, spots, KVM_SAMSARA_HOT_MAX - 1), E2BIG, "no room");
	must_fail(hot(&vm, 1, &h, spots, KVM_SAMSARA_HOT_MAX), ENXIO, "of no vCPU");
	must_fail(hot(&vm, ~0ull, &h, spots, KVM_SAMSARA_HOT_MAX), ENXIO, "of none");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_HOT, 0, NULL), EFAULT, "to 0");
	h = (struct kvm_samsara_hot){ .nr = KVM_SAMSARA_HOT_MAX, .reserved = 1 };
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_HOT, 0, &h), EINVAL, "reserved = 1");
	must_work(vm_ctrl(&vm, KVM_SAMSARA_CTRL_STOP), "STOP");
	must_work(hot(&vm, 0, &h, spots, KVM_SAMSARA_HOT_MAX), "after STOP");
	vm_destroy(&vm);
	setup.mode = KVM_SAMSARA_MODE_RECORD_SERIAL;
	vm_create_configured(&vm, &setup);
	vm_start(&vm);
	must_fail(hot(&vm, 0, &h, spots, KVM_SAMSARA_HOT_MAX), ENODATA, "of a serial recording");
	vm_destroy(&vm);
}

const struct hostile_case abi_cases[] = {
	{ "config-fields", config_fields },
	{ "attributes", attributes },
	{ "tunables", tunables },
	{ "ring-mappings", ring_mappings },
	{ "order-mapping", order_mapping },
	{ "vcpu-state-recording", vcpu_state_recording },
	{ "vcpu-state-replaying", vcpu_state_replaying },
	{ "descriptors", descriptors },
	{ "second-device", second_device },
	{ "hot-spots", hot_spots },
	{}
};
