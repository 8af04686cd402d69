// SPDX-License-Identifier: GPL-2.0
/* tools/lib: recording files, written and read. */
#include "test.h"

#include <pthread.h>
#include <unistd.h>

#include "files.h"
#include "forge.h"
#include "gen.h"

static void test_crc(void **state)
{
	u32 smr_crc32c_table(u32 crc, const void *data, size_t len);
	struct rng rng = { 5 };
	u8 data[200];
	u32 i, cut;

	(void)state;
	assert_int_equal(smr_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(smr_crc32c_table(0, "123456789", 9), 0xe3069283);
	assert_int_equal(smr_crc32c(0, "", 0), 0);
	for (i = 0; i < sizeof(data); i++)
		data[i] = (u8)rng_next(&rng);
	for (i = 0; i < sizeof(data); i++) {
		cut = (u32)rng_below(&rng, i + 1);
		assert_int_equal(smr_crc32c(0, data, i), smr_crc32c_table(0, data, i));
		assert_int_equal(smr_crc32c(smr_crc32c(0, data, cut), data + cut, i - cut),
				 smr_crc32c(0, data, i));
	}
}

/* Reads a whole stream as bytes, @step at a time. */
static struct bytes read_stream(struct smr_reader *r, u32 stream, u64 limit, u32 step)
{
	struct bytes b = { malloc(1u << 22), 0 };
	struct smr_log *l;
	struct smr_err err;
	int n;

	assert_non_null(b.p);
	assert_int_equal(smr_log_open(&l, r, stream, limit, &err), 0);
	while ((n = smr_log_read(l, b.p + b.len, step, &err)) > 0)
		b.len += (size_t)n;
	if (n < 0)
		fail_msg("%s", err.text);
	smr_log_close(l);
	return b;
}

static u64 last_commit(const struct bytes *b)
{
	struct smr_stream s = { 0 };
	struct smr_record rec;
	size_t pos = 0;
	u64 last = 0;
	int n;

	while (pos < b->len) {
		n = smr_peek(b->p + pos, (u32)(b->len - pos));
		assert_true(n > 0);
		assert_int_equal(smr_decode(&s, b->p + pos, (u32)n, &rec), 0);
		if (smr_is_commit(rec.type))
			last = rec.commit_seq;
		pos += (size_t)n;
	}
	return last;
}

static void check_round_trip(int compress)
{
	struct gen_options o = { .nr_vcpus = 3, .commits = 20000, .flush_every = 7000,
				 .compress = compress, .seed = 1, .ram_pages = 700 };
	struct smr_extent x;
	struct smr_reader *r;
	struct bytes b, c;
	struct smr_err err;
	u64 limit, last = 0;
	u32 i;

	generate(&o);
	x = extent_of(path);
	assert_true(x.initial && x.complete && x.trailer && !x.damage.code);
	assert_int_equal(x.replayable, o.commits);
	assert_int_equal(x.seen, o.commits);
	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	assert_null(smr_reader_damage(r));
	for (i = 0; i <= o.nr_vcpus; i++) {
		b = read_stream(r, i, U64_MAX, 100000);
		c = read_stream(r, i, U64_MAX, 77);
		assert_int_equal(b.len, c.len);
		assert_memory_equal(b.p, c.p, b.len);
		free(b.p);
		free(c.p);
		for (limit = 0; limit < 30000; limit += 5000) {
			b = read_stream(r, i, limit, 4096);
			assert_true(last_commit(&b) <= limit);
			if (limit == 15000 && last_commit(&b) == limit)
				last = limit;
			free(b.p);
		}
	}
	assert_int_equal(last, 15000);
	smr_reader_close(r);
}

static void test_round_trip(void **state)
{
	(void)state;
	check_round_trip(0);
	check_round_trip(1);
	check_round_trip(9);
}

/* How the longest segment of a type is stored. */
static u8 flags_of(const struct smr_reader *r, u8 type)
{
	const struct smr_segment *s, *longest = NULL;
	u64 i;

	for (i = 0; i < smr_reader_nr_segments(r); i++) {
		s = smr_reader_segment(r, i);
		if (s->type == type && (!longest || s->raw_len > longest->raw_len))
			longest = s;
	}
	assert_non_null(longest);
	return longest->flags;
}

/* Memory is compressed by LZ4, the log by deflate, unless it is for most part memory. */
static void test_compression(void **state)
{
	static const struct {
		int level;
		u32 dma_len;
		u8 ram, stream;
	} cases[] = {
		{ 0, 4096, 0, 0 }, { 1, 1, SEG_LZ4, SEG_DEFLATE }, { 1, 4096, SEG_LZ4, SEG_LZ4 },
		{ 6, 1, SEG_DEFLATE, SEG_DEFLATE }, { 6, 4096, SEG_DEFLATE, SEG_DEFLATE },
	};
	struct smr_writer_options o = { .nr_vcpus = 1 };
	struct smr_record rec;
	u8 page[4096], bytes[8192];
	struct smr_stream codec;
	struct smr_writer *w;
	struct smr_reader *r;
	struct smr_err err;
	struct smr_buf b;
	u32 i, n;

	(void)state;
	memset(page, 'x', sizeof(page));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		o.compress = cases[i].level;
		assert_int_equal(smr_writer_create(&w, path, &o, &err), 0);
		assert_int_equal(smr_writer_ram(w, 0, page, sizeof(page), &err), 0);
		assert_int_equal(smr_writer_end_initial(w, &err), 0);
		memset(&codec, 0, sizeof(codec));
		rec = (struct smr_record){ .type = SMR_VM_START };
		for (n = 0; n < 100; n++) {
			rec.commit_seq = n;
			b = (struct smr_buf){ .p = bytes, .size = sizeof(bytes) };
			assert_int_equal(smr_encode(&codec, &rec, &b), 0);
			assert_int_equal(smr_writer_append(w, 1, bytes, b.len, &err), 0);
			rec = (struct smr_record){
				.type = SMR_DMA, .dma_len = cases[i].dma_len,
				.data = page, .data_len = cases[i].dma_len,
			};
		}
		assert_int_equal(smr_writer_close(w, false, &err), 0);
		assert_int_equal(smr_reader_open(&r, path, &err), 0);
		assert_int_equal(smr_reader_info(r)->incompat, cases[i].level ? SMR_FILE_LZ4 : 0);
		assert_int_equal(flags_of(r, SMR_SEG_RAM), cases[i].ram);
		assert_int_equal(flags_of(r, SMR_SEG_STREAM), cases[i].stream);
		assert_int_equal(extent_of(path).replayable, 99);
		smr_reader_close(r);
	}
}

