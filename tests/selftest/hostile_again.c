// SPDX-License-Identifier: GPL-2.0
/* Recordings one after the other, in the life of one VM. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hostile.h"

#define RECORDINGS	4

/* What a replay of a guest that was at work already begins with. */
struct snapshot {
	struct kvm_sregs sregs[MAX_VCPUS];
	struct kvm_regs regs[MAX_VCPUS];
	unsigned char *mem;
};

static void take(struct vm *vm, struct snapshot *s)
{
	int i;

	for (i = 0; i < vm->setup.nr_vcpus; i++) {
		must_work(ioctl(vm->vcpu[i], KVM_GET_SREGS, &s->sregs[i]), "GET_SREGS");
		must_work(ioctl(vm->vcpu[i], KVM_GET_REGS, &s->regs[i]), "GET_REGS");
	}
	s->mem = malloc(vm->setup.mem_bytes);
	memcpy(s->mem, vm->mem, vm->setup.mem_bytes);
}

static void start_all(struct vm *vm)
{
	int i;

	for (i = 0; i < vm->setup.nr_vcpus; i++)
		vcpu_start(vm, i);
}

/* The guest runs on for a time, and not to its end. */
static void record_a_while(struct vm *vm, struct kvm_samsara_status *st)
{
	vm->stream = streams_new(vm->setup.nr_vcpus);
	vm_start(vm);
	vm_serve(vm);
	start_all(vm);
	usleep(10000);
	vm_interrupt(vm);
	stop(vm, st, "recording");
	vm_stop_serving(vm);
	if (st->state != KVM_SAMSARA_STATE_STOPPED)
		fail("recording: state %u error %d", st->state, st->error);
	if (!st->chunks || st->chunks > st->commits)
		fail("recording: %llu chunks, %llu commits", st->chunks, st->commits);
}

static void replay_it(struct vm *vm, const struct snapshot *s, const struct kvm_samsara_status *rec)
{
	struct vm_setup setup = vm->setup;
	struct kvm_samsara_status st;
	struct vm again;
	int i;

	setup.mode = KVM_SAMSARA_MODE_REPLAY;
	vm_create_configured(&again, &setup);
	memcpy(again.mem, s->mem, setup.mem_bytes);
	for (i = 0; i < setup.nr_vcpus; i++) {
		must_work(ioctl(again.vcpu[i], KVM_SET_SREGS, &s->sregs[i]), "SET_SREGS");
		must_work(ioctl(again.vcpu[i], KVM_SET_REGS, &s->regs[i]), "SET_REGS");
	}
	again.stream = vm->stream;
	vm_start(&again);
	vm_run(&again, &st);
	if (st.state != KVM_SAMSARA_STATE_STOPPED || st.commits != rec->commits)
		fail("replay: state %u error %d, field %u at commit %llu; %llu commits of %llu",
		     st.state, st.error, st.div_field, st.div_commit, st.commits, rec->commits);
	if (memcmp(vm->mem, again.mem, setup.mem_bytes))
		fail("replay: another memory");
	vm_destroy(&again);
}

/* In between it runs unrecorded. */
static void record_again(unsigned int mode)
{
	const struct vm_setup setup = {
		.nr_vcpus = 2, .mode = mode, .chunk_limit = 2000, .memdigest = 16,
	};
	struct kvm_samsara_status st;
	unsigned long long commits = 0;
	struct snapshot s;
	struct vm vm;
	int n;

	vm_create(&vm, &setup);
	for (n = 0; n < RECORDINGS; n++) {
		/* Also before the first one. */
		start_all(&vm);
		usleep(1000);
		vm_interrupt(&vm);
		vm_configure(&vm);
		take(&vm, &s);
		record_a_while(&vm, &st);
		replay_it(&vm, &s, &st);
		commits += st.commits;
		streams_free(vm.stream, setup.nr_vcpus);
		free(s.mem);
		must_work(vm_clear(&vm), "CLEAR");
		vm_get_status(&vm, &st);
		if (st.state != KVM_SAMSARA_STATE_IDLE || st.commits || st.chunks)
			fail("after CLEAR: state %u, %llu commits", st.state, st.commits);
	}
	vm_destroy(&vm);
	note("%llu commits in %u recordings", commits, RECORDINGS);
}

static void again_parallel(void)
{
	record_again(KVM_SAMSARA_MODE_RECORD);
}

static void again_serial(void)
{
	record_again(KVM_SAMSARA_MODE_RECORD_SERIAL);
}

static void again_crew(void)
{
	record_again(KVM_SAMSARA_MODE_RECORD_CREW);
}

