/*
 * Record and replay of multiprocessor KVM guests: the TSC's frequency
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"

/*
 * The frequency of the TSC as CPUID tells it.  Without that, operating systems
 * measure it against a timer, in a thousand port reads, each of which ends a
 * chunk: Linux would take minutes, and then not trust the TSC.
 *
 * CPUID says how it relates to the crystal, which is what the LAPIC's timer
 * counts: 1 GHz in KVM.  Linux multiplies in 32 bits, so the numerator is the
 * one that gives the frequency best of those that allow it; the error is less
 * than one part in a million.
 */
#define CPUID_TSC_LEAF          0x15
#define CRYSTAL_KHZ             1000000
#define MAX_NUMERATOR           (UINT32_MAX / CRYSTAL_KHZ)

uint32_t samsara_cpuid_tsc_khz(CPUState *cs)
{
    return samsara_opts.replay ? samsara_opts.machine.cpuid_tsc_khz :
                                 X86_CPU(cs)->env.tsc_khz;
}

/* tsc = CRYSTAL_KHZ * numerator / denominator */
static void tsc_ratio(uint64_t tsc, uint32_t *numerator, uint32_t *denominator)
{
    uint64_t n, d, error, least = UINT64_MAX;

    for (n = 1; n <= MAX_NUMERATOR && least; n++) {
        d = (CRYSTAL_KHZ * n + tsc / 2) / tsc;
        if (!d) {
            continue;
        }
        /* in millionths of a kHz */
        error = llabs((int64_t)(CRYSTAL_KHZ * n * 1000000 / d) -
                      (int64_t)(tsc * 1000000));
        if (error < least) {
            least = error;
            *numerator = n;
            *denominator = d;
        }
    }
}

void samsara_do_cpuid(CPUState *cs, struct kvm_cpuid_entry2 *c)
{
    uint32_t khz = samsara_cpuid_tsc_khz(cs);

    if (!khz) {
        return;
    }
    if (c->function == CPUID_TSC_LEAF) {
        tsc_ratio(khz, &c->ebx, &c->eax);
        c->ecx = CRYSTAL_KHZ * 1000;
    } else if (c->function == SAMSARA_FREQUENCY_LEAF) {
        /* MHz: base, maximum, bus */
        c->eax = c->ebx = khz / 1000;
        c->ecx = 100;
    }
}
