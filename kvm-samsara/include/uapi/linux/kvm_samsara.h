/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Record and replay of multiprocessor virtual machines: the interface between
 * kvm-intel and user space (QEMU, tools).  Described in
 * Documentation/device.rst.
 *
 * A VM becomes recordable by KVM_CREATE_DEVICE(KVM_DEV_TYPE_SAMSARA) before
 * its first vCPU is created.  Everything else is a device attribute or an
 * mmap of the device's file descriptor.
 *
 * All structures are little-endian and 8-byte aligned.  Fields named
 * "reserved" must be zero; unknown flags are refused with EINVAL.
 */
#ifndef _UAPI_LINUX_KVM_SAMSARA_H
#define _UAPI_LINUX_KVM_SAMSARA_H

#include <linux/types.h>

/* Also in the enum of linux/kvm.h; defined here for users of older headers. */
#define KVM_DEV_TYPE_SAMSARA_ID		0x53

/*
 * kvm_run->exit_reason when a replaying vCPU can't go on: its state has to be set,
 * see KVM_SAMSARA_GRP_STATE; or the end of the log, stop-at, or a divergence, and then
 * KVM_SAMSARA_GRP_STATUS tells which.
 */
#define KVM_EXIT_SAMSARA		0x53

/* Attribute groups. */
#define KVM_SAMSARA_GRP_CONFIG		1	/* set: struct kvm_samsara_config, before START */
#define KVM_SAMSARA_GRP_CTRL		2	/* set: one of KVM_SAMSARA_CTRL_* */
#define KVM_SAMSARA_GRP_STATUS		3	/* get: struct kvm_samsara_status */
#define KVM_SAMSARA_GRP_DMA		4	/* set: struct kvm_samsara_dma, while recording */
#define KVM_SAMSARA_GRP_TUNABLE		5	/* get, and before START set: KVM_SAMSARA_TUNABLE_* */
#define KVM_SAMSARA_GRP_RAM		6	/* set: struct kvm_samsara_ram, before START */
#define KVM_SAMSARA_GRP_MAP		7	/* set: one of KVM_SAMSARA_MAP_*, while recording */
#define KVM_SAMSARA_GRP_STATE		8	/* get, set: struct kvm_samsara_vcpu_state */
#define KVM_SAMSARA_GRP_PAUSE		9	/* set: __u64, in replay: see below */
#define KVM_SAMSARA_GRP_DEBUG		10	/* set: struct kvm_samsara_debug, in replay */
#define KVM_SAMSARA_GRP_PLACE		11	/* get: struct kvm_samsara_place, in replay */
#define KVM_SAMSARA_GRP_PROGRESS	12	/* get, and before START set: struct kvm_samsara_progress */
#define KVM_SAMSARA_GRP_SLOTS		13	/* get, and before START set: struct kvm_samsara_slots */
#define KVM_SAMSARA_GRP_CHANGED		14	/* get: struct kvm_samsara_changed, in replay */
#define KVM_SAMSARA_GRP_HOT		15	/* get: struct kvm_samsara_hot, of a parallel recording */
#define KVM_SAMSARA_GRP_SETS		16	/* get: struct kvm_samsara_sets, in replay */

/* KVM_SAMSARA_GRP_CTRL: attr->attr; attr->addr is not used. */
#define KVM_SAMSARA_CTRL_START		0	/* EBUSY if a vCPU is in KVM_RUN or another ioctl */
#define KVM_SAMSARA_CTRL_STOP		1	/* waits until every vCPU has left its chunk */
#define KVM_SAMSARA_CTRL_WAKE		2	/* ring space freed (recording) or data added (replay) */
#define KVM_SAMSARA_CTRL_CLEAR		3	/* after its end: everything is as before CONFIG */

/*
 * KVM_SAMSARA_GRP_MAP: attr->attr; attr->addr is not used.  Between the two, the thread that
 * called them may change the memory slots, and any thread the vCPUs' state; no vCPU runs.
 */
#define KVM_SAMSARA_MAP_BEGIN		0	/* EBUSY: another thread's change is not over */
#define KVM_SAMSARA_MAP_END		1	/* becomes one commit; EINTR: to be called again */

/*
 * KVM_SAMSARA_GRP_PAUSE: attr->attr is 0, attr->addr points to a commit number.  In replay, after
 * CONFIG, no commit after this one begins before it is set anew; 0: all may.  The eventfd is
 * signalled when that one is done: kvm_samsara_status.commits tells, and guest memory is what it
 * was in the recording then, as long as nothing else is set.
 */

