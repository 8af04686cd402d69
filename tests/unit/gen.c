// SPDX-License-Identifier: GPL-2.0
#include "gen.h"

#include "smr_check.h"
#include "smr_note.h"

#include <linux/kvm_samsara.h>
#include <stdio.h>
#include <stdlib.h>

u64 rng_next(struct rng *r)
{
	u64 z = (r->state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

u64 rng_below(struct rng *r, u64 n)
{
	return rng_next(r) % n;
}

/* Draws one number after the other: the order within an expression is the compiler's. */
u64 rng_spread(struct rng *r)
{
	u64 v;

	switch (rng_below(r, 8)) {
	case 0:
		return 0;
	case 1:
		return U64_MAX;
	}
	v = rng_next(r);
	return v >> rng_below(r, 64);
}

static void gen_event(struct rng *r, struct smr_event *e)
{
	static const u32 infos[] = {
		0x800000ec,	/* interrupt */
		0x80000202,	/* NMI */
		0x80000b0e,	/* page fault */
		0x80000301,	/* debug exception */
		0x80000480,	/* INT n */
		0x80000603,	/* breakpoint */
	};

	e->intr_info = rng_below(r, 4) ? infos[rng_below(r, 6)] : (u32)rng_next(r);
	if (e->intr_info & 1u << 11)
		e->error_code = (u32)rng_spread(r);
	if ((e->intr_info >> 8 & 7) >= 4 && (e->intr_info >> 8 & 7) <= 6)
		e->insn_len = (u32)rng_spread(r);
	if ((e->intr_info >> 8 & 7) == 3 &&
	    ((e->intr_info & 0xff) == 14 || (e->intr_info & 0xff) == 1))
		e->aux = rng_spread(r);
}

static void gen_item(struct rng *r, u64 *tsc, struct smr_buf *b)
{
	u8 bytes[64];
	int ret;
	u32 i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)rng_next(r);
	switch (rng_below(r, 5)) {
	case 0:
		smr_in_tsc(b, tsc, *tsc + rng_spread(r));
		break;
	case 1:
		smr_in_bus(b, bytes, (u8)rng_below(r, 9));
		break;
	case 2:
		smr_in_user(b, bytes, (u32)rng_below(r, sizeof(bytes)));
		break;
	case 3:
		ret = (int)rng_next(r);
		smr_in_rdmsr(b, ret, rng_spread(r));
		break;
	case 4:
		smr_in_wrmsr(b, (int)rng_below(r, 3) - 1);
		break;
	}
}

u32 gen_inputs(struct rng *r, u64 *tsc, u8 *data, u32 size)
{
	struct smr_buf b = { .p = data, .size = size };
	u64 n = rng_below(r, 4);

	while (n--)
		gen_item(r, tsc, &b);
	return b.len;
}

static void gen_start(struct rng *r, struct smr_record *rec)
{
	if (rec->flags & SMR_F_SIPI)
		rec->sipi_vector = (u8)rng_next(r);
	if (rec->flags & SMR_F_EVENT)
		gen_event(r, &rec->event);
	if (rec->flags & SMR_F_MEMDIGEST)
		rec->mem_digest = rng_next(r);
}

static void gen_chunk(struct rng *r, u64 n, struct smr_record *rec)
{
	rec->start_seq = n - 1 - rng_below(r, n < 8 ? n : 8);
	rec->flags = rng_below(r, 4) ? 0 : (u32)rng_below(r, SMR_F_ALL + 1);
	rec->end = rng_below(r, 2) ? SMR_END_ASYNC : (u16)rng_below(r, 80);
	if (!rng_below(r, 6)) {
		rec->end = SMR_END_TOUCH;
		rec->gpa = rng_spread(r) << 12;
	} else {
		rec->flags &= ~SMR_F_WAS_READABLE;
	}
	if (rec->end != SMR_END_ASYNC)
		rec->flags &= ~SMR_F_RCX;
	rec->digest = (u32)rng_next(r);
	if (rec->end == SMR_END_ASYNC) {
		rec->pos.branches = rng_spread(r);
		rec->pos.jumps = rng_spread(r);
		rec->pos.rip = rng_spread(r);
		if (rec->flags & SMR_F_RCX)
			rec->pos.rcx = rng_spread(r);
	}
	gen_start(r, rec);
}

static void gen_dma(struct rng *r, u8 *data, struct smr_record *rec)
{
	u32 i;

	rec->gpa = rng_spread(r);
	rec->dma_len = 1 + (u32)rng_below(r, 200);
	rec->data = data;
	rec->data_len = rec->dma_len;
	for (i = 0; i < rec->dma_len; i++)
		data[i] = (u8)rng_next(r);
}

/* Slots that KVM may have had */
static void gen_map(struct rng *r, u8 *data, struct smr_record *rec)
{
	struct smr_buf b = { .p = data, .size = SMR_INPUT_MAX };
	u64 nr = rng_below(r, 6), gpa = 0;
	struct smr_slot slot;

	while (nr--) {
		gpa += rng_below(r, 1u << 20) * 4096ull;
		slot.gpa = gpa;
		slot.size = (1 + rng_below(r, 1u << 20)) * 4096ull;
		slot.ram = rng_below(r, 1u << 20) * 4096ull;
		slot.readonly = rng_below(r, 2);
		smr_put_slot(&b, &slot);
		gpa += slot.size;
	}
	rec->data = data;
	rec->data_len = b.len;
}

void gen_record(struct rng *r, u8 type, u64 n, u8 data[SMR_INPUT_MAX], struct smr_record *rec)
{
	memset(rec, 0, sizeof(*rec));
	rec->type = type;
	switch (type) {
	case SMR_CHUNK:
		rec->commit_seq = n;
		gen_chunk(r, n, rec);
		break;
	case SMR_SECTION:
		rec->commit_seq = n;
		rec->digest = (u32)rng_next(r);
		break;
	case SMR_DMA:
		rec->commit_seq = n;
		gen_dma(r, data, rec);
		break;
	case SMR_MAP:
		rec->commit_seq = n;
		gen_map(r, data, rec);
		break;
	case SMR_DMA_REF:
		rec->commit_seq = n;
		rec->gpa = rng_spread(r);
		rec->dma_len = (u32)rng_spread(r);
		rec->image = (u32)rng_spread(r);
		rec->image_offset = rng_spread(r);
		rec->digest = (u32)rng_next(r);
		break;
	case SMR_STATE:
		rec->commit_seq = n;
		rec->digest = (u32)rng_next(r);
		rec->data = data;
		rec->data_len = 1 + (u32)rng_below(r, 99);
		break;
	case SMR_VCPU_END:
		rec->chain = rng_next(r);
		rec->state_digest = rng_next(r);
		break;
	case SMR_VM_END:
		rec->commit_seq = n;
		rec->mem_digest = rng_next(r);
		break;
	case SMR_VM_START:
		rec->mem_digest = rng_next(r);
		break;
	}
}

#define MAX_IMAGE	(1u << 20)

struct gen {
	const struct gen_options *o;
	struct smr_writer *w;
	struct rng rng;
	struct smr_stream stream[SMR_FILE_MAX_VCPUS + 1];
	struct smr_err *err;
	u8 *image;		/* its content, NULL: none */
	size_t image_len;
};

static int emit(struct gen *g, u32 stream, const struct smr_record *rec)
{
	u8 bytes[SMR_INPUT_MAX + 512];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };

	if (smr_encode(&g->stream[stream], rec, &b))
		abort();
	return smr_writer_append(g->w, stream, bytes, b.len, g->err);
}

