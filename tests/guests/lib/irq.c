// SPDX-License-Identifier: GPL-2.0
/* The interrupt table; one for all processors. */
#include "guest.h"

struct gate {
	u16 off0, sel;
	u8 ist, type;
	u16 off1;
	u32 off2, zero;
} __packed;

static struct gate idt[256] __aligned(16);
static irq_fn handlers[256];

extern const u8 irq_stubs[];

void irq_dispatch(struct regs *r);

void irq_set(u8 vec, irq_fn fn)
{
	u64 addr = (u64)irq_stubs + vec * 16;
	u8 dpl = vec == 3 || vec == 0x80 ? 3 : 0;

	handlers[vec] = fn;
	idt[vec] = (struct gate){
		.off0 = addr,
		.off1 = addr >> 16,
		.sel = KERNEL_CS,
		.type = 0x8e | dpl << 5,
	};
}

static void unexpected(struct regs *r)
{
	static u32 once;

	if (!xadd32(&once, 1))
		print("cpu %u: vector %lu error %lx rip %lx cr2 %lx rsp %lx\n",
		      cpu_id(), r->vec, r->err, r->rip, read_cr2(), r->rsp);
	machine_exit(EXIT_FAIL);
}

void irq_dispatch(struct regs *r)
{
	irq_fn fn = handlers[r->vec];

	(fn ? fn : unexpected)(r);
}

void irq_load_idt(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed ptr = { sizeof(idt) - 1, (u64)idt };
	static bool filled;
	u32 i;

	if (!filled) {
		for (i = 0; i < 256; i++)
			irq_set(i, NULL);
		filled = true;
	}
	asm volatile("lidt %0" :: "m"(ptr));
}
