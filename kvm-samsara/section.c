// SPDX-License-Identifier: GPL-2.0
/*
 * Sections: what KVM itself does for a vCPU, between its chunks.
 */
#include "arch.h"
#include "log.h"
#include "map.h"
#include "memory.h"
#include "order.h"
#include "remap.h"
#include "samsara.h"
#include "section.h"
#include "trace.h"
#include "turns.h"
#include "vm.h"

/*
 * In the order of commits, with commit_lock, and alone on guest memory.  As
 * samsara_section_begin().
 */
static int enter_order(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	int r;

	for (;;) {
		r = samsara_lock_commit(vm, sv);
		if (r)
			return r;
		/* STOP waits for the lock, and then closes the streams. */
		if (!samsara_recording(vm))
			break;
		if (samsara_map_changes(vm)) {
			mutex_unlock(&vm->commit_lock);
			r = samsara_wait_for_map_killable(sv);
		} else if (samsara_may_touch_memory(vm, &sv->turn)) {
			return 1;
		} else {
			/* A serial phase has begun since the vCPU looked. */
			mutex_unlock(&vm->commit_lock);
			r = samsara_wait_turn(sv);
		}
		if (r)
			return r;
	}
	mutex_unlock(&vm->commit_lock);
	return 0;
}

static void end_access(struct samsara_vcpu *sv)
{
	if (sv->mode->section_end)
		sv->mode->section_end(sv);
}

/*
 * KVM's own work on behalf of a vCPU (RULE 4): between chunks, alone in the
 * commit order, directly on shared memory.  It holds commit_lock throughout,
 * so no commit comes between what it reads and what it writes.  Chunks of
 * other vCPUs run on meanwhile; if they see a page half written, the stamp set
 * in samsara_section_end() makes them roll back.
 *
 * Returns 1; 0: the recording has ended, there is no section to be in; -EINTR: the
 * vCPU's thread is killed.
 */
int samsara_section_begin(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	u64 n, entered = rdtsc();
	int r = 0;

	if (sv->mode->section_begin)
		r = sv->mode->section_begin(sv);
	if (!r) {
		r = enter_order(sv);
		if (r <= 0)
			end_access(sv);
	}
	if (r < 0)
		sv->vcpu->run->exit_reason = KVM_EXIT_INTR;
	if (r <= 0)
		return r;
	sv->section.tsc = rdtsc();
	if (sv->cost.end_tsc)
		sv->cost.end_tsc += sv->section.tsc - entered;
	n = smr_order_commit(vm->order, sv->id);
	samsara_wait_for_earlier(vm, sv->id, n);
	sv->rec = (struct smr_record) { .type = SMR_SECTION, .commit_seq = n };
	sv->section.nr_gfns = 0;
	sv->state = SAMSARA_IN_SECTION;
	return 1;
}

/* Note the pages KVM wrote, and stamp them with the number in sv->rec. */
void samsara_section_changed(struct samsara_vcpu *sv)
{
	struct samsara_page *sp;
	u32 i;

	for (i = 0; i < sv->section.nr_gfns; i++) {
		sp = samsara_gfn_to_page(sv->vm, sv->section.gfns[i], NULL);
		if (!sp)
			continue;
		smr_page_commit(&sp->meta, sv->rec.commit_seq);
		samsara_page_changed(sv->vm, sp);
	}
}

void samsara_section_end(struct samsara_vcpu *sv)
{
	struct samsara_vm *vm = sv->vm;
	u64 took;

	lockdep_assert_held(&vm->commit_lock);
	sv->state = SAMSARA_AT_BOUNDARY;
	samsara_section_changed(sv);
	samsara_maybe_add_memdigest(vm, &sv->rec, sv->id);
	smr_order_published(vm->order, sv->id);

	samsara_chain_state(sv, sv->inputs.p, sv->inputs.len);
	samsara_log_commit(sv);
	samsara_stat(sv)->samsara_sections++;
	took = rdtsc() - sv->section.tsc;
	samsara_stat(sv)->samsara_section_cycles += took;
	if (sv->cost.end_tsc)
		sv->cost.end_tsc += took;
	trace_kvm_samsara_section(sv->id, sv->rec.commit_seq, samsara_exit_reason(sv->vcpu),
				  sv->section.nr_gfns);
	samsara_release_exclusive(sv);
	mutex_unlock(&vm->commit_lock);
	end_access(sv);
}

/*
 * Every write KVM makes to guest memory passes mark_page_dirty_in_slot(), which
 * calls this after the write.
 */
void samsara_page_dirty(struct kvm *kvm, gfn_t gfn)
{
	struct samsara_vm *vm = kvm->arch.samsara;
	struct kvm_vcpu *vcpu = kvm_get_running_vcpu();
	struct samsara_vcpu *sv = vcpu ? to_samsara(vcpu) : NULL;
	u64 next;
	u32 i;

	if (!samsara_frozen(kvm))
		return;
	if (!sv || vcpu->kvm != kvm || sv->state != SAMSARA_IN_SECTION || sv->section.no_memory) {
		/* Commits from now on may have seen it. */
		next = READ_ONCE(vm->order->committed) + 1;
		samsara_fail_from(vm, next, -EIO,
				  "KVM wrote to guest memory outside of the order");
		return;
	}
	for (i = 0; i < sv->section.nr_gfns; i++)
		if (sv->section.gfns[i] == gfn)
			return;
	if (sv->section.nr_gfns == SAMSARA_SECTION_PAGES) {
		samsara_fail_from(vm, sv->rec.commit_seq, -E2BIG,
				  "one exit wrote to too many pages");
		return;
	}
	sv->section.gfns[sv->section.nr_gfns++] = gfn;
}
