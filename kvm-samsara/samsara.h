/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internal structures of the engine.
 *
 * Locks, in the order they are taken:
 *   vm->config_lock	configuration, start and stop
 *   vm->in_use		what is configured stays; of those who have no config_lock
 *   kvm->slots_lock	KVM's memory slots
 *   vm->commit_lock	the commit order; see order.c
 *   vm->turns.lock	the queue for turns; see turns.c
 *   vm->pages_lock	who uses which page; see contended.c and mode_own.c
 *   vm->remap.ept_lock	EPTs for running on guest memory itself; see remap.c
 * A vCPU's own structure is touched by its own thread only, and by START and
 * STOP while the vCPU is outside chunks and sections; see samsara_stop().
 */
#ifndef __KVM_X86_SAMSARA_H
#define __KVM_X86_SAMSARA_H

#include <linux/kvm_host.h>
#include <linux/kvm_samsara.h>
#include <linux/mutex.h>
#include <linux/perf_event.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "core/smr_avx2.h"
#include "core/smr_check.h"
#include "core/smr_codec.h"
#include "core/smr_digest.h"
#include "core/smr_order.h"
#include "core/smr_policy.h"
#include "arch.h"
#include "checkpoint.h"
#include "contended.h"
#include "copies.h"
#include "counter.h"
#include "debug.h"
#include "ept.h"
#include "hot.h"
#include "land.h"
#include "map.h"
#include "memory.h"
#include "mode.h"
#include "phase.h"
#include "remap.h"
#include "ring.h"
#include "section.h"
#include "sets.h"
#include "spin.h"
#include "tunables.h"
#include "turns.h"
#include "vmx_hooks.h"

/* Makes a vCPU pass samsara_pre_enter() before it enters the guest again. */
#define KVM_REQ_SAMSARA		KVM_ARCH_REQ_FLAGS(40, KVM_REQUEST_WAIT | KVM_REQUEST_NO_WAKEUP)

/*
 * Inputs of one section.  KVM's emulator leaves after so many iterations of a REP, each
 * of which makes two device accesses at most, and each of those is in two parts if it
 * crosses a page: a part has an item's header, its result and its share of 8 bytes.
 * Data that user space has read for the instruction may come first.
 */
#define SAMSARA_REP_ITERATIONS		1024
#define SAMSARA_ITERATION_BYTES		(2 * (2 * (3 + 4) + 8))
#define SAMSARA_INPUT_BYTES		(SAMSARA_REP_ITERATIONS * SAMSARA_ITERATION_BYTES + \
					 2 * SMR_INPUT_MAX)
/* A chunk ends when it has more inputs than this; one more is shorter than the other. */
#define SAMSARA_CHUNK_INPUT_BYTES	(8 * 1024)
#define SAMSARA_INPUT_RESERVE		32
/* Ring bytes a vCPU keeps free: a chunk and its exit, or an I/O completion. */
#define SAMSARA_RING_RESERVE		(72 * 1024)
static_assert(SAMSARA_CHUNK_INPUT_BYTES + SAMSARA_INPUT_BYTES + 1024 <= SAMSARA_RING_RESERVE);
static_assert(SAMSARA_INPUT_BYTES + 1024 <= SMR_RECORD_MAX);
/* What a VM exit costs beside its handler, in host cycles. */
#define SAMSARA_EXIT_COST		1500
/* Host cycles after which a chunk ends at its next exit whatever it counted. */
#define SAMSARA_MAX_CHUNK_TSC		(20 * 1000 * 1000ull)

/*
 * What the commits of a vCPU have come to so far.  With the vCPU's state and guest memory,
 * all that a checkpoint has to copy.
 */
struct samsara_progress {
	u64 chain;		/* digest of all of them */
	u64 state_digest;	/* at the last one that has it */
	u64 last_tsc;		/* in an input */
	struct smr_stream stream;	/* the codec's */
};

/* The open chunk, or the last one; cleared when one begins. */
struct samsara_chunk {
	u64 tsc;		/* host cycle in which it began */
	struct samsara_counter_start start;
	unsigned long resume_flag;	/* RFLAGS.RF where it began */
	bool paused;		/* it has waited in a loop */
	u64 spin_tsc;		/* since then, 0: it does not */
	u64 spin_cycles;	/* so long before */
	bool spinning;		/* it is to end because it spins in vain */
	bool out_of_copies;	/* the instruction at hand needs more than there are */
	u64 fault_cycles;	/* host cycles for its EPT violations */
	bool fault_seen;	/* there has been one; of the last one: */
	bool fault_could_read;	/* with page ownership: the page could be read */
	struct smr_position fault_pos;
	gpa_t fault_gpa;
};

/* What a vCPU waits for in a recording with page ownership; under vm->pages_lock. */
struct samsara_ownership {
	struct samsara_page *wanted;
	bool wanted_write;
	u64 ticket;		/* its place among those who wait, 0: none */
};

