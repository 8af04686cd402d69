/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internal structures of the engine.
 *
 * Locks, in the order they are taken:
 *   vm->config_lock	configuration, start and stop
 *   vm->commit_lock	the commit order; see order.c
 *   vm->turns_lock	the queue of those who take turns; see turns.c
 *   vm->pages_lock	who uses which page; see contended.c and mode_own.c
 * A vCPU's own structure is touched by its own thread only, and by START and
 * STOP while the vCPU is outside chunks and sections; see samsara_stop().
 */
#ifndef __KVM_X86_SAMSARA_H
#define __KVM_X86_SAMSARA_H

#include <linux/kvm_host.h>
#include <linux/kvm_samsara.h>
#include <linux/mutex.h>
#include <linux/perf_event.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "core/smr_avx2.h"
#include "core/smr_check.h"
#include "core/smr_codec.h"
#include "core/smr_digest.h"
#include "core/smr_order.h"
#include "arch.h"
#include "contended.h"
#include "copies.h"
#include "counter.h"
#include "ept.h"
#include "memory.h"
#include "mode.h"
#include "phase.h"
#include "ring.h"
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
#define SAMSARA_SECTION_PAGES		64
/* What a VM exit costs beside its handler, in host cycles. */
#define SAMSARA_EXIT_COST		1500
/* Host cycles after which a chunk ends at its next exit whatever it counted. */
#define SAMSARA_MAX_CHUNK_TSC		(20 * 1000 * 1000ull)

struct samsara_vcpu {
	struct kvm_vcpu *vcpu;
	struct samsara_vm *vm;
	const struct samsara_mode *mode;	/* changes at a boundary only */
	u32 id;

	bool ended;		/* its stream is complete */
	bool chunk_open;
	bool begun;		/* ... and has been entered */
	bool exit_pending;	/* the chunk committed, its exit is not handled yet */
	bool asked_for_msr;	/* KVM_RUN has returned for user space to answer RDMSR or WRMSR */
	bool in_section;
	bool no_memory;		/* ... which does not touch guest memory, see mode_own.c */
	bool flush;		/* TLB before the next entry */
	bool event_deferred;	/* KVM_REQ_EVENT taken back to finish an event or instruction */
	bool fault_seen;	/* fault_pos is valid */
	struct smr_position fault_pos;	/* of the chunk's last EPT violation */
	bool out_of_copies;	/* the instruction at hand needs more than there are */
	bool limit_hit;		/* the branch counter overflowed */
	bool paused;		/* the open chunk has had a pause-loop exit */
	u64 limit;		/* of chunks, see length.c */
	u64 period;		/* of the branch counter */
	u32 calm;		/* chunks as long as that which have committed since it changed */
	bool exit_done;		/* the last exit was handled in the inner loop */
	bool spinning;		/* the chunk is to end because it spins in vain */
	gpa_t fault_gpa;	/* page ownership: of the chunk's last EPT violation ... */
	bool fault_could_read;	/* ... on a page that could be read */
	struct samsara_page *wanted;	/* the page waited for; under vm->pages_lock, as ... */
	bool wanted_write;
	bool asked;		/* ... someone waits for a page this vCPU uses */
	bool asked_as_reader;	/* ... to write what this vCPU has read */
	bool has_reserved;	/* a contended page */
	bool go_back;		/* the open chunk has too little work to commit it ... */
	u32 returns;		/* ... as others have had since the last commit */
	bool paused_before;	/* paused, of the chunk before */
	u64 ticket;		/* ... and its place among those who wait, 0: none */
	bool stepping;		/* monitor trap flag is on */
	bool breakpoint;	/* replay: an instruction breakpoint at the landing point */
	bool breakpoint_hit;	/* the last exit was its #DB */
	bool breakpoint_loaded;	/* ... is in the VMCS */
	unsigned long guest_dr7;	/* meanwhile */
	u32 rollbacks_in_a_row;
	u32 attempts;		/* since this vCPU has last looked at the phase's window */
	struct samsara_turn turn;
	bool cut_turn;		/* ... is to end after a few instructions */
	u64 waited;		/* for it, host cycles */
	bool running;		/* its thread is in KVM_RUN, and not halted */
	bool cut_armed;

	u64 nr_begun;		/* chunks, committed or not */
	u64 chunk_tsc;
	u64 end_tsc;		/* of the last attempt, 0: the vCPU has been elsewhere since */
	u64 between_cycles;	/* from attempts to the next ones, but for sections */
	u64 chunk_fault_cycles;	/* the open chunk's EPT violations */
	u64 fault_cycles;	/* those of chunks that are in samsara_chunk_cycles */
	u64 section_tsc;
	u64 start_seq;
	struct samsara_counts start_counts;
	u64 start_lost;		/* time in which the counters could not count until then */
	struct smr_record rec;	/* of the chunk or section being made or replayed */
	u64 chain;
	u64 state_digest;	/* at the last commit */

