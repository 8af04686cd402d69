// SPDX-License-Identifier: GPL-2.0
/* samsara diff: recordings that differ in one thing. */
#include "test.h"

#include <unistd.h>

#include "change.h"
#include "files.h"
#include "forge.h"
#include "gen.h"
#include "runtool.h"

static u8 data[SMR_INPUT_MAX];

/* Another byte of what the record holds. */
static void change_data(struct smr_record *rec)
{
	memcpy(data, rec->data, rec->data_len);
	data[rec->data_len - 1] ^= 1;
	rec->data = data;
}

static u8 wanted_type;
static u16 wanted_end;
static u32 wanted_flag;

/* Is it a record that the change can be made to?  The first one from @n on. */
static bool fits(const struct smr_record *rec, u64 n)
{
	return rec->type == wanted_type && rec->commit_seq >= n &&
	       (!wanted_end || rec->end == wanted_end) && (rec->flags & wanted_flag) == wanted_flag;
}

static u64 changed;	/* the commit */

static bool change_this(const struct smr_record *rec, u64 n)
{
	if (changed || !fits(rec, n))
		return false;
	changed = rec->commit_seq;
	return true;
}

static void other_digest(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		rec->digest ^= 1;
}

static void other_rip(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		rec->pos.rip++;
}

static void other_jumps(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		rec->pos.jumps++;
}

static void other_page(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		rec->gpa ^= 0x1000;
}

static void other_end(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		*rec = (struct smr_record) { .type = SMR_CHUNK, .commit_seq = rec->commit_seq,
			.start_seq = rec->start_seq, .end = 12, .digest = rec->digest };
}

static void other_start(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		rec->start_seq = rec->start_seq == rec->commit_seq - 1 ? rec->start_seq - 1 :
								      rec->commit_seq - 1;
}

static void other_reset(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		rec->flags ^= SMR_F_INIT;
}

static void other_event(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		rec->event.intr_info ^= 1;
}

static void other_inputs(struct smr_record *rec, u64 n)
{
	if (rec->data_len && change_this(rec, n))
		change_data(rec);
}

static void other_data(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		change_data(rec);
}

static void other_address(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		rec->gpa ^= 1;
}

static void other_type(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		*rec = (struct smr_record) { .type = SMR_SECTION, .commit_seq = rec->commit_seq,
			.digest = rec->digest };
}

static void other_memory(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n))
		rec->mem_digest ^= 1;
}

static void no_memory(struct smr_record *rec, u64 n)
{
	if (change_this(rec, n)) {
		rec->flags &= ~SMR_F_MEMDIGEST;
		rec->mem_digest = 0;
	}
}

static int diff(const char *options)
{
	char rest[96];

	snprintf(rest, sizeof(rest), "%s %s", path2, options);
	return run_on("diff", path, rest);
}

