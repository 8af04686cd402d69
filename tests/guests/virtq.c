// SPDX-License-Identifier: GPL-2.0
/*
 * A disk by virtio-mmio (the interface before version 1.0), polled: no interrupts.
 *
 * - 64 reads of 1 MiB are in flight at once.
 * - One processor keeps the queue filled, and tells the device only if that asks for it.
 *   Requests' headers are many pages behind the ring, with pages written in between: if the
 *   device sees an index before the request, it reads another sector.
 * - The other processors read the ring and the buffers meanwhile; what they see makes the
 *   signature.
 */
#include "guest.h"

#define MMIO		0xfeb00000ul
#define MMIO_STEP	0x200
#define TRANSPORTS	24

#define R_MAGIC		0x00
#define R_VERSION	0x04
#define R_DEVICE	0x08
#define R_GUEST_FEATURES 0x20
#define R_GUEST_FEATURES_SEL 0x24
#define R_PAGE_SIZE	0x28
#define R_QUEUE_SEL	0x30
#define R_QUEUE_NUM_MAX	0x34
#define R_QUEUE_NUM	0x38
#define R_QUEUE_ALIGN	0x3c
#define R_QUEUE_PFN	0x40
#define R_QUEUE_NOTIFY	0x50
#define R_STATUS	0x70

#define MAGIC		0x74726976
#define DEVICE_BLOCK	2
#define DRIVER_OK	7		/* ACKNOWLEDGE, DRIVER, DRIVER_OK */

#define NUM		256		/* of descriptors: one page */
#define F_NEXT		1
#define F_WRITE		2
#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY	1

#define SECTOR		512
#define SECTORS		256		/* that are read one by one */
#define LARGE		(1ul << 20)
#define LARGE_BUFFERS	8
#define IN_FLIGHT	64
#define SLOTS		16
#define PAGES_BETWEEN	32

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

struct header {
	u32 type, reserved;
	u64 sector;
} __aligned(16);

/* The order of these pages is that in which a chunk is published. */
static struct {
	struct desc desc[NUM];
	struct {
		u16 flags, idx, ring[NUM];
	} avail __aligned(PAGE_SIZE);
	struct {
		u16 flags, idx;
		struct {
			u32 id, len;
		} ring[NUM];
	} used __aligned(PAGE_SIZE);
	u64 between[PAGES_BETWEEN][PAGE_SIZE / 8] __aligned(PAGE_SIZE);
	struct header header[NUM / 3] __aligned(PAGE_SIZE);
	u8 status[NUM / 3] __aligned(PAGE_SIZE);
	u8 sector[SLOTS][SECTOR] __aligned(PAGE_SIZE);
	u8 large[LARGE_BUFFERS][LARGE] __aligned(PAGE_SIZE);
} q __aligned(PAGE_SIZE);

static volatile u32 *device;
static u64 sums[SECTORS];
static u64 sigs[MAX_CPUS][8] __aligned(CACHE_LINE);
static u64 rounds, kicks;
static u16 seen;
static bool done;

static u32 reg_read(u32 reg)
{
	return device[reg / 4];
}

static void reg_write(u32 reg, u32 v)
{
	device[reg / 4] = v;
}

static bool find_disk(void)
{
	u32 i;

	for (i = 0; i < TRANSPORTS; i++) {
		device = (volatile u32 *)(MMIO + i * MMIO_STEP);
		if (reg_read(R_MAGIC) == MAGIC && reg_read(R_DEVICE) == DEVICE_BLOCK)
			return true;
	}
	return false;
}

static bool start_disk(void)
{
	if (reg_read(R_VERSION) != 1)
		return false;
	reg_write(R_STATUS, 0);
	reg_write(R_STATUS, 3);
	reg_write(R_GUEST_FEATURES_SEL, 0);
	reg_write(R_GUEST_FEATURES, 0);
	reg_write(R_PAGE_SIZE, PAGE_SIZE);
	reg_write(R_QUEUE_SEL, 0);
	if (reg_read(R_QUEUE_NUM_MAX) < NUM)
		return false;
	q.avail.flags = AVAIL_NO_INTERRUPT;
	reg_write(R_QUEUE_NUM, NUM);
	reg_write(R_QUEUE_ALIGN, PAGE_SIZE);
	reg_write(R_QUEUE_PFN, (u64)&q / PAGE_SIZE);
	reg_write(R_STATUS, DRIVER_OK);
	return true;
}

