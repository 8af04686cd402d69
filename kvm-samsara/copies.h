/* SPDX-License-Identifier: GPL-2.0 */
/* A vCPU's private copies of pages, see copies.c. */
#ifndef __KVM_X86_SAMSARA_COPIES_H
#define __KVM_X86_SAMSARA_COPIES_H

#include <linux/types.h>

struct page;
struct samsara_page;
struct samsara_vcpu;

/* Private copies a vCPU keeps between chunks. */
#define SAMSARA_MAX_COPIES		4096
/*
 * Kept free to finish an instruction with.  An AVX2 gather of eight elements that cross
 * a page walks up to 49 pages of the guest's page tables, and walks count as writes.
 */
#define SAMSARA_COPY_RESERVE		64

/* A vCPU's private copy of a page. */
struct samsara_copy {
	struct samsara_page *orig;
	struct page *page;
	u64 *sptep;
	u64 valid;	/* commit at which it equalled the original */
	u64 used;	/* the vCPU's last chunk that touched it */
	bool changed;	/* it differs from the original, set by the compare */
	u8 changed_block;	/* where it did the last time */
};

int samsara_copies_init(struct samsara_vcpu *sv);
void samsara_copies_free(struct samsara_vcpu *sv);
int samsara_make_copy(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep);
void samsara_harvest(struct samsara_vcpu *sv, bool clear);
void samsara_compare_dirty(struct samsara_vcpu *sv);
bool samsara_has_written(struct samsara_vcpu *sv);
bool samsara_conflicts(struct samsara_vcpu *sv);
void samsara_publish(struct samsara_vcpu *sv, u64 n);
void samsara_drop_stale(struct samsara_vcpu *sv);
void samsara_refresh_dirty(struct samsara_vcpu *sv);
void samsara_drop_copies(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_COPIES_H */
