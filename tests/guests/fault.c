// SPDX-License-Identifier: GPL-2.0
/*
 * Exceptions of every kind a 64-bit guest can raise by itself, single-stepping
 * and breakpoints of the guest's own, user mode with SYSCALL and interrupt gates.
 * All of it checked. With "triple=1" it ends in a triple fault instead.
 */
#include "guest.h"
#include "fault_user.h"

#define USER_VA		(1ul << 39)
#define TF		(1ul << 8)

static struct {
	u64 resume, vec, err, count, sig, dr6;
} __aligned(CACHE_LINE) st[MAX_CPUS];
static u64 rounds;
static u64 addressable = 0x8000000000000000ul;	/* not canonical */

static void on_fault(struct regs *r)
{
	u32 cpu = cpu_id();

	st[cpu].vec = r->vec;
	st[cpu].err = r->err;
	st[cpu].count++;
	st[cpu].sig = mix(st[cpu].sig, r->vec ^ r->err << 8);
	st[cpu].sig = mix(st[cpu].sig, r->rflags);
	if (!st[cpu].resume) {
		print("cpu %u: vector %lu at %lx\n", cpu, r->vec, r->rip);
		machine_exit(EXIT_FAIL);
	}
	r->rip = st[cpu].resume;
	st[cpu].resume = 0;
}

static void on_debug(struct regs *r)
{
	u32 cpu = cpu_id();
	u64 dr6;

	asm volatile("mov %%dr6, %0" : "=r"(dr6));
	asm volatile("mov %0, %%dr6" :: "r"(0xffff0ff0ul));
	st[cpu].dr6 |= dr6;
	st[cpu].count++;
	st[cpu].sig = mix(st[cpu].sig, r->rip);
	st[cpu].sig = mix(st[cpu].sig, dr6);
	st[cpu].sig = mix(st[cpu].sig, r->rcx);
	if (dr6 & 1)
		r->rflags |= 1ul << 16;	/* RF: past the breakpoint */
}

static void on_trap(struct regs *r)
{
	u32 cpu = cpu_id();

	st[cpu].vec = r->vec;
	st[cpu].count++;
	st[cpu].sig = mix(st[cpu].sig, r->vec);
}

static void expect(u32 cpu, const char *what, u64 vec, u64 err)
{
	if (st[cpu].vec != vec || st[cpu].err != err)
		fail("cpu %u: %s: vector %lu error %lx", cpu, what, st[cpu].vec,
		     st[cpu].err);
	st[cpu].vec = st[cpu].err = 0;
}

#define FAULT(cpu, vec, err, insn, ...)					\
do {									\
	asm volatile("leaq 99f(%%rip), %%rax\n\t"			\
		     "movq %%rax, %0\n\t"				\
		     insn "\n"						\
		     "99:" : "=m"(st[cpu].resume) : __VA_ARGS__		\
		     : "rax", "rcx", "rdx", "memory", "cc");		\
	expect(cpu, insn, vec, err);					\
} while (0)

static void exceptions(u32 cpu)
{
	u64 cr0 = read_cr0();

	FAULT(cpu, 0, 0, "xorl %%edx, %%edx; xorl %%ecx, %%ecx; divl %%ecx", "r"(0));
	FAULT(cpu, 6, 0, "ud2", "r"(0));
	FAULT(cpu, 13, 0, "movl $0x12345678, %%ecx; rdmsr", "r"(0));
	FAULT(cpu, 13, 0, "movl (%1), %%ecx", "r"(addressable));
	FAULT(cpu, 13, 0x78, "movl $0x78, %%ecx; movl %%ecx, %%ds", "r"(0));
	FAULT(cpu, 12, 0, "pushq %1; popq %%rdx; xchgq %%rdx, %%rbp\n\t"
	      "leaq 98f(%%rip), %%rax; movq %%rax, %0\n\t"
	      "movl (%%rbp), %%ecx\n"
	      "98: xchgq %%rdx, %%rbp", "r"(addressable));
	FAULT(cpu, 14, 2, "movl %%ecx, (%1)", "r"(USER_VA + (1ul << 38)));
	write_cr0(cr0 | 8);	/* TS */
	FAULT(cpu, 7, 0, "fnop", "r"(0));
	write_cr0(cr0);
	asm volatile("int3");
	expect(cpu, "int3", 3, 0);
	asm volatile("int $0x70");
	expect(cpu, "int $0x70", 0x70, 0);
}

/* x87 and SSE division by zero, unmasked. */
static void float_exceptions(u32 cpu)
{
	u16 cw = 0x37b;
	u32 csr = 0x1f80 & ~0x200;

	asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp" :: "m"(cw));
	FAULT(cpu, 16, 0, "fwait", "r"(0));
	asm volatile("fninit");
	asm volatile("ldmxcsr %0" :: "m"(csr));
	FAULT(cpu, 19, 0, "xorps %%xmm1, %%xmm1; movl $0x3f800000, %%ecx\n\t"
	      "movd %%ecx, %%xmm0; divss %%xmm1, %%xmm0", "r"(0));
	csr = 0x1f80;
	asm volatile("ldmxcsr %0" :: "m"(csr));
}