/* Everybody asks for everything meanwhile. */
static void *disturb(void *p)
{
	struct vm *vm = p;
	struct kvm_samsara_vcpu_state state = { .uaddr = (unsigned long)vm, .len = 8 };
	struct kvm_samsara_dma d = { .ram = 0x80100, .len = 8, .uaddr = (unsigned long)vm };
	struct kvm_samsara_status st;

	while (!__atomic_load_n(&vm->service_quit, __ATOMIC_ACQUIRE)) {
		vm_get_status(vm, &st);
		vm_set_attr(vm, KVM_SAMSARA_GRP_DMA, 0, &d);
		vm_set_attr(vm, KVM_SAMSARA_GRP_STATE, 0, &state);
		vm_get_attr(vm, KVM_SAMSARA_GRP_STATE, 1, &state);
		vm_ctrl(vm, KVM_SAMSARA_CTRL_WAKE);
		if (!vm_set_attr(vm, KVM_SAMSARA_GRP_MAP, KVM_SAMSARA_MAP_BEGIN, NULL))
			vm_set_attr(vm, KVM_SAMSARA_GRP_MAP, KVM_SAMSARA_MAP_END, NULL);
	}
	return NULL;
}

static void again_disturbed(void)
{
	const struct vm_setup setup = {
		.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .guest = &spinning_guest,
	};
	struct kvm_samsara_status st;
	pthread_t thread;
	struct vm vm;
	int n;

	vm_create(&vm, &setup);
	pthread_create(&thread, NULL, disturb, &vm);
	for (n = 0; n < 20; n++) {
		vm_configure(&vm);
		vm.stream = streams_new(setup.nr_vcpus);
		vm_start(&vm);
		start_all(&vm);
		usleep(1000);
		vm_drain(&vm);
		vm_interrupt(&vm);
		stop(&vm, &st, "recording");
		streams_free(vm.stream, setup.nr_vcpus);
		must_work(vm_clear(&vm), "CLEAR");
	}
	__atomic_store_n(&vm.service_quit, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	vm_destroy(&vm);
}

static void clear_refused(void)
{
	const struct vm_setup setup = {
		.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .guest = &spinning_guest,
	};
	struct kvm_samsara_status st;
	struct vm vm;

	vm_create(&vm, &setup);
	must_work(vm_clear(&vm), "CLEAR before CONFIG");
	vm_configure(&vm);
	must_work(vm_clear(&vm), "CLEAR after CONFIG");
	must_fail(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), EBUSY, "START after CLEAR");
	vm_configure(&vm);
	vm.stream = streams_new(setup.nr_vcpus);
	vm_start(&vm);
	vm_serve(&vm);
	must_fail(vm_clear(&vm), EBUSY, "CLEAR while recording");
	vcpu_start(&vm, 0);
	usleep(2000);
	stop(&vm, &st, "recording");
	vm_stop_serving(&vm);
	must_fail(vm_clear(&vm), EBUSY, "CLEAR with a vCPU in KVM_RUN");
	vm_interrupt(&vm);
	must_work(vm_clear(&vm), "CLEAR");
	must_fail(vm_ctrl(&vm, 4), ENXIO, "another command");
	vm_destroy(&vm);
}

/* A port access that user space has not completed: it would be neither before nor in the log. */
static void start_in_exit(void)
{
	const struct vm_setup setup = {
		.nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_RECORD, .guest = &device_guest,
	};
	struct vm vm;

	vm_create(&vm, &setup);
	vm_configure(&vm);
	do {
		if (ioctl(vm.vcpu[0], KVM_RUN, 0))
			fail("KVM_RUN: %s", strerror(errno));
	} while (vm.run[0]->exit_reason != KVM_EXIT_IO || vm.run[0]->io.direction != KVM_EXIT_IO_IN);
	must_fail(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), EBUSY, "START in the middle of an exit");
	vm.run[0]->immediate_exit = 1;
	must_fail(ioctl(vm.vcpu[0], KVM_RUN, 0), EINTR, "KVM_RUN");
	must_work(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), "START");
	vm_destroy(&vm);
}

/* A debugger may have been at work before. */
static void start_debugged(void)
{
	const struct vm_setup setup = { .nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD };
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, .arch.debugreg[7] = 0x400,
	};
	struct vm vm;

	vm_create(&vm, &setup);
	vm_configure(&vm);
	must_work(ioctl(vm.vcpu[1], KVM_SET_GUEST_DEBUG, &debug), "SET_GUEST_DEBUG");
	must_fail(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), EOPNOTSUPP, "START with a debugger");
	debug.control = 0;
	must_work(ioctl(vm.vcpu[1], KVM_SET_GUEST_DEBUG, &debug), "SET_GUEST_DEBUG");
	must_work(vm_ctrl(&vm, KVM_SAMSARA_CTRL_START), "START");
	vm_destroy(&vm);
}

const struct hostile_case again_cases[] = {
	{ "again-parallel", again_parallel },
	{ "again-serial", again_serial },
	{ "again-crew", again_crew },
	{ "again-disturbed", again_disturbed },
	{ "clear-refused", clear_refused },
	{ "start-in-exit", start_in_exit },
	{ "start-debugged", start_debugged },
	{}
};
