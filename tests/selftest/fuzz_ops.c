// SPDX-License-Identifier: GPL-2.0
/* samsara_fuzz: what is done to VMs that there are, but for their rings. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"
#include "states.h"

unsigned long states_seen[NR_STATES];

/* User space's part of an exit. */
static void answer(struct rng *r, struct kvm_run *run)
{
	unsigned long at = run->io.data_offset;
	unsigned int n;

	if (run->exit_reason == KVM_EXIT_MMIO)
		*(__u64 *)run->mmio.data = random64(r);
	else if (run->exit_reason == KVM_EXIT_IO)
		for (n = 0; n < 64 && at + n < (unsigned int)run_bytes; n++)
			((unsigned char *)run)[at + n] = random64(r);
}

/*
 * Mostly a vCPU that only this thread runs: its counters belong to the thread, and
 * each thread can have those of two.
 */
static unsigned int vcpu_to_run(struct rng *r, struct target **t)
{
	unsigned int all = NR_VMS * NR_VCPUS, at = thread_nr % all, rest = all - at;

	if (one_in(r, 32))
		return some_vcpu(r, *t);
	at += nr_threads * below(r, (rest + nr_threads - 1) / nr_threads);
	*t = &targets[at % NR_VMS];
	return at / NR_VMS;
}

int op_run(struct rng *r, struct target *t)
{
	unsigned int i = vcpu_to_run(r, &t), n = 1 + below(r, 32);
	struct kvm_run *run = (struct kvm_run *)t->run[i];

	for (; n; n--) {
		if (ioctl(t->vcpu[i], KVM_RUN, 0) < 0)
			return -1;
		if (run->exit_reason != KVM_EXIT_IO && run->exit_reason != KVM_EXIT_MMIO)
			break;
		answer(r, run);
	}
	return 0;
}

/* What user space shares with the vCPU. */
int op_scribble_run(struct rng *r, struct target *t)
{
	struct kvm_run *run = (struct kvm_run *)t->run[some_vcpu(r, t)];

	switch (below(r, 6)) {
	case 0:
		run->immediate_exit = one_in(r, 2);
		break;
	case 1:
		run->request_interrupt_window = one_in(r, 2);
		break;
	case 2:
		run->kvm_valid_regs = one_in(r, 2) ? KVM_SYNC_X86_VALID_FIELDS : random64(r);
		break;
	case 3:
		run->kvm_dirty_regs = one_in(r, 2) ? KVM_SYNC_X86_VALID_FIELDS : random64(r);
		break;
	case 4:
		spoil(r, run, sizeof(*run));
		break;
	/* Or no vCPU would run any more. */
	default:
		run->immediate_exit = 0;
		run->kvm_valid_regs = run->kvm_dirty_regs = 0;
		break;
	}
	return 0;
}

int op_state(struct rng *r, struct target *t)
{
	size_t i = below(r, nr_vcpu_states);
	int fd = t->vcpu[some_vcpu(r, t)];
	union vcpu_state state;
	int ret;

	vcpu_state_prepare(&state, i);
	ret = ioctl(fd, vcpu_states[i].get, &state);
	if (ret < 0 || one_in(r, 3))
		return ret < 0 ? -1 : 0;
	if (one_in(r, 2))
		spoil(r, &state, one_in(r, 2) ? 64 : sizeof(state));
	return ioctl(fd, vcpu_states[i].set, &state) < 0 ? -1 : 0;
}

static void fill(struct rng *r, __u64 *buf, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		buf[i] = one_in(r, 4) ? odd_number(r) : 0;
}

/* Others that have a number, and a buffer of anything or of nothing. */
static const unsigned long vcpu_ioctls[] = {
	KVM_NMI, KVM_SMI, KVM_INTERRUPT, KVM_SET_GUEST_DEBUG, KVM_SET_TSC_KHZ, KVM_GET_TSC_KHZ,
	KVM_X86_SETUP_MCE, KVM_X86_SET_MCE, KVM_SET_VAPIC_ADDR, KVM_TPR_ACCESS_REPORTING,
	KVM_TRANSLATE, KVM_KVMCLOCK_CTRL, KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR,
	KVM_HAS_DEVICE_ATTR, KVM_ENABLE_CAP, KVM_GET_XSAVE2,
};

int op_vcpu_ioctl(struct rng *r, struct target *t)
{
	unsigned long nr = vcpu_ioctls[below(r, NR_OF(vcpu_ioctls))];
	__u64 buf[1024];

	fill(r, buf, NR_OF(buf));
	if (nr == KVM_SET_DEVICE_ATTR || nr == KVM_GET_DEVICE_ATTR) {
		struct kvm_device_attr a = {
			.attr = one_in(r, 8), .addr = (unsigned long)(buf + 100),
		};

		memcpy(buf, &a, sizeof(a));
	}
	return ioctl(t->vcpu[some_vcpu(r, t)], nr, buf) < 0 ? -1 : 0;
}

