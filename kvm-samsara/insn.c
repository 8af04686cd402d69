// SPDX-License-Identifier: GPL-2.0
/*
 * A look at the instruction the guest is at, in the middle of a chunk.  The walk of its
 * page tables sets no flag there, and sees what the chunk has written.
 */
#include "ept.h"
#include "insn.h"
#include "samsara.h"

#define MAX_INSN_LEN	15
#define PTE_ADDR	GENMASK_ULL(51, 12)

/* A format of page tables */
struct tables {
	u64 root;		/* entry that names the first table */
	int levels;
	int index_bits;		/* of a linear address, for each level */
	int max_leaf;		/* highest level with entries that map large pages */
};

static void find_tables(struct kvm_vcpu *vcpu, u64 linear, struct tables *t)
{
	bool pae = kvm_read_cr4_bits(vcpu, X86_CR4_PAE);

	t->root = kvm_read_cr3(vcpu);
	t->index_bits = 9;
	if (vcpu->arch.efer & EFER_LMA) {
		t->levels = kvm_read_cr4_bits(vcpu, X86_CR4_LA57) ? 5 : 4;
		t->max_leaf = 3;
	} else if (pae) {
		t->root = kvm_pdptr_read(vcpu, (linear >> 30) & 3);
		t->levels = 2;
		t->max_leaf = 2;
	} else {
		t->levels = 2;
		t->index_bits = 10;
		t->max_leaf = kvm_read_cr4_bits(vcpu, X86_CR4_PSE) ? 2 : 1;
	}
}

static u64 entry_at(const struct tables *t, const void *table, u64 index)
{
	index &= BIT(t->index_bits) - 1;
	return t->index_bits == 9 ? ((const u64 *)table)[index] : ((const u32 *)table)[index];
}

/* Address of the page that @entry maps; a 4 MiB page has bits 32 to 39 elsewhere. */
static u64 frame_of(const struct tables *t, u64 entry, int level, u64 mask)
{
	u64 frame = entry & PTE_ADDR & ~mask;

	if (t->index_bits == 10 && level == 2)
		frame |= (entry & GENMASK_ULL(20, 13)) << 19;
	return frame;
}

/*
 * Guest-physical address of a linear one; false: not mapped, or by tables that are not in
 * RAM.
 */
static bool translate(struct samsara_vcpu *sv, u64 linear, gpa_t *gpa)
{
	const void *table;
	u64 entry, mask;
	struct tables t;
	int level, shift;

	if (!is_paging(sv->vcpu)) {
		*gpa = linear;
		return true;
	}
	find_tables(sv->vcpu, linear, &t);
	entry = t.root;
	/* CR3 has no such flag */
	if (t.levels == 2 && t.index_bits == 9 && !(entry & _PAGE_PRESENT))
		return false;
	for (level = t.levels; level; level--) {
		table = samsara_ept_view(sv, (entry & PTE_ADDR) >> PAGE_SHIFT);
		if (!table)
			return false;
		shift = PAGE_SHIFT + t.index_bits * (level - 1);
		entry = entry_at(&t, table, linear >> shift);
		if (!(entry & _PAGE_PRESENT))
			return false;
		if (level == 1 || (level <= t.max_leaf && (entry & _PAGE_PSE)))
			break;
	}
	mask = BIT_ULL(shift) - 1;
	*gpa = frame_of(&t, entry, level, mask) | (linear & mask);
	return true;
}

/* Up to @len bytes at @linear; how many could be read. */
static u32 read_code(struct samsara_vcpu *sv, u64 linear, u8 *bytes, u32 len)
{
	const u8 *page;
	u32 done, part;
	gpa_t gpa;

	for (done = 0; done < len; done += part) {
		if (!translate(sv, linear + done, &gpa))
			break;
		page = samsara_ept_view(sv, gpa_to_gfn(gpa));
		if (!page)
			break;
		part = min_t(u32, len - done, PAGE_SIZE - offset_in_page(gpa));
		memcpy(bytes + done, page + offset_in_page(gpa), part);
	}
	return done;
}

static bool is_prefix(u8 byte, bool long_mode)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:	/* segments */
	case 0x64 ... 0x67:				/* FS, GS, operand and address size */
	case 0xf0:					/* LOCK */
	case 0xf2: case 0xf3:
		return true;
	case 0x40 ... 0x4f:				/* REX */
		return long_mode;
	default:
		return false;
	}
}

static bool is_string_insn(u8 opcode)
{
	switch (opcode) {
	case 0x6c ... 0x6f:	/* INS, OUTS */
	case 0xa4 ... 0xa7:	/* MOVS, CMPS */
	case 0xaa ... 0xaf:	/* STOS, LODS, SCAS */
		return true;
	default:
		return false;
	}
}

/* What counts the iterations of a REP: CX, ECX or RCX. */
static u64 counter_mask(bool code32, bool code64, bool address_prefix)
{
	if (code64)
		return address_prefix ? U32_MAX : U64_MAX;
	return code32 != address_prefix ? U32_MAX : U16_MAX;
}

/*
 * Fills @rep if the vCPU is at a string instruction with a REP prefix.  1: it is; 0: at
 * another; -1: that can't be told, the code is not mapped.
 */
static int look_for_rep(struct samsara_vcpu *sv, struct samsara_rep *rep)
{
	u64 linear = kvm_get_linear_rip(sv->vcpu);
	u32 access = vmcs_read32(GUEST_CS_AR_BYTES);
	bool code64, repeats = false, address = false;
	u8 bytes[MAX_INSN_LEN];
	u32 len, i;

	code64 = is_long_mode(sv->vcpu) && (access & VMX_AR_L_MASK);
	len = read_code(sv, linear, bytes, sizeof(bytes));
	for (i = 0; i < len && is_prefix(bytes[i], code64); i++) {
		repeats |= bytes[i] == 0xf2 || bytes[i] == 0xf3;
		address |= bytes[i] == 0x67;
	}
	if (i == len)
		return -1;
	if (!repeats || !is_string_insn(bytes[i]))
		return 0;
	rep->behind = linear + i + 1;
	if (!code64)
		rep->behind = (u32)rep->behind;
	rep->mask = counter_mask(access & VMX_AR_DB_MASK, code64, address);
	return 1;
}

/*
 * Is the guest at a string instruction with a REP prefix?  True, too, if that can't be told.
 */
bool samsara_at_rep(struct samsara_vcpu *sv)
{
	struct samsara_rep rep;

	return look_for_rep(sv, &rep) != 0;
}

/* Is the guest at a string instruction with a REP prefix?  Then it is described in @rep. */
bool samsara_find_rep(struct samsara_vcpu *sv, struct samsara_rep *rep)
{
	return look_for_rep(sv, rep) > 0;
}
