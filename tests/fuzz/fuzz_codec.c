// SPDX-License-Identifier: GPL-2.0
/*
 * Any bytes as a stream of records.  What the decoder accepts must encode to
 * the same bytes.
 */
#include <stdlib.h>

#include "fuzz.h"

static u8 out[SMR_RECORD_MAX];

static void read_inputs(const struct smr_record *r, struct smr_stream *s)
{
	struct smr_cursor c = { .p = r->data };
	struct smr_item item;

	if (!r->data_len)
		return;
	c.end = r->data + r->data_len;
	while (smr_next_item(&c, &s->tsc, &item) > 0) {
		/* Touch every byte, so that the sanitizer sees it. */
		if (item.len && smr_crc32c(0, item.data, item.len) == 1)
			s->tsc++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size)
{
	struct smr_stream dec = { 0 }, enc = { 0 };
	struct smr_record r;
	struct smr_buf b;
	size_t pos = 0;
	int n;

	while ((n = smr_peek(p + pos, (u32)(size - pos))) > 0) {
		if (smr_decode(&dec, p + pos, (u32)n, &r))
			break;
		b = (struct smr_buf){ .p = out, .size = sizeof(out) };
		if (smr_encode(&enc, &r, &b) || b.len != (u32)n || memcmp(out, p + pos, b.len))
			abort();
		read_inputs(&r, &dec);
		pos += (u32)n;
	}
	return 0;
}
