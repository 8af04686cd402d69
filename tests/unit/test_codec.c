// SPDX-License-Identifier: GPL-2.0
/* core/smr_codec.c */
#include "test.h"

#include <limits.h>

#include <linux/kvm_samsara.h>

#include "gen.h"

static u8 buffer[2 * SMR_RECORD_MAX];

static struct smr_buf fresh(void)
{
	struct smr_buf b = { .p = buffer, .size = sizeof(buffer) };

	return b;
}

/* A copy of exactly this size, so that AddressSanitizer sees one byte too many. */
static u8 *exact(const u8 *p, u32 len)
{
	u8 *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, p, len);
	return copy;
}

static void assert_same(const struct smr_record *a, const struct smr_record *b)
{
	struct smr_record x = *a, y = *b;

	assert_int_equal(a->data_len, b->data_len);
	if (a->data_len)
		assert_memory_equal(a->data, b->data, a->data_len);
	x.data = y.data = NULL;
	assert_memory_equal(&x.pos, &y.pos, sizeof(x.pos));
	assert_int_equal(x.event.intr_info, y.event.intr_info);
	assert_int_equal(x.event.error_code, y.event.error_code);
	assert_int_equal(x.event.insn_len, y.event.insn_len);
	assert_int_equal(x.event.aux, y.event.aux);
	assert_int_equal(x.type, y.type);
	assert_int_equal(x.sipi_vector, y.sipi_vector);
	assert_int_equal(x.end, y.end);
	assert_int_equal(x.flags, y.flags);
	assert_int_equal(x.digest, y.digest);
	assert_int_equal(x.dma_len, y.dma_len);
	assert_int_equal(x.commit_seq, y.commit_seq);
	assert_int_equal(x.start_seq, y.start_seq);
	assert_int_equal(x.mem_digest, y.mem_digest);
	assert_int_equal(x.chain, y.chain);
	assert_int_equal(x.state_digest, y.state_digest);
	assert_int_equal(x.gpa, y.gpa);
}

/* Encodes, decodes, compares; both ends' states advance. */
static u32 round_trip(struct smr_stream *enc, struct smr_stream *dec, const struct smr_record *r)
{
	struct smr_buf b = fresh();
	struct smr_record got;
	u8 *copy;

	assert_int_equal(smr_encode(enc, r, &b), 0);
	copy = exact(b.p, b.len);
	assert_int_equal(smr_peek(copy, b.len), b.len);
	assert_int_equal(smr_decode(dec, copy, b.len, &got), 0);
	assert_same(r, &got);
	assert_memory_equal(enc, dec, sizeof(*enc));
	free(copy);
	return b.len;
}

