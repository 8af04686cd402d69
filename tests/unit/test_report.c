// SPDX-License-Identifier: GPL-2.0
/* samsara report: the same numbers as in samsara dump, as text, JSON and page. */
#include "test.h"

#include <linux/kvm_samsara.h>
#include <unistd.h>

#include "change.h"
#include "files.h"
#include "forge.h"
#include "gen.h"
#include "runtool.h"

static const struct gen_options many = {
	.nr_vcpus = 2, .commits = 400, .seed = 4, .flush_every = 50, .compress = 1,
};

/* The number in the line of the table's total. */
static u64 total(const char *key)
{
	char text[64];
	const char *p;

	snprintf(text, sizeof(text), "  \"%s\": {\n    \"total\": ", key);
	p = strstr(out, text);
	if (!p)
		fail_msg("no table %s in: %s", key, out);
	return strtoull(p + strlen(text), NULL, 10);
}

/* The sum of its rows. */
static u64 sum(const char *key)
{
	u64 n = 0;
	char text[64];
	const char *p, *end;

	snprintf(text, sizeof(text), "  \"%s\": {\n", key);
	p = strstr(out, text);
	assert_non_null(p);
	end = strstr(p, "\n  }");
	assert_non_null(end);
	while ((p = strstr(p, "\"count\": ")) && p < end) {
		p += strlen("\"count\": ");
		n += strtoull(p, NULL, 10);
	}
	return n;
}

static void assert_row(const char *name, u64 n)
{
	char text[128];

	if (!n)
		return;
	snprintf(text, sizeof(text), "\"name\": \"%s\",\n        \"count\": %llu\n", name,
		 (unsigned long long)n);
	assert_says(text);
}

static void test_numbers(void **state)
{
	static const char * const tables[] = {
		"ends", "lengths", "positions", "beside", "events", "commits", "bytes",
	};
	u64 chunks, async, touch, dma, nmi, injected;
	struct smr_reader *r;
	struct smr_totals t;
	u32 i;

	(void)state;
	generate(&many);
	assert_int_equal(run_on("dump", path, ""), 0);
	chunks = lines_with(" chunk ");
	async = lines_with(" end async ");
	touch = lines_with(" end before ");
	dma = lines_with("dma      ram ");
	injected = lines_with(" inject ");
	nmi = lines_with(" inject NMI 2 ");
	assert_true(async && touch && dma && injected && nmi);

	assert_int_equal(run_on("report", path, "--json"), 0);
	assert_int_equal(total("ends"), chunks);
	assert_int_equal(total("beside"), chunks);
	assert_int_equal(total("lengths"), async);
	assert_int_equal(total("positions"), async);
	assert_int_equal(total("events"), injected);
	assert_int_equal(total("commits"), many.commits);
	assert_row("async", async);
	assert_row("contended page", touch);
	assert_row("NMI 2", nmi);
	assert_row("vm dma", dma);
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		assert_int_equal(sum(tables[i]), total(tables[i]));
	assert_int_equal(smr_reader_open(&r, path, NULL), 0);
	smr_reader_totals(r, &t);
	smr_reader_close(r);
	assert_int_equal(total("bytes"), t.raw[SMR_SEG_STREAM]);
}

static void set_position(struct smr_record *rec, u64 n)
{
	static u32 i;

	if (rec->type != SMR_CHUNK || rec->end != SMR_END_ASYNC)
		return;
	rec->pos.rip = i++ % 4 ? 0x1234 : 0x5678 + i;
	rec->pos.branches = n;
	rec->start_seq = rec->commit_seq - 1;
}

/* What is left of many spots: the sums, each page and instruction once. */
static void test_hot(void **state)
{
	static const char * const tables[] = { "hot_pages", "hot_instructions", "hot_cycles" };
	struct gen_options o = many;
	u64 count = 0, cycles = 0, before = 0;
	struct kvm_samsara_hot_spot spot;
	u32 i;

	(void)state;
	o.hot_spots = 600;
	generate(&o);
	for (i = 0; i < o.hot_spots; i++) {
		gen_hot(i, &spot);
		count += spot.count;
		cycles += spot.cycles;
		before += spot.kind && spot.rip == 0xffffffff81000003 ? spot.count : 0;
	}
	assert_int_equal(run_on("report", path, "--json"), 0);
	assert_int_equal(total("hot_pages"), count);
	assert_int_equal(total("hot_instructions"), count);
	assert_int_equal(total("hot_cycles"), cycles);
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		assert_int_equal(sum(tables[i]), total(tables[i]));
	assert_row("before 0xffffffff81000003", before);
	assert_says("\"name\": \"RAM 0x1f000, linear 0xffff888000000");
	assert_says("\"name\": \"elsewhere\"");
	assert_int_equal(run_on("report", path, ""), 0);
	assert_says("\nHost cycles lost or waited over pages (a sample):\n");
	generate(&many);
	assert_int_equal(run_on("report", path, "--json"), 0);
	assert_int_equal(total("hot_pages"), 0);
}

