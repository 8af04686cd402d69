// SPDX-License-Identifier: GPL-2.0
/*
 * Records and replays a small racing guest through the kernel interface only.
 *
 *	samsara_selftest [VCPUS [ROUNDS [CHUNK-LIMIT]]]
 *
 * Prints what was recorded and replayed; exit status 0 if the replay was exact.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_samsara.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEM_BYTES	(2u << 20)
#define RING_BYTES	(256u << 10)
#define LOG_BYTES	(16u << 20)
#define CODE_ADDR	0x1000u
#define DATA_ADDR	0x80000u
#define MAX_VCPUS	4

/*
 * EDI: vCPU, ESI: rounds, EBX: data.  Every round reads and writes words that
 * other vCPUs write, without any lock, and every 256th reads the TSC.  The
 * result goes to port 0xe9, then port 0xf4 ends the vCPU.
 */
asm(".pushsection .rodata\n"
    ".code32\n"
    "guest_code:\n"
    "	xor	%ebp, %ebp\n"
    "1:	mov	(%ebx), %eax\n"
    "	lea	1(%eax,%edi), %eax\n"
    "	mov	%eax, (%ebx)\n"
    "	imul	$0x9e3779b1, %eax, %eax\n"
    "	xor	%eax, %ebp\n"
    "	mov	%eax, %edx\n"
    "	shr	$20, %edx\n"
    "	and	$0xffc, %edx\n"
    "	addl	$1, 0x1000(%ebx,%edx)\n"
    "	rol	$5, %ebp\n"
    "	test	$0xff, %esi\n"
    "	jnz	2f\n"
    "	rdtsc\n"
    "	xor	%eax, %ebp\n"
    "2:	dec	%esi\n"
    "	jnz	1b\n"
    "	mov	$0xe9, %edx\n"
    "	mov	%ebp, %eax\n"
    "	out	%eax, %dx\n"
    "	mov	$0xf4, %edx\n"
    "	out	%al, %dx\n"
    "3:	hlt\n"
    "	jmp	3b\n"
    "guest_code_end:\n"
    ".code64\n"
    ".popsection\n");
extern const unsigned char guest_code[], guest_code_end[];

struct stream {
	unsigned char *bytes;
	size_t len;
};

struct vm {
	int fd, device;
	int nr_vcpus;
	unsigned char *mem;
	int vcpu[MAX_VCPUS];
	struct kvm_run *run[MAX_VCPUS];
	struct kvm_samsara_ring *ring[MAX_VCPUS + 1];
	pthread_t thread[MAX_VCPUS];
	unsigned int result[MAX_VCPUS];
	bool replay;
	bool quit;
};

static struct stream streams[MAX_VCPUS + 1];
static int kvm_fd, run_bytes;

static void die(const char *what)
{
	printf("FAIL %s: %s\n", what, strerror(errno));
	exit(1);
}

static int check(int r, const char *what)
{
	if (r < 0)
		die(what);
	return r;
}

static int set_attr(struct vm *vm, unsigned int group, unsigned long attr, void *addr)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (unsigned long)addr };

	return ioctl(vm->device, KVM_SET_DEVICE_ATTR, &a);
}

static void get_status(struct vm *vm, struct kvm_samsara_status *st)
{
	struct kvm_device_attr a = {
		.group = KVM_SAMSARA_GRP_STATUS,
		.addr = (unsigned long)st,
	};

	check(ioctl(vm->device, KVM_GET_DEVICE_ATTR, &a), "status");
}

static void create_vcpu(struct vm *vm, int i, unsigned int rounds)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_segment data = {
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1,
	};
	struct kvm_segment code = data;
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = CODE_ADDR, .rflags = 2, .rbx = DATA_ADDR, .rdi = i, .rsi = rounds,
	};

	vm->vcpu[i] = check(ioctl(vm->fd, KVM_CREATE_VCPU, i), "create vcpu");
	vm->run[i] = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu[i], 0);
	if (vm->run[i] == MAP_FAILED)
		die("map kvm_run");
	check(ioctl(vm->vcpu[i], KVM_GET_SREGS, &sregs), "get sregs");
	code.type = 11;
	code.selector = 8;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 |= 1;
	check(ioctl(vm->vcpu[i], KVM_SET_SREGS, &sregs), "set sregs");
	check(ioctl(vm->vcpu[i], KVM_SET_REGS, &regs), "set regs");
	check(ioctl(vm->vcpu[i], KVM_SET_MP_STATE, &mp), "set mp state");
}

