/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Architectural performance-monitoring unit, see pmu.h.
 */

#define NEED_CPU_REG_SHORTCUTS 1
#include "bochs.h"
#include "cpu.h"
#include "cpuid.h"
#include "msr.h"
#define LOG_THIS BX_CPU_THIS_PTR

#if BX_SUPPORT_PERFMON

#if BX_SUPPORT_APIC
#include "apic.h"
#endif

#include "gui/siminterface.h"

#define PMU BX_CPU_THIS_PTR pmu

enum {
  PMU_EVTSEL_USR  = (1 << 16), PMU_EVTSEL_OS  = (1 << 17), PMU_EVTSEL_EDGE = (1 << 18),
  PMU_EVTSEL_PC   = (1 << 19), PMU_EVTSEL_INT = (1 << 20), PMU_EVTSEL_EN   = (1 << 22),
  PMU_EVTSEL_INV  = (1 << 23)
};

const Bit64u PMU_FREEZE_PERFMON_ON_PMI = (1 << 12); // in DEBUGCTL

// status/control bit of a counter in the PERF_GLOBAL MSRs
static BX_CPP_INLINE Bit64u pmu_global_bit(unsigned n)
{
  return BX_CONST64(1) << (n < BX_PMU_GP_COUNTERS ? n : 32 + n - BX_PMU_GP_COUNTERS);
}

// Real PMIs come late, by tens of instructions. With SAMSARA_PMU_SKID=n in the
// environment every PMI is late by a pseudo-random 0..n instructions, so that
// software is tested against it; without it the PMI is exact. SAMSARA_SEED
// varies the sequence.
static Bit32u pmu_skid(void)
{
  static int max_skid = -1;
  static Bit32u seed = 12345;
  if (max_skid < 0) {
    const char *s = getenv("SAMSARA_PMU_SKID");
    max_skid = s ? atoi(s) : 0;
    if (max_skid < 0) max_skid = 0;
    s = getenv("SAMSARA_SEED");
    if (s) seed += Bit32u(strtoul(s, NULL, 0)) * 2654435761U;
  }
  if (max_skid == 0) return 0;
  seed = seed * 1103515245 + 12345;
  return (seed >> 8) % (max_skid + 1);
}

// which of the event streams the counter counts (mask)
unsigned BX_CPU_C::pmu_streams(unsigned n)
{
  if (n >= BX_PMU_GP_COUNTERS)
    return (n == BX_PMU_GP_COUNTERS) ? (1 << BX_PMU_STREAM_INST) : (1 << BX_PMU_STREAM_CYCLES);

  Bit32u sel = GET32L(PMU.evtsel[n]);
  if (sel & 0xff000000 || sel & (PMU_EVTSEL_INV | PMU_EVTSEL_EDGE)) return 0; // CMASK isn't modelled

  switch(sel & 0xffff) {
  case 0x00c0: // INST_RETIRED.ANY_P
  case 0x01c0: // INST_RETIRED.PREC_DIST
    return 1 << BX_PMU_STREAM_INST;
  case 0x003c: // CPU_CLK_UNHALTED.THREAD_P
  case 0x013c: // CPU_CLK_THREAD_UNHALTED.REF_XCLK, same clock here
  case 0x0300: // reference cycles as perf names them
    return 1 << BX_PMU_STREAM_CYCLES;
  case 0x01c4: // BR_INST_RETIRED.CONDITIONAL
    return 1 << BX_PMU_STREAM_COND;
  case 0x00c4: // BR_INST_RETIRED.ALL_BRANCHES (architectural)
  case 0x04c4: // BR_INST_RETIRED.ALL_BRANCHES_PEBS
    return (1 << BX_PMU_STREAM_COND) | (1 << BX_PMU_STREAM_NEAR) | (1 << BX_PMU_STREAM_FAR);
  case 0x20c4: // BR_INST_RETIRED.NEAR_TAKEN
    return (1 << BX_PMU_STREAM_TAKEN) | (1 << BX_PMU_STREAM_NEAR);
  }
  return 0; // all the rest never happens
}

