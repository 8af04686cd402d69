/* SPDX-License-Identifier: GPL-2.0 */
/* A vCPU's private EPTs, see ept.c. */
#ifndef __KVM_X86_SAMSARA_EPT_H
#define __KVM_X86_SAMSARA_EPT_H

#include <linux/kvm_types.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/mm.h>

struct samsara_page;
struct samsara_vcpu;
struct samsara_vm;

#define EPT_R		BIT_ULL(0)
#define EPT_W		BIT_ULL(1)
#define EPT_X		BIT_ULL(2)
#define EPT_WB		(6ull << 3)
#define EPT_IPAT	BIT_ULL(6)
#define EPT_A		BIT_ULL(8)
#define EPT_D		BIT_ULL(9)
#define EPT_ADDR	GENMASK_ULL(51, 12)
/* Ours; the processor ignores them, and all of an entry without R, W and X. */
#define EPT_WITHHELD	BIT_ULL(52)	/* see contended.c */
#define EPT_WAS_W	BIT_ULL(53)
#define EPT_TABLE	(EPT_R | EPT_W | EPT_X)
#define EPT_LEAF_RO	(EPT_R | EPT_X | EPT_WB | EPT_IPAT)
#define EPT_LEAF_RW	(EPT_LEAF_RO | EPT_W)

/* To samsara_fail(). */
#define SAMSARA_NO_EPT	"no memory for a private EPT"

struct samsara_ept {
	u64 *root;
	bool complete;		/* samsara_ept_map_all() was here */
	struct list_head tables;
};

/* An entry for the page. */
static inline u64 samsara_ept_entry(struct page *page, u64 flags)
{
	return page_to_phys(page) | flags;
}

static inline struct page *samsara_ept_page(u64 entry)
{
	return pfn_to_page((entry & EPT_ADDR) >> PAGE_SHIFT);
}

int samsara_ept_init(struct samsara_ept *ept);
void samsara_ept_free(struct samsara_ept *ept);
int samsara_ept_map_all(struct samsara_ept *ept, struct samsara_vm *vm);
u64 *samsara_ept_leaf(struct samsara_ept *ept, gfn_t gfn);
u64 *samsara_ept_find(struct samsara_ept *ept, gfn_t gfn);
void samsara_ept_forget_cold(struct samsara_ept *ept);

void samsara_ept_withhold(u64 *sptep);
void samsara_ept_withhold_write(u64 *sptep);
void samsara_ept_give_back(u64 *sptep);
void samsara_ept_give_back_read(u64 *sptep, struct samsara_page *sp);

void samsara_ept_use(struct samsara_vcpu *sv, struct samsara_ept *ept);
u64 samsara_eptp(struct samsara_vcpu *sv);
void samsara_ept_flush(struct samsara_vcpu *sv);
const void *samsara_ept_view(struct samsara_vcpu *sv, gfn_t gfn);
void samsara_ept_set_rights(struct samsara_vcpu *sv, struct samsara_page *sp, bool read,
			    bool write);
void samsara_ept_walk(struct samsara_vcpu *sv, bool clear,
		      void (*leaf)(struct samsara_vcpu *sv, u64 *sptep, gfn_t gfn));
void samsara_ept_note_turns(struct samsara_vm *vm);
void samsara_ept_note_replayed(struct samsara_vm *vm, u64 n);
void samsara_ept_note_at_turn(struct samsara_vm *vm, u64 n);

#endif /* __KVM_X86_SAMSARA_EPT_H */
