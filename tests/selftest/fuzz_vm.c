// SPDX-License-Identifier: GPL-2.0
/* samsara_fuzz: VMs, from the first ioctl to the last close. */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

struct target targets[NR_VMS];

void *nothing_at(void *place, size_t len)
{
	void *p = mmap(place, len, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (place ? MAP_FIXED : 0), -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* MAP_FIXED would leave a gap if it fails. */
int map_at(void *place, size_t len, int fd, unsigned long long offset, int flags)
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

void close_target(struct target *t)
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

void init_target(struct target *t)
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
unsigned int some_vcpu(struct rng *r, const struct target *t)
{
	unsigned int i = below(r, NR_VCPUS);

	return one_in(r, 16) || !t->nr_vcpus ? i : i % t->nr_vcpus;
}

int attr(int fd, unsigned long request, unsigned int group, unsigned long nr, void *addr)
{
	struct kvm_device_attr a = { .group = group, .attr = nr, .addr = (unsigned long)addr };

	return ioctl(fd, request, &a);
}

int set_attr(struct target *t, unsigned int group, unsigned long nr, void *addr)
{
	return attr(t->device, KVM_SET_DEVICE_ATTR, group, nr, addr);
}

int ctrl(struct target *t, unsigned long what)
{
	return set_attr(t, KVM_SAMSARA_GRP_CTRL, what, NULL);
}

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

static bool usually(struct rng *r)
{
	return !one_in(r, 40);
}

/* A VM as it should be, but perhaps for a step left out or another one in between. */
int op_build(struct rng *r, struct target *t)
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

int op_close(struct rng *r, struct target *t)
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

int op_create_vcpu(struct rng *r, struct target *t)
{
	struct vm_setup setup = { .rounds = 1000 };
	unsigned long id = one_in(r, 2) ? below(r, 4) : odd_number(r) & 0xffff;

	return create_vcpu(t, below(r, NR_VCPUS), id, &setup);
}

int op_config(struct rng *r, struct target *t)
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

int op_memory(struct rng *r, struct target *t)
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

int op_guest_memory(struct rng *r, struct target *t)
{
	switch (below(r, 4)) {
	case 0:
		return madvise(t->mem + below(r, MEM / 4096) * 4096, 4096, MADV_DONTNEED);
	case 1:
		return mprotect(t->mem, MEM, one_in(r, 2) ? PROT_READ : PROT_READ | PROT_WRITE);
	default:
		t->mem[below(r, MEM)] = random64(r);
		return 0;
	}
}
