// SPDX-License-Identifier: GPL-2.0
#include "counts.h"

void count_event(struct counts *c, const struct event *ev)
{
	const struct smr_record *r = ev->rec;

	c->records[r->type]++;
	c->async += r->type == SMR_CHUNK && r->end == SMR_END_ASYNC;
	c->events += !!(r->flags & SMR_F_EVENT);
	c->inputs += ev->nr_inputs;
	c->input += r->data_len;
	c->order += ev->len - r->data_len;
}

u64 count_dma(const struct counts *c)
{
	return c->records[SMR_DMA] + c->records[SMR_DMA_REF];
}
