/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internal structures of the engine.
 *
 * Locks, in the order they are taken:
 *   vm->config_lock	configuration, start and stop
 *   vm->commit_lock	the commit order; see commit.c
 *   vm->turns_lock	the queue of serial recording; see serial.c
 *   vm->pages_lock	who uses which page; see crew.c and contended.c
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
#include "copies.h"
#include "ept.h"
#include "ring.h"
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
/* Pages remembered to have cost chunks. */
#define SAMSARA_MAX_CONTENDED		32
/* What a VM exit costs beside its handler, in host cycles. */
#define SAMSARA_EXIT_COST		1500
/* Host cycles after which a chunk ends at its next exit whatever it counted. */
#define SAMSARA_MAX_CHUNK_TSC		(20 * 1000 * 1000ull)

/* One page of guest RAM. */
struct samsara_page {
	struct smr_page meta;
	struct page *page;
	u64 gfn;
	u64 owners;		/* vCPUs with rights to it ... */
	bool exclusive;		/* ... who may write, too; both under vm->pages_lock */
	bool changed;		/* since its digest was taken; it is in vm->changed */
};

struct samsara_slot {
	gfn_t base;
	u64 npages;
	bool readonly;
	struct samsara_page *pages;
};

/* For memory that grows with the guest or its owner's wishes: rather refuse than kill. */
#define SAMSARA_GFP_LARGE	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL)
/* An EPT of four levels maps so many pages. */
#define SAMSARA_MAX_GFNS	(1ull << (48 - PAGE_SHIFT))

/* A page over which chunks have failed, see contended.c. */
struct samsara_contended {
	struct samsara_page *page;	/* NULL: not in use */
	struct samsara_vcpu *writer;	/* has reserved it for writing ... */
	u64 since;		/* ... in this host cycle */
	u64 hold;		/* host cycles for which the writer is not asked for it */
	struct samsara_vcpu *last;	/* had reserved it for writing before */
	u64 readers;		/* vCPUs that have reserved it for reading, a bit each */
	bool written;		/* by the vCPU that has reserved it for writing */
	u32 upgrades;		/* see will_write() */
	u32 conflicts;
	u32 calm;		/* reservations in a row that were in nobody's way */
	u32 unchanged;		/* commits in a row that have written it as it was */
};

/* A place in the queue of those who may touch guest memory, see serial.c. */
struct samsara_turn {
	struct list_head link;
	struct samsara_vcpu *sv;	/* NULL: a device model's write */
	u64 slice_tsc;			/* when it came to the head */
	bool give_up;			/* someone can't wait for the end of the slice */
};

struct samsara_counts {
	u64 branches;		/* conditional */
	u64 jumps;		/* near branches taken */
};

struct samsara_vcpu {
	struct kvm_vcpu *vcpu;
	struct samsara_vm *vm;
	u32 id;

	bool ended;		/* its stream is complete */
	bool chunk_open;
	bool exit_pending;	/* the chunk committed, its exit is not handled yet */
	bool asked_for_msr;	/* KVM_RUN has returned for user space to answer RDMSR or WRMSR */
	bool in_section;
	bool world_stopped;	/* ... while no chunk is open, see crew.c */
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
	bool touched;		/* the last exit was on a withheld page, and ends the chunk */
	bool spinning;		/* ... ends because it spins in vain */
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
	bool direct;			/* ... is direct_ept */
	bool no_flags;			/* ... without accessed and dirty flags */
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
	bool begun;		/* the open chunk has been entered */
	bool armed;		/* a counter will overflow before the end */
	struct task_struct *waiter;	/* waits for the commit in rec; under commit_lock */
	struct smr_cursor items;

	struct samsara_regs start_regs;
	u8 xsave[SAMSARA_XSAVE_BYTES] __aligned(64);
};

enum samsara_phase {
	SAMSARA_PARALLEL,
	SAMSARA_CHANGING,	/* to serial: no chunk may begin */
	SAMSARA_SERIAL,
};