/* A record that KVM could have produced; others are for the tests of the codec. */
static void gen_possible(struct gen *g, u32 stream, u64 n, u8 *data, struct smr_record *rec)
{
	bool vm = stream == g->o->nr_vcpus;
	static const u8 types[2][6] = {
		{ SMR_CHUNK, SMR_CHUNK, SMR_CHUNK, SMR_CHUNK, SMR_SECTION, SMR_STATE },
		{ SMR_DMA, SMR_DMA, SMR_DMA, SMR_DMA, SMR_MAP, SMR_MAP },
	};
	u8 type = types[vm][rng_below(&g->rng, 6)];
	u64 before = g->stream[stream].tsc, tsc;

	do {
		g->stream[stream].tsc = before;
		gen_record(&g->rng, type, n, data, rec);
		if (vm || type == SMR_STATE)
			continue;
		tsc = before;
		rec->data = data;
		rec->data_len = gen_inputs(&g->rng, &tsc, data, SMR_INPUT_MAX);
	} while (smr_check_record(rec, &g->stream[stream].tsc));
}

/* A write of what is in the image: some bytes anywhere, also at its end. */
static void refer(struct gen *g, struct smr_record *rec)
{
	u64 offset = rng_below(&g->rng, g->image_len);
	u64 rest = g->image_len - offset;

	rec->type = SMR_DMA_REF;
	rec->dma_len = 1 + (u32)rng_below(&g->rng, rest < SMR_DMA_MAX ? rest : SMR_DMA_MAX);
	rec->image = 0;
	rec->image_offset = offset;
	rec->digest = smr_crc32c(0, g->image + offset, rec->dma_len);
	rec->data = NULL;
	rec->data_len = 0;
}

