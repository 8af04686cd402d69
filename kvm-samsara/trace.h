/* SPDX-License-Identifier: GPL-2.0 */
#if !defined(_TRACE_KVM_SAMSARA_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KVM_SAMSARA_H

#include <linux/kvm_host.h>
#include <linux/tracepoint.h>

#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm_samsara

TRACE_EVENT(kvm_samsara_chunk_begin,
	TP_PROTO(u32 vcpu, u64 start_seq, unsigned long rip, u32 intr_info),
	TP_ARGS(vcpu, start_seq, rip, intr_info),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, intr_info)
		__field(u64, start_seq)
		__field(unsigned long, rip)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->start_seq = start_seq;
		__entry->rip = rip;
		__entry->intr_info = intr_info;
	),

	TP_printk("vcpu %u start_seq %llu rip 0x%lx event 0x%x", __entry->vcpu,
		  __entry->start_seq, __entry->rip, __entry->intr_info)
);

/* seq 0: rolled back */
TRACE_EVENT(kvm_samsara_chunk_end,
	TP_PROTO(u32 vcpu, u64 seq, u32 reason, u32 nr_access, u32 nr_dirty, unsigned long rip),
	TP_ARGS(vcpu, seq, reason, nr_access, nr_dirty, rip),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, reason)
		__field(u64, seq)
		__field(u32, nr_access)
		__field(u32, nr_dirty)
		__field(unsigned long, rip)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->reason = reason;
		__entry->seq = seq;
		__entry->nr_access = nr_access;
		__entry->nr_dirty = nr_dirty;
		__entry->rip = rip;
	),

	TP_printk("vcpu %u %s %llu reason %u accessed %u dirty %u rip 0x%lx", __entry->vcpu,
		  __entry->seq ? "commit" : "rollback", __entry->seq, __entry->reason,
		  __entry->nr_access, __entry->nr_dirty, __entry->rip)
);

/* A page over which a chunk is rolled back: commit @version, by another, has written it. */
TRACE_EVENT(kvm_samsara_conflict,
	TP_PROTO(u32 vcpu, u64 ram, u64 start_seq, u64 version),
	TP_ARGS(vcpu, ram, start_seq, version),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, ram)
		__field(u64, start_seq)
		__field(u64, version)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->ram = ram;
		__entry->start_seq = start_seq;
		__entry->version = version;
	),

	TP_printk("vcpu %u ram 0x%llx start_seq %llu written by %llu", __entry->vcpu,
		  __entry->ram, __entry->start_seq, __entry->version)
);

/* The first touch of a contended page, or the first write to it. */
TRACE_EVENT(kvm_samsara_contended,
	TP_PROTO(u32 vcpu, u64 ram, bool write, bool reserved, bool ends),
	TP_ARGS(vcpu, ram, write, reserved, ends),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(bool, write)
		__field(bool, reserved)
		__field(bool, ends)
		__field(u64, ram)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->write = write;
		__entry->reserved = reserved;
		__entry->ends = ends;
		__entry->ram = ram;
	),

	TP_printk("vcpu %u ram 0x%llx %s %s", __entry->vcpu, __entry->ram,
		  __entry->write ? "write" : "read",
		  __entry->reserved ? "reserved" : __entry->ends ? "ends the chunk" : "goes on")
);

/* A look whether the guest spins; @interval host cycles until one that is not close to it. */
TRACE_EVENT(kvm_samsara_spin,
	TP_PROTO(u32 vcpu, unsigned long rip, u64 interval, bool spins),
	TP_ARGS(vcpu, rip, interval, spins),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(bool, spins)
		__field(unsigned long, rip)
		__field(u64, interval)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->spins = spins;
		__entry->rip = rip;
		__entry->interval = interval;
	),

	TP_printk("vcpu %u rip 0x%lx interval %llu%s", __entry->vcpu, __entry->rip,
		  __entry->interval, __entry->spins ? " spins" : "")
);

TRACE_EVENT(kvm_samsara_section,
	TP_PROTO(u32 vcpu, u64 seq, u32 reason, u32 pages),
	TP_ARGS(vcpu, seq, reason, pages),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, reason)
		__field(u64, seq)
		__field(u32, pages)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->reason = reason;
		__entry->seq = seq;
		__entry->pages = pages;
	),

	TP_printk("vcpu %u commit %llu reason %u pages %u", __entry->vcpu, __entry->seq,
		  __entry->reason, __entry->pages)
);

/* Pages are named by their RAM addresses, in pages. */
TRACE_EVENT(kvm_samsara_copy,
	TP_PROTO(u32 vcpu, u64 ram),
	TP_ARGS(vcpu, ram),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, ram)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->ram = ram;
	),

	TP_printk("vcpu %u ram 0x%llx", __entry->vcpu, __entry->ram)
);

