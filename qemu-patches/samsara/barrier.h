/*
 * Record and replay of multiprocessor KVM guests: reads of guest memory
 *
 * In a header of its own because include/exec/memory.h includes it.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#ifndef ACCEL_KVM_SAMSARA_BARRIER_H
#define ACCEL_KVM_SAMSARA_BARRIER_H

/* vCPUs are being recorded in parallel. */
extern bool samsara_reads_wait;

void samsara_do_read_barrier(void);

/*
 * Before a device model reads guest memory: if what it has read so far is part
 * of a commit, wait until all of that commit is there.
 */
static inline void samsara_read_barrier(void)
{
    if (unlikely(qatomic_read(&samsara_reads_wait))) {
        samsara_do_read_barrier();
    }
}

#endif /* ACCEL_KVM_SAMSARA_BARRIER_H */
