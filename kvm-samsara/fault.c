// SPDX-License-Identifier: GPL-2.0
/*
 * EPT violations: is it guest memory?
 */
#include "ept.h"
#include "fault.h"
#include "map.h"
#include "memory.h"
#include "mode.h"
#include "samsara.h"

/* Handle an EPT violation.  Returns enum samsara_fault or, if nothing was done, an errno. */
int samsara_ept_fault(struct samsara_vcpu *sv, gpa_t gpa, bool write)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	struct samsara_page *sp;
	bool readonly;
	u64 *sptep;

	sp = samsara_gfn_to_page(sv->vm, gfn, &readonly);
	if (!sp || (write && readonly))
		return SAMSARA_FAULT_EXIT;
	/* A chunk that can't be rolled back ends before this page if there is no memory. */
	sv->chunk.fault_gpa = gfn_to_gpa(gfn);
	sv->chunk.fault_could_read = false;
	sptep = samsara_ept_leaf(sv->ept, gfn);
	if (!sptep)
		return -ENOMEM;
	return sv->mode->fault(sv, sp, sptep, write);
}