static int emit_commit(struct gen *g, u64 n)
{
	u32 stream = (u32)rng_below(&g->rng, g->o->nr_vcpus + 1);
	u8 data[SMR_INPUT_MAX];
	struct smr_record rec;
	int ret;

	gen_possible(g, stream, n, data, &rec);
	if (g->image && rec.type == SMR_DMA && n % 2)
		refer(g, &rec);
	if (stream != g->o->nr_vcpus && g->o->bad_inputs && n == g->o->commits) {
		memset(data, 0xff, 3);
		rec.data_len = 3;
	}
	if (n == g->o->bad_event) {
		rec.flags |= SMR_F_EVENT;
		rec.event = (struct smr_event){ .intr_info = 0x80000702 };
	}
	if (n == g->o->skip)
		return 0;
	ret = emit(g, stream, &rec);
	if (n != g->o->twice || ret)
		return ret;
	gen_record(&g->rng, stream == 1 ? SMR_CHUNK : SMR_SECTION, n, data, &rec);
	return emit(g, stream == 1 ? 0 : 1, &rec);
}

static int emit_ends(struct gen *g)
{
	struct smr_record rec;
	u8 data[SMR_INPUT_MAX];
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i <= g->o->nr_vcpus; i++) {
		gen_record(&g->rng, i < g->o->nr_vcpus ? SMR_VCPU_END : SMR_VM_END, g->o->commits,
			   data, &rec);
		ret = emit(g, i, &rec);
	}
	return ret;
}

static int put_blobs(struct gen *g)
{
	char *data = malloc(g->o->blob_len + 1), name[16];
	int ret = 0;
	u32 i;

	if (!data)
		abort();
	memset(data, 'x', g->o->blob_len);
	for (i = 0; !ret && i < g->o->blobs; i++) {
		snprintf(name, sizeof(name), "more.%u", i);
		ret = smr_writer_blob(g->w, name, data, g->o->blob_len, g->err);
	}
	free(data);
	return ret;
}

static int put_images(struct gen *g)
{
	char text[256];

	snprintf(text, sizeof(text), "%zu %s\n", g->image_len, g->o->image);
	return smr_writer_blob(g->w, "images", g->o->images ? g->o->images : text,
			       strlen(g->o->images ? g->o->images : text), g->err);
}

static int put_initial(struct gen *g)
{
	u8 page[4096];
	u32 i, k;
	int ret;

	ret = smr_writer_blob(g->w, "machine", "{ \"type\": \"test\" }", 18, g->err);
	for (i = 0; !ret && i < g->o->ram_pages; i++) {
		/* Every third page is zero, the others compress well. */
		for (k = 0; k < sizeof(page); k++)
			page[k] = i % 3 ? (u8)((k / 64) * i) : 0;
		ret = smr_writer_ram(g->w, 0x100000 + i * 4096ull, page, sizeof(page), g->err);
	}
	if (!ret)
		ret = smr_writer_blob(g->w, "regs.0", page, 33, g->err);
	if (!ret)
		ret = put_blobs(g);
	if (!ret && g->image)
		ret = put_images(g);
	return ret ? ret : smr_writer_end_initial(g->w, g->err);
}

#define SPOTS_PER_NOTE	32u
#define NOTE_BYTES	(SPOTS_PER_NOTE * SMR_HOT_SPOT_MAX)

