// SPDX-License-Identifier: GPL-2.0
/* samsara cut and samsara recover: what is written, and from what. */
#include "test.h"

#include <unistd.h>

#include "files.h"
#include "forge.h"
#include "gen.h"
#include "runtool.h"
#include "smr_note.h"

static int run_to_path2(const char *command, const char *options)
{
	char rest[128];

	snprintf(rest, sizeof(rest), "%s %s", path2, options);
	return run_on(command, path, rest);
}

static int cut_to(u64 n)
{
	char option[32];

	snprintf(option, sizeof(option), "--to %llu", (unsigned long long)n);
	return run_to_path2("cut", option);
}

static struct smr_reader *open_reader(const char *name)
{
	struct smr_reader *r;
	struct smr_err err;

	if (smr_reader_open(&r, name, &err))
		fail_msg("%s", err.text);
	return r;
}

/* Returns false after the last commit up to @n. */
static bool next_commit(struct smr_log *l, const u8 **bytes, u32 *len)
{
	struct smr_record rec;
	int ret;

	do {
		ret = smr_log_next(l, &rec, bytes, len, NULL);
	} while (ret > 0 && !smr_is_commit(rec.type));
	assert_true(ret >= 0);
	return ret > 0;
}

/* The commits up to @n of both files are the same, to the byte, and path2 has no more. */
static void assert_same_commits(u64 n)
{
	struct smr_reader *r[2] = { open_reader(path), open_reader(path2) };
	const u8 *bytes[2];
	struct smr_log *l[2];
	u64 found = 0;
	u32 s, len[2];

	for (s = 0; s <= smr_reader_info(r[0])->nr_vcpus; s++) {
		assert_int_equal(smr_log_open(&l[0], r[0], s, n, NULL), 0);
		assert_int_equal(smr_log_open(&l[1], r[1], s, U64_MAX, NULL), 0);
		while (next_commit(l[0], &bytes[0], &len[0])) {
			assert_true(next_commit(l[1], &bytes[1], &len[1]));
			assert_int_equal(len[0], len[1]);
			assert_memory_equal(bytes[0], bytes[1], len[0]);
			found++;
		}
		assert_false(next_commit(l[1], &bytes[1], &len[1]));
		smr_log_close(l[0]);
		smr_log_close(l[1]);
	}
	assert_int_equal(found, n);
	smr_reader_close(r[0]);
	smr_reader_close(r[1]);
}

static int add_ram(void *opaque, u64 addr, const void *data, u32 len)
{
	u32 *crc = opaque;

	*crc = smr_crc32c(*crc ^ (u32)addr, data, len);
	return 0;
}

/* All blobs, and RAM. */
static u32 initial_crc(const char *name)
{
	struct smr_reader *r = open_reader(name);
	char blob[SMR_BLOB_NAME_MAX + 1];
	u32 crc = 0, i = 0;
	size_t len;
	void *data;

	while (smr_reader_next_blob(r, &i, blob, &len, NULL) > 0) {
		assert_int_equal(smr_reader_blob(r, blob, &data, &len, NULL), 0);
		crc = smr_crc32c(smr_crc32c(crc, blob, strlen(blob)), data, len);
		free(data);
	}
	assert_int_equal(smr_reader_ram(r, add_ram, &crc, NULL), 0);
	smr_reader_close(r);
	return crc;
}

static u64 count_notes(const char *name)
{
	struct smr_reader *r = open_reader(name);
	struct smr_note_place place;
	struct smr_notes *notes;
	struct smr_note note;
	struct smr_err err;
	u64 n = 0;

	assert_int_equal(smr_notes_open(&notes, r, &err), 0);
	while (smr_notes_next(notes, &note, &place, &err) > 0)
		n++;
	smr_notes_close(notes);
	smr_reader_close(r);
	return n;
}

static void test_cut(void **state)
{
	struct gen_options o = whole;
	struct smr_extent x;
	u64 n;

	(void)state;
	o.note_every = 7;
	o.blobs = 2;
	o.blob_len = 3000;
	generate(&o);
	for (n = 1; n < o.commits; n += 2) {
		assert_int_equal(cut_to(n), 0);
		x = extent_of(path2);
		assert_int_equal(x.replayable, n);
		assert_int_equal(x.seen, n);
		assert_true(x.initial && x.trailer && !x.complete && !x.damage.code);
		assert_same_commits(n);
		assert_int_equal(count_notes(path2), n / 7);
		assert_int_equal(initial_crc(path2), initial_crc(path));
	}
	assert_int_equal(run_on("verify", path2, ""), 1);
	assert_says("it has no end: it was cut\n");
	assert_says("replayable to commit 59 of 59\n");
	assert_int_equal(run_on("dump", path2, ""), 0);
	assert_int_equal(lines_with("-end"), 0);

	/* The last commit is followed by the end. */
	assert_int_equal(cut_to(60), 0);
	assert_says("commits 1 to 60 of 60 were copied\n");
	assert_int_equal(run_on("verify", path2, ""), 0);
	assert_same_commits(60);
}

