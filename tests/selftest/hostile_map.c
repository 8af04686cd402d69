// SPDX-License-Identifier: GPL-2.0
/* RAM that is registered, and changes of the memory map. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hostile.h"
#include "smr_codec.h"

#define CHANGES		60

static int begin(struct vm *vm)
{
	return vm_set_attr(vm, KVM_SAMSARA_GRP_MAP, KVM_SAMSARA_MAP_BEGIN, NULL);
}

static int end(struct vm *vm)
{
	int r;

	do {
		r = vm_set_attr(vm, KVM_SAMSARA_GRP_MAP, KVM_SAMSARA_MAP_END, NULL);
	} while (r && errno == EINTR);
	return r;
}

static unsigned int next(unsigned int *rng)
{
	*rng = *rng * 1103515245 + 12345;
	return *rng >> 8;
}

/* What a device writes goes to RAM, whether the guest sees it at the moment or not. */
static void write_bank(struct vm *vm, int bank, unsigned int v)
{
	struct kvm_samsara_dma d = {
		.ram = WINDOW_RAM + (bank ? MEM_BYTES + (bank - 1) * WINDOW_BYTES : DATA_ADDR) +
		       v % WINDOW_BYTES / 4 * 4,
		.len = sizeof(v), .uaddr = (unsigned long)&v,
	};

	must_work(vm_set_attr(vm, KVM_SAMSARA_GRP_DMA, 0, &d), "DMA to a bank");
}

/*
 * Under running vCPUs: another bank, now and then one that can only be read or that ends
 * in the middle of what they use, or none.
 */
static void change_map(struct vm *vm)
{
	unsigned int i, v, rng = 42;

	for (i = 0; i < CHANGES; i++) {
		v = next(&rng);
		must_work(begin(vm), "MAP_BEGIN");
		must_work(vm_set_window(vm, v % WINDOW_BANKS,
					v % 7 == 1 ? 0 : v % 7 == 2 ? 0x1000 : WINDOW_BYTES,
					v % 7 == 3), "the window");
		must_work(end(vm), "MAP_END");
		write_bank(vm, next(&rng) % WINDOW_BANKS, v);
		usleep(next(&rng) % 600);
	}
	must_work(begin(vm), "MAP_BEGIN");
	must_work(vm_set_window(vm, 1, WINDOW_BYTES, false), "the window");
	must_work(end(vm), "MAP_END");
}

static void remap(unsigned int mode, int nr_vcpus, unsigned long chunk)
{
	const struct vm_setup setup = {
		.nr_vcpus = nr_vcpus, .mode = mode, .rounds = 600000, .chunk_limit = chunk,
		.memdigest = 16, .window = true,
	};

	record_and_replay(&setup, change_map);
}

static void remap_parallel(void)
{
	remap(KVM_SAMSARA_MODE_RECORD, 2, 0);
}

static void remap_short_chunks(void)
{
	remap(KVM_SAMSARA_MODE_RECORD, 4, 1000);
}

static void remap_serial(void)
{
	remap(KVM_SAMSARA_MODE_RECORD_SERIAL, 2, 0);
}

static void start_recording(struct vm *vm, unsigned int mode)
{
	const struct vm_setup setup = {
		.nr_vcpus = 2, .mode = mode, .guest = &spinning_guest, .window = true,
	};

	vm_create_configured(vm, &setup);
	vm->stream = streams_new(setup.nr_vcpus);
	must_fail(begin(vm), ESHUTDOWN, "MAP_BEGIN before START");
	must_fail(end(vm), EINVAL, "MAP_END before START");
	vm_start(vm);
	vm_serve(vm);
	vcpu_start(vm, 0);
	vcpu_start(vm, 1);
	usleep(2000);
}

static void *change_from_outside(void *p)
{
	struct vm *vm = p;

	must_fail(begin(vm), EBUSY, "a second MAP_BEGIN");
	must_fail(end(vm), EINVAL, "MAP_END of another thread");
	must_fail(vm_set_window(vm, 1, WINDOW_BYTES, false), EBUSY, "a slot changed by another thread");
	return NULL;
}

