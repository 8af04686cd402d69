/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The runtime the bare-metal guests share.
 *
 * guest_main() runs on the boot processor once every processor is up. Interrupts
 * are off on all of them until a guest enables them.
 */
#ifndef GUEST_H
#define GUEST_H

#include "cpu.h"

#define EXIT_PASS	0x10
#define EXIT_FAIL	0x11

/* What the interrupt stubs push; the processor's own frame comes last. */
struct regs {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vec, err;
	u64 rip, cs, rflags, rsp, ss;
};

/* Per processor, found through GS. */
struct cpu {
	struct cpu *self;
	u32 id;
	u32 online;
} __aligned(CACHE_LINE);

extern struct cpu cpus[MAX_CPUS];
extern u32 nr_cpus;

static inline u32 cpu_id(void)
{
	u32 id;

	asm volatile("movl %%gs:8, %0" : "=r"(id));
	return id;
}

void guest_main(void);

/* smp.c */
void smp_run(void (*fn)(u32 cpu));
void sync_cpus(void);
void smp_leave(u32 id, void (*fn)(u32 cpu));
void smp_restart(u32 id);

/* irq.c */
typedef void (*irq_fn)(struct regs *r);
void irq_set(u8 vec, irq_fn fn);
void irq_load_idt(void);

#define VEC_NMI		2
#define VEC_IPI		0x40
#define VEC_TIMER	0x50
#define VEC_PIC		0x60	/* 16 vectors */
#define VEC_WAKE	0xf0
#define VEC_SPURIOUS	0xff

/* apic.c */
extern bool apic_x2;
void apic_enable(void);
u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 v);
void apic_eoi(void);
void apic_ipi(u32 cpu, u32 icr_low);
void apic_timer_periodic(u32 us);
void apic_timer_oneshot(u32 us);
void apic_timer_deadline_mode(void);
void apic_timer_stop(void);
bool apic_has_deadline(void);
u64 tsc_per_ms(void);

#define APIC_ID		0x020
#define APIC_TPR	0x080
#define APIC_EOI	0x0b0
#define APIC_SVR	0x0f0
#define APIC_ICR	0x300
#define APIC_LVTT	0x320
#define APIC_LINT0	0x350
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0

#define ICR_FIXED(v)	(v)
#define ICR_NMI		0x400
#define ICR_INIT	0x4500
#define ICR_SIPI(page)	(0x4600 | (page))

/* paging.c */
#define PTE_P		(1ul << 0)
#define PTE_W		(1ul << 1)
#define PTE_U		(1ul << 2)
#define PTE_A		(1ul << 5)
#define PTE_D		(1ul << 6)
#define PTE_NX		(1ul << 63)

extern u64 boot_pml4[512];
void *page_alloc(void);
u64 *pte_of(u64 *pml4, u64 va);
void map_page(u64 *pml4, u64 va, u64 pa, u64 flags);

/* print.c */
void console_init(void);
void print(const char *fmt, ...) __fmt(1, 2);
/* Prints "RESULT name ..." and ends the machine: pass unless fail() was called. */
void result(const char *name, const char *fmt, ...) __fmt(2, 3) __noreturn;
/* Marks the run as failed and says why, at most a few times. */
void fail(const char *fmt, ...) __fmt(1, 2);
void machine_exit(u8 code) __noreturn;

/* cmdline.c */
extern char cmdline[];
u64 param(const char *name, u64 def);

/* string.c */
void *memcpy(void *d, const void *s, size_t n);
void *memset(void *d, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

static inline u64 mix(u64 h, u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ul;
	return h ^ h >> 29;
}

#endif
