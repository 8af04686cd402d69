/* SPDX-License-Identifier: GPL-2.0 */
/* What the records of a stream are, and where its bytes come from. */
#ifndef COUNTS_H
#define COUNTS_H

#include "samsara.h"

struct counts {
	u64 records[SMR_DMA_REF + 1];	/* by type */
	u64 async;		/* chunks whose end the guest did not cause */
	u64 events, inputs;
	u64 order, input;	/* bytes of records without data, and of their data */
};

void count_event(struct counts *c, const struct event *ev);
/* DMA and DMA_REF. */
u64 count_dma(const struct counts *c);

#endif /* COUNTS_H */