/* @note has what it is about; the bytes are in it. */
static int put_note(struct gen *g, struct smr_note *note, const void *data, u32 len)
{
	const struct smr_piece piece = { .data = data, .len = len };
	u8 pieces[NOTE_BYTES + 8], bytes[SMR_NOTE_HEAD_MAX + sizeof(pieces)];
	struct smr_buf p = { .p = pieces, .size = sizeof(pieces) };
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };

	smr_note_put_piece(&p, &piece);
	note->size = len;
	note->pieces = pieces;
	note->pieces_len = p.len;
	note->crc = smr_crc32c(0, data, len);
	if (smr_note_encode(note, &b))
		abort();
	return smr_writer_notes(g->w, b.p, b.len, g->err);
}

static int emit_note(struct gen *g, u64 n)
{
	struct smr_note note = { .kind = SMR_NOTE_TEXT, .commit = n };

	return put_note(g, &note, "text", 4);
}

void gen_hot(u32 i, struct kvm_samsara_hot_spot *spot)
{
	*spot = (struct kvm_samsara_hot_spot){
		.kind = i % 2,
		.ram = (u64)(i % 50) << 12,
		.rip = 0xffffffff81000000ull + i % 7,
		.linear = i % 3 ? 0 : 0xffff888000000000ull + i,
		.count = i % 5,
		.cycles = i % 2 ? 100ull * i : 0,
	};
}

static int emit_hot(struct gen *g)
{
	struct smr_note note = { .kind = SMR_NOTE_HOT, .commit = g->o->commits };
	u8 spots[NOTE_BYTES];
	struct smr_buf s = { .p = spots, .size = sizeof(spots) };
	struct kvm_samsara_hot_spot spot;
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < g->o->hot_spots; i++) {
		gen_hot(i, &spot);
		smr_note_put_hot(&s, &spot);
		if ((i + 1) % SPOTS_PER_NOTE && i + 1 < g->o->hot_spots)
			continue;
		ret = put_note(g, &note, spots, s.len);
		note.device++;
		s.len = 0;
	}
	return ret;
}

static int put_log(struct gen *g)
{
	struct smr_record rec;
	u8 data[SMR_INPUT_MAX];
	int ret;
	u64 n;

	gen_record(&g->rng, SMR_VM_START, 0, data, &rec);
	ret = emit(g, g->o->nr_vcpus, &rec);
	for (n = 1; !ret && n <= g->o->commits; n++) {
		if (g->o->commit_ns)
			smr_writer_set_time(g->w, n * g->o->commit_ns);
		ret = emit_commit(g, n);
		if (!ret && g->o->note_every && n % g->o->note_every == 0)
			ret = emit_note(g, n);
		if (!ret && g->o->flush_every && n % g->o->flush_every == 0)
			ret = smr_writer_flush(g->w, false, g->err);
	}
	if (!ret)
		ret = emit_hot(g);
	if (!ret && !g->o->no_ends)
		ret = emit_ends(g);
	return ret;
}

static void read_image(struct gen *g)
{
	FILE *f = fopen(g->o->image, "r");

	g->image = malloc(MAX_IMAGE);
	if (!f || !g->image)
		abort();
	g->image_len = fread(g->image, 1, MAX_IMAGE, f);
	fclose(f);
}

int gen_recording(const char *path, const struct gen_options *o, struct smr_err *err)
{
	struct smr_writer_options wo = {
		.nr_vcpus = o->nr_vcpus,
		.compress = o->compress,
		.incompat = SMR_FILE_RAM | SMR_FILE_STATE | (o->image ? SMR_FILE_IMAGES : 0),
		.writer = o->writer ? o->writer : "unit test",
		.host = o->host ? o->host : "none",
	};
	struct gen g = { .o = o, .rng = { o->seed }, .err = err };
	int ret, closed;

	if (o->image)
		read_image(&g);
	ret = smr_writer_create(&g.w, path, &wo, err);
	if (!ret) {
		ret = put_initial(&g);
		if (!ret)
			ret = put_log(&g);
		closed = smr_writer_close(g.w, !ret && !o->no_trailer, err);
		ret = ret ? ret : closed;
	}
	free(g.image);
	return ret;
}
