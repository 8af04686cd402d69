// SPDX-License-Identifier: GPL-2.0
/* The parts of records that recedit and mutate change. */
#include "recording.h"

#define INTR_TYPE(info)		((info) >> 8 & 7)

static struct smr_item *find_item(const struct entry *e, u8 kind)
{
	u32 i;

	for (i = 0; !e->raw && i < e->nr_items; i++) {
		if (e->items[i].kind == kind)
			return &e->items[i];
	}
	return NULL;
}

/* What is longer than before ends with zeroes. */
static void set_data(struct smr_item *item, u32 len, u32 max)
{
	u8 *data;

	if (len > max)
		len = max;
	data = alloc(len, 1);
	memcpy(data, item->data, len < item->len ? len : item->len);
	item->data = data;
	item->len = len;
}

static bool has_bus(const struct entry *e)
{
	const struct smr_item *item = find_item(e, SMR_IN_BUS);

	return item && item->len >= sizeof(s32);
}

/* Some bytes were handled: an access to memory, for ports the result is never positive. */
static bool has_mmio(const struct entry *e)
{
	s32 ret;

	if (!has_bus(e))
		return false;
	memcpy(&ret, find_item(e, SMR_IN_BUS)->data, sizeof(ret));
	return ret > 0;
}

static u64 get_bus_ret(const struct entry *e)
{
	s32 ret;

	memcpy(&ret, find_item(e, SMR_IN_BUS)->data, sizeof(ret));
	return (u64)(s64)ret;
}

static void set_bus_ret(struct entry *e, u64 v)
{
	struct smr_item *item = find_item(e, SMR_IN_BUS);
	s32 ret = (s32)v;

	set_data(item, item->len, item->len);
	memcpy((u8 *)item->data, &ret, sizeof(ret));
}

static u64 get_bus_len(const struct entry *e)
{
	return find_item(e, SMR_IN_BUS)->len - sizeof(s32);
}

static void set_bus_len(struct entry *e, u64 v)
{
	set_data(find_item(e, SMR_IN_BUS), (u32)(v & 0xffff) + sizeof(s32), 255);
}

static bool has_user(const struct entry *e)
{
	return find_item(e, SMR_IN_USER);
}

static u64 get_user_len(const struct entry *e)
{
	return find_item(e, SMR_IN_USER)->len;
}

static void set_user_len(struct entry *e, u64 v)
{
	set_data(find_item(e, SMR_IN_USER), (u32)(v & 0xffff), SMR_INPUT_MAX);
}

static bool has_rdmsr(const struct entry *e)
{
	return find_item(e, SMR_IN_RDMSR);
}

static u64 get_rdmsr_ret(const struct entry *e)
{
	return (u64)(s64)find_item(e, SMR_IN_RDMSR)->ret;
}

static void set_rdmsr_ret(struct entry *e, u64 v)
{
	find_item(e, SMR_IN_RDMSR)->ret = (s32)v;
}

static u64 get_rdmsr_value(const struct entry *e)
{
	return find_item(e, SMR_IN_RDMSR)->value;
}

static void set_rdmsr_value(struct entry *e, u64 v)
{
	find_item(e, SMR_IN_RDMSR)->value = v;
}

static bool has_wrmsr(const struct entry *e)
{
	return find_item(e, SMR_IN_WRMSR);
}

static u64 get_wrmsr_ret(const struct entry *e)
{
	return (u64)(s64)find_item(e, SMR_IN_WRMSR)->ret;
}

static void set_wrmsr_ret(struct entry *e, u64 v)
{
	find_item(e, SMR_IN_WRMSR)->ret = (s32)v;
}

static bool has_tsc(const struct entry *e)
{
	return find_item(e, SMR_IN_TSC);
}

static u64 get_tsc(const struct entry *e)
{
	return find_item(e, SMR_IN_TSC)->value;
}

static void set_tsc(struct entry *e, u64 v)
{
	find_item(e, SMR_IN_TSC)->value = v;
}