static const unsigned long vm_ioctls[] = {
	KVM_IRQ_LINE, KVM_IRQ_LINE_STATUS, KVM_SIGNAL_MSI, KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2,
	KVM_GET_IRQCHIP, KVM_SET_IRQCHIP, KVM_GET_PIT2, KVM_SET_PIT2, KVM_GET_CLOCK, KVM_SET_CLOCK,
	KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_BOOT_CPU_ID, KVM_GET_DIRTY_LOG,
	KVM_CLEAR_DIRTY_LOG, KVM_SET_GSI_ROUTING, KVM_REINJECT_CONTROL, KVM_ENABLE_CAP,
	KVM_CHECK_EXTENSION, KVM_X86_SET_MSR_FILTER, KVM_SET_TSC_KHZ, KVM_IOEVENTFD, KVM_IRQFD,
	KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO,
};

int op_vm_ioctl(struct rng *r, struct target *t)
{
	unsigned long nr = vm_ioctls[below(r, NR_OF(vm_ioctls))];
	__u64 buf[1024];

	fill(r, buf, NR_OF(buf));
	/* The kernel would write more than it has place for. */
	if (nr == KVM_GET_DIRTY_LOG || nr == KVM_CLEAR_DIRTY_LOG)
		buf[1] = (unsigned long)(buf + 100);
	if (nr == KVM_IRQ_LINE || nr == KVM_IRQ_LINE_STATUS || nr == KVM_SET_GSI_ROUTING)
		buf[0] = below(r, 16) | (random64(r) & 1) << 32;
	if (nr == KVM_SIGNAL_MSI)
		buf[0] = 0xfee00000 + (below(r, 4) << 12);
	return ioctl(t->fd, nr, buf) < 0 ? -1 : 0;
}

int op_start(struct rng *r, struct target *t)
{
	(void)r;
	return ctrl(t, KVM_SAMSARA_CTRL_START);
}

int op_stop(struct rng *r, struct target *t)
{
	(void)r;
	return ctrl(t, KVM_SAMSARA_CTRL_STOP);
}

int op_wake(struct rng *r, struct target *t)
{
	(void)r;
	return ctrl(t, KVM_SAMSARA_CTRL_WAKE);
}

int op_status(struct rng *r, struct target *t)
{
	struct kvm_samsara_status st;

	(void)r;
	if (attr(t->device, KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_STATUS, 0, &st))
		return -1;
	if (st.state < NR_STATES)
		__atomic_fetch_add(&states_seen[st.state], 1, __ATOMIC_RELAXED);
	return 0;
}

int op_tunable(struct rng *r, struct target *t)
{
	__u64 value = odd_number(r);
	unsigned long nr = below(r, KVM_SAMSARA_TUNABLE_SEED + 2);

	return attr(t->device, one_in(r, 3) ? KVM_GET_DEVICE_ATTR : KVM_SET_DEVICE_ATTR,
		    KVM_SAMSARA_GRP_TUNABLE, nr, one_in(r, 20) ? NULL : &value);
}

int op_attr(struct rng *r, struct target *t)
{
	static const unsigned long requests[] = {
		KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR,
	};
	__u64 buf[64];
	struct kvm_device_attr a = {
		.flags = one_in(r, 8) ? random64(r) : 0,
		.group = one_in(r, 8) ? random64(r) : below(r, 7),
		.attr = one_in(r, 4) ? odd_number(r) : below(r, 3),
		.addr = one_in(r, 4) ? odd_number(r) : (unsigned long)buf,
	};
	unsigned int i;

	for (i = 0; i < NR_OF(buf); i++)
		buf[i] = one_in(r, 3) ? odd_number(r) : below(r, 5);
	return ioctl(t->device, requests[below(r, 3)], &a) < 0 ? -1 : 0;
}

int op_dma(struct rng *r, struct target *t)
{
	struct kvm_samsara_dma dma = {
		.ram = DATA_ADDR + below(r, 0x8000),
		.len = 1 + below(r, one_in(r, 10) ? KVM_SAMSARA_DMA_MAX : 100),
		.uaddr = (unsigned long)t->mem,
	};

	if (one_in(r, 8))
		dma.ram = odd_number(r);
	if (one_in(r, 8))
		dma.len = odd_number(r);
	if (one_in(r, 16))
		dma.uaddr = odd_number(r);
	return set_attr(t, KVM_SAMSARA_GRP_DMA, 0, &dma);
}

/* Another process has the descriptors, too, for a while. */
int op_fork(struct rng *r, struct target *t)
{
	pid_t pid = fork();

	(void)r;
	if (pid < 0)
		return -1;
	if (!pid) {
		op_status(r, t);
		ioctl(t->vcpu[0], KVM_RUN, 0);
		_exit(0);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}
