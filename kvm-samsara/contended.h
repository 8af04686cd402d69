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
	struct samsara_vcpu *writer;	/* has reserved it for writing ... */
	u64 since;		/* ... in this host cycle */
	u64 hold;		/* host cycles for which the writer is not asked for it */
	struct samsara_vcpu *last;	/* had reserved it for writing before */
	u64 readers;		/* vCPUs that have reserved it for reading, a bit each */
	bool written;		/* by the vCPU that has reserved it for writing */
	u32 upgrades;		/* see will_write() */
	u32 conflicts;
	u32 calm;		/* reservations in a row that were in nobody's way */
	u32 unchanged;		/* commits in a row that have written it as it was */
};

void samsara_note_conflicts(struct samsara_vcpu *sv);
void samsara_find_contended(struct samsara_vcpu *sv);
void samsara_withhold_contended(struct samsara_vcpu *sv);
bool samsara_touch_ends_chunk(struct samsara_vcpu *sv, struct samsara_page *sp, bool write,
			      bool read);
void samsara_release_pages(struct samsara_vcpu *sv, bool committed);
void samsara_maybe_go_back(struct samsara_vcpu *sv);
void samsara_wait_for_page(struct samsara_vcpu *sv);

#endif /* __KVM_X86_SAMSARA_CONTENDED_H */