/* The guest's own trap flag over a loop: one #DB an instruction. */
static void single_step(u32 cpu)
{
	u64 before = st[cpu].count, n = 5;

	st[cpu].dr6 = 0;
	asm volatile("pushfq; orq %1, (%%rsp); popfq\n"
		     "1: decq %0; jnz 1b\n\t"
		     "pushfq; andq %2, (%%rsp); popfq"
		     : "+c"(n) : "r"(TF), "r"(~TF) : "memory", "cc");
	/* Ten of the loop, three of the way out. */
	if (st[cpu].count - before != 13 || !(st[cpu].dr6 & 0x4000))
		fail("cpu %u: %lu single steps", cpu, st[cpu].count - before);
}

static void breakpoints(u32 cpu)
{
	static u64 watched[MAX_CPUS];
	u64 before = st[cpu].count, n = 7;

	st[cpu].dr6 = 0;
	asm volatile("leaq 1f(%%rip), %%rax; movq %%rax, %%dr0\n\t"
		     "movq %1, %%dr1\n\t"
		     "movl $0xd0000a, %%eax; movq %%rax, %%dr7\n\t"
		     "1: movq %0, (%1)\n\t"
		     "decq %0; jnz 1b\n\t"
		     "xorl %%eax, %%eax; movq %%rax, %%dr7"
		     : "+c"(n) : "r"(&watched[cpu]) : "rax", "memory", "cc");
	if (st[cpu].count - before != 14 || (st[cpu].dr6 & 3) != 3)
		fail("cpu %u: %lu breakpoints, dr6 %lx", cpu,
		     st[cpu].count - before, st[cpu].dr6);
}

static void user_mode(u32 cpu)
{
	u64 va = USER_VA + cpu * 4 * PAGE_SIZE, sum;

	wrmsr(MSR_KERNEL_GS_BASE, (u64)&cpus[cpu]);
	wrmsr(MSR_FS_BASE, cpu * 0x1000 + 0x123);
	sum = user_enter(va, va + 2 * PAGE_SIZE, 50);
	/* Fifty rounds, each a SYSCALL that adds the round's number. */
	if (sum != 50 * 51 / 2)
		fail("cpu %u: user sum %lu", cpu, sum);
	expect(cpu, "hlt in user mode", 13, 0);
	if (rdmsr(MSR_FS_BASE) != cpu * 0x1000 + 0x123)
		fail("cpu %u: FS base %lx", cpu, rdmsr(MSR_FS_BASE));
}

/* From user mode: continue after the one-byte HLT. */
static void on_gp(struct regs *r)
{
	u32 cpu = cpu_id();

	if (r->cs == USER_CS)
		st[cpu].resume = r->rip + 1;
	on_fault(r);
}

static void on_user_exit(struct regs *r)
{
	r->cs = KERNEL_CS;
	r->ss = KERNEL_DS;
	r->rip = (u64)user_return;
	r->rsp = user_kernel_rsp[cpu_id()];
	r->rflags &= ~0x200ul;
}

static void tick(struct regs *r)
{
	u32 cpu = cpu_id();

	st[cpu].sig = mix(st[cpu].sig, r->rip ^ r->cs << 56);
	apic_eoi();
}

static void run(u32 cpu)
{
	u64 va = USER_VA + cpu * 4 * PAGE_SIZE, i;

	write_cr4(read_cr4() | 8);	/* DE */
	wrmsr(MSR_STAR, (u64)KERNEL_CS << 32 | (u64)(USER_DS - 8) << 48);
	wrmsr(MSR_LSTAR, (u64)user_syscall);
	wrmsr(MSR_FMASK, 0x700);
	map_page(boot_pml4, va, (u64)user_code, PTE_U);
	map_page(boot_pml4, va + PAGE_SIZE, (u64)page_alloc(), PTE_U | PTE_W);
	write_cr3(read_cr3());
	sync_cpus();
	for (i = 0; i < rounds; i++) {
		exceptions(cpu);
		float_exceptions(cpu);
		single_step(cpu);
		breakpoints(cpu);
	}
	apic_timer_periodic(2000 + cpu * 13);
	for (i = 0; i < rounds; i++)
		user_mode(cpu);
	apic_timer_stop();
	asm volatile("sti; nop; cli" ::: "memory");
}

static void triple_fault(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed none = { 0, 0 };

	print("RESULT fault triple\n");
	asm volatile("lidt %0; ud2" :: "m"(none));
}

void guest_main(void)
{
	static const u8 vectors[] = { 0, 6, 7, 12, 14, 16, 19 };
	u64 s = 0;
	u32 i;

	if (param("triple", 0))
		triple_fault();
	rounds = param("n", 40);
	for (i = 0; i < ARRAY_SIZE(vectors); i++)
		irq_set(vectors[i], on_fault);
	irq_set(1, on_debug);
	irq_set(3, on_trap);
	irq_set(0x70, on_trap);
	irq_set(13, on_gp);
	irq_set(0x80, on_user_exit);
	irq_set(VEC_TIMER, tick);
	pte_of(boot_pml4, USER_VA);
	smp_run(run);
	for (i = 0; i < nr_cpus; i++)
		s = mix(s, st[i].sig);
	result("fault", "%016lx", s);
}
