// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm.h"

#define LOG_BYTES	(16u << 20)

const unsigned int record_modes[] = {
	KVM_SAMSARA_MODE_RECORD, KVM_SAMSARA_MODE_RECORD_SERIAL, KVM_SAMSARA_MODE_RECORD_CREW, 0
};

const unsigned int replay_modes[] = {
	KVM_SAMSARA_MODE_REPLAY, KVM_SAMSARA_MODE_REPLAY_PARALLEL, 0
};

/* EBP is the result. */
#define REPORT_AND_END		\
	"	mov	$0xe9, %edx\n"	\
	"	mov	%ebp, %eax\n"	\
	"	out	%eax, %dx\n"	\
	"	mov	$0xf4, %edx\n"	\
	"	out	%al, %dx\n"	\
	"3:	hlt\n"		\
	"	jmp	3b\n"

/*
 * Every round reads and writes words that other vCPUs write, without any lock, and
 * every 256th reads the TSC.
 */
asm(".pushsection .rodata\n"
    ".code32\n"
    "racing_code:\n"
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
    REPORT_AND_END
    "racing_code_end:\n"
    ".code64\n"
    ".popsection\n");
extern const unsigned char racing_code[], racing_code_end[];
const struct guest racing_guest = { racing_code, racing_code_end };

/*
 * In each round: a port that nobody has, the PIT, a string from each; MMIO of four
 * bytes and of a string; the LAPIC; RDMSR and WRMSR; CPUID.
 */
asm(".pushsection .rodata\n"
    ".code32\n"
    "device_code:\n"
    "	xor	%ebp, %ebp\n"
    "1:	push	%esi\n"
    "	push	%edi\n"
    "	mov	$0x300, %edx\n"
    "	in	%dx, %eax\n"
    "	xor	%eax, %ebp\n"
    "	in	$0x40, %al\n"
    "	add	%eax, %ebp\n"
    "	lea	0x2ff0(%ebx), %edi\n"
    "	mov	$0x61, %edx\n"
    "	mov	$20, %ecx\n"
    "	rep insb\n"
    "	lea	0x2ff0(%ebx), %edi\n"
    "	mov	$0x304, %edx\n"
    "	mov	$5, %ecx\n"
    "	rep insl\n"
    "	xor	-4(%edi), %ebp\n"
    "	mov	0xd0000000, %eax\n"
    "	rol	$3, %ebp\n"
    "	xor	%eax, %ebp\n"
    "	mov	%ebp, 0xd0000008\n"
    "	mov	$0xd0000010, %esi\n"
    "	lea	0x2ff8(%ebx), %edi\n"
    "	mov	$4, %ecx\n"
    "	rep movsl\n"
    "	xor	-4(%edi), %ebp\n"
    "	mov	0xfee00030, %eax\n"
    "	add	%eax, %ebp\n"
    "	mov	$0x277, %ecx\n"		/* PAT */
    "	rdmsr\n"
    "	wrmsr\n"
    "	mov	$0x10, %ecx\n"		/* TSC */
    "	rdmsr\n"
    "	xor	%eax, %ebp\n"
    "	xor	%eax, %eax\n"
    "	push	%ebx\n"
    "	cpuid\n"
    "	xor	%ebx, %ebp\n"
    "	pop	%ebx\n"
    "	lock addl $1, (%ebx)\n"
    "	add	(%ebx), %ebp\n"
    "	pop	%edi\n"
    "	pop	%esi\n"
    "	dec	%esi\n"
    "	jnz	1b\n"
    REPORT_AND_END
    "device_code_end:\n"
    ".code64\n"
    ".popsection\n");
extern const unsigned char device_code[], device_code_end[];
const struct guest device_guest = { device_code, device_code_end };

asm(".pushsection .rodata\n"
    ".code32\n"
    "spinning_code:\n"
    "1:	lock addl $1, (%ebx)\n"
    "	jmp	1b\n"
    "spinning_code_end:\n"
    ".code64\n"
    ".popsection\n");
extern const unsigned char spinning_code[], spinning_code_end[];
const struct guest spinning_guest = { spinning_code, spinning_code_end };