/* All vCPUs' totals, see phase.c. */
struct samsara_sums {
	u64 elapsed;		/* host cycles in which any vCPU ran; as all but ... */
	u64 attempts;		/* ... chunks, committed or not */
	u64 inherent;		/* ... chunks that serial recording would end, too */
	u64 useful, overhead, busy;
};

/* What the decision between parallel and serial looks at, see phase.c. */
struct samsara_window {
	struct samsara_sums start;
	s64 credit;		/* cycles that parallel recording may lose yet */
	u64 serial_until;
	u64 serial_cycles;	/* how long the next serial phase is */
	bool lone;		/* there was work for one vCPU in the last window */
	u64 overlap;		/* ... and for more in the serial phase since */
	u64 most_overlap;	/* ... before it ends */
	u64 next_overlap;	/* ... the next one */
	u32 nr_running;
	u64 idle_tsc;		/* since when there are none */
	u64 idle_cycles;
};

/* Settings of a VM, tunables.c; the indices are those of KVM_SAMSARA_TUNABLE_*. */
struct samsara_tunables {
	u64 chunk_limit;	/* longest chunk, conditional branches */
	u64 chunk_min;		/* as short as conflicts make a vCPU's chunks */
	u64 chunk_adaptive;	/* ... or all have chunk_limit */
	u64 rollback_limit;	/* rollbacks in a row before a vCPU takes the exclusive token */
	u64 max_copies;		/* private copies a vCPU keeps between chunks */
	u64 copy_age;		/* chunks a copy is kept without being used, 0: for ever */
	u64 compare;		/* the write-set has only pages whose content has changed */
	u64 memdigest_interval;	/* commits from one digest of all RAM to the next */
	u64 serial_slice_us;	/* serial recording: a vCPU's turn while others wait */
	u64 adaptive;		/* parallel recording has serial phases */
	u64 landing_breakpoint;	/* replay lands with an instruction breakpoint, too */
};

struct samsara_vm {
	struct kvm *kvm;
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
	bool untracked;		/* changes of memory are not known; also in replay of it */

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

/* Made for replay, begun or not; else for recording. */
static inline bool samsara_for_replay(struct samsara_vm *vm)
{
	return vm->config.mode == KVM_SAMSARA_MODE_REPLAY;
}

static inline bool samsara_replaying(struct samsara_vm *vm)
{
	return samsara_for_replay(vm) &&
	       READ_ONCE(vm->state) != KVM_SAMSARA_STATE_IDLE;
}

/* A replay that has not come to its end or to a divergence. */
static inline bool samsara_alive(struct samsara_vm *vm)
{
	return READ_ONCE(vm->state) == KVM_SAMSARA_STATE_REPLAYING;
}

/* Made for parallel recording.  It may have phases of serial recording, see phase.c. */
static inline bool samsara_for_parallel(struct samsara_vm *vm)
{
	return vm->config.mode == KVM_SAMSARA_MODE_RECORD;
}

/* Made for recording with page ownership, see crew.c. */
static inline bool samsara_crew(struct samsara_vm *vm)
{
	return vm->config.mode == KVM_SAMSARA_MODE_RECORD_CREW;
}

/* vCPUs take turns now. */
static inline bool samsara_serial(struct samsara_vm *vm)
{
	return READ_ONCE(vm->phase) == SAMSARA_SERIAL;
}

/* In sets of vCPUs. */
static inline u64 samsara_bit(const struct samsara_vcpu *sv)
{
	return BIT_ULL(sv->id);
}

/* For one more input of a chunk that records. */
static inline bool samsara_has_input_room(struct samsara_vcpu *sv)
{
	return sv->inputs.len + SAMSARA_INPUT_RESERVE <= SAMSARA_CHUNK_INPUT_BYTES;
}

/* The DMA agent's index in vm->order. */
static inline u32 samsara_dma_agent(struct samsara_vm *vm)
{
	return vm->nr_vcpus;
}

/* tunables.c */
void samsara_tunables_default(struct samsara_tunables *tune);
int samsara_tunable_set(struct samsara_tunables *tune, u64 index, u64 value);
int samsara_tunable_get(struct samsara_tunables *tune, u64 index, u64 *value);
int samsara_sysfs_init(void);
void samsara_sysfs_exit(void);

/* vm.c */
int samsara_fail_init(void);
void samsara_fail_exit(void);
void samsara_signal_user(struct samsara_vm *vm);
bool samsara_frozen(struct kvm *kvm);
void samsara_fail(struct samsara_vm *vm, int error, const char *why);
void samsara_fail_from(struct samsara_vm *vm, u64 n, int error, const char *why);
bool samsara_holds_guest(struct samsara_vm *vm);
void samsara_ask(struct samsara_vcpu *sv);
int samsara_bring_to_boundary(struct samsara_vm *vm);
int samsara_stop_world(struct samsara_vm *vm);
void samsara_start_world(struct samsara_vm *vm);

/* check.c */
int samsara_check_host(void);
int samsara_check_vm(struct samsara_vm *vm);
bool samsara_refuses_vcpus(struct kvm *kvm);
bool samsara_refuses_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl);
bool samsara_refuses_vm_ioctl(struct kvm *kvm, unsigned int ioctl);

