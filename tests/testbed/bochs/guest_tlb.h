/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest translations that survive VM exits, as on a processor with VPIDs.
 *
 * Bochs drops all translations at every VM entry and exit. That is allowed but
 * hides a whole class of mistakes: software that changes EPT entries, clears
 * their accessed and dirty flags or changes the guest's registers and forgets
 * INVEPT or INVVPID works by accident. With SAMSARA_KEEP_TLB=1 in the
 * environment the valid entries are put aside at a VM exit, tagged with VPID
 * and EPTP, and taken up again at the next entry with the same tags.
 *
 * INVEPT, INVVPID and EPT violations invalidate what the architecture says they
 * do (or more: there is no invalidation of single addresses by INVVPID).
 */
#ifndef BX_GUEST_TLB_H
#define BX_GUEST_TLB_H

const unsigned BX_GUEST_TLBS = 4; // for each processor

template <unsigned size>
struct bx_saved_tlb_t {
  unsigned n;
  bool split_large;
  Bit16u index[size];
  bx_TLB_entry entry[size];

  void save(TLB<size> *tlb) {
    n = 0;
    split_large = tlb->split_large;
    for (unsigned i=0; i < size; i++) {
      if (! tlb->entry[i].valid()) continue;
      index[n] = i;
      entry[n++] = tlb->entry[i];
    }
  }

  void restore(TLB<size> *tlb) const {
    for (unsigned i=0; i < n; i++)
      tlb->entry[index[i]] = entry[i];
    tlb->split_large = split_large;
  }
};

struct bx_guest_tlb_t {
  bool valid;
  Bit64u used;        // for replacement of the oldest
  Bit16u vpid;
  Bit64u eptp;
  // permissions in an entry depend on them: others make it useless
  Bit32u cr0, cr4, efer;
  bx_saved_tlb_t<BX_DTLB_SIZE> dtlb;
  bx_saved_tlb_t<BX_ITLB_SIZE> itlb;
};

#endif
