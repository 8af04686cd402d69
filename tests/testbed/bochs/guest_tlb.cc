/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest translations that survive VM exits, see guest_tlb.h.
 */

#define NEED_CPU_REG_SHORTCUTS 1
#include "bochs.h"
#include "cpu.h"
#include "guest_tlb.h"
#define LOG_THIS BX_CPU_THIS_PTR

#if BX_SUPPORT_VMX >= 2

static bool keep_tlb(void)
{
  static int keep = -1;
  if (keep < 0) {
    const char *s = getenv("SAMSARA_KEEP_TLB");
    keep = s && atoi(s) > 0;
  }
  return keep;
}

static BX_CPP_INLINE bool same_eptp(Bit64u a, Bit64u b)
{
  return (a >> 12) == (b >> 12);
}

// At a VM exit, with the state of the guest still in place
void BX_CPU_C::guest_tlb_save(void)
{
  VMCS_CACHE *vm = &BX_CPU_THIS_PTR vmcs;

  if (! keep_tlb() || ! vm->vmexec_ctrls2.VPID_ENABLE() || ! vm->vmexec_ctrls2.EPT_ENABLE())
    return;

  if (! BX_CPU_THIS_PTR guest_tlb)
    BX_CPU_THIS_PTR guest_tlb = new bx_guest_tlb_t[BX_GUEST_TLBS]();

  bx_guest_tlb_t *t = BX_CPU_THIS_PTR guest_tlb, *oldest = t;
  for (unsigned n=0; n < BX_GUEST_TLBS; n++, t++) {
    if (t->valid && t->vpid == vm->vpid && same_eptp(t->eptp, vm->eptptr)) {
      oldest = t;
      break;
    }
    if (! t->valid || t->used < oldest->used) oldest = t;
  }

  t = oldest;
  t->valid = true;
  t->used = BX_CPU_THIS_PTR icount;
  t->vpid = vm->vpid;
  t->eptp = vm->eptptr;
  t->cr0  = BX_CPU_THIS_PTR cr0.get32();
  t->cr4  = BX_CPU_THIS_PTR cr4.get32();
  t->efer = BX_CPU_THIS_PTR efer.get32();
  t->dtlb.save(&BX_CPU_THIS_PTR DTLB);
  t->itlb.save(&BX_CPU_THIS_PTR ITLB);
}

// At a VM entry, with the state of the guest loaded and the TLBs empty
void BX_CPU_C::guest_tlb_restore(void)
{
  VMCS_CACHE *vm = &BX_CPU_THIS_PTR vmcs;

  if (! BX_CPU_THIS_PTR guest_tlb || ! vm->vmexec_ctrls2.VPID_ENABLE() || ! vm->vmexec_ctrls2.EPT_ENABLE())
    return;

  bx_guest_tlb_t *t = BX_CPU_THIS_PTR guest_tlb;
  for (unsigned n=0; n < BX_GUEST_TLBS; n++, t++) {
    if (! t->valid || t->vpid != vm->vpid || ! same_eptp(t->eptp, vm->eptptr)) continue;
    if (t->cr0 == BX_CPU_THIS_PTR cr0.get32() && t->cr4 == BX_CPU_THIS_PTR cr4.get32() &&
        t->efer == BX_CPU_THIS_PTR efer.get32()) {
      t->dtlb.restore(&BX_CPU_THIS_PTR DTLB);
      t->itlb.restore(&BX_CPU_THIS_PTR ITLB);
    }
    else {
      t->valid = false;
    }
    return;
  }
}

// INVEPT: translations that depend on this EPTP, or all (0)
void BX_CPU_C::guest_tlb_drop_eptp(Bit64u eptp)
{
  if (! BX_CPU_THIS_PTR guest_tlb) return;
  for (unsigned n=0; n < BX_GUEST_TLBS; n++) {
    bx_guest_tlb_t *t = &BX_CPU_THIS_PTR guest_tlb[n];
    if (! eptp || same_eptp(t->eptp, eptp)) t->valid = false;
  }
}

// INVVPID: translations with this VPID, or all (0)
void BX_CPU_C::guest_tlb_drop_vpid(Bit16u vpid)
{
  if (! BX_CPU_THIS_PTR guest_tlb) return;
  for (unsigned n=0; n < BX_GUEST_TLBS; n++) {
    bx_guest_tlb_t *t = &BX_CPU_THIS_PTR guest_tlb[n];
    if (! vpid || t->vpid == vpid) t->valid = false;
  }
}

#endif