void BX_CPU_C::pmu_raise_pmi(void)
{
  PMU.pmi_icount = BX_PMU_NEVER;
  if (PMU.debugctl & PMU_FREEZE_PERFMON_ON_PMI)
    PMU.global_ctrl = 0; // version 2 and 3 freeze by clearing the enables
#if BX_SUPPORT_APIC
  BX_CPU_THIS_PTR lapic->perfmon_interrupt();
#endif
}

// Bring live counters up to date, handle overflows
void BX_CPU_C::pmu_sync(void)
{
  Bit64u now[BX_PMU_STREAMS], delta[BX_PMU_STREAMS];
  now[BX_PMU_STREAM_INST]   = BX_CPU_THIS_PTR icount - PMU.n_noret;
  now[BX_PMU_STREAM_CYCLES] = BX_CPU_THIS_PTR icount;
  now[BX_PMU_STREAM_COND]   = PMU.n_cond;
  now[BX_PMU_STREAM_TAKEN]  = PMU.n_taken;
  now[BX_PMU_STREAM_NEAR]   = PMU.n_near;
  now[BX_PMU_STREAM_FAR]    = PMU.n_far;

  for (unsigned s=0; s < BX_PMU_STREAMS; s++) {
    // VMENTRY accounts for the retirement of VMRESUME in advance: the base is ahead for a moment
    delta[s] = 0;
    if (now[s] > PMU.base[s]) {
      delta[s] = now[s] - PMU.base[s];
      PMU.base[s] = now[s];
    }
  }

  bool pmi = false;

  for (unsigned n=0; n < BX_PMU_COUNTERS; n++) {
    if (! (PMU.live & (1 << n))) continue;
    unsigned streams = pmu_streams(n);
    Bit64u value = PMU.counter[n];
    for (unsigned s=0; s < BX_PMU_STREAMS; s++)
      if (streams & (1 << s)) value += delta[s];
    PMU.counter[n] = value & BX_PMU_COUNTER_MASK;
    if (value & ~BX_PMU_COUNTER_MASK) {
      PMU.global_status |= pmu_global_bit(n);
      if (n < BX_PMU_GP_COUNTERS)
        pmi |= (PMU.evtsel[n] & PMU_EVTSEL_INT) != 0;
      else
        pmi |= (PMU.fixed_ctrl >> (4*(n - BX_PMU_GP_COUNTERS)) & 8) != 0;
    }
  }

  if (pmi) {
    Bit32u skid = pmu_skid();
    if (skid == 0)
      pmu_raise_pmi();
    else if (PMU.pmi_icount == BX_PMU_NEVER)
      PMU.pmi_icount = BX_CPU_THIS_PTR icount + skid;
  }
}

// Find which counters count now and when the first of them could overflow
void BX_CPU_C::pmu_rearm(void)
{
  PMU.live = 0;
  PMU.counting = false;
  PMU.cond_limit = PMU.taken_limit = PMU.near_limit = PMU.far_limit = BX_PMU_NEVER;
  PMU.icount_limit = BX_PMU_NEVER;

  for (unsigned n=0; n < BX_PMU_COUNTERS; n++) {
    bool os, usr;
    if (n < BX_PMU_GP_COUNTERS) {
      Bit32u sel = GET32L(PMU.evtsel[n]);
      if (! (sel & PMU_EVTSEL_EN)) continue;
      os  = (sel & PMU_EVTSEL_OS) != 0;
      usr = (sel & PMU_EVTSEL_USR) != 0;
    }
    else {
      unsigned ctrl = unsigned(PMU.fixed_ctrl >> (4*(n - BX_PMU_GP_COUNTERS)));
      os  = (ctrl & 1) != 0;
      usr = (ctrl & 2) != 0;
    }
    if (os || usr) PMU.counting = true;
    if (! (PMU.global_ctrl & pmu_global_bit(n)) || ! (USER_PL ? usr : os)) continue;

    unsigned streams = pmu_streams(n);
    if (! streams) continue;

    PMU.live |= (1 << n);

    Bit64u left = BX_PMU_COUNTER_MASK + 1 - PMU.counter[n];
    if (streams & ((1 << BX_PMU_STREAM_INST) | (1 << BX_PMU_STREAM_CYCLES))) {
      PMU.icount_limit = BX_MIN(PMU.icount_limit, BX_CPU_THIS_PTR icount + left);
    }
    else if (streams == (1 << BX_PMU_STREAM_COND)) {
      PMU.cond_limit = BX_MIN(PMU.cond_limit, PMU.n_cond + left);
    }
    else {
      // the sum of two or three streams: look again when it can have come to the value
      if (left > 2) left /= 3; else left = 1;
      if (streams & (1 << BX_PMU_STREAM_COND))
        PMU.cond_limit  = BX_MIN(PMU.cond_limit,  PMU.n_cond + left);
      if (streams & (1 << BX_PMU_STREAM_TAKEN))
        PMU.taken_limit = BX_MIN(PMU.taken_limit, PMU.n_taken + left);
      if (streams & (1 << BX_PMU_STREAM_NEAR))
        PMU.near_limit  = BX_MIN(PMU.near_limit,  PMU.n_near + left);
      if (streams & (1 << BX_PMU_STREAM_FAR))
        PMU.far_limit   = BX_MIN(PMU.far_limit,   PMU.n_far + left);
    }
  }

  PMU.icount_limit = BX_MIN(PMU.icount_limit, PMU.pmi_icount);
}