static bool has_items(const struct entry *e)
{
	return !e->raw && e->nr_items;
}

static u64 get_nr_items(const struct entry *e)
{
	return e->nr_items;
}

/* The item of that number, the last one if there are not so many. */
static void drop_item(struct entry *e, u64 v)
{
	struct smr_item *items = alloc(e->nr_items, sizeof(*items));
	u32 i, n = 0, which = v < e->nr_items ? (u32)v : e->nr_items - 1;

	for (i = 0; i < e->nr_items; i++) {
		if (i != which)
			items[n++] = e->items[i];
	}
	e->items = items;
	e->nr_items = n;
}

static bool may_have_items(const struct entry *e)
{
	return !e->raw && (e->rec.type == SMR_CHUNK || e->rec.type == SMR_SECTION);
}

/* One of that kind, with a result of 0 and eight bytes, if it has such. */
static void add_item(struct entry *e, u64 v)
{
	static const u8 zero[8];
	struct smr_item *items = alloc(e->nr_items + 1, sizeof(*items));

	if (e->nr_items)
		memcpy(items, e->items, e->nr_items * sizeof(*items));
	items[e->nr_items].kind = (u8)(SMR_IN_TSC + v % SMR_IN_WRMSR);
	items[e->nr_items].data = zero;
	items[e->nr_items].len = sizeof(zero);
	e->items = items;
	e->nr_items++;
}

static bool has_event(const struct entry *e)
{
	return e->rec.flags & SMR_F_EVENT;
}

static bool has_event_error(const struct entry *e)
{
	return has_event(e) && e->rec.event.intr_info & 1u << 11;
}

static bool has_event_len(const struct entry *e)
{
	u32 type = INTR_TYPE(e->rec.event.intr_info);

	return has_event(e) && type >= 4 && type <= 6;
}

static bool has_event_aux(const struct entry *e)
{
	u32 vector = e->rec.event.intr_info & 0xff;

	return has_event(e) && INTR_TYPE(e->rec.event.intr_info) == 3 &&
	       (vector == 1 || vector == 14);
}

static bool has_sipi(const struct entry *e)
{
	return e->rec.flags & SMR_F_SIPI;
}

static bool is_chunk(const struct entry *e)
{
	return e->rec.type == SMR_CHUNK;
}

static bool may_have_stamps(const struct entry *e)
{
	return is_chunk(e) && may_have_items(e);
}

static void set_end(struct entry *e, u64 v)
{
	e->rec.end = (u16)v;
	if (e->rec.end != SMR_END_ASYNC)
		e->rec.flags &= ~SMR_F_RCX;
	if (e->rec.end != SMR_END_TOUCH)
		e->rec.flags &= ~SMR_F_WAS_READABLE;
}

static bool is_touch(const struct entry *e)
{
	return is_chunk(e) && e->rec.end == SMR_END_TOUCH;
}

static void set_gpa(struct entry *e, u64 v)
{
	e->rec.gpa = v & ~0xfffull;
}

static bool is_dma(const struct entry *e)
{
	return e->rec.type == SMR_DMA;
}

static bool is_async(const struct entry *e)
{
	return is_chunk(e) && e->rec.end == SMR_END_ASYNC;
}

/* Every asynchronous end can have it. */
static void set_rcx(struct entry *e, u64 v)
{
	e->rec.flags |= SMR_F_RCX;
	e->rec.pos.rcx = v;
}

static bool has_digest(const struct entry *e)
{
	return e->rec.type == SMR_CHUNK || e->rec.type == SMR_SECTION;
}

static bool has_mem_digest(const struct entry *e)
{
	return e->rec.flags & SMR_F_MEMDIGEST || e->rec.type == SMR_VM_START ||
	       e->rec.type == SMR_VM_END;
}

static bool has_chain(const struct entry *e)
{
	return e->rec.type == SMR_VCPU_END;
}

/* Functions for a member of the record. */
#define MEMBER(name, member)						\
static u64 get_##name(const struct entry *e)				\
{									\
	return e->rec.member;						\
}									\
									\
