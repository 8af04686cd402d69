// SPDX-License-Identifier: GPL-2.0
/*
 * What a chunk can change in its vCPU without an exit that ends it, saved at
 * its start and put back by a rollback: VMCS guest state, general registers,
 * CR2, FPU/AVX, the MSRs the guest writes directly, and the event that was
 * being injected.  LAPIC, timers and TSC change between chunks only and are
 * not part of it.
 */
#include <linux/kvm_samsara.h>
#include <linux/percpu.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>

#include "arch.h"
#include "samsara.h"

/*
 * VMCS guest state.  RIP, RSP and RFLAGS come first: they are cached by KVM.
 * Not here, because every change of them is an exit: EFER, PAT, VMCS link,
 * SMBASE.
 */
static const u16 vmcs_fields[] = {
	GUEST_RIP, GUEST_RSP, GUEST_RFLAGS,
	GUEST_CR0, GUEST_CR3, GUEST_CR4, GUEST_DR7,
	CR0_READ_SHADOW, CR4_READ_SHADOW,
	GUEST_ES_SELECTOR, GUEST_CS_SELECTOR, GUEST_SS_SELECTOR, GUEST_DS_SELECTOR,
	GUEST_FS_SELECTOR, GUEST_GS_SELECTOR, GUEST_LDTR_SELECTOR, GUEST_TR_SELECTOR,
	GUEST_ES_LIMIT, GUEST_CS_LIMIT, GUEST_SS_LIMIT, GUEST_DS_LIMIT,
	GUEST_FS_LIMIT, GUEST_GS_LIMIT, GUEST_LDTR_LIMIT, GUEST_TR_LIMIT,
	GUEST_GDTR_LIMIT, GUEST_IDTR_LIMIT,
	GUEST_ES_AR_BYTES, GUEST_CS_AR_BYTES, GUEST_SS_AR_BYTES, GUEST_DS_AR_BYTES,
	GUEST_FS_AR_BYTES, GUEST_GS_AR_BYTES, GUEST_LDTR_AR_BYTES, GUEST_TR_AR_BYTES,
	GUEST_ES_BASE, GUEST_CS_BASE, GUEST_SS_BASE, GUEST_DS_BASE,
	GUEST_FS_BASE, GUEST_GS_BASE, GUEST_LDTR_BASE, GUEST_TR_BASE,
	GUEST_GDTR_BASE, GUEST_IDTR_BASE,
	GUEST_SYSENTER_CS, GUEST_SYSENTER_ESP, GUEST_SYSENTER_EIP,
	GUEST_PDPTR0, GUEST_PDPTR1, GUEST_PDPTR2, GUEST_PDPTR3,
	GUEST_INTERRUPTIBILITY_INFO, GUEST_PENDING_DBG_EXCEPTIONS,
	GUEST_ACTIVITY_STATE,
};

static_assert(ARRAY_SIZE(vmcs_fields) <= ARRAY_SIZE(((struct samsara_regs *)0)->vmcs));

/*
 * In 64-bit mode VMREAD and VMWRITE take fields of any width, so this needs no look at each
 * one's.  Hyper-V's VMCS does not: samsara_check_host().
 */
static void read_vmcs(u64 *values)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(vmcs_fields); i++)
		values[i] = __vmcs_readl(vmcs_fields[i]);
}

unsigned long samsara_regs_rip(const struct samsara_regs *regs)
{
	BUILD_BUG_ON(vmcs_fields[0] != GUEST_RIP);
	return regs->vmcs[0];
}

/*
 * KVM may hold newer values of these than the VMCS.  Of CR3 it does after an INIT: KVM writes
 * it when it loads its page tables, which is over when a replayed chunk begins with one.
 */
void samsara_regs_flush(struct kvm_vcpu *vcpu)
{
	if (kvm_register_is_dirty(vcpu, VCPU_REGS_RSP))
		vmcs_writel(GUEST_RSP, vcpu->arch.regs[VCPU_REGS_RSP]);
	if (kvm_register_is_dirty(vcpu, VCPU_REGS_RIP))
		vmcs_writel(GUEST_RIP, vcpu->arch.regs[VCPU_REGS_RIP]);
	if (kvm_register_is_dirty(vcpu, VCPU_EXREG_CR3))
		vmcs_writel(GUEST_CR3, vcpu->arch.cr3);
}

