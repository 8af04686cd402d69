// SPDX-License-Identifier: GPL-2.0
/* samsara diff: where two recordings of a guest part. */
#include "diff.h"

enum field {
	AGENT, TYPE, START, EVENT, RESET, END, PAGE, POSITION, INPUTS, DIGEST, ADDRESS, DATA, MAP,
	STATE, MEMORY, CHAIN, COMMITS, NR_FIELDS,
};

static const char * const field_names[NR_FIELDS] = {
	"agent", "type", "start", "event", "reset", "end", "page", "position", "inputs", "digest",
	"address", "data", "memory map", "state", "memory", "chain", "commits",
};

#define BIT(field)	(1u << (field))
/* In a stream by itself, what depends on the others is no difference. */
#define OF_ALL		(BIT(START) | BIT(MEMORY) | BIT(COMMITS))

static u32 differ(bool differs, enum field field)
{
	return differs ? BIT(field) : 0;
}

static u32 compare_start(const struct smr_record *a, const struct smr_record *b)
{
	const u32 reset = SMR_F_INIT | SMR_F_SIPI;

	return differ((a->flags ^ b->flags) & SMR_F_EVENT ||
		      a->event.intr_info != b->event.intr_info ||
		      a->event.error_code != b->event.error_code ||
		      a->event.insn_len != b->event.insn_len || a->event.aux != b->event.aux, EVENT) |
	       differ((a->flags ^ b->flags) & reset || a->sipi_vector != b->sipi_vector, RESET);
}

static u32 compare_position(const struct smr_record *a, const struct smr_record *b)
{
	return differ((a->flags ^ b->flags) & SMR_F_RCX || a->pos.branches != b->pos.branches ||
		      a->pos.jumps != b->pos.jumps || a->pos.rip != b->pos.rip ||
		      a->pos.rcx != b->pos.rcx, POSITION);
}

static bool same_data(const struct smr_record *a, const struct smr_record *b)
{
	return a->data_len == b->data_len &&
	       (!a->data_len || !memcmp(a->data, b->data, a->data_len));
}

static u32 checksum(const struct smr_record *r)
{
	return r->type == SMR_DMA_REF ? r->digest : smr_crc32c(0, r->data, r->data_len);
}

/* What is in an image is the same as if it was stored. */
static u32 compare_dma(const struct smr_record *a, const struct smr_record *b)
{
	bool same = a->dma_len == b->dma_len;

	if (same && a->type == SMR_DMA && b->type == SMR_DMA)
		same = same_data(a, b);
	else if (same)
		same = checksum(a) == checksum(b);
	return differ(a->gpa != b->gpa, ADDRESS) | differ(!same, DATA);
}

static bool is_dma(u8 type)
{
	return type == SMR_DMA || type == SMR_DMA_REF;
}

/* Of two records of a type. */
static u32 compare_payload(const struct smr_record *a, const struct smr_record *b)
{
	switch (a->type) {
	case SMR_CHUNK:
		return compare_start(a, b) | compare_position(a, b) |
		       differ(a->start_seq != b->start_seq, START) | differ(a->end != b->end, END) |
		       differ(a->gpa != b->gpa ||
			      (a->flags ^ b->flags) & SMR_F_WAS_READABLE, PAGE) |
		       differ(a->digest != b->digest, DIGEST) | differ(!same_data(a, b), INPUTS);
	case SMR_SECTION:
		return compare_start(a, b) | differ(a->digest != b->digest, DIGEST) |
		       differ(!same_data(a, b), INPUTS);
	case SMR_STATE:
		return differ(a->digest != b->digest, DIGEST) | differ(!same_data(a, b), STATE);
	case SMR_MAP:
		return differ(!same_data(a, b), MAP);
	case SMR_VCPU_END:
		return differ(a->chain != b->chain, CHAIN) |
		       differ(a->state_digest != b->state_digest, STATE);
	case SMR_VM_END:
		return differ(a->mem_digest != b->mem_digest, MEMORY) |
		       differ(a->commit_seq != b->commit_seq, COMMITS);
	}
	return 0;
}

