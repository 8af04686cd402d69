// SPDX-License-Identifier: GPL-2.0
/*
 * Coding of log records.  The layouts are in Documentation/log-format.rst;
 * put_*() and get_*() below follow it field by field, in pairs.
 */
#include "smr_codec.h"

#define SMR_PAGE_SHIFT	12

#include <linux/kvm_samsara.h>

/* Longest payload of a record without its data. */
#define FIXED_MAX	160u

/* See expected_jumps(). */
#define MANY_JUMPS	16u
#define MANY_BRANCHES	65536u

/* VM-entry interruption information: bits of the architecture. */
#define INTR_VECTOR(info)	((info) & 0xffu)
#define INTR_TYPE(info)		(((info) >> 8) & 7u)
#define INTR_HAS_ERROR		(1u << 11)
#define INTR_TYPE_EXCEPTION	3u
#define VECTOR_DB		1u
#define VECTOR_PF		14u

static u64 zigzag(s64 v)
{
	return ((u64)v << 1) ^ (v < 0 ? U64_MAX : 0);
}

static s64 unzigzag(u64 v)
{
	return (s64)((v >> 1) ^ (v & 1 ? U64_MAX : 0));
}

void smr_put_bytes(struct smr_buf *b, const void *p, u32 len)
{
	if (b->full || len > b->size - b->len) {
		b->full = true;
		return;
	}
	if (len)
		memcpy(b->p + b->len, p, len);
	b->len += len;
}

void smr_put_u8(struct smr_buf *b, u8 v)
{
	smr_put_bytes(b, &v, 1);
}

void smr_put_varint(struct smr_buf *b, u64 v)
{
	u8 bytes[10];
	u32 n = 0;

	while (v >= 0x80) {
		bytes[n++] = (u8)v | 0x80;
		v >>= 7;
	}
	bytes[n++] = (u8)v;
	smr_put_bytes(b, bytes, n);
}

void smr_put_zigzag(struct smr_buf *b, s64 v)
{
	smr_put_varint(b, zigzag(v));
}

static void put_fixed(struct smr_buf *b, u64 v, u32 len)
{
	u8 bytes[8];
	u32 i;

	for (i = 0; i < len; i++)
		bytes[i] = (u8)(v >> (8 * i));
	smr_put_bytes(b, bytes, len);
}

const u8 *smr_get_bytes(struct smr_cursor *c, u32 len)
{
	const u8 *p = c->p;

	if (c->bad || len > (size_t)(c->end - p)) {
		c->bad = true;
		return NULL;
	}
	c->p += len;
	return p;
}

u8 smr_get_u8(struct smr_cursor *c)
{
	const u8 *p = smr_get_bytes(c, 1);

	return p ? *p : 0;
}