/* kvm_samsara_config.mode */
#define KVM_SAMSARA_MODE_RECORD		1	/* vCPUs in parallel, speculative chunks */
#define KVM_SAMSARA_MODE_REPLAY		2	/* chunks one by one in commit order */
#define KVM_SAMSARA_MODE_RECORD_SERIAL	3	/* one vCPU at a time, in long slices */
#define KVM_SAMSARA_MODE_RECORD_CREW	4	/* vCPUs in parallel, pages owned: for comparison */
#define KVM_SAMSARA_MODE_REPLAY_PARALLEL	5	/* chunks as soon as what they have seen is there */

struct kvm_samsara_config {
	__u32 version;		/* KVM_SAMSARA_ABI_VERSION */
	__u32 mode;		/* KVM_SAMSARA_MODE_* */
	__u32 nr_vcpus;		/* vCPUs that will take part, ids 0..nr_vcpus-1 */
	__u32 ring_bytes;	/* data bytes of each ring, a power of two, 256 KiB..16 MiB */
	__s32 eventfd;		/* signalled when a ring wants attention, or -1 */
	__u32 flags;		/* KVM_SAMSARA_FLAG_* */
	__u64 stop_at;		/* replay: stop after this commit, 0: at the end of the log */
	/* test aid, recording: falsify a value logged at the first commit >= this, 0: off */
	__u64 debug_fault_commit;
	__u64 reserved[10];
};

#define KVM_SAMSARA_ABI_VERSION		1

/*
 * Recording that ends early (state FAILED): KVM_RUN returns with KVM_EXIT_SAMSARA and no
 * vCPU enters the guest again until KVM_SAMSARA_CTRL_STOP is called.
 */
#define KVM_SAMSARA_FLAG_STOP_ON_ERROR	1u

/*
 * Digests of vCPUs' state are made of CRC32C's, and those of chunks that a section follows are
 * of the general registers and RIP only.  A replay needs what its recording had; recordings
 * from before this flag have another kind, which takes longer.
 */
#define KVM_SAMSARA_FLAG_CRC		2u

/*
 * KVM_SAMSARA_GRP_STATE: attr->attr is the vCPU.  Recording: its state was set between
 * KVM_SAMSARA_MAP_BEGIN and KVM_SAMSARA_MAP_END, by the ioctls that do that; these bytes say
 * to what, in user space's own words.  Replay: KVM_RUN has returned with KVM_EXIT_SAMSARA,
 * and these are the bytes; the state is to be set likewise before KVM_RUN is called again.
 */
struct kvm_samsara_vcpu_state {
	__u64 uaddr;
	__u32 len;		/* 1..KVM_SAMSARA_STATE_MAX; get: what there is room for, then what there is */
	__u32 reserved;
};

#define KVM_SAMSARA_STATE_MAX		65536

/*
 * Where a vCPU is in a chunk: conditional branches and near branches taken since its start, RIP
 * and RCX.
 */
struct kvm_samsara_position {
	__u64 branches;
	__u64 jumps;
	__u64 rip;
	__u64 rcx;
};

/*
 * KVM_SAMSARA_GRP_DEBUG: attr->attr is 0.  What a debugger looks for in a replay that has been
 * started, in place of what it looked for before; no vCPU may be in KVM_RUN.  Where a vCPU comes to
 * it, KVM_RUN returns with KVM_EXIT_DEBUG, and goes on when it is called again.
 * kvm_run->debug.arch has the linear address of the next instruction and, in dr6, bit i + 1 for
 * point[i], bit 14 for STEP, and none for GOTO.  Nobody commits while a vCPU has stopped.
 * EBUSY in parallel replay, where chunks run side by side as long as nothing is looked for: a chunk
 * is open; with a pause at kvm_samsara_status.begun all are done before it begins to hold.
 */
struct kvm_samsara_debug_point {
	__u64 addr;		/* linear; a multiple of len */
	__u32 type;		/* KVM_SAMSARA_POINT_* */
	__u32 len;		/* 1, 2, 4 or 8 bytes; EXECUTE: 1 */
	__u64 reserved;
};

#define KVM_SAMSARA_POINT_EXECUTE	0	/* before the instruction there */
#define KVM_SAMSARA_POINT_WRITE		1	/* after the one that writes there */
#define KVM_SAMSARA_POINT_ACCESS	3	/* after the one that reads or writes there */

#define KVM_SAMSARA_DEBUG_POINTS	3

