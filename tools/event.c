// SPDX-License-Identifier: GPL-2.0
/* A record in words, and as JSON. */
#include "samsara.h"

#define BYTES_SHOWN	16u

const char *event_kind(u32 intr_info)
{
	static const char * const names[8] = {
		"interrupt", "type 1", "NMI", "exception", "INT n", "INT1", "software exception",
		"other",
	};

	return names[intr_info >> 8 & 7];
}

static void print_bytes(const u8 *p, u32 len)
{
	u32 i;

	for (i = 0; i < len && i < BYTES_SHOWN; i++)
		printf("%02x", p[i]);
	if (len > BYTES_SHOWN)
		printf("... (%u bytes)", len);
}

static void print_item(const struct smr_item *item)
{
	switch (item->kind) {
	case SMR_IN_TSC:
		printf(" tsc=%llu", ULL(item->value));
		break;
	case SMR_IN_BUS:
		printf(" bus=");
		print_bytes(item->data, item->len);
		break;
	case SMR_IN_USER:
		printf(" user=");
		print_bytes(item->data, item->len);
		break;
	case SMR_IN_RDMSR:
		printf(" rdmsr=0x%llx", ULL(item->value));
		break;
	case SMR_IN_WRMSR:
		printf(" wrmsr");
		break;
	}
	if (item->ret)
		printf("(returned %d)", item->ret);
}

static void print_inputs(const struct event *ev)
{
	const struct smr_record *r = ev->rec;
	struct smr_cursor c = { .p = r->data, .end = r->data + r->data_len };
	struct smr_item item;
	u64 tsc = ev->tsc;

	if (!r->data_len)
		return;
	printf(" in:");
	while (smr_next_item(&c, &tsc, &item) > 0)
		print_item(&item);
	if (ev->inputs_bad)
		printf(" (rest is damaged)");
}

/* What took effect at the start. */
static void print_start(const struct smr_record *r)
{
	const struct smr_event *e = &r->event;

	if (r->flags & SMR_F_INIT)
		printf(" INIT");
	if (r->flags & SMR_F_SIPI)
		printf(" SIPI vector 0x%02x", r->sipi_vector);
	if (!(r->flags & SMR_F_EVENT))
		return;
	printf(" inject %s %u", event_kind(e->intr_info), e->intr_info & 0xff);
	if (e->intr_info & 1u << 11)
		printf(" error 0x%x", e->error_code);
	if (e->insn_len)
		printf(" length %u", e->insn_len);
	if (e->aux)
		printf(" aux 0x%llx", ULL(e->aux));
}

static void print_position(const struct smr_record *r, const struct symbols *symbols)
{
	char name[SYMBOL_TEXT];

	printf(" end async at branches %llu jumps %llu rip 0x%llx",
	       ULL(r->pos.branches), ULL(r->pos.jumps), ULL(r->pos.rip));
	if (symbols_text(symbols, r->pos.rip, name))
		printf(" <%s>", name);
	if (r->flags & SMR_F_RCX)
		printf(" rcx 0x%llx step", ULL(r->pos.rcx));
}

static void print_chunk(const struct smr_record *r, const struct symbols *symbols)
{
	printf(" start %llu", ULL(r->start_seq));
	print_start(r);
	if (r->end == SMR_END_ASYNC)
		print_position(r, symbols);
	else if (r->end == SMR_END_TOUCH)
		printf(" end before %spage 0x%llx", r->flags & SMR_F_WAS_READABLE ? "writing " : "",
		       ULL(r->gpa));
	else
		printf(" end %u (%s)", r->end, smr_end_name(r->end));
	printf(" digest %08x", r->digest);
}

/* Each slot as GPA+SIZE:RAM, with "ro" if it can only be read. */
static void print_map(const struct smr_record *r)
{
	struct smr_cursor c = { .p = r->data, .end = r->data + r->data_len };
	struct smr_slot s;

	while (smr_next_slot(&c, &s) > 0)
		printf(" 0x%llx+0x%llx:0x%llx%s", ULL(s.gpa), ULL(s.size), ULL(s.ram),
		       s.readonly ? "ro" : "");
}

static void print_payload(const struct event *ev, const struct symbols *symbols)
{
	const struct smr_record *r = ev->rec;

	switch (r->type) {
	case SMR_CHUNK:
		print_chunk(r, symbols);
		print_inputs(ev);
		break;
	case SMR_SECTION:
		print_start(r);
		printf(" digest %08x", r->digest);
		print_inputs(ev);
		break;
	case SMR_STATE:
		printf(" len %u digest %08x", r->data_len, r->digest);
		break;
	case SMR_DMA:
		printf(" ram 0x%llx len %u data ", ULL(r->gpa), r->dma_len);
		print_bytes(r->data, r->data_len);
		break;
	case SMR_DMA_REF:
		printf(" ram 0x%llx len %u image %u offset 0x%llx crc %08x", ULL(r->gpa),
		       r->dma_len, r->image, ULL(r->image_offset), r->digest);
		break;
	case SMR_MAP:
		print_map(r);
		break;
	case SMR_VCPU_END:
		printf(" chain %016llx state %016llx", ULL(r->chain), ULL(r->state_digest));
		break;
	case SMR_VM_START:
		printf(" memory %016llx", ULL(r->mem_digest));
		break;
	case SMR_VM_END:
		printf(" commits %llu memory %016llx", ULL(r->commit_seq), ULL(r->mem_digest));
		break;
	}
	if (r->flags & SMR_F_MEMDIGEST)
		printf(" memory %016llx", ULL(r->mem_digest));
}