/* A request in descriptors 3 * slot to 3 * slot + 2 */
static void submit(u32 slot, u64 sector, void *buf, u32 len)
{
	struct desc *d = &q.desc[3 * slot];

	q.header[slot] = (struct header){ .sector = sector };
	q.status[slot] = 0xff;
	d[0] = (struct desc){ (u64)&q.header[slot], sizeof(struct header), F_NEXT, 3 * slot + 1 };
	d[1] = (struct desc){ (u64)buf, len, F_NEXT | F_WRITE, 3 * slot + 2 };
	d[2] = (struct desc){ (u64)&q.status[slot], 1, F_WRITE, 0 };
	q.avail.ring[q.avail.idx % NUM] = 3 * slot;
	barrier();
	WRITE_ONCE(q.avail.idx, q.avail.idx + 1);
}

static void kick(void)
{
	asm volatile("mfence" ::: "memory");
	if (READ_ONCE(q.used.flags) & USED_NO_NOTIFY)
		return;
	kicks++;
	reg_write(R_QUEUE_NOTIFY, 0);
}

/* The slot of a request that is done; -1: none is. */
static int completed(void)
{
	u32 slot;

	if (READ_ONCE(q.used.idx) == seen)
		return -1;
	barrier();
	slot = q.used.ring[seen % NUM].id / 3;
	seen++;
	if (q.status[slot])
		fail("slot %u: status %u\n", slot, q.status[slot]);
	return slot;
}

static int wait_for_one(void)
{
	int slot;

	while ((slot = completed()) < 0)
		cpu_relax();
	return slot;
}

static u64 sum_of(const u8 *p, u64 len)
{
	u64 sum = 0, i;

	for (i = 0; i < len; i += 8)
		sum = mix(sum, *(const u64 *)(p + i));
	return sum;
}

static void read_sectors(void)
{
	u32 i;

	for (i = 0; i < SECTORS; i++) {
		submit(0, i, q.sector[0], SECTOR);
		kick();
		wait_for_one();
		sums[i] = sum_of(q.sector[0], SECTOR);
	}
}

/* Each buffer is read into several times at once, always the same. */
static void read_large(void)
{
	u64 sum[LARGE_BUFFERS];
	u32 i;

	for (i = 0; i < IN_FLIGHT; i++)
		submit(i, i % LARGE_BUFFERS * (LARGE / SECTOR), q.large[i % LARGE_BUFFERS], LARGE);
	kick();
	for (i = 0; i < IN_FLIGHT; i++)
		wait_for_one();
	for (i = 0; i < LARGE_BUFFERS; i++)
		sum[i] = sum_of(q.large[i], LARGE);
	for (i = 0; i < LARGE_BUFFERS; i++) {
		memset(q.large[0], 0, LARGE);
		submit(0, i * (LARGE / SECTOR), q.large[0], LARGE);
		kick();
		wait_for_one();
		if (sum_of(q.large[0], LARGE) != sum[i])
			fail("large buffer %u\n", i);
		sigs[0][0] = mix(sigs[0][0], sum[i]);
	}
}

static void refill(u32 slot, u64 *random)
{
	u64 sector;
	u32 i;

	*random = mix(*random, slot);
	sector = *random % SECTORS;
	memset(q.sector[slot], 0, SECTOR);
	for (i = 0; i < PAGES_BETWEEN; i++)
		WRITE_ONCE(q.between[i][0], *random);
	submit(slot, sector, q.sector[slot], SECTOR);
	kick();
}

static void keep_filled(void)
{
	u64 random = 1, i;
	int slot;

	for (slot = 0; slot < SLOTS; slot++)
		refill(slot, &random);
	for (i = 0; i < rounds; i++) {
		slot = wait_for_one();
		if (sum_of(q.sector[slot], SECTOR) != sums[q.header[slot].sector])
			fail("round %lu: not sector %lu\n", i, q.header[slot].sector);
		sigs[0][0] = mix(sigs[0][0], slot);
		refill(slot, &random);
	}
	for (slot = 0; slot < SLOTS; slot++)
		wait_for_one();
	WRITE_ONCE(done, true);
}

static void look_on(u32 cpu)
{
	u64 sig = 0;

	while (!READ_ONCE(done)) {
		sig = mix(sig, READ_ONCE(q.used.idx));
		sig = mix(sig, READ_ONCE(*(u64 *)q.sector[sig % SLOTS]));
		cpu_relax();
	}
	sigs[cpu][0] = sig;
}

static void run(u32 cpu)
{
	if (!cpu)
		keep_filled();
	else if (param("look", 1))
		look_on(cpu);
}

void guest_main(void)
{
	u64 sig = 0;
	u32 i;

	rounds = param("n", 2000);
	if (!find_disk() || !start_disk()) {
		fail("no disk\n");
		result("virtq", "0");
	}
	read_sectors();
	read_large();
	smp_run(run);
	for (i = 0; i < nr_cpus; i++)
		sig = mix(sig, sigs[i][0]);
	result("virtq", "%lx kicks %lu", sig, kicks);
}
