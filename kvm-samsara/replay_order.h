/* SPDX-License-Identifier: GPL-2.0 */
/* The order of commits in a replay, see replay_order.c. */
#ifndef __KVM_X86_SAMSARA_REPLAY_ORDER_H
#define __KVM_X86_SAMSARA_REPLAY_ORDER_H

#include "samsara.h"
#include "vm.h"

/*
 * Sleep until @cond or the end of the replay; true if a signal came.  Also if @cond is
 * true already: user space, which has a say in it, must not keep its thread here.
 */
#define samsara_replay_interrupted(sv, cond)					\
	(samsara_wait_interrupted(sv, (cond) || !samsara_alive((sv)->vm)) ||	\
	 samsara_interrupted(sv))

bool samsara_past_stop(struct samsara_vm *vm, u64 n);
bool samsara_has_turn(struct samsara_vcpu *sv);
int samsara_replay_wait_turn(struct samsara_vcpu *sv);
int samsara_replay_wait_start(struct samsara_vcpu *sv);
int samsara_replay_wait_alone(struct samsara_vcpu *sv);
bool samsara_replay_try_alone(struct samsara_vcpu *sv);
void samsara_replay_done(struct samsara_vcpu *sv);
int samsara_replay_ended(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_REPLAY_ORDER_H */
