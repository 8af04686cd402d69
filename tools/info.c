// SPDX-License-Identifier: GPL-2.0
/* samsara info */
#include <stdlib.h>
#include <zlib.h>

#include "counts.h"

#define TEXT_SHOWN	2048u	/* longest blob printed as text */
#define PIECE		SMR_SEGMENT_MAX

/* Bytes of one kind, compressed for themselves to know their share. */
struct share {
	u64 raw;
	u64 compressed;
	u32 len;		/* bytes in buf */
	u8 *buf;
};

enum kind { ORDER, INPUT, CHECK, NR_KINDS };

static const char * const kind_names[NR_KINDS] = { "order", "input", "check" };

struct report {
	const struct options *o;
	struct smr_reader *r;
	const struct smr_file_info *info;
	struct smr_extent x;
	struct smr_totals t;
	struct counts stream[MAX_STREAMS];
	struct share share[NR_KINDS];
	struct smr_stream order_state[MAX_STREAMS];
};

static bool close_piece(struct share *s)
{
	uLongf len = compressBound(s->len);
	u8 *out;

	if (!s->len)
		return true;
	out = malloc(len);
	if (!out)
		return false;
	if (compress2(out, &len, s->buf, s->len, 6) == Z_OK)
		s->compressed += len;
	free(out);
	s->len = 0;
	return true;
}

static bool add_share(struct share *s, const u8 *p, u32 len)
{
	if (!s->buf)
		s->buf = malloc(PIECE);
	if (!s->buf || (s->len + len > PIECE && !close_piece(s)))
		return false;
	if (len)
		memcpy(s->buf + s->len, p, len);
	s->len += len;
	s->raw += len;
	return true;
}

/*
 * The order log proper: what is left of a record without inputs and digests.
 * A record has one encoding, so encoding it again gives the same bytes.
 */
static bool add_order(struct report *rep, const struct event *ev)
{
	struct smr_record r = *ev->rec;
	u8 bytes[512];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };
	u32 check = r.type == SMR_CHUNK || r.type == SMR_SECTION || r.type == SMR_STATE ||
		    r.type == SMR_DMA_REF ? 4 : 0;
	u8 digest[12];
	u32 i;

	if (r.type != SMR_CHUNK && r.type != SMR_SECTION)
		return add_share(&rep->share[ORDER], bytes, 0);
	for (i = 0; i < 4; i++)
		digest[i] = (u8)(r.digest >> (8 * i));
	if (r.flags & SMR_F_MEMDIGEST) {
		for (i = 0; i < 8; i++)
			digest[check++] = (u8)(r.mem_digest >> (8 * i));
	}
	r.digest = 0;
	r.mem_digest = 0;
	r.flags &= ~SMR_F_MEMDIGEST;
	r.data_len = 0;
	if (smr_encode(&rep->order_state[ev->stream], &r, &b))
		return true;
	return add_share(&rep->share[ORDER], bytes, b.len - 4) &&
	       add_share(&rep->share[CHECK], digest, check);
}

static bool count(struct report *rep, const struct event *ev)
{
	count_event(&rep->stream[ev->stream], ev);
	return add_order(rep, ev) && add_share(&rep->share[INPUT], ev->rec->data, ev->rec->data_len);
}

static int collect(struct report *rep, struct smr_err *err)
{
	struct walk w;
	struct event ev;
	int i, ret = walk_open(&w, rep->r, U64_MAX, NULL, err);

	if (ret)
		return ret;
	while ((ret = walk_next(&w, &ev, err)) > 0) {
		if (!count(rep, &ev)) {
			ret = SMR_FILE_EMEM;
			*err = (struct smr_err){ .code = ret, .text = "out of memory" };
			break;
		}
	}
	for (i = 0; i < NR_KINDS; i++)
		close_piece(&rep->share[i]);
	walk_close(&w);
	return ret;
}

static void print_indented(const char *text)
{
	bool start = true;

	for (; *text; text++) {
		if (start)
			printf("    ");
		putchar(*text);
		start = *text == '\n';
	}
	if (!start)
		putchar('\n');
}