/* Where a replay has diverged: struct kvm_samsara_status. */
struct samsara_divergence {
	u32 field;		/* KVM_SAMSARA_DIV_* */
	s32 vcpu;		/* -1: the VM's own stream */
	u64 commit, expected, got;
};

struct samsara_replay {
	bool ended;		/* the stream is complete */
	bool have_rec;		/* rec was taken from the ring and is not done */
	struct samsara_reading before;	/* rec was */
	struct smr_cursor items;	/* of rec */
	u64 *withheld;		/* the entry of the page that the chunk ends before */
	/* replay_order.c; under commit_lock: */
	struct task_struct *waiter;	/* waits for its turn, or to begin the chunk in rec */
	u64 bound;		/* nothing is executed before this commit is done */
	bool begun;		/* the chunk in rec has begun, and it was not its turn */
	bool runs;		/* a chunk that has begun so executes instructions */
	/* mode_replay_parallel.c */
	u32 try_alone;		/* so many copies make it worth to try */
	u64 unstamped;		/* what vm->replay.unstamped was */
	bool compared;		/* what the chunk has written is known */
	struct samsara_divergence suspect;	/* found before the turn; field 0: nothing */
};

/* Where a vCPU is. */
enum samsara_state {
	SAMSARA_AT_BOUNDARY,
	SAMSARA_AT_START,	/* replay: of a chunk, which has not been entered yet */
	SAMSARA_IN_CHUNK,
	SAMSARA_AT_END,		/* replay: of a chunk, which has not committed yet */
	SAMSARA_AT_EXIT,	/* the chunk has committed, its exit is not handled yet */
	SAMSARA_IN_SECTION,
	SAMSARA_AT_STATE,	/* replay: user space is to set the vCPU's state */
};

struct samsara_vcpu {
	struct kvm_vcpu *vcpu;
	struct samsara_vm *vm;
	const struct samsara_mode *mode;	/* changes at a boundary only */
	u32 id;

	u32 state;		/* enum samsara_state; others look whether a chunk is open */
	bool exit_done;		/* the last exit was handled in the inner loop */
	bool asked_for_msr;	/* KVM_RUN has returned for user space to answer RDMSR or WRMSR */
	bool event_deferred;	/* KVM_REQ_EVENT taken back to finish an event or instruction */
	bool stepping;		/* the monitor trap flag is on */
	unsigned long breakpoints;	/* of DR7, while they are in the VMCS */
	unsigned long guest_dr7;	/* meanwhile */
	bool end_requested;	/* someone waits for a page this vCPU uses; under vm->pages_lock */

	/* The chunk or section being made or replayed, and what it began with. */
	struct samsara_chunk chunk;
	struct samsara_section section;
	struct smr_record rec;
	struct smr_record next_start;	/* what is known of the next chunk: INIT, start-up IPI */
	u64 start_seq;
	struct samsara_regs start_regs;
	u64 nr_begun;		/* chunks, committed or not */
	u32 rollbacks_in_a_row;

	/* The log */
	struct samsara_ring ring;
	struct samsara_progress progress;
	struct smr_buf inputs;
	u64 chunk_last_tsc;	/* progress.last_tsc with the chunk's own inputs */
	u8 *scratch;		/* SMR_RECORD_MAX bytes */
	u8 xsave[SAMSARA_XSAVE_BYTES] __aligned(64);	/* for the digest */

	/* The EPT in use: guest memory itself, or that of the copies. */
	struct samsara_ept *ept;
	struct samsara_ept direct;
	bool ad_off;		/* without accessed and dirty flags */
	bool flush;		/* before the next entry */
	u32 map_version;	/* which memory map the EPTs are for */
	int last_cpu;

	struct samsara_counter counter;
	struct smr_length length;
	struct rnd_state random;	/* for the lengths of chunks */
	u32 short_chunks;	/* to come */
	u32 bursts;		/* of the VM's, which this vCPU has seen */
	struct samsara_cost cost;
	struct samsara_spin spin;

	/* Of one mode each */
	struct samsara_copies copies;
	struct samsara_reserve reserve;
	struct samsara_hot hot;
	struct samsara_turn turn;
	struct samsara_ownership own;
	struct samsara_landing landing;
	struct samsara_replay replay;
	struct samsara_debug debug;
};

/* How far a replay has come; under commit_lock. */
struct samsara_vm_replay {
	u64 done;		/* number of the last commit done */
	u64 begun;		/* the last of those that have begun */
	u64 pause_at;		/* none after this one begins, 0: all may */
	bool frozen;		/* none begins: a vCPU steps, and may stop */
	u32 pauses;		/* times that one of these was set */
	struct samsara_vcpu *runner;	/* does the next one */
	bool alone;		/* and no chunk may begin before it is done */
	u32 serial_chunks;	/* that were recorded so, one after the other; up to a bound */
	u64 coarse;		/* commits up to this one may stamp what they left as it was */
	bool unnoted;		/* what chunks on memory itself have written is in EPTs' flags only */
	u64 unstamped;		/* the last one that has stamped nothing */
	u32 nr_ended;		/* vCPUs whose streams are complete */
	struct smr_record rec;	/* of the VM's stream */
	bool have_rec;		/* rec was taken from the ring and is not done */
	struct samsara_reading before;	/* rec was */
};

