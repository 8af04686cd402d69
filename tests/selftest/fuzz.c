// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that do anything to a few recordable VMs, in any order and at the same
 * time: ioctls of VMs, vCPUs and the device, mappings, rings, KVM_RUN.
 *
 *	samsara_fuzz [--seed N] [--threads N] [--ops N] [--seconds N]
 *
 * Which operations each thread does follows from the seed; what they meet does not.
 * Ends after so many operations (of all threads) or seconds, prints how
 * often each was done and with what result, and "ok" or "not ok".  A thread that
 * does not come back from an operation is a failure.  Whether the kernel is healthy
 * is for the caller to see.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "states.h"
#include "vmm.h"

#define NR_OF(a)	(sizeof(a) / sizeof((a)[0]))
#define NR_VMS		2
#define NR_VCPUS	3
#define NR_RINGS	(NR_VCPUS + 1)
#define MAX_THREADS	16
#define MAX_ERRNO	134
#define MEM		(1u << 20)
/* Places for mappings, so that nothing else is ever where one was. */
#define RUN_AREA	(64u << 10)
#define RING_AREA	(2u << 20)
#define LOG_BYTES	(1u << 20)
#define TICK_MS		10
#define SLOW_MS		2000
#define STUCK_MS	120000
#define MSR_NR		0x277

/* ---- random numbers: a generator for each operation */

struct rng {
	unsigned long long s;
};