/* Without paging, as all of them; the copy has no branches, and many iterations. */
asm(".pushsection .rodata\n"
    ".code32\n"
    "copying_code:\n"
    "	xor	%ebp, %ebp\n"
    "1:	push	%esi\n"
    "	push	%edi\n"
    "	lea	0x10000(%ebx), %esi\n"
    "	lea	0x20000(%ebx), %edi\n"
    "	mov	$0x8000, %ecx\n"
    "	cld\n"
    "	rep movsb\n"
    "	pop	%edi\n"
    "	pop	%esi\n"
    "	mov	(%ebx), %eax\n"
    "	lea	1(%eax,%edi), %eax\n"
    "	mov	%eax, (%ebx)\n"
    "	xor	%eax, %ebp\n"
    "	mov	%ebp, 0x10000(%ebx)\n"
    "	mov	$150, %ecx\n"
    "2:	imul	$0x9e3779b1, %ebp, %ebp\n"
    "	dec	%ecx\n"
    "	jnz	2b\n"
    "	dec	%esi\n"
    "	jnz	1b\n"
    REPORT_AND_END
    "copying_code_end:\n"
    ".code64\n"
    ".popsection\n");
extern const unsigned char copying_code[], copying_code_end[];
const struct guest copying_guest = { copying_code, copying_code_end };

char *die_text;
int kvm_fd, run_bytes;

void die(const char *what)
{
	if (die_text)
		snprintf(die_text, DIE_TEXT_BYTES, "%s: %s", what, strerror(errno));
	else
		printf("FAIL %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

int check(int r, const char *what)
{
	if (r < 0)
		die(what);
	return r;
}

static void ignore(int sig)
{
	(void)sig;
}

void vmm_init(void)
{
	/* Without SA_RESTART: it ends KVM_RUN. */
	struct sigaction sa = { .sa_handler = ignore };

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGUSR1, &sa, NULL);
	kvm_fd = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	run_bytes = check(ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), "mmap size");
}

int vm_set_attr(struct vm *vm, unsigned int group, unsigned long attr, const void *addr)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (unsigned long)addr };

	return ioctl(vm->device, KVM_SET_DEVICE_ATTR, &a);
}

int vm_get_attr(struct vm *vm, unsigned int group, unsigned long attr, void *addr)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (unsigned long)addr };

	return ioctl(vm->device, KVM_GET_DEVICE_ATTR, &a);
}

int vm_ctrl(struct vm *vm, unsigned long what)
{
	return vm_set_attr(vm, KVM_SAMSARA_GRP_CTRL, what, NULL);
}

int vm_set_tunable(struct vm *vm, unsigned long index, unsigned long value)
{
	__u64 v = value;

	return vm_set_attr(vm, KVM_SAMSARA_GRP_TUNABLE, index, &v);
}

void vm_get_status(struct vm *vm, struct kvm_samsara_status *st)
{
	check(vm_get_attr(vm, KVM_SAMSARA_GRP_STATUS, 0, st), "status");
}

bool is_replay_mode(unsigned int mode)
{
	return mode == KVM_SAMSARA_MODE_REPLAY || mode == KVM_SAMSARA_MODE_REPLAY_PARALLEL;
}

static bool replays(const struct vm *vm)
{
	return is_replay_mode(vm->setup.mode);
}

int vcpu_set_start(int fd, int i, const struct vm_setup *setup)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_segment data = {
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1,
	};
	struct kvm_segment code = data;
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = CODE_ADDR, .rflags = 2, .rbx = DATA_ADDR, .rdi = i,
		.rsi = setup->rounds, .rsp = CODE_ADDR - 64 * i,
	};

	if (setup->apart)
		regs.rbx += i * DATA_STRIDE;
	if (ioctl(fd, KVM_GET_SREGS, &sregs))
		return -1;
	code.type = 11;
	code.selector = 8;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 |= 1;
	if (ioctl(fd, KVM_SET_SREGS, &sregs) || ioctl(fd, KVM_SET_REGS, &regs))
		return -1;
	return ioctl(fd, KVM_SET_MP_STATE, &mp);
}

/* What a reset is in the log. */
struct vcpu_state {
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_mp_state mp;
};

int vcpu_reset(struct vm *vm, int i)
{
	struct vcpu_state state;
	struct kvm_samsara_vcpu_state attr = {
		.uaddr = (unsigned long)&state, .len = sizeof(state),
	};

	if (vcpu_set_start(vm->vcpu[i], i, &vm->setup) ||
	    ioctl(vm->vcpu[i], KVM_GET_SREGS, &state.sregs) ||
	    ioctl(vm->vcpu[i], KVM_GET_REGS, &state.regs) ||
	    ioctl(vm->vcpu[i], KVM_GET_MP_STATE, &state.mp))
		return -1;
	return vm_set_attr(vm, KVM_SAMSARA_GRP_STATE, i, &attr);
}