static void test_extremes(void **state)
{
	struct smr_stream enc = { 0 }, dec = { 0 };
	struct smr_record r = { .type = SMR_VM_START, .mem_digest = U64_MAX };

	(void)state;
	round_trip(&enc, &dec, &r);

	r = (struct smr_record){ .type = SMR_CHUNK, .commit_seq = 1, .end = 0xffff };
	round_trip(&enc, &dec, &r);
	r.commit_seq = 2;
	r.start_seq = 1;
	r.flags = SMR_F_ALL & ~SMR_F_WAS_READABLE;
	r.sipi_vector = 0xff;
	r.end = SMR_END_ASYNC;
	r.digest = 0xffffffff;
	r.pos = (struct smr_position){ U64_MAX, U64_MAX, U64_MAX, U64_MAX };
	r.event = (struct smr_event){ 0x80000b0e, 0xffffffff, 0, U64_MAX };
	r.mem_digest = U64_MAX;
	round_trip(&enc, &dec, &r);
	r.commit_seq = U64_MAX - 1;
	r.start_seq = 0;
	r.pos.rip = 0;
	r.event = (struct smr_event){ 0xffffff05 | 4 << 8, 0, 0, 0 };
	r.event.intr_info = 0x80000480;
	r.event.insn_len = 0xffffffff;
	round_trip(&enc, &dec, &r);

	r = (struct smr_record){ .type = SMR_CHUNK, .commit_seq = U64_MAX - 1,
				 .end = SMR_END_TOUCH, .gpa = ~0xfffull };
	enc = dec = (struct smr_stream){ 0 };
	round_trip(&enc, &dec, &r);
	r.flags = SMR_F_WAS_READABLE;
	enc = dec = (struct smr_stream){ 0 };
	round_trip(&enc, &dec, &r);

	r = (struct smr_record){ .type = SMR_SECTION, .commit_seq = U64_MAX, .digest = 1,
				 .flags = SMR_F_MEMDIGEST, .mem_digest = 2 };
	round_trip(&enc, &dec, &r);
	enc.commit_seq = 0;
	dec.commit_seq = 0;
	r.type = SMR_STATE;
	round_trip(&enc, &dec, &r);
	r = (struct smr_record){ .type = SMR_VM_END, .commit_seq = U64_MAX, .mem_digest = 1 };
	round_trip(&enc, &dec, &r);
	r = (struct smr_record){ .type = SMR_VCPU_END, .chain = U64_MAX, .state_digest = 1 };
	round_trip(&enc, &dec, &r);
}

static void test_random(void **state)
{
	struct smr_stream enc[SMR_DMA_REF + 1] = { 0 }, dec[SMR_DMA_REF + 1] = { 0 };
	u8 data[SMR_INPUT_MAX];
	struct rng rng = { 1 };
	struct smr_record r;
	u64 n;
	u8 type;

	(void)state;
	for (n = 1; n < 30000; n++) {
		type = 1 + (u8)rng_below(&rng, SMR_DMA_REF);
		gen_record(&rng, type, n, data, &r);
		round_trip(&enc[type], &dec[type], &r);
	}
}

static void test_small(void **state)
{
	struct smr_stream enc = { 0 }, dec = { 0 };
	struct smr_record r = { .type = SMR_CHUNK, .commit_seq = 1, .end = 30, .digest = 5 };

	(void)state;
	/* Type, length, flags, commit, start, end, digest. */
	assert_int_equal(round_trip(&enc, &dec, &r), 10);
	r = (struct smr_record){ .type = SMR_CHUNK, .commit_seq = 2, .start_seq = 1, .end = 1,
				 .flags = SMR_F_EVENT, .event.intr_info = 0x80000020 };
	/* An interrupt vector below 64 costs one byte. */
	assert_int_equal(round_trip(&enc, &dec, &r), 14);
	/* RCX only where it belongs to the position, and jumps in proportion to branches. */
	r = (struct smr_record){ .type = SMR_CHUNK, .commit_seq = 3, .start_seq = 2, .end = 1,
				 .pos = { .branches = 3000, .jumps = 2000 } };
	assert_int_equal(round_trip(&enc, &dec, &r), 15);
	r.commit_seq++;
	r.pos.branches = 9000;
	r.pos.jumps = 6000;
	assert_int_equal(round_trip(&enc, &dec, &r), 14);
	r.commit_seq++;
	r.flags = SMR_F_RCX;
	r.pos.rcx = 0x1234;
	assert_int_equal(round_trip(&enc, &dec, &r), 16);
}

