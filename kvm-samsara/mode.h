/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ways to record, and to replay: one file mode_*.c for each.
 *
 * Exits, boundaries and the commit order are common to all; a mode says what a chunk runs
 * on, what has to be waited for, and how it ends.  vCPUs of one VM may be in different
 * modes: a vCPU changes its own, at a boundary (mode_turns.c).
 */
#ifndef __KVM_X86_SAMSARA_MODE_H
#define __KVM_X86_SAMSARA_MODE_H

#include <linux/types.h>

#include "hooks.h"

struct samsara_page;
struct samsara_turn;
struct samsara_vcpu;
struct samsara_vm;

/* What comes of an EPT violation on guest memory; negative: an errno, nothing is done. */
enum samsara_fault {
	SAMSARA_FAULT_EXIT,	/* no RAM, or a write to ROM: the exit ends the chunk */
	SAMSARA_FAULT_MAPPED,	/* run on */
	SAMSARA_FAULT_TOUCH,	/* the chunk ends before it touches the page */
};

/*
 * How chunks, exits and boundaries follow each other: as they come, in a recording
 * (chunk.c), or as the log says (mode_replay.c).  By the vCPU's own thread.
 */
struct samsara_flow {
	/* What KVM does on the way into and out of the guest, see struct kvm_samsara_ops. */
	int (*pre_enter)(struct samsara_vcpu *sv);
	int (*complete_io)(struct samsara_vcpu *sv, kvm_samsara_cui_t cui);
	void (*leave)(struct samsara_vcpu *sv);
	/* The first VM-entry of a chunk is next.  Interrupts are off. */
	void (*enter)(struct samsara_vcpu *sv);
	/* The guest has ended its chunk: SMR_END_TOUCH, of the page at fault_gpa, or an exit. */
	void (*exit)(struct samsara_vcpu *sv, u16 end);
	/*
	 * A single step or a breakpoint.  True: there is another one to go, and nothing else
	 * to do.  Interrupts are off.  NULL: nobody lands.
	 */
	bool (*step)(struct samsara_vcpu *sv);
};

/* Where no context is given: the vCPU's own thread. */
struct samsara_mode {
	const struct samsara_flow *flow;
	/* An open chunk can go back to its start. */
	bool can_roll_back;
	/* The memory map may change while it records. */
	bool can_remap;
	/* Inputs come from the log, and events only begin chunks. */
	bool from_log;
	/* Which pages a chunk has changed is not known. */
	bool digest_off;

	/* START.  Returns 0 or an errno; free_vcpu() frees what there is by then. */
	void (*init_vm)(struct samsara_vm *vm);
	int (*init_vcpu)(struct samsara_vcpu *sv);

	/* At a boundary, may sleep: a section may begin.  Returns 0, or -EINTR to user space. */
	int (*take_turn)(struct samsara_vcpu *sv);
	/* The same for a chunk.  It may change the vCPU's mode. */
	int (*get_ready)(struct samsara_vcpu *sv);
	/* Then, in the mode that the chunk will have. */
	void (*prepare)(struct samsara_vcpu *sv);
	/* The chunk begins: sets start_seq and SAMSARA_IN_CHUNK.  Interrupts are off. */
	void (*begin)(struct samsara_vcpu *sv);
	/* An EPT violation on @sp, whose entry is *@sptep: enum samsara_fault, or an errno. */
	int (*fault)(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep, bool write);
	/* Inside a chunk: it has to end as soon as it can. */
	bool (*must_end)(struct samsara_vcpu *sv);
	/*
	 * Inside a replayed chunk, before the guest goes on.  Returns 0, -EINTR to user space,
	 * or -ESHUTDOWN.  NULL: it always may.
	 */
	int (*go_on)(struct samsara_vcpu *sv);
	/* A pause-loop exit: the guest waits in vain.  NULL: whatever it does, it may go on. */
	bool (*spins)(struct samsara_vcpu *sv);
	/*
	 * End the open chunk; sv->rec holds its start and its end.  Returns 0: it has
	 * committed and is in memory, as is everything before it; -EAGAIN: it is back at
	 * its start.  Replay: sv->rec is what was recorded; or -EINTR, and then it is to be
	 * called again, or -ESHUTDOWN.
	 */
	int (*end)(struct samsara_vcpu *sv);
	/* At a boundary, on the way out of KVM_RUN.  NULL: nothing to give back. */
	void (*let_go)(struct samsara_vcpu *sv);

	/*
	 * Before and after KVM touches guest memory itself, for a vCPU's exit or for a device
	 * model.  Returns 0, or -EINTR if the caller is killed.  NULL: nothing to do.
	 */
	int (*section_begin)(struct samsara_vcpu *sv);
	void (*section_end)(struct samsara_vcpu *sv);
	int (*dma_begin)(struct samsara_vm *vm, struct samsara_turn *turn);
	void (*dma_end)(struct samsara_vm *vm, struct samsara_turn *turn);
};

extern const struct samsara_mode samsara_mode_speculate;
extern const struct samsara_mode samsara_mode_turns;
extern const struct samsara_mode samsara_mode_own;
extern const struct samsara_mode samsara_mode_replay;
extern const struct samsara_mode samsara_mode_replay_parallel;

/* mode_replay.c */
extern const struct samsara_flow samsara_replay_flow;
void samsara_replay_withhold(struct samsara_vcpu *sv);
void samsara_replay_give_back(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_MODE_H */
