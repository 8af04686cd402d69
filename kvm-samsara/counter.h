/* SPDX-License-Identifier: GPL-2.0 */
/* Branch counters, see counter.c. */
#ifndef __KVM_X86_SAMSARA_COUNTER_H
#define __KVM_X86_SAMSARA_COUNTER_H

#include <linux/types.h>

struct samsara_vcpu;

/* A period no chunk reaches. */
#define SAMSARA_PERIOD_NEVER	(1ull << 40)

struct samsara_counts {
	u64 branches;		/* conditional */
	u64 jumps;		/* near branches taken */
};

int samsara_counter_selftest(void);
int samsara_counter_init(struct samsara_vcpu *sv);
void samsara_counter_free(struct samsara_vcpu *sv);
void samsara_counter_read(struct samsara_vcpu *sv, struct samsara_counts *c);
void samsara_counter_begin(struct samsara_vcpu *sv);
bool samsara_counter_complete(struct samsara_vcpu *sv);
int samsara_counter_arm(struct samsara_vcpu *sv, u64 branches, u64 jumps);
bool samsara_counter_ok(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_COUNTER_H */
