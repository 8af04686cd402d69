// SPDX-License-Identifier: GPL-2.0
/* tools/lib: recording files that are damaged, forged or cut. */
#include "test.h"

#include <fcntl.h>
#include <unistd.h>

#include "files.h"
#include "forge.h"
#include "gen.h"

/* Changes bytes of the file header, with or without a correct checksum. */
static void patch_header(struct bytes *b, u32 at, u64 v, u32 len, bool fix)
{
	put_le(b->p + at, v, len);
	if (fix)
		put_le(b->p + H_CRC, smr_crc32c(0, b->p, H_CRC), 4);
	spit(path2, b->p, b->len);
}

static void test_header(void **state)
{
	struct gen_options o = { .nr_vcpus = 1, .commits = 5, .seed = 1 };
	struct smr_reader *r;
	struct smr_err err;
	struct bytes b;

	(void)state;
	generate(&o);
	b = slurp(path);
	spit(path2, b.p, 0);
	assert_int_equal(open_error(path2, &err), SMR_FILE_ENOTREC);
	spit(path2, b.p, 7);
	assert_int_equal(open_error(path2, &err), SMR_FILE_ENOTREC);
	spit(path2, b.p, 4095);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EHEADER);
	patch_header(&b, H_MAJOR, SMR_FILE_MAJOR + 1, 2, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EVERSION);
	assert_non_null(strstr(err.text, "newer version"));
	patch_header(&b, H_MAJOR, 1, 2, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EVERSION);
	assert_non_null(strstr(err.text, "older version"));
	patch_header(&b, H_MAJOR, 0, 2, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EHEADER);
	patch_header(&b, H_MAJOR, SMR_FILE_MAJOR, 2, true);
	patch_header(&b, H_INCOMPAT, SMR_FILE_INCOMPAT + 1, 8, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EFEATURE);
	patch_header(&b, H_INCOMPAT, 0, 8, true);
	patch_header(&b, H_NR_VCPUS, 65, 4, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EHEADER);
	patch_header(&b, H_NR_VCPUS, 0, 4, true);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EHEADER);
	patch_header(&b, H_NR_VCPUS, 1, 4, true);
	patch_header(&b, H_CREATED, 1, 8, false);
	assert_int_equal(open_error(path2, &err), SMR_FILE_EHEADER);
	b.p[0] ^= 1;
	spit(path2, b.p, b.len);
	assert_int_equal(open_error(path2, &err), SMR_FILE_ENOTREC);
	free(b.p);

	/* A newer minor version with features that may be ignored. */
	b = slurp(path);
	patch_header(&b, H_MINOR, 7, 2, true);
	patch_header(&b, H_COMPAT, U64_MAX, 8, true);
	assert_int_equal(smr_reader_open(&r, path2, &err), 0);
	assert_int_equal(smr_reader_info(r)->minor, 7);
	assert_true(smr_reader_info(r)->compat == U64_MAX);
	assert_string_equal(smr_reader_info(r)->writer, "unit test");
	/* The chain starts with the header's checksum. */
	assert_non_null(smr_reader_damage(r));
	smr_reader_close(r);
	free(b.p);
}

/* Uses everything a reader offers; it must come through whatever the file is. */
static void use_all(struct smr_reader *r)
{
	char name[SMR_BLOB_NAME_MAX + 1];
	struct smr_record rec;
	struct smr_log *l;
	size_t len;
	void *data;
	u32 s, i = 0;

	while (smr_reader_next_blob(r, &i, name, &len, NULL) > 0) {
		if (!smr_reader_blob(r, name, &data, &len, NULL))
			free(data);
	}
	smr_reader_ram(r, stop_at_once, NULL, NULL);
	for (s = 0; s <= smr_reader_info(r)->nr_vcpus; s++) {
		assert_int_equal(smr_log_open(&l, r, s, U64_MAX, NULL), 0);
		while (smr_log_next(l, &rec, NULL, NULL, NULL) > 0)
			;
		smr_log_close(l);
	}
}