/* start.c */
int samsara_start(struct samsara_vm *vm);
void samsara_free_vcpu(struct samsara_vcpu *sv);

/* stop.c */
int samsara_stop(struct samsara_vm *vm);
void samsara_fail_work(struct work_struct *work);

/* memory.c */
int samsara_memory_init(struct samsara_vm *vm);
void samsara_memory_free(struct samsara_vm *vm);
int samsara_charge_locked(struct samsara_vm *vm, u64 pages);
void samsara_uncharge_locked(struct samsara_vm *vm, u64 pages);
struct samsara_page *samsara_gfn_to_page(struct samsara_vm *vm, gfn_t gfn, bool *readonly);
int samsara_memory_digest(struct samsara_vm *vm, u64 *digest);
void samsara_page_changed(struct samsara_vm *vm, struct samsara_page *sp);
void samsara_digest_changes(struct samsara_vm *vm, u32 vcpu);

/* fault.c */
int samsara_ept_fault(struct samsara_vcpu *sv, gpa_t gpa, bool write);

/* counter.c */
int samsara_counter_selftest(void);
int samsara_counter_init(struct samsara_vcpu *sv);
void samsara_counter_free(struct samsara_vcpu *sv);
void samsara_counter_read(struct samsara_vcpu *sv, struct samsara_counts *c);
void samsara_counter_begin(struct samsara_vcpu *sv);
bool samsara_counter_complete(struct samsara_vcpu *sv);
int samsara_counter_arm(struct samsara_vcpu *sv, u64 branches, u64 jumps);
bool samsara_counter_ok(struct samsara_vcpu *sv);

/* insn.c */
bool samsara_at_rep(struct samsara_vcpu *sv);

/* commit.c */
int samsara_commit_chunk(struct samsara_vcpu *sv);
bool samsara_spins_in_vain(struct samsara_vcpu *sv);
void samsara_look_at_memory(struct samsara_vcpu *sv);

/*
 * A vCPU's thread, in KVM_RUN: sleep until @cond.  True if a signal came; KVM_RUN
 * then returns -EINTR.
 */
#define samsara_wait_interrupted(sv, cond)					\
({										\
	int __r;								\
										\
	kvm_vcpu_srcu_read_unlock((sv)->vcpu);					\
	__r = wait_event_interruptible((sv)->vm->wq, cond);			\
	kvm_vcpu_srcu_read_lock((sv)->vcpu);					\
	if (__r)								\
		(sv)->vcpu->run->exit_reason = KVM_EXIT_INTR;			\
	__r != 0;								\
})

/* The same, without sleeping: has a signal come? */
static inline bool samsara_interrupted(struct samsara_vcpu *sv)
{
	if (!signal_pending(current))
		return false;
	sv->vcpu->run->exit_reason = KVM_EXIT_INTR;
	return true;
}