struct samsara_vm {
	struct kvm *kvm;
	struct rcu_head rcu;	/* see samsara_frozen() */
	struct rw_semaphore in_use;	/* held for writing when it is cleared */
	struct mutex config_lock;
	struct mutex commit_lock;
	spinlock_t pages_lock;
	wait_queue_head_t wq;
	struct work_struct fail_work;

	/* From here on all of one recording or replay: clear() in device.c */
	const struct samsara_mode *mode;	/* of the vCPUs, at START */
	struct kvm_samsara_config config;
	struct samsara_tunables tune;	/* written before START only */
	u32 state;		/* KVM_SAMSARA_STATE_*; written under config_lock or commit_lock */
	int error;		/* a negative errno once samsara_fail() was called */
	bool started;		/* no vCPU may be added any more; under kvm->lock */
	bool starting;		/* START has not returned */
	bool stopping;		/* vCPUs must get to a boundary and wait there */
	bool released;		/* STOP was called after a failure, see samsara_holds_guest() */
	u64 log_end;		/* commits from here on can't be logged, see samsara_fail_from() */
	u64 locked_pages;	/* charged to the owner's RLIMIT_MEMLOCK */

	u32 phase;		/* enum samsara_phase */
	bool has_phases;	/* the phase changes */
	u64 serial_phases;
	struct samsara_turns turns;
	u32 bursts;		/* of short chunks, because a vCPU was woken */
	struct samsara_window window;

	struct samsara_contention contention;

	/* Recording with page ownership */
	u64 last_ticket;
	atomic_t world_stopped;	/* how many need that no chunk is open */
	u64 noted_as;		/* the commit that writes on memory itself are said to be of */
	bool digest_off;	/* changes of memory are not known; also in replay of it */

	struct smr_order *order;
	struct samsara_vcpu *exclusive;
	struct samsara_memory memory;
	struct samsara_remap remap;

	struct samsara_vcpu **vcpus;
	u32 nr_vcpus;
	void *rings_area;	/* all rings, vmalloc_user() */
	size_t ring_stride;
	struct samsara_ring vm_ring;
	struct smr_stream vm_stream;
	u8 *scratch;		/* for vm_ring, under commit_lock */
	u64 dma_commits;
	struct eventfd_ctx *eventfd;

	struct samsara_vm_replay replay;
	struct samsara_sets sets;
	struct samsara_resume resume;
	struct kvm_samsara_debug debug;	/* changes while no vCPU is in KVM_RUN */
	struct samsara_divergence divergence;
};

static inline struct samsara_vcpu *to_samsara(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.samsara;
}

/* What the vCPU counts, see asm/kvm_samsara_stats.h. */
static inline struct kvm_vcpu_stat *samsara_stat(struct samsara_vcpu *sv)
{
	return &sv->vcpu->stat;
}

static inline bool samsara_recording(struct samsara_vm *vm)
{
	return READ_ONCE(vm->state) == KVM_SAMSARA_STATE_RECORDING;
}

/* A recording or replay that has neither come to its end nor failed. */
static inline bool samsara_running(struct samsara_vm *vm)
{
	u32 state = READ_ONCE(vm->state);

	return state == KVM_SAMSARA_STATE_RECORDING || state == KVM_SAMSARA_STATE_REPLAYING;
}

/* A replay that has not come to its end or to a divergence. */
static inline bool samsara_alive(struct samsara_vm *vm)
{
	return READ_ONCE(vm->state) == KVM_SAMSARA_STATE_REPLAYING;
}

/* vCPUs take turns now. */
static inline bool samsara_in_turns(struct samsara_vm *vm)
{
	return READ_ONCE(vm->phase) == SAMSARA_SERIAL;
}

static inline bool samsara_in_parallel(struct samsara_vm *vm)
{
	return READ_ONCE(vm->phase) == SAMSARA_PARALLEL;
}

/* No chunk may begin: vCPUs are about to take turns. */
static inline bool samsara_phase_changes(struct samsara_vm *vm)
{
	return READ_ONCE(vm->phase) == SAMSARA_CHANGING;
}

/* No chunk or section may begin: the memory map is about to change. */
static inline bool samsara_map_changes(struct samsara_vm *vm)
{
	return READ_ONCE(vm->remap.changing);
}

/* In sets of vCPUs. */
static inline u64 samsara_bit(const struct samsara_vcpu *sv)
{
	return BIT_ULL(sv->id);
}

/* The DMA agent's index in vm->order. */
static inline u32 samsara_dma_agent(struct samsara_vm *vm)
{
	return vm->nr_vcpus;
}

#endif /* __KVM_X86_SAMSARA_H */