static void test_fields(void **state)
{
	static const struct {
		change_fn change;
		const char *field;
		u8 type;
		u16 end;
		u32 flag;
		bool of_others;		/* the vCPU's own stream is the same */
	} changes[] = {
		{ other_digest, "digest", SMR_CHUNK, 0, 0, false },
		{ other_digest, "digest", SMR_SECTION, 0, 0, false },
		{ other_digest, "digest", SMR_STATE, 0, 0, false },
		{ other_rip, "position", SMR_CHUNK, SMR_END_ASYNC, 0, false },
		{ other_jumps, "position", SMR_CHUNK, SMR_END_ASYNC, 0, false },
		{ other_page, "page", SMR_CHUNK, SMR_END_TOUCH, 0, false },
		{ other_start, "start", SMR_CHUNK, 0, 0, true },
		{ other_reset, "reset", SMR_CHUNK, 0, 0, false },
		{ other_event, "event", SMR_CHUNK, 0, SMR_F_EVENT, false },
		{ other_inputs, "inputs", SMR_CHUNK, 0, 0, false },
		{ other_data, "state", SMR_STATE, 0, 0, false },
		{ other_data, "data", SMR_DMA, 0, 0, false },
		{ other_address, "address", SMR_DMA, 0, 0, false },
		{ other_type, "type", SMR_CHUNK, 0, 0, false },
		{ other_memory, "memory", SMR_CHUNK, 0, SMR_F_MEMDIGEST, true },
	};
	char text[96];
	u32 i;

	(void)state;
	generate(&(struct gen_options){ .nr_vcpus = 2, .commits = 400, .seed = 4, .ram_pages = 1 });
	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		wanted_type = changes[i].type;
		wanted_end = changes[i].end;
		wanted_flag = changes[i].flag;
		changed = 0;
		copy_changed(changes[i].change, 30, NULL);
		assert_true(changed >= 30);
		assert_int_equal(diff(""), 1);
		snprintf(text, sizeof(text), "in order: %llu commits are the same; then they differ in %s:\n",
			 (unsigned long long)changed - 1, changes[i].field);
		assert_says(text);
		snprintf(text, sizeof(text), "\n%8llu v", (unsigned long long)changed);
		assert_says(text);
		assert_int_equal(lines_with("which are all"), changes[i].of_others ? 3 : 2);
		assert_int_equal(diff("--json"), 1);
		snprintf(text, sizeof(text), "\"same\": %llu,\n    \"fields\": [\n      \"%s\"\n    ]",
			 (unsigned long long)changed - 1, changes[i].field);
		assert_says(text);
		assert_says("\"differ\": true\n");
	}
	/* More kinds of differences at a time */
	wanted_end = SMR_END_ASYNC;
	wanted_flag = changed = 0;
	copy_changed(other_end, 30, NULL);
	assert_int_equal(diff(""), 1);
	assert_says("end, position");
	/* Whether there is a digest of memory is up to the recorder. */
	wanted_type = SMR_CHUNK;
	wanted_end = changed = 0;
	wanted_flag = SMR_F_MEMDIGEST;
	copy_changed(no_memory, 30, NULL);
	assert_true(changed >= 30);
	assert_int_equal(diff(""), 0);
	copy_changed(NULL, 0, NULL);
	assert_int_equal(diff(""), 0);
	assert_says("in order: 400 commits are the same, which are all\n");
	assert_int_equal(lines(), 4);
	assert_int_equal(diff("--json"), 0);
	assert_says("\"differ\": false\n");
}

/* Commits @n and @n + 1 change their places; no chunk began between them. */
static void swap(struct smr_record *rec, u64 n)
{
	if (!smr_is_commit(rec->type) || (rec->commit_seq != n && rec->commit_seq != n + 1))
		return;
	rec->commit_seq = rec->commit_seq == n ? n + 1 : n;
	if (rec->type == SMR_CHUNK && rec->start_seq >= n)
		rec->start_seq = n - 1;
}

/* Another order: every stream by itself is the same. */
static void test_order(void **state)
{
	const char *line, *next;
	u64 n = 0;

	(void)state;
	generate(&whole);
	run_on("dump", path, "--from 20 --to 60");
	for (line = out; !n && (next = strchr(line, '\n')); line = next + 1) {
		if (!strncmp(line + 9, "vcpu 0 ", 7) && !strncmp(next + 10, "vcpu 1 ", 7))
			n = strtoull(line, NULL, 10);
	}
	assert_true(n > 1);
	copy_changed(swap, n, NULL);
	assert_int_equal(diff(""), 1);
	assert_says("; then they differ in agent:\n");
	assert_int_equal(lines_with("which are all"), 3);
}