/* The x87, SSE and AVX components, in the standard format whatever the host uses. */
#define XSAVE_MASK	(XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM)

/*
 * The guest's FPU state is the thread's while in KVM_RUN, in registers or,
 * after a host context switch, in memory.  Caller holds fpregs_lock() or has
 * IRQs off.
 */
static void load_fpregs(void)
{
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

static void xsave_to(u8 *buf)
{
	u32 mask = boot_cpu_has(X86_FEATURE_AVX) ? XSAVE_MASK : XFEATURE_MASK_FPSSE;

	load_fpregs();
	asm volatile("xsave64 (%0)" : : "r" (buf), "a" (mask), "d" (0) : "memory");
}

static void xrstor_from(u8 *buf)
{
	u32 mask = boot_cpu_has(X86_FEATURE_AVX) ? XSAVE_MASK : XFEATURE_MASK_FPSSE;

	load_fpregs();
	asm volatile("xrstor64 (%0)" : : "r" (buf), "a" (mask), "d" (0) : "memory");
}

static u64 read_kernel_gs_base(struct vcpu_vmx *vmx)
{
	u64 base;

	preempt_disable();
	base = vmx->msr_guest_kernel_gs_base;
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, base);
	preempt_enable();
	return base;
}

static void write_kernel_gs_base(struct vcpu_vmx *vmx, u64 base)
{
	preempt_disable();
	vmx->msr_guest_kernel_gs_base = base;
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, base);
	preempt_enable();
}

/*
 * START, with vcpu->mutex.  What the guest reads of CR0's and CR4's bits that are its own
 * comes from the registers; what is in the shadows then depends on how it came there, and
 * is in the digest.  Setting the registers, as replay does, makes them equal.
 */
void samsara_regs_settle(struct kvm_vcpu *vcpu)
{
	vcpu_load(vcpu);
	vmcs_writel(CR0_READ_SHADOW, kvm_read_cr0(vcpu));
	vmcs_writel(CR4_READ_SHADOW, kvm_read_cr4(vcpu));
	vcpu_put(vcpu);
}

/* Segment registers in the order of their VMCS fields. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, NR_SEGMENTS };

#define AR_UNUSABLE	BIT(16)
#define AR_DPL		GENMASK(6, 5)

/*
 * What a checkpoint has to keep, since KVM's ioctls can't tell or set it: it is in the digest,
 * or, of segments that can't be used, shown to who looks.  With vcpu->mutex.
 */
void samsara_regs_get_hidden(struct kvm_vcpu *vcpu, struct kvm_samsara_progress *progress)
{
	int i;

	static_assert(ARRAY_SIZE(progress->access_rights) == NR_SEGMENTS);
	vcpu_load(vcpu);
	progress->cr0_shadow = vmcs_readl(CR0_READ_SHADOW);
	progress->cr4_shadow = vmcs_readl(CR4_READ_SHADOW);
	progress->pending_debug = vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS);
	progress->interruptibility = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);
	for (i = 0; i < NR_SEGMENTS; i++)
		progress->access_rights[i] = vmcs_read32(GUEST_ES_AR_BYTES + 2 * i);
	vcpu_put(vcpu);
}

/* VM-entry would fail with other bits set. */
#define PENDING_DEBUG	(DR_TRAP_BITS | BIT(12) | DR_STEP)
#define ACCESS_RIGHTS	(GENMASK(7, 0) | GENMASK(16, 12))

static void set_access_rights(struct kvm_vcpu *vcpu, u16 field, u32 ar)
{
	if (!(ar & vmcs_read32(field) & AR_UNUSABLE))
		return;
	vmcs_write32(field, ar & ACCESS_RIGHTS);
	/* KVM keeps a copy. */
	to_vmx(vcpu)->segment_cache.bitmask = 0;
}

/* In the handler of an NMI, or behind STI, MOV to SS or POP SS */
static void set_interruptibility(struct kvm_vcpu *vcpu, u64 info)
{
	u32 shadow = info & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS);

	if (shadow == (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS) ||
	    ((shadow & GUEST_INTR_STATE_STI) && !(vmx_get_rflags(vcpu) & X86_EFLAGS_IF)))
		shadow = 0;
	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, shadow | (info & GUEST_INTR_STATE_NMI));
	if (info & GUEST_INTR_STATE_NMI)
		to_vmx(vcpu)->loaded_vmcs->nmi_known_unmasked = false;
}

