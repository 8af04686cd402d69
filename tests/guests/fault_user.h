/* SPDX-License-Identifier: GPL-2.0 */
/* The way to user mode and back, and the code that runs there. */
#ifndef FAULT_USER_H
#define FAULT_USER_H

#include "guest.h"

/* Runs user_code, mapped at @va, with @stack, @n rounds; returns its sum. */
u64 user_enter(u64 va, u64 stack, u64 n);

extern const u8 user_code[], user_return[], user_syscall[];
extern u64 user_kernel_rsp[MAX_CPUS];

#endif
