// SPDX-License-Identifier: GPL-2.0
/*
 * What can't be recorded is refused at the start (RULE 7): features of the guest's
 * CPUs, settings of the VM, and of the host.  Each refusal names what removes it.
 * So is what would change a VM behind the log's back later.
 */
#define pr_fmt(fmt) "samsara: " fmt

#include <linux/smp.h>

#include "check.h"
#include "samsara.h"
#include "state.h"
#include "vm.h"
#include "../cpuid.h"
#include "../irq.h"
#include "../lapic.h"
#include "../x86.h"

/* Any user of /dev/kvm may try as often as he likes. */
#define refuse(error, fmt, ...)						\
({									\
	pr_warn_ratelimited(fmt "\n", ##__VA_ARGS__);			\
	(error);							\
})

/* CPUID leaf 1AH, EAX: the core's type on a hybrid processor. */
#define CORE_TYPE_LEAF		0x1a
#define CORE_TYPE_SHIFT		24
#define CORE_TYPE_ATOM		0x20

struct core_types {
	atomic_t atoms;
};

static void look_for_atom(void *info)
{
	struct core_types *types = info;

	if (cpuid_eax(CORE_TYPE_LEAF) >> CORE_TYPE_SHIFT == CORE_TYPE_ATOM)
		atomic_inc(&types->atoms);
}

/* E-cores have no exact counter of conditional branches. */
static bool may_run_on_e_cores(void)
{
	struct core_types types = { .atoms = ATOMIC_INIT(0) };

	if (!boot_cpu_has(X86_FEATURE_HYBRID_CPU))
		return false;
	on_each_cpu_mask(current->cpus_ptr, look_for_atom, &types, true);
	return atomic_read(&types.atoms);
}

/*
 * A split lock in the guest would make the host sleep in the middle of a commit, and
 * whether the guest sees #AC would depend on what its thread has done before.
 */
static bool detects_split_locks(void)
{
	u64 ctrl;

	return boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) &&
	       !rdmsrl_safe(MSR_TEST_CTRL, &ctrl) &&
	       (ctrl & MSR_TEST_CTRL_SPLIT_LOCK_DETECT);
}

/* KVM keeps the flag while the guest runs: branches in SMM would be counted as its own. */
static bool counts_in_smm(void)
{
	u64 ctrl;

	return !rdmsrl_safe(MSR_IA32_DEBUGCTLMSR, &ctrl) && !(ctrl & DEBUGCTLMSR_FREEZE_IN_SMM);
}

/* Is the processor, with its kernel's settings, one that can be recorded on? */
int samsara_check_host(void)
{
	if (!enable_ept || !enable_ept_ad_bits || !enable_unrestricted_guest || !enable_vpid)
		return refuse(-EOPNOTSUPP, "EPT with accessed/dirty flags, unrestricted guest and VPID are needed (kvm_intel parameters ept, eptad, unrestricted_guest, vpid)");
	/* The accesses to all of a vCPU's fields in regs.c are for the processor's VMCS only. */
	if (static_branch_unlikely(&enable_evmcs))
		return refuse(-EOPNOTSUPP, "Hyper-V's VMCS can't be recorded with: load kvm_intel with enlightened_vmcs=0");
	if (enable_apicv)
		return refuse(-EOPNOTSUPP, "interrupts injected by hardware can't be recorded: load kvm_intel with enable_apicv=0");
	if (enable_vmware_backdoor)
		return refuse(-EOPNOTSUPP, "the clock of VMware's back door can't be recorded: load kvm with enable_vmware_backdoor=0");
	if (may_run_on_e_cores())
		return refuse(-EOPNOTSUPP, "E-cores do not count branches exactly: run QEMU on P-cores only (taskset)");
	/* Hiding them from the guest's CPUID does not keep it from using them. */
	if (boot_cpu_has(X86_FEATURE_RTM) || boot_cpu_has(X86_FEATURE_HLE))
		return refuse(-EOPNOTSUPP, "branches of aborted transactions are counted: boot the host with tsx=off");
	if (detects_split_locks())
		return refuse(-EOPNOTSUPP, "split locks of the guest would stop the host's commits: boot it with split_lock_detect=off");
	if (counts_in_smm())
		return refuse(-EOPNOTSUPP, "branches in system management mode are counted: write 1 to /sys/devices/cpu/freeze_on_smi");
	return 0;
}

static int refuse_feature(struct kvm_vcpu *vcpu, const char *name)
{
	return refuse(-EOPNOTSUPP, "vcpu %d has CPU feature %s, which can't be recorded: use -cpu ...,-%s",
		      vcpu->vcpu_id, name, name);
}