void print_event(const struct event *ev, const struct symbols *symbols)
{
	if (smr_is_commit(ev->rec->type))
		printf("%8llu ", ULL(ev->rec->commit_seq));
	else
		printf("%8s ", "-");
	if (ev->vm)
		printf("vm     ");
	else
		printf("vcpu %-2u", ev->stream);
	printf(" %-8s", smr_type_name(ev->rec->type));
	print_payload(ev, symbols);
	putchar('\n');
}

static void json_item(struct json *j, const struct smr_item *item)
{
	static const char * const names[] = {
		"?", "tsc", "bus", "user", "rdmsr", "wrmsr",
	};

	json_open(j, NULL, '{');
	json_text(j, "kind", names[item->kind <= SMR_IN_WRMSR ? item->kind : 0]);
	if (item->kind == SMR_IN_TSC)
		json_u64(j, "value", item->value);
	if (item->kind == SMR_IN_RDMSR)
		json_hex(j, "value", item->value);
	if (item->kind == SMR_IN_RDMSR || item->kind == SMR_IN_WRMSR)
		json_s64(j, "ret", item->ret);
	if (item->kind == SMR_IN_BUS || item->kind == SMR_IN_USER)
		json_bytes(j, "data", item->data, item->len);
	json_close(j, '}');
}

static void json_inputs(struct json *j, const struct event *ev)
{
	const struct smr_record *r = ev->rec;
	struct smr_cursor c = { .p = r->data, .end = r->data + r->data_len };
	struct smr_item item;
	u64 tsc = ev->tsc;

	if (!r->data_len)
		return;
	json_open(j, "inputs", '[');
	while (smr_next_item(&c, &tsc, &item) > 0)
		json_item(j, &item);
	json_close(j, ']');
	if (ev->inputs_bad)
		json_bool(j, "inputs_damaged", true);
}

static void json_start(struct json *j, const struct smr_record *r)
{
	if (r->flags & SMR_F_INIT)
		json_bool(j, "init", true);
	if (r->flags & SMR_F_SIPI)
		json_u64(j, "sipi_vector", r->sipi_vector);
	if (!(r->flags & SMR_F_EVENT))
		return;
	json_open(j, "event", '{');
	json_hex(j, "intr_info", r->event.intr_info);
	json_text(j, "kind", event_kind(r->event.intr_info));
	json_u64(j, "vector", r->event.intr_info & 0xff);
	json_hex(j, "error_code", r->event.error_code);
	json_u64(j, "insn_len", r->event.insn_len);
	json_hex(j, "aux", r->event.aux);
	json_close(j, '}');
}

static void json_chunk(struct json *j, const struct smr_record *r, const struct symbols *symbols)
{
	char name[SYMBOL_TEXT];

	json_u64(j, "start", r->start_seq);
	json_u64(j, "end", r->end);
	json_text(j, "end_name", smr_end_name(r->end));
	if (r->end == SMR_END_TOUCH)
		json_hex(j, "gpa", r->gpa);
	if (r->flags & SMR_F_WAS_READABLE)
		json_bool(j, "write", true);
	if (r->end != SMR_END_ASYNC)
		return;
	json_open(j, "position", '{');
	json_u64(j, "branches", r->pos.branches);
	json_u64(j, "jumps", r->pos.jumps);
	json_hex(j, "rip", r->pos.rip);
	if (symbols_text(symbols, r->pos.rip, name))
		json_text(j, "symbol", name);
	if (r->flags & SMR_F_RCX) {
		json_hex(j, "rcx", r->pos.rcx);
		json_bool(j, "step", true);
	}
	json_close(j, '}');
}

static void json_map(struct json *j, const struct smr_record *r)
{
	struct smr_cursor c = { .p = r->data, .end = r->data + r->data_len };
	struct smr_slot s;

	json_open(j, "slots", '[');
	while (smr_next_slot(&c, &s) > 0) {
		json_open(j, NULL, '{');
		json_hex(j, "gpa", s.gpa);
		json_hex(j, "size", s.size);
		json_hex(j, "ram", s.ram);
		json_bool(j, "readonly", s.readonly);
		json_close(j, '}');
	}
	json_close(j, ']');
}

void json_event(struct json *j, const char *key, const struct event *ev,
		const struct symbols *symbols)
{
	const struct smr_record *r = ev->rec;

	json_open(j, key, '{');
	json_text(j, "type", smr_type_name(r->type));
	json_s64(j, "vcpu", ev->vm ? -1 : (s64)ev->stream);
	if (smr_is_commit(r->type) || r->type == SMR_VM_END)
		json_u64(j, smr_is_commit(r->type) ? "commit" : "commits", r->commit_seq);
	if (r->type == SMR_CHUNK)
		json_chunk(j, r, symbols);
	json_start(j, r);
	if (r->type == SMR_CHUNK || r->type == SMR_SECTION) {
		json_hex(j, "digest", r->digest);
		json_inputs(j, ev);
	}
	if (r->type == SMR_STATE) {
		json_hex(j, "digest", r->digest);
		json_bytes(j, "data", r->data, r->data_len);
	}
	if (r->type == SMR_DMA) {
		json_hex(j, "ram", r->gpa);
		json_bytes(j, "data", r->data, r->data_len);
	}
	if (r->type == SMR_DMA_REF) {
		json_hex(j, "ram", r->gpa);
		json_u64(j, "len", r->dma_len);
		json_u64(j, "image", r->image);
		json_u64(j, "offset", r->image_offset);
		json_hex(j, "crc", r->digest);
	}
	if (r->type == SMR_MAP)
		json_map(j, r);
	if (r->type == SMR_VCPU_END) {
		json_hex(j, "chain", r->chain);
		json_hex(j, "state_digest", r->state_digest);
	}
	if (r->flags & SMR_F_MEMDIGEST || r->type == SMR_VM_START || r->type == SMR_VM_END)
		json_hex(j, "mem_digest", r->mem_digest);
	json_close(j, '}');
}