struct kvm_samsara_debug {
	__u32 flags;		/* KVM_SAMSARA_DEBUG_* */
	__u32 vcpu;		/* STEP: it stops after every instruction */
	__u32 nr_points;
	__u32 reserved;
	__u64 commit;		/* GOTO: its vCPU stops in this chunk, ... */
	struct kvm_samsara_position pos;	/* ... here, or where it has passed it */
	struct kvm_samsara_debug_point point[KVM_SAMSARA_DEBUG_POINTS];
};

#define KVM_SAMSARA_DEBUG_STEP		1u
#define KVM_SAMSARA_DEBUG_GOTO		2u
/* GOTO: where both counts are not below those of pos for the first time */
#define KVM_SAMSARA_DEBUG_AT_LEAST	4u
#define KVM_SAMSARA_DEBUG_ALL		7u

/* KVM_SAMSARA_GRP_PLACE: attr->attr is the vCPU, which must not be in KVM_RUN. */
struct kvm_samsara_place {
	__u64 commit;		/* of the open chunk; 0: none */
	struct kvm_samsara_position pos;	/* in it; else RIP and RCX */
	__u64 last_commit;	/* of this vCPU; 0: none yet */
	__u32 last_type;	/* enum smr_type */
	__u32 last_end;		/* how its last chunk ended, */
	__u64 last_chunk;	/* the number of that commit, */
	struct kvm_samsara_position last_pos;	/* and where it ended */
	__u64 reserved[3];
};

/*
 * KVM_SAMSARA_GRP_HOT: attr->attr is the vCPU.  What its chunks lost time over: a sample, of
 * those that came back most often, in no order.
 */
struct kvm_samsara_hot_spot {
	__u64 ram;		/* RAM address of the page */
	__u64 rip;		/* ROLLBACK: where the chunk began; TOUCH: what touches the page */
	__u64 linear;		/* address that was touched last; 0: not known */
	__u64 count;		/* at least so often */
	__u64 cycles;		/* of the host, lost or waited */
	__u32 kind;		/* KVM_SAMSARA_HOT_* */
	__u32 reserved;
};

#define KVM_SAMSARA_HOT_ROLLBACK	0	/* another vCPU's commit had written the page */
#define KVM_SAMSARA_HOT_TOUCH		1	/* the chunk ended, since another one used the page */

#define KVM_SAMSARA_HOT_MAX	256

struct kvm_samsara_hot {
	__u64 uaddr;		/* of struct kvm_samsara_hot_spot[] */
	__u32 nr;		/* room, KVM_SAMSARA_HOT_MAX or more; then how many there are */
	__u32 reserved;
};

/* Memory slots a recorded VM may have. */
#define KVM_SAMSARA_MAX_SLOTS		32

/*
 * Replays that begin somewhere else.  Where a replay is paused between two commits, and no
 * vCPU has a chunk open or an exit to finish, guest memory, the vCPUs' state, SLOTS, and the
 * PROGRESS of each stream are all there is of it.  Another replay to which they are given before
 * START goes on from there; its rings begin with the byte at `offset`.
 *
 * KVM_SAMSARA_GRP_PROGRESS: attr->attr is a vCPU, or their number for the VM's stream.
 */
struct kvm_samsara_progress {
	__u64 offset;		/* in the stream, of the next record */
	__u64 commit_seq;	/* coding state there: struct smr_stream */
	__u64 branches;
	__u64 jumps;
	__u64 tsc;
	__u64 done;		/* the VM's: last commit done; the others are of vCPUs: */
	__u64 chain;		/* digest of all commits */
	__u64 state_digest;	/* at the last one that has it */
	__u64 last_tsc;		/* in an input */
	__u64 cr0_shadow;	/* of the VMCS, which no ioctl tells */
	__u64 cr4_shadow;
	__u64 pending_debug;
	__u32 access_rights[8];	/* of ES, CS, SS, DS, FS, GS, LDTR, TR */
	__u64 last_commit;	/* as in struct kvm_samsara_place */
	__u32 last_type;
	__u32 last_end;
	__u64 last_chunk;
	struct kvm_samsara_position last_pos;
	__u64 interruptibility;	/* of the VMCS: what blocks interrupts and NMIs */
	__u64 reserved[2];
};

/* KVM_SAMSARA_GRP_SLOTS: attr->attr is 0.  Where guest memory is. */
struct kvm_samsara_slot {
	__u64 gpa;
	__u64 size;
	__u64 ram;		/* RAM address of the first byte */
	__u32 flags;		/* KVM_SAMSARA_SLOT_* */
	__u32 reserved;
};

