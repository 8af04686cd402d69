/* SPDX-License-Identifier: GPL-2.0 */
#if !defined(_TRACE_KVM_SAMSARA_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KVM_SAMSARA_H

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

TRACE_EVENT(kvm_samsara_copy,
	TP_PROTO(u32 vcpu, u64 gfn),
	TP_ARGS(vcpu, gfn),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, gfn)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->gfn = gfn;
	),

	TP_printk("vcpu %u gfn 0x%llx", __entry->vcpu, __entry->gfn)
);

/* A page that has changed since the last digest of memory. */
TRACE_EVENT(kvm_samsara_page,
	TP_PROTO(u32 vcpu, u64 gfn, u64 digest),
	TP_ARGS(vcpu, gfn, digest),

	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, gfn)
		__field(u64, digest)
	),

	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->gfn = gfn;
		__entry->digest = digest;
	),

	TP_printk("vcpu %u gfn 0x%llx digest %llx", __entry->vcpu, __entry->gfn,
		  __entry->digest)
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

#endif /* _TRACE_KVM_SAMSARA_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../arch/x86/kvm/samsara
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