static void test_largest(void **state)
{
	static u8 data[SMR_RECORD_MAX];
	struct smr_stream enc = { 0 }, dec = { 0 };
	struct smr_record r = { .type = SMR_DMA, .commit_seq = 1, .data = data };
	struct smr_buf b = fresh();
	u32 len = KVM_SAMSARA_DMA_MAX;

	(void)state;
	r.dma_len = r.data_len = len;
	round_trip(&enc, &dec, &r);
	for (len = SMR_RECORD_MAX - 20; ; len++) {
		b = fresh();
		r.commit_seq++;
		r.dma_len = r.data_len = len;
		if (smr_encode(&enc, &r, &b))
			break;
		assert_true(b.len <= SMR_RECORD_MAX);
		assert_int_equal(smr_peek(b.p, b.len), b.len);
	}
	/* The longest one was the last: ten bytes are not data. */
	assert_int_equal(len, SMR_RECORD_MAX - 9);
	assert_int_equal(b.len, 0);
	r.dma_len = r.data_len = 0xffffffff;
	assert_int_equal(smr_encode(&enc, &r, &b), -ENOSPC);
}

static void test_slots(void **state)
{
	const struct smr_slot slots[] = {
		{ 0, 0xa0000, 0, false },
		{ 0xc0000, 0x40000, 0x10000000, true },
		{ 1ull << 32, 1ull << 36, 0xc0000, false },
	};
	u8 bytes[SMR_MAX_SLOTS * SMR_SLOT_BYTES];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };
	struct smr_cursor c = { .p = bytes };
	struct smr_stream enc = { 0 }, dec = { 0 };
	struct smr_record r = { .type = SMR_MAP, .commit_seq = 1, .data = bytes };
	struct smr_slot slot;
	u32 i;

	(void)state;
	round_trip(&enc, &dec, &r);
	for (i = 0; i < 3; i++)
		smr_put_slot(&b, &slots[i]);
	assert_int_equal(b.len, 3 * SMR_SLOT_BYTES);
	r.commit_seq = 7;
	r.data_len = b.len;
	round_trip(&enc, &dec, &r);
	c.end = bytes + b.len;
	for (i = 0; i < 3; i++) {
		assert_int_equal(smr_next_slot(&c, &slot), 1);
		assert_int_equal(slot.gpa, slots[i].gpa);
		assert_int_equal(slot.size, slots[i].size);
		assert_int_equal(slot.ram, slots[i].ram);
		assert_int_equal(slot.readonly, slots[i].readonly);
	}
	assert_int_equal(smr_next_slot(&c, &slot), 0);
	/* One that is cut short. */
	c = (struct smr_cursor){ .p = bytes, .end = bytes + SMR_SLOT_BYTES - 1 };
	assert_int_equal(smr_next_slot(&c, &slot), -EBADMSG);
}

static void test_refused(void **state)
{
	struct smr_stream enc = { .commit_seq = 10, .branches = 7 }, before = enc;
	struct smr_record good = { .type = SMR_CHUNK, .commit_seq = 11, .start_seq = 10, .end = 1 };
	struct smr_record r = good;
	u8 data[4] = { 0 };
	struct smr_buf b = fresh();

	(void)state;
	r.type = 0;
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r.type = SMR_DMA_REF + 1;
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r = good;
	r.commit_seq = 10;
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r = good;
	r.start_seq = 11;
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r = good;
	r.flags = SMR_F_ALL + 1;
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r = good;
	r.flags = SMR_F_WAS_READABLE;		/* not before a page */
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r.end = SMR_END_TOUCH;
	r.flags = SMR_F_RCX;		/* not at a position */
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r = (struct smr_record){ .type = SMR_SECTION, .commit_seq = 11, .flags = SMR_F_RCX };
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r = (struct smr_record){ .type = SMR_VM_END, .commit_seq = 9 };
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r = (struct smr_record){ .type = SMR_DMA, .commit_seq = 11, .dma_len = 3, .data = data,
				 .data_len = 4 };
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r = (struct smr_record){ .type = SMR_DMA_REF, .commit_seq = 11, .dma_len = 4, .data = data,
				 .data_len = 4 };
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	r = (struct smr_record){ .type = SMR_VCPU_END, .data = data, .data_len = 4 };
	assert_int_equal(smr_encode(&enc, &r, &b), -EINVAL);
	assert_int_equal(b.len, 0);
	assert_memory_equal(&enc, &before, sizeof(enc));

	/* Too small a buffer leaves everything as it was. */
	for (b.size = 0; b.size < 13; b.size++) {
		assert_int_equal(smr_encode(&enc, &good, &b), -ENOSPC);
		assert_int_equal(b.len, 0);
		assert_false(b.full);
		assert_memory_equal(&enc, &before, sizeof(enc));
	}
	assert_int_equal(smr_encode(&enc, &good, &b), 0);
}

