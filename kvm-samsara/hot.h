/* SPDX-License-Identifier: GPL-2.0 */
/* What recorded chunks lost time over, see hot.c. */
#ifndef __KVM_X86_SAMSARA_HOT_H
#define __KVM_X86_SAMSARA_HOT_H

#include <linux/spinlock.h>

#include "core/smr_hot.h"

struct samsara_page;
struct samsara_vcpu;
struct samsara_vm;

struct samsara_hot {
	spinlock_t lock;	/* of the table; user space may read it at any time */
	struct smr_hot *table;	/* NULL: not a mode in which chunks wait for each other's pages */
	struct smr_hot wanted;	/* the touch for which the next chunk waits */
};

int samsara_hot_init(struct samsara_vcpu *sv);
void samsara_hot_free(struct samsara_vcpu *sv);
void samsara_hot_conflict(struct samsara_vcpu *sv, const struct samsara_page *sp, u64 cycles);
void samsara_hot_touch(struct samsara_vcpu *sv, const struct samsara_page *sp);
void samsara_hot_waited(struct samsara_vcpu *sv, u64 cycles);
int samsara_hot_get(struct samsara_vm *vm, u64 id, void __user *uaddr);

#endif /* __KVM_X86_SAMSARA_HOT_H */
