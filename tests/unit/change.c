// SPDX-License-Identifier: GPL-2.0
#include "test.h"

#include "change.h"
#include "files.h"

static void copy_blobs(const struct smr_reader *r, struct smr_writer *w, const char *other)
{
	char name[SMR_BLOB_NAME_MAX + 1];
	size_t len;
	void *data;
	u32 i = 0;

	while (smr_reader_next_blob(r, &i, name, &len, NULL) > 0) {
		assert_int_equal(smr_reader_blob(r, name, &data, &len, NULL), 0);
		if (other && !strcmp(name, "machine"))
			assert_int_equal(smr_writer_blob(w, name, other, strlen(other), NULL), 0);
		else
			assert_int_equal(smr_writer_blob(w, name, data, len, NULL), 0);
		free(data);
	}
}

static void copy_stream(const struct smr_reader *r, struct smr_writer *w, u32 stream,
			change_fn change, u64 n)
{
	static u8 bytes[SMR_RECORD_MAX];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };
	struct smr_stream state = { 0 };
	struct smr_record rec;
	struct smr_log *l;

	assert_int_equal(smr_log_open(&l, r, stream, U64_MAX, NULL), 0);
	while (smr_log_next(l, &rec, NULL, NULL, NULL) > 0) {
		if (change)
			change(&rec, n);
		b.len = 0;
		assert_int_equal(smr_encode(&state, &rec, &b), 0);
		assert_int_equal(smr_writer_append(w, stream, b.p, b.len, NULL), 0);
	}
	smr_log_close(l);
}

void copy_changed(change_fn change, u64 n, const char *machine)
{
	struct smr_reader *r;
	struct smr_writer *w;
	u32 i;

	assert_int_equal(smr_reader_open(&r, path, NULL), 0);
	const struct smr_writer_options o = {
		.nr_vcpus = smr_reader_info(r)->nr_vcpus, .incompat = smr_reader_info(r)->incompat,
	};

	assert_int_equal(smr_writer_create(&w, path2, &o, NULL), 0);
	copy_blobs(r, w, machine);
	assert_int_equal(smr_writer_end_initial(w, NULL), 0);
	for (i = 0; i <= o.nr_vcpus; i++)
		copy_stream(r, w, i, change, n);
	assert_int_equal(smr_writer_close(w, true, NULL), 0);
	smr_reader_close(r);
}