static u64 get_varint(const u8 *p, u32 len, bool *bad)
{
	u8 *copy = exact(p, len);
	struct smr_cursor c = { .p = copy, .end = copy + len };
	u64 v = smr_get_varint(&c);

	*bad = c.bad || c.p != c.end;
	free(copy);
	return v;
}

static void test_varint(void **state)
{
	static const struct { u8 bytes[11]; u32 len; } wrong[] = {
		{ { 0 }, 0 },						/* nothing */
		{ { 0x80 }, 1 },					/* cut */
		{ { 0x80, 0x00 }, 2 },					/* 0 in two bytes */
		{ { 0xff, 0x80, 0x00 }, 3 },				/* 127 in three */
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 }, 10 },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00 }, 11 },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81 }, 10 },
	};
	struct smr_buf b;
	bool bad;
	u64 v;
	u32 i;

	(void)state;
	for (i = 0; i < 64; i++) {
		for (v = (1ull << i) - 1; v <= (1ull << i) + 1 && v != U64_MAX; v++) {
			b = fresh();
			smr_put_varint(&b, v);
			assert_true(b.len <= 10);
			assert_true(b.len == 1 || v >> (7 * (b.len - 1)));
			assert_int_equal(get_varint(b.p, b.len, &bad), v);
			assert_false(bad);
		}
	}
	b = fresh();
	smr_put_varint(&b, U64_MAX);
	assert_int_equal(b.len, 10);
	assert_true(get_varint(b.p, b.len, &bad) == U64_MAX && !bad);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		get_varint(wrong[i].bytes, wrong[i].len, &bad);
		assert_true(bad);
	}
}

static void test_zigzag(void **state)
{
	static const s64 values[] = { 0, -1, 1, 63, -64, 64, INT64_MAX, INT64_MIN };
	struct smr_cursor c;
	struct smr_buf b;
	u32 i;

	(void)state;
	for (i = 0; i < 8; i++) {
		b = fresh();
		smr_put_zigzag(&b, values[i]);
		c = (struct smr_cursor){ .p = b.p, .end = b.p + b.len };
		assert_true(smr_get_zigzag(&c) == values[i] && !c.bad && c.p == c.end);
		assert_true(i > 4 || b.len == 1);
	}
}

/* A small stream of every kind of record; returns its length. */
static u32 small_stream(u64 seed, u8 *out, u32 size)
{
	struct smr_stream s = { 0 };
	struct smr_buf b = { .p = out, .size = size };
	u8 data[SMR_INPUT_MAX], bytes[SMR_INPUT_MAX];
	struct rng rng = { seed };
	struct smr_record r;
	u64 n;

	for (n = 1; n <= 6; n++) {
		gen_record(&rng, (u8)n, n, data, &r);
		if (r.type == SMR_CHUNK || r.type == SMR_SECTION) {
			r.data = bytes;
			r.data_len = gen_inputs(&rng, &s.tsc, bytes, 64);
		}
		assert_int_equal(smr_encode(&s, &r, &b), 0);
	}
	return b.len;
}

/*
 * Reads a stream of any bytes.  Whatever the decoder accepts must encode to the
 * same bytes: a record has one encoding.  Returns how many bytes were records.
 */