static void test_text(void **state)
{
	(void)state;
	generate(&many);
	copy_changed(set_position, 37, NULL);
	assert_int_equal(run_on("report", path2, ""), 0);
	assert_says("b.smr: 400 commits, log ");
	assert_says("\nWhat ended chunks:\n");
	assert_says("\nWhere chunks ended asynchronously:\n");
	assert_int_equal(lines_with(" %  0x1234"), 1);
	assert_true(strstr(out, " %  0x1234") < strstr(out, " %  0x5"));
	/* All of them had 37 branches. */
	assert_int_equal(lines_with(" 100.0 %  32-63"), 1);
	assert_true(lines_with("% ") > 10);
}

static void test_page(void **state)
{
	char evil[96], page[64], rest[200];
	struct bytes b;

	(void)state;
	generate(&many);
	snprintf(evil, sizeof(evil), "%s/<script>&'", files_dir);
	snprintf(page, sizeof(page), "%s/page", files_dir);
	assert_int_equal(link(path, evil), 0);
	snprintf(rest, sizeof(rest), "\"%s\" --html %s", evil, page);
	assert_int_equal(run_on("report", rest, ""), 0);
	assert_int_equal(lines(), 0);
	unlink(evil);
	b = slurp(page);
	b.p[b.len] = 0;
	assert_non_null(strstr((char *)b.p, "<title>"));
	assert_non_null(strstr((char *)b.p, "/&#60;script&#62;&#38;&#39;</h1>"));
	assert_null(strstr((char *)b.p, "<script"));
	/* Nothing is asked from elsewhere. */
	assert_null(strstr((char *)b.p, "://"));
	assert_null(strstr((char *)b.p, "src="));
	assert_non_null(strstr((char *)b.p, "<svg width=\"320\""));
	assert_non_null(strstr((char *)b.p, "</html>\n"));
	free(b.p);
	/* Both at a time */
	snprintf(rest, sizeof(rest), "--json --html %s", page);
	assert_int_equal(run_on("report", path, rest), 0);
	assert_int_equal(total("commits"), many.commits);
	assert_int_equal(run_on("report", path, "--html /dev/full"), 2);
	assert_says("can't write all of it");
	snprintf(rest, sizeof(rest), "--html %s", path);
	assert_int_equal(run_on("report", path, rest), 2);
	assert_says("is a recording; not replaced");
	assert_int_equal(run_on("verify", path, ""), 0);
}

/* As many places as there are chunks, and all of them in a few cells of a table. */
static void everywhere(struct smr_record *rec, u64 n)
{
	static u64 i;

	(void)n;
	if (rec->type == SMR_CHUNK && rec->end == SMR_END_ASYNC)
		rec->pos.rip = 0xf1de83e19937733dull * (i++ % 256);
}

static void test_hostile(void **state)
{
	struct rng rng = { 10 };
	u64 chunks;
	struct bytes b;
	u32 i;
	int ret;

	(void)state;
	generate(&many);
	copy_changed(everywhere, 0, NULL);
	assert_int_equal(run_on("report", path2, "--json"), 0);
	assert_int_equal(sum("positions"), total("positions"));
	assert_says("\"name\": \"elsewhere\"");
	/* What can be read is counted, and the rest is told. */
	b = slurp(path);
	for (i = 0; i < 20; i++) {
		size_t at = SMR_FILE_HEADER_SIZE + rng_below(&rng, b.len - SMR_FILE_HEADER_SIZE);

		b.p[at] ^= 2;
		spit(path2, b.p, i % 3 ? b.len : at);
		b.p[at] ^= 2;
		run_on("dump", path2, "");
		chunks = lines_with(" chunk ");
		ret = run_on("report", path2, "--json");
		assert_int_equal(ret, lines_with("samsara: ") ? 1 : 0);
		assert_int_equal(total("ends"), chunks);
	}
	free(b.p);
	spit(path2, NULL, 0);
	assert_int_equal(run_on("report", path2, ""), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_hot),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests_name("report", tests, files_set_up, files_tear_down);
}