/* Returns false if there is none to set. */
static bool replay_reset(struct vm *vm, int i)
{
	struct vcpu_state state;
	struct kvm_samsara_vcpu_state attr = {
		.uaddr = (unsigned long)&state, .len = sizeof(state),
	};

	return vm_get_attr(vm, KVM_SAMSARA_GRP_STATE, i, &attr) == 0 &&
	       ioctl(vm->vcpu[i], KVM_SET_SREGS, &state.sregs) == 0 &&
	       ioctl(vm->vcpu[i], KVM_SET_REGS, &state.regs) == 0 &&
	       ioctl(vm->vcpu[i], KVM_SET_MP_STATE, &state.mp) == 0;
}

static void create_vcpu(struct vm *vm, int i)
{
	vm->vcpu[i] = check(ioctl(vm->fd, KVM_CREATE_VCPU, i), "create vcpu");
	vm->run[i] = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu[i], 0);
	if (vm->run[i] == MAP_FAILED)
		die("map kvm_run");
	check(vcpu_set_start(vm->vcpu[i], i, &vm->setup), "vcpu state");
}

static int set_slot(struct vm *vm, unsigned int slot, size_t gpa, size_t offset, size_t bytes,
		    unsigned int flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (unsigned long)vm->mem + offset,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

/* Bank 0 is where it would be without a window, the others are behind guest memory. */
int vm_set_window(struct vm *vm, int bank, size_t bytes, bool readonly)
{
	size_t offset = bank ? MEM_BYTES + (bank - 1) * WINDOW_BYTES : DATA_ADDR;

	if (set_slot(vm, WINDOW_SLOT, DATA_ADDR, offset, 0, 0) && errno != EINVAL)
		return -1;
	return bytes ? set_slot(vm, WINDOW_SLOT, DATA_ADDR, offset, bytes,
				readonly ? KVM_MEM_READONLY : 0) : 0;
}

static void map_memory(struct vm *vm)
{
	size_t behind = DATA_ADDR + WINDOW_BYTES;

	if (!vm->setup.window) {
		check(set_slot(vm, 0, 0, 0, vm->setup.mem_bytes, 0), "memory");
		return;
	}
	check(set_slot(vm, 0, 0, 0, DATA_ADDR, 0), "memory below the window");
	check(set_slot(vm, 2, behind, behind, MEM_BYTES - behind, 0), "memory above the window");
	check(vm_set_window(vm, 0, WINDOW_BYTES, false), "the window");
}

void vm_create(struct vm *vm, const struct vm_setup *setup)
{
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_SAMSARA_ID };
	struct kvm_pit_config pit = {};
	const struct guest *guest;
	int i;

	memset(vm, 0, sizeof(*vm));
	vm->setup = *setup;
	if (!vm->setup.mem_bytes)
		vm->setup.mem_bytes = MEM_BYTES +
				      (setup->window ? (WINDOW_BANKS - 1) * WINDOW_BYTES : 0);
	if (!vm->setup.ring_bytes)
		vm->setup.ring_bytes = RING_BYTES;
	guest = setup->guest ?: &racing_guest;
	vm->fd = check(ioctl(kvm_fd, KVM_CREATE_VM, 0), "create vm");
	check(ioctl(vm->fd, KVM_CREATE_DEVICE, &dev), "create samsara device");
	vm->device = dev.fd;
	check(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0), "create irqchip");
	check(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), "create pit");
	vm->mem = mmap(NULL, vm->setup.mem_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->mem == MAP_FAILED)
		die("guest memory");
	map_memory(vm);
	memcpy(vm->mem + CODE_ADDR, guest->code, guest->end - guest->code);
	for (i = 0; i < setup->nr_vcpus; i++)
		create_vcpu(vm, i);
}

struct kvm_samsara_config vm_config(const struct vm *vm)
{
	return (struct kvm_samsara_config) {
		.version = KVM_SAMSARA_ABI_VERSION,
		.mode = vm->setup.mode,
		.nr_vcpus = vm->setup.nr_vcpus,
		.ring_bytes = vm->setup.ring_bytes,
		.eventfd = -1,
	};
}

size_t vm_stride(const struct vm *vm)
{
	return HEADER_BYTES + vm->setup.ring_bytes;
}

unsigned char *ring_data(struct kvm_samsara_ring *ring)
{
	return (unsigned char *)ring + HEADER_BYTES;
}

void vm_map_rings(struct vm *vm)
{
	size_t stride = vm_stride(vm);
	int i;

	for (i = 0; i <= vm->setup.nr_vcpus; i++) {
		vm->ring[i] = mmap(NULL, stride, PROT_READ | PROT_WRITE, MAP_SHARED, vm->device,
				   i * stride);
		if (vm->ring[i] == MAP_FAILED)
			die("map ring");
	}
}