/* Only between BEGIN and END, and only by the thread that called them. */
static void remap_order(void)
{
	struct kvm_samsara_status st;
	pthread_t thread;
	struct vm vm;

	start_recording(&vm, KVM_SAMSARA_MODE_RECORD);
	must_fail(vm_set_window(&vm, 1, WINDOW_BYTES, false), EBUSY, "a slot changed without MAP_BEGIN");
	must_fail(end(&vm), EINVAL, "MAP_END without MAP_BEGIN");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_MAP, 2, NULL), ENXIO, "another command");
	must_work(begin(&vm), "MAP_BEGIN");
	pthread_create(&thread, NULL, change_from_outside, &vm);
	pthread_join(thread, NULL);
	must_fail(begin(&vm), EBUSY, "MAP_BEGIN twice");
	must_work(end(&vm), "MAP_END without a change");
	must_fail(vm_set_window(&vm, 1, WINDOW_BYTES, false), EBUSY, "a slot changed after MAP_END");
	/* STOP in between */
	must_work(begin(&vm), "MAP_BEGIN");
	must_work(vm_set_window(&vm, 0, 0, false), "no window");
	stop(&vm, &st, "recording");
	if (st.state != KVM_SAMSARA_STATE_STOPPED)
		fail("state %u error %d after STOP", st.state, st.error);
	must_work(vm_set_window(&vm, 0, WINDOW_BYTES, false), "the window");
	must_fail(end(&vm), ESHUTDOWN, "MAP_END after STOP");
	must_fail(begin(&vm), ESHUTDOWN, "MAP_BEGIN after STOP");
	leave(&vm, "recording");
	vm_destroy(&vm);
}

static void remap_refused(void)
{
	struct kvm_samsara_status st;
	struct vm vm;

	start_recording(&vm, KVM_SAMSARA_MODE_RECORD_CREW);
	must_fail(begin(&vm), EOPNOTSUPP, "MAP_BEGIN with page ownership");
	stop(&vm, &st, "recording");
	leave(&vm, "recording");
	vm_destroy(&vm);
}

/* The recording ends, the guest goes on. */
static void remap_impossible(void)
{
	struct kvm_userspace_memory_region region = { .slot = 5, .memory_size = 0x1000 };
	struct kvm_samsara_status st;
	struct vm vm;
	int i;

	for (i = 0; i < 3; i++) {
		start_recording(&vm, i & 1 ? KVM_SAMSARA_MODE_RECORD_SERIAL : KVM_SAMSARA_MODE_RECORD);
		must_work(begin(&vm), "MAP_BEGIN");
		region.guest_phys_addr = 1ull << 30;
		region.userspace_addr = (unsigned long)vm.mem;
		region.flags = 0;
		if (i == 1)
			region.flags = KVM_MEM_LOG_DIRTY_PAGES;
		if (i == 2)
			region.userspace_addr = (unsigned long)aligned_alloc(4096, 4096);
		must_work(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region), "a slot");
		must_fail(end(&vm), i == 0 ? EOPNOTSUPP : i == 1 ? EBUSY : EFAULT, "MAP_END");
		if (!wait_until((vm_get_status(&vm, &st), st.state) == KVM_SAMSARA_STATE_FAILED, 5000))
			fail("state %u error %d", st.state, st.error);
		must_fail(begin(&vm), ESHUTDOWN, "MAP_BEGIN");
		leave(&vm, "recording");
		vm_stop_serving(&vm);
		vm_destroy(&vm);
	}
}

static void killed_between(const void *arg)
{
	struct vm vm;

	(void)arg;
	start_recording(&vm, KVM_SAMSARA_MODE_RECORD);
	must_work(begin(&vm), "MAP_BEGIN");
	must_work(vm_set_window(&vm, 0, 0, false), "no window");
	ready();
	pause();
}