void samsara_regs_set_hidden(struct kvm_vcpu *vcpu, const struct kvm_samsara_progress *progress)
{
	int i;

	vcpu_load(vcpu);
	vmcs_writel(CR0_READ_SHADOW, progress->cr0_shadow);
	vmcs_writel(CR4_READ_SHADOW, progress->cr4_shadow);
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, progress->pending_debug & PENDING_DEBUG);
	set_interruptibility(vcpu, progress->interruptibility);
	for (i = 0; i < NR_SEGMENTS; i++)
		set_access_rights(vcpu, GUEST_ES_AR_BYTES + 2 * i, progress->access_rights[i]);
	vcpu_put(vcpu);
}

/* Right before the chunk's first VM-entry, IRQs off. */
void samsara_regs_save(struct samsara_vcpu *sv)
{
	struct samsara_regs *regs = &sv->start_regs;
	struct kvm_vcpu *vcpu = sv->vcpu;

	samsara_regs_flush(vcpu);
	read_vmcs(regs->vmcs);
	memcpy(regs->regs, vcpu->arch.regs, sizeof(regs->regs));
	regs->cr2 = vcpu->arch.cr2;
	regs->kernel_gs_base = read_kernel_gs_base(to_vmx(vcpu));
	regs->spec_ctrl = to_vmx(vcpu)->spec_ctrl;
	regs->exception = vcpu->arch.exception;
	regs->interrupt = vcpu->arch.interrupt;
	regs->nmi_injected = vcpu->arch.nmi_injected;
	xsave_to(regs->xsave);
}

/*
 * Back to the start of the chunk.  The event that was being injected is queued
 * again, so KVM re-injects it on the next entry as it would after an
 * interrupted delivery.
 */
void samsara_regs_restore(struct samsara_vcpu *sv)
{
	struct samsara_regs *regs = &sv->start_regs;
	struct kvm_vcpu *vcpu = sv->vcpu;
	int i;

	for (i = 0; i < ARRAY_SIZE(vmcs_fields); i++)
		__vmcs_writel(vmcs_fields[i], regs->vmcs[i]);
	memcpy(vcpu->arch.regs, regs->regs, sizeof(regs->regs));
	vcpu->arch.regs_avail &= ~VMX_REGS_LAZY_LOAD_SET;
	vcpu->arch.regs_dirty = 0;
	vcpu->arch.cr2 = regs->cr2;
	write_kernel_gs_base(to_vmx(vcpu), regs->kernel_gs_base);
	to_vmx(vcpu)->spec_ctrl = regs->spec_ctrl;
	vcpu->arch.exception = regs->exception;
	vcpu->arch.interrupt = regs->interrupt;
	vcpu->arch.nmi_injected = regs->nmi_injected;

	fpregs_lock();
	xrstor_from(regs->xsave);
	fpregs_unlock();
}

/* Where the fields of all segments and the PDPTEs are among vmcs_fields. */
enum {
	LIMITS = 17,
	RIGHTS = LIMITS + NR_SEGMENTS + 2,
	BASES = RIGHTS + NR_SEGMENTS,
	PDPTES = BASES + NR_SEGMENTS + 5,
};

/*
 * Leave of the fields' values what is defined.  Of a segment that can't be used the SDM says
 * so of its selector only, of the bases of FS and GS, and of SS.DPL; PDPTEs are what the last
 * user of the processor has left unless the guest has PAE paging.
 */
static void keep_defined(u64 *values, bool pae)
{
	u64 *ar = values + RIGHTS;
	int i;

	BUILD_BUG_ON(vmcs_fields[LIMITS] != GUEST_ES_LIMIT);
	BUILD_BUG_ON(vmcs_fields[RIGHTS] != GUEST_ES_AR_BYTES);
	BUILD_BUG_ON(vmcs_fields[BASES] != GUEST_ES_BASE);
	BUILD_BUG_ON(vmcs_fields[PDPTES] != GUEST_PDPTR0);
	for (i = 0; i < NR_SEGMENTS; i++) {
		if (!(ar[i] & AR_UNUSABLE))
			continue;
		ar[i] &= AR_UNUSABLE | (i == SEG_SS ? AR_DPL : 0);
		values[LIMITS + i] = 0;
		if (i != SEG_FS && i != SEG_GS)
			values[BASES + i] = 0;
	}
	if (!pae)
		memset(values + PDPTES, 0, 4 * sizeof(*values));
}

