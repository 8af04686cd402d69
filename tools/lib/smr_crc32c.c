// SPDX-License-Identifier: GPL-2.0
/* CRC32C (Castagnoli): the processor's instruction where there is one, else tables. */
#include <pthread.h>

#include "smr_file.h"

#define POLYNOMIAL	0x82f63b78u	/* reflected */

static u32 table[8][256];
static bool have_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
	u32 i, k, crc;

	for (i = 0; i < 256; i++) {
		crc = i;
		for (k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		table[0][i] = crc;
	}
	for (k = 1; k < 8; k++) {
		for (i = 0; i < 256; i++)
			table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
	}
}

static u32 by_table(u32 crc, const u8 *p, size_t len)
{
	while (len >= 8) {
		crc ^= p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
		crc = table[7][crc & 0xff] ^ table[6][crc >> 8 & 0xff] ^
		      table[5][crc >> 16 & 0xff] ^ table[4][crc >> 24] ^
		      table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
		p += 8;
		len -= 8;
	}
	while (len--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2")))
static u32 by_instruction(u32 crc, const u8 *p, size_t len)
{
	u64 word, crc64 = crc;

	while (len >= 8) {
		memcpy(&word, p, 8);
		crc64 = __builtin_ia32_crc32di(crc64, word);
		p += 8;
		len -= 8;
	}
	crc = (u32)crc64;
	while (len--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}

static void init(void)
{
	fill_tables();
	have_instruction = __builtin_cpu_supports("sse4.2");
}
#else
static u32 by_instruction(u32 crc, const u8 *p, size_t len)
{
	return by_table(crc, p, len);
}

static void init(void)
{
	fill_tables();
}
#endif

u32 smr_crc32c(u32 crc, const void *data, size_t len)
{
	pthread_once(&once, init);
	return ~(have_instruction ? by_instruction(~crc, data, len) : by_table(~crc, data, len));
}

/* For the tests, which compare the two. */
u32 smr_crc32c_table(u32 crc, const void *data, size_t len);

u32 smr_crc32c_table(u32 crc, const void *data, size_t len)
{
	pthread_once(&once, init);
	return ~by_table(~crc, data, len);
}
