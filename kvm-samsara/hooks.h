/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What KVM's own files see of samsara.  Every hook is a static branch while no
 * VM records or replays; the work is done in kvm-intel through kvm_samsara_ops.
 */
#ifndef __KVM_X86_SAMSARA_HOOKS_H
#define __KVM_X86_SAMSARA_HOOKS_H

#include <linux/kvm_host.h>

/* How a device access ended, see kvm_samsara_ops.bus_*(). */
typedef int (*kvm_samsara_cui_t)(struct kvm_vcpu *vcpu);

#ifdef CONFIG_KVM_SAMSARA

#include <linux/jump_label_ratelimit.h>

struct kvm_samsara_ops {
	/*
	 * Top of vcpu_enter_guest().  1: enter the guest; 2: go round
	 * vcpu_run()'s loop once more; 0 or negative: leave KVM_RUN with it.
	 */
	int (*pre_enter)(struct kvm_vcpu *vcpu);
	/* True if KVM must not inject events now: inside a chunk, or replay. */
	bool (*owns_events)(struct kvm_vcpu *vcpu);
	/* Runs vcpu->arch.complete_userspace_io. */
	int (*complete_io)(struct kvm_vcpu *vcpu, kvm_samsara_cui_t cui);
	/* On the way out of KVM_RUN, after vcpu_run(); and before the vCPU halts. */
	void (*leave)(struct kvm_vcpu *vcpu);
	/*
	 * The answer of KVM's in-kernel devices.  before() returns true if the
	 * log answers instead (replay): *r and data are then set.  after()
	 * logs what the devices answered.
	 */
	bool (*bus_before)(struct kvm_vcpu *vcpu, enum kvm_bus bus, bool in, gpa_t addr,
			   int len, void *data, int *r);
	void (*bus_after)(struct kvm_vcpu *vcpu, enum kvm_bus bus, bool in, gpa_t addr,
			  int len, const void *data, int r);
	bool (*msr_before)(struct kvm_vcpu *vcpu, bool in, u32 index, u64 *data,
			   int *r);
	void (*msr_after)(struct kvm_vcpu *vcpu, bool in, u32 index, u64 data,
			  int r);
	/* KVM applied INIT or a start-up IPI to the vCPU. */
	void (*note_init)(struct kvm_vcpu *vcpu);
	void (*note_sipi)(struct kvm_vcpu *vcpu, u8 vector);
	/* KVM wrote to guest memory. */
	void (*page_dirty)(struct kvm *kvm, gfn_t gfn);
	/* The VM is recorded or replayed: it can't change now. */
	bool (*frozen)(struct kvm *kvm);
	/* Nor can its memory slots. */
	bool (*slots_frozen)(struct kvm *kvm);
	/* No vCPU can be added any more.  Under kvm->lock. */
	bool (*refuses_vcpus)(struct kvm *kvm);
	/* The ioctl would change a vCPU, or all, behind the log's back. */
	bool (*refuses_ioctl)(struct kvm_vcpu *vcpu, unsigned int ioctl);
	bool (*refuses_vm_ioctl)(struct kvm *kvm, unsigned int ioctl);
};

extern struct kvm_samsara_ops *kvm_samsara_ops;

int kvm_samsara_register(struct kvm_samsara_ops *ops, const struct kvm_device_ops *device);
void kvm_samsara_unregister(void);
extern struct static_key_false_deferred kvm_samsara_key;

/* The VM was made recordable: some features are off, see the users. */
static __always_inline bool kvm_samsara_vm(struct kvm *kvm)
{
	return static_branch_unlikely(&kvm_samsara_key.key) && kvm->arch.samsara;
}

/* The vCPU takes part in a recording or replay, or did. */
static __always_inline bool kvm_samsara_vcpu(struct kvm_vcpu *vcpu)
{
	return static_branch_unlikely(&kvm_samsara_key.key) && vcpu->arch.samsara;
}

/* Bits of CR4 that only seem to be set: design.rst, "Translation caches". */
static inline unsigned long kvm_samsara_hidden_cr4(struct kvm *kvm)
{
	return kvm_samsara_vm(kvm) ? X86_CR4_PGE : 0;
}

static inline int kvm_samsara_pre_enter(struct kvm_vcpu *vcpu)
{
	return kvm_samsara_vcpu(vcpu) ? kvm_samsara_ops->pre_enter(vcpu) : 1;
}

static inline bool kvm_samsara_owns_events(struct kvm_vcpu *vcpu)
{
	return kvm_samsara_vcpu(vcpu) && kvm_samsara_ops->owns_events(vcpu);
}

static inline int kvm_samsara_complete_io(struct kvm_vcpu *vcpu,
					  kvm_samsara_cui_t cui)
{
	return kvm_samsara_vcpu(vcpu) ? kvm_samsara_ops->complete_io(vcpu, cui) :
					cui(vcpu);
}