static void remap_killed(void)
{
	must_die(killed_between, NULL, "a change of the memory map");
}

static void ram_refused(void)
{
	const struct vm_setup setup = { .nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_RECORD };
	struct kvm_samsara_ram_block b[KVM_SAMSARA_MAX_RAM + 1] = {};
	const struct kvm_samsara_ram_block good = { 0x1000, 0x2000, 0x10000 };
	struct kvm_samsara_ram odd = { .nr = 1, .reserved = 1 };
	struct vm vm;

	vm_create_configured(&vm, &setup);
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_RAM, 0, NULL), EFAULT, "RAM at 0");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_RAM, 0, &odd), EINVAL, "reserved = 1");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_RAM, 1, &odd), ENXIO, "attribute 1");
	must_fail(vm_register_ram(&vm, b, 0), EINVAL, "no RAM");
	must_fail(vm_register_ram(&vm, b, KVM_SAMSARA_MAX_RAM + 1), EINVAL, "too many pieces");
	must_fail(vm_register_ram(&vm, b, 1), EINVAL, "an empty piece");
	b[0] = good;
	b[0].ram++;
	must_fail(vm_register_ram(&vm, b, 1), EINVAL, "an odd RAM address");
	b[0] = good;
	b[0].size = 0x800;
	must_fail(vm_register_ram(&vm, b, 1), EINVAL, "an odd size");
	b[0] = good;
	b[0].uaddr++;
	must_fail(vm_register_ram(&vm, b, 1), EINVAL, "an odd address");
	b[0] = good;
	b[0].ram = -0x1000ull;
	must_fail(vm_register_ram(&vm, b, 1), EINVAL, "RAM addresses beyond the end");
	b[0] = good;
	b[0].uaddr = -0x1000ull;
	must_fail(vm_register_ram(&vm, b, 1), EINVAL, "addresses beyond the end");
	b[0] = good;
	b[1] = good;
	b[1].ram = 0x2000;
	b[1].uaddr = 0x40000;
	must_fail(vm_register_ram(&vm, b, 2), EINVAL, "pieces that overlap");
	b[1].ram = 0x8000;
	b[1].uaddr = 0x11000;
	must_fail(vm_register_ram(&vm, b, 2), EINVAL, "pieces that overlap in memory");
	/* What can't be pinned, and then what guest memory is no part of */
	b[0] = good;
	must_work(vm_register_ram(&vm, b, 1), "RAM that is not there");
	must_fail(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), EFAULT, "START");
	b[0] = (struct kvm_samsara_ram_block) { 0, MEM_BYTES / 2, (unsigned long)vm.mem };
	must_work(vm_register_ram(&vm, b, 1), "half of memory");
	must_fail(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), EFAULT, "START with half of memory");
	b[0].size = -0x200000ull;
	b[0].uaddr = 0;
	must_work(vm_register_ram(&vm, b, 1), "all that can be addressed");
	if (vm_ctrl(&vm, KVM_SAMSARA_CTRL_START) == 0)
		fail("START worked with 16 EiB of RAM");
	b[0] = (struct kvm_samsara_ram_block) { 0, MEM_BYTES, (unsigned long)vm.mem };
	must_work(vm_register_ram(&vm, b, 1), "all of memory");
	vm_start(&vm);
	must_fail(vm_register_ram(&vm, b, 1), EBUSY, "after START");
	vm_destroy(&vm);
}

