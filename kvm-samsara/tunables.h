/* SPDX-License-Identifier: GPL-2.0 */
/* Settings of a VM, see tunables.c. */
#ifndef __KVM_X86_SAMSARA_TUNABLES_H
#define __KVM_X86_SAMSARA_TUNABLES_H

#include <linux/types.h>

/* The most private copies that a vCPU can have, see copies.c. */
#define SAMSARA_MAX_COPIES		4096

/* Settings of a VM, tunables.c; the indices are those of KVM_SAMSARA_TUNABLE_*. */
struct samsara_tunables {
	u64 chunk_limit;	/* longest chunk, conditional branches */
	u64 chunk_min;		/* as short as conflicts make a vCPU's chunks */
	u64 chunk_adaptive;	/* conflicts make chunks shorter; else all have chunk_limit */
	u64 rollback_limit;	/* rollbacks in a row before a vCPU takes the exclusive token */
	u64 max_copies;		/* private copies a vCPU keeps between chunks */
	u64 copy_age;		/* chunks a copy is kept without being used, 0: for ever */
	u64 compare;		/* the write-set has only pages whose content has changed */
	u64 memdigest_interval;	/* commits from one digest of all RAM to the next */
	u64 serial_slice_us;	/* serial recording: a vCPU's turn while others wait */
	u64 adaptive;		/* parallel recording has serial phases */
	u64 chaos;		/* how much recording looks for rare interleavings, 0 to 10 */
	u64 seed;		/* of what recording leaves to chance, 0: START takes any */
	u64 landing_breakpoint;	/* replay lands with an instruction breakpoint, too */
	u64 replay_check;	/* parallel replay checks what recording has checked */
	u64 find_spins;		/* recording looks whether vCPUs wait in a loop */
};

void samsara_tunables_default(struct samsara_tunables *tune);
int samsara_tunable_set(struct samsara_tunables *tune, u64 index, u64 value);
int samsara_tunable_get(struct samsara_tunables *tune, u64 index, u64 *value);
int samsara_sysfs_init(void);
void samsara_sysfs_exit(void);

#endif /* __KVM_X86_SAMSARA_TUNABLES_H */
