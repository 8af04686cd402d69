// SPDX-License-Identifier: GPL-2.0
/* Compression of payloads. */
#include "smr_compress.h"

#include <lz4.h>
#include <stdlib.h>
#include <zlib.h>

#include "smr_layout.h"

/* Headers of segments take more than that would save. */
#define SHORTEST	16u

/* LZ4's own measure of haste: a tenth less short, and takes a third less time. */
#define ACCELERATION	4

/* With the level meant for speed, memory is compressed by LZ4. */
#define FAST_LEVEL	1

struct smr_compressor {
	int level;
	z_stream z;
	void *lz4;
};

struct smr_compressor *smr_compressor_new(int level)
{
	struct smr_compressor *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->level = level;
	c->lz4 = malloc((size_t)LZ4_sizeofState());
	if (c->lz4 && deflateInit2(&c->z, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK)
		return c;
	free(c->lz4);
	free(c);
	return NULL;
}

void smr_compressor_free(struct smr_compressor *c)
{
	if (!c)
		return;
	deflateEnd(&c->z);
	free(c->lz4);
	free(c);
}

static u32 by_deflate(z_stream *z, const u8 *payload, u32 len, u8 *out)
{
	deflateReset(z);
	z->next_in = (u8 *)payload;
	z->avail_in = len;
	z->next_out = out;
	z->avail_out = len - 1;
	if (deflate(z, Z_FINISH) != Z_STREAM_END)
		return 0;
	return len - 1 - z->avail_out;
}

u32 smr_compress(struct smr_compressor *c, bool bulk, const u8 *payload, u32 len, u8 *out,
		 u8 *flag)
{
	if (!c || len < SHORTEST)
		return 0;
	if (!bulk || c->level != FAST_LEVEL) {
		*flag = SEG_DEFLATE;
		return by_deflate(&c->z, payload, len, out);
	}
	*flag = SEG_LZ4;
	return (u32)LZ4_compress_fast_extState(c->lz4, (const char *)payload, (char *)out, (int)len,
					       (int)len - 1, ACCELERATION);
}

static bool inflate_exactly(const u8 *in, u32 in_len, u8 *out, u32 out_len)
{
	z_stream z = { .next_in = (u8 *)in, .avail_in = in_len,
		       .next_out = out, .avail_out = out_len };
	bool ok;

	if (inflateInit2(&z, -15) != Z_OK)
		return false;
	ok = inflate(&z, Z_FINISH) == Z_STREAM_END && !z.avail_in && !z.avail_out;
	inflateEnd(&z);
	return ok;
}

bool smr_decompress(u8 flag, const u8 *in, u32 in_len, u8 *out, u32 out_len)
{
	if (flag == SEG_LZ4)
		return LZ4_decompress_safe((const char *)in, (char *)out, (int)in_len,
					   (int)out_len) == (int)out_len;
	return flag == SEG_DEFLATE && inflate_exactly(in, in_len, out, out_len);
}
