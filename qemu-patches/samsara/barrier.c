/*
 * Record and replay of multiprocessor KVM guests: reads of a recorded guest's
 * memory
 *
 * A vCPU's chunk is committed page by page, in any order.  A device model that
 * polls memory without being told to could see a descriptor's index before the
 * descriptor, which no order of the guest's own stores allows.  So, between two
 * reads, it waits for the rest of every commit that it may have seen a part of.
 * The proof is in core/smr_order.h.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/processor.h"
#include "samsara.h"
#include "barrier.h"
#include "samsara-int.h"
#include "smr_order.h"

/* Looks, a few cycles each; publishing a commit takes some thousand. */
#define MAX_SPINS   10000
/* Then the publisher may be waiting for this processor. */
#define SLEEP_US    50

bool samsara_reads_wait;

static const struct smr_order *order;

void samsara_barrier_start(const struct kvm_samsara_order *o)
{
    order = (const struct smr_order *)o;
    qatomic_store_release(&samsara_reads_wait, true);
}

void samsara_barrier_stop(void)
{
    qatomic_set(&samsara_reads_wait, false);
}

void samsara_do_read_barrier(void)
{
    unsigned spins = 0;
    uint64_t last;

    /* What was read of guest memory was read before this. */
    smp_rmb();
    /* Acquire: who has given a number out is seen to be publishing it. */
    last = smr_load_acquire(&order->committed);
    while (!smr_order_whole(order, last)) {
        if (++spins < MAX_SPINS) {
            cpu_relax();
        } else {
            g_usleep(SLEEP_US);
        }
    }
}
