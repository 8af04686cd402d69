/* SPDX-License-Identifier: GPL-2.0 */
/* Log rings shared with user space, see ring.c. */
#ifndef __KVM_X86_SAMSARA_RING_H
#define __KVM_X86_SAMSARA_RING_H

#include <linux/kvm_samsara.h>

#include "core/smr_codec.h"

/* A ring shared with user space.  `pos` is our side's own position: user space can't move it. */
struct samsara_ring {
	struct kvm_samsara_ring *hdr;
	u8 *data;
	u32 size;
	u64 pos;
	u64 seen;		/* replay: head, when there was no whole record last */
	u64 asked;		/* and pos, when user space was asked for more last */
};

void samsara_ring_init(struct samsara_ring *ring, void *area, u32 size);
u32 samsara_ring_space(struct samsara_ring *ring);
int samsara_ring_put(struct samsara_ring *ring, const u8 *p, u32 len);
int samsara_ring_get(struct samsara_ring *ring, struct smr_stream *stream, u8 *scratch,
		     struct smr_record *rec);
bool samsara_ring_has_news(struct samsara_ring *ring);
bool samsara_ring_runs_low(struct samsara_ring *ring);

#endif /* __KVM_X86_SAMSARA_RING_H */