/* What is replayable according to the extent must be readable from the logs. */
static void assert_replayable(struct smr_reader *r, u64 n)
{
	u64 found = 0;
	struct smr_record rec;
	struct smr_log *l;
	u32 s;
	int ret;

	for (s = 0; s <= smr_reader_info(r)->nr_vcpus; s++) {
		assert_int_equal(smr_log_open(&l, r, s, n, NULL), 0);
		while ((ret = smr_log_next(l, &rec, NULL, NULL, NULL)) > 0)
			found += smr_is_commit(rec.type);
		assert_int_equal(ret, 0);
		smr_log_close(l);
	}
	assert_int_equal(found, n);
}

static void test_cut_everywhere(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 40, .flush_every = 5, .compress = 1,
				 .seed = 11, .ram_pages = 4 };
	u64 before = 0, steps = 0;
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err;
	struct bytes b;
	size_t cut;

	(void)state;
	generate(&o);
	b = slurp(path);
	spit(path2, b.p, b.len);
	for (cut = b.len; cut-- > 0; )  {
		assert_int_equal(truncate(path2, (off_t)cut), 0);
		if (open_error(path2, &err)) {
			assert_true(cut < SMR_FILE_HEADER_SIZE);
			continue;
		}
		assert_true(cut >= SMR_FILE_HEADER_SIZE);
		assert_int_equal(smr_reader_open(&r, path2, &err), 0);
		assert_int_equal(smr_reader_extent(r, &x, &err), 0);
		assert_false(x.trailer);
		assert_true(x.replayable <= x.seen && x.seen <= o.commits);
		if (cut + 1 < b.len)
			assert_true(x.replayable <= before);
		steps += x.replayable != before;
		before = x.replayable;
		assert_true(x.initial || !x.replayable);
		if (x.damage.code) {
			assert_int_equal(x.damage.code, SMR_FILE_EDAMAGED);
			assert_true(x.damage.offset < cut);
			assert_non_null(strstr(x.damage.text, "cut inside"));
		}
		if (x.initial)
			assert_replayable(r, x.replayable);
		use_all(r);
		smr_reader_close(r);
	}
	/* At least as many points to which it is good as there were flushes. */
	assert_true(steps > 8);
	free(b.p);
}

static void test_flip_everywhere(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 30, .flush_every = 10, .compress = 1,
				 .seed = 12, .ram_pages = 2 };
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err;
	struct rng rng = { 6 };
	struct bytes b;
	size_t i;
	int fd;
	u8 v;

	(void)state;
	generate(&o);
	b = slurp(path);
	spit(path2, b.p, b.len);
	fd = open(path2, O_RDWR);
	for (i = 0; i < b.len; i++) {
		v = b.p[i] ^ (u8)(1u << rng_below(&rng, 8));
		assert_int_equal(pwrite(fd, &v, 1, (off_t)i), 1);
		if (open_error(path2, &err)) {
			assert_true(i < SMR_FILE_HEADER_SIZE);
		} else {
			assert_int_equal(smr_reader_open(&r, path2, &err), 0);
			assert_int_equal(smr_reader_extent(r, &x, &err), 0);
			/* Every bit of the file is covered by a checksum. */
			assert_true(x.damage.code == SMR_FILE_EDAMAGED);
			assert_true(x.damage.offset <= i);
			assert_true(!x.complete && x.replayable <= o.commits);
			if (x.initial)
				assert_replayable(r, x.replayable);
			use_all(r);
			smr_reader_close(r);
		}
		assert_int_equal(pwrite(fd, b.p + i, 1, (off_t)i), 1);
	}
	close(fd);
	assert_true(extent_of(path2).complete);
	free(b.p);
}

static void check_forged(const struct bytes *good, u64 i, u32 at, u8 xor)
{
	struct bytes b = { malloc(good->len), good->len };
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err;

	assert_non_null(b.p);
	memcpy(b.p, good->p, good->len);
	forge_change(&b, i, at, xor);
	spit(path2, b.p, b.len);
	assert_int_equal(smr_reader_open(&r, path2, &err), 0);
	assert_int_equal(smr_reader_extent(r, &x, &err), 0);
	if (x.initial)
		assert_replayable(r, x.replayable);
	use_all(r);
	smr_reader_close(r);
	free(b.p);
}