/* A page that has changed since the last digest of memory. */
TRACE_EVENT(kvm_samsara_page,
	TP_PROTO(u32 vcpu, u64 ram, u64 digest),
	TP_ARGS(vcpu, ram, digest),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, ram)
		__field(u64, digest)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->ram = ram;
		__entry->digest = digest;
	),

	TP_printk("vcpu %u ram 0x%llx digest %llx", __entry->vcpu, __entry->ram,
		  __entry->digest)
);

/* The memory map has changed: recorded, or replayed. */
TRACE_EVENT(kvm_samsara_map,
	TP_PROTO(u64 seq, u32 slots),
	TP_ARGS(seq, slots),

	TP_STRUCT__entry(
		__field(u64, seq)
		__field(u32, slots)
	),

	TP_fast_assign(
		__entry->seq = seq;
		__entry->slots = slots;
	),

	TP_printk("commit %llu slots %u", __entry->seq, __entry->slots)
);

/* User space has set a vCPU's state: recorded. */
TRACE_EVENT(kvm_samsara_state,
	TP_PROTO(u32 vcpu, u64 seq, u32 len),
	TP_ARGS(vcpu, seq, len),

	TP_STRUCT__entry(
		__field(u64, seq)
		__field(u32, vcpu)
		__field(u32, len)
	),

	TP_fast_assign(
		__entry->seq = seq;
		__entry->vcpu = vcpu;
		__entry->len = len;
	),

	TP_printk("vcpu %u commit %llu len %u", __entry->vcpu, __entry->seq, __entry->len)
);

/* Replay: a commit has been done. */
TRACE_EVENT(kvm_samsara_replayed,
	TP_PROTO(u32 vcpu, u64 seq, u32 type, u32 end, u64 steps),
	TP_ARGS(vcpu, seq, type, end, steps),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, type)
		__field(u64, seq)
		__field(u32, end)
		__field(u64, steps)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->type = type;
		__entry->seq = seq;
		__entry->end = end;
		__entry->steps = steps;
	),

	TP_printk("vcpu %u commit %llu %s end %u steps %llu", __entry->vcpu, __entry->seq,
		  __entry->type == 1 ? "chunk" : "section", __entry->end, __entry->steps)
);

/* What parallel recording did in @elapsed cycles, and what it would take serially. */
TRACE_EVENT(kvm_samsara_window,
	TP_PROTO(u64 attempts, u64 serially, u64 busy, u64 elapsed),
	TP_ARGS(attempts, serially, busy, elapsed),

	TP_STRUCT__entry(
		__field(u64, attempts)
		__field(u64, serially)
		__field(u64, busy)
		__field(u64, elapsed)
	),

	TP_fast_assign(
		__entry->attempts = attempts;
		__entry->serially = serially;
		__entry->busy = busy;
		__entry->elapsed = elapsed;
	),

	TP_printk("attempts %llu serially %llu busy %llu elapsed %llu", __entry->attempts,
		  __entry->serially, __entry->busy, __entry->elapsed)
);

/* A parallel recording goes serial for @cycles, or parallel again. */
TRACE_EVENT(kvm_samsara_phase,
	TP_PROTO(bool serial, u64 cycles),
	TP_ARGS(serial, cycles),

	TP_STRUCT__entry(
		__field(bool, serial)
		__field(u64, cycles)
	),

	TP_fast_assign(
		__entry->serial = serial;
		__entry->cycles = cycles;
	),

	TP_printk("%s, next serial phase %llu cycles", __entry->serial ? "serial" : "parallel",
		  __entry->cycles)
);

/* A recording has ended: where a vCPU's time went, see asm/kvm_samsara_stats.h. */
TRACE_EVENT(kvm_samsara_totals,
	TP_PROTO(u32 vcpu, const struct kvm_vcpu_stat *stat),
	TP_ARGS(vcpu, stat),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, chunk)
		__field(u64, spin)
		__field(u64, lost)
		__field(u64, page)
		__field(u64, precommit)
		__field(u64, wait)
		__field(u64, commit)
		__field(u64, sync)
		__field(u64, section)
		__field(u64, copies)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->chunk = stat->samsara_chunk_cycles;
		__entry->spin = stat->samsara_spin_cycles;
		__entry->lost = stat->samsara_lost_cycles;
		__entry->page = stat->samsara_page_cycles;
		__entry->precommit = stat->samsara_precommit_cycles;
		__entry->wait = stat->samsara_wait_cycles;
		__entry->commit = stat->samsara_commit_cycles;
		__entry->sync = stat->samsara_sync_cycles;
		__entry->section = stat->samsara_section_cycles;
		__entry->copies = stat->samsara_copies;
	),

	TP_printk("vcpu %u chunk %llu spin %llu lost %llu page %llu precommit %llu wait %llu commit %llu sync %llu section %llu copies %llu",
		  __entry->vcpu, __entry->chunk, __entry->spin, __entry->lost,
		  __entry->page, __entry->precommit, __entry->wait, __entry->commit,
		  __entry->sync, __entry->section, __entry->copies)
);

#endif /* _TRACE_KVM_SAMSARA_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../arch/x86/kvm/samsara
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