/* guest_cpuid_has() wants a constant. */
#define REFUSE_FEATURE(vcpu, feature, name)				\
do {									\
	if (guest_cpuid_has(vcpu, X86_FEATURE_##feature))		\
		return refuse_feature(vcpu, name);			\
} while (0)

/* What the guest may not have: its results can't be logged or repeated. */
static int check_cpuid(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *leaf;

	REFUSE_FEATURE(vcpu, RDRAND, "rdrand");
	REFUSE_FEATURE(vcpu, RDSEED, "rdseed");
	REFUSE_FEATURE(vcpu, RTM, "rtm");
	REFUSE_FEATURE(vcpu, HLE, "hle");
	REFUSE_FEATURE(vcpu, WAITPKG, "waitpkg");
	REFUSE_FEATURE(vcpu, MWAIT, "monitor");
	REFUSE_FEATURE(vcpu, XSAVEOPT, "xsaveopt");
	REFUSE_FEATURE(vcpu, XSAVEC, "xsavec");
	REFUSE_FEATURE(vcpu, XSAVES, "xsaves");
	REFUSE_FEATURE(vcpu, AVX512F, "avx512f");
	REFUSE_FEATURE(vcpu, PKU, "pku");
	REFUSE_FEATURE(vcpu, VMX, "vmx");
	REFUSE_FEATURE(vcpu, SGX, "sgx");

	leaf = kvm_find_cpuid_entry(vcpu, 0xa);
	if (leaf && (leaf->eax & 0xff))
		return refuse(-EOPNOTSUPP, "vcpu %d has a PMU, which can't be recorded: use -cpu ...,pmu=off",
			      vcpu->vcpu_id);
	if (vcpu->arch.pv_cpuid.features)
		return refuse(-EOPNOTSUPP, "vcpu %d has KVM paravirtual features 0x%x, which can't be recorded",
			      vcpu->vcpu_id, vcpu->arch.pv_cpuid.features);
	return 0;
}

/* Every vCPU's mutex is held. */
int samsara_check_vm(struct samsara_vm *vm)
{
	struct kvm *kvm = vm->kvm;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r;

	if (!irqchip_in_kernel(kvm) || irqchip_split(kvm))
		return refuse(-EOPNOTSUPP, "only the in-kernel interrupt controllers are recorded: use kernel-irqchip=on");
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (vcpu->guest_debug)
			return refuse(-EOPNOTSUPP, "a debugger's breakpoints and steps can't be recorded: remove them");
		/* KVM would write to it on each entry and exit. */
		if (vcpu->arch.apic->vapic_addr)
			return refuse(-EOPNOTSUPP, "a virtual APIC page can't be recorded: use -global apic-common.vapic=off");
		r = check_cpuid(vcpu);
		if (r)
			return r;
	}
	return 0;
}

/* Under kvm->lock: a VM gets no more vCPUs once its recording has begun. */
bool samsara_refuses_vcpus(struct kvm *kvm)
{
	struct samsara_vm *vm;
	bool ret;

	lockdep_assert_held(&kvm->lock);
	/* As in samsara_frozen(): the device may just be given up. */
	rcu_read_lock();
	vm = READ_ONCE(kvm->arch.samsara);
	ret = vm && vm->started;
	rcu_read_unlock();
	return ret;
}

/*
 * User space may look at a vCPU, queue what is logged when it takes effect, and set the
 * vCPU's state when that becomes a commit (state.c).  Everything else would change it behind
 * the log's back; KVM_TRANSLATE, too, which may set accessed flags in the guest's page
 * tables.  Under vcpu->mutex, which START holds.
 */
bool samsara_refuses_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl)
{
	lockdep_assert_held(&vcpu->mutex);
	if (!samsara_frozen(vcpu->kvm))
		return false;
	switch (ioctl) {
	case KVM_RUN:
	case KVM_INTERRUPT:
	case KVM_NMI:
	case KVM_SET_SIGNAL_MASK:
	case KVM_GET_REGS:
	case KVM_GET_SREGS:
	case KVM_GET_SREGS2:
	case KVM_GET_FPU:
	case KVM_GET_LAPIC:
	case KVM_GET_MSRS:
	case KVM_GET_CPUID2:
	case KVM_GET_VCPU_EVENTS:
	case KVM_GET_DEBUGREGS:
	case KVM_GET_XSAVE:
	case KVM_GET_XSAVE2:
	case KVM_GET_XCRS:
	case KVM_GET_MP_STATE:
	case KVM_GET_TSC_KHZ:
	case KVM_GET_NESTED_STATE:
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_STATS_FD:
	case KVM_GET_SUPPORTED_HV_CPUID:
	case KVM_KVMCLOCK_CTRL:		/* nothing without a paravirtual clock */
		return false;
	case KVM_SET_REGS:
	case KVM_SET_SREGS:
	case KVM_SET_SREGS2:
	case KVM_SET_FPU:
	case KVM_SET_XSAVE:
	case KVM_SET_XCRS:
	case KVM_SET_MSRS:
	case KVM_SET_LAPIC:
	case KVM_SET_VCPU_EVENTS:
	case KVM_SET_DEBUGREGS:
	case KVM_SET_MP_STATE:
	case KVM_SET_VAPIC_ADDR:	/* to none: samsara_state_set() */
		return !samsara_state_changes(vcpu);
	default:
		return true;
	}
}

/*
 * So would these, for all vCPUs.  Without a lock: a caller that races with START spoils a
 * recording of his own only, and replay tells.
 */
bool samsara_refuses_vm_ioctl(struct kvm *kvm, unsigned int ioctl)
{
	switch (ioctl) {
	case KVM_ENABLE_CAP:
	case KVM_X86_SET_MSR_FILTER:
	case KVM_XEN_HVM_CONFIG:
	case KVM_XEN_HVM_SET_ATTR:
	case KVM_HYPERV_EVENTFD:
		return samsara_frozen(kvm);
	default:
		return false;
	}
}
