// SPDX-License-Identifier: GPL-2.0
#include "smr_order.h"

#include <linux/kvm_samsara.h>

/* User space maps it. */
#define SAME(field)							\
	_Static_assert(offsetof(struct smr_order, field) ==		\
		       offsetof(struct kvm_samsara_order, field), #field)
SAME(committed);
SAME(nr_agents);
SAME(agent);
_Static_assert(sizeof(struct smr_order_agent) == sizeof(struct kvm_samsara_order_agent),
	       "an agent");

void smr_order_init(struct smr_order *o, u32 nr_agents)
{
	memset(o, 0, smr_order_size(nr_agents));
	o->nr_agents = nr_agents;
}

u64 smr_order_commit(struct smr_order *o, u32 agent)
{
	u64 n = o->committed + 1;

	/*
	 * Release: whoever sees n instead of the 0 before it must also see what
	 * the agent's previous commit copied.
	 */
	smr_store_release(&o->agent[agent].publishing, n);
	/* Release: whoever sees n given out must see that it is being published. */
	smr_store_release(&o->committed, n);
	return n;
}

void smr_order_published(struct smr_order *o, u32 agent)
{
	/* Release: the copies come first. */
	smr_store_release(&o->agent[agent].publishing, 0);
}

u64 smr_order_prefix(const struct smr_order *o)
{
	/* Acquire, and first: pairs with smr_order_commit(). */
	u64 prefix = smr_load_acquire(&o->committed);
	u64 publishing;
	u32 i;

	for (i = 0; i < o->nr_agents; i++) {
		/* Acquire: pairs with smr_order_published(). */
		publishing = smr_load_acquire(&o->agent[i].publishing);
		if (publishing && publishing <= prefix)
			prefix = publishing - 1;
	}
	return prefix;
}

bool smr_order_done_before(const struct smr_order *o, u32 agent, u64 n)
{
	u64 publishing;
	u32 i;

	for (i = 0; i < o->nr_agents; i++) {
		/* Acquire: pairs with smr_order_published(). */
		publishing = smr_load_acquire(&o->agent[i].publishing);
		if (i != agent && publishing && publishing < n)
			return false;
	}
	return true;
}
