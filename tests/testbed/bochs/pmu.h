/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Architectural performance-monitoring unit (Intel, version 3) as on Haswell
 * client parts: 4 general-purpose and 3 fixed 48-bit counters.
 *
 * The emulator keeps a few monotonic event streams per processor (retired
 * instructions, unhalted cycles, conditional branches and those of them that are
 * taken, near and far other branches). The
 * counters are brought up to date from them lazily: whenever something that
 * decides whether a counter counts is about to change (ring, PERF_GLOBAL_CTRL
 * including its switch by the VMX controls, event selects), whenever one is
 * read, and when a stream reaches the value at which the first live counter
 * may overflow. In the hot path a branch costs one increment and one compare,
 * a trace two compares.
 *
 * Also here, because Linux and KVM insist on them once a PMU is announced:
 * MISC_ENABLE (says that BTS and PEBS are unavailable), DEBUGCTL, and
 * APERF/MPERF.
 *
 * Not modelled: PEBS, LBR, BTS, BTF, event masks (CMASK, INV, EDGE), IN_TX,
 * cache and TLB events, rings 1 and 2 (counted as ring 0). Cycles are
 * instructions plus whatever else makes the emulator tick.
 */

#ifndef BX_PMU_H
#define BX_PMU_H

const unsigned BX_PMU_GP_COUNTERS    = 4;
const unsigned BX_PMU_FIXED_COUNTERS = 3;
const unsigned BX_PMU_COUNTERS       = BX_PMU_GP_COUNTERS + BX_PMU_FIXED_COUNTERS;
const Bit64u   BX_PMU_COUNTER_MASK   = BX_CONST64(0xffffffffffff); // 48 bit counters
const Bit64u   BX_PMU_GLOBAL_MASK    = BX_CONST64(0x70000000f);
const Bit64u   BX_PMU_NEVER          = BX_CONST64(0xffffffffffffffff);

enum {
  BX_PMU_STREAM_INST = 0, // retired instructions: icount less what did not retire
  BX_PMU_STREAM_CYCLES,   // unhalted cycles: one per icount tick
  BX_PMU_STREAM_COND,     // conditional branches, taken or not
  BX_PMU_STREAM_TAKEN,    // conditional branches that are taken
  BX_PMU_STREAM_NEAR,     // other near branches: always taken
  BX_PMU_STREAM_FAR,      // far branches, returns from interrupts among them
  BX_PMU_STREAMS
};

#if defined(__GNUC__)
#define BX_PMU_UNLIKELY(cond) __builtin_expect(!!(cond), 0)
#else
#define BX_PMU_UNLIKELY(cond) (cond)
#endif

struct bx_pmu_t {
  // event streams, hot
  Bit64u n_cond, n_taken, n_near, n_far;
  Bit64u n_noret;               // ticks of icount which aren't retired instructions
  // first values of the streams at which a live counter could overflow
  Bit64u cond_limit, taken_limit, near_limit, far_limit, icount_limit;

  bool   counting;              // any counter is enabled by its own control
  Bit32u live;                  // counters which count now, GP in [3:0], fixed in [6:4]
  Bit64u base[BX_PMU_STREAMS];  // streams at the last synchronization
  Bit64u pmi_icount;            // icount at which a delayed PMI is to be raised (skid)

  // architectural state
  Bit64u counter[BX_PMU_COUNTERS];
  Bit64u evtsel[BX_PMU_GP_COUNTERS];
  Bit64u fixed_ctrl, global_ctrl, global_status;
  Bit64u misc_enable, debugctl;
};

// The instrumentation hooks are at all the right places: use them to feed the PMU.
// Real instrumentation (--enable-instrumentation) excludes the branch events.
#if BX_SUPPORT_PERFMON && BX_INSTRUMENTATION == 0

#undef  BX_INSTR_CNEAR_BRANCH_TAKEN
#undef  BX_INSTR_CNEAR_BRANCH_NOT_TAKEN
#undef  BX_INSTR_UCNEAR_BRANCH
#undef  BX_INSTR_FAR_BRANCH

#define BX_PMU_COUNT(stream) {                                                     \
  if (BX_PMU_UNLIKELY(++BX_CPU_THIS_PTR pmu.n_##stream >= BX_CPU_THIS_PTR pmu.stream##_limit)) \
    BX_CPU_THIS_PTR pmu_update();                                                  \
}

#define BX_INSTR_CNEAR_BRANCH_TAKEN(cpu_id, branch_eip, new_eip) { BX_PMU_COUNT(taken) BX_PMU_COUNT(cond) }
#define BX_INSTR_CNEAR_BRANCH_NOT_TAKEN(cpu_id, branch_eip)      BX_PMU_COUNT(cond)
#define BX_INSTR_UCNEAR_BRANCH(cpu_id, what, branch_eip, new_eip) BX_PMU_COUNT(near)
#define BX_INSTR_FAR_BRANCH(cpu_id, what, prev_cs, prev_eip, new_cs, new_eip) BX_PMU_COUNT(far)

#endif

#if BX_SUPPORT_PERFMON
// a tick of icount which is not a retired instruction: fault, VMEXIT, iteration of REP
#define BX_PMU_NOT_RETIRED(cpu_ptr) { cpu_ptr pmu.n_noret++; }
// before looking for asynchronous events: an instruction count overflows?
#define BX_PMU_CHECK_ICOUNT() {                                                    \
  if (BX_PMU_UNLIKELY(BX_CPU_THIS_PTR icount >= BX_CPU_THIS_PTR pmu.icount_limit))     \
    pmu_update();                                                                  \
}
// the trace to be executed could run over the limit ?
#define BX_PMU_NEAR_ICOUNT_LIMIT() \
  BX_PMU_UNLIKELY(BX_CPU_THIS_PTR icount + BX_MAX_TRACE_LENGTH >= BX_CPU_THIS_PTR pmu.icount_limit)
// ... then go by one instruction
#define BX_PMU_LIMIT_TRACE() {                                                     \
  if (BX_PMU_NEAR_ICOUNT_LIMIT()) BX_CPU_THIS_PTR async_event |= BX_ASYNC_EVENT_STOP_TRACE; \
}
#else
#define BX_PMU_NOT_RETIRED(cpu_ptr)
#define BX_PMU_CHECK_ICOUNT()
#define BX_PMU_NEAR_ICOUNT_LIMIT() (0)
#define BX_PMU_LIMIT_TRACE()
#endif

#endif