static u32 read_any(const u8 *p, u32 len)
{
	struct smr_stream dec = { 0 }, enc = { 0 };
	struct smr_cursor c;
	struct smr_record r;
	struct smr_item item;
	struct smr_buf b;
	u32 pos = 0;
	u8 *copy;
	int n, ok;

	while ((n = smr_peek(p + pos, len - pos)) > 0) {
		copy = exact(p + pos, (u32)n);
		ok = !smr_decode(&dec, copy, (u32)n, &r);
		if (ok) {
			b = fresh();
			assert_int_equal(smr_encode(&enc, &r, &b), 0);
			assert_int_equal(b.len, n);
			assert_memory_equal(b.p, copy, b.len);
			c = (struct smr_cursor){ .p = r.data, .end = r.data + r.data_len };
			while (r.data_len && smr_next_item(&c, &dec.tsc, &item) > 0)
				;
			enc.tsc = dec.tsc;
		}
		free(copy);
		if (!ok)
			break;
		pos += (u32)n;
	}
	return pos;
}

static void test_truncation(void **state)
{
	u8 stream[4096], *copy;
	struct smr_record r;
	struct smr_stream s;
	u32 len, cut, whole;
	u64 seed;

	(void)state;
	for (seed = 0; seed < 20; seed++) {
		len = small_stream(seed, stream, sizeof(stream));
		assert_int_equal(read_any(stream, len), len);
		for (cut = 0; cut < len; cut++) {
			copy = exact(stream, cut);
			whole = read_any(copy, cut);
			assert_true(whole <= cut);
			/* What is left is waiting for more, not an error. */
			assert_int_equal(smr_peek(copy + whole, cut - whole), 0);
			s = (struct smr_stream){ 0 };
			assert_int_equal(smr_decode(&s, copy + whole, cut - whole, &r), -EBADMSG);
			free(copy);
		}
	}
}

static void test_flips(void **state)
{
	u8 stream[4096], *copy;
	u32 len, bit;
	u64 seed;

	(void)state;
	for (seed = 0; seed < 20; seed++) {
		len = small_stream(seed, stream, sizeof(stream));
		for (bit = 0; bit < 8 * len; bit++) {
			copy = exact(stream, len);
			copy[bit / 8] ^= (u8)(1u << bit % 8);
			read_any(copy, len);
			free(copy);
		}
	}
}

static void test_noise(void **state)
{
	struct rng rng = { 99 };
	u8 bytes[64];
	u32 i, k;

	(void)state;
	for (i = 0; i < 100000; i++) {
		for (k = 0; k < sizeof(bytes); k++)
			bytes[k] = (u8)rng_next(&rng);
		bytes[0] = 1 + bytes[0] % SMR_VM_END;
		bytes[1] = (u8)rng_below(&rng, 62);
		read_any(bytes, sizeof(bytes));
	}
}

static int decode_bytes(const u8 *p, u32 len)
{
	struct smr_stream s = { 0 };
	struct smr_record r;
	u8 *copy = exact(p, len);
	int ret = smr_decode(&s, copy, len, &r);

	free(copy);
	return ret;
}