static void blob(const struct report *rep, const char *name, size_t len, struct json *j)
{
	char *text = len > TEXT_SHOWN ? NULL : read_text(rep->r, name);

	if (j) {
		json_open(j, NULL, '{');
		json_text(j, "name", name);
		json_u64(j, "bytes", len);
		if (text)
			json_text(j, "text", text);
		json_close(j, '}');
	} else {
		printf("  %-20s %zu bytes%s\n", name, len, text ? ":" : "");
		if (text)
			print_indented(text);
	}
	free(text);
}

static void blobs(const struct report *rep, struct json *j)
{
	char name[SMR_BLOB_NAME_MAX + 1];
	size_t len;
	u32 i = 0;

	while (smr_reader_next_blob(rep->r, &i, name, &len, NULL) > 0)
		blob(rep, name, len, j);
}

static double seconds(const struct report *rep)
{
	return (double)rep->x.duration_ns / 1e9;
}

/* Megabytes of compressed order log per second and vCPU. */
static double order_rate(const struct report *rep)
{
	double core_seconds = seconds(rep) * rep->info->nr_vcpus;

	return core_seconds > 0 ? (double)rep->share[ORDER].compressed / 1e6 / core_seconds : 0;
}

static void print_streams(const struct report *rep)
{
	const struct counts *c;
	u32 i;

	printf("\n%-8s %10s %10s %10s %8s %8s %12s %12s\n", "stream", "chunks", "async ends",
	       "sections", "events", "inputs", "order bytes", "input bytes");
	for (i = 0; i < rep->info->nr_vcpus; i++) {
		c = &rep->stream[i];
		printf("vcpu %-3u %10llu %10llu %10llu %8llu %8llu %12llu %12llu\n", i,
		       ULL(c->records[SMR_CHUNK]), ULL(c->async), ULL(c->records[SMR_SECTION]),
		       ULL(c->events),
		       ULL(c->inputs), ULL(c->order), ULL(c->input));
	}
	c = &rep->stream[i];
	printf("vm       %10s %10s %10llu %8s %8s %12llu %12llu\n", "-", "-", ULL(count_dma(c)), "-", "-",
	       ULL(c->order), ULL(c->input));
}

static void print_log(const struct report *rep)
{
	const struct share *s = rep->share;
	int i;

	printf("\nlog: %llu bytes, %llu stored\n", ULL(rep->t.raw[SMR_SEG_STREAM]),
	       ULL(rep->t.stored[SMR_SEG_STREAM]));
	for (i = 0; i < NR_KINDS; i++)
		printf("  %-6s %12llu bytes, %12llu when compressed alone\n", kind_names[i],
		       ULL(s[i].raw), ULL(s[i].compressed));
	if (rep->x.duration_ns)
		printf("  %.3f s: %.0f commits/s, order log %.6f MB per core and second\n",
		       seconds(rep), (double)rep->x.seen / seconds(rep), order_rate(rep));
}

static void print_all(const struct report *rep)
{
	const struct smr_file_info *info = rep->info;
	char uuid[SMR_UUID_TEXT];

	smr_uuid_text(info->uuid, uuid);
	printf("\nrecording %s, format %u.%u, %llu bytes\n", uuid, info->major, info->minor,
	       ULL(rep->t.file_bytes));
	printf("RAM not zero at the start: %llu KiB, %llu KiB stored\n",
	       ULL(rep->t.raw[SMR_SEG_RAM] / 1024), ULL(rep->t.stored[SMR_SEG_RAM] / 1024));
	print_streams(rep);
	print_log(rep);
	printf("\ninitial state:\n");
	blobs(rep, NULL);
}

