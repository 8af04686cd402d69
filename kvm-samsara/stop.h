/* SPDX-License-Identifier: GPL-2.0 */
/* End of a recording or replay, see stop.c. */
#ifndef __KVM_X86_SAMSARA_STOP_H
#define __KVM_X86_SAMSARA_STOP_H

#include "samsara.h"

int samsara_stop(struct samsara_vm *vm);
void samsara_fail_work(struct work_struct *work);

#endif /* __KVM_X86_SAMSARA_STOP_H */