int vm_register_ram(struct vm *vm, const struct kvm_samsara_ram_block *blocks, unsigned int nr)
{
	struct kvm_samsara_ram *ram = calloc(1, sizeof(*ram) + nr * sizeof(*blocks));
	int r;

	ram->nr = nr;
	memcpy(ram->block, blocks, nr * sizeof(*blocks));
	r = vm_set_attr(vm, KVM_SAMSARA_GRP_RAM, 0, ram);
	free(ram);
	return r;
}

void vm_configure(struct vm *vm)
{
	const struct vm_setup *setup = &vm->setup;
	struct kvm_samsara_ram_block all = { .ram = WINDOW_RAM };
	struct kvm_samsara_config config = vm_config(vm);

	check(vm_set_attr(vm, KVM_SAMSARA_GRP_CONFIG, 0, &config), "configure");
	if (setup->chunk_limit)
		check(vm_set_tunable(vm, KVM_SAMSARA_TUNABLE_CHUNK_LIMIT, setup->chunk_limit),
		      "set the chunk limit");
	if (setup->memdigest)
		check(vm_set_tunable(vm, KVM_SAMSARA_TUNABLE_MEMDIGEST_INTERVAL,
				     setup->memdigest), "set the digest interval");
	all.size = vm->setup.mem_bytes;
	all.uaddr = (unsigned long)vm->mem;
	if (setup->window)
		check(vm_register_ram(vm, &all, 1), "register RAM");
	vm_map_rings(vm);
}

void vm_create_configured(struct vm *vm, const struct vm_setup *setup)
{
	vm_create(vm, setup);
	vm_configure(vm);
}

static void unmap_rings(struct vm *vm)
{
	int i;

	for (i = 0; i <= vm->setup.nr_vcpus; i++)
		if (vm->ring[i])
			munmap(vm->ring[i], vm_stride(vm));
	memset(vm->ring, 0, sizeof(vm->ring));
}

int vm_clear(struct vm *vm)
{
	int r = vm_ctrl(vm, KVM_SAMSARA_CTRL_CLEAR);

	if (!r)
		unmap_rings(vm);
	return r;
}

void vm_start(struct vm *vm)
{
	check(vm_ctrl(vm, KVM_SAMSARA_CTRL_START), "start");
}

void vm_destroy(struct vm *vm)
{
	int i;

	for (i = 0; i < vm->setup.nr_vcpus; i++) {
		munmap(vm->run[i], run_bytes);
		close(vm->vcpu[i]);
	}
	unmap_rings(vm);
	close(vm->device);
	close(vm->fd);
	munmap(vm->mem, vm->setup.mem_bytes);
}

struct stream *streams_new(int nr_vcpus)
{
	struct stream *streams = calloc(nr_vcpus + 1, sizeof(*streams));
	int i;

	for (i = 0; i <= nr_vcpus; i++) {
		streams[i].size = LOG_BYTES;
		streams[i].bytes = malloc(LOG_BYTES);
	}
	return streams;
}

void streams_free(struct stream *streams, int nr_vcpus)
{
	int i;

	for (i = 0; i <= nr_vcpus; i++)
		free(streams[i].bytes);
	free(streams);
}

void vm_drain(struct vm *vm)
{
	unsigned int size = vm->setup.ring_bytes;
	int i;

	for (i = 0; i <= vm->setup.nr_vcpus; i++) {
		struct kvm_samsara_ring *r = vm->ring[i];
		struct stream *s = &vm->stream[i];
		unsigned char *data = ring_data(r);
		__u64 head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
		__u64 tail = r->tail;

		for (; tail < head && s->len < s->size; tail++)
			s->bytes[s->len++] = data[tail & (size - 1)];
		__atomic_store_n(&r->tail, tail, __ATOMIC_RELEASE);
	}
	vm_ctrl(vm, KVM_SAMSARA_CTRL_WAKE);
}

void vm_feed(struct vm *vm)
{
	unsigned int size = vm->setup.ring_bytes;
	int i;

	for (i = 0; i <= vm->setup.nr_vcpus; i++) {
		struct kvm_samsara_ring *r = vm->ring[i];
		struct stream *s = &vm->stream[i];
		unsigned char *data = ring_data(r);
		__u64 tail = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
		__u64 head = r->head;

		for (; head < s->len && head - tail < size; head++)
			data[head & (size - 1)] = s->bytes[head];
		__atomic_store_n(&r->head, head, __ATOMIC_RELEASE);
		if (head == s->len)
			__atomic_store_n(&r->flags, KVM_SAMSARA_RING_EOF, __ATOMIC_RELEASE);
	}
	vm_ctrl(vm, KVM_SAMSARA_CTRL_WAKE);
}

