// SPDX-License-Identifier: GPL-2.0
#include "smr_check.h"

/* VM-entry interruption information. */
#define INTR_VALID		(1u << 31)
#define INTR_ERROR_CODE		(1u << 11)
#define INTR_RESERVED		0x7ffff000u
#define INTR_EXTERNAL		0u
#define INTR_NMI		2u
#define INTR_HARD_EXCEPTION	3u
#define INTR_SOFT_INTERRUPT	4u
#define INTR_SOFT_EXCEPTION	6u

#define VECTOR_DB		1u
#define VECTOR_NMI		2u
#define VECTOR_BP		3u
#define VECTOR_OF		4u
#define NR_EXCEPTIONS		32u
/* #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP */
#define VECTORS_WITH_ERROR	0x00227d00u

#define MAX_INSN_LEN		15u

/* Of a performance counter, less one for the sign that perf gives its periods. */
#define COUNTER_BITS		47

/* KVM_MSR_RET_FILTERED, the highest of KVM's internal results. */
#define MSR_RET_MAX		3

bool smr_bus_ret_ok(enum smr_bus bus, u32 len, s32 ret)
{
	if (bus == SMR_BUS_PIO)
		return ret == 0 || ret == -EOPNOTSUPP;
	return ret >= 0 && (u32)ret <= len;
}

bool smr_msr_ret_ok(s32 ret)
{
	return ret >= 0 && ret <= MSR_RET_MAX;
}

static bool vector_fits_type(u32 type, u32 vector)
{
	switch (type) {
	case INTR_EXTERNAL:
	case INTR_SOFT_INTERRUPT:
		return true;
	case INTR_NMI:
		return vector == VECTOR_NMI;
	case INTR_HARD_EXCEPTION:
		return vector < NR_EXCEPTIONS && vector != VECTOR_NMI;
	case INTR_SOFT_EXCEPTION:
		return vector == VECTOR_BP || vector == VECTOR_OF;
	default:
		return false;
	}
}

bool smr_event_ok(const struct smr_event *event)
{
	u32 type = (event->intr_info >> 8) & 7, vector = event->intr_info & 0xff;

	if (!(event->intr_info & INTR_VALID) || (event->intr_info & INTR_RESERVED) ||
	    !vector_fits_type(type, vector))
		return false;
	if ((event->intr_info & INTR_ERROR_CODE) &&
	    (type != INTR_HARD_EXCEPTION || !(VECTORS_WITH_ERROR & (1u << vector)) ||
	     event->error_code > 0xffff))
		return false;
	if ((type == INTR_SOFT_INTERRUPT || type == INTR_SOFT_EXCEPTION) &&
	    (!event->insn_len || event->insn_len > MAX_INSN_LEN))
		return false;
	/* Becomes DR6, of which the processor takes 32 bits only. */
	return type != INTR_HARD_EXCEPTION || vector != VECTOR_DB || event->aux <= 0xffffffffu;
}

bool smr_position_ok(const struct smr_position *pos)
{
	return !(pos->branches >> COUNTER_BITS) && !(pos->jumps >> COUNTER_BITS);
}

/* The kind of bus is not in the log: the guest's instruction tells. */
static bool bus_item_ok(const struct smr_item *item)
{
	s32 ret;

	if (item->len < sizeof(ret) || item->len - sizeof(ret) > SMR_BUS_MAX)
		return false;
	memcpy(&ret, item->data, sizeof(ret));
	return smr_bus_ret_ok(SMR_BUS_PIO, SMR_BUS_MAX, ret) ||
	       smr_bus_ret_ok(SMR_BUS_MMIO, SMR_BUS_MAX, ret);
}

static const char *check_item(u8 type, const struct smr_item *item)
{
	/* Inside a chunk there is nothing but time stamps, in a section there are none. */
	if ((item->kind == SMR_IN_TSC) != (type == SMR_CHUNK))
		return "input";
	switch (item->kind) {
	case SMR_IN_BUS:
		return bus_item_ok(item) ? NULL : "bus result";
	case SMR_IN_USER:
		return item->len ? NULL : "length of user I/O";
	case SMR_IN_RDMSR:
	case SMR_IN_WRMSR:
		return smr_msr_ret_ok(item->ret) ? NULL : "MSR result";
	default:
		return NULL;
	}
}