	/* Private EPTs */
	struct samsara_ept copies_ept;	/* written pages are private copies */
	struct samsara_ept direct_ept;	/* guest memory itself */
	struct samsara_ept *ept;	/* the one in use */
	bool no_flags;			/* ... has no accessed and dirty flags */
	int last_cpu;

	/* Harvest: pages read or written in the chunk, copies written */
	struct samsara_page **access;
	u32 nr_access;
	struct samsara_copy **dirty;
	u32 nr_dirty;

	struct samsara_copy *copies;
	u32 nr_copies;
	struct samsara_copy **free_copies;
	u32 nr_free_copies;
	u32 nr_empty;		/* of them, those without a page */

	u64 *contended[SAMSARA_MAX_CONTENDED];	/* EPT entries of vm->contended's pages ... */
	u64 contended_seen;	/* ... as they were at this vm->contended_changes */
	u64 *withheld;		/* replay: the entry of the page the chunk ends before */

	gfn_t section_gfns[SAMSARA_SECTION_PAGES];
	u32 nr_section_gfns;

	struct perf_event *branch_event;
	struct perf_event *jump_event;

	struct samsara_ring ring;
	struct smr_buf inputs;
	u64 last_tsc;		/* of the stream, committed */
	u64 chunk_last_tsc;	/* with the chunk's own inputs */
	u8 *scratch;		/* SMR_RECORD_MAX bytes */

	/* Replay */
	bool have_rec;		/* rec was taken from the ring and is not done */
	bool armed;		/* a counter will overflow before the end */
	struct task_struct *waiter;	/* waits for the commit in rec; under commit_lock */
	struct smr_cursor items;

	struct samsara_regs start_regs;
	u8 xsave[SAMSARA_XSAVE_BYTES] __aligned(64);
};

struct samsara_vm {
	struct kvm *kvm;
	const struct samsara_mode *mode;	/* of the vCPUs, at START */
	struct rcu_head rcu;	/* see samsara_frozen() */
	struct kvm_samsara_config config;
	struct samsara_tunables tune;	/* written before START only */
	u32 state;		/* KVM_SAMSARA_STATE_*; written under config_lock or commit_lock */
	int error;		/* a negative errno once samsara_fail() was called */
	bool started;		/* START has come so far that no vCPU may be added; under kvm->lock */
	bool starting;		/* ... and has not returned */
	bool stopping;		/* vCPUs must get to a boundary and wait there */
	bool released;		/* STOP was called after a failure, see samsara_holds_guest() */
	u64 log_end;		/* commits from here on can't be logged, see samsara_fail_from() */
	u64 locked_pages;	/* charged to the owner's RLIMIT_MEMLOCK */
	struct work_struct fail_work;

	struct mutex config_lock;
	struct mutex commit_lock;
	wait_queue_head_t wq;

	/* Serial recording */
	u32 phase;		/* enum samsara_phase */
	bool has_phases;	/* ... and changes */
	spinlock_t turns_lock;
	struct list_head turns;
	u32 convoy;		/* turns in a row that look like one; under turns_lock */
	u32 cuts;		/* turns to be cut, therefore; under turns_lock */
	u32 cut_order;		/* log2 of the longest, in host cycles */
	bool cut_helped;
	struct samsara_window window;
	u64 serial_phases;

	spinlock_t pages_lock;
	struct samsara_contended contended[SAMSARA_MAX_CONTENDED];	/* under pages_lock */
	u64 contended_changes;	/* of the pages in it */

	/* Recording with page ownership */
	u64 last_ticket;
	atomic_t world_stopped;	/* how many need that no chunk is open */
	bool digest_off;	/* changes of memory are not known; also in replay of it */

	struct smr_order *order;
	struct samsara_vcpu *exclusive;
	struct samsara_slot slots[KVM_SAMSARA_MAX_SLOTS];
	u32 nr_slots;
	u64 nr_pages;
	u64 mem_digest;		/* without the pages in changed[] */
	struct samsara_page **changed;
	u64 nr_changed;

	struct samsara_vcpu **vcpus;
	u32 nr_vcpus;
	void *rings_area;	/* all rings, vmalloc_user() */
	size_t ring_stride;
	struct samsara_ring vm_ring;
	u8 *scratch;		/* for vm_ring, under commit_lock */
	u64 dma_commits;
	struct eventfd_ctx *eventfd;

	/* Replay: number of the last commit done, and who does the next; under commit_lock */
	u64 replayed;
	struct samsara_vcpu *runner;
	u32 nr_ended;
	struct smr_record vm_rec;
	bool have_vm_rec;
	u32 div_field;
	s32 div_vcpu;
	u64 div_commit, div_expected, div_got;
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

/* Neither has come to its end, nor failed. */
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