/* length.c */
void samsara_length_init(struct samsara_vcpu *sv);
void samsara_restore_length(struct samsara_vcpu *sv);
void samsara_adapt_length(struct samsara_vcpu *sv, bool committed);

/* contended.c */
void samsara_note_conflicts(struct samsara_vcpu *sv);
void samsara_find_contended(struct samsara_vcpu *sv);
void samsara_withhold_contended(struct samsara_vcpu *sv);
bool samsara_touch_ends_chunk(struct samsara_vcpu *sv, struct samsara_page *sp, bool write,
			      bool read);
void samsara_release_pages(struct samsara_vcpu *sv, bool committed);
void samsara_maybe_go_back(struct samsara_vcpu *sv);
void samsara_wait_for_page(struct samsara_vcpu *sv);

/* phase.c */
void samsara_phase_init(struct samsara_vm *vm);
void samsara_choose_phase(struct samsara_vcpu *sv);
void samsara_note_running(struct samsara_vcpu *sv, bool running);

/* serial.c */
void samsara_turns_init(struct samsara_vm *vm);
void samsara_arm_cut(struct samsara_vcpu *sv);
void samsara_disarm_cut(struct samsara_vcpu *sv);
u64 samsara_slice_cycles(struct samsara_vm *vm);
int samsara_take_turn(struct samsara_vcpu *sv);
int samsara_wait_turn(struct samsara_vcpu *sv);
bool samsara_may_touch_memory(struct samsara_vm *vm, struct samsara_turn *turn);
void samsara_give_turn(struct samsara_vcpu *sv);
bool samsara_turn_is_over(struct samsara_vcpu *sv);
bool samsara_someone_waits(struct samsara_vcpu *sv);
int samsara_borrow_turn(struct samsara_vm *vm, struct samsara_turn *turn);
void samsara_return_turn(struct samsara_vm *vm, struct samsara_turn *turn);

/* crew.c */
int samsara_crew_fault(struct samsara_vcpu *sv, struct samsara_page *sp, bool write);
void samsara_crew_open_chunk(struct samsara_vcpu *sv);
void samsara_crew_chunk_closed(struct samsara_vcpu *sv, bool progress);
int samsara_crew_get_ready(struct samsara_vcpu *sv);
bool samsara_crew_exit_uses_memory(struct samsara_vcpu *sv);

/* chunk.c */
int samsara_pre_enter(struct kvm_vcpu *vcpu);
bool samsara_owns_events(struct kvm_vcpu *vcpu);
int samsara_complete_io(struct kvm_vcpu *vcpu, kvm_samsara_cui_t cui);
void samsara_leave(struct kvm_vcpu *vcpu);

/* input.c */
bool samsara_bus_before(struct kvm_vcpu *vcpu, enum kvm_bus bus, bool in, gpa_t addr, int len,
			void *data, int *r);
void samsara_bus_after(struct kvm_vcpu *vcpu, enum kvm_bus bus, bool in, gpa_t addr, int len,
		       const void *data, int r);
bool samsara_msr_before(struct kvm_vcpu *vcpu, bool in, u32 index, u64 *data, int *r);
void samsara_msr_after(struct kvm_vcpu *vcpu, bool in, u32 index, u64 data, int r);
void samsara_note_init(struct kvm_vcpu *vcpu);
void samsara_note_sipi(struct kvm_vcpu *vcpu, u8 vector);
int samsara_emulate_rdtsc(struct samsara_vcpu *sv, bool rdtscp);
void samsara_user_input(struct samsara_vcpu *sv);

/* replay.c */
int samsara_replay_pre_enter(struct samsara_vcpu *sv);
void samsara_replay_begin(struct samsara_vcpu *sv);
void samsara_replay_sync_end(struct samsara_vcpu *sv, u16 reason);
int samsara_replay_complete_io(struct samsara_vcpu *sv, kvm_samsara_cui_t cui);

#endif /* __KVM_X86_SAMSARA_H */
