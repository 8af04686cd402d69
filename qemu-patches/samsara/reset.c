/*
 * Record and replay of multiprocessor KVM guests: resets of the machine
 *
 * A reset sets vCPUs, memory and its map at once, from outside.  While a guest
 * is recorded that is one change of the memory map, from before the first
 * reset handler to after the last: no vCPU runs meanwhile.  What devices write
 * to memory are commits as ever; each vCPU's new state is one, in the form in
 * which replay gives it to KVM.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/core/cpu.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

static bool resetting;          /* under the BQL */

bool samsara_reset_begin(void)
{
    if (samsara_record_mode() == KVM_SAMSARA_MODE_RECORD_CREW) {
        samsara_record_end(SAMSARA_END_REASON_RESET,
                           "guest reset, which can't be recorded with "
                           "mode=crew");
    }
    resetting = samsara_map_hold();
    return resetting;
}

bool samsara_reset_sets_registers(void)
{
    return resetting;
}

static bool log_state(CPUState *cpu, Error **errp)
{
    g_autoptr(GByteArray) state = samsara_vcpu_get_state(cpu, errp);
    int ret;

    if (!state) {
        return false;
    }
    ret = samsara_device_set_state(kvm_arch_vcpu_id(cpu), state->data,
                                   state->len);
    trace_samsara_reset_vcpu(kvm_arch_vcpu_id(cpu), state->len, ret);
    /* -ESHUTDOWN: the recording has ended, or is about to */
    if (ret < 0 && ret != -ESHUTDOWN) {
        error_setg_errno(errp, -ret, "the state of vCPU %lu can't be recorded",
                         kvm_arch_vcpu_id(cpu));
        return false;
    }
    return true;
}

static void end_reset(void)
{
    Error *err = NULL;
    CPUState *cpu;

    if (!resetting) {
        return;
    }
    resetting = false;
    samsara_memory_reset();
    CPU_FOREACH(cpu) {
        if (!log_state(cpu, &err)) {
            break;
        }
    }
    samsara_map_release();
    if (err) {
        samsara_record_end(SAMSARA_END_REASON_RESET, "guest reset: %s",
                           error_get_pretty(err));
        error_free(err);
    }
}

void samsara_reset_init(void)
{
    samsara_after_reset = end_reset;
}