static void *service_thread(void *p)
{
	struct vm *vm = p;

	while (!__atomic_load_n(&vm->service_quit, __ATOMIC_ACQUIRE)) {
		if (replays(vm))
			vm_feed(vm);
		else
			vm_drain(vm);
		usleep(2000);
	}
	return NULL;
}

void vm_serve(struct vm *vm)
{
	vm->service_quit = false;
	vm->serviced = !pthread_create(&vm->service, NULL, service_thread, vm);
}

void vm_stop_serving(struct vm *vm)
{
	if (!vm->serviced)
		return;
	__atomic_store_n(&vm->service_quit, true, __ATOMIC_RELEASE);
	pthread_join(vm->service, NULL);
	vm->serviced = false;
	if (!replays(vm))
		vm_drain(vm);
}

/* Returns true if the guest has ended. */
static bool handle_io(struct vm *vm, int i)
{
	struct kvm_run *run = vm->run[i];
	unsigned char *data = (unsigned char *)run + run->io.data_offset;

	if (run->io.direction == KVM_EXIT_IO_IN)
		memset(data, 0xa5, run->io.size * run->io.count);
	else if (run->io.port == PORT_RESULT)
		memcpy(&vm->result[i], data, sizeof(vm->result[i]));
	return run->io.port == PORT_END && !replays(vm);
}

int vcpu_run(struct vm *vm, int i)
{
	struct kvm_run *run = vm->run[i];

	while (!__atomic_load_n(&vm->quit, __ATOMIC_ACQUIRE)) {
		if (ioctl(vm->vcpu[i], KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return -errno;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (handle_io(vm, i))
				return run->exit_reason;
			break;
		case KVM_EXIT_MMIO:
			if (!run->mmio.is_write)
				memset(run->mmio.data, 0x5a, sizeof(run->mmio.data));
			break;
		case KVM_EXIT_SAMSARA:
			if (replay_reset(vm, i))
				break;
			return run->exit_reason;
		default:
			return run->exit_reason;
		}
	}
	return -EINTR;
}

struct vcpu_arg {
	struct vm *vm;
	int i;
};

static void tell_to_leave(struct vm *vm)
{
	int i;

	__atomic_store_n(&vm->quit, true, __ATOMIC_RELEASE);
	for (i = 0; i < vm->setup.nr_vcpus; i++) {
		/* For who is just about to enter KVM_RUN. */
		vm->run[i]->immediate_exit = 1;
		if (vm->started[i])
			pthread_kill(vm->thread[i], SIGUSR1);
	}
}

static void *vcpu_thread(void *p)
{
	struct vcpu_arg arg = *(struct vcpu_arg *)p;
	int outcome = vcpu_run(arg.vm, arg.i);

	free(p);
	arg.vm->outcome[arg.i] = outcome;
	/* Nobody is to wait for this one. */
	if (outcome != KVM_EXIT_IO && outcome != KVM_EXIT_SAMSARA)
		tell_to_leave(arg.vm);
	return NULL;
}

void vcpu_start(struct vm *vm, int i)
{
	struct vcpu_arg *arg = malloc(sizeof(*arg));

	*arg = (struct vcpu_arg) { vm, i };
	errno = pthread_create(&vm->thread[i], NULL, vcpu_thread, arg);
	if (errno)
		die("vcpu thread");
	vm->started[i] = true;
}

void vcpu_join(struct vm *vm, int i)
{
	if (vm->started[i])
		pthread_join(vm->thread[i], NULL);
	vm->started[i] = false;
}

void vm_interrupt(struct vm *vm)
{
	int i;

	tell_to_leave(vm);
	for (i = 0; i < vm->setup.nr_vcpus; i++)
		vcpu_join(vm, i);
	/* Each that has left has told the others. */
	for (i = 0; i < vm->setup.nr_vcpus; i++)
		vm->run[i]->immediate_exit = 0;
	vm->quit = false;
}

void vm_run(struct vm *vm, struct kvm_samsara_status *st)
{
	int i;

	vm_serve(vm);
	for (i = 0; i < vm->setup.nr_vcpus; i++)
		vcpu_start(vm, i);
	for (i = 0; i < vm->setup.nr_vcpus; i++)
		vcpu_join(vm, i);
	check(vm_ctrl(vm, KVM_SAMSARA_CTRL_STOP), "stop");
	vm_stop_serving(vm);
	vm_get_status(vm, st);
}
