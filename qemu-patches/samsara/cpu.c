/*
 * Record and replay of multiprocessor KVM guests: CPU features
 *
 * Hidden from the guest is what gives results that are neither determined by
 * the state of the vCPU nor in the log, and state that the checkpoint of a
 * chunk does not hold.  CPUID alone hides it: a guest that uses an
 * instruction CPUID does not announce can diverge in replay (and is told so).
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "sysemu/sysemu.h"
#include "samsara.h"
#include "samsara-int.h"

#define AVX512_EBX \
    (CPUID_7_0_EBX_AVX512F | CPUID_7_0_EBX_AVX512DQ | \
     CPUID_7_0_EBX_AVX512IFMA | CPUID_7_0_EBX_AVX512PF | \
     CPUID_7_0_EBX_AVX512ER | CPUID_7_0_EBX_AVX512CD | \
     CPUID_7_0_EBX_AVX512BW | CPUID_7_0_EBX_AVX512VL)
#define AVX512_ECX \
    (CPUID_7_0_ECX_AVX512_VBMI | CPUID_7_0_ECX_AVX512_VBMI2 | \
     CPUID_7_0_ECX_AVX512VNNI | CPUID_7_0_ECX_AVX512BITALG | \
     CPUID_7_0_ECX_AVX512_VPOPCNTDQ)
#define AVX512_EDX \
    (CPUID_7_0_EDX_AVX512_4VNNIW | CPUID_7_0_EDX_AVX512_4FMAPS | \
     CPUID_7_0_EDX_AVX512_VP2INTERSECT | CPUID_7_0_EDX_AVX512_FP16)
/* bits QEMU 7.2 has no names for */
#define CPUID_7_0_ECX_CET_SHSTK     (1U << 7)
#define CPUID_7_0_ECX_ENQCMD        (1U << 29)
#define CPUID_7_0_EDX_UINTR         (1U << 5)
#define CPUID_7_0_EDX_CET_IBT       (1U << 20)
#define CPUID_7_0_EDX_AMX_BF16      (1U << 22)
#define CPUID_7_0_EDX_AMX_INT8      (1U << 25)
#define AMX_EDX \
    (CPUID_7_0_EDX_AMX_BF16 | CPUID_7_0_EDX_AMX_TILE | CPUID_7_0_EDX_AMX_INT8)

