// SPDX-License-Identifier: GPL-2.0
/*
 * EPT violations on guest memory.
 */
#include "copies.h"
#include "ept.h"
#include "samsara.h"

/*
 * Handle an EPT violation.  Returns 1: mapped, run on; 0: the exit ends the
 * chunk, because it is not RAM or (sv->touched) withheld; -ENOSPC: no private
 * copy left, the chunk has to end first; -ENOMEM.
 */
int samsara_ept_fault(struct samsara_vcpu *sv, gpa_t gpa, bool write)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	struct samsara_page *sp;
	bool readonly;
	u64 *sptep;
	int r;

	sp = samsara_gfn_to_page(sv->vm, gfn, &readonly);
	if (!sp || (write && readonly))
		return 0;
	/* With page ownership, the chunk ends before this page if there is no memory. */
	sv->fault_gpa = gfn_to_gpa(gfn);
	sv->fault_could_read = false;
	sptep = samsara_ept_leaf(sv->ept, gfn);
	if (!sptep)
		return -ENOMEM;
	if (samsara_crew(sv->vm))
		return samsara_crew_fault(sv, sp, write);
	if (*sptep & EPT_WITHHELD) {
		sv->touched = samsara_touch_ends_chunk(sv, sp, write, *sptep & EPT_R);
		if (sv->touched)
			return 0;
		samsara_ept_give_back_read(sptep, sp);
		if (write)
			samsara_ept_give_back(sptep);
	} else if (KVM_BUG_ON(sv->direct, sv->vm->kvm)) {
		return -EIO;
	}
	if (!write) {
		if (!(*sptep & EPT_R))
			*sptep = samsara_ept_entry(sp->page, EPT_LEAF_RO);
		return 1;
	}
	if (*sptep & EPT_W)	/* withheld, or a translation from before the copy was made */
		return 1;
	r = samsara_make_copy(sv, sp, sptep);
	return r ?: 1;
}