void BX_CPU_C::pmu_update(void)
{
  if (BX_CPU_THIS_PTR icount >= PMU.pmi_icount) pmu_raise_pmi();
  pmu_sync();
  pmu_rearm();
}

// An interrupt that ends in a VM exit. With SAMSARA_PMU_OVERCOUNT=1 in the environment it
// counts as a far branch of the guest, as it does on silicon.
void BX_CPU_C::pmu_vmexit_interrupt(void)
{
  static int overcount = -1;
  if (overcount < 0) {
    const char *s = getenv("SAMSARA_PMU_OVERCOUNT");
    overcount = s ? atoi(s) : 0;
  }
  if (overcount > 0)
    BX_PMU_COUNT(far);
}

// PERF_GLOBAL_CTRL switched by VMENTRY or VMEXIT. VMLAUNCH/VMRESUME retires in the host and
// isn't committed yet; the instruction which made the VMEXIT doesn't retire at all.
void BX_CPU_C::pmu_vmx_load_global_ctrl(Bit64u val_64, bool vmentry)
{
  if (vmentry) PMU.n_noret--;
  pmu_sync();
  if (vmentry)
    PMU.n_noret++;
  else
    PMU.base[BX_PMU_STREAM_INST] = BX_CPU_THIS_PTR icount - PMU.n_noret;
  PMU.global_ctrl = val_64 & BX_PMU_GLOBAL_MASK;
  pmu_rearm();
}

void BX_CPU_C::pmu_reset(unsigned source)
{
  if (source == BX_RESET_HARDWARE) {
    memset(&PMU, 0, sizeof(PMU));
    PMU.pmi_icount = BX_PMU_NEVER;
    PMU.base[BX_PMU_STREAM_INST] = PMU.base[BX_PMU_STREAM_CYCLES] = BX_CPU_THIS_PTR icount;
    // fast strings, perfmon available, BTS and PEBS unavailable, MONITOR
    PMU.misc_enable = (1 << 0) | (1 << 7) | (1 << 11) | (1 << 12) | (1 << 18);
    PMU.global_ctrl = (1 << BX_PMU_GP_COUNTERS) - 1;
  }
  pmu_rearm();
}

