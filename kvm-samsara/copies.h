/* SPDX-License-Identifier: GPL-2.0 */
/* A vCPU's private copies of pages, see copies.c. */
#ifndef __KVM_X86_SAMSARA_COPIES_H
#define __KVM_X86_SAMSARA_COPIES_H

#include <linux/types.h>

#include "ept.h"
#include "tunables.h"

struct page;
struct samsara_page;
struct samsara_vcpu;

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

/* What a vCPU needs to speculate. */
struct samsara_copies {
	struct samsara_ept ept;		/* written pages are private copies */

	/* Harvest: pages read or written in the chunk, copies written. */
	struct samsara_page **access;
	u32 nr_access;
	struct samsara_copy **dirty;
	u32 nr_dirty;

	struct samsara_copy *all;
	u32 nr;
	struct samsara_copy **free;
	u32 nr_free;
	u32 nr_empty;			/* of them, those without a page */
};

int samsara_copies_init(struct samsara_copies *copies, u64 max_access);
void samsara_copies_free(struct samsara_copies *copies);
int samsara_copies_fault(struct samsara_vcpu *sv, struct samsara_page *sp, u64 *sptep,
			 bool write);
void samsara_copies_harvest(struct samsara_vcpu *sv, bool clear);
void samsara_copies_compare(struct samsara_copies *copies, bool compare);
bool samsara_copies_written(struct samsara_copies *copies);
bool samsara_copies_conflict(struct samsara_copies *copies, u64 start_seq);
void samsara_copies_publish(struct samsara_copies *copies, u64 n);
void samsara_copies_drop_stale(struct samsara_copies *copies, u64 now, u64 age);
void samsara_copies_refresh(struct samsara_copies *copies, u64 prefix);
void samsara_copies_drop_all(struct samsara_copies *copies);

#endif /* __KVM_X86_SAMSARA_COPIES_H */