static void set_##name(struct entry *e, u64 v)				\
{									\
	e->rec.member = v;						\
}

MEMBER(event, event.intr_info)
MEMBER(event_error, event.error_code)
MEMBER(event_len, event.insn_len)
MEMBER(event_aux, event.aux)
MEMBER(sipi, sipi_vector)
MEMBER(dma_gpa, gpa)
MEMBER(branches, pos.branches)
MEMBER(jumps, pos.jumps)
MEMBER(rip, pos.rip)
MEMBER(flags, flags)
MEMBER(commit_seq, commit_seq)
MEMBER(start_seq, start_seq)
MEMBER(digest, digest)
MEMBER(mem_digest, mem_digest)
MEMBER(chain, chain)
MEMBER(state_digest, state_digest)

static u64 get_rcx(const struct entry *e)
{
	return e->rec.pos.rcx;
}

static u64 get_end(const struct entry *e)
{
	return e->rec.end;
}

const struct field fields[] = {
	{ "bus-ret",		has_bus,	get_bus_ret,	set_bus_ret },
	{ "mmio-ret",		has_mmio,	get_bus_ret,	set_bus_ret },
	{ "bus-data-len",	has_bus,	get_bus_len,	set_bus_len },
	{ "user-len",		has_user,	get_user_len,	set_user_len },
	{ "rdmsr-ret",		has_rdmsr,	get_rdmsr_ret,	set_rdmsr_ret },
	{ "rdmsr-value",	has_rdmsr,	get_rdmsr_value, set_rdmsr_value },
	{ "wrmsr-ret",		has_wrmsr,	get_wrmsr_ret,	set_wrmsr_ret },
	{ "tsc",		has_tsc,	get_tsc,	set_tsc },
	{ "drop-item",		has_items,	get_nr_items,	drop_item },
	{ "add-item",		may_have_items,	get_nr_items,	add_item },
	{ "add-chunk-item",	may_have_stamps, get_nr_items,	add_item },
	{ "event",		has_event,	get_event,	set_event },
	{ "event-error",	has_event_error, get_event_error, set_event_error },
	{ "event-len",		has_event_len,	get_event_len,	set_event_len },
	{ "event-aux",		has_event_aux,	get_event_aux,	set_event_aux },
	{ "sipi",		has_sipi,	get_sipi,	set_sipi },
	{ "end",		is_chunk,	get_end,	set_end },
	{ "gpa",		is_touch,	get_dma_gpa,	set_gpa },
	{ "dma-gpa",		is_dma,		get_dma_gpa,	set_dma_gpa },
	{ "branches",		is_async,	get_branches,	set_branches },
	{ "jumps",		is_async,	get_jumps,	set_jumps },
	{ "rip",		is_async,	get_rip,	set_rip },
	{ "rcx",		is_async,	get_rcx,	set_rcx },
	{ "flags",		is_commit,	get_flags,	set_flags },
	{ "chunk-flags",	is_chunk,	get_flags,	set_flags },
	{ "commit-seq",		is_commit,	get_commit_seq,	set_commit_seq },
	{ "start-seq",		is_chunk,	get_start_seq,	set_start_seq },
	{ "digest",		has_digest,	get_digest,	set_digest },
	{ "mem-digest",		has_mem_digest,	get_mem_digest,	set_mem_digest },
	{ "chain",		has_chain,	get_chain,	set_chain },
	{ "state-digest",	has_chain,	get_state_digest, set_state_digest },
};

const u32 nr_fields = sizeof(fields) / sizeof(fields[0]);

bool set_field(struct recording *r, u32 stream, u32 i, const struct field *f, u64 v)
{
	struct entry *e = &r->entries[stream][i], before = *e;

	/* The setters put values into items, too. */
	e->items = alloc(e->nr_items, sizeof(*e->items));
	if (e->nr_items)
		memcpy(e->items, before.items, e->nr_items * sizeof(*e->items));
	f->set(e, v);
	if (stream_is_sound(r, stream))
		return true;
	*e = before;
	return false;
}