static inline void kvm_samsara_leave(struct kvm_vcpu *vcpu)
{
	if (kvm_samsara_vcpu(vcpu))
		kvm_samsara_ops->leave(vcpu);
}

static inline void kvm_samsara_note_init(struct kvm_vcpu *vcpu)
{
	if (kvm_samsara_vcpu(vcpu))
		kvm_samsara_ops->note_init(vcpu);
}

static inline void kvm_samsara_note_sipi(struct kvm_vcpu *vcpu, u8 vector)
{
	if (kvm_samsara_vcpu(vcpu))
		kvm_samsara_ops->note_sipi(vcpu, vector);
}

static inline void kvm_samsara_page_dirty(struct kvm *kvm, gfn_t gfn)
{
	if (kvm_samsara_vm(kvm))
		kvm_samsara_ops->page_dirty(kvm, gfn);
}

static inline bool kvm_samsara_frozen(struct kvm *kvm)
{
	return kvm_samsara_vm(kvm) && kvm_samsara_ops->frozen(kvm);
}

static inline bool kvm_samsara_slots_frozen(struct kvm *kvm)
{
	return kvm_samsara_vm(kvm) && kvm_samsara_ops->slots_frozen(kvm);
}

static inline bool kvm_samsara_refuses_vcpus(struct kvm *kvm)
{
	return kvm_samsara_vm(kvm) && kvm_samsara_ops->refuses_vcpus(kvm);
}

static inline bool kvm_samsara_refuses_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl)
{
	return kvm_samsara_vm(vcpu->kvm) && kvm_samsara_ops->refuses_ioctl(vcpu, ioctl);
}

static inline bool kvm_samsara_refuses_vm_ioctl(struct kvm *kvm, unsigned int ioctl)
{
	return kvm_samsara_vm(kvm) && kvm_samsara_ops->refuses_vm_ioctl(kvm, ioctl);
}

/*
 * Evaluate @access (an expression of type int) unless the log answers for it;
 * log its answer if it was evaluated.
 */
#define kvm_samsara_bus(vcpu, bus, in, addr, len, data, access)			\
({										\
	int __r;								\
										\
	if (!kvm_samsara_vcpu(vcpu)) {						\
		__r = (access);							\
	} else if (!kvm_samsara_ops->bus_before(vcpu, bus, in, addr, len,	\
						(void *)(data), &__r)) {	\
		__r = (access);							\
		kvm_samsara_ops->bus_after(vcpu, bus, in, addr, len, data, __r);	\
	}									\
	__r;									\
})

#define kvm_samsara_msr(vcpu, in, index, datap, access)				\
({										\
	int __r;								\
										\
	if (!kvm_samsara_vcpu(vcpu)) {						\
		__r = (access);							\
	} else if (!kvm_samsara_ops->msr_before(vcpu, in, index, datap, &__r)) {	\
		__r = (access);							\
		kvm_samsara_ops->msr_after(vcpu, in, index, *(datap), __r);	\
	}									\
	__r;									\
})

#else /* !CONFIG_KVM_SAMSARA */

static inline bool kvm_samsara_vm(struct kvm *kvm) { return false; }
static inline bool kvm_samsara_vcpu(struct kvm_vcpu *vcpu) { return false; }
static inline unsigned long kvm_samsara_hidden_cr4(struct kvm *kvm) { return 0; }
static inline int kvm_samsara_pre_enter(struct kvm_vcpu *vcpu) { return 1; }
static inline bool kvm_samsara_owns_events(struct kvm_vcpu *vcpu) { return false; }
static inline int kvm_samsara_complete_io(struct kvm_vcpu *vcpu,
					  kvm_samsara_cui_t cui)
{
	return cui(vcpu);
}
static inline void kvm_samsara_leave(struct kvm_vcpu *vcpu) {}
static inline void kvm_samsara_note_init(struct kvm_vcpu *vcpu) {}
static inline void kvm_samsara_note_sipi(struct kvm_vcpu *vcpu, u8 vector) {}
static inline void kvm_samsara_page_dirty(struct kvm *kvm, gfn_t gfn) {}
static inline bool kvm_samsara_frozen(struct kvm *kvm) { return false; }
static inline bool kvm_samsara_slots_frozen(struct kvm *kvm) { return false; }
static inline bool kvm_samsara_refuses_vcpus(struct kvm *kvm) { return false; }
static inline bool kvm_samsara_refuses_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl)
{
	return false;
}
static inline bool kvm_samsara_refuses_vm_ioctl(struct kvm *kvm, unsigned int ioctl)
{
	return false;
}
#define kvm_samsara_bus(vcpu, bus, in, addr, len, data, access) (access)
#define kvm_samsara_msr(vcpu, in, index, datap, access) (access)

#endif /* CONFIG_KVM_SAMSARA */

#endif /* __KVM_X86_SAMSARA_HOOKS_H */
