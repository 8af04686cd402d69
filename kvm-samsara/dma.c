// SPDX-License-Identifier: GPL-2.0
/*
 * Writes of device models to guest memory.
 */
#include <linux/uaccess.h>

#include "dma.h"
#include "log.h"
#include "memory.h"
#include "order.h"
#include "ring.h"
#include "samsara.h"
#include "turns.h"

static_assert(KVM_SAMSARA_DMA_MAX == SMR_DMA_MAX);

/* Copy @len bytes to RAM address @ram and stamp the pages with commit @n. */
int samsara_dma_write(struct samsara_vm *vm, u64 ram, const u8 *from, u32 len, u64 n)
{
	struct samsara_page *sp;
	u32 part, off;

	if (ram + len < ram)
		return -EFAULT;
	for (; len; len -= part, ram += part, from += part) {
		off = offset_in_page(ram);
		part = min_t(u32, len, PAGE_SIZE - off);
		sp = samsara_ram_page(vm, ram >> PAGE_SHIFT);
		if (!sp)
			return -EFAULT;
		smr_page_commit(&sp->meta, n);
		memcpy(page_address(sp->page) + off, from, part);
		samsara_page_changed(vm, sp);
	}
	return 0;
}

static bool dma_in_ram(struct samsara_vm *vm, u64 ram, u32 len)
{
	u64 page;

	for (page = ram >> PAGE_SHIFT; page <= (ram + len - 1) >> PAGE_SHIFT; page++)
		if (!samsara_ram_page(vm, page))
			return false;
	return true;
}

/* A device model's write: one commit of its own, by the DMA agent. */
int samsara_dma(struct samsara_vm *vm, struct kvm_samsara_dma *dma)
{
	struct smr_record rec = {
		.type = SMR_DMA,
		.gpa = dma->ram,
		.dma_len = dma->len,
		.data_len = dma->len,
	};
	u32 agent = samsara_dma_agent(vm);
	struct samsara_turn turn;
	void *data;
	int r;

	if (!dma->len || dma->len > KVM_SAMSARA_DMA_MAX || dma->reserved ||
	    dma->ram + dma->len < dma->ram || !dma_in_ram(vm, dma->ram, dma->len))
		return -EINVAL;
	data = vmemdup_user(u64_to_user_ptr(dma->uaddr), dma->len);
	if (IS_ERR(data))
		return PTR_ERR(data);
	rec.data = data;

	for (;;) {
		r = samsara_wait_space(vm, &vm->vm_ring, SMR_RECORD_MAX);
		if (r)
			goto out;
		r = vm->mode->dma_begin(vm, &turn);
		if (r)
			goto out;
		r = samsara_lock_commit(vm, NULL);
		if (r) {
			vm->mode->dma_end(vm, &turn);
			goto out;
		}
		if (!samsara_recording(vm) || vm->stopping ||
		    (samsara_ring_space(&vm->vm_ring) >= SMR_RECORD_MAX &&
		     samsara_may_touch_memory(vm, &turn)))
			break;
		mutex_unlock(&vm->commit_lock);
		vm->mode->dma_end(vm, &turn);
	}
	if (!samsara_recording(vm) || vm->stopping) {
		r = -ESHUTDOWN;
		goto unlock;
	}
	rec.commit_seq = smr_order_commit(vm->order, agent);
	samsara_wait_for_earlier(vm, agent, rec.commit_seq);
	r = samsara_dma_write(vm, dma->ram, data, dma->len, rec.commit_seq);
	samsara_maybe_add_memdigest(vm, &rec, agent);
	smr_order_published(vm->order, agent);
	vm->dma_commits++;
	if (!r)
		r = samsara_log_vm_record(vm, &rec);
unlock:
	mutex_unlock(&vm->commit_lock);
	vm->mode->dma_end(vm, &turn);
out:
	kvfree(data);
	return r;
}
