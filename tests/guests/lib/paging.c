// SPDX-License-Identifier: GPL-2.0
/* 4 KB mappings beside the 2 MB ones of the boot tables. */
#include "guest.h"

#define POOL_PAGES	256
#define PTE_ADDR	0x000ffffffffff000ul

static u8 pool[POOL_PAGES][PAGE_SIZE] __aligned(PAGE_SIZE);
static u32 pool_used;

/* A zeroed page; there is no way to give it back. */
void *page_alloc(void)
{
	u32 i = xadd32(&pool_used, 1);

	if (i >= POOL_PAGES) {
		print("out of pages\n");
		machine_exit(EXIT_FAIL);
	}
	return pool[i];
}

/* The entry that maps @va with 4 KB; tables on the way are made when missing. */
u64 *pte_of(u64 *pml4, u64 va)
{
	u64 *table = pml4;
	u32 shift;

	for (shift = 39; shift > 12; shift -= 9) {
		u64 *e = &table[va >> shift & 511];

		if (!(*e & PTE_P))
			*e = (u64)page_alloc() | PTE_P | PTE_W | PTE_U;
		table = (u64 *)(*e & PTE_ADDR);
	}
	return &table[va >> 12 & 511];
}

void map_page(u64 *pml4, u64 va, u64 pa, u64 flags)
{
	*pte_of(pml4, va) = pa | flags | PTE_P;
}
