// SPDX-License-Identifier: GPL-2.0
/*
 * mutate IN OUT SEED: copies a recording with one to three things in it changed at
 * random: fields of records, bytes of their inputs, their order, bytes of the initial
 * state.  The same seed changes the same things.  All checksums are right, so what
 * reads the copy has to deal with what it says.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gen.h"
#include "recording.h"

static struct rng rng;
static struct recording r;

static bool pick(u32 *stream, u32 *i, bool (*has)(const struct entry *e))
{
	u32 n, k;

	*stream = (u32)rng_below(&rng, r.nr_streams);
	n = r.nr_entries[*stream];
	if (!n)
		return false;
	*i = (u32)rng_below(&rng, n);
	for (k = 0; k < n; k++, *i = (*i + 1) % n) {
		if (has(&r.entries[*stream][*i]))
			return true;
	}
	return false;
}

/* Close to the old value, or one that is special somewhere. */
static u64 other_value(u64 v)
{
	static const s64 special[] = {
		0, 1, 2, 3, 4, 5, 7, 8, 16, 64, 127, 128, 255, 256, 4095, 4096, 65535, 65536,
		0x7fffffff, 0x80000000, 0xffffffff, -1, -2, -95, -4096, -2147483648LL,
		INT64_MAX, INT64_MIN,
	};

	switch (rng_below(&rng, 5)) {
	case 0:
		return v + 1;
	case 1:
		return v - 1;
	case 2:
		return v ^ 1ull << rng_below(&rng, 64);
	case 3:
		return rng_spread(&rng);
	default:
		return (u64)special[rng_below(&rng, sizeof(special) / sizeof(special[0]))];
	}
}

static bool change_field(void)
{
	const struct field *f = &fields[rng_below(&rng, nr_fields)];
	u32 stream, i;
	u64 before, v;

	if (!pick(&stream, &i, f->has))
		return false;
	before = f->get(&r.entries[stream][i]);
	v = other_value(before);
	printf("%s: %s 0x%llx -> 0x%llx\n", place(&r, stream, i), f->name,
	       (unsigned long long)before, (unsigned long long)v);
	return v != before && set_field(&r, stream, i, f, v);
}

static bool has_data(const struct entry *e)
{
	return e->rec.data_len;
}

/* Bytes of the inputs, whatever they mean; of what a device wrote, too. */
static bool change_bytes(void)
{
	struct entry *e, before;
	u32 stream, i, at;
	u8 *data;

	if (!pick(&stream, &i, has_data))
		return false;
	e = &r.entries[stream][i];
	before = *e;
	make_raw(e);
	if (!e->rec.data_len)
		return false;
	data = (u8 *)e->rec.data;
	at = (u32)rng_below(&rng, e->rec.data_len);
	switch (rng_below(&rng, 3)) {
	case 0:
		data[at] ^= (u8)(1u << rng_below(&rng, 8));
		break;
	case 1:
		data[at] = (u8)rng_next(&rng);
		break;
	default:
		/* The rest is gone; a device's length says so, too. */
		e->rec.data_len = at;
		if (e->rec.type == SMR_DMA)
			e->rec.dma_len = at;
	}
	printf("%s: byte %u of %u\n", place(&r, stream, i), at, before.rec.data_len);
	if (stream_is_sound(&r, stream))
		return true;
	*e = before;
	return false;
}

/* A record's content comes where its successor's was, or is gone. */
static bool change_order(void)
{
	struct entry *e, first, second;
	u32 stream, i;

	if (!pick(&stream, &i, is_commit) || i + 1 == r.nr_entries[stream])
		return false;
	e = &r.entries[stream][i];
	first = e[0];
	second = e[1];
	if (!is_commit(&second))
		return false;
	e[0] = second;
	e[0].rec.commit_seq = first.rec.commit_seq;
	e[0].rec.start_seq = first.rec.start_seq;
	if (rng_below(&rng, 2)) {
		e[1] = first;
		e[1].rec.commit_seq = second.rec.commit_seq;
		e[1].rec.start_seq = second.rec.start_seq;
	}
	printf("%s: has the next one's content\n", place(&r, stream, i));
	if (stream_is_sound(&r, stream))
		return true;
	e[0] = first;
	e[1] = second;
	return false;
}

static bool change_blob(void)
{
	struct blob *b = &r.blobs[rng_below(&rng, r.nr_blobs)];
	size_t at;

	if (!b->len)
		return false;
	at = rng_below(&rng, b->len);
	b->data[at] ^= (u8)(1 + rng_below(&rng, 255));
	printf("blob %s: byte %zu\n", b->name, at);
	return true;
}

static bool change(void)
{
	switch (rng_below(&rng, 10)) {
	case 0:
		return change_blob();
	case 1:
		return change_order();
	case 2:
	case 3:
		return change_bytes();
	default:
		return change_field();
	}
}

int main(int argc, char **argv)
{
	u64 n;

	if (argc != 4)
		die("usage: mutate IN OUT SEED");
	recording_load(&r, argv[1]);
	rng.state = strtoull(argv[3], NULL, 0);
	for (n = 1 + rng_below(&rng, 3); n; n -= change())
		;
	recording_save(&r, argv[2]);
	return 0;
}