// RDMSR, WRMSR: returns -1 if it isn't an MSR of the PMU, 0 for #GP, 1 when done
int BX_CPU_C::pmu_rdmsr(Bit32u index, Bit64u *msr)
{
  if (index >= BX_MSR_PERFEVTSEL0 && index < BX_MSR_PERFEVTSEL0 + BX_PMU_GP_COUNTERS) {
    *msr = PMU.evtsel[index - BX_MSR_PERFEVTSEL0];
    return 1;
  }

  int n = -1;
  if (index >= BX_MSR_PMC0 && index < BX_MSR_PMC0 + BX_PMU_GP_COUNTERS)
    n = index - BX_MSR_PMC0;
  else if (index >= BX_MSR_IA32_A_PMC0 && index < BX_MSR_IA32_A_PMC0 + BX_PMU_GP_COUNTERS)
    n = index - BX_MSR_IA32_A_PMC0;
  else if (index >= BX_MSR_PERF_FIXED_CTR0 && index < BX_MSR_PERF_FIXED_CTR0 + BX_PMU_FIXED_COUNTERS)
    n = index - BX_MSR_PERF_FIXED_CTR0 + BX_PMU_GP_COUNTERS;
  if (n >= 0) {
    pmu_update();
    *msr = PMU.counter[n];
    return 1;
  }

  switch(index) {
  case BX_MSR_IA32_PERF_CAPABILITIES:
    *msr = 0x2000; // full width writes; no LBR, no PEBS
    return 1;
  case BX_MSR_FIXED_CTR_CTRL:
    *msr = PMU.fixed_ctrl;
    return 1;
  case BX_MSR_PERF_GLOBAL_STATUS:
    pmu_update();
    *msr = PMU.global_status;
    return 1;
  case BX_MSR_PERF_GLOBAL_CTRL:
    *msr = PMU.global_ctrl;
    return 1;
  case BX_MSR_PERF_GLOBAL_OVF_CTRL:
    *msr = 0;
    return 1;
  case BX_MSR_IA32_MISC_ENABLE:
    *msr = PMU.misc_enable;
    return 1;
  case BX_MSR_DEBUGCTLMSR: // KVM reads it at every vcpu_load
    *msr = PMU.debugctl;
    return 1;
  case BX_MSR_IA32_MPERF: // announced in CPUID leaf 6, Linux reads them at every tick
  case BX_MSR_IA32_APERF:
    *msr = BX_CPU_THIS_PTR icount;
    return 1;
  }
  return -1;
}

int BX_CPU_C::pmu_wrmsr(Bit32u index, Bit64u val_64)
{
  int n = -1;

  pmu_sync();

  if (index >= BX_MSR_PERFEVTSEL0 && index < BX_MSR_PERFEVTSEL0 + BX_PMU_GP_COUNTERS) {
    if (val_64 & ~BX_CONST64(0xffffffff)) return 0;
    n = index - BX_MSR_PERFEVTSEL0;
    PMU.evtsel[n] = val_64;
    if ((val_64 & PMU_EVTSEL_EN) && ! pmu_streams(n))
      BX_DEBUG(("PMU: event %08x isn't modelled, will count 0", GET32L(val_64)));
  }
  else if (index >= BX_MSR_PMC0 && index < BX_MSR_PMC0 + BX_PMU_GP_COUNTERS) {
    // legacy write: low 32 bits, sign extended
    PMU.counter[index - BX_MSR_PMC0] = Bit64u(Bit64s(Bit32s(GET32L(val_64)))) & BX_PMU_COUNTER_MASK;
  }
  else if (index >= BX_MSR_IA32_A_PMC0 && index < BX_MSR_IA32_A_PMC0 + BX_PMU_GP_COUNTERS) {
    if (val_64 & ~BX_PMU_COUNTER_MASK) return 0;
    PMU.counter[index - BX_MSR_IA32_A_PMC0] = val_64;
  }
  else if (index >= BX_MSR_PERF_FIXED_CTR0 && index < BX_MSR_PERF_FIXED_CTR0 + BX_PMU_FIXED_COUNTERS) {
    if (val_64 & ~BX_PMU_COUNTER_MASK) return 0;
    PMU.counter[index - BX_MSR_PERF_FIXED_CTR0 + BX_PMU_GP_COUNTERS] = val_64;
  }
  else switch(index) {
  case BX_MSR_FIXED_CTR_CTRL:
    if (val_64 & ~BX_CONST64(0xfff)) return 0;
    PMU.fixed_ctrl = val_64;
    break;
  case BX_MSR_PERF_GLOBAL_CTRL:
    if (val_64 & ~BX_PMU_GLOBAL_MASK) return 0;
    PMU.global_ctrl = val_64;
    break;
  case BX_MSR_PERF_GLOBAL_OVF_CTRL:
    PMU.global_status &= ~val_64;
    break;
  case BX_MSR_IA32_PERF_CAPABILITIES:
  case BX_MSR_PERF_GLOBAL_STATUS:
    return 0; // read only
  case BX_MSR_IA32_MISC_ENABLE:
    PMU.misc_enable = (val_64 & ~BX_CONST64(0x1880)) | 0x1880;
    break;
  case BX_MSR_DEBUGCTLMSR: // LBR, BTF, BTS: kept but without effect
    if (val_64 & ~BX_CONST64(0xffc3)) return 0;
    PMU.debugctl = val_64;
    break;
  case BX_MSR_IA32_MPERF: // not writable here
  case BX_MSR_IA32_APERF:
    break;
  default:
    return -1;
  }

  pmu_rearm();
  return 1;
}

