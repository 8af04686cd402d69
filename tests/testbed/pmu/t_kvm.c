// SPDX-License-Identifier: GPL-2.0
/*
 * Guest-only counting: a tiny KVM guest whose conditional branches are known.
 *
 *	t_kvm [MAX-LATENESS]
 */
#include "pe.h"
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>

/*
 * 32-bit flat code without paging.  EBX iterations with two conditional
 * branches each, then a REP MOVSB of EDX bytes, then an exit.
 */
extern const char guest_code[], guest_end[];
asm("	.pushsection .rodata\n"
    "	.code32\n"
    "guest_code:\n"
    "	mov %ebx, %eax\n"
    "1:	test %eax, %eax\n"
    "	jz 2f\n"
    "	dec %eax\n"
    "	jnz 1b\n"
    "2:	mov $0x10000, %esi\n"
    "	mov $0x20000, %edi\n"
    "	mov %edx, %ecx\n"
    "	rep movsb\n"
    "	out %al, $0x10\n"
    "	jmp guest_code\n"
    "guest_end:\n"
    "	.code64\n"
    "	.popsection\n");

#define GUEST_MEM	(1 << 20)
#define GUEST_RIP	0x1000

struct vm {
	int vcpu;
	struct kvm_run *run;
};

static void vm_create(struct vm *vm)
{
	int kvm = open("/dev/kvm", O_RDWR), fd;
	char *mem = mmap(NULL, GUEST_MEM, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {
		.memory_size = GUEST_MEM,
		.userspace_addr = (uintptr_t)mem,
	};
	struct kvm_regs regs = { .rip = GUEST_RIP, .rflags = 2 };
	struct kvm_sregs s;
	int size;

	if (kvm < 0)
		die("/dev/kvm");
	fd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (fd < 0 || ioctl(fd, KVM_SET_USER_MEMORY_REGION, &region))
		die("KVM_CREATE_VM");
	memcpy(mem + GUEST_RIP, guest_code, guest_end - guest_code);
	vm->vcpu = ioctl(fd, KVM_CREATE_VCPU, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->vcpu < 0 || vm->run == MAP_FAILED)
		die("KVM_CREATE_VCPU");

	ioctl(vm->vcpu, KVM_GET_SREGS, &s);
	s.cr0 |= 1;
	s.cs.base = 0;
	s.cs.limit = 0xffffffff;
	s.cs.g = s.cs.db = s.cs.present = s.cs.s = 1;
	s.cs.type = 11;
	s.cs.selector = 8;
	s.ds = s.cs;
	s.ds.type = 3;
	s.ds.selector = 16;
	s.es = s.ss = s.fs = s.gs = s.ds;
	if (ioctl(vm->vcpu, KVM_SET_SREGS, &s) || ioctl(vm->vcpu, KVM_SET_REGS, &regs))
		die("KVM_SET_REGS");
}

/* one round of the guest: up to its OUT */
static void vm_round(struct vm *vm, uint64_t iterations, uint64_t bytes)
{
	struct kvm_regs regs;

	ioctl(vm->vcpu, KVM_GET_REGS, &regs);
	regs.rbx = iterations;
	regs.rdx = bytes;
	ioctl(vm->vcpu, KVM_SET_REGS, &regs);
	if (ioctl(vm->vcpu, KVM_RUN, 0) || vm->run->exit_reason != KVM_EXIT_IO) {
		fprintf(stderr, "KVM_RUN ended with exit reason %u\n", vm->run->exit_reason);
		exit(2);
	}
}

/* instructions of a round: the jmp, or nothing in the first one, comes before */
#define ROUND_COND(n)	(2 * (n))
#define ROUND_INSNS(n)	(1 + 4 * (n) + 4)

static void test_exact(const char *name, int rounds, uint64_t iterations, uint64_t bytes)
{
	int cond = pe_open(EV_COND, EXCL_HOST, 0, -1), wrong = 0, wrong_insns = 0;
	int insns = pe_open(EV_INSTRUCTIONS, EXCL_HOST, 0, cond);
	uint64_t want = 0, want_insns = 0;
	struct vm vm;

	vm_create(&vm);
	pe_enable(cond);
	for (int i = 0; i < rounds; i++) {
		uint64_t n = iterations + i;

		vm_round(&vm, n, bytes);
		want += ROUND_COND(n);
		want_insns += ROUND_INSNS(n) + (i > 0);
		wrong += pe_read(cond) != want;
		wrong_insns += pe_read(insns) != want_insns;
	}
	/* instructions: KVM skips the OUT, it never retires; the rest is exact here */
	check(!wrong && !wrong_insns, name, "%d and %d of %d wrong, %lu branches",
	      wrong, wrong_insns, rounds, want);
	close(insns);
	close(cond);
}

static void test_overflow(const char *name, uint64_t period, int max_late)
{
	int fd = pe_open(EV_COND, EXCL_HOST, period, -1);
	void *ring = ring_map(fd);
	uint64_t iterations = 300000;
	long switches = context_switches();
	struct timing t;
	struct vm vm;

	vm_create(&vm);
	pe_enable(fd);
	vm_round(&vm, iterations, 0);
	pe_disable(fd);
	t = ring_check(ring, period, max_late);
	check_timing(&t, ROUND_COND(iterations) / period, max_late,
		     context_switches() - switches, name);
	close(fd);
}

/* a process that takes half of the time of CPU 0 */
static pid_t hog(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			asm volatile("");
	return pid;
}

int main(int argc, char **argv)
{
	int max_late = argc > 1 ? atoi(argv[1]) : 0, status;
	pid_t pid;

	setbuf(stdout, NULL);
	pin_to(0);
	test_exact("pmu-guest-short", 200, 3, 0);
	test_exact("pmu-guest-host-interrupts", 5, 2000000, 0);
	test_exact("pmu-guest-rep-movs", 20, 100, 0x8000);
	test_overflow("pmu-guest-overflow", 10007, max_late);

	pid = hog();
	test_exact("pmu-guest-preempted", 5, 1000000, 0x1000);
	test_overflow("pmu-guest-overflow-preempted", 5003, max_late);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);

	pid = fork();
	pin_to(pid == 0);
	test_exact(pid ? "pmu-guest-two-vms-a" : "pmu-guest-two-vms-b", 5, 1000000, 0x100);
	if (pid == 0)
		exit(failures != 0);
	waitpid(pid, &status, 0);
	return failures != 0 || status != 0;
}
