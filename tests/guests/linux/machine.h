/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MACHINE_H
#define MACHINE_H

/* Lines are written whole: the console is shared with the kernel. */
void say(const char *line);
/* Ends the machine through isa-debug-exit, or by a reboot if there is none. */
void end(int failed) __attribute__((noreturn));

#endif
