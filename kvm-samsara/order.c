// SPDX-License-Identifier: GPL-2.0
/*
 * The order of commits: who may take the next number, what must be in memory before,
 * and which commits carry a digest of memory.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>

#include "ept.h"
#include "memory.h"
#include "order.h"
#include "samsara.h"

/* Looks, a few cycles each; publishing takes some thousand. */
#define MAX_SPINS	10000
/* How long to sleep then, in us: from the one to the other. */
#define MIN_SLEEP_US	20
#define MAX_SLEEP_US	10000

/*
 * Wait until every earlier commit is in memory (RULE 3).  Publishers never sleep on us,
 * but may wait for the processor that a waiter with real-time priority keeps: so it
 * sleeps longer each time, or falling asleep and waking up could be all that is done
 * there.
 */
void samsara_wait_for_earlier(struct samsara_vm *vm, u32 agent, u64 n)
{
	u32 sleep = MIN_SLEEP_US;
	u32 spins = 0;

	while (!smr_order_done_before(vm->order, agent, n)) {
		if (++spins < MAX_SPINS) {
			cpu_relax();
			cond_resched();
		} else {
			usleep_range(sleep, 2 * sleep);
			sleep = min_t(u32, 2 * sleep, MAX_SLEEP_US);
		}
	}
}

/*
 * Take commit_lock when @sv (NULL: no vCPU) may commit, that is unless another
 * vCPU holds the exclusive token.  The holder does not wait for anyone, so it
 * gets to its commit and hands the token back.  Returns 0, or -EINTR, without the lock,
 * if the caller is killed.
 */
int samsara_lock_commit(struct samsara_vm *vm, struct samsara_vcpu *sv)
{
	struct samsara_vcpu *holder;

	for (;;) {
		mutex_lock(&vm->commit_lock);
		holder = READ_ONCE(vm->exclusive);
		if (!holder || holder == sv)
			return 0;
		mutex_unlock(&vm->commit_lock);
		if (wait_event_killable(vm->wq, READ_ONCE(vm->exclusive) != holder))
			return -EINTR;
	}
}

/*
 * After its commit, and wherever a vCPU without an open chunk goes to sleep: the
 * others wait for it in the middle of theirs.
 */
void samsara_release_exclusive(struct samsara_vcpu *sv)
{
	if (READ_ONCE(sv->vm->exclusive) != sv)
		return;
	WRITE_ONCE(sv->vm->exclusive, NULL);
	wake_up_all(&sv->vm->wq);
}

bool samsara_wants_memdigest(struct samsara_vm *vm, u64 n)
{
	u64 rest;

	if (vm->digest_off)
		return false;
	div64_u64_rem(n, vm->tune.memdigest_interval, &rest);
	return !rest;
}

/* Under commit_lock; the record's commit and all before it are in memory. */
void samsara_add_memdigest(struct samsara_vm *vm, struct smr_record *rec, u32 agent)
{
	samsara_ept_note_turns(vm);
	samsara_digest_changes(vm, agent);
	rec->flags |= SMR_F_MEMDIGEST;
	rec->mem_digest = vm->memory.digest;
}

void samsara_maybe_add_memdigest(struct samsara_vm *vm, struct smr_record *rec, u32 agent)
{
	if (samsara_wants_memdigest(vm, rec->commit_seq))
		samsara_add_memdigest(vm, rec, agent);
}
