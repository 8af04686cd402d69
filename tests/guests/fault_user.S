/* SPDX-License-Identifier: GPL-2.0 */
#define USER_DS	0x1b
#define USER_CS	0x23

	.text
	.globl	user_enter, user_return, user_syscall
user_enter:				/* rdi entry, rsi stack, rdx rounds */
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movl	%gs:8, %eax
	movq	%rsp, user_kernel_rsp(,%rax,8)
	movq	%rdx, %rcx
	pushq	$USER_DS
	pushq	%rsi
	pushq	$0x202
	pushq	$USER_CS
	pushq	%rdi
	iretq
user_return:				/* by the gate 0x80, on the kernel's stack */
	movq	%rbx, %rax
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	/* SYSCALL: rax = rdi + rsi. Swaps GS there and back, stays on the stack. */
user_syscall:
	swapgs
	leaq	(%rdi,%rsi), %rax
	swapgs
	sysretq

	.balign	4096
	.globl	user_code
user_code:
	movq	%rcx, %r12
	xorl	%ebx, %ebx
1:	movq	%rbx, %rdi
	movq	%r12, %rsi
	pushq	%r12
	syscall
	popq	%r12
	movq	%rax, %rbx
	movl	$300, %eax
2:	decl	%eax
	jnz	2b
	decq	%r12
	jnz	1b
	hlt
	int	$0x80
	.balign	4096

	.bss
	.globl	user_kernel_rsp
	.balign	64
user_kernel_rsp:
	.skip	64

	.section .note.GNU-stack, "", @progbits
