// SPDX-License-Identifier: GPL-2.0
/* vCPUs whose state user space sets while they are recorded. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hostile.h"
#include "smr_codec.h"

#define RESETS		20

static int change(struct vm *vm, unsigned long what)
{
	int r;

	do {
		r = vm_set_attr(vm, KVM_SAMSARA_GRP_MAP, what, NULL);
	} while (r && errno == EINTR);
	return r;
}

static int set_state(struct vm *vm, unsigned long i, const void *bytes, unsigned int len)
{
	struct kvm_samsara_vcpu_state state = { .uaddr = (unsigned long)bytes, .len = len };

	return vm_set_attr(vm, KVM_SAMSARA_GRP_STATE, i, &state);
}

/*
 * Again and again, wherever the vCPUs are: all of them, or every other one, or none.  A device
 * writes meanwhile.
 */
static void reset_often(struct vm *vm)
{
	unsigned int n, word = 0x11223344;
	struct kvm_samsara_dma d = {
		.ram = DATA_ADDR + 64, .len = sizeof(word), .uaddr = (unsigned long)&word,
	};
	int i;

	for (n = 0; n < RESETS; n++) {
		usleep(500 + n * 37 % 400);
		vm_interrupt(vm);
		must_work(change(vm, KVM_SAMSARA_MAP_BEGIN), "MAP_BEGIN");
		for (i = 0; i < vm->setup.nr_vcpus; i++) {
			if (n % 3 == 2 || (n % 3 == 1 && i % 2))
				continue;
			must_work(vcpu_reset(vm, i), "a reset");
			must_work(vm_set_attr(vm, KVM_SAMSARA_GRP_DMA, 0, &d), "DMA");
		}
		must_work(change(vm, KVM_SAMSARA_MAP_END), "MAP_END");
		for (i = 0; i < vm->setup.nr_vcpus; i++)
			vcpu_start(vm, i);
	}
}

static void reset(unsigned int mode, int nr_vcpus, unsigned long chunk, const struct guest *guest)
{
	const struct vm_setup setup = {
		.nr_vcpus = nr_vcpus, .mode = mode, .guest = guest, .chunk_limit = chunk,
		.rounds = guest ? 200 : 600000, .memdigest = 16,
	};

	record_and_replay(&setup, reset_often);
}

static void state_parallel(void)
{
	reset(KVM_SAMSARA_MODE_RECORD, 2, 0, NULL);
}

static void state_short_chunks(void)
{
	reset(KVM_SAMSARA_MODE_RECORD, 4, 1000, NULL);
}

static void state_serial(void)
{
	reset(KVM_SAMSARA_MODE_RECORD_SERIAL, 2, 0, NULL);
}

/* They are in the middle of an exit more often than not. */
static void state_devices(void)
{
	reset(KVM_SAMSARA_MODE_RECORD, 2, 0, &device_guest);
}

static void state_devices_serial(void)
{
	reset(KVM_SAMSARA_MODE_RECORD_SERIAL, 2, 0, &device_guest);
}

/* Nothing of it outside of a change, nor what would be no state. */
static void state_refused(void)
{
	const struct vm_setup setup = {
		.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .guest = &spinning_guest,
	};
	struct kvm_samsara_vcpu_state state = { .len = 1, .reserved = 1 };
	static char bytes[KVM_SAMSARA_STATE_MAX + 1];
	struct kvm_samsara_status st;
	struct kvm_cpuid2 cpuid = {};
	struct kvm_regs regs;
	struct vm vm;

	vm_create_configured(&vm, &setup);
	vm.stream = streams_new(setup.nr_vcpus);
	must_fail(set_state(&vm, 0, bytes, 1), ESHUTDOWN, "a state before START");
	vm_start(&vm);
	vm_serve(&vm);
	vcpu_start(&vm, 0);
	usleep(2000);
	must_work(ioctl(vm.vcpu[1], KVM_GET_REGS, &regs), "GET_REGS");
	must_fail(ioctl(vm.vcpu[1], KVM_SET_REGS, &regs), EBUSY, "SET_REGS");
	must_fail(set_state(&vm, 1, bytes, 1), EINVAL, "a state without MAP_BEGIN");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_STATE, 0, &state), ENODATA, "a recording's state");
	must_work(change(&vm, KVM_SAMSARA_MAP_BEGIN), "MAP_BEGIN");
	must_work(ioctl(vm.vcpu[1], KVM_SET_REGS, &regs), "SET_REGS between BEGIN and END");
	must_fail(ioctl(vm.vcpu[1], KVM_SET_CPUID2, &cpuid), EBUSY, "SET_CPUID2");
	must_fail(set_state(&vm, 0, bytes, 1), EBUSY, "a state of a vCPU in KVM_RUN");
	must_fail(set_state(&vm, 2, bytes, 1), ENXIO, "a state of no vCPU");
	must_fail(set_state(&vm, -1ul, bytes, 1), ENXIO, "a state of no vCPU");
	must_fail(set_state(&vm, 1, bytes, 0), EINVAL, "no state");
	must_fail(set_state(&vm, 1, bytes, sizeof(bytes)), EINVAL, "too much state");
	must_fail(set_state(&vm, 1, NULL, 1), EFAULT, "a state at 0");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_STATE, 1, NULL), EFAULT, "a structure at 0");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_STATE, 1, &state), EINVAL, "reserved = 1");
	must_work(set_state(&vm, 1, bytes, KVM_SAMSARA_STATE_MAX), "the longest state");
	must_work(change(&vm, KVM_SAMSARA_MAP_END), "MAP_END");
	must_fail(ioctl(vm.vcpu[1], KVM_SET_REGS, &regs), EBUSY, "SET_REGS after MAP_END");
	/* STOP in between */
	must_work(change(&vm, KVM_SAMSARA_MAP_BEGIN), "MAP_BEGIN");
	stop(&vm, &st, "recording");
	if (st.state != KVM_SAMSARA_STATE_STOPPED)
		fail("state %u error %d after STOP", st.state, st.error);
	must_fail(set_state(&vm, 1, bytes, 1), ESHUTDOWN, "a state after STOP");
	leave(&vm, "recording");
	vm_destroy(&vm);
}

