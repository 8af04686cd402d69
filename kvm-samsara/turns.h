/* SPDX-License-Identifier: GPL-2.0 */
/* Who may touch guest memory if one vCPU runs at a time, see turns.c. */
#ifndef __KVM_X86_SAMSARA_TURNS_H
#define __KVM_X86_SAMSARA_TURNS_H

#include <linux/list.h>
#include <linux/prandom.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct samsara_vcpu;
struct samsara_vm;

/* The VMX preemption timer may come so many host cycles early, its unit. */
#define SAMSARA_TIMER_STEP	32

enum samsara_phase {
	SAMSARA_PARALLEL,
	SAMSARA_CHANGING,	/* to serial: no chunk may begin */
	SAMSARA_SERIAL,
};

/* A place in the queue for guest memory, see turns.c. */
struct samsara_turn {
	struct list_head link;
	struct samsara_vcpu *sv;	/* NULL: a device model's write */
	u64 slice_tsc;			/* when it came to the head */
	u64 length;			/* how long it may last while others wait, host cycles */
	u64 deadline;			/* by the preemption timer; 0: not set yet */
	bool halted;			/* before it came into the queue */
	bool give_up;			/* someone can't wait for the end of the slice */
	u64 waited;			/* for it, host cycles */
	bool timed;			/* the preemption timer ends it, at the deadline */
	bool cut;			/* to end a convoy */
};

struct samsara_turns {
	spinlock_t lock;
	struct list_head queue;
	u32 convoy;		/* turns in a row that look like one */
	u32 cuts;		/* turns to be cut, therefore */
	u32 shorts;		/* short turns to come */
	u64 credit;		/* host cycles that they may cost */
	u64 credit_tsc;		/* when it was last added to */
	struct rnd_state random;
	u32 cut_order;		/* log2 of the longest, in host cycles */
	bool cut_helped;
};

void samsara_turns_init(struct samsara_vm *vm);
void samsara_turns_only(struct samsara_vm *vm);
void samsara_turns_seed(struct samsara_vm *vm);
void samsara_note_woken(struct samsara_vcpu *sv);
u64 samsara_turn_deadline(struct samsara_vcpu *sv);
bool samsara_turn_is_due(struct samsara_vcpu *sv);
void samsara_turn_expired(struct samsara_vcpu *sv);
u64 samsara_slice_cycles(struct samsara_vm *vm);
int samsara_take_turn(struct samsara_vcpu *sv);
int samsara_wait_turn(struct samsara_vcpu *sv);
bool samsara_may_touch_memory(struct samsara_vm *vm, struct samsara_turn *turn);
void samsara_give_turn(struct samsara_vcpu *sv);
void samsara_yield_turn(struct samsara_vcpu *sv);
bool samsara_turn_is_over(struct samsara_vcpu *sv);
bool samsara_someone_waits(struct samsara_vcpu *sv);
int samsara_borrow_turn(struct samsara_vm *vm, struct samsara_turn *turn);
void samsara_return_turn(struct samsara_vm *vm, struct samsara_turn *turn);

#endif /* __KVM_X86_SAMSARA_TURNS_H */