static void test_hostile(void **state)
{
	static const u8 good[] = { SMR_CHUNK, 8, 0, 1, 0, 30, 1, 2, 3, 4 };
	u8 bad[sizeof(good) + 1];
	u8 long_length[] = { SMR_CHUNK, 0x88, 0x00 };
	u8 huge[] = { SMR_DMA, 0xff, 0xff, 0xff, 0x7f };
	u8 endless[] = { SMR_DMA, 0xff, 0xff, 0xff };

	(void)state;
	assert_int_equal(decode_bytes(good, sizeof(good)), 0);
	memcpy(bad, good, sizeof(good));
	bad[sizeof(good)] = 0;
	assert_int_equal(decode_bytes(bad, sizeof(bad)), -EBADMSG);	/* length differs */
	bad[2] = SMR_F_ALL + 1;
	assert_int_equal(decode_bytes(bad, sizeof(good)), -EBADMSG);	/* reserved flag */
	bad[2] = SMR_F_WAS_READABLE;
	assert_int_equal(decode_bytes(bad, sizeof(good)), -EBADMSG);	/* not before a page */
	memcpy(bad, good, sizeof(good));
	bad[3] = 0;
	assert_int_equal(decode_bytes(bad, sizeof(good)), -EBADMSG);	/* commit doesn't grow */
	memcpy(bad, good, sizeof(good));
	bad[4] = 1;
	assert_int_equal(decode_bytes(bad, sizeof(good)), -EBADMSG);	/* starts before 0 */
	memcpy(bad, good, sizeof(good));
	bad[0] = 0;
	assert_int_equal(smr_peek(bad, sizeof(good)), -EBADMSG);
	bad[0] = SMR_DMA_REF + 1;
	assert_int_equal(smr_peek(bad, sizeof(good)), -EBADMSG);
	assert_int_equal(decode_bytes(bad, sizeof(good)), -EBADMSG);
	assert_int_equal(smr_peek(long_length, sizeof(long_length)), -EBADMSG);
	assert_int_equal(smr_peek(huge, sizeof(huge)), -EBADMSG);
	assert_int_equal(smr_peek(endless, sizeof(endless)), -EBADMSG);
	assert_int_equal(smr_peek(endless, 3), 0);
	assert_int_equal(smr_peek(NULL, 0), 0);
	assert_int_equal(decode_bytes(good, 0), -EBADMSG);
}

static void test_commit_overflow(void **state)
{
	static const u8 step[] = { SMR_SECTION, 6, 0, 1, 0, 0, 0, 0 };
	struct smr_stream s = { .commit_seq = U64_MAX };
	struct smr_record r;

	(void)state;
	assert_int_equal(smr_decode(&s, step, sizeof(step), &r), -EBADMSG);
	assert_true(s.commit_seq == U64_MAX);
	s.commit_seq--;
	assert_int_equal(smr_decode(&s, step, sizeof(step), &r), 0);
}

static void test_items(void **state)
{
	struct smr_buf b = fresh();
	u64 enc_tsc = 0, dec_tsc = 0;
	struct smr_cursor c;
	struct smr_item it;

	(void)state;
	smr_in_tsc(&b, &enc_tsc, 1000);
	smr_in_tsc(&b, &enc_tsc, 900);
	smr_in_tsc(&b, &enc_tsc, U64_MAX);
	smr_in_bus(&b, "abcd", 4);
	smr_in_bus(&b, NULL, 0);
	smr_in_user(&b, buffer, 0);
	smr_in_user(&b, "xyz", 3);
	smr_in_rdmsr(&b, INT_MIN, U64_MAX);
	smr_in_wrmsr(&b, -1);
	assert_false(b.full);
	c = (struct smr_cursor){ .p = b.p, .end = b.p + b.len };
	assert_int_equal(smr_next_item(&c, &dec_tsc, &it), 1);
	assert_true(it.kind == SMR_IN_TSC && it.value == 1000);
	assert_int_equal(smr_next_item(&c, &dec_tsc, &it), 1);
	assert_true(it.value == 900);
	assert_int_equal(smr_next_item(&c, &dec_tsc, &it), 1);
	assert_true(it.value == U64_MAX && dec_tsc == U64_MAX);
	assert_int_equal(smr_next_item(&c, &dec_tsc, &it), 1);
	assert_true(it.kind == SMR_IN_BUS && it.len == 4);
	assert_memory_equal(it.data, "abcd", 4);
	assert_int_equal(smr_next_item(&c, &dec_tsc, &it), 1);
	assert_true(it.kind == SMR_IN_BUS && !it.len);
	assert_int_equal(smr_next_item(&c, &dec_tsc, &it), 1);
	assert_true(it.kind == SMR_IN_USER && !it.len);
	assert_int_equal(smr_next_item(&c, &dec_tsc, &it), 1);
	assert_true(it.len == 3);
	assert_int_equal(smr_next_item(&c, &dec_tsc, &it), 1);
	assert_true(it.kind == SMR_IN_RDMSR && it.ret == INT_MIN && it.value == U64_MAX);
	assert_int_equal(smr_next_item(&c, &dec_tsc, &it), 1);
	assert_true(it.kind == SMR_IN_WRMSR && it.ret == -1);
	assert_int_equal(smr_next_item(&c, &dec_tsc, &it), 0);
}