/* A log that begins with a state of so many bytes. */
static void start_replay(struct vm *vm, unsigned int len)
{
	const struct vm_setup setup = { .nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_REPLAY };
	struct smr_record rec = { .type = SMR_STATE, .commit_seq = 1, .data_len = len };
	struct smr_stream coding = {};
	struct smr_buf b = { .size = SMR_RECORD_MAX };
	static char bytes[SMR_STATE_MAX + 1];

	memset(bytes, 0x5a, sizeof(bytes));
	rec.data = (void *)bytes;
	vm_create_configured(vm, &setup);
	vm->stream = streams_new(1);
	b.p = malloc(b.size);
	must_work(smr_encode(&coding, &rec, &b), "encode");
	memcpy(vm->stream[0].bytes, b.p, b.len);
	vm->stream[0].len = b.len;
	free(b.p);
	vm_start(vm);
	vm_serve(vm);
}

static void run(struct vm *vm)
{
	while (ioctl(vm->vcpu[0], KVM_RUN, 0) && errno == EINTR)
		;
	if (vm->run[0]->exit_reason != KVM_EXIT_SAMSARA)
		fail("exit reason %u", vm->run[0]->exit_reason);
}

static void must_diverge(struct vm *vm, unsigned int field, const char *what)
{
	struct kvm_samsara_status st;

	run(vm);
	vm_get_status(vm, &st);
	if (st.state != KVM_SAMSARA_STATE_DIVERGED || st.div_field != field || st.div_commit != 1)
		fail("%s: state %u error %d, field %u at commit %llu", what, st.state, st.error,
		     st.div_field, st.div_commit);
	leave(vm, what);
	streams_free(vm->stream, 1);
	vm_destroy(vm);
}

static void state_lies(void)
{
	struct kvm_samsara_vcpu_state state = {};
	struct kvm_regs regs;
	char bytes[100];
	struct vm vm;

	start_replay(&vm, 0);
	must_diverge(&vm, KVM_SAMSARA_DIV_LOG, "no state");
	start_replay(&vm, SMR_STATE_MAX + 1);
	must_diverge(&vm, KVM_SAMSARA_DIV_LOG, "too much state");
	/* The digest is wrong; before that, it can be had and set once KVM_RUN has returned. */
	start_replay(&vm, sizeof(bytes));
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_STATE, 0, &state), ENODATA, "no state yet");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_STATE, 1, &state), ENXIO, "state of no vCPU");
	must_work(ioctl(vm.vcpu[0], KVM_GET_REGS, &regs), "GET_REGS");
	must_fail(ioctl(vm.vcpu[0], KVM_SET_REGS, &regs), EBUSY, "SET_REGS");
	run(&vm);
	must_work(ioctl(vm.vcpu[0], KVM_SET_REGS, &regs), "SET_REGS when it is to be set");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_STATE, 0, NULL), EFAULT, "a structure at 0");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_STATE, 0, &state), E2BIG, "no room");
	if (state.len != sizeof(bytes))
		fail("length %u", state.len);
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_STATE, 0, &state), EFAULT, "a state at 0");
	state.uaddr = (unsigned long)bytes;
	must_work(vm_get_attr(&vm, KVM_SAMSARA_GRP_STATE, 0, &state), "the state");
	if (bytes[0] != 0x5a || bytes[sizeof(bytes) - 1] != 0x5a)
		fail("another state");
	must_diverge(&vm, KVM_SAMSARA_DIV_REGS, "another digest");
}

static void killed_in_reset(const void *arg)
{
	const struct vm_setup setup = {
		.nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_RECORD, .guest = &spinning_guest,
	};
	struct vm vm;

	(void)arg;
	vm_create_configured(&vm, &setup);
	vm.stream = streams_new(1);
	vm_start(&vm);
	must_work(change(&vm, KVM_SAMSARA_MAP_BEGIN), "MAP_BEGIN");
	must_work(vcpu_reset(&vm, 0), "a reset");
	ready();
	pause();
}

static void state_killed(void)
{
	must_die(killed_in_reset, NULL, "a reset");
}

const struct hostile_case state_cases[] = {
	{ "state-parallel", state_parallel },
	{ "state-short-chunks", state_short_chunks },
	{ "state-serial", state_serial },
	{ "state-devices", state_devices },
	{ "state-devices-serial", state_devices_serial },
	{ "state-refused", state_refused },
	{ "state-lies", state_lies },
	{ "state-killed", state_killed },
	{}
};