/* A copy was made, and took, when and as long as what it is copied from. */
static void test_times(void **state)
{
	struct smr_reader *r;
	struct bytes b;
	u64 created, duration;

	(void)state;
	generate(&whole);
	duration = extent_of(path).duration_ns;
	b = slurp(path);
	put_le(b.p + H_CREATED, 86400, 8);
	forge_seal(&b);
	spit(path, b.p, b.len);
	free(b.p);
	assert_int_equal(run_to_path2("pack", ""), 0);
	assert_true(extent_of(path2).duration_ns == duration);
	r = open_reader(path2);
	created = smr_reader_info(r)->created;
	smr_reader_close(r);
	assert_int_equal(created, 86400);
}

static void test_cut_refused(void **state)
{
	struct gen_options o = whole;

	(void)state;
	generate(&o);
	unlink(path2);
	assert_int_equal(run_to_path2("cut", ""), 64);
	assert_int_equal(cut_to(0), 64);
	assert_int_equal(cut_to(U64_MAX), 64);
	assert_int_equal(cut_to(61), 2);
	assert_says("can be replayed to commit 60, nothing was written");
	o.skip = 33;
	generate(&o);
	assert_int_equal(cut_to(33), 2);
	assert_int_equal(access(path2, F_OK), -1);
	assert_int_equal(cut_to(32), 0);
	assert_same_commits(32);
	/* Over itself, over what is none, into nowhere. */
	assert_int_equal(run_on("cut", path, path), 64);
	assert_int_equal(run_on("cut --to 3", path, path), 2);
	assert_int_equal(run_on("verify", path, ""), 1);
	spit(path2, (const u8 *)"text", 4);
	assert_int_equal(cut_to(3), 2);
	assert_says("exists and is not a recording; not replaced");
	unlink(path2);
	assert_int_equal(run_on("cut --to 3", path, "/dev/full"), 2);
	assert_int_equal(run_on("cut --to 3", path, "/nonexistent/x"), 2);
}

/* A file that is cut anywhere, or has a wrong bit somewhere. */
static void assert_recovered(const struct bytes *b)
{
	struct smr_extent x = { 0 };
	struct smr_err err;
	int status;

	spit(path, b->p, b->len);
	unlink(path2);
	status = run_to_path2("recover", "");
	if (!open_error(path, &err))
		x = extent_of(path);
	if (!x.replayable) {
		assert_int_equal(status, 2);
		assert_int_equal(access(path2, F_OK), -1);
		return;
	}
	assert_int_equal(status, x.complete && x.trailer ? 0 : 1);
	assert_int_equal(extent_of(path2).replayable, x.replayable);
	assert_true(extent_of(path2).complete == x.ended);
	assert_int_equal(extent_of(path2).damage.code, 0);
	assert_int_equal(initial_crc(path2), initial_crc(path));
	assert_same_commits(x.replayable);
}

static void test_recover(void **state)
{
	struct rng rng = { 5 };
	struct bytes b, cut;
	size_t at;
	u32 i;

	(void)state;
	generate(&whole);
	b = slurp(path);
	assert_recovered(&b);
	/* Only the last segment, which says what is in the others */
	cut.p = b.p;
	cut.len = b.len - 1;
	assert_recovered(&cut);
	assert_int_equal(run_on("verify", path2, ""), 0);
	for (cut.len = b.len; cut.len > 160; cut.len -= 160)
		assert_recovered(&cut);
	for (i = 0; i < 20; i++) {
		/* Most of the file is its header. */
		at = i % 6 ? SMR_FILE_HEADER_SIZE + rng_below(&rng, b.len - SMR_FILE_HEADER_SIZE) :
			     rng_below(&rng, b.len);
		b.p[at] ^= 0x20;
		assert_recovered(&b);
		b.p[at] ^= 0x20;
	}
	spit(path, b.p, 0);
	assert_int_equal(run_to_path2("recover", ""), 2);
	free(b.p);
}

/* Records that are none of KVM's end it as well. */
static void test_recover_impossible(void **state)
{
	struct gen_options o = whole;
	const char *line;

	(void)state;
	generate(&o);
	run_on("dump", path, "--vcpu 1 --from 20");
	line = strstr(out, " vcpu 1  chunk ");
	assert_non_null(line);
	while (line > out && line[-1] != '\n')
		line--;
	o.bad_event = strtoull(line, NULL, 10);
	generate(&o);
	assert_int_equal(run_to_path2("recover", ""), 1);
	assert_int_equal(extent_of(path2).replayable, o.bad_event - 1);
	assert_same_commits(o.bad_event - 1);
	assert_int_equal(run_on("verify", path2, ""), 1);
	assert_int_equal(lines_with("KVM can't"), 0);
}

/* What names its bytes in an image still does so. */
static void test_cut_images(void **state)
{
	struct gen_options o = whole;
	static u8 bytes[100000];
	char image[96];

	(void)state;
	snprintf(image, sizeof(image), "%s/image", files_dir);
	spit(image, bytes, sizeof(bytes));
	o.image = image;
	generate(&o);
	unlink(image);
	assert_int_equal(cut_to(50), 0);
	assert_same_commits(50);
	assert_int_equal(run_on("dump", path2, ""), 0);
	assert_true(lines_with("dma-ref") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_cut_refused),
		cmocka_unit_test(test_recover),
		cmocka_unit_test(test_recover_impossible),
		cmocka_unit_test(test_cut_images),
	};

	return cmocka_run_group_tests_name("cut", tests, files_set_up, files_tear_down);
}
