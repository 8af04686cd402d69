// SPDX-License-Identifier: GPL-2.0
/*
 * What the engine does to a vCPU through its VMCS: events that wait to be delivered,
 * flags that an exit leaves behind, single steps, KVM's own handling of an exit.
 */
#include "arch.h"
#include "samsara.h"

/*
 * An exit on a fault may leave RFLAGS.RF set, which says nothing about the
 * guest but that the processor exited there; replay may not have exited.  RF
 * only matters to instruction breakpoints.
 */
void samsara_normalise(struct samsara_vcpu *sv)
{
	unsigned long rflags = vmx_get_rflags(sv->vcpu);

	if ((rflags & X86_EFLAGS_RF) && !(vmcs_readl(GUEST_DR7) & 0xff))
		vmx_set_rflags(sv->vcpu, rflags & ~X86_EFLAGS_RF);
}

/*
 * Put the event whose delivery an exit cut short back into the VM-entry
 * fields, as KVM does for one it re-injects.
 *
 * The exit may have set RFLAGS.RF, which would then be in the frame the guest
 * gets.  Interrupts and NMIs are injected at a chunk's start only, so it has to
 * be what it was there: in the middle of a REP that KVM emulates, it is set.  A
 * fault has RF set in its frame in any case.
 */
void samsara_reinject(struct kvm_vcpu *vcpu)
{
	u32 info = INTR_INFO_VALID_MASK;
	u8 vector;

	if (!vcpu->arch.exception.injected)
		vmx_set_rflags(vcpu, (vmx_get_rflags(vcpu) & ~X86_EFLAGS_RF) |
			       to_samsara(vcpu)->chunk.resume_flag);

	if (vcpu->arch.exception.injected) {
		vector = vcpu->arch.exception.vector;
		info |= vector;
		if (vcpu->arch.exception.has_error_code) {
			vmcs_write32(VM_ENTRY_EXCEPTION_ERROR_CODE,
				     (u16)vcpu->arch.exception.error_code);
			info |= INTR_INFO_DELIVER_CODE_MASK;
		}
		if (kvm_exception_is_soft(vector)) {
			vmcs_write32(VM_ENTRY_INSTRUCTION_LEN, vcpu->arch.event_exit_inst_len);
			info |= INTR_TYPE_SOFT_EXCEPTION;
		} else {
			info |= INTR_TYPE_HARD_EXCEPTION;
		}
	} else if (vcpu->arch.nmi_injected) {
		info |= INTR_TYPE_NMI_INTR | NMI_VECTOR;
	} else {
		info |= vcpu->arch.interrupt.nr;
		if (vcpu->arch.interrupt.soft) {
			info |= INTR_TYPE_SOFT_INTR;
			vmcs_write32(VM_ENTRY_INSTRUCTION_LEN, vcpu->arch.event_exit_inst_len);
		} else {
			info |= INTR_TYPE_EXT_INTR;
		}
	}
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, info);
}

/* Nothing is to be delivered at the next entry. */
void samsara_drop_events(struct kvm_vcpu *vcpu)
{
	vcpu->arch.nmi_injected = false;
	kvm_clear_exception_queue(vcpu);
	kvm_clear_interrupt_queue(vcpu);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
}

/* Exit as soon as the guest can take an interrupt, or an NMI; at most one of them. */
void samsara_set_windows(struct kvm_vcpu *vcpu, bool interrupt, bool nmi)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	exec_controls_clearbit(vmx, CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING);
	if (interrupt)
		exec_controls_setbit(vmx, CPU_BASED_INTR_WINDOW_EXITING);
	if (nmi)
		exec_controls_setbit(vmx, CPU_BASED_NMI_WINDOW_EXITING);
}

/*
 * KVM sets RFLAGS.RF when it injects a fault, and clears DR7.GD when it injects
 * #DB, see kvm_check_and_inject_events(); but not when it injects them again because
 * the delivery was cut short.  With page ownership the chunk has ended then, and
 * samsara_normalise() has cleared RF.
 */
void samsara_set_event_flags(struct kvm_vcpu *vcpu, u32 info)
{
	if ((info & INTR_INFO_INTR_TYPE_MASK) != INTR_TYPE_HARD_EXCEPTION)
		return;
	switch (info & INTR_INFO_VECTOR_MASK) {
	case DB_VECTOR:
		if (vcpu->arch.dr7 & DR7_GD) {
			vcpu->arch.dr7 &= ~DR7_GD;
			vmcs_writel(GUEST_DR7, vmcs_readl(GUEST_DR7) & ~DR7_GD);
		}
		break;
	case BP_VECTOR:
	case OF_VECTOR:
	case DF_VECTOR:
	case MC_VECTOR:
		break;
	default:
		vmx_set_rflags(vcpu, vmx_get_rflags(vcpu) | X86_EFLAGS_RF);
	}
}

void samsara_set_stepping(struct samsara_vcpu *sv, bool on)
{
	if (sv->stepping == on)
		return;
	sv->stepping = on;
	if (on)
		exec_controls_setbit(to_vmx(sv->vcpu), CPU_BASED_MONITOR_TRAP_FLAG);
	else
		exec_controls_clearbit(to_vmx(sv->vcpu), CPU_BASED_MONITOR_TRAP_FLAG);
}

/*
 * Would an instruction breakpoint fire before the instruction the guest is at?
 * An IRET to it that set RF, as after a page fault, or a MOV SS before it keeps
 * it from firing: then replay can't land with one (choose_step()).
 */
bool samsara_breakpoint_fires_here(struct samsara_vcpu *sv)
{
	return !(vmx_get_rflags(sv->vcpu) & X86_EFLAGS_RF) &&
	       !(vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & GUEST_INTR_STATE_MOV_SS);
}

/* Has the guest breakpoints itself, or may it be told of some? */
bool samsara_guest_breaks(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.switch_db_regs || (vmcs_readl(GUEST_DR7) & 0xff);
}

/*
 * CPUID offers no hypercall, but KVM serves some all the same; one writes the host's
 * clock to guest memory, which would not be in the log.
 */
static int refuse_hypercall(struct kvm_vcpu *vcpu)
{
	kvm_rax_write(vcpu, vmx_get_cpl(vcpu) ? -KVM_EPERM : -KVM_ENOSYS);
	++vcpu->stat.hypercalls;
	return kvm_skip_emulated_instruction(vcpu);
}

static int run_exit_handler(struct samsara_vcpu *sv)
{
	/*
	 * No RAM there, or a write to ROM: what KVM would do after a look at
	 * its own page tables, which the VM does not use.
	 */
	if (samsara_exit_reason(sv->vcpu) == EXIT_REASON_EPT_VIOLATION)
		return kvm_emulate_instruction(sv->vcpu, 0);
	if (samsara_exit_reason(sv->vcpu) == EXIT_REASON_VMCALL)
		return refuse_hypercall(sv->vcpu);
	return __vmx_handle_exit(sv->vcpu, EXIT_FASTPATH_NONE);
}

/* KVM's own handling of the exit the last chunk ended with. */
int samsara_run_exit_handler(struct samsara_vcpu *sv)
{
	const struct kvm_run *run = sv->vcpu->run;
	int r = run_exit_handler(sv);

	sv->asked_for_msr = !r && (run->exit_reason == KVM_EXIT_X86_RDMSR ||
				   run->exit_reason == KVM_EXIT_X86_WRMSR);
	return r;
}
