/* SPDX-License-Identifier: GPL-2.0 */
/* Pages over which chunks have failed, see contended.c. */
#ifndef __KVM_X86_SAMSARA_CONTENDED_H
#define __KVM_X86_SAMSARA_CONTENDED_H

#include <linux/types.h>

struct samsara_page;
struct samsara_vcpu;
struct samsara_vm;

/* Pages remembered to have cost chunks. */
#define SAMSARA_MAX_CONTENDED		32

/* A page over which chunks have failed, see contended.c. */
struct samsara_contended {
	struct samsara_page *page;	/* NULL: not in use */
	struct samsara_vcpu *writer;	/* has reserved it for writing */
	u64 since;		/* host cycle in which the writer did */
	u64 hold;		/* host cycles for which the writer is not asked for it */
	struct samsara_vcpu *last;	/* had reserved it for writing before */
	u64 readers;		/* vCPUs that have reserved it for reading, a bit each */
	bool written;		/* by the vCPU that has reserved it for writing */
	u32 upgrades;		/* see will_write() */
	u32 conflicts;
	u32 calm;		/* reservations in a row that were in nobody's way */
	u32 unchanged;		/* commits in a row that have written it as it was */
};

/* Of a VM; under vm->pages_lock. */
struct samsara_contention {
	struct samsara_contended pages[SAMSARA_MAX_CONTENDED];
	u64 changes;		/* of which pages these are */
};

/* What a vCPU has to do with contended pages. */
struct samsara_reserve {
	u64 *entries[SAMSARA_MAX_CONTENDED];	/* of the pages that were in vm->contention.pages */
	u64 seen;			/* vm->contention.changes at that time */
	bool any;			/* a page is reserved */
	bool abandon;			/* the open chunk has too little work to commit it */
	u32 nr_abandoned;		/* such chunks since the last commit */
	bool paused_before;		/* the chunk before has waited in a loop */
	/* under vm->pages_lock: */
	struct samsara_page *wanted;	/* the page waited for */
	bool wanted_write;
	bool asked_as_reader;		/* someone waits to write what this vCPU has read */
};

void samsara_reserve_note_conflicts(struct samsara_vcpu *sv);
void samsara_reserve_forget(struct samsara_vcpu *sv);
void samsara_reserve_find(struct samsara_vcpu *sv);
void samsara_reserve_withhold(struct samsara_vcpu *sv);
bool samsara_reserve_touch(struct samsara_vcpu *sv, struct samsara_page *sp, bool write,
			   bool read);
void samsara_reserve_release(struct samsara_vcpu *sv, bool committed);
void samsara_reserve_abandon(struct samsara_vcpu *sv);
void samsara_reserve_wait(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_CONTENDED_H */
