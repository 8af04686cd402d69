/*
 * Record and replay of multiprocessor KVM guests: the processor
 *
 * Processors with the same CPUID may still differ in results that are not
 * defined.  What tells them apart is in the recording, for a warning.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "cpu.h"
#include "host-cpu.h"
#include "samsara.h"
#include "samsara-int.h"

#define CPUID_7_0_EDX_HYBRID (1U << 15)

static uint64_t core_type(void)
{
    uint32_t eax, edx;

    host_cpuid(0, 0, &eax, NULL, NULL, NULL);
    if (eax < 0x1a) {
        return SAMSARA_UNKNOWN;
    }
    host_cpuid(7, 0, NULL, NULL, NULL, &edx);
    if (!(edx & CPUID_7_0_EDX_HYBRID)) {
        return SAMSARA_UNKNOWN;
    }
    host_cpuid(0x1a, 0, &eax, NULL, NULL, NULL);
    return eax >> 24;
}

void samsara_host_identity(SamsaraMachine *m)
{
    char vendor[CPUID_VENDOR_SZ + 1];
    int family, model, stepping;
    uint64_t microcode;

    host_cpu_vendor_fms(vendor, &family, &model, &stepping);
    /* the revision is in the upper half; 0: KVM does not know */
    microcode = kvm_arch_get_supported_msr_feature(kvm_state,
                                                   MSR_IA32_UCODE_REV) >> 32;
    m->host_stepping = stepping;
    m->host_microcode = microcode ?: SAMSARA_UNKNOWN;
    m->host_core_type = core_type();
}

static void compare(const char *what, uint64_t recorded, uint64_t here)
{
    if (recorded != here && recorded != SAMSARA_UNKNOWN &&
        here != SAMSARA_UNKNOWN) {
        warn_report("the recording was made on a processor with %s 0x%" PRIx64
                    ", this one has 0x%" PRIx64 ": results may differ that "
                    "the architecture leaves undefined", what, recorded, here);
    }
}

void samsara_host_compare(void)
{
    const SamsaraMachine *m = &samsara_opts.machine;
    SamsaraMachine here = { };

    samsara_host_identity(&here);
    compare("stepping", m->host_stepping, here.host_stepping);
    compare("microcode", m->host_microcode, here.host_microcode);
    compare("core type", m->host_core_type, here.host_core_type);
}
