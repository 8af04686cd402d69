/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is done to whole pages often, four words at a time.  The kernel calls these
 * inside kernel_fpu_begin() and tells the compiler nothing of these registers.
 */
#ifndef SMR_AVX2_H
#define SMR_AVX2_H

#include "smr_digest.h"

#ifdef __SSE2__
#define SMR_YMM_CLOBBERS	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
#else
#define SMR_YMM_CLOBBERS
#endif

/* Are the same 256 bytes at @a and @b?  Both are aligned to 32 bytes. */
static inline bool smr_same_block_avx2(const void *a, const void *b)
{
	bool same;

	asm volatile("vmovdqa 0x00(%[a]), %%ymm0\n\t"
		     "vmovdqa 0x20(%[a]), %%ymm1\n\t"
		     "vmovdqa 0x40(%[a]), %%ymm2\n\t"
		     "vmovdqa 0x60(%[a]), %%ymm3\n\t"
		     "vmovdqa 0x80(%[a]), %%ymm4\n\t"
		     "vmovdqa 0xa0(%[a]), %%ymm5\n\t"
		     "vmovdqa 0xc0(%[a]), %%ymm6\n\t"
		     "vmovdqa 0xe0(%[a]), %%ymm7\n\t"
		     "vpxor 0x00(%[b]), %%ymm0, %%ymm0\n\t"
		     "vpxor 0x20(%[b]), %%ymm1, %%ymm1\n\t"
		     "vpxor 0x40(%[b]), %%ymm2, %%ymm2\n\t"
		     "vpxor 0x60(%[b]), %%ymm3, %%ymm3\n\t"
		     "vpxor 0x80(%[b]), %%ymm4, %%ymm4\n\t"
		     "vpxor 0xa0(%[b]), %%ymm5, %%ymm5\n\t"
		     "vpxor 0xc0(%[b]), %%ymm6, %%ymm6\n\t"
		     "vpxor 0xe0(%[b]), %%ymm7, %%ymm7\n\t"
		     "vpor %%ymm1, %%ymm0, %%ymm0\n\t"
		     "vpor %%ymm3, %%ymm2, %%ymm2\n\t"
		     "vpor %%ymm5, %%ymm4, %%ymm4\n\t"
		     "vpor %%ymm7, %%ymm6, %%ymm6\n\t"
		     "vpor %%ymm2, %%ymm0, %%ymm0\n\t"
		     "vpor %%ymm6, %%ymm4, %%ymm4\n\t"
		     "vpor %%ymm4, %%ymm0, %%ymm0\n\t"
		     "vptest %%ymm0, %%ymm0"
		     : "=@ccz" (same) : [a] "r" (a), [b] "r" (b) : SMR_YMM_CLOBBERS "memory");
	return same;
}

/* Is the page, aligned or not, all zero?  Its first 512 bytes mostly tell. */
static inline bool smr_page_is_zero_avx2(const void *page)
{
	const void *end = (const u8 *)page + 8 * SMR_PAGE_WORDS;
	bool zero;

	asm volatile("1:\n\t"
		     "vmovdqu 0x000(%[p]), %%ymm0\n\t"
		     "vmovdqu 0x020(%[p]), %%ymm1\n\t"
		     "vpor 0x040(%[p]), %%ymm0, %%ymm0\n\t"
		     "vpor 0x060(%[p]), %%ymm1, %%ymm1\n\t"
		     "vpor 0x080(%[p]), %%ymm0, %%ymm0\n\t"
		     "vpor 0x0a0(%[p]), %%ymm1, %%ymm1\n\t"
		     "vpor 0x0c0(%[p]), %%ymm0, %%ymm0\n\t"
		     "vpor 0x0e0(%[p]), %%ymm1, %%ymm1\n\t"
		     "vpor 0x100(%[p]), %%ymm0, %%ymm0\n\t"
		     "vpor 0x120(%[p]), %%ymm1, %%ymm1\n\t"
		     "vpor 0x140(%[p]), %%ymm0, %%ymm0\n\t"
		     "vpor 0x160(%[p]), %%ymm1, %%ymm1\n\t"
		     "vpor 0x180(%[p]), %%ymm0, %%ymm0\n\t"
		     "vpor 0x1a0(%[p]), %%ymm1, %%ymm1\n\t"
		     "vpor 0x1c0(%[p]), %%ymm0, %%ymm0\n\t"
		     "vpor 0x1e0(%[p]), %%ymm1, %%ymm1\n\t"
		     "vpor %%ymm1, %%ymm0, %%ymm0\n\t"
		     "vptest %%ymm0, %%ymm0\n\t"
		     "jnz 2f\n\t"
		     "add $0x200, %[p]\n\t"
		     "cmp %[end], %[p]\n\t"
		     "jne 1b\n"
		     "2:"
		     : "=@ccz" (zero), [p] "+&r" (page) : [end] "r" (end)
		     : SMR_YMM_CLOBBERS "memory");
	return zero;
}

/* As smr_page_sum(). */
static inline u64 smr_page_sum_avx2(const void *page)
{
	const u64 keys[8] = {
		SMR_PAGE_KEY, SMR_PAGE_KEY + SMR_KEY_STEP,
		SMR_PAGE_KEY + 2 * SMR_KEY_STEP, SMR_PAGE_KEY + 3 * SMR_KEY_STEP,
		4 * SMR_KEY_STEP, 4 * SMR_KEY_STEP, 4 * SMR_KEY_STEP, 4 * SMR_KEY_STEP,
	};
	const void *end = (const u8 *)page + 8 * SMR_PAGE_WORDS;
	u64 sum;

	/* 0: keys, 1: what the next ones are more, 2: sums, 3: words */
#define FOUR_WORDS(offset)				\
	"vmovdqa " offset "(%[p]), %%ymm3\n\t"		\
	"vpxor %%ymm0, %%ymm3, %%ymm4\n\t"		\
	"vpsrlq $32, %%ymm4, %%ymm5\n\t"		\
	"vpmuludq %%ymm4, %%ymm5, %%ymm4\n\t"		\
	"vpaddq %%ymm3, %%ymm2, %%ymm2\n\t"		\
	"vpaddq %%ymm1, %%ymm0, %%ymm0\n\t"		\
	"vpaddq %%ymm4, %%ymm2, %%ymm2\n\t"
	asm volatile("vmovdqu 0x00(%[keys]), %%ymm0\n\t"
		     "vmovdqu 0x20(%[keys]), %%ymm1\n\t"
		     "vpxor %%ymm2, %%ymm2, %%ymm2\n"
		     "1:\n\t"
		     FOUR_WORDS("0x00") FOUR_WORDS("0x20") FOUR_WORDS("0x40") FOUR_WORDS("0x60")
		     "add $0x80, %[p]\n\t"
		     "cmp %[end], %[p]\n\t"
		     "jne 1b\n\t"
		     "vextracti128 $1, %%ymm2, %%xmm3\n\t"
		     "vpaddq %%xmm3, %%xmm2, %%xmm2\n\t"
		     "vpsrldq $8, %%xmm2, %%xmm3\n\t"
		     "vpaddq %%xmm3, %%xmm2, %%xmm2\n\t"
		     "vmovq %%xmm2, %[sum]"
		     : [sum] "=r" (sum), [p] "+&r" (page)
		     : [keys] "r" (keys), [end] "r" (end)
		     : SMR_YMM_CLOBBERS "cc", "memory");
#undef FOUR_WORDS
	return sum;
}

#endif /* SMR_AVX2_H */