#define KVM_SAMSARA_SLOT_READONLY	1u

struct kvm_samsara_slots {
	__u32 nr;		/* 1..KVM_SAMSARA_MAX_SLOTS */
	__u32 reserved;
	struct kvm_samsara_slot slot[KVM_SAMSARA_MAX_SLOTS];
};

/* KVM_SAMSARA_GRP_CHANGED: attr->attr is 0.  Which pages commits have written. */
struct kvm_samsara_changed {
	__u64 since;		/* commits after this one */
	__u64 ram;		/* RAM address of the first page */
	__u64 npages;		/* of one block */
	__u64 uaddr;		/* for a bit each, in whole words of 64 bits */
};

/*
 * KVM_SAMSARA_GRP_SETS: attr->attr is 0.  The pages that a chunk has read and written: the last
 * one that was replayed while its commit was that of KVM_SAMSARA_GRP_PAUSE.
 */
struct kvm_samsara_sets {
	__u64 commit;		/* which one: set by the kernel */
	__u64 uaddr;		/* of a __u64 for each page: its RAM address, with */
	__u32 nr;		/* flags; room for so many; then how many there are */
	__u32 vcpu;		/* whose chunk it was: set by the kernel */
	__u64 reserved;
};

/* Of a page of the guest's page tables: walked, no more. */
#define KVM_SAMSARA_SETS_WRITTEN	1u

/*
 * KVM_SAMSARA_GRP_TUNABLE: attr->attr; attr->addr points to the __u64.  What each
 * means, its range and its default are in Documentation/sysfs-kernel-samsara: the
 * files there have the same names, and are what a new VM begins with.
 */
enum {
	KVM_SAMSARA_TUNABLE_CHUNK_LIMIT,
	KVM_SAMSARA_TUNABLE_CHUNK_MIN,
	KVM_SAMSARA_TUNABLE_CHUNK_ADAPTIVE,
	KVM_SAMSARA_TUNABLE_ROLLBACK_LIMIT,
	KVM_SAMSARA_TUNABLE_MAX_COPIES,
	KVM_SAMSARA_TUNABLE_COPY_AGE,
	KVM_SAMSARA_TUNABLE_COMPARE,
	KVM_SAMSARA_TUNABLE_MEMDIGEST_INTERVAL,
	KVM_SAMSARA_TUNABLE_SERIAL_SLICE_US,
	KVM_SAMSARA_TUNABLE_ADAPTIVE,
	KVM_SAMSARA_TUNABLE_LANDING_BREAKPOINT,
	KVM_SAMSARA_TUNABLE_CHAOS,
	KVM_SAMSARA_TUNABLE_SEED,
	KVM_SAMSARA_TUNABLE_REPLAY_CHECK,
	KVM_SAMSARA_TUNABLE_FIND_SPINS,
};

/* kvm_samsara_status.state */
#define KVM_SAMSARA_STATE_IDLE		0	/* configured or not, not started */
#define KVM_SAMSARA_STATE_RECORDING	1
#define KVM_SAMSARA_STATE_REPLAYING	2
#define KVM_SAMSARA_STATE_STOPPED	3	/* recording or replay ended as asked, complete */
#define KVM_SAMSARA_STATE_DIVERGED	4	/* replay: fields div_* are valid */
#define KVM_SAMSARA_STATE_FAILED	5	/* error != 0; the log is valid up to `commits` */

/* kvm_samsara_status.div_field: what differed first. */
enum {
	KVM_SAMSARA_DIV_NONE,
	KVM_SAMSARA_DIV_EXIT_REASON,	/* chunk ended for another reason */
	KVM_SAMSARA_DIV_POSITION,	/* went past the branch count, RIP, RCX of the end */
	KVM_SAMSARA_DIV_REGS,		/* register digest of a commit */
	KVM_SAMSARA_DIV_MEMORY,		/* memory digest */
	KVM_SAMSARA_DIV_INPUT,		/* guest asked for another kind of input, or more or less of it */
	KVM_SAMSARA_DIV_LOG,		/* record can't be decoded or is out of order */
	KVM_SAMSARA_DIV_FINAL,		/* final vCPU state (registers, FPU/AVX, MSRs) */
};