static u32 compare(const struct event *a, const struct event *b)
{
	const struct smr_record *ra = a->rec, *rb = b->rec;
	u32 fields;

	if (a->vm != b->vm || (!a->vm && a->stream != b->stream))
		return BIT(AGENT);
	if (is_dma(ra->type) && is_dma(rb->type))
		fields = compare_dma(ra, rb);
	else
		fields = ra->type == rb->type ? compare_payload(ra, rb) : BIT(TYPE);
	/* How often there is one is the recorder's choice. */
	if (ra->flags & rb->flags & SMR_F_MEMDIGEST)
		fields |= differ(ra->mem_digest != rb->mem_digest, MEMORY);
	return fields;
}

/* The end of a recording which is not complete may be of another commit. */
static int next(struct side *s, struct smr_err *err)
{
	int ret;

	do {
		ret = walk_next(&s->walk, &s->ev, err);
		s->have = ret > 0;
	} while (s->have && !s->x.complete && smr_is_end(s->ev.rec->type));
	return ret < 0 ? ret : 0;
}

static u64 limit_of(const struct side *s)
{
	return s->x.complete ? U64_MAX : s->x.replayable;
}

static void tell_fields(struct diff *d, u32 fields)
{
	const char *separator = "";
	u32 i;

	if (d->j)
		json_open(d->j, "fields", '[');
	for (i = 0; i < NR_FIELDS; i++) {
		if (!(fields & BIT(i)))
			continue;
		if (d->j)
			json_text(d->j, NULL, field_names[i]);
		else
			printf("%s%s", separator, field_names[i]);
		separator = ", ";
	}
	if (d->j)
		json_close(d->j, ']');
}

/* The two records that are not the same; one may be missing. */
static void tell_records(struct diff *d, u32 fields)
{
	static const char * const names[2] = { "a", "b" };
	u32 i;

	d->differ = true;
	if (d->side[0].have && d->side[1].have) {
		if (!d->j)
			printf("; then they differ in ");
		tell_fields(d, fields);
	} else if (!d->j) {
		printf("; then %s ends", d->side[d->side[0].have].shown);
	}
	if (!d->j)
		puts(":");
	for (i = 0; i < 2; i++) {
		if (!d->side[i].have)
			continue;
		if (d->j)
			json_event(d->j, names[i], &d->side[i].ev, d->symbols);
		else
			print_event(&d->side[i].ev, d->symbols);
	}
}

/* Goes on to the first difference.  @nr: commits that are the same. */
static int find(struct diff *d, u32 ignored, u64 *nr, u32 *fields, struct smr_err *err)
{
	struct side *a = &d->side[0], *b = &d->side[1];
	int ret;

	for (;;) {
		ret = next(a, err);
		if (!ret)
			ret = next(b, err);
		if (ret || !a->have || !b->have)
			return ret;
		*fields = compare(&a->ev, &b->ev) & ~ignored;
		if (*fields)
			return 0;
		*nr += smr_is_commit(a->ev.rec->type);
	}
}

static void tell_found(struct diff *d, u64 nr, u32 fields)
{
	bool same = !d->side[0].have && !d->side[1].have;

	if (d->j)
		json_u64(d->j, "same", nr);
	else
		printf("%llu commits are the same", ULL(nr));
	if (!same)
		tell_records(d, fields);
	else if (!d->j)
		printf(", which are all\n");
}

/* A part of the log: a vCPU's stream, the VM's, or all of them in order. */
#define VM_PART		-1
#define ALL_PARTS	-2

static int open_part(struct side *s, int part, struct smr_err *err)
{
	u32 stream = part == VM_PART ? smr_reader_info(s->r)->nr_vcpus : (u32)part;

	if (part == ALL_PARTS)
		return walk_open(&s->walk, s->r, limit_of(s), NULL, err);
	return walk_open_stream(&s->walk, s->r, stream, limit_of(s), err);
}