static void create_vm(struct vm *vm, int nr_vcpus, unsigned int rounds, bool replay,
		      unsigned long chunk_limit)
{
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_SAMSARA_ID };
	struct kvm_userspace_memory_region region = { .memory_size = MEM_BYTES };
	struct kvm_samsara_config config = {
		.version = KVM_SAMSARA_ABI_VERSION,
		.mode = replay ? KVM_SAMSARA_MODE_REPLAY : KVM_SAMSARA_MODE_RECORD,
		.nr_vcpus = nr_vcpus,
		.ring_bytes = RING_BYTES,
		.eventfd = -1,
	};
	int i;

	memset(vm, 0, sizeof(*vm));
	vm->nr_vcpus = nr_vcpus;
	vm->replay = replay;
	vm->fd = check(ioctl(kvm_fd, KVM_CREATE_VM, 0), "create vm");
	check(ioctl(vm->fd, KVM_CREATE_DEVICE, &dev), "create samsara device");
	vm->device = dev.fd;
	check(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0), "create irqchip");
	vm->mem = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	region.userspace_addr = (unsigned long)vm->mem;
	check(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "memory");
	memcpy(vm->mem + CODE_ADDR, guest_code, guest_code_end - guest_code);
	for (i = 0; i < nr_vcpus; i++)
		create_vcpu(vm, i, rounds);
	check(set_attr(vm, KVM_SAMSARA_GRP_CONFIG, 0, &config), "configure");
	if (chunk_limit)
		check(set_attr(vm, KVM_SAMSARA_GRP_TUNABLE, KVM_SAMSARA_TUNABLE_CHUNK_LIMIT,
			       &chunk_limit), "set the chunk limit");
	for (i = 0; i <= nr_vcpus; i++) {
		vm->ring[i] = mmap(NULL, 4096 + RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
				   vm->device, (off_t)i * (4096 + RING_BYTES));
		if (vm->ring[i] == MAP_FAILED)
			die("map ring");
	}
	check(set_attr(vm, KVM_SAMSARA_GRP_CTRL, KVM_SAMSARA_CTRL_START, NULL), "start");
}

static void destroy_vm(struct vm *vm)
{
	int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		munmap(vm->run[i], run_bytes);
		close(vm->vcpu[i]);
	}
	for (i = 0; i <= vm->nr_vcpus; i++)
		munmap(vm->ring[i], 4096 + RING_BYTES);
	close(vm->device);
	close(vm->fd);
	munmap(vm->mem, MEM_BYTES);
}

struct arg {
	struct vm *vm;
	int i;
};

