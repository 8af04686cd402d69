// SPDX-License-Identifier: GPL-2.0
/* tools/lib: recordings that name what devices have read from disk images. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "forge.h"
#include "gen.h"

#define IMAGE_BYTES	200000u

static char image[64], other[64];

static struct gen_options options = {
	.nr_vcpus = 1, .commits = 300, .flush_every = 50, .compress = 1, .seed = 5, .ram_pages = 2,
};

static int set_up(void **state)
{
	struct rng rng = { 17 };
	u8 *p = malloc(IMAGE_BYTES);
	u32 i;

	if (!p || files_set_up(state))
		return -1;
	snprintf(image, sizeof(image), "%s/disk.img", files_dir);
	snprintf(other, sizeof(other), "%s/elsewhere", files_dir);
	for (i = 0; i < IMAGE_BYTES; i++)
		p[i] = (u8)rng_next(&rng);
	spit(image, p, IMAGE_BYTES);
	free(p);
	options.image = image;
	generate(&options);
	return 0;
}

static struct smr_reader *reader(void)
{
	struct smr_reader *r;

	assert_int_equal(smr_reader_open(&r, path, NULL), 0);
	return r;
}

static int open_images(const char *dir, struct smr_err *err)
{
	struct smr_reader *r = reader();
	struct smr_images *images;
	int ret = smr_images_open(&images, r, dir, err);

	if (!ret)
		ret = smr_images_check(images, r, U64_MAX, err);
	smr_images_close(images);
	smr_reader_close(r);
	return ret;
}

static struct smr_log *vm_log(struct smr_reader *r, const struct smr_images *images)
{
	struct smr_log *l;

	assert_int_equal(smr_log_open(&l, r, 1, U64_MAX, NULL), 0);
	assert_int_equal(smr_log_use_images(l, images, NULL), 0);
	return l;
}

/* Record by record beside the log as it is stored. */
static void test_filled(void **state)
{
	struct smr_reader *r = reader();
	struct smr_record rec, stored;
	struct bytes b = slurp(image);
	struct smr_images *images;
	struct smr_log *l, *raw;
	u32 refs = 0;
	int ret;

	(void)state;
	assert_int_equal(smr_images_open(&images, r, NULL, NULL), 0);
	assert_non_null(images);
	l = vm_log(r, images);
	raw = vm_log(r, NULL);
	while ((ret = smr_log_next(raw, &stored, NULL, NULL, NULL)) > 0) {
		assert_int_equal(smr_log_next(l, &rec, NULL, NULL, NULL), 1);
		assert_int_equal(rec.commit_seq, stored.commit_seq);
		if (stored.type != SMR_DMA_REF) {
			assert_int_equal(rec.type, stored.type);
			continue;
		}
		refs++;
		assert_int_equal(rec.type, SMR_DMA);
		assert_int_equal(rec.gpa, stored.gpa);
		assert_int_equal(rec.data_len, stored.dma_len);
		assert_memory_equal(rec.data, b.p + stored.image_offset, rec.data_len);
	}
	assert_int_equal(ret, 0);
	assert_int_equal(smr_log_next(l, &rec, NULL, NULL, NULL), 0);
	assert_true(refs > 20);
	smr_log_close(l);
	smr_log_close(raw);
	smr_images_close(images);
	smr_reader_close(r);
	free(b.p);
}

/* As bytes, in pieces that cut records: what a kernel is fed. */
static void test_bytes(void **state)
{
	struct smr_reader *r = reader();
	struct smr_stream s = { 0 };
	struct smr_images *images;
	u8 *all = malloc(16u << 20);
	u32 len = 0, pos = 0, records = 0;
	struct smr_record rec;
	struct smr_log *l;
	int n;

	(void)state;
	assert_int_equal(smr_images_open(&images, r, NULL, NULL), 0);
	l = vm_log(r, images);
	while ((n = smr_log_read(l, all + len, 777, NULL)) > 0)
		len += (u32)n;
	assert_int_equal(n, 0);
	while ((n = smr_peek(all + pos, len - pos)) > 0) {
		assert_int_equal(smr_decode(&s, all + pos, (u32)n, &rec), 0);
		assert_int_not_equal(rec.type, SMR_DMA_REF);
		pos += (u32)n;
		records++;
	}
	assert_int_equal(pos, len);
	assert_true(records > 50);
	smr_log_close(l);
	smr_images_close(images);
	smr_reader_close(r);
	free(all);
}

static void says(const char *dir, const char *text)
{
	struct smr_err err;

	assert_int_equal(open_images(dir, &err), SMR_FILE_EIMAGE);
	if (!strstr(err.text, text))
		fail_msg("no \"%s\" in: %s", text, err.text);
}

static void test_other_image(void **state)
{
	struct bytes b = slurp(image);
	struct smr_err err;
	char moved[96];

	(void)state;
	assert_int_equal(open_images(NULL, &err), 0);
	assert_int_equal(mkdir(other, 0700), 0);
	/* It is not there, but where it was. */
	assert_int_equal(open_images(other, &err), 0);
	b.p[IMAGE_BYTES / 2] ^= 1;
	spit(image, b.p, b.len);
	says(NULL, "not the disk image that was recorded");
	b.p[IMAGE_BYTES / 2] ^= 1;
	spit(image, b.p, b.len - 1);
	says(NULL, "199999 bytes, not 200000");
	unlink(image);
	says(NULL, "can't open this disk image");
	assert_int_equal(mkdir(image, 0700), 0);
	says(NULL, "not a file");
	rmdir(image);
	/* Nobody writes to it: who opens it to read must not wait for that. */
	assert_int_equal(mkfifo(image, 0600), 0);
	says(NULL, "not a file");
	unlink(image);
	says(other, "/disk.img: can't open this disk image");
	snprintf(moved, sizeof(moved), "%s/disk.img", other);
	spit(moved, b.p, b.len);
	assert_int_equal(open_images(other, &err), 0);
	assert_int_equal(rename(moved, image), 0);
	assert_int_equal(rmdir(other), 0);
	free(b.p);
}

static void test_bad_list(void **state)
{
	static const char * const lists[] = {
		"", "\n", "200000", "200000 ", "200000 dir/", "x disk.img", " 1 disk.img", "-1 disk.img",
		"99999999999999999999999 disk.img", "200000 a\033[2Jb", "200000\tdisk.img",
	};
	struct smr_err err;
	char many[2048] = "";
	u32 i;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		options.images = lists[i];
		generate(&options);
		ret = open_images(NULL, &err);
		/* No image at all is a list, but not what the log needs. */
		if (ret != (*lists[i] ? SMR_FILE_EDAMAGED : SMR_FILE_ERECORD))
			fail_msg("list %u: %d: %s", i, ret, err.text);
	}
	for (i = 0; i <= SMR_MAX_IMAGES; i++)
		sprintf(many + strlen(many), "0 /dev/null\n");
	options.images = many;
	generate(&options);
	says(NULL, "not a file");
	options.images = NULL;
	generate(&options);
}

/* A recording without any is one without. */
static void test_none(void **state)
{
	struct gen_options o = options;
	struct smr_images *images;
	struct smr_reader *r;

	(void)state;
	o.image = NULL;
	generate(&o);
	r = reader();
	assert_int_equal(smr_images_open(&images, r, NULL, NULL), 0);
	assert_null(images);
	assert_int_equal(smr_images_check(images, r, U64_MAX, NULL), 0);
	smr_reader_close(r);
	generate(&options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filled),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_other_image),
		cmocka_unit_test(test_bad_list),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, set_up, files_tear_down);
}
