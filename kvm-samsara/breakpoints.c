// SPDX-License-Identifier: GPL-2.0
/*
 * The processor's debug registers while a replayed guest runs: landing has register 0
 * (land.c), a debugger the others (debug.c).
 *
 * Breakpoints are only in the VMCS and in the registers meanwhile: neither the guest nor a
 * digest sees them.
 */
#include <linux/percpu.h>
#include <asm/debugreg.h>

#include "arch.h"
#include "breakpoints.h"
#include "debug.h"
#include "land.h"
#include "samsara.h"

/* DR7's bits that a breakpoint is on, as DR6's bits that it was met. */
static u32 traps(unsigned long dr7)
{
	u32 i, bits = 0;

	for (i = 0; i < 4; i++)
		if (dr7 & (DR_GLOBAL_ENABLE << (i * DR_ENABLE_SIZE)))
			bits |= DR_TRAP0 << i;
	return bits;
}

/* Before VM-entry, IRQs off. */
void samsara_breakpoints_load(struct samsara_vcpu *sv)
{
	unsigned long dr7 = samsara_land_load(sv) | samsara_debug_load(sv);

	if (likely(!dr7))
		return;
	sv->guest_dr7 = vmcs_readl(GUEST_DR7);
	vmcs_writel(GUEST_DR7, DR7_FIXED_1 | dr7);
	sv->breakpoints = dr7;
}

/* What a #DB exit was about that is none of the guest's business. */
static u32 take_exception(struct samsara_vcpu *sv, u32 ours)
{
	struct kvm_vcpu *vcpu = sv->vcpu;
	unsigned long qualification;

	if (samsara_exit_reason(vcpu) != EXIT_REASON_EXCEPTION_NMI ||
	    !is_debug(vmx_get_intr_info(vcpu)))
		return 0;
	qualification = vmx_get_exit_qual(vcpu);
	to_vmx(vcpu)->exit_qualification = qualification & ~(unsigned long)DR_TRAP_BITS;
	return qualification & ours;
}

/*
 * The exit came before the exception: that of a single step by the monitor trap flag has
 * priority.  It would be delivered at the next entry.
 */
static u32 take_pending(u32 ours)
{
	unsigned long pending = vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS);

	if (!(pending & DR_TRAP_BITS))
		return 0;
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, pending & DR_STEP);
	return pending & ours;
}

/* After VM-exit, IRQs off.  Returns what has been met, as bits of DR6. */
u32 samsara_breakpoints_unload(struct samsara_vcpu *sv)
{
	u32 ours = traps(sv->breakpoints), hits = 0;

	if (unlikely(ours)) {
		vmcs_writel(GUEST_DR7, sv->guest_dr7);
		sv->breakpoints = 0;
		hits = take_exception(sv, ours) | take_pending(ours);
	}
	samsara_land_unload(sv, hits);
	return hits;
}