struct kvm_samsara_status {
	__u32 state;
	__s32 error;		/* negative errno when FAILED */
	__u64 commits;		/* last commit number given out (recording) or done (replay) */
	__u64 mem_digest;	/* digest of all guest RAM, when it was last taken; at the end: final */
	__u32 div_field;	/* KVM_SAMSARA_DIV_* */
	__s32 div_vcpu;		/* vCPU id; -1: VM-wide stream */
	__u64 div_commit;
	__u64 div_expected;
	__u64 div_got;
	/* Totals since START. */
	__u64 chunks;		/* chunks committed */
	__u64 rollbacks;
	__u64 sections;		/* commits of KVM's own work on behalf of a vCPU */
	__u64 dma_commits;
	__u64 copies;		/* pages copied on write */
	__u64 log_bytes;	/* bytes put in (recording) or taken from (replay) the rings */
	__u64 async_ends;	/* chunks whose end is a (branches, RIP, RCX) position */
	__u64 landing_steps;	/* replay: single steps taken to land */
	__u64 exclusive;	/* times the exclusive token was taken */
	__u64 serial_phases;	/* times a parallel recording went serial for a while */
	__u64 begun;		/* replay: last commit that has begun, if that is above `commits` */
	__u64 reserved[9];
};

/*
 * All RAM that the guest may ever see, whether a memory slot has it at the moment or not.
 * RAM addresses name its pages in the log, wherever they are in the guest's physical
 * address space; blocks overlap neither in them nor in the caller's memory.  All values are
 * multiples of 4096.  Without this the blocks are the memory slots at START, and the RAM
 * address of a page is its guest-physical address.
 */
struct kvm_samsara_ram_block {
	__u64 ram;		/* RAM address of the first byte */
	__u64 size;
	__u64 uaddr;		/* where the caller has it */
};

struct kvm_samsara_ram {
	__u32 nr;		/* 1..KVM_SAMSARA_MAX_RAM */
	__u32 reserved;
	struct kvm_samsara_ram_block block[];
};

#define KVM_SAMSARA_MAX_RAM		64

/*
 * A write to guest memory by a device model.  Becomes one commit; returns
 * when it is published.  len is 1..KVM_SAMSARA_DMA_MAX.
 */
struct kvm_samsara_dma {
	__u64 ram;		/* RAM address */
	__u64 uaddr;		/* the bytes to write */
	__u32 len;
	__u32 reserved;
};

#define KVM_SAMSARA_DMA_MAX		65536

/*
 * Rings.  Ring i of the device is mapped with
 *	mmap(NULL, 4096 + ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
 *	     device_fd, i * (4096 + ring_bytes))
 * after CONFIG.  Rings 0..nr_vcpus-1 belong to the vCPUs, ring nr_vcpus to the
 * VM (DMA, end of log).  The first page holds this header, data follow.
 * Bytes are a stream of records (core/smr_codec.h); offset o of the stream is
 * at data[o & (size - 1)].
 *
 * Recording: the kernel produces, user space consumes.  The kernel publishes
 * whole records of committed chunks only.  A full ring makes the vCPU wait.
 * Replay: user space produces, the kernel consumes; EOF says that no more
 * data will come.
 */
#define KVM_SAMSARA_RING_EOF		1u

struct kvm_samsara_ring {
	__u64 head;		/* stream bytes ever produced; store-release by the producer */
	__u32 flags;		/* KVM_SAMSARA_RING_*, written by the producer before head */
	__u32 size;		/* data bytes; set by the kernel, which does not trust it later */
	__u64 pad0[6];
	__u64 tail;		/* stream bytes ever consumed; store-release by the consumer */
	__u64 pad1[7];
};

/*
 * The order of commits, for device models that read guest memory while vCPUs run.  After
 * CONFIG it is mapped with
 *	mmap(NULL, bytes, PROT_READ, MAP_SHARED,
 *	     device_fd, (nr_vcpus + 1) * (4096 + ring_bytes))
 * where bytes is 64 * (nr_vcpus + 2), rounded up to 4096.
 *
 * A commit's number is given out before anything that it wrote is in memory, and its
 * agent (a vCPU; the last one is device models' writes) shows it in `publishing` until
 * all of it is.  Who has read guest memory and reads on must load `committed`, and then
 * wait until no agent shows a number up to that: then it has seen of no commit a part.
 * Only needed in KVM_SAMSARA_MODE_RECORD; see "Devices that read" in design.rst.
 */
struct kvm_samsara_order_agent {
	__u64 publishing;	/* 0: none */
	__u64 pad[7];
};

struct kvm_samsara_order {
	__u64 committed;	/* last commit number given out */
	__u32 nr_agents;	/* nr_vcpus + 1; 0 before START */
	__u32 pad[13];
	struct kvm_samsara_order_agent agent[];
};

#endif /* _UAPI_LINUX_KVM_SAMSARA_H */