u64 smr_get_varint(struct smr_cursor *c)
{
	u64 v = 0;
	u32 shift;
	u8 byte;

	for (shift = 0; shift < 70; shift += 7) {
		byte = smr_get_u8(c);
		if (c->bad)
			return 0;
		/* Not the shortest form, or more than 64 bits. */
		if ((shift && !byte) || (shift == 63 && byte > 1))
			break;
		v |= (u64)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

s64 smr_get_zigzag(struct smr_cursor *c)
{
	return unzigzag(smr_get_varint(c));
}

static u32 get_varint32(struct smr_cursor *c)
{
	u64 v = smr_get_varint(c);

	if (v > 0xffffffffu) {
		c->bad = true;
		return 0;
	}
	return (u32)v;
}

static u64 get_fixed(struct smr_cursor *c, u32 len)
{
	const u8 *p = smr_get_bytes(c, len);
	u64 v = 0;

	while (p && len--)
		v = v << 8 | p[len];
	return v;
}

static u32 flags_of_type(u8 type)
{
	switch (type) {
	case SMR_CHUNK:
		return SMR_F_ALL;
	case SMR_SECTION:
		return SMR_F_ALL & ~(SMR_F_RCX | SMR_F_WAS_READABLE);
	default:
		return SMR_F_MEMDIGEST;
	}
}

/* Which optional fields an event has follows from its intr_info alone. */
static bool event_has_error(u32 info)
{
	return info & INTR_HAS_ERROR;
}

static bool event_has_len(u32 info)
{
	return INTR_TYPE(info) >= 4 && INTR_TYPE(info) <= 6;
}

static bool event_has_aux(u32 info)
{
	return INTR_TYPE(info) == INTR_TYPE_EXCEPTION &&
	       (INTR_VECTOR(info) == VECTOR_PF || INTR_VECTOR(info) == VECTOR_DB);
}

/* Rotated by one, so that the valid bit (31) doesn't make it five bytes long. */
static void put_event(struct smr_buf *b, const struct smr_event *e)
{
	smr_put_varint(b, (u32)(e->intr_info << 1 | e->intr_info >> 31));
	if (event_has_error(e->intr_info))
		smr_put_varint(b, e->error_code);
	if (event_has_len(e->intr_info))
		smr_put_varint(b, e->insn_len);
	if (event_has_aux(e->intr_info))
		smr_put_varint(b, e->aux);
}

static void get_event(struct smr_cursor *c, struct smr_event *e)
{
	u32 v = get_varint32(c);

	e->intr_info = v >> 1 | v << 31;
	if (event_has_error(e->intr_info))
		e->error_code = get_varint32(c);
	if (event_has_len(e->intr_info))
		e->insn_len = get_varint32(c);
	if (event_has_aux(e->intr_info))
		e->aux = smr_get_varint(c);
}

/*
 * A program that jumps a lot does so in some proportion to its branches: the
 * difference is a byte less.  In one that hardly does it would be a byte of noise.
 * Modulo 2^64 like the sums, whatever a hostile log has in them.
 */
static u64 expected_jumps(const struct smr_stream *s, u64 branches)
{
	if (!s->branches || s->jumps < s->branches / MANY_JUMPS)
		return 0;
	return branches * s->jumps / s->branches;
}

static void note_position(struct smr_stream *s, const struct smr_position *pos)
{
	s->branches += pos->branches;
	s->jumps += pos->jumps;
	if (s->branches > MANY_BRANCHES) {
		s->branches /= 2;
		s->jumps /= 2;
	}
}

/* RIP as it is: the same few come again and again, the differences do not. */
static void put_position(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b)
{
	const struct smr_position *pos = &r->pos;

	smr_put_varint(b, pos->branches);
	smr_put_zigzag(b, (s64)(pos->jumps - expected_jumps(s, pos->branches)));
	smr_put_zigzag(b, (s64)pos->rip);
	if (r->flags & SMR_F_RCX)
		smr_put_varint(b, pos->rcx);
	note_position(s, pos);
}

static void get_position(struct smr_stream *s, struct smr_cursor *c, struct smr_record *r)
{
	struct smr_position *pos = &r->pos;

	pos->branches = smr_get_varint(c);
	pos->jumps = expected_jumps(s, pos->branches) + (u64)smr_get_zigzag(c);
	pos->rip = (u64)smr_get_zigzag(c);
	if (r->flags & SMR_F_RCX)
		pos->rcx = smr_get_varint(c);
	note_position(s, pos);
}

/* Flags that say more about one kind of end. */
static bool flags_fit_end(const struct smr_record *r)
{
	return (!(r->flags & SMR_F_RCX) || r->end == SMR_END_ASYNC) &&
	       (!(r->flags & SMR_F_WAS_READABLE) || r->end == SMR_END_TOUCH);
}

/* Flags and place in the order: the beginning of every kind of commit. */
static void put_commit(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b)
{
	smr_put_varint(b, r->flags);
	smr_put_varint(b, r->commit_seq - s->commit_seq);
	s->commit_seq = r->commit_seq;
}

static void get_commit(struct smr_stream *s, struct smr_cursor *c, struct smr_record *r)
{
	u64 step;

	r->flags = get_varint32(c);
	step = smr_get_varint(c);
	r->commit_seq = s->commit_seq + step;
	if ((r->flags & ~flags_of_type(r->type)) || !step || r->commit_seq < step)
		c->bad = true;
	s->commit_seq = r->commit_seq;
}

/* What takes effect at the start of a chunk. */
static void put_start(const struct smr_record *r, struct smr_buf *b)
{
	if (r->flags & SMR_F_SIPI)
		smr_put_u8(b, r->sipi_vector);
	if (r->flags & SMR_F_EVENT)
		put_event(b, &r->event);
}

static void get_start(struct smr_cursor *c, struct smr_record *r)
{
	if (r->flags & SMR_F_SIPI)
		r->sipi_vector = smr_get_u8(c);
	if (r->flags & SMR_F_EVENT)
		get_event(c, &r->event);
}

static u64 get_gfn(struct smr_cursor *c)
{
	u64 gfn = smr_get_varint(c);

	if (gfn >> (64 - SMR_PAGE_SHIFT))
		c->bad = true;
	return gfn;
}

static void put_chunk(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b)
{
	put_commit(s, r, b);
	smr_put_varint(b, r->commit_seq - r->start_seq - 1);
	smr_put_varint(b, r->end);
	put_start(r, b);
	if (r->end == SMR_END_ASYNC)
		put_position(s, r, b);
	else if (r->end == SMR_END_TOUCH)
		smr_put_varint(b, r->gpa >> SMR_PAGE_SHIFT);
	put_fixed(b, r->digest, 4);
	if (r->flags & SMR_F_MEMDIGEST)
		put_fixed(b, r->mem_digest, 8);
}

static void get_chunk(struct smr_stream *s, struct smr_cursor *c, struct smr_record *r)
{
	u64 distance, end;

	get_commit(s, c, r);
	distance = smr_get_varint(c);
	end = smr_get_varint(c);
	if (distance >= r->commit_seq || end > 0xffff)
		c->bad = true;
	r->start_seq = r->commit_seq - distance - 1;
	r->end = (u16)end;
	get_start(c, r);
	if (r->end == SMR_END_ASYNC)
		get_position(s, c, r);
	else if (r->end == SMR_END_TOUCH)
		r->gpa = get_gfn(c) << SMR_PAGE_SHIFT;
	if (!flags_fit_end(r))
		c->bad = true;
	r->digest = (u32)get_fixed(c, 4);
	if (r->flags & SMR_F_MEMDIGEST)
		r->mem_digest = get_fixed(c, 8);
}

static void put_section(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b)
{
	put_commit(s, r, b);
	put_start(r, b);
	put_fixed(b, r->digest, 4);
	if (r->flags & SMR_F_MEMDIGEST)
		put_fixed(b, r->mem_digest, 8);
}

static void get_section(struct smr_stream *s, struct smr_cursor *c, struct smr_record *r)
{
	get_commit(s, c, r);
	get_start(c, r);
	r->digest = (u32)get_fixed(c, 4);
	if (r->flags & SMR_F_MEMDIGEST)
		r->mem_digest = get_fixed(c, 8);
}

static void put_dma(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b)
{
	put_commit(s, r, b);
	smr_put_varint(b, r->gpa);
	smr_put_varint(b, r->dma_len);
	if (r->flags & SMR_F_MEMDIGEST)
		put_fixed(b, r->mem_digest, 8);
}

static void get_dma(struct smr_stream *s, struct smr_cursor *c, struct smr_record *r)
{
	get_commit(s, c, r);
	r->gpa = smr_get_varint(c);
	r->dma_len = get_varint32(c);
	if (r->flags & SMR_F_MEMDIGEST)
		r->mem_digest = get_fixed(c, 8);
	if (r->dma_len != (size_t)(c->end - c->p))
		c->bad = true;
}

static void put_dma_ref(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b)
{
	put_commit(s, r, b);
	smr_put_varint(b, r->gpa);
	smr_put_varint(b, r->dma_len);
	smr_put_varint(b, r->image);
	smr_put_varint(b, r->image_offset);
	put_fixed(b, r->digest, 4);
	if (r->flags & SMR_F_MEMDIGEST)
		put_fixed(b, r->mem_digest, 8);
}

static void get_dma_ref(struct smr_stream *s, struct smr_cursor *c, struct smr_record *r)
{
	get_commit(s, c, r);
	r->gpa = smr_get_varint(c);
	r->dma_len = get_varint32(c);
	r->image = get_varint32(c);
	r->image_offset = smr_get_varint(c);
	r->digest = (u32)get_fixed(c, 4);
	if (r->flags & SMR_F_MEMDIGEST)
		r->mem_digest = get_fixed(c, 8);
	if (c->p != c->end)
		c->bad = true;
}

static void put_map(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b)
{
	put_commit(s, r, b);
	if (r->flags & SMR_F_MEMDIGEST)
		put_fixed(b, r->mem_digest, 8);
}

static void get_map(struct smr_stream *s, struct smr_cursor *c, struct smr_record *r)
{
	get_commit(s, c, r);
	if (r->flags & SMR_F_MEMDIGEST)
		r->mem_digest = get_fixed(c, 8);
}

static void put_vm_end(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b)
{
	smr_put_varint(b, r->commit_seq);
	put_fixed(b, r->mem_digest, 8);
	s->commit_seq = r->commit_seq;
}

static void get_vm_end(struct smr_stream *s, struct smr_cursor *c, struct smr_record *r)
{
	r->commit_seq = smr_get_varint(c);
	r->mem_digest = get_fixed(c, 8);
	if (r->commit_seq < s->commit_seq)
		c->bad = true;
	s->commit_seq = r->commit_seq;
}

bool smr_is_commit(u8 type)
{
	return type == SMR_CHUNK || type == SMR_SECTION || type == SMR_DMA || type == SMR_MAP ||
	       type == SMR_STATE || type == SMR_DMA_REF;
}

static bool may_encode(const struct smr_stream *s, const struct smr_record *r)
{
	if (r->type == SMR_VM_END && r->commit_seq < s->commit_seq)
		return false;
	if (r->type == SMR_CHUNK && r->start_seq >= r->commit_seq)
		return false;
	if (r->type == SMR_CHUNK && !flags_fit_end(r))
		return false;
	if (r->type == SMR_DMA && r->dma_len != r->data_len)
		return false;
	if (r->type == SMR_DMA_REF && r->data_len)
		return false;
	if (!smr_is_commit(r->type))
		return r->type >= SMR_VCPU_END && r->type <= SMR_VM_END && !r->data_len;
	return r->commit_seq > s->commit_seq && !(r->flags & ~flags_of_type(r->type));
}

static void put_payload(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b)
{
	switch (r->type) {
	case SMR_CHUNK:
		put_chunk(s, r, b);
		break;
	case SMR_SECTION:
	case SMR_STATE:
		put_section(s, r, b);
		break;
	case SMR_DMA:
		put_dma(s, r, b);
		break;
	case SMR_DMA_REF:
		put_dma_ref(s, r, b);
		break;
	case SMR_MAP:
		put_map(s, r, b);
		break;
	case SMR_VCPU_END:
		put_fixed(b, r->chain, 8);
		put_fixed(b, r->state_digest, 8);
		break;
	case SMR_VM_START:
		put_fixed(b, r->mem_digest, 8);
		break;
	case SMR_VM_END:
		put_vm_end(s, r, b);
		break;
	}
}

static void get_payload(struct smr_stream *s, struct smr_cursor *c, struct smr_record *r)
{
	switch (r->type) {
	case SMR_CHUNK:
		get_chunk(s, c, r);
		break;
	case SMR_SECTION:
	case SMR_STATE:
		get_section(s, c, r);
		break;
	case SMR_DMA:
		get_dma(s, c, r);
		break;
	case SMR_DMA_REF:
		get_dma_ref(s, c, r);
		break;
	case SMR_MAP:
		get_map(s, c, r);
		break;
	case SMR_VCPU_END:
		r->chain = get_fixed(c, 8);
		r->state_digest = get_fixed(c, 8);
		break;
	case SMR_VM_START:
		r->mem_digest = get_fixed(c, 8);
		break;
	case SMR_VM_END:
		get_vm_end(s, c, r);
		break;
	default:
		c->bad = true;
	}
}

int smr_encode(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b)
{
	u8 bytes[FIXED_MAX];
	struct smr_buf fixed = { .p = bytes, .size = sizeof(bytes) };
	struct smr_stream next = *s;
	u32 start = b->len;

	if (!may_encode(s, r))
		return -EINVAL;
	if (b->full || r->data_len > SMR_RECORD_MAX)
		return -ENOSPC;

	put_payload(&next, r, &fixed);
	smr_put_u8(b, r->type);
	smr_put_varint(b, fixed.len + r->data_len);
	smr_put_bytes(b, fixed.p, fixed.len);
	smr_put_bytes(b, r->data, r->data_len);
	if (b->full || b->len - start > SMR_RECORD_MAX) {
		b->len = start;
		b->full = false;
		return -ENOSPC;
	}
	*s = next;
	return 0;
}

int smr_peek(const u8 *p, u32 len)
{
	struct smr_cursor c = { .p = p, .end = p + (len < SMR_HEADER_MAX ? len : SMR_HEADER_MAX) };
	u64 payload;
	u32 header;
	u8 type;

	if (!len)
		return 0;
	type = smr_get_u8(&c);
	if (type < SMR_CHUNK || type > SMR_DMA_REF)
		return -EBADMSG;
	payload = smr_get_varint(&c);
	header = (u32)(c.p - p);
	if (c.bad) {
		/* Cut in the middle of the length, or malformed? */
		return c.p == c.end && header < 4 && (header == 1 || p[header - 1] & 0x80) ?
		       0 : -EBADMSG;
	}
	if (payload > SMR_RECORD_MAX - header)
		return -EBADMSG;
	return header + payload <= len ? (int)(header + payload) : 0;
}

int smr_decode(struct smr_stream *s, const u8 *p, u32 len, struct smr_record *r)
{
	struct smr_cursor c = { .p = p, .end = p + len };
	struct smr_stream next = *s;

	memset(r, 0, sizeof(*r));
	r->type = smr_get_u8(&c);
	if (len > SMR_RECORD_MAX || smr_get_varint(&c) != (size_t)(c.end - c.p))
		return -EBADMSG;
	get_payload(&next, &c, r);
	if (smr_is_commit(r->type) && !c.bad) {
		r->data_len = (u32)(c.end - c.p);
		r->data = smr_get_bytes(&c, r->data_len);
	}
	if (c.bad || c.p != c.end)
		return -EBADMSG;
	*s = next;
	return 0;
}

#define SLOT_READONLY	1u	/* in the size */

void smr_put_slot(struct smr_buf *b, const struct smr_slot *slot)
{
	put_fixed(b, slot->gpa, 8);
	put_fixed(b, slot->size | (slot->readonly ? SLOT_READONLY : 0), 8);
	put_fixed(b, slot->ram, 8);
}

static bool page_aligned(u64 v)
{
	return !(v & ((1u << SMR_PAGE_SHIFT) - 1));
}

int smr_next_slot(struct smr_cursor *c, struct smr_slot *slot)
{
	if (!c->bad && c->p == c->end)
		return 0;
	slot->gpa = get_fixed(c, 8);
	slot->size = get_fixed(c, 8);
	slot->ram = get_fixed(c, 8);
	slot->readonly = slot->size & SLOT_READONLY;
	slot->size &= ~(u64)SLOT_READONLY;
	if (c->bad || !slot->size || !page_aligned(slot->gpa | slot->size | slot->ram) ||
	    slot->gpa + slot->size < slot->gpa || slot->ram + slot->size < slot->ram)
		return -EBADMSG;
	return 1;
}

/* An item that doesn't fit leaves the buffer as it was, and `full` set. */
static void end_item(struct smr_buf *b, u32 start)
{
	if (b->full)
		b->len = start;
}

void smr_in_tsc(struct smr_buf *b, u64 *last_tsc, u64 tsc)
{
	u32 start = b->len;

	smr_put_u8(b, SMR_IN_TSC);
	smr_put_zigzag(b, (s64)(tsc - *last_tsc));
	end_item(b, start);
	if (!b->full)
		*last_tsc = tsc;
}

/* The format has room for other kinds of answers. */
#define BUS_ANSWER	1

void smr_in_bus(struct smr_buf *b, const void *data, u8 len)
{
	u32 start = b->len;

	smr_put_u8(b, SMR_IN_BUS);
	smr_put_u8(b, BUS_ANSWER);
	smr_put_u8(b, len);
	smr_put_bytes(b, data, len);
	end_item(b, start);
}

void smr_in_user(struct smr_buf *b, const void *data, u32 len)
{
	u32 start = b->len;

	smr_put_u8(b, SMR_IN_USER);
	smr_put_varint(b, len);
	smr_put_bytes(b, data, len);
	if (len > SMR_INPUT_MAX)
		b->full = true;
	end_item(b, start);
}

void smr_in_rdmsr(struct smr_buf *b, int ret, u64 data)
{
	u32 start = b->len;

	smr_put_u8(b, SMR_IN_RDMSR);
	smr_put_zigzag(b, ret);
	smr_put_varint(b, data);
	end_item(b, start);
}

void smr_in_wrmsr(struct smr_buf *b, int ret)
{
	u32 start = b->len;

	smr_put_u8(b, SMR_IN_WRMSR);
	smr_put_zigzag(b, ret);
	end_item(b, start);
}

static s32 get_ret(struct smr_cursor *c)
{
	s64 v = smr_get_zigzag(c);

	if (v != (s32)v)
		c->bad = true;
	return (s32)v;
}

static void get_item(struct smr_cursor *c, u64 last_tsc, struct smr_item *item)
{
	item->kind = smr_get_u8(c);
	switch (item->kind) {
	case SMR_IN_TSC:
		item->value = last_tsc + (u64)smr_get_zigzag(c);
		break;
	case SMR_IN_BUS:
		if (smr_get_u8(c) != BUS_ANSWER)
			c->bad = true;
		item->len = smr_get_u8(c);
		item->data = smr_get_bytes(c, item->len);
		break;
	case SMR_IN_USER:
		item->len = get_varint32(c);
		item->data = smr_get_bytes(c, item->len);
		if (item->len > SMR_INPUT_MAX)
			c->bad = true;
		break;
	case SMR_IN_RDMSR:
		item->ret = get_ret(c);
		item->value = smr_get_varint(c);
		break;
	case SMR_IN_WRMSR:
		item->ret = get_ret(c);
		break;
	default:
		c->bad = true;
	}
}

int smr_next_item(struct smr_cursor *c, u64 *last_tsc, struct smr_item *item)
{
	memset(item, 0, sizeof(*item));
	if (!c->bad && c->p == c->end)
		return 0;
	get_item(c, *last_tsc, item);
	if (c->bad)
		return -EBADMSG;
	if (item->kind == SMR_IN_TSC)
		*last_tsc = item->value;
	return 1;
}

#define NR_OF(a)	(sizeof(a) / sizeof((a)[0]))

const char *smr_type_name(u8 type)
{
	static const char * const names[] = {
		[SMR_CHUNK]	= "chunk",
		[SMR_SECTION]	= "section",
		[SMR_DMA]	= "dma",
		[SMR_VCPU_END]	= "vcpu-end",
		[SMR_VM_START]	= "vm-start",
		[SMR_VM_END]	= "vm-end",
		[SMR_MAP]	= "map",
		[SMR_STATE]	= "state",
		[SMR_DMA_REF]	= "dma-ref",
	};

	return type < NR_OF(names) && names[type] ? names[type] : "unknown";
}

const char *smr_end_name(u16 end)
{
	static const char * const names[] = {
		[0]  = "exception or NMI",
		[SMR_END_ASYNC] = "async",
		[2]  = "triple fault",
		[3]  = "INIT",
		[4]  = "SIPI",
		[7]  = "interrupt window",
		[8]  = "NMI window",
		[9]  = "task switch",
		[10] = "CPUID",
		[12] = "HLT",
		[13] = "INVD",
		[14] = "INVLPG",
		[15] = "RDPMC",
		[16] = "RDTSC",
		[18] = "VMCALL",
		[19] = "VMCLEAR",
		[20] = "VMLAUNCH",
		[21] = "VMPTRLD",
		[22] = "VMPTRST",
		[23] = "VMREAD",
		[24] = "VMRESUME",
		[25] = "VMWRITE",
		[26] = "VMXOFF",
		[27] = "VMXON",
		[28] = "CR access",
		[29] = "DR access",
		[30] = "I/O instruction",
		[31] = "RDMSR",
		[32] = "WRMSR",
		[33] = "invalid state",
		[34] = "MSR load failure",
		[36] = "MWAIT",
		[37] = "monitor trap flag",
		[39] = "MONITOR",
		[40] = "PAUSE",
		[41] = "machine check at entry",
		[43] = "TPR below threshold",
		[44] = "APIC access",
		[45] = "virtual EOI",
		[46] = "GDTR or IDTR access",
		[47] = "LDTR or TR access",
		[48] = "EPT violation",
		[49] = "EPT misconfiguration",
		[50] = "INVEPT",
		[51] = "RDTSCP",
		[52] = "preemption timer",
		[53] = "INVVPID",
		[54] = "WBINVD",
		[55] = "XSETBV",
		[56] = "APIC write",
		[57] = "RDRAND",
		[58] = "INVPCID",
		[59] = "VMFUNC",
		[60] = "ENCLS",
		[61] = "RDSEED",
		[62] = "PML full",
		[63] = "XSAVES",
		[64] = "XRSTORS",
		[67] = "UMWAIT",
		[68] = "TPAUSE",
		[74] = "bus lock",
		[75] = "notify",
		[SMR_END_TOUCH] = "contended page",
	};

	return end < NR_OF(names) && names[end] ? names[end] : "unknown";
}

const char *smr_div_name(u32 div_field)
{
	static const char * const names[] = {
		[KVM_SAMSARA_DIV_NONE]		= "none",
		[KVM_SAMSARA_DIV_EXIT_REASON]	= "exit reason",
		[KVM_SAMSARA_DIV_POSITION]	= "position",
		[KVM_SAMSARA_DIV_REGS]		= "register digest",
		[KVM_SAMSARA_DIV_MEMORY]	= "memory digest",
		[KVM_SAMSARA_DIV_INPUT]		= "input",
		[KVM_SAMSARA_DIV_LOG]		= "log",
		[KVM_SAMSARA_DIV_FINAL]		= "final state",
	};

	return div_field < NR_OF(names) ? names[div_field] : "unknown";
}