static const struct {
    FeatureWord word;
    uint64_t mask;
    const char *name;
} hidden[] = {
    /* random */
    { FEAT_1_ECX, CPUID_EXT_RDRAND, "rdrand" },
    { FEAT_7_0_EBX, CPUID_7_0_EBX_RDSEED, "rdseed" },
    /* aborts and wake-ups depend on the other vCPUs and on the host */
    { FEAT_7_0_EBX, CPUID_7_0_EBX_HLE | CPUID_7_0_EBX_RTM, "hle, rtm" },
    { FEAT_7_0_EDX, CPUID_7_0_EDX_TSX_LDTRK, "tsx-ldtrk" },
    { FEAT_7_0_ECX, CPUID_7_0_ECX_WAITPKG, "waitpkg" },
    { FEAT_1_ECX, CPUID_EXT_MONITOR, "monitor" },
    /* what they store depends on which state was in use */
    { FEAT_XSAVE, ~0ull, "xsaveopt, xsavec, xgetbv1, xsaves, xfd" },
    { FEAT_XSAVE_XCR0_LO, ~(XSTATE_FP_MASK | XSTATE_SSE_MASK | XSTATE_YMM_MASK),
      NULL },
    { FEAT_XSAVE_XCR0_HI, ~0ull, NULL },
    { FEAT_XSAVE_XSS_LO, ~0ull, NULL },
    { FEAT_XSAVE_XSS_HI, ~0ull, NULL },
    /* state outside the checkpoint */
    { FEAT_7_0_EBX, AVX512_EBX, "avx512*" },
    { FEAT_7_0_ECX, AVX512_ECX, "avx512*" },
    { FEAT_7_0_EDX, AVX512_EDX, "avx512*" },
    { FEAT_7_1_EAX, CPUID_7_1_EAX_AVX512_BF16, "avx512-bf16" },
    { FEAT_7_0_EDX, AMX_EDX, "amx-*" },
    { FEAT_7_0_ECX, CPUID_7_0_ECX_PKU | CPUID_7_0_ECX_PKS, "pku, pks" },
    { FEAT_7_0_EBX, CPUID_7_0_EBX_MPX, "mpx" },
    { FEAT_7_0_ECX, CPUID_7_0_ECX_CET_SHSTK, "shstk" },
    { FEAT_7_0_EDX, CPUID_7_0_EDX_CET_IBT, "ibt" },
    { FEAT_7_0_EDX, CPUID_7_0_EDX_UINTR, "uintr" },
    { FEAT_7_0_ECX, CPUID_7_0_ECX_ENQCMD, "enqcmd" },
    { FEAT_7_0_ECX, CPUID_7_0_ECX_BUS_LOCK_DETECT, "bus-lock-detect" },
    /* emulated by KVM in the middle of guest code */
    { FEAT_7_0_ECX, CPUID_7_0_ECX_UMIP, "umip" },
    /* the engine's page tables have four levels */
    { FEAT_7_0_ECX, CPUID_7_0_ECX_LA57, "la57" },
    /* performance counters and traces */
    { FEAT_1_ECX, CPUID_EXT_PDCM, "pdcm" },
    { FEAT_PERF_CAPABILITIES, ~0ull, NULL },
    { FEAT_7_0_EBX, CPUID_7_0_EBX_INTEL_PT, "intel-pt" },
    { FEAT_14_0_ECX, ~0ull, NULL },
    { FEAT_7_0_EDX, CPUID_7_0_EDX_ARCH_LBR, "arch-lbr" },
    /* guests and enclaves within the guest */
    { FEAT_1_ECX, CPUID_EXT_VMX | CPUID_EXT_SMX, "vmx, smx" },
    { FEAT_8000_0001_ECX, CPUID_EXT3_SVM, "svm" },
    { FEAT_7_0_EBX, CPUID_7_0_EBX_SGX, "sgx" },
    { FEAT_7_0_ECX, CPUID_7_0_ECX_SGX_LC, "sgxlc" },
    { FEAT_SGX_12_0_EAX, ~0ull, NULL },
    { FEAT_SGX_12_0_EBX, ~0ull, NULL },
    { FEAT_SGX_12_1_EAX, ~0ull, NULL },
    /* KVM writes to guest memory by itself */
    { FEAT_KVM, ~0ull, "kvmclock, kvm-*" },
    { FEAT_KVM_HINTS, ~0ull, "kvm-hint-*" },
};

static bool hyperv_wanted(const X86CPU *cpu)
{
    return cpu->hyperv_features || cpu->hyperv_passthrough ||
           cpu->hyperv_spinlock_attempts != HYPERV_SPINLOCK_NEVER_NOTIFY;
}

static void hide_features(X86CPU *cpu, bool warn)
{
    CPUX86State *env = &cpu->env;
    int i;

    for (i = 0; i < ARRAY_SIZE(hidden); i++) {
        FeatureWord w = hidden[i].word;
        uint64_t mask = hidden[i].mask;

        if (warn && hidden[i].name &&
            (env->features[w] & env->user_features[w] & mask)) {
            warn_report("CPU feature %s can't be recorded: hidden from the "
                        "guest", hidden[i].name);
        }
        env->features[w] &= ~mask;
    }
}

bool samsara_cpu_realize(CPUState *cs, Error **errp)
{
    X86CPU *cpu = X86_CPU(cs);

    if (!samsara_recordable && !samsara_opts.replay) {
        return true;
    }
    if (hyperv_wanted(cpu)) {
        error_setg(errp, "Hyper-V enlightenments can't be recorded: remove "
                   "hv-* from -cpu");
        return false;
    }
    if (enable_cpu_pm) {
        error_setg(errp, "-overcommit cpu-pm=on can't be recorded: remove it");
        return false;
    }
    hide_features(cpu, cs == first_cpu && samsara_recordable);

    cpu->enable_pmu = false;
    cpu->enable_lmce = false;
    /* depends on the host's clock, not on the CPU model */
    cpu->vmware_cpuid_freq = false;
    if (samsara_recordable || samsara_opts.machine.cpuid_tsc_khz) {
        cpu->env.cpuid_level = MAX(cpu->env.cpuid_level,
                                   SAMSARA_FREQUENCY_LEAF);
    }
    if (samsara_opts.replay) {
        cpu->host_phys_bits = false;
        cpu->phys_bits = samsara_opts.machine.phys_bits;
    }
    return true;
}