static void test_forged(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 30, .flush_every = 10, .seed = 13,
				 .ram_pages = 2 };
	struct smr_reader *r;
	struct rng rng = { 7 };
	struct smr_err err;
	struct bytes b;
	u64 i, n;
	u32 at, k;

	(void)state;
	for (o.compress = 0; o.compress < 2; o.compress++) {
		generate(&o);
		assert_int_equal(smr_reader_open(&r, path, &err), 0);
		n = smr_reader_nr_segments(r);
		smr_reader_close(r);
		b = slurp(path);
		for (i = 0; i < n; i++) {
			/* The lengths stay, or forge_change() itself would get lost. */
			for (at = 0; at < S_STORED_LEN; at++)
				check_forged(&b, i, at, (u8)(1u << rng_below(&rng, 8)));
			for (k = 0; k < 20; k++)
				check_forged(&b, i, 64 + (u32)rng_below(&rng, 4096),
					     (u8)(1 + rng_below(&rng, 255)));
		}
		free(b.p);
	}
}

static void test_damaged_middle(void **state)
{
	struct gen_options o = { .nr_vcpus = 1, .commits = 100, .flush_every = 10, .seed = 14 };
	const struct smr_segment *s = NULL;
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err;
	struct bytes b;
	u64 i, first;

	(void)state;
	generate(&o);
	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	for (i = 0; i < smr_reader_nr_segments(r); i++) {
		s = smr_reader_segment(r, i);
		if (s->type == SMR_SEG_STREAM && s->stream == 0 && s->first > 40)
			break;
	}
	first = s->first;
	b = slurp(path);
	b.p[s->offset + SMR_SEGMENT_HEADER_SIZE + 3] ^= 0x10;
	smr_reader_close(r);
	spit(path2, b.p, b.len);
	x = extent_of(path2);
	assert_int_equal(x.replayable, first - 1);
	assert_true(x.seen > x.replayable);
	assert_non_null(strstr(x.damage.text, "payload checksum differs"));
	assert_non_null(strstr(x.damage.text, "segment "));
	free(b.p);
}

static void test_gap_and_duplicate(void **state)
{
	struct gen_options o = { .nr_vcpus = 2, .commits = 50, .seed = 15, .skip = 20 };
	struct smr_extent x;

	(void)state;
	generate(&o);
	x = extent_of(path);
	assert_int_equal(x.replayable, 19);
	assert_int_equal(x.seen, 50);
	assert_false(x.complete);
	o.skip = 0;
	o.twice = 30;
	generate(&o);
	x = extent_of(path);
	assert_int_equal(x.replayable, 29);
	assert_false(x.complete);
	o.twice = 0;
	o.no_trailer = o.no_ends = true;
	generate(&o);
	x = extent_of(path);
	assert_int_equal(x.replayable, 50);
	assert_true(!x.complete && !x.trailer && !x.damage.code);
}

/* What a reader finds wrong with a forged file. */
static void assert_damage(struct bytes *b, const char *what)
{
	struct smr_extent x;
	struct smr_reader *r;
	struct smr_err err;

	forge_seal(b);
	spit(path2, b->p, b->len);
	free(b->p);
	x = extent_of(path2);
	assert_int_equal(x.damage.code, what ? SMR_FILE_EDAMAGED : 0);
	assert_true(x.initial == !what);
	if (what && !strstr(x.damage.text, what))
		fail_msg("no \"%s\" in: %s", what, x.damage.text);
	assert_int_equal(smr_reader_open(&r, path2, &err), 0);
	use_all(r);
	smr_reader_close(r);
}

