// SPDX-License-Identifier: GPL-2.0
/*
 * What the chunks of a parallel recording lost time over: the pages for which they were rolled
 * back or ended early, and the instructions.  For people who want to know why a guest is recorded
 * slowly; nothing here decides anything.
 *
 * What is known differs.  A chunk that ends before a contended page stands at the instruction that
 * touches it, and the processor has told the address.  Of a chunk that is rolled back
 * only the pages are known, since the accessed flags do not tell who set them; its
 * instruction is the one that it began with, and begins with again.
 */
#include "arch.h"
#include "hot.h"
#include "samsara.h"

int samsara_hot_init(struct samsara_vcpu *sv)
{
	spin_lock_init(&sv->hot.lock);
	sv->hot.table = kvcalloc(SMR_HOT_SPOTS, sizeof(*sv->hot.table), GFP_KERNEL_ACCOUNT);
	return sv->hot.table ? 0 : -ENOMEM;
}

void samsara_hot_free(struct samsara_vcpu *sv)
{
	kvfree(sv->hot.table);
}

static void add(struct samsara_vcpu *sv, const struct smr_hot *what)
{
	spin_lock(&sv->hot.lock);
	smr_hot_add(sv->hot.table, what);
	spin_unlock(&sv->hot.lock);
}

/* The chunk is about to be rolled back, for this page among others; @cycles were for nothing. */
void samsara_hot_conflict(struct samsara_vcpu *sv, const struct samsara_page *sp, u64 cycles)
{
	struct smr_hot what = {
		.kind = KVM_SAMSARA_HOT_ROLLBACK,
		.ram = sp->ram,
		.rip = samsara_regs_rip(&sv->start_regs),
		.count = 1,
		.cycles = cycles,
	};

	add(sv, &what);
}

/* The address of the data; 0: the processor was on its way there through page tables. */
static u64 linear_address(struct kvm_vcpu *vcpu)
{
	unsigned long known = EPT_VIOLATION_GVA_IS_VALID | EPT_VIOLATION_GVA_TRANSLATED;

	return (vmx_get_exit_qual(vcpu) & known) == known ? vmcs_readl(GUEST_LINEAR_ADDRESS) : 0;
}

/* An EPT violation: the chunk ends before the page. */
void samsara_hot_touch(struct samsara_vcpu *sv, const struct samsara_page *sp)
{
	sv->hot.wanted = (struct smr_hot) {
		.kind = KVM_SAMSARA_HOT_TOUCH,
		.ram = sp->ram,
		.rip = kvm_rip_read(sv->vcpu),
		.linear = linear_address(sv->vcpu),
		.count = 1,
	};
	add(sv, &sv->hot.wanted);
}

/* The vCPU has waited for the page of its last touch. */
void samsara_hot_waited(struct samsara_vcpu *sv, u64 cycles)
{
	if (!sv->hot.wanted.rip)
		return;
	sv->hot.wanted.count = 0;
	sv->hot.wanted.cycles = cycles;
	add(sv, &sv->hot.wanted);
	sv->hot.wanted.rip = 0;
}

static_assert(SMR_HOT_SPOTS == KVM_SAMSARA_HOT_MAX);

static u32 copy_spots(struct samsara_vcpu *sv, struct kvm_samsara_hot_spot *spots)
{
	const struct smr_hot *hot;
	u32 i, n = 0;

	spin_lock(&sv->hot.lock);
	for (i = 0; i < SMR_HOT_SPOTS; i++) {
		hot = &sv->hot.table[i];
		if (!hot->weight)
			continue;
		spots[n++] = (struct kvm_samsara_hot_spot) {
			.ram = hot->ram,
			.rip = hot->rip,
			.linear = hot->linear,
			.count = hot->count,
			.cycles = hot->cycles,
			.kind = hot->kind,
		};
	}
	spin_unlock(&sv->hot.lock);
	return n;
}

/*
 * Returns 0; -ENXIO: no such vCPU; -ENODATA: it has none; -EINVAL, -EFAULT, -ENOMEM; -E2BIG:
 * there is not enough room.
 */
int samsara_hot_get(struct samsara_vm *vm, u64 id, void __user *uaddr)
{
	struct kvm_samsara_hot_spot *spots;
	struct kvm_samsara_hot request;
	struct samsara_vcpu *sv;
	int r = 0;

	if (id >= vm->nr_vcpus)
		return -ENXIO;
	sv = vm->vcpus[id];
	if (!sv->hot.table)
		return -ENODATA;
	if (copy_from_user(&request, uaddr, sizeof(request)))
		return -EFAULT;
	if (request.reserved)
		return -EINVAL;
	if (request.nr < KVM_SAMSARA_HOT_MAX)
		return -E2BIG;
	spots = kvcalloc(SMR_HOT_SPOTS, sizeof(*spots), GFP_KERNEL_ACCOUNT);
	if (!spots)
		return -ENOMEM;
	request.nr = copy_spots(sv, spots);
	if (copy_to_user(u64_to_user_ptr(request.uaddr), spots, request.nr * sizeof(*spots)) ||
	    copy_to_user(uaddr, &request, sizeof(request)))
		r = -EFAULT;
	kvfree(spots);
	return r;
}