/* Damage before the limit was not there a moment ago. */
static int check_damage(const struct walk *w, struct smr_err *err)
{
	if (w->damage.code)
		*err = w->damage;
	return w->damage.code;
}

static void tell_part(struct diff *d, int part)
{
	if (d->j && part == ALL_PARTS) {
		json_open(d->j, "log", '{');
	} else if (d->j) {
		json_open(d->j, NULL, '{');
		json_s64(d->j, "vcpu", part);
	} else if (part >= 0) {
		printf("vcpu %d: ", part);
	} else {
		printf("%s: ", part == VM_PART ? "vm" : "in order");
	}
}

static int diff_open_part(struct diff *d, int part, struct smr_err *err)
{
	u32 fields = 0;
	u64 nr = 0;
	int ret;

	ret = find(d, part == ALL_PARTS ? 0 : OF_ALL, &nr, &fields, err);
	if (!ret)
		ret = check_damage(&d->side[0].walk, err);
	if (!ret)
		ret = check_damage(&d->side[1].walk, err);
	if (ret)
		return ret;
	tell_part(d, part);
	tell_found(d, nr, fields);
	if (d->j)
		json_close(d->j, '}');
	return 0;
}

static int diff_part(struct diff *d, int part, struct smr_err *err)
{
	int ret = open_part(&d->side[0], part, err);

	if (ret)
		return ret;
	ret = open_part(&d->side[1], part, err);
	if (!ret) {
		ret = diff_open_part(d, part, err);
		walk_close(&d->side[1].walk);
	}
	walk_close(&d->side[0].walk);
	return ret;
}

static int diff_streams(struct diff *d, struct smr_err *err)
{
	u32 nr[2] = { smr_reader_info(d->side[0].r)->nr_vcpus,
		      smr_reader_info(d->side[1].r)->nr_vcpus };
	int vcpu, ret;

	if (d->j)
		json_open(d->j, "streams", '[');
	ret = diff_part(d, VM_PART, err);
	for (vcpu = 0; !ret && vcpu < (int)nr[0] && vcpu < (int)nr[1]; vcpu++)
		ret = diff_part(d, vcpu, err);
	if (d->j)
		json_close(d->j, ']');
	return ret;
}

static int diff_log(struct diff *d, struct smr_err *err)
{
	int ret;

	if (d->j)
		json_open(d->j, "start", '[');
	ret = diff_begin(d, err);
	if (d->j)
		json_close(d->j, ']');
	if (!ret)
		ret = diff_part(d, ALL_PARTS, err);
	return ret ? ret : diff_streams(d, err);
}

static bool comparable(const struct side *s)
{
	if (s->x.initial && s->x.replayable)
		return true;
	fprintf(stderr, "samsara: %s: nothing can be replayed, or compared\n", s->shown);
	return false;
}

static int diff(struct diff *d, struct smr_err *err)
{
	int ret;

	if (d->j) {
		json_open(d->j, NULL, '{');
		json_text(d->j, "a", d->side[0].shown);
		json_text(d->j, "b", d->side[1].shown);
	}
	ret = diff_log(d, err);
	if (d->j) {
		json_bool(d->j, "differ", d->differ);
		json_close(d->j, '}');
	}
	return ret;
}

int cmd_diff(const struct options *o, struct smr_reader *r)
{
	struct json j = { .f = stdout, .lines = true };
	struct diff d = { .side = { { .shown = o->shown, .r = r }, { .shown = o->output_shown } },
			  .j = o->json ? &j : NULL, .symbols = o->symbols };
	int status = EXIT_UNREADABLE;
	struct smr_err err = { 0 };

	if (!smr_reader_open(&d.side[1].r, o->output, &err) &&
	    !smr_reader_extent(d.side[0].r, &d.side[0].x, &err) &&
	    !smr_reader_extent(d.side[1].r, &d.side[1].x, &err) &&
	    comparable(&d.side[0]) && comparable(&d.side[1]) && !diff(&d, &err))
		status = d.differ ? EXIT_DIFFERENT : EXIT_OK;
	if (err.code)
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
	smr_reader_close(d.side[1].r);
	return status;
}