static unsigned long long next(struct rng *r)
{
	unsigned long long z = (r->s += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static unsigned int below(struct rng *r, unsigned int n)
{
	return next(r) % n;
}

static bool one_in(struct rng *r, unsigned int n)
{
	return !below(r, n);
}

/* A number that someone may not have thought of. */
static unsigned long long odd_number(struct rng *r)
{
	switch (below(r, 6)) {
	case 0: return below(r, 4);
	case 1: return ~0ull - below(r, 4);
	case 2: return (1ull << below(r, 64)) - below(r, 3);
	case 3: return below(r, 2 * MEM);
	case 4: return 0xfee00000 + below(r, 4096);
	default: return next(r);
	}
}

static void spoil(struct rng *r, void *p, size_t len)
{
	unsigned int n = 1 + below(r, 4);

	while (n--)
		((unsigned char *)p)[below(r, len)] ^= 1 << below(r, 8);
}

/* ---- the VMs */

/* What a recording's rings have held, and what the guest was. */
struct log {
	struct stream stream[NR_RINGS];
	const struct guest *guest;
	unsigned int rounds;
};

struct target {
	struct log log;			/* recorded so far, or to be replayed; under log_lock */
	int fd, device, vcpu[NR_VCPUS];
	unsigned char *mem;
	unsigned char *run[NR_VCPUS];	/* places of mappings, or of nothing */
	unsigned char *ring[NR_RINGS];
	unsigned char *scratch;
	unsigned int mode, nr_vcpus, ring_bytes;
};

static struct target targets[NR_VMS];

/* The last recording with so many vCPUs. */
static struct log last_log[NR_VCPUS + 1];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void init_log(struct log *log)
{
	unsigned int i;

	for (i = 0; i < NR_RINGS; i++)
		log->stream[i] = (struct stream) { .bytes = malloc(LOG_BYTES), .size = LOG_BYTES };
}

static void copy_log(struct log *to, const struct log *from)
{
	unsigned int i;

	to->guest = from->guest;
	to->rounds = from->rounds;
	for (i = 0; i < NR_RINGS; i++) {
		to->stream[i].len = from->stream[i].len;
		memcpy(to->stream[i].bytes, from->stream[i].bytes, from->stream[i].len);
	}
}

static bool is_replay(const struct target *t)
{
	return t->mode == KVM_SAMSARA_MODE_REPLAY;
}

static void *nothing_at(void *place, size_t len)
{
	void *p = mmap(place, len, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (place ? MAP_FIXED : 0), -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* MAP_FIXED would leave a gap if it fails. */
static int map_at(void *place, size_t len, int fd, unsigned long long offset, int flags)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, offset);

	if (p == MAP_FAILED)
		return -1;
	if (mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED)
		munmap(p, len);
	return 0;
}

static void close_fd(int *fd)
{
	int was = __atomic_exchange_n(fd, -1, __ATOMIC_ACQ_REL);

	if (was >= 0)
		close(was);
}

static void put_fd(int *fd, int value)
{
	int was = __atomic_exchange_n(fd, value, __ATOMIC_ACQ_REL);

	if (was >= 0)
		close(was);
}

static void close_target(struct target *t)
{
	int i;

	for (i = 0; i < NR_VCPUS; i++) {
		nothing_at(t->run[i], RUN_AREA);
		close_fd(&t->vcpu[i]);
	}
	for (i = 0; i < NR_RINGS; i++)
		nothing_at(t->ring[i], RING_AREA);
	nothing_at(t->scratch, RING_AREA);
	close_fd(&t->device);
	close_fd(&t->fd);
}

static void init_target(struct target *t)
{
	int i;

	init_log(&t->log);
	t->fd = t->device = -1;
	t->mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < NR_VCPUS; i++) {
		t->vcpu[i] = -1;
		t->run[i] = nothing_at(NULL, RUN_AREA);
	}
	for (i = 0; i < NR_RINGS; i++)
		t->ring[i] = nothing_at(NULL, RING_AREA);
	t->scratch = nothing_at(NULL, RING_AREA);
}

/* Mostly one that there is. */
static unsigned int some_vcpu(struct rng *r, const struct target *t)
{
	unsigned int i = below(r, NR_VCPUS);

	return one_in(r, 16) || !t->nr_vcpus ? i : i % t->nr_vcpus;
}

static unsigned int some_ring(struct rng *r, const struct target *t)
{
	unsigned int i = below(r, NR_RINGS);

	return one_in(r, 16) ? i : i % (t->nr_vcpus + 1);
}

static int attr(int fd, unsigned long request, unsigned int group, unsigned long nr, void *addr)
{
	struct kvm_device_attr a = { .group = group, .attr = nr, .addr = (unsigned long)addr };

	return ioctl(fd, request, &a);
}

static int set_attr(struct target *t, unsigned int group, unsigned long nr, void *addr)
{
	return attr(t->device, KVM_SET_DEVICE_ATTR, group, nr, addr);
}

static int ctrl(struct target *t, unsigned long what)
{
	return set_attr(t, KVM_SAMSARA_GRP_CTRL, what, NULL);
}

/* ---- operations: each returns 0, or -1 and errno */

static int create_vcpu(struct target *t, int i, unsigned long id, const struct vm_setup *setup)
{
	int fd = ioctl(t->fd, KVM_CREATE_VCPU, id);

	if (fd < 0)
		return -1;
	map_at(t->run[i], run_bytes, fd, 0, MAP_SHARED);
	vcpu_set_start(fd, i, setup);
	put_fd(&t->vcpu[i], fd);
	return 0;
}

static void random_config(struct rng *r, struct target *t, struct kvm_samsara_config *c)
{
	*c = (struct kvm_samsara_config) {
		.version = KVM_SAMSARA_ABI_VERSION,
		.mode = t->mode, .nr_vcpus = t->nr_vcpus, .ring_bytes = t->ring_bytes,
		.eventfd = -1,
	};
	if (one_in(r, 8))
		c->stop_at = below(r, 200);
	if (one_in(r, 8))
		c->debug_fault_commit = below(r, 200);
	if (one_in(r, 8))
		c->eventfd = t->fd;
	if (one_in(r, 8))
		spoil(r, c, sizeof(*c));
}

static int op_config(struct rng *r, struct target *t)
{
	struct kvm_samsara_config c;
	bool own = one_in(r, 3);
	int ret;

	random_config(r, t, &c);
	if (own)
		c.eventfd = eventfd(0, 0);
	ret = set_attr(t, KVM_SAMSARA_GRP_CONFIG, 0, &c);
	if (own)
		close(c.eventfd);
	return ret;
}

static int op_memory(struct rng *r, struct target *t)
{
	struct kvm_userspace_memory_region region = {
		.slot = below(r, 4),
		.guest_phys_addr = below(r, 4) * (unsigned long long)MEM,
		.memory_size = one_in(r, 3) ? 0 : below(r, MEM / 4096) * 4096ull,
		.userspace_addr = (unsigned long)t->mem,
		.flags = one_in(r, 6) ? below(r, 4) : 0,
	};

	if (one_in(r, 6))
		region.guest_phys_addr = odd_number(r) & ~4095ull;
	return ioctl(t->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int op_map(struct rng *r, struct target *t)
{
	size_t stride = HEADER_BYTES + t->ring_bytes;
	unsigned int i = some_ring(r, t);

	if (!one_in(r, 4))
		return map_at(t->ring[i], stride, t->device, i * stride, MAP_SHARED);
	return map_at(t->scratch, 4096 + below(r, RING_AREA / 4096) * 4096, t->device,
		      odd_number(r) & ~4095ull, one_in(r, 2) ? MAP_PRIVATE : MAP_SHARED);
}

static void map_rings(struct target *t)
{
	size_t stride = HEADER_BYTES + t->ring_bytes;
	unsigned int i;

	for (i = 0; i <= t->nr_vcpus; i++)
		map_at(t->ring[i], stride, t->device, i * stride, MAP_SHARED);
}

/* What the VM is to do next: a new recording, or to replay the last one. */
static void choose_work(struct rng *r, struct target *t)
{
	bool device = one_in(r, 2);
	unsigned int rounds = 100 + below(r, 20000), i;

	pthread_mutex_lock(&log_lock);
	if (!is_replay(t) && t->log.stream[0].len)
		copy_log(&last_log[t->nr_vcpus], &t->log);
	t->mode = KVM_SAMSARA_MODE_RECORD + below(r, 4);
	t->nr_vcpus = 1 + below(r, NR_VCPUS);
	t->ring_bytes = RING_BYTES << below(r, 3);
	if (is_replay(t))
		copy_log(&t->log, &last_log[t->nr_vcpus]);
	else
		for (i = 0; i < NR_RINGS; i++)
			t->log.stream[i].len = 0;
	if (!is_replay(t) || !t->log.guest) {
		t->log.guest = device ? &device_guest : &racing_guest;
		t->log.rounds = rounds;
	}
	pthread_mutex_unlock(&log_lock);
}

static bool usually(struct rng *r)
{
	return !one_in(r, 40);
}

/* A VM as it should be, but perhaps for a step left out or another one in between. */
static int op_build(struct rng *r, struct target *t)
{
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_SAMSARA_ID };
	struct kvm_userspace_memory_region region = {
		.memory_size = MEM, .userspace_addr = (unsigned long)t->mem,
	};
	struct vm_setup setup = {};
	struct kvm_pit_config pit = {};
	struct kvm_samsara_config config;
	__u64 limit = 256 + below(r, 5000);
	unsigned int i;
	int fd;

	close_target(t);
	choose_work(r, t);
	setup.rounds = t->log.rounds;
	mprotect(t->mem, MEM, PROT_READ | PROT_WRITE);
	memset(t->mem, 0, MEM);
	memcpy(t->mem + CODE_ADDR, t->log.guest->code, t->log.guest->end - t->log.guest->code);
	fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (fd < 0)
		return -1;
	put_fd(&t->fd, fd);
	if (usually(r) && !ioctl(fd, KVM_CREATE_DEVICE, &dev))
		put_fd(&t->device, dev.fd);
	if (usually(r))
		ioctl(fd, KVM_CREATE_IRQCHIP, 0);
	if (usually(r))
		ioctl(fd, KVM_CREATE_PIT2, &pit);
	if (usually(r))
		ioctl(fd, KVM_SET_USER_MEMORY_REGION, &region);
	for (i = 0; i < t->nr_vcpus; i++)
		if (usually(r))
			create_vcpu(t, i, i, &setup);
	random_config(r, t, &config);
	if (usually(r))
		set_attr(t, KVM_SAMSARA_GRP_CONFIG, 0, &config);
	if (usually(r))
		set_attr(t, KVM_SAMSARA_GRP_TUNABLE, KVM_SAMSARA_TUNABLE_CHUNK_LIMIT, &limit);
	if (usually(r))
		map_rings(t);
	if (usually(r))
		return ctrl(t, KVM_SAMSARA_CTRL_START);
	return 0;
}

static int op_close(struct rng *r, struct target *t)
{
	unsigned int i = below(r, NR_VCPUS);

	switch (below(r, 8)) {
	case 0:
		close_target(t);
		break;
	case 1:
		close_fd(&t->fd);
		break;
	case 2:
		close_fd(&t->device);
		break;
	case 3:
		close_fd(&t->vcpu[i]);
		break;
	case 4:
		nothing_at(t->run[i], RUN_AREA);
		break;
	default:
		nothing_at(t->ring[some_ring(r, t)], RING_AREA);
		break;
	}
	return 0;
}

static int op_create_vcpu(struct rng *r, struct target *t)
{
	struct vm_setup setup = { .rounds = 1000 };
	unsigned long id = one_in(r, 2) ? below(r, 4) : odd_number(r) & 0xffff;

	return create_vcpu(t, below(r, NR_VCPUS), id, &setup);
}

/* User space's part of an exit. */
static void answer(struct rng *r, struct kvm_run *run)
{
	unsigned long at = run->io.data_offset;
	unsigned int n;

	if (run->exit_reason == KVM_EXIT_MMIO)
		*(__u64 *)run->mmio.data = next(r);
	else if (run->exit_reason == KVM_EXIT_IO)
		for (n = 0; n < 64 && at + n < (unsigned int)run_bytes; n++)
			((unsigned char *)run)[at + n] = next(r);
}

static unsigned int nr_threads = 4;
static __thread unsigned int thread_nr;

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

static int op_run(struct rng *r, struct target *t)
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
static int op_scribble_run(struct rng *r, struct target *t)
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
		run->kvm_valid_regs = one_in(r, 2) ? KVM_SYNC_X86_VALID_FIELDS : next(r);
		break;
	case 3:
		run->kvm_dirty_regs = one_in(r, 2) ? KVM_SYNC_X86_VALID_FIELDS : next(r);
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

static int op_state(struct rng *r, struct target *t)
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

/* Others that have a number, and a buffer of anything or of nothing. */
static const unsigned long vcpu_ioctls[] = {
	KVM_NMI, KVM_SMI, KVM_INTERRUPT, KVM_SET_GUEST_DEBUG, KVM_SET_TSC_KHZ, KVM_GET_TSC_KHZ,
	KVM_X86_SETUP_MCE, KVM_X86_SET_MCE, KVM_SET_VAPIC_ADDR, KVM_TPR_ACCESS_REPORTING,
	KVM_TRANSLATE, KVM_KVMCLOCK_CTRL, KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR,
	KVM_HAS_DEVICE_ATTR, KVM_ENABLE_CAP, KVM_GET_XSAVE2,
};

static int op_vcpu_ioctl(struct rng *r, struct target *t)
{
	unsigned long nr = vcpu_ioctls[below(r, NR_OF(vcpu_ioctls))];
	__u64 buf[1024];
	unsigned int i;

	for (i = 0; i < NR_OF(buf); i++)
		buf[i] = one_in(r, 4) ? odd_number(r) : 0;
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

static int op_vm_ioctl(struct rng *r, struct target *t)
{
	unsigned long nr = vm_ioctls[below(r, NR_OF(vm_ioctls))];
	__u64 buf[1024];
	unsigned int i;

	for (i = 0; i < NR_OF(buf); i++)
		buf[i] = one_in(r, 4) ? odd_number(r) : 0;
	/* The kernel would write more than it has place for. */
	if (nr == KVM_GET_DIRTY_LOG || nr == KVM_CLEAR_DIRTY_LOG)
		buf[1] = (unsigned long)(buf + 100);
	if (nr == KVM_IRQ_LINE || nr == KVM_IRQ_LINE_STATUS || nr == KVM_SET_GSI_ROUTING)
		buf[0] = below(r, 16) | (next(r) & 1) << 32;
	if (nr == KVM_SIGNAL_MSI)
		buf[0] = 0xfee00000 + (below(r, 4) << 12);
	return ioctl(t->fd, nr, buf) < 0 ? -1 : 0;
}

static int op_start(struct rng *r, struct target *t)
{
	(void)r;
	return ctrl(t, KVM_SAMSARA_CTRL_START);
}

static int op_stop(struct rng *r, struct target *t)
{
	(void)r;
	return ctrl(t, KVM_SAMSARA_CTRL_STOP);
}

static int op_wake(struct rng *r, struct target *t)
{
	(void)r;
	return ctrl(t, KVM_SAMSARA_CTRL_WAKE);
}

static const char * const state_names[] = {
	"idle", "recording", "replaying", "stopped", "diverged", "failed",
};
/* How often VMs were seen in each. */
static unsigned long states_seen[NR_OF(state_names)];

static int op_status(struct rng *r, struct target *t)
{
	struct kvm_samsara_status st;

	(void)r;
	if (attr(t->device, KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_STATUS, 0, &st))
		return -1;
	if (st.state < NR_OF(state_names))
		__atomic_fetch_add(&states_seen[st.state], 1, __ATOMIC_RELAXED);
	return 0;
}

static int op_tunable(struct rng *r, struct target *t)
{
	__u64 value = odd_number(r);
	unsigned long nr = below(r, KVM_SAMSARA_TUNABLE_LANDING_BREAKPOINT + 2);

	return attr(t->device, one_in(r, 3) ? KVM_GET_DEVICE_ATTR : KVM_SET_DEVICE_ATTR,
		    KVM_SAMSARA_GRP_TUNABLE, nr, one_in(r, 20) ? NULL : &value);
}

static int op_attr(struct rng *r, struct target *t)
{
	static const unsigned long requests[] = {
		KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR,
	};
	__u64 buf[64];
	struct kvm_device_attr a = {
		.flags = one_in(r, 8) ? next(r) : 0,
		.group = one_in(r, 8) ? next(r) : below(r, 7),
		.attr = one_in(r, 4) ? odd_number(r) : below(r, 3),
		.addr = one_in(r, 4) ? odd_number(r) : (unsigned long)buf,
	};
	unsigned int i;

	for (i = 0; i < NR_OF(buf); i++)
		buf[i] = one_in(r, 3) ? odd_number(r) : below(r, 5);
	return ioctl(t->device, requests[below(r, 3)], &a) < 0 ? -1 : 0;
}

static int op_dma(struct rng *r, struct target *t)
{
	struct kvm_samsara_dma dma = {
		.gpa = DATA_ADDR + below(r, 0x8000),
		.len = 1 + below(r, one_in(r, 10) ? KVM_SAMSARA_DMA_MAX : 100),
		.uaddr = (unsigned long)t->mem,
	};

	if (one_in(r, 8))
		dma.gpa = odd_number(r);
	if (one_in(r, 8))
		dma.len = odd_number(r);
	if (one_in(r, 16))
		dma.uaddr = odd_number(r);
	return set_attr(t, KVM_SAMSARA_GRP_DMA, 0, &dma);
}

static int op_scribble_header(struct rng *r, struct target *t)
{
	struct kvm_samsara_ring *ring = (void *)t->ring[some_ring(r, t)];

	switch (below(r, 5)) {
	case 0:
		ring->head = one_in(r, 2) ? odd_number(r) : ring->tail + below(r, 100);
		break;
	case 1:
		ring->tail = one_in(r, 2) ? odd_number(r) : ring->head - below(r, 100);
		break;
	case 2:
		ring->flags = next(r);
		break;
	case 3:
		ring->size = odd_number(r);
		break;
	default:
		ring->tail = ring->head;
		break;
	}
	return 0;
}

static int op_scribble_data(struct rng *r, struct target *t)
{
	unsigned char *data = t->ring[some_ring(r, t)] + HEADER_BYTES;
	unsigned int n = 1 + below(r, 20), at = below(r, t->ring_bytes ?: 1);

	while (n--)
		data[at + n < t->ring_bytes ? at + n : 0] = one_in(r, 2) ? next(r) : 1 + below(r, 6);
	return 0;
}

/* A copy of a ring's part, since the mapping may go at any time. */
static unsigned int read_ring(struct target *t, unsigned int i, unsigned char *to, unsigned int max)
{
	struct kvm_samsara_ring *ring = (void *)t->ring[i];
	__u64 head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE), tail = ring->tail;
	unsigned int n = 0;

	while (tail < head && n < max && t->ring_bytes)
		to[n++] = t->ring[i][HEADER_BYTES + (tail++ & (t->ring_bytes - 1))];
	__atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
	return n;
}

/* What a good VMM does with a recording. */
static int op_drain(struct rng *r, struct target *t)
{
	static __thread unsigned char part[65536];
	unsigned int i, n;

	(void)r;
	if (is_replay(t))
		return 0;
	for (i = 0; i <= t->nr_vcpus; i++) {
		struct stream *s = &t->log.stream[i];

		n = read_ring(t, i, part, sizeof(part));
		pthread_mutex_lock(&log_lock);
		/* What finds no room is missing at the end. */
		if (s->len + n <= s->size) {
			memcpy(s->bytes + s->len, part, n);
			s->len += n;
		}
		pthread_mutex_unlock(&log_lock);
	}
	return ctrl(t, KVM_SAMSARA_CTRL_WAKE);
}

static void write_ring(struct target *t, unsigned int i, const unsigned char *from, unsigned int n)
{
	struct kvm_samsara_ring *ring = (void *)t->ring[i];
	__u64 head = ring->head, tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);

	while (n-- && head - tail < t->ring_bytes)
		t->ring[i][HEADER_BYTES + (head++ & (t->ring_bytes - 1))] = *from++;
	__atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
}

/* ... and with a replay, but that a byte of the recording may be wrong. */
static int op_feed(struct rng *r, struct target *t)
{
	static __thread unsigned char part[8192];
	unsigned int i, n, at, some = 1 + below(r, 8192);
	bool wrong = one_in(r, 16), end = one_in(r, 16);

	if (!is_replay(t))
		return 0;
	for (i = 0; i <= t->nr_vcpus; i++) {
		struct stream *s = &t->log.stream[i];
		__u64 head = ((struct kvm_samsara_ring *)t->ring[i])->head;

		pthread_mutex_lock(&log_lock);
		at = head < s->len ? head : s->len;
		n = s->len - at < some ? s->len - at : some;
		memcpy(part, s->bytes + at, n);
		pthread_mutex_unlock(&log_lock);
		if (wrong && n)
			spoil(r, part, n);
		write_ring(t, i, part, n);
		if (end)
			((struct kvm_samsara_ring *)t->ring[i])->flags = KVM_SAMSARA_RING_EOF;
	}
	return ctrl(t, KVM_SAMSARA_CTRL_WAKE);
}

static int op_guest_memory(struct rng *r, struct target *t)
{
	switch (below(r, 4)) {
	case 0:
		return madvise(t->mem + below(r, MEM / 4096) * 4096, 4096, MADV_DONTNEED);
	case 1:
		return mprotect(t->mem, MEM, one_in(r, 2) ? PROT_READ : PROT_READ | PROT_WRITE);
	default:
		t->mem[below(r, MEM)] = next(r);
		return 0;
	}
}

/* Another process has the descriptors, too, for a while. */
static int op_fork(struct rng *r, struct target *t)
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

static const struct kind {
	const char *name;
	unsigned int weight;
	int (*fn)(struct rng *r, struct target *t);
	bool waits;		/* it may not come back without a signal */
} kinds[] = {
	{ "build", 12, op_build, false },
	{ "close", 6, op_close, false },
	{ "run", 60, op_run, true },
	{ "scribble-run", 12, op_scribble_run, false },
	{ "vcpu-state", 20, op_state, false },
	{ "vcpu-ioctl", 15, op_vcpu_ioctl, false },
	{ "vm-ioctl", 15, op_vm_ioctl, false },
	{ "create-vcpu", 6, op_create_vcpu, false },
	{ "memory-slot", 4, op_memory, false },
	{ "config", 4, op_config, false },
	{ "start", 8, op_start, false },
	{ "stop", 4, op_stop, false },
	{ "wake", 8, op_wake, false },
	{ "status", 8, op_status, false },
	{ "tunable", 6, op_tunable, false },
	{ "attribute", 10, op_attr, false },
	{ "dma", 15, op_dma, true },
	{ "map", 6, op_map, false },
	{ "scribble-header", 3, op_scribble_header, false },
	{ "scribble-data", 5, op_scribble_data, false },
	{ "drain", 30, op_drain, false },
	{ "feed", 30, op_feed, false },
	{ "guest-memory", 4, op_guest_memory, false },
	{ "fork", 1, op_fork, false },
};

static const struct kind *choose(struct rng *r)
{
	unsigned int sum = 0, n;
	size_t k;

	for (k = 0; k < NR_OF(kinds); k++)
		sum += kinds[k].weight;
	n = below(r, sum);
	for (k = 0; n >= kinds[k].weight; k++)
		n -= kinds[k].weight;
	return &kinds[k];
}

/* ---- threads */

static struct fuzzer {
	pthread_t thread;
	pid_t tid;
	unsigned int nr;
	unsigned long long done;
	const struct kind *doing;
	unsigned long results[NR_OF(kinds)][MAX_ERRNO];	/* 0: it worked */
	bool ended;
	/* Last seen by who looks whether it goes on. */
	unsigned long long seen, seen_ms;
} fuzzers[MAX_THREADS];

static unsigned long long seed, ops_per_thread;
static bool quit;
static __thread sigjmp_buf way_out;
static __thread bool may_fault;

/* The mapping was taken away: then the operation is over. */
static void on_fault(int sig)
{
	if (may_fault)
		siglongjmp(way_out, 1);
	signal(sig, SIG_DFL);
}

static int outcome_of(const struct kind *kind, struct rng *r, struct target *t)
{
	int r2;

	if (sigsetjmp(way_out, 1)) {
		may_fault = false;
		return EFAULT;
	}
	may_fault = true;
	r2 = kind->fn(r, t);
	may_fault = false;
	return r2 < 0 ? errno : 0;
}

static void *fuzz(void *p)
{
	struct fuzzer *f = p;
	unsigned long long n;
	int outcome;

	f->tid = syscall(SYS_gettid);
	thread_nr = f->nr;
	for (n = 0; n < ops_per_thread && !__atomic_load_n(&quit, __ATOMIC_ACQUIRE); n++) {
		struct rng r = {
			.s = seed << 32 ^ (unsigned long long)f->nr << 56 ^ n * 0x632be59bd9b4e019,
		};
		const struct kind *kind = choose(&r);
		struct target *t = &targets[below(&r, NR_VMS)];

		f->doing = kind;
		outcome = outcome_of(kind, &r, t);
		f->results[kind - kinds][outcome < MAX_ERRNO ? outcome : EINVAL]++;
		__atomic_store_n(&f->done, n + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&f->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

static unsigned long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static void show_file(const char *path)
{
	char line[256];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		printf("    %s", line);
	if (f)
		fclose(f);
}

static void stuck(struct fuzzer *f)
{
	char path[64];

	printf("not ok device-fuzz: thread %u does not come back from %s after operation %llu, seed %llu\n",
	       f->nr, f->doing->name, f->done, seed);
	snprintf(path, sizeof(path), "/proc/self/task/%d/stack", f->tid);
	show_file(path);
	_exit(1);
}

/*
 * A signal ends what waits.  Others get one only if it takes them long: KVM can't make
 * a VM when there are too many.
 */
static void look_after(struct fuzzer *f)
{
	unsigned long long done = __atomic_load_n(&f->done, __ATOMIC_ACQUIRE), for_ms;
	const struct kind *doing = __atomic_load_n(&f->doing, __ATOMIC_RELAXED);

	if (done != f->seen || !f->seen_ms) {
		f->seen = done;
		f->seen_ms = now_ms();
		return;
	}
	for_ms = now_ms() - f->seen_ms;
	if (for_ms > STUCK_MS)
		stuck(f);
	if ((doing && doing->waits) || for_ms > SLOW_MS)
		pthread_kill(f->thread, SIGUSR1);
}

/* Returns when all threads have ended. */
static void watch(unsigned long long until_ms)
{
	unsigned int i, ended;

	do {
		usleep(TICK_MS * 1000);
		if (now_ms() >= until_ms)
			__atomic_store_n(&quit, true, __ATOMIC_RELEASE);
		for (i = ended = 0; i < nr_threads; i++) {
			if (__atomic_load_n(&fuzzers[i].ended, __ATOMIC_ACQUIRE))
				ended++;
			else
				look_after(&fuzzers[i]);
		}
	} while (ended < nr_threads);
}

static unsigned long long print_results(void)
{
	unsigned long long total = 0;
	unsigned int i, e;
	size_t k;

	for (k = 0; k < NR_OF(kinds); k++) {
		unsigned long all[MAX_ERRNO] = {}, sum = 0;

		for (i = 0; i < nr_threads; i++)
			for (e = 0; e < MAX_ERRNO; e++) {
				all[e] += fuzzers[i].results[k][e];
				sum += fuzzers[i].results[k][e];
			}
		printf("    %-16s %8lu: ok %lu", kinds[k].name, sum, all[0]);
		for (e = 1; e < MAX_ERRNO; e++)
			if (all[e])
				printf(", %s %lu", strerrorname_np(e), all[e]);
		putchar('\n');
		total += sum;
	}
	printf("    states seen:");
	for (k = 0; k < NR_OF(state_names); k++)
		printf(" %s %lu", state_names[k], states_seen[k]);
	putchar('\n');
	return total;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	unsigned long long ops = 100000, seconds = 3600, start;
	unsigned int i;

	for (i = 1; i + 1 < (unsigned int)argc; i += 2) {
		unsigned long long v = strtoull(argv[i + 1], NULL, 0);

		if (!strcmp(argv[i], "--seed"))
			seed = v;
		else if (!strcmp(argv[i], "--threads"))
			nr_threads = v;
		else if (!strcmp(argv[i], "--ops"))
			ops = v;
		else if (!strcmp(argv[i], "--seconds"))
			seconds = v;
		else
			return 2;
	}
	if (i != (unsigned int)argc || !nr_threads || nr_threads > MAX_THREADS)
		return 2;
	vmm_init();
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	for (i = 0; i <= NR_VCPUS; i++)
		init_log(&last_log[i]);
	for (i = 0; i < NR_VMS; i++)
		init_target(&targets[i]);

	printf("seed %llu, %u threads\n", seed, nr_threads);
	ops_per_thread = ops / nr_threads;
	start = now_ms();
	for (i = 0; i < nr_threads; i++) {
		fuzzers[i].nr = i;
		pthread_create(&fuzzers[i].thread, NULL, fuzz, &fuzzers[i]);
	}
	watch(start + seconds * 1000);
	for (i = 0; i < NR_VMS; i++)
		close_target(&targets[i]);
	printf("ok device-fuzz %llu operations in %llu s, seed %llu\n", print_results(),
	       (now_ms() - start) / 1000, seed);
	return 0;
}