/* A log whose first commit changes the map to what no guest can have had. */
static void map_diverges(const struct smr_slot *slots, unsigned int nr, const char *what)
{
	const struct vm_setup setup = {
		.nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_REPLAY, .window = true,
	};
	unsigned char data[1024], vm_bytes[1100], vcpu_bytes[64];
	struct smr_buf slot_buf = { .p = data, .size = sizeof(data) };
	struct smr_buf vm_buf = { .p = vm_bytes, .size = sizeof(vm_bytes) };
	struct smr_buf vcpu_buf = { .p = vcpu_bytes, .size = sizeof(vcpu_bytes) };
	struct smr_record map = { .type = SMR_MAP, .commit_seq = 1 };
	struct smr_record chunk = { .type = SMR_CHUNK, .commit_seq = 2, .end = 30 };
	struct smr_stream vm_stream = {}, vcpu_stream = {};
	struct kvm_samsara_status st;
	struct vm vm;
	unsigned int i;

	for (i = 0; i < nr; i++)
		smr_put_slot(&slot_buf, &slots[i]);
	map.data = data;
	map.data_len = slot_buf.len;
	must_work(smr_encode(&vm_stream, &map, &vm_buf), "encode");
	must_work(smr_encode(&vcpu_stream, &chunk, &vcpu_buf), "encode");
	vm_create_configured(&vm, &setup);
	vm.stream = streams_new(1);
	memcpy(vm.stream[0].bytes, vcpu_bytes, vcpu_buf.len);
	vm.stream[0].len = vcpu_buf.len;
	memcpy(vm.stream[1].bytes, vm_bytes, vm_buf.len);
	vm.stream[1].len = vm_buf.len;
	vm_start(&vm);
	vm_run(&vm, &st);
	if (st.state != KVM_SAMSARA_STATE_DIVERGED || st.div_field != KVM_SAMSARA_DIV_LOG ||
	    st.div_commit != 1 || st.div_vcpu != -1)
		fail("%s: state %u error %d, field %u at commit %llu of vcpu %d", what, st.state,
		     st.error, st.div_field, st.div_commit, st.div_vcpu);
	streams_free(vm.stream, 1);
	vm_destroy(&vm);
}

static void remap_lies(void)
{
	struct smr_slot s[SMR_MAX_SLOTS + 1];
	unsigned int i;

	s[0] = (struct smr_slot) { 0, MEM_BYTES, 0, false };
	map_diverges(s, 1, "no such RAM address");
	s[0] = (struct smr_slot) { 0, 2 * MEM_BYTES, WINDOW_RAM, false };
	map_diverges(s, 1, "more RAM than there is");
	s[0] = (struct smr_slot) { 1ull << 48, 0x1000, WINDOW_RAM, false };
	map_diverges(s, 1, "a slot above 2^48");
	s[0] = (struct smr_slot) { 0, 0x2000, WINDOW_RAM, false };
	s[1] = (struct smr_slot) { 0x1000, 0x1000, WINDOW_RAM + 0x8000, false };
	map_diverges(s, 2, "slots that overlap");
	s[1] = (struct smr_slot) { 0x8000, 0x1000, WINDOW_RAM + 0x1000, false };
	map_diverges(s, 2, "a page that can be written at two places");
	s[0].readonly = true;
	map_diverges(s, 2, "a page that can be written at one of two places");
	for (i = 0; i <= SMR_MAX_SLOTS; i++)
		s[i] = (struct smr_slot) { 0x2000 * i, 0x1000, WINDOW_RAM + 0x1000 * i, false };
	map_diverges(s, SMR_MAX_SLOTS + 1, "too many slots");
	for (i = 0; i < SMR_MAX_SLOTS; i++)
		s[i] = (struct smr_slot) { i << 24, MEM_BYTES, WINDOW_RAM, true };
	map_diverges(s, SMR_MAX_SLOTS, "more aliases than can be");
	s[0] = (struct smr_slot) { 0x10, 0x1000, WINDOW_RAM, false };
	map_diverges(s, 1, "half a page");
}

const struct hostile_case map_cases[] = {
	{ "remap-parallel", remap_parallel },
	{ "remap-short-chunks", remap_short_chunks },
	{ "remap-serial", remap_serial },
	{ "remap-order", remap_order },
	{ "remap-refused", remap_refused },
	{ "remap-impossible", remap_impossible },
	{ "remap-killed", remap_killed },
	{ "remap-lies", remap_lies },
	{ "ram-refused", ram_refused },
	{}
};