static void test_forged_blobs(void **state)
{
	char name[32];
	struct bytes b;
	u32 i, more;

	(void)state;
	for (more = 0; more < 2; more++) {
		b = forge_file();
		for (i = 0; i < SMR_FILE_MAX_BLOBS + more; i++) {
			snprintf(name, sizeof(name), "blob%u", i);
			forge_blob(&b, name, 1, 0, "x", 1);
		}
		forge_initial_end(&b, i);
		assert_damage(&b, more ? "more than 4096 blobs" : NULL);
	}

	b = forge_file();
	forge_blob(&b, "a", 1, 0, "x", 1);
	forge_blob(&b, "b", 2, 0, "xy", 2);
	forge_blob(&b, "a", 1, 0, "z", 1);
	forge_initial_end(&b, 3);
	assert_damage(&b, "blob a: is there twice");

	b = forge_file();
	forge_blob(&b, "a", 3, 0, "x", 1);
	forge_blob(&b, "a", 3, 1, "yz", 2);
	forge_initial_end(&b, 1);
	assert_damage(&b, NULL);

	b = forge_file();
	forge_blob(&b, "a", 3, 0, "x", 1);
	forge_blob(&b, "b", 3, 1, "yz", 2);
	forge_initial_end(&b, 1);
	assert_damage(&b, "blob b: pieces don't fit");

	b = forge_file();
	forge_blob(&b, "a", 3, 0, "x", 1);
	forge_initial_end(&b, 1);
	assert_damage(&b, "blob a: its end is missing");

	b = forge_file();
	forge_blob(&b, "a", 3, 0, "", 0);
	forge_blob(&b, "a", 3, 0, "", 0);
	forge_initial_end(&b, 1);
	assert_damage(&b, "blob a: pieces don't fit");

	b = forge_file();
	forge_blob(&b, "a\033]0;b\007", 1, 0, "x", 1);
	forge_initial_end(&b, 1);
	assert_damage(&b, "bad blob name");
}

static void test_forged_segments(void **state)
{
	struct smr_err err;
	struct bytes b;
	u32 i;

	(void)state;
	b = forge_file();
	for (i = 0; i < SMR_FILE_MAX_SEGMENTS; i++)
		forge_segment(&b, SMR_SEG_SKIPPABLE, 0, "x", 1);
	forge_initial_end(&b, 0);
	forge_seal(&b);
	spit(path2, b.p, b.len);
	free(b.p);
	assert_non_null(strstr(extent_of(path2).damage.text, "more than 20000 segments"));
	/* A writer ends before. */
	assert_int_equal(gen_recording(path, &(struct gen_options){
			.nr_vcpus = 1, .commits = SMR_FILE_MAX_SEGMENTS, .flush_every = 1,
		}, &err), SMR_FILE_ELIMIT);
	assert_int_equal(extent_of(path).damage.code, 0);
	assert_true(extent_of(path).replayable > SMR_FILE_MAX_SEGMENTS - 10);
}

/* Another recording's segments behind this one's. */
static void test_foreign_segments(void **state)
{
	struct gen_options o = { .nr_vcpus = 1, .commits = 20, .flush_every = 5, .seed = 16,
				 .no_trailer = true };
	struct smr_extent x;
	struct bytes a, b;
	size_t half;

	(void)state;
	generate(&o);
	a = slurp(path);
	generate(&o);
	b = slurp(path);
	assert_int_equal(a.len, b.len);
	half = SMR_FILE_HEADER_SIZE + (a.len - SMR_FILE_HEADER_SIZE) / 2;
	memcpy(b.p + half, a.p + half, a.len - half);
	spit(path2, b.p, b.len);
	x = extent_of(path2);
	assert_int_equal(x.damage.code, SMR_FILE_EDAMAGED);
	free(a.p);
	free(b.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_flip_everywhere),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_damaged_middle),
		cmocka_unit_test(test_gap_and_duplicate),
		cmocka_unit_test(test_forged_blobs),
		cmocka_unit_test(test_forged_segments),
		cmocka_unit_test(test_foreign_segments),
	};

	return cmocka_run_group_tests_name("damage", tests, files_set_up, files_tear_down);
}
