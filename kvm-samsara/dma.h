/* SPDX-License-Identifier: GPL-2.0 */
/* Writes of device models to guest memory, see dma.c. */
#ifndef __KVM_X86_SAMSARA_DMA_H
#define __KVM_X86_SAMSARA_DMA_H

#include "samsara.h"

int samsara_dma(struct samsara_vm *vm, struct kvm_samsara_dma *dma);
int samsara_dma_write(struct samsara_vm *vm, u64 ram, const u8 *from, u32 len, u64 n);

#endif /* __KVM_X86_SAMSARA_DMA_H */