static void *vcpu_thread(void *p)
{
	struct arg *arg = p;
	struct vm *vm = arg->vm;
	int i = arg->i;
	struct kvm_run *run = vm->run[i];

	for (;;) {
		if (ioctl(vm->vcpu[i], KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			die("KVM_RUN");
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (run->io.port == 0xe9)
				vm->result[i] = *(unsigned int *)((char *)run +
								  run->io.data_offset);
			if (run->io.port == 0xf4 && !vm->replay)
				return NULL;
			break;
		case KVM_EXIT_SAMSARA:
			return NULL;
		default:
			printf("FAIL vcpu %d: exit reason %u\n", i, run->exit_reason);
			exit(1);
		}
	}
}

/* Recording: take what the rings hold. */
static void drain(struct vm *vm)
{
	int i;

	for (i = 0; i <= vm->nr_vcpus; i++) {
		struct kvm_samsara_ring *r = vm->ring[i];
		unsigned char *data = (unsigned char *)r + 4096;
		__u64 head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
		__u64 tail = r->tail;

		for (; tail < head; tail++)
			streams[i].bytes[streams[i].len++] = data[tail & (RING_BYTES - 1)];
		__atomic_store_n(&r->tail, tail, __ATOMIC_RELEASE);
	}
	set_attr(vm, KVM_SAMSARA_GRP_CTRL, KVM_SAMSARA_CTRL_WAKE, NULL);
}

/* Replay: fill the rings from the streams. */
static void feed(struct vm *vm)
{
	int i;

	for (i = 0; i <= vm->nr_vcpus; i++) {
		struct kvm_samsara_ring *r = vm->ring[i];
		unsigned char *data = (unsigned char *)r + 4096;
		__u64 tail = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
		__u64 head = r->head;

		for (; head < streams[i].len && head - tail < RING_BYTES; head++)
			data[head & (RING_BYTES - 1)] = streams[i].bytes[head];
		__atomic_store_n(&r->head, head, __ATOMIC_RELEASE);
		if (head == streams[i].len)
			__atomic_store_n(&r->flags, KVM_SAMSARA_RING_EOF, __ATOMIC_RELEASE);
	}
	set_attr(vm, KVM_SAMSARA_GRP_CTRL, KVM_SAMSARA_CTRL_WAKE, NULL);
}

static void *service_thread(void *p)
{
	struct vm *vm = p;

	while (!__atomic_load_n(&vm->quit, __ATOMIC_ACQUIRE)) {
		if (vm->replay)
			feed(vm);
		else
			drain(vm);
		usleep(2000);
	}
	return NULL;
}

static void run_vm(struct vm *vm, struct kvm_samsara_status *st)
{
	struct arg args[MAX_VCPUS];
	pthread_t service;
	int i;

	pthread_create(&service, NULL, service_thread, vm);
	for (i = 0; i < vm->nr_vcpus; i++) {
		args[i] = (struct arg) { vm, i };
		pthread_create(&vm->thread[i], NULL, vcpu_thread, &args[i]);
	}
	for (i = 0; i < vm->nr_vcpus; i++)
		pthread_join(vm->thread[i], NULL);
	check(set_attr(vm, KVM_SAMSARA_GRP_CTRL, KVM_SAMSARA_CTRL_STOP, NULL), "stop");
	__atomic_store_n(&vm->quit, true, __ATOMIC_RELEASE);
	pthread_join(service, NULL);
	if (!vm->replay)
		drain(vm);
	get_status(vm, st);
}

int main(int argc, char **argv)
{
	int nr_vcpus = argc > 1 ? atoi(argv[1]) : 2;
	unsigned int rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 20000;
	unsigned long limit = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
	struct kvm_samsara_status rec, rep;
	unsigned int results[MAX_VCPUS];
	unsigned char *final;
	struct vm vm;
	int i;

	if (nr_vcpus < 1 || nr_vcpus > MAX_VCPUS)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	kvm_fd = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	run_bytes = check(ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), "mmap size");
	for (i = 0; i <= nr_vcpus; i++)
		streams[i].bytes = malloc(LOG_BYTES);

	create_vm(&vm, nr_vcpus, rounds, false, limit);
	run_vm(&vm, &rec);
	printf("recorded: state %u error %d commits %llu chunks %llu rollbacks %llu sections %llu copies %llu async %llu bytes %llu exclusive %llu digest %llx\n",
	       rec.state, rec.error, rec.commits, rec.chunks, rec.rollbacks, rec.sections,
	       rec.copies, rec.async_ends, rec.log_bytes, rec.exclusive, rec.mem_digest);
	memcpy(results, vm.result, sizeof(results));
	final = malloc(MEM_BYTES);
	memcpy(final, vm.mem, MEM_BYTES);
	destroy_vm(&vm);
	if (rec.state != KVM_SAMSARA_STATE_STOPPED)
		return 1;

	create_vm(&vm, nr_vcpus, rounds, true, limit);
	run_vm(&vm, &rep);
	printf("replayed: state %u error %d commits %llu steps %llu digest %llx\n", rep.state,
	       rep.error, rep.commits, rep.landing_steps, rep.mem_digest);
	if (rep.state == KVM_SAMSARA_STATE_DIVERGED)
		printf("diverged: commit %llu vcpu %d field %u expected %llx got %llx\n",
		       rep.div_commit, rep.div_vcpu, rep.div_field, rep.div_expected, rep.div_got);
	for (i = 0; i < nr_vcpus; i++)
		printf("vcpu %d: %08x %08x\n", i, results[i], vm.result[i]);
	if (rep.state != KVM_SAMSARA_STATE_STOPPED || rep.commits != rec.commits ||
	    memcmp(results, vm.result, sizeof(results[0]) * nr_vcpus) ||
	    memcmp(final, vm.mem, MEM_BYTES)) {
		printf("FAIL replay differs\n");
		return 1;
	}
	destroy_vm(&vm);
	printf("ok\n");
	return 0;
}