static void json_counts(struct report *rep, struct json *j, u32 i)
{
	const struct counts *c = &rep->stream[i];
	bool vm = i == rep->info->nr_vcpus;

	json_open(j, NULL, '{');
	json_s64(j, "vcpu", vm ? -1 : (s64)i);
	json_u64(j, "chunks", c->records[SMR_CHUNK]);
	json_u64(j, "async_ends", c->async);
	json_u64(j, "sections", c->records[SMR_SECTION]);
	json_u64(j, "dma_commits", count_dma(c));
	json_u64(j, "events", c->events);
	json_u64(j, "inputs", c->inputs);
	json_u64(j, "order_bytes", c->order);
	json_u64(j, "input_bytes", c->input);
	json_close(j, '}');
}

static void json_head(struct report *rep, struct json *j)
{
	const struct smr_file_info *info = rep->info;
	char uuid[SMR_UUID_TEXT];

	smr_uuid_text(info->uuid, uuid);
	json_text(j, "file", rep->o->file);
	json_text(j, "uuid", uuid);
	json_u64(j, "format_major", info->major);
	json_u64(j, "format_minor", info->minor);
	json_u64(j, "created", info->created);
	json_text(j, "writer", info->writer);
	json_text(j, "host", info->host);
	json_u64(j, "vcpus", info->nr_vcpus);
	json_u64(j, "file_bytes", rep->t.file_bytes);
	json_u64(j, "ram_bytes", rep->t.raw[SMR_SEG_RAM]);
	json_u64(j, "ram_stored", rep->t.stored[SMR_SEG_RAM]);
}

static void json_log(struct report *rep, struct json *j)
{
	char key[32];
	int i;

	json_open(j, "log", '{');
	json_u64(j, "bytes", rep->t.raw[SMR_SEG_STREAM]);
	json_u64(j, "stored", rep->t.stored[SMR_SEG_STREAM]);
	for (i = 0; i < NR_KINDS; i++) {
		snprintf(key, sizeof(key), "%s_bytes", kind_names[i]);
		json_u64(j, key, rep->share[i].raw);
		snprintf(key, sizeof(key), "%s_compressed", kind_names[i]);
		json_u64(j, key, rep->share[i].compressed);
	}
	json_real(j, "seconds", seconds(rep));
	json_real(j, "order_mb_per_core_second", order_rate(rep));
	json_close(j, '}');
}

static void print_json(struct report *rep)
{
	struct json json = { .f = stdout, .lines = true }, *j = &json;
	u32 i;

	json_open(j, NULL, '{');
	json_head(rep, j);
	json_bool(j, "initial", rep->x.initial);
	json_bool(j, "complete", rep->x.complete);
	json_bool(j, "trailer", rep->x.trailer);
	json_u64(j, "replayable", rep->x.replayable);
	json_u64(j, "commits", rep->x.seen);
	if (rep->x.damage.code)
		json_text(j, "damage", smr_file_errstr(&rep->x.damage));
	json_log(rep, j);
	json_open(j, "streams", '[');
	for (i = 0; i <= rep->info->nr_vcpus; i++)
		json_counts(rep, j, i);
	json_close(j, ']');
	json_open(j, "blobs", '[');
	blobs(rep, j);
	json_close(j, ']');
	json_close(j, '}');
}

int cmd_info(const struct options *o, struct smr_reader *r)
{
	struct report *rep = calloc(1, sizeof(*rep));
	struct smr_err err = { 0 };
	int i, ret, status = EXIT_UNREADABLE;

	if (!rep) {
		perror("samsara");
		return status;
	}
	rep->o = o;
	rep->r = r;
	rep->info = smr_reader_info(r);
	smr_reader_totals(r, &rep->t);
	ret = smr_reader_extent(r, &rep->x, &err);
	if (!ret && (o->json || o->all))
		ret = collect(rep, &err);
	if (ret) {
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
	} else {
		status = extent_status(&rep->x);
		if (o->json)
			print_json(rep);
		else
			print_summary(o, r, &rep->x, &rep->t);
		if (o->all && !o->json)
			print_all(rep);
	}
	for (i = 0; i < NR_KINDS; i++)
		free(rep->share[i].buf);
	free(rep);
	return status;
}