#define RAM_PAGES	1000u
static u8 ram[RAM_PAGES][4096], back[RAM_PAGES][4096];

static int load_page(void *opaque, u64 gpa, const void *data, u32 len)
{
	u64 *bytes = opaque;

	assert_true(gpa >= 0x40000000 && gpa - 0x40000000 + len <= sizeof(back));
	memcpy((u8 *)back + (gpa - 0x40000000), data, len);
	*bytes += len;
	return 0;
}

static void test_ram(void **state)
{
	struct smr_writer *w = create(path);
	struct rng rng = { 3 };
	struct smr_reader *r;
	struct smr_err err;
	u64 bytes = 0, expected = 0;
	u32 i, k;

	(void)state;
	for (i = 0; i < RAM_PAGES; i++) {
		/* Zero but for the last byte, random, zero. */
		if (i % 5 == 1)
			ram[i][4095] = 1;
		for (k = 0; i % 5 > 2 && k < 4096; k++)
			ram[i][k] = (u8)rng_next(&rng);
		expected += i % 5 == 0 || i % 5 == 2 ? 0 : 4096;
	}
	assert_int_equal(smr_writer_ram(w, 0x40000000, ram, sizeof(ram) / 2, &err), 0);
	assert_int_equal(smr_writer_blob(w, "between", "", 0, &err), 0);
	assert_int_equal(smr_writer_ram(w, 0x40000000 + sizeof(ram) / 2, ram[RAM_PAGES / 2],
					sizeof(ram) / 2, &err), 0);
	assert_int_equal(smr_writer_ram(w, 0x40000001, ram, 4096, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_ram(w, 0x40000000, ram, 4095, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_ram(w, 0ull - 4096, ram, 8192, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_end_initial(w, &err), 0);
	assert_int_equal(smr_writer_ram(w, 0, ram, 4096, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_close(w, false, &err), 0);

	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	assert_int_equal(smr_reader_ram(r, load_page, &bytes, &err), 0);
	assert_int_equal(bytes, expected);
	assert_memory_equal(ram, back, sizeof(ram));
	assert_int_equal(smr_reader_ram(r, stop_at_once, NULL, &err), 42);
	smr_reader_close(r);
}

static void test_blobs(void **state)
{
	struct smr_writer *w = create(path);
	size_t len, big_len = 3 * SMR_SEGMENT_MAX + 17;
	char name[SMR_BLOB_NAME_MAX + 1];
	u8 *big = malloc(big_len);
	struct rng rng = { 4 };
	struct smr_reader *r;
	struct smr_err err;
	void *data;
	u32 i = 0;
	size_t k;

	(void)state;
	assert_non_null(big);
	for (k = 0; k < big_len; k++)
		big[k] = (u8)rng_next(&rng);
	memset(name, 'x', SMR_BLOB_NAME_MAX);
	name[SMR_BLOB_NAME_MAX] = 0;
	assert_int_equal(smr_writer_blob(w, "empty", NULL, 0, &err), 0);
	assert_int_equal(smr_writer_blob(w, "big", big, big_len, &err), 0);
	assert_int_equal(smr_writer_blob(w, name, "abc", 3, &err), 0);
	assert_int_equal(smr_writer_blob(w, "big", "x", 1, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_blob(w, "", "x", 1, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_blob(w, "a b", "x", 1, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_blob(w, "huge", big, SMR_BLOB_MAX + 1ul, &err),
			 SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_append(w, 0, "x", 1, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_end_initial(w, &err), 0);
	assert_int_equal(smr_writer_close(w, true, &err), 0);

	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	assert_int_equal(smr_reader_next_blob(r, &i, name, &len, &err), 1);
	assert_string_equal(name, "empty");
	assert_int_equal(smr_reader_next_blob(r, &i, name, &len, &err), 1);
	assert_string_equal(name, "big");
	assert_int_equal(smr_reader_next_blob(r, &i, name, &len, &err), 1);
	assert_int_equal(strlen(name), SMR_BLOB_NAME_MAX);
	assert_int_equal(smr_reader_blob(r, name, &data, &len, &err), 0);
	assert_int_equal(len, 3);
	assert_string_equal(data, "abc");
	free(data);
	assert_int_equal(smr_reader_next_blob(r, &i, name, &len, &err), 0);
	assert_int_equal(smr_reader_blob(r, "empty", &data, &len, &err), 0);
	assert_int_equal(len, 0);
	free(data);
	assert_int_equal(smr_reader_blob(r, "big", &data, &len, &err), 0);
	assert_int_equal(len, big_len);
	assert_memory_equal(data, big, len);
	free(data);
	assert_int_equal(smr_reader_blob(r, "none", &data, &len, &err), SMR_FILE_ENOENT);
	assert_null(data);
	smr_reader_close(r);
	free(big);
}

static void test_writer_mistakes(void **state)
{
	struct smr_writer_options o = { .nr_vcpus = 0 };
	struct smr_writer *w;
	struct smr_err err;

	(void)state;
	assert_int_equal(smr_writer_create(&w, path, &o, &err), SMR_FILE_EINVAL);
	assert_null(w);
	o.nr_vcpus = SMR_FILE_MAX_VCPUS + 1;
	assert_int_equal(smr_writer_create(&w, path, &o, &err), SMR_FILE_EINVAL);
	o.nr_vcpus = 1;
	o.compress = 10;
	assert_int_equal(smr_writer_create(&w, path, &o, &err), SMR_FILE_EINVAL);

	w = create(path);
	assert_int_equal(smr_writer_end_initial(w, &err), 0);
	assert_int_equal(smr_writer_append(w, 2, "x", 1, &err), SMR_FILE_EINVAL);
	assert_int_equal(smr_writer_append(w, 0, "\x01", 1, &err), 0);
	assert_int_equal(smr_writer_flush(w, true, &err), 0);
	/* A stream that ends inside a record is not a clean end. */
	assert_int_equal(smr_writer_close(w, true, &err), SMR_FILE_ERECORD);
	assert_non_null(strstr(err.text, "ends inside a record"));

	w = create(path);
	assert_int_equal(smr_writer_end_initial(w, &err), 0);
	assert_int_equal(smr_writer_append(w, 0, "\xff\xff\xff", 3, &err), SMR_FILE_ERECORD);
	assert_int_equal(smr_writer_append(w, 0, "", 0, &err), SMR_FILE_ERECORD);
	assert_int_equal(smr_writer_close(w, true, &err), SMR_FILE_ERECORD);
}

struct reading {
	struct smr_reader *r;
	u32 stream;
	u64 commits;
};

static void *read_one(void *opaque)
{
	struct reading *rd = opaque;
	struct smr_record rec;
	struct smr_log *l;
	struct smr_err err;

	if (smr_log_open(&l, rd->r, rd->stream, U64_MAX, &err))
		return NULL;
	while (smr_log_next(l, &rec, NULL, NULL, &err) > 0)
		rd->commits += smr_is_commit(rec.type);
	smr_log_close(l);
	return NULL;
}

static void test_threads(void **state)
{
	struct gen_options o = { .nr_vcpus = 3, .commits = 5000, .flush_every = 200, .compress = 1,
				 .seed = 18 };
	struct reading rd[4];
	pthread_t thread[4];
	struct smr_reader *r;
	struct smr_err err;
	u64 all = 0;
	u32 i;

	(void)state;
	generate(&o);
	assert_int_equal(smr_reader_open(&r, path, &err), 0);
	for (i = 0; i < 4; i++) {
		rd[i] = (struct reading){ .r = r, .stream = i };
		assert_int_equal(pthread_create(&thread[i], NULL, read_one, &rd[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		all += rd[i].commits;
	}
	assert_int_equal(all, o.commits);
	smr_reader_close(r);
}

static void test_errstr(void **state)
{
	char name[400];
	struct smr_err err = { 0 };

	(void)state;
	assert_string_equal(smr_file_errstr(&err), "no error");
	memset(name, 'y', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	memcpy(name, "/nonexistent/", 13);
	assert_int_equal(open_error(name, &err), SMR_FILE_EIO);
	/* A long path doesn't push the message out. */
	assert_non_null(strstr(err.text, "can't open"));
	assert_null(strchr(err.text, '\n'));
}

/* Messages hold nothing a terminal would obey, and leave other text as it is. */
static void test_printable(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "plain ~ text", "plain ~ text" },
		{ "\033]0;x\007\r\n\t\177", "?]0;x?????" },
		{ "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xc2\x9b""31m", "??31m" },		/* CSI in one character */
		{ "\x9b""31m", "?31m" },
		{ "\xc1\x9b", "??" },			/* too long a form */
		{ "\xe0\x82\x9b", "???" },
		{ "\xed\xa0\x80", "???" },		/* a surrogate */
		{ "\xf4\x90\x80\x80", "????" },	/* past the last one */
		{ "\xf5\x80\x80\x80", "????" },
		{ "\xe2\x82", "??" },
		{ "\xe2\x82\033", "???" },
	};
	struct smr_err err;
	char text[64];
	u32 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(text, cases[i].text);
		smr_make_printable(text);
		assert_string_equal(text, cases[i].shown);
	}
	open_error("/nonexistent/\033[2J\xc3\xa4", &err);
	assert_non_null(strstr(err.text, "/nonexistent/?[2J\xc3\xa4: can't open"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_compression),
		cmocka_unit_test(test_ram),
		cmocka_unit_test(test_blobs),
		cmocka_unit_test(test_writer_mistakes),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_errstr),
		cmocka_unit_test(test_printable),
	};

	return cmocka_run_group_tests_name("file", tests, files_set_up, files_tear_down);
}
