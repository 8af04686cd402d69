/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Payloads of segments, compressed by what they hold: memory and what devices wrote to it
 * by LZ4, which takes a tenth of the time, and the log proper, whose numbers are small, by
 * deflate, which makes it half as large.
 */
#ifndef SMR_COMPRESS_H
#define SMR_COMPRESS_H

#include "smr_codec.h"

struct smr_compressor;

/* @level: as smr_writer_options.compress, not 0.  NULL: out of memory. */
struct smr_compressor *smr_compressor_new(int level);
void smr_compressor_free(struct smr_compressor *c);

/*
 * Returns the length of what is in @out then, less than @len, and sets @flag to the
 * segment flag (SEG_DEFLATE, SEG_LZ4); 0 if it would not be shorter.  @bulk: the payload is
 * memory, rather than numbers.  @out: room for @len bytes, which are at most SMR_SEGMENT_MAX.
 */
u32 smr_compress(struct smr_compressor *c, bool bulk, const u8 *payload, u32 len, u8 *out,
		 u8 *flag);

/* False: @in_len bytes at @in are not exactly @out_len bytes, compressed as @flag says. */
bool smr_decompress(u8 flag, const u8 *in, u32 in_len, u8 *out, u32 out_len);

#endif /* SMR_COMPRESS_H */