bool BX_CPU_C::pmu_rdpmc(Bit32u index, Bit64u *val)
{
  bool fixed = (index & 0x40000000) != 0;
  index &= ~0x40000000;
  if (index >= (fixed ? BX_PMU_FIXED_COUNTERS : BX_PMU_GP_COUNTERS)) return false;
  pmu_update();
  *val = PMU.counter[index + (fixed ? BX_PMU_GP_COUNTERS : 0)];
  return true;
}

void BX_CPU_C::pmu_register_state(bx_param_c *parent)
{
  bx_list_c *list = new bx_list_c(parent, "PMU");
  BXRS_HEX_PARAM_FIELD(list, n_cond, PMU.n_cond);
  BXRS_HEX_PARAM_FIELD(list, n_taken, PMU.n_taken);
  BXRS_HEX_PARAM_FIELD(list, n_near, PMU.n_near);
  BXRS_HEX_PARAM_FIELD(list, n_far, PMU.n_far);
  BXRS_HEX_PARAM_FIELD(list, n_noret, PMU.n_noret);
  BXRS_HEX_PARAM_FIELD(list, cond_limit, PMU.cond_limit);
  BXRS_HEX_PARAM_FIELD(list, taken_limit, PMU.taken_limit);
  BXRS_HEX_PARAM_FIELD(list, near_limit, PMU.near_limit);
  BXRS_HEX_PARAM_FIELD(list, far_limit, PMU.far_limit);
  BXRS_HEX_PARAM_FIELD(list, icount_limit, PMU.icount_limit);
  BXRS_PARAM_BOOL(list, counting, PMU.counting);
  BXRS_HEX_PARAM_FIELD(list, live, PMU.live);
  BXRS_HEX_PARAM_FIELD(list, pmi_icount, PMU.pmi_icount);
  BXRS_HEX_PARAM_FIELD(list, fixed_ctrl, PMU.fixed_ctrl);
  BXRS_HEX_PARAM_FIELD(list, global_ctrl, PMU.global_ctrl);
  BXRS_HEX_PARAM_FIELD(list, global_status, PMU.global_status);
  BXRS_HEX_PARAM_FIELD(list, misc_enable, PMU.misc_enable);
  BXRS_HEX_PARAM_FIELD(list, debugctl, PMU.debugctl);
  char name[16];
  for (unsigned n=0; n < BX_PMU_COUNTERS; n++) {
    sprintf(name, "counter%u", n);
    new bx_shadow_num_c(list, name, &PMU.counter[n], BASE_HEX);
  }
  for (unsigned n=0; n < BX_PMU_GP_COUNTERS; n++) {
    sprintf(name, "evtsel%u", n);
    new bx_shadow_num_c(list, name, &PMU.evtsel[n], BASE_HEX);
  }
  for (unsigned n=0; n < BX_PMU_STREAMS; n++) {
    sprintf(name, "base%u", n);
    new bx_shadow_num_c(list, name, &PMU.base[n], BASE_HEX);
  }
}

#endif // BX_SUPPORT_PERFMON
