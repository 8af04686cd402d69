/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From the PVH entry (32-bit, paging off, EBX = start info) and from a start-up
 * IPI (real mode) to C in long mode.
 */
#define CR0_BITS	0x80010033	/* PG WP NE ET MP PE */
#define CR4_BITS	0x620		/* PAE OSFXSR OSXMMEXCPT */
#define EFER_BITS	0x901		/* NXE LME SCE */
#define MSR_EFER	0xc0000080

	.section .note.pvh, "a", @note
	.long	4, 8, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	pvh_start

	.macro	to_long_mode entry
	movl	$CR4_BITS, %eax
	movl	%eax, %cr4
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	movl	$EFER_BITS, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$CR0_BITS, %eax
	movl	%eax, %cr0
	ljmpl	$0x08, $\entry
	.endm

	.macro	load_segments
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	.endm

	.text
	.code32
	.globl	pvh_start
pvh_start:
	cli
	cld
	movl	%ebx, %ebp
	lgdtl	boot_gdt_ptr
	to_long_mode bsp64

	.code64
bsp64:
	load_segments
	movq	$stacks + STACK_SIZE, %rsp
	movl	%ebp, %edi
	xorl	%ebp, %ebp
	call	bsp_start
	ud2

ap64:
	load_segments
	movl	$1, %eax
	cpuid
	shrl	$24, %ebx		/* APIC ID is the processor's number */
	movl	%ebx, %edi
	leal	1(%rbx), %eax
	imulq	$STACK_SIZE, %rax
	addq	$stacks, %rax
	movq	%rax, %rsp
	xorl	%ebp, %ebp
	call	ap_start
	ud2

	/* Copied to TRAMPOLINE; only position-independent until the far jump. */
	.code16
	.globl	ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	trampoline_gdt_ptr - ap_trampoline
	movl	$0x11, %eax		/* PE ET */
	movl	%eax, %cr0
	ljmpl	$0x30, $ap32
	.balign	8
trampoline_gdt_ptr:
	.word	boot_gdt_end - boot_gdt - 1
	.long	boot_gdt
ap_trampoline_end:

	.code32
ap32:
	movl	$0x10, %eax
	movl	%eax, %ds
	to_long_mode ap64
	.code64

	.data
	.balign	8
boot_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 08 64-bit code */
	.quad	0x00cf93000000ffff	/* 10 data */
	.quad	0, 0, 0
	.quad	0x00cf9b000000ffff	/* 30 32-bit code */
boot_gdt_end:
boot_gdt_ptr:
	.word	boot_gdt_end - boot_gdt - 1
	.long	boot_gdt

	/* The first 4 GB, mapped one to one; the last of them uncached. */
	.balign	4096
	.globl	boot_pml4
boot_pml4:
	.quad	boot_pdpt + 7
	.fill	511, 8, 0
boot_pdpt:
	.quad	boot_pd + 7, boot_pd + 0x1007, boot_pd + 0x2007, boot_pd + 0x3007
	.fill	508, 8, 0
boot_pd:
	.set	i, 0
	.rept	1536
	.quad	(i << 21) + 0x83
	.set	i, i + 1
	.endr
	.rept	512
	.quad	(i << 21) + 0x9b
	.set	i, i + 1
	.endr

	.bss
	.balign	4096
	.globl	stacks
stacks:
	.skip	STACK_SIZE * 8

	.section .note.GNU-stack, "", @progbits