static void test_start(void **state)
{
	struct gen_options o = whole;

	(void)state;
	generate(&o);
	copy_changed(NULL, 0, "machine=pc\nseed=8\n");
	assert_int_equal(diff(""), 1);
	assert_says("start: machine: { \"type\": \"test\" } and machine=pc\n");
	assert_says("in order: 60 commits are the same, which are all\n");
	/* The lines that differ */
	spit(path, NULL, 0);
	assert_int_equal(rename(path2, path), 0);
	copy_changed(NULL, 0, "more=1\nmachine=pc\nseed=9\nlast");
	assert_int_equal(diff(""), 1);
	assert_says("start: machine: seed=8 and more=1\n");
	assert_says("start: machine: nothing and seed=9\n");
	assert_says("start: machine: nothing and last\n");
	assert_int_equal(lines_with("start: "), 3);
	assert_int_equal(diff("--json"), 1);
	assert_says("\"what\": \"machine\"");
	/* Blobs that only one has, and memory, and vCPUs */
	generate(&o);
	assert_int_equal(rename(path, path2), 0);
	o.nr_vcpus = 3;
	o.blobs = 1;
	o.blob_len = 7;
	o.seed++;
	generate(&o);
	assert_int_equal(diff(""), 1);
	assert_says("start: more.0: 7 bytes and nothing\n");
	assert_says("start: vCPUs: 3 and 2\n");
	assert_says("start: digest of memory: ");
	assert_int_equal(run_on("diff", path2, path), 1);
	assert_says("start: more.0: nothing and 7 bytes\n");
}

/* A beginning is the same as far as it goes. */
static void test_ends(void **state)
{
	struct gen_options o = whole;
	char rest[96];
	struct bytes b;

	(void)state;
	generate(&whole);
	snprintf(rest, sizeof(rest), "%s --to 30", path2);
	assert_int_equal(run_on("cut", path, rest), 0);
	assert_int_equal(diff(""), 1);
	assert_says("in order: 30 commits are the same; then ");
	assert_says("b.smr ends:\n      31 v");
	assert_int_equal(run_on("diff", path2, path), 1);
	assert_says("b.smr ends:\n      31 v");
	/* Streams that end long before the others */
	o.nr_vcpus = 40;
	generate(&o);
	snprintf(rest, sizeof(rest), "%s --to 59", path2);
	assert_int_equal(run_on("cut", path, rest), 0);
	assert_int_equal(diff(""), 1);
	assert_says("in order: 59 commits are the same; then ");
	assert_says("b.smr ends:\n      60 v");
	/* Damage is where a recording ends, too. */
	generate(&whole);
	b = slurp(path);
	spit(path2, b.p, b.len - 300);
	free(b.p);
	assert_int_equal(diff(""), 1);
	assert_says("b.smr ends:\n");
}

/* What is in an image and what was stored of it is the same to the guest. */
static void test_images(void **state)
{
	struct gen_options o = whole;
	static u8 bytes[100000];
	char image[96];

	(void)state;
	snprintf(image, sizeof(image), "%s/image", files_dir);
	spit(image, bytes, sizeof(bytes));
	o.image = image;
	generate(&o);
	assert_int_equal(run_on("pack", path, path2), 0);
	assert_int_equal(diff(""), 0);
	unlink(image);
	assert_int_equal(diff(""), 0);
}

static void test_not_comparable(void **state)
{
	struct rng rng = { 9 };
	struct bytes b;
	u32 i;
	int ret;

	(void)state;
	generate(&whole);
	assert_int_equal(run_on("diff", path, ""), 64);
	assert_int_equal(run_tool("diff --help"), 0);
	assert_says("exit status: 0 the same, 1 they differ,");
	assert_int_equal(run_on("diff", path, "/etc/passwd"), 2);
	assert_says("/etc/passwd: not a recording");
	assert_int_equal(run_on("diff", "/etc/passwd", path), 2);
	b = slurp(path);
	spit(path2, b.p, SMR_FILE_HEADER_SIZE);
	assert_int_equal(diff(""), 2);
	assert_says("nothing can be replayed, or compared");
	/* A wrong bit anywhere behind the header is never the same. */
	for (i = 0; i < 30; i++) {
		size_t at = SMR_FILE_HEADER_SIZE + rng_below(&rng, b.len - SMR_FILE_HEADER_SIZE);

		b.p[at] ^= 4;
		spit(path2, b.p, b.len);
		b.p[at] ^= 4;
		ret = diff(i % 2 ? "" : "--json");
		assert_true(ret == 1 || ret == 2);
	}
	free(b.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_not_comparable),
	};

	return cmocka_run_group_tests_name("diff", tests, files_set_up, files_tear_down);
}