/* Older recordings have all words in one chain, which takes the processor much longer. */
static u64 fold(const struct samsara_vm *vm, u64 chain, const u64 *words, u32 n)
{
	if (vm->config.flags & KVM_SAMSARA_FLAG_CRC)
		return smr_chain(chain, smr_crc_words(words, n));
	while (n--)
		chain = smr_chain(chain, *words++);
	return chain;
}

static u64 fold_vmcs(struct samsara_vcpu *sv, u64 chain)
{
	u64 values[ARRAY_SIZE(vmcs_fields)];

	read_vmcs(values);
	keep_defined(values, is_pae_paging(sv->vcpu));
	return fold(sv->vm, chain, values, ARRAY_SIZE(values));
}

/* RSP and RIP are among the VMCS's. */
static u64 fold_general(struct samsara_vcpu *sv, u64 chain)
{
	const unsigned long *regs = sv->vcpu->arch.regs;

	BUILD_BUG_ON(NR_VCPU_REGS - VCPU_REGS_RIP != 1);
	chain = fold(sv->vm, chain, (u64 *)regs, VCPU_REGS_RSP);
	return fold(sv->vm, chain, (u64 *)regs + VCPU_REGS_RSP + 1,
		    VCPU_REGS_RIP - VCPU_REGS_RSP - 1);
}

/*
 * XSTATE_BV is left out: it says how the processor tracks the state, not what it is; XSAVE
 * stores the initial values of components that are not in use.
 */
static u64 fold_xsave(struct samsara_vcpu *sv, u64 chain)
{
	/* Bytes 464..511 belong to software, 512..575 are the header. */
	static const u32 legacy = 464 / 8, extended = 576 / 8;
	const u64 *xsave = (const u64 *)sv->xsave;

	fpregs_lock();
	xsave_to(sv->xsave);
	fpregs_unlock();
	chain = fold(sv->vm, chain, xsave, legacy);
	return fold(sv->vm, chain, xsave + extended, SAMSARA_XSAVE_BYTES / 8 - extended);
}

/* Digest of the whole guest-visible state of the vCPU. */
static u64 state_digest(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;
	u64 others[3], chain;

	samsara_regs_flush(vcpu);
	chain = fold_vmcs(sv, 0);
	chain = fold_general(sv, chain);
	others[0] = vcpu->arch.cr2;
	others[1] = read_kernel_gs_base(to_vmx(vcpu));
	others[2] = vcpu->arch.efer;
	chain = fold(sv->vm, chain, others, ARRAY_SIZE(others));
	return fold_xsave(sv, chain);
}

/* Inputs may not show in the state, or not for long: they are in memory by now. */
static u64 chain_inputs(u64 chain, const u8 *p, u32 len)
{
	u64 word;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		chain = smr_chain(chain, word);
	}
	word = len;
	memcpy((u8 *)&word + 1, p, len);
	return smr_chain(chain, word);
}

/* Fold what a commit got, as it is logged, into the vCPU's chain. */
void samsara_chain_inputs(struct samsara_vcpu *sv, const u8 *inputs, u32 len)
{
	if (len)
		sv->progress.chain = chain_inputs(sv->progress.chain, inputs, len);
}

/*
 * Is the vCPU's next commit KVM's part of the exit that ends this chunk?  It comes before the
 * guest can do anything more, and its digest has the state.
 */
static bool section_follows(struct samsara_vcpu *sv)
{
	const struct smr_record *rec = &sv->rec;

	return rec->type == SMR_CHUNK && rec->end != SMR_END_ASYNC && rec->end != SMR_END_TOUCH &&
	       samsara_exit_needs_section(rec->end);
}

/*
 * The same, and the state after it; but of a chunk that a section follows the general registers
 * and RIP only.
 */
void samsara_chain_state(struct samsara_vcpu *sv, const u8 *inputs, u32 len)
{
	samsara_chain_inputs(sv, inputs, len);
	if ((sv->vm->config.flags & KVM_SAMSARA_FLAG_CRC) && section_follows(sv)) {
		sv->progress.chain = smr_chain(fold_general(sv, sv->progress.chain),
					       kvm_rip_read(sv->vcpu));
		return;
	}
	sv->progress.state_digest = state_digest(sv);
	sv->progress.chain = smr_chain(sv->progress.chain, sv->progress.state_digest);
}