static void test_items_full(void **state)
{
	u8 space[8], data[SMR_INPUT_MAX + 1] = { 0 };
	struct smr_buf b = { .p = space, .size = sizeof(space) };
	u64 tsc = 5;

	(void)state;
	smr_in_wrmsr(&b, 0);
	smr_in_user(&b, "1234567", 7);
	assert_true(b.full);
	assert_int_equal(b.len, 2);
	/* Nothing more gets in, even what would fit. */
	smr_in_wrmsr(&b, 0);
	assert_int_equal(b.len, 2);
	smr_in_tsc(&b, &tsc, 6);
	assert_int_equal(tsc, 5);

	b = fresh();
	smr_in_user(&b, data, SMR_INPUT_MAX);
	assert_false(b.full);
	b = fresh();
	smr_in_user(&b, data, SMR_INPUT_MAX + 1);
	assert_true(b.full);
	assert_int_equal(b.len, 0);
}

static void test_items_hostile(void **state)
{
	static const struct { u8 bytes[8]; u32 len; } wrong[] = {
		{ { 0 }, 1 },				/* no kind */
		{ { 6 }, 1 },
		{ { SMR_IN_TSC }, 1 },			/* cut */
		{ { SMR_IN_BUS, 0, 0 }, 3 },		/* not an answer */
		{ { SMR_IN_BUS, 2, 0 }, 3 },
		{ { SMR_IN_BUS, 1, 2, 0 }, 4 },
		{ { SMR_IN_USER, 3, 1, 2 }, 4 },
		{ { SMR_IN_USER, 0x81, 0x20 }, 3 },	/* 4097 */
		{ { SMR_IN_WRMSR, 0xff, 0xff, 0xff, 0xff, 0x1f }, 6 },	/* more than 32 bits */
		{ { SMR_IN_RDMSR, 0 }, 2 },
	};
	struct smr_cursor c;
	struct smr_item it;
	u64 tsc = 7;
	u32 i;
	u8 *p;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		p = exact(wrong[i].bytes, wrong[i].len);
		c = (struct smr_cursor){ .p = p, .end = p + wrong[i].len };
		assert_int_equal(smr_next_item(&c, &tsc, &it), -EBADMSG);
		assert_int_equal(smr_next_item(&c, &tsc, &it), -EBADMSG);
		assert_int_equal(tsc, 7);
		free(p);
	}
}

static void test_names(void **state)
{
	u32 i;

	(void)state;
	assert_string_equal(smr_type_name(SMR_VM_END), "vm-end");
	assert_string_equal(smr_type_name(0), "unknown");
	assert_string_equal(smr_end_name(SMR_END_ASYNC), "async");
	assert_string_equal(smr_end_name(30), "I/O instruction");
	assert_string_equal(smr_div_name(KVM_SAMSARA_DIV_REGS), "register digest");
	for (i = 0; i < 0x10000; i++) {
		assert_non_null(smr_end_name((u16)i));
		assert_non_null(smr_div_name(i));
	}
	for (i = 0; i <= KVM_SAMSARA_DIV_FINAL; i++)
		assert_string_not_equal(smr_div_name(i), "unknown");
	assert_string_equal(smr_div_name(KVM_SAMSARA_DIV_FINAL + 1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_varint),
		cmocka_unit_test(test_zigzag),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_commit_overflow),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_items_full),
		cmocka_unit_test(test_items_hostile),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
