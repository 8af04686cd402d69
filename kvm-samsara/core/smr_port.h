/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few names core/ needs, so that its files compile unchanged in the
 * kernel, in QEMU, in the tools and in the unit tests.
 */
#ifndef SMR_PORT_H
#define SMR_PORT_H

#ifdef __KERNEL__

#include <linux/types.h>
#include <linux/string.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <asm/barrier.h>

#define smr_load_acquire(p)		smp_load_acquire(p)
#define smr_store_release(p, v)		smp_store_release(p, v)
#define smr_read_once(p)		READ_ONCE(*(p))
#define smr_write_once(p, v)		WRITE_ONCE(*(p), v)

#else

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t  u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t  s32;
typedef int64_t  s64;

#ifndef U64_MAX
#define U64_MAX UINT64_MAX
#endif

#define smr_load_acquire(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smr_store_release(p, v)		__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define smr_read_once(p)		__atomic_load_n(p, __ATOMIC_RELAXED)
#define smr_write_once(p, v)		__atomic_store_n(p, v, __ATOMIC_RELAXED)

#endif

static inline u64 smr_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 smr_max(u64 a, u64 b)
{
	return a > b ? a : b;
}

#endif /* SMR_PORT_H */
