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
#define LEVELS		4

/*
 * Guest-physical address of a linear one, in long mode or without paging; false: not mapped,
 * or not to RAM.
 */
static bool translate(struct samsara_vcpu *sv, u64 linear, gpa_t *gpa)
{
	u64 entry = kvm_read_cr3(sv->vcpu), mask;
	const u64 *table;
	int level;

	if (!is_paging(sv->vcpu)) {
		*gpa = linear;
		return true;
	}

	for (level = LEVELS; level; level--) {
		table = samsara_ept_view(sv, (entry & PTE_ADDR) >> PAGE_SHIFT);
		if (!table)
			return false;
		mask = BIT_ULL(PAGE_SHIFT + 9 * (level - 1)) - 1;
		entry = table[(linear >> (PAGE_SHIFT + 9 * (level - 1))) & 511];
		if (!(entry & _PAGE_PRESENT))
			return false;
		if (level == 1 || (level < LEVELS && (entry & _PAGE_PSE)))
			break;
	}
	*gpa = (entry & PTE_ADDR & ~mask) | (linear & mask);
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

static bool is_prefix(u8 byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:	/* segments */
	case 0x64 ... 0x67:				/* FS, GS, operand and address size */
	case 0x40 ... 0x4f:				/* REX */
	case 0xf0:					/* LOCK */
	case 0xf2: case 0xf3:
		return true;
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

/* Length of a string instruction with a REP prefix at @linear; 0: another, -1: not known. */
static int rep_length(struct samsara_vcpu *sv, u64 linear)
{
	u8 bytes[MAX_INSN_LEN];
	bool rep = false;
	u32 len, i;

	len = read_code(sv, linear, bytes, sizeof(bytes));
	for (i = 0; i < len; i++) {
		if (!is_prefix(bytes[i]))
			return rep && is_string_insn(bytes[i]) ? i + 1 : 0;
		rep |= bytes[i] == 0xf2 || bytes[i] == 0xf3;
	}
	return -1;
}

/*
 * Is the guest at a string instruction with a REP prefix?  True if that can't be told:
 * outside long mode, or where the code is not mapped.
 */
bool samsara_at_rep(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;

	if (!(vcpu->arch.efer & EFER_LMA) || kvm_read_cr4_bits(vcpu, X86_CR4_LA57))
		return true;
	return rep_length(sv, kvm_get_linear_rip(vcpu)) != 0;
}

/*
 * Linear address of the instruction behind the one the guest is at, if that is a string
 * instruction with a REP prefix that no page fault can interrupt; else 0.
 */
u64 samsara_behind_rep(struct samsara_vcpu *sv)
{
	u64 linear = kvm_get_linear_rip(sv->vcpu);
	int len = is_paging(sv->vcpu) ? 0 : rep_length(sv, linear);

	return len > 0 ? linear + len : 0;
}