/* Do any of the slots before @end overlap with @slot? */
static bool overlaps_earlier(const u8 *p, const u8 *end, const struct smr_slot *slot)
{
	struct smr_cursor c = { .p = p, .end = end };
	struct smr_slot s;

	while (smr_next_slot(&c, &s) > 0)
		if (slot->gpa < s.gpa + s.size && s.gpa < slot->gpa + slot->size)
			return true;
	return false;
}

static bool dma_ok(const struct smr_record *r)
{
	return r->dma_len && r->gpa + r->dma_len >= r->gpa;
}

/* Of a device's write: as the kernel takes it, in an image that there may be. */
static bool ref_ok(const struct smr_record *r)
{
	return dma_ok(r) && r->dma_len <= SMR_DMA_MAX &&
	       r->image < SMR_MAX_IMAGES && r->image_offset + r->dma_len >= r->image_offset;
}

/* KVM's slots don't overlap, and there are no more of them than these. */
static bool map_ok(const struct smr_record *r)
{
	struct smr_cursor c = { .p = r->data, .end = r->data + r->data_len };
	const u8 *start = c.p;
	struct smr_slot slot;
	int ret;

	if (r->data_len > SMR_MAX_SLOTS * SMR_SLOT_BYTES)
		return false;
	for (; (ret = smr_next_slot(&c, &slot)) > 0; start = c.p)
		if (overlaps_earlier(r->data, start, &slot))
			return false;
	return !ret;
}

const char *smr_check_record(const struct smr_record *r, u64 *last_tsc)
{
	struct smr_cursor c = { .p = r->data, .end = r->data + r->data_len };
	const char *bad = NULL;
	struct smr_item item;
	int ret;

	if ((r->flags & SMR_F_EVENT) && !smr_event_ok(&r->event))
		return "event";
	if (r->type == SMR_CHUNK && !smr_position_ok(&r->pos))
		return "position";
	if (r->type == SMR_DMA)
		return dma_ok(r) ? NULL : "address";
	if (r->type == SMR_DMA_REF)
		return ref_ok(r) ? NULL : "reference";
	if (r->type == SMR_MAP)
		return map_ok(r) ? NULL : "memory map";
	if (r->type == SMR_STATE)
		return r->data_len && r->data_len <= SMR_STATE_MAX ? NULL : "state";
	if (r->type != SMR_CHUNK && r->type != SMR_SECTION)
		return NULL;
	while (!bad && (ret = smr_next_item(&c, last_tsc, &item)) != 0)
		bad = ret < 0 ? "input" : check_item(r->type, &item);
	return bad;
}

/* Lengths of an item's bytes before its first varint. */
#define TSC_PREFIX	1u	/* kind */
#define RDMSR_PREFIX	2u	/* kind, return value */

bool smr_falsify(u8 *data, u32 len)
{
	struct smr_cursor c = { .p = data, .end = data + len };
	const u8 *start = data, *found = NULL;
	struct smr_item item;
	u64 last_tsc = 0;
	u8 bit = 0;

	for (; smr_next_item(&c, &last_tsc, &item) > 0; start = c.p) {
		if ((item.kind == SMR_IN_BUS && item.len > sizeof(s32)) ||
		    (item.kind == SMR_IN_USER && item.len)) {
			found = item.data + item.len - 1;
			bit = 1;
		} else if (item.kind == SMR_IN_TSC) {
			/* Zigzag: bit 0 is the sign. */
			found = start + TSC_PREFIX;
			bit = 2;
		} else if (item.kind == SMR_IN_RDMSR && !item.ret) {
			found = start + RDMSR_PREFIX;
			bit = 1;
		}
	}
	if (!found)
		return false;
	data[found - data] ^= bit;
	return true;
}
